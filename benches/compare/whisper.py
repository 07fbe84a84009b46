"""Violet's Whisper and faster-whisper side by side: the same clips, weights and threads, in one run.

Run: python benches/compare/whisper.py --model DIRECTORY [--threads 1 2] [--repeats 3] CLIP...

DIRECTORY holds a model in CTranslate2's format, which both read (`violet models path tiny.en` prints one).
Needs `violet`, `faster-whisper` and `numpy`. Prints seconds (the best of the repeats, loading not counted)
and ratios: below 1, Violet is faster.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel

import violet

SAMPLE_RATE = 16_000

Samples = npt.NDArray[np.float32]
Transcribe = Callable[[Samples], str]


@dataclass(frozen=True, slots=True)
class Timing:
    """The best time over all clips, and what was heard."""

    seconds: float
    texts: tuple[str, ...]


def best_time(transcribe: Transcribe, clips: list[Samples], repeats: int) -> Timing:
    """Transcribe all clips a few times; keep the shortest total."""
    seconds = float("inf")
    texts: tuple[str, ...] = ()
    for _ in range(repeats):
        start = time.perf_counter()
        texts = tuple(transcribe(clip) for clip in clips)
        seconds = min(seconds, time.perf_counter() - start)
    return Timing(seconds, texts)


def violet_engine(model: Path, threads: int) -> Transcribe:
    """Violet on the processor, greedy with fallback."""
    transcriber = violet.Transcriber(str(model), device="cpu", num_threads=threads)
    return lambda samples: transcriber.transcribe(samples, language="en").text


def faster_whisper_engine(model: Path, threads: int, compute_type: str) -> Transcribe:
    """faster-whisper with the options that Violet's defaults have."""
    peer = WhisperModel(str(model), device="cpu", compute_type=compute_type, cpu_threads=threads)

    def transcribe(samples: Samples) -> str:
        segments, _ = peer.transcribe(samples, language="en", beam_size=1, best_of=1)
        return "".join(segment.text for segment in segments).strip()

    return transcribe


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    clips = [violet.load(str(path), sample_rate=SAMPLE_RATE)[0] for path in args.clips]
    seconds = sum(len(clip) for clip in clips) / SAMPLE_RATE
    print(f"{len(clips)} clips, {seconds:.1f} s of audio, model {args.model}")
    print(f"{'threads':>7}  {'engine':24} {'seconds':>8} {'x real time':>11} {'violet / it':>11}")
    for threads in args.threads:
        engines = {
            "violet": violet_engine(args.model, threads),
            "faster-whisper int8": faster_whisper_engine(args.model, threads, "int8"),
            "faster-whisper float32": faster_whisper_engine(args.model, threads, "float32"),
        }
        timings = {name: best_time(engine, clips, args.repeats) for name, engine in engines.items()}
        ours = timings["violet"].seconds
        for name, timing in timings.items():
            ratio, speed = ours / timing.seconds, seconds / timing.seconds
            print(f"{threads:7}  {name:24} {timing.seconds:8.2f} {speed:10.1f}x {ratio:11.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
