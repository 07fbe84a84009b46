"""Golden values of the normalizer: openai-whisper's own BasicTextNormalizer on many sentences.

Needs `regex` and the file whisper/normalizers/basic.py of openai-whisper 20250625, whose path is the argument:
    pip download --no-deps --no-binary :all: openai-whisper==20250625 && tar xf openai_whisper-20250625.tar.gz
    python make_normalized.py openai_whisper-20250625/whisper/normalizers/basic.py
Writes normalized.json: [[text, normalized], ...].
"""

import importlib.util
import json
import random
import sys
import unicodedata
from pathlib import Path

spec = importlib.util.spec_from_file_location("basic", sys.argv[1])
basic = importlib.util.module_from_spec(spec)
spec.loader.exec_module(basic)
normalize = basic.BasicTextNormalizer()

SENTENCES = [
    "", " ", "a", "Hello, World!", "It's 10:00 AM -- don't be late...", "[laughter] So (she said) <b>yes</b>.",
    "( ) () (a) (a(b)c) ((x)) (unclosed", "[a[b]c] <<x>> [] <> [a> <b] ]x[", "x) (y", "  many   spaces\t\tand\nlines  ",
    "three and a half pounds of sugar for \u00a33.50, $5 & 20\u20ac", "50% of 1/2 = 25\u00a2 + \u00bd", "\u00b2\u00b3\u00b9 x\u2082 \u2167 \u2460 \ufb01ne \ufb03",
    "caf\u00e9 cafe\u0301 na\u00efve \u00c5ngstr\u00f6m \u212b \u00df \u1e9e STRASSE", "\u0130stanbul I\u0131i\u0130 D\u0130YARBAKIR", "\u039f\u0394\u039f\u03a3 \u03a3\u03a3 \u03c3\u03c2 \u039c\u03a3.",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u300c\u5f15\u7528\u300d\uff08\u62ec\u53f7\uff09", "\u4eca\u65e5\u306f\u3001\u826f\u3044\u5929\u6c17\u3067\u3059\u306d\u3002\uff76\uff9e \u30ab\u3099 \u30ac", "\uc548\ub155\ud558\uc138\uc694? \u1112\u1161\u11ab\uae00",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a \u0e01\u0e33", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e\u0964", "\u0645\u0631\u062d\u0628\u0627\u064b \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u061f \ufefb", "\u05e9\u05c1\u05dc\u05d5\u05b9\u05dd, \u05e2\u05d5\u05dc\u05dd!",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u00ab\u0426\u0438\u0442\u0430\u0442\u0430\u00bb \u2014 \u0451\u0401", "\u1ea4\u1ebf\u1ed9\u01b0 Vi\u1ec7t Nam, ti\u1ebfng Vi\u1ec7t", "na\u0308ive \u0344 \u0345 \u037a",
    "emoji \U0001f600\U0001f1e9\U0001f1ea \u2764\ufe0f\u200d\U0001f525 ok\u200bzero\u200cwidth\u200d", "soft\u00adhyphen no\u00a0break \u2003em\u3000wide \u2028line\u2029par",
    "tabs\x0b\x0c\x1c\x1d\x1e\x1f\x85end nul\x00in", "under_score #tag @name a+b=c ~^`|\\ {x}", "\u2018quotes\u2019 \u201cdouble\u201d \u2039x\u203a \u201elow\u201c",
    "\ud55c\uad6d\uc5b4\ub294 (\uad04\ud638) \uc88b\ub2e4.", "\uff21\uff22\uff23 \uff11\uff12\uff13 \uff08\u5168\u89d2\uff09 \uff3b\u62ec\u5f27\uff3d", "\u01c4\u01c5\u01c6 \u01f1", "\u1fb3\u1fbc \u1f88 \u0390", "\u2126\u212a\u2103 \u33a5 \u00aa\u00ba",
]
WORDS = "the quick Brown fox JUMPS over lazy dogs don't we're 3.14 1,000 U.S.A. e-mail \u00fcber Stra\u00dfe \u0141\u00f3d\u017a fa\u00e7ade \u0434\u043e\u043c \u00bfqu\u00e9? \u4e2d\u6587 \u65e5\u672c\u8a9e [noise] (um) <unk> \u2026 \u2013 & % $".split()


def characters(category: str) -> list[str]:
    """Characters of one Unicode category from the planes in use, of which the Unicode versions agree."""
    planes = list(range(0x20, 0x3000)) + list(range(0x3000, 0x3400)) + list(range(0xA000, 0xB000)) + list(range(0xFB00, 0x10000))
    return [chr(c) for c in planes if unicodedata.category(chr(c)) == category]


random.seed(20250625)
for _ in range(160):
    SENTENCES.append(" ".join(random.choices(WORDS, k=random.randint(1, 14))) + random.choice(".,!?;: "))
for category in "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Cf".split():
    pool = characters(category)
    for _ in range(5):
        SENTENCES.append("a" + "b".join(random.choices(pool, k=12)) + " c")
Path("normalized.json").write_text(json.dumps([[text, normalize(text)] for text in SENTENCES], indent=0) + "\n")
print(len(SENTENCES), "sentences")
