"""Violet's text scores and normalizers beside jiwer, rapidfuzz, werpy and openai-whisper's, in one run.

Run: python benches/compare/scoring.py [--normalizers openai_whisper-20250625/whisper/normalizers]

Lists of str go in, times are process CPU seconds of one thread, the best of some repeats. For two threads it is wall
seconds and, which other programs on the machine do not disturb, CPU seconds of the thread that has most of them. Memory
is that of a fresh process for each case: the most that is resident during the first call over what is before it.
Needs `violet`, `jiwer`, `rapidfuzz`; `werpy` if there; for the normalizer `regex`, `more-itertools` and the directory
of openai-whisper's source package.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import random
import subprocess
import sys
import time
import types
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jiwer
from rapidfuzz.distance import Levenshtein

import violet

Clock = Callable[[], float]
SENTENCES = [
    "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
    "It's the twenty first of May, nineteen ninety nine, and Mr. Smith hasn't paid twenty million dollars yet.",
    "the quick brown fox jumps over the lazy dog and doesn't look back at the grey house",
    "We\u2019re meeting at 10:30, in room 42 \u2014 don\u2019t be late!",
    "I think they'd have gone if it hadn't been for the weather, you know, uh, it was terrible",
]


def best(work: Callable[[], object], clock: Clock = time.process_time, repeats: int = 5) -> float:
    """The least time of some runs, seconds."""
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def busier(work: Callable[[], object], repeats: int = 20) -> float:
    """The least time of some runs, CPU seconds: of this thread or of the one that it starts, whichever has more."""
    times = []
    for _ in range(repeats):
        process, thread = time.process_time(), time.thread_time()
        work()
        process, thread = time.process_time() - process, time.thread_time() - thread
        times.append(max(thread, process - thread))
    return min(times)


def pairs(n_pairs: int, n_words: int) -> tuple[list[str], list[str]]:
    """Random words, a tenth of them replaced."""
    rng = random.Random(1)
    vocabulary = [f"word{n}" for n in range(2_000)]
    said, heard = [], []
    for _ in range(n_pairs):
        words = rng.choices(vocabulary, k=n_words)
        said.append(" ".join(words))
        heard.append(" ".join(rng.choice(vocabulary) if rng.random() < 0.1 else word for word in words))
    return said, heard


def row(name: str, ours: float, theirs: float, target: float, unit: str = "ms", scale: float = 1e3) -> None:
    print(f"{name:44} {ours * scale:10.3f} {unit} {theirs * scale:10.3f} {unit} {theirs / ours:7.1f}x (>= {target:g}x)")


def distances(pairs: Sequence[tuple[list[str], list[str]]]) -> list[int]:
    """What rapidfuzz says of lists that are split already."""
    return [Levenshtein.distance(left, right) for left, right in pairs]


def normalized(name: str) -> list[str]:
    """Every sentence, often."""
    return [violet.normalize(text, name) for text in SENTENCES * 2_000]


def rates() -> None:
    """Every row of the table on pairs."""
    for n_pairs, n_words, wer_target, cer_target in ((100_000, 10, 60, 80), (1_000, 1_000, 22, 3)):
        said, heard = pairs(n_pairs, n_words)
        name = f"{n_pairs} x {n_words} words"
        ours = best(partial(violet.wer, said, heard, "none", 1))
        theirs = best(partial(jiwer.wer, said, heard), repeats=1)
        row(f"WER, {name}, 1 thread, jiwer", ours, theirs, wer_target)
        counts = best(partial(violet.score_words, said, heard, "none", 1))
        row("  with alignment (score_words)", counts, theirs, wer_target)
        split = [(left.split(), right.split()) for left, right in zip(said, heard, strict=True)]
        fuzz = best(partial(distances, split), repeats=2)
        print(f"  rapidfuzz on lists that are split already: {fuzz * 1e3:.1f} ms")
        if importlib.util.find_spec("werpy"):
            werpy = importlib.import_module("werpy")
            other = best(partial(werpy.wer, said, heard), repeats=1)
            print(f"  werpy: {other * 1e3:.1f} ms")
        one = best(partial(violet.wer, said, heard, "none", 1), time.perf_counter, 20)
        two = best(partial(violet.wer, said, heard, "none", 2), time.perf_counter, 20)
        row("  two threads, over one (wall)", two, one, 1.7)
        row(
            "  two threads, over one (CPU, busier thread)",
            busier(partial(violet.wer, said, heard, "none", 2)),
            ours,
            1.7,
        )
        ours = best(partial(violet.cer, said, heard, "none", 1), repeats=2)
        n_some = min(n_pairs, 100_000 if n_words == 10 else 50)
        theirs = best(partial(jiwer.cer, said[:n_some], heard[:n_some]), repeats=1)
        row(f"CER, {name}, 1 thread, jiwer", ours, theirs * n_pairs / n_some, cer_target)
    said, heard = pairs(1, 20_000)
    theirs = best(lambda: jiwer.wer(said, heard), repeats=3)
    row("one pair of 20,000 words, distance, jiwer", best(lambda: violet.wer(said, heard, "none", 1)), theirs, 6)
    row("  with alignment", best(lambda: violet.score_words(said, heard, "none", 1).alignments()), theirs, 3)


def resident(field: str) -> int:
    """Memory of this process in KiB: `VmRSS` is what is resident now, `VmHWM` the most since it was last reset."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


