"""Golden values of word splitting: openai-whisper's own tokenizer on texts in several scripts.

Needs `tiktoken` and the sources of openai-whisper 20250625, whose directory `whisper` is the argument:
    pip download --no-deps --no-binary :all: openai-whisper==20250625 && tar xf openai_whisper-20250625.tar.gz
    python make_word_splits.py openai_whisper-20250625/whisper
Writes word_splits.json: {model: [[language, tokens, [[word, number of tokens], ...]], ...]}.
"""

import importlib.util
import json
import sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("tokenizer", Path(sys.argv[1]) / "tokenizer.py")
tokenizer = importlib.util.module_from_spec(spec)
sys.modules["tokenizer"] = tokenizer
spec.loader.exec_module(tokenizer)

TEXTS = [
    ("en", " And so, my fellow Americans, ask not what your country can do for you."),
    ("en", "No space at first; \"quotes\" ('single'), well-known e.g. 3.14 and $5 -- yes... no?!"),
    ("en", " naïve café — 12:30\n\ttab  two spaces"),
    ("en", " supercalifragilisticexpialidocious antidisestablishmentarianism 🎙️ 👩‍💻"),
    ("de", " Straßenbahnhaltestelle, „Grüße“ und Äpfel."),
    ("fr", " L'été, c'est «chaud» : n'est-ce pas ?"),
    ("ru", " Привет, мир! Ещё раз."),
    ("ar", " مرحبا بالعالم، كيف حالك؟"),
    ("hi", " नमस्ते दुनिया।"),
    ("ko", " 안녕하세요, 세계!"),
    ("zh", "你好,世界!今天天气很好。"),
    ("yue", "佢哋喺度食緊飯。"),
    ("ja", "今日は、良い天気ですね。「こんにちは」"),
    ("th", " สวัสดีครับ กำลังไป"),
    ("lo", "ສະບາຍດີ"),
    ("my", "မင်္ဂလာပါ"),
]

golden = {}
for model, multilingual in (("tiny.en", False), ("base", True)):
    cases = []
    for language, text in TEXTS:
        # The English model has no language of its own; it splits at spaces whatever the text.
        it = tokenizer.get_tokenizer(multilingual, num_languages=100, language=language if multilingual else None)
        tokens = it.encode(text)
        # As in timing.py: with the end, which is a word of its own and is dropped there.
        words, word_tokens = it.split_to_word_tokens([*tokens, it.eot])
        assert word_tokens[-1] == [it.eot], word_tokens
        pairs = [[word, len(part)] for word, part in zip(words[:-1], word_tokens[:-1], strict=True)]
        cases.append([language if multilingual else "en", tokens, pairs])
    golden[model] = cases

with Path("word_splits.json").open("w", encoding="utf-8") as file:
    lines = [f" {json.dumps(model)}: [\n" + ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases) + "\n ]"
             for model, cases in golden.items()]
    file.write("{\n" + ",\n".join(lines) + "\n}\n")
