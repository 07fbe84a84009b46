"""Times of Violet's audio scores and of the packages that they replace, on the same clips, one thread each, in one run.

Run: python benches/compare/audio_scores.py [--clip tests/data/jfk.flac] [--seconds 10] [--repeats 15]

Needs `violet` and, for each row, its peer: `pystoi`, `pesq`, `librosa`; a row whose peer is missing is left out.
Repeats of both are interleaved. Times are processor time of this process, the least of the repeats, in milliseconds;
the ratio is theirs / ours: above 1, Violet is faster. `difference` is that of the two scores. Exits with 1 if a ratio
is below its target.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Before numpy is loaded: one thread on both sides.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

import violet  # noqa: E402

type Floats = npt.NDArray[np.float64]
type Score = Callable[[], float | None]

SAMPLE_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Row:
    """A score: ours, the peer's, and how many times faster it shall be."""

    name: str
    ours: Score
    peer: Score
    target: float | None


def rows(reference: Floats, degraded: Floats) -> list[Row]:
    """The scores whose peers are installed."""
    found = []
    if pystoi := _module("pystoi"):
        for rate in (10_000, SAMPLE_RATE, 48_000):
            target = 3.0 if rate == SAMPLE_RATE else None
            for extended in (False, True):
                name = f"{'ESTOI' if extended else 'STOI'}, read at {rate} Hz"
                ours = partial(violet.stoi, reference, degraded, rate, extended)
                found.append(Row(name, ours, partial(pystoi.stoi, reference, degraded, rate, extended), target))
    if pesq := _module("pesq"):
        found += [
            Row(
                "PESQ wb",
                lambda: violet.pesq(reference, degraded, SAMPLE_RATE),
                lambda: float(pesq.pesq(SAMPLE_RATE, reference, degraded, "wb")),
                None,
            ),
            Row(
                "PESQ nb, read at 8000 Hz",
                lambda: violet.pesq(reference, degraded, 8_000, "nb"),
                lambda: float(pesq.pesq(8_000, reference, degraded, "nb")),
                None,
            ),
        ]
    if librosa := _module("librosa"):
        found.append(
            Row(
                "log-F0 error, frame by frame (peer: librosa.yin of both clips)",
                lambda: violet.log_f0_rmse(reference, degraded, SAMPLE_RATE, align=False),
                lambda: _pitch_error(librosa, reference, degraded),
                None,
            )
        )
    return found


def _pitch_error(librosa: Any, reference: Floats, degraded: Floats) -> None:  # noqa: ANN401 - a module
    for samples in (reference, degraded):
        librosa.yin(samples, fmin=60, fmax=500, sr=SAMPLE_RATE, frame_length=1024, hop_length=128)


def _module(name: str) -> Any:  # noqa: ANN401 - a module
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"left out: {name} is not installed", file=sys.stderr)
        return None


def measure(row: Row, repeats: int) -> tuple[float, float, float]:
    """Least milliseconds of ours and of the peer's, and the difference of the scores (NaN without one)."""
    ours, theirs = row.ours(), row.peer()
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        for index, score in enumerate((row.ours, row.peer)):
            start = time.process_time()
            score()
            best[index] = min(best[index], time.process_time() - start)
    difference = abs(ours - theirs) if ours is not None and theirs is not None else float("nan")
    return best[0] * 1e3, best[1] * 1e3, difference


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--clip", type=Path, default=here / "tests/data/jfk.flac", help="speech")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip at 16 kHz (10)")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    samples, _ = violet.load(args.clip, SAMPLE_RATE)
    reference = samples[: round(args.seconds * SAMPLE_RATE)].astype(np.float64)
    degraded = reference + 0.01 * np.random.default_rng(0).standard_normal(len(reference))
    print(f"{len(reference)} samples, one thread, the least of {args.repeats}\n")
    print("| score | Violet, ms | peer, ms | ratio | target | difference |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
    is_good = True
    for row in rows(reference, degraded):
        ours, theirs, difference = measure(row, args.repeats)
        ratio = theirs / ours
        is_good &= row.target is None or ratio >= row.target
        print(
            f"| {row.name} | {ours:.1f} | {theirs:.1f} | {ratio:.2f} | {row.target or ''} | {difference:.1e} |",
            flush=True,
        )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
