"""2,000 words and 200 sentences, and what `espeak-ng -q --ipa -v en-us` says: phonemes.json.

Needs Debian's `wordnet-base` (the texts; WordNet licence) and `espeak-ng` (a program that is only compared with):
    apt-get install wordnet-base espeak-ng && python make_phonemes.py
The words are drawn from those that occur twice or more in WordNet's glosses, each once, however rare; the sentences
from its examples of six words or more, without digits. The seed is fixed, nothing is picked by hand.
"""

import json
import random
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")
N_WORDS, N_SENTENCES = 2000, 200
# What was drawn behind the sample was used while the rules were written; the sample was not.
N_DRAWN_WORDS, N_DRAWN_SENTENCES = 8000, 1200


def espeak(text: str) -> str:
    command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", "--", text]
    return " ".join(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def main() -> None:
    sentences: set[str] = set()
    counts: Counter[str] = Counter()
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text("utf-8", errors="ignore").splitlines():
            if line.startswith("  ") or "|" not in line:
                continue
            gloss = line.split("|", 1)[1]
            counts.update(re.findall(r"(?<![A-Za-z'-])[a-z]{2,}(?![A-Za-z'-])", gloss))
            for quoted in re.findall(r'"([^"]*)"', gloss):
                example = quoted.strip()
                if len(example.split()) >= 6 and re.fullmatch(r"[A-Za-z ,.;:!?'\-]+", example):
                    sentences.add(example)
    draw = random.Random(49)
    words = draw.sample(sorted(word for word, n in counts.items() if n > 1), N_DRAWN_WORDS)[:N_WORDS]
    examples = draw.sample(sorted(sentences), N_DRAWN_SENTENCES)[:N_SENTENCES]
    with ThreadPoolExecutor() as pool:
        said = {
            name: list(zip(texts, pool.map(espeak, texts), strict=True))
            for name, texts in (("words", words), ("sentences", examples))
        }
    text = json.dumps(said, ensure_ascii=False, separators=(",", ":")).replace("],[", "],\n[")
    Path(__file__).with_name("phonemes.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
