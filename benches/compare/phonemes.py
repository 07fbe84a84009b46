"""Phoneme error rate of Violet's English against espeak-ng's, on the words and sentences of tests/data/phonemes.json.

    apt-get install espeak-ng && python benches/compare/phonemes.py

Both say every text in this run. A phoneme is a vowel, diphthong or affricate as one, and a stress mark counts as one
too; spaces and punctuation do not count. The rate without stress marks is beside it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNITS = re.compile("tʃ|dʒ|aɪ|aʊ|eɪ|oʊ|ɔɪ|ɑː|ɔː|oː|ɜː|iː|uː|n̩|.")


def units(phonemes: str) -> list[str]:
    return UNITS.findall(re.sub(r"[ ,.;:!?]", "", phonemes))


def without_stress(phonemes: str) -> list[str]:
    return units(re.sub("[ˈˌ]", "", phonemes))


def distance(a: list[str], b: list[str]) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def rate(pairs: list[tuple[str, str]], split: Callable[[str], list[str]]) -> float:
    errors = sum(distance(split(reference), split(hypothesis)) for reference, hypothesis in pairs)
    return 100 * errors / sum(len(split(reference)) for reference, _ in pairs)


def espeak(text: str) -> str:
    command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", "--", text]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def violet(texts: list[str]) -> list[str]:
    command = ["cargo", "run", "--quiet", "--locked", "--example", "phonemes"]
    run = subprocess.run(command, cwd=ROOT, input="\n".join(texts), capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def main() -> None:
    data = json.loads((ROOT / "tests/data/phonemes.json").read_text("utf-8"))
    for name in ("words", "sentences"):
        texts = [text for text, _ in data[name]]
        with ThreadPoolExecutor() as pool:
            references = list(pool.map(espeak, texts))
        pairs = list(zip(references, violet(texts), strict=True))
        rates = f"{rate(pairs, units):.2f} % ({rate(pairs, without_stress):.2f} % without stress)"
        sys.stdout.write(f"{len(pairs)} {name}: phoneme error rate {rates}\n")


if __name__ == "__main__":
    main()