MEMORY_CASES: dict[str, Callable[[list[str], list[str]], object]] = {
    "WER, 1 thread": lambda said, heard: violet.wer(said, heard, "none", 1),
    "WER, 2 threads": lambda said, heard: violet.wer(said, heard, "none", 2),
    "CER, 1 thread": lambda said, heard: violet.cer(said, heard, "none", 1),
    "score_words": lambda said, heard: violet.score_words(said, heard, "none", 1),
}


def memory_of(case: str, n_pairs: int, n_words: int) -> None:
    """In a fresh process: print what one call takes over its input, MiB."""
    said, heard = pairs(n_pairs, n_words)
    gc.collect()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again at what is resident.
    MEMORY_CASES[case](said, heard)
    print((resident("VmHWM") - before) / 1024)


def memory() -> None:
    """What calls take over their input."""
    for n_pairs, n_words in ((100_000, 10), (1_000, 1_000), (1, 20_000)):
        for case in MEMORY_CASES:
            child = [sys.executable, __file__, "--memory-of", case, str(n_pairs), str(n_words)]
            found = float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
            print(f"{f'memory, {case}, {n_pairs} x {n_words} words':44} {found:10.1f} MiB over the input (<= 64)")


def short_call() -> None:
    """One call on one short pair."""
    n = 100_000
    seconds = best(lambda: [violet.wer("hello world this is", "hello word this was") for _ in range(n)]) / n
    print(f"one short call: {seconds * 1e6:.2f} us (<= 1.5 us)")


def normalizers(directory: Path) -> None:
    """The English normalizer beside the original."""
    package = types.ModuleType("normalizers")
    package.__path__ = [str(directory)]
    sys.modules["normalizers"] = package
    original = importlib.import_module("normalizers.english").EnglishTextNormalizer()
    assert all(violet.normalize(text, "whisper-en") == original(text) for text in SENTENCES)
    theirs = best(lambda: [original(text) for text in SENTENCES * 200]) / len(SENTENCES) / 200
    for name in ("whisper-en", "violet-en"):
        ours = best(partial(normalized, name))
        row(f"{name}, a sentence, openai-whisper", ours / len(SENTENCES) / 2_000, theirs, 50, "us", 1e6)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--normalizers", type=Path, help="whisper/normalizers of openai-whisper's source package")
    parser.add_argument("--memory-of", nargs=3, metavar=("CASE", "PAIRS", "WORDS"), help="only this, in this process")
    found = parser.parse_args()
    if found.memory_of:
        case, n_pairs, n_words = found.memory_of
        memory_of(case, int(n_pairs), int(n_words))
        return
    short_call()
    if found.normalizers:
        normalizers(found.normalizers)
    rates()
    if Path("/proc/self/clear_refs").exists():
        memory()


if __name__ == "__main__":
    main()
