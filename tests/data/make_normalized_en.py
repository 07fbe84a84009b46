"""Golden values of the English normalizer and of the basic one's options: openai-whisper's own on many sentences.

Needs `regex` and `more-itertools` and the directory whisper/normalizers of openai-whisper 20250625 (MIT), the first
argument; any further arguments are files of transcripts, a sentence a line, whose lines are taken as they are:
    pip download --no-deps --no-binary :all: openai-whisper==20250625 && tar xf openai_whisper-20250625.tar.gz
    python make_normalized_en.py openai_whisper-20250625/whisper/normalizers transcripts.txt
Writes normalized_en.json.gz: [[text, English], ...], and for the first 1,500 the basic normalizer's three other forms.
"""

import gzip
import importlib
import json
import random
import sys
import types
from pathlib import Path

package = types.ModuleType("normalizers")
package.__path__ = [sys.argv[1]]
sys.modules["normalizers"] = package
english = importlib.import_module("normalizers.english").EnglishTextNormalizer()
basic = importlib.import_module("normalizers.basic").BasicTextNormalizer
OPTIONS = [basic(remove_diacritics=True), basic(split_letters=True), basic(remove_diacritics=True, split_letters=True)]

rng = random.Random(20250625)
NUMERALS = sorted(english.standardize_numbers.words)
SPELLINGS = sorted(english.standardize_spellings.mapping)
SHORT = (
    "won't can't let's ain't y'all wanna gotta gonna i'ma imma woulda coulda shoulda ma'am mr mrs st dr prof capt gov ald gen "
    "sen rep pres rev hon asst assoc lt col jr sr esq he'd been she's gone got done it's don't isn't been't n't 't we're they'll "
    "i've i'm 's 'd hmm um uh mm mhm mmm we'ren't won'tn't"
).split()
DIGITS = (
    "1 2 10 100 0 00 007 1,000 1,234,567 1,2,3 3.14 2.0 $5 $0.05 $2.50 \u00a33 \u20ac20 50% 1990s 1st 2nd 3rd 4th 21st 10:00 5pm "
    "a1b2 \u0663 \u0663,\u0664 1.1 $1 \u00a27 \u00a210 0.5 .5 5. 12.s 1s 100th th +1 -5 #9 1/2 9-1-1 192.168.0.1"
).split()
OTHERS = (
    "the cat sat on a mat colour grey archaeology flyer U.S.A. e.g. hello, world. [noise] (um) <b> x.y . .. ... % %% $ $$ \u00a2 and "
    "half a.m. o'clock foo_bar caf\u00e9 \u00df \u0153uvre na\u00efve \u00e9 \u0301x \u2014 \u2026 \u201cq\u201d \U0001f600 \U0001f1e9\U0001f1ea \u2764\ufe0f\u200d\U0001f525 \u4f60\u597d \u00bd \u00b2 \u2122 "
    "\u0130 \u01c5 ' '' don\u2019t \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd \u043f\u0440\u0438\u0432\u0435\u0442 \u304b\u3099 \u1112\u1161\u11ab \ufb01ne \uff11\uff12"
).split()
TEMPLATES = [
    "Mr. {a} paid {n} dollars and {n} cents on the {o} of May, {y}.",
    "It's {d}% of ${d},{d}{d}{d}, isn't it?",
    "She'd been there since {y}; they've got {n} and a half {w}.",
    "Call +1 {d}{d}{d} {d}{d}{d} {d}{d}{d}{d} before {d}:{d}{d} PM, Dr. {a}!",
    "{n} {n} {n} point {n} {n} million",
    "um, minus {n} degrees, I can't say {w}",
    "double {n} triple oh {n} per cent",
    "the {o} {w} and the {o}, plus {n} {w}s",
]


def number() -> str:
    return " ".join(rng.choices(NUMERALS, k=rng.randint(1, 4)))


def filled(template: str) -> str:
    for key, make in {
        "{a}": lambda: rng.choice(["Smith", "O'Neil", "Garc\u00eda", "St. John"]),
        "{n}": number,
        "{o}": lambda: rng.choice(["first", "twenty second", "3rd", "nineteenth", "ninth"]),
        "{y}": lambda: rng.choice(["1999", "nineteen ninety nine", "two thousand and five", "the 60s"]),
        "{d}": lambda: str(rng.randint(0, 9)),
        "{w}": lambda: rng.choice(SPELLINGS),
    }.items():
        while key in template:
            template = template.replace(key, make(), 1)
    return template


sentences = [
    line for path in sys.argv[2:] for line in Path(path).read_text(encoding="utf-8").splitlines() if line.strip()
]
print(len(sentences), "sentences of transcripts")
sentences += ["", " ", "  a  ", *SPELLINGS, *NUMERALS, *SHORT, *DIGITS, *OTHERS]
sentences += [filled(rng.choice(TEMPLATES)) for _ in range(4_000)]
while len(sentences) < 23_000:
    pools = [NUMERALS, SHORT, DIGITS, OTHERS]
    n = rng.randint(1, 7)
    words = [rng.choice(rng.choice(pools)) for _ in range(n)]
    gaps = rng.choices(
        [" ", "", " ' ", ", ", "-", "'", " and ", " and a half ", ". "], [12, 1, 1, 1, 1, 1, 1, 1, 1], k=n
    )
    text = "".join(word + gap for word, gap in zip(words, gaps, strict=True))
    sentences.append(rng.choice([text, text, text.title(), text.upper()]))

rows = []
for text in sentences:
    try:
        rows.append([text, english(text)])
    except (AssertionError, ValueError):  # the original fails on a few
        print("refused by the original:", repr(text))
rng.shuffle(rows)
for row in rows[:1_500]:
    row += [normalize(row[0]) for normalize in OPTIONS]
packed = gzip.compress(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode(), 9, mtime=0)
Path("normalized_en.json.gz").write_bytes(packed)
print(len(rows), "sentences,", len(packed), "bytes")
