"""Golden edit counts: jiwer 4.0.0 (over rapidfuzz 3.14.6) on committed pairs of texts.

Run in this directory: python make_edit_counts.py
Writes edit_counts.json: [{"reference", "hypothesis", "words": [H, S, D, I], "chars": [H, S, D, I]}, ...], and of long
pairs, which the test generates by the same rule, the seed and sizes in place of the texts.
"""

import json
import random
from pathlib import Path

import jiwer

# jiwer refuses nothing, but it splits words at spaces alone: the texts have no other white space.
PAIRS = [
    ("", ""), ("", "a b"), ("a b c", ""), ("hello world", "hello word"), ("a", "a"), ("a b c d", "x b y z d"),
    ("the cat sat on the mat", "the cat the mat sat on"), ("a b c d e f", "b c d e f a"), ("a a a a", "a a"), ("ab ba ab", "ba ab ba"),
    ("\u4f60 \u597d \u4e16 \u754c", "\u4f60 \u4e16 \u754c \u554a"), ("\u4f60\u597d\u4e16\u754c", "\u4f60\u4e16\u754c\u554a"), ("caf\u00e9 na\u00efve", "cafe\u0301 naive"),
    ("\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440", "\u043f\u0440\u0435\u0432\u0435\u0442 \u043c\u0438\u0440\u0443 \u043c\u0438\u0440"), ("\U0001f600 \U0001f1e9\U0001f1ea ok", "\U0001f600 ok \U0001f1e9\U0001f1ea"),
    ("  leading and   many spaces ", "leading and many spaces"), ("x " * 70 + "end", "y " + "x " * 69 + "end"),
    ("a " * 64 + "b", "b " + "a " * 64), ("a b " * 40, "b a " * 40), ("one two three " * 30, "two three " * 30 + "one " * 30),
]


def noisy(rng, reference, vocabulary, rate):
    """A hypothesis: every token kept, replaced, dropped, or followed by another."""
    hypothesis = []
    for token in reference:
        x = rng.random() / rate
        if x < 0.4:
            hypothesis.append(rng.choice(vocabulary))
        elif x < 0.7:
            continue
        else:
            hypothesis.append(token)
        if 0.7 <= x < 1.0:
            hypothesis.append(rng.choice(vocabulary))
    return hypothesis


def counts(output):
    return [output.hits, output.substitutions, output.deletions, output.insertions]


class Lcg:
    """A generator that is the same in Rust: Numerical Recipes' 32-bit linear congruential one, upper bits."""

    def __init__(self, seed):
        self.state = seed

    def random(self):
        self.state = (1664525 * self.state + 1013904223) % 2**32
        return (self.state >> 8) / 2**24

    def choice(self, items):
        return items[int(self.random() * len(items))]


rng = random.Random(7)
for _ in range(150):
    vocabulary = [f"w{n}" for n in range(rng.choice([2, 4, 20, 200]))]
    reference = rng.choices(vocabulary, k=rng.randint(1, 30))
    PAIRS.append((" ".join(reference), " ".join(noisy(rng, reference, vocabulary, rng.choice([0.1, 0.5, 0.9])))))
for _ in range(40):
    vocabulary = [f"w{n}" for n in range(rng.choice([3, 50, 500]))]
    reference = rng.choices(vocabulary, k=rng.randint(60, 200))
    PAIRS.append((" ".join(reference), " ".join(noisy(rng, reference, vocabulary, rng.choice([0.1, 0.5, 0.9])))))
for _ in range(30):  # nothing in common but the alphabet
    a, b = (" ".join(rng.choices("abc", k=rng.randint(1, 150))) for _ in range(2))
    PAIRS.append((a, b))

rows = []
for reference, hypothesis in PAIRS:
    words, chars = jiwer.process_words(reference, hypothesis), jiwer.process_characters(reference, hypothesis)
    rows.append({"reference": reference, "hypothesis": hypothesis, "words": counts(words), "chars": counts(chars)})

# Long pairs: from 1,100 words on, so that some are stored whole, some banded, and some split in two.
for seed, n_words, n_vocabulary, rate in [
    (1, 1_100, 300, 0.1), (2, 2_500, 10, 0.5), (3, 3_000, 1_000, 0.9), (4, 5_000, 5_000, 0.1), (5, 20_000, 5_000, 0.1),
    (6, 4_000, 3, 0.8), (7, 9_000, 50, 0.3), (8, 20_000, 20_000, 0.01),
]:
    lcg = Lcg(seed)
    vocabulary = [f"w{n}" for n in range(n_vocabulary)]
    reference = [lcg.choice(vocabulary) for _ in range(n_words)]
    hypothesis = noisy(lcg, reference, vocabulary, rate)
    words = jiwer.process_words(" ".join(reference), " ".join(hypothesis))
    swapped = jiwer.process_words(" ".join(hypothesis), " ".join(reference))
    rows.append({"seed": seed, "n_words": n_words, "n_vocabulary": n_vocabulary, "rate": rate, "words": counts(words), "swapped": counts(swapped)})

Path("edit_counts.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
print(len(rows), "pairs")
