"""Violet's analysis beside librosa and pyloudnorm, in one run.

Run: python benches/compare/analysis.py [--minutes 10] [--skip-pyin]

Times are process CPU seconds of one thread, the best of some repeats; the anchors' pitch is measured on one minute and
multiplied. Needs `violet`, `librosa`, `pyloudnorm`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import librosa
import numpy as np
import numpy.typing as npt
import pyloudnorm
from librosa.onset import onset_detect

import violet
from violet import _core

Samples = npt.NDArray[np.float32]
PITCH = {"fmin": 65.0, "fmax": 2093.0}


def best(work: Callable[[], object], repeats: int = 3) -> float:
    """The least CPU time of some runs, seconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def sound(rate: int, seconds: float, n_channels: int) -> Samples:
    """Something like speech: a gliding buzz in bursts, in noise, `[n_samples, n_channels]`."""
    rng = np.random.default_rng(1)
    t = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.4 * t)) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12)) * (np.sin(2 * np.pi * 1.3 * t) > -0.3)
    channels = [0.1 * buzz + 0.01 * rng.standard_normal(len(t)) for _ in range(n_channels)]
    return np.stack(channels, axis=1).astype(np.float32)


def row(name: str, ours: float, theirs: float, target: float) -> None:
    """One line of the table."""
    print(f"{name:58} {ours * 1e3:9.0f} ms {theirs * 1e3:9.0f} ms {theirs / ours:7.1f}x (>= {target:g}x)", flush=True)


def anchors(mono: Samples, rate: int) -> dict[str, Callable[[], object]]:
    """Librosa's features, one call each, as people call them."""
    feature = librosa.feature
    return {
        "mel": lambda: feature.melspectrogram(y=mono, sr=rate),
        "mfcc": lambda: feature.mfcc(y=mono, sr=rate),
        "centroid": lambda: feature.spectral_centroid(y=mono, sr=rate),
        "bandwidth": lambda: feature.spectral_bandwidth(y=mono, sr=rate),
        "rolloff": lambda: feature.spectral_rolloff(y=mono, sr=rate),
        "flatness": lambda: feature.spectral_flatness(y=mono),
        "contrast": lambda: feature.spectral_contrast(y=mono, sr=rate),
        "zero crossings": lambda: feature.zero_crossing_rate(mono),
        "chroma": lambda: feature.chroma_stft(y=mono, sr=rate, tuning=0),
    }


def compare(rate: int, n_channels: int, minutes: float, *, skip_pyin: bool) -> None:
    """The table of one kind of audio."""
    audio = sound(rate, 60 * minutes, n_channels)
    mono = np.ascontiguousarray(audio.mean(axis=1))
    print(f"{minutes:g} min, {rate} Hz, {n_channels} channels: violet, anchor")
    run = partial(violet.analyze, audio, sample_rate=rate)
    spectral = ["spectral", "mel", "mfcc", "chroma"]
    warm = mono[: 2 * rate]
    for work in anchors(warm, rate).values():
        work()
    theirs = {name: best(work, 2) for name, work in anchors(mono, rate).items()}
    print("  " + ", ".join(f"{name} {seconds * 1e3:.0f}" for name, seconds in theirs.items()))
    row("spectral features", best(lambda: violet.analyze(mono, spectral, sample_rate=rate)), sum(theirs.values()), 8)
    meter = pyloudnorm.Meter(rate)
    loudness = best(lambda: meter.integrated_loudness(audio.astype(np.float64)), 2)
    row("integrated loudness and range, pyloudnorm (integrated)", best(lambda: run(["loudness"])), loudness, 2)
    row("  with true peak", best(lambda: run(["loudness", "true_peak"])), loudness, 1)
    without = [name for name in _core.analysis_fields() if name not in {"pitch", "voice"}]
    onset = best(lambda: onset_detect(y=mono, sr=rate), 1)
    tempo = best(lambda: librosa.feature.tempo(y=mono, sr=rate), 1)
    print(f"  onsets {onset * 1e3:.0f}, tempo {tempo * 1e3:.0f}")
    row(
        "everything but pitch, with onsets and tempo",
        best(lambda: run(without)),
        sum(theirs.values()) + loudness + onset + tempo,
        12,
    )
    lean = [name for name in without if name != "rhythm"]
    row("everything but pitch, without them", best(lambda: run(lean)), sum(theirs.values()) + loudness, 12)
    minute = mono[: 60 * rate]
    librosa.yin(warm, sr=rate, **PITCH)
    yin = best(lambda: librosa.yin(minute, sr=rate, **PITCH), 2)
    ours = best(lambda: _core.yin(minute, rate, PITCH["fmin"], PITCH["fmax"], 2048, 512, 0.1))
    row("yin, a minute", ours, yin, 5)
    if not skip_pyin:
        librosa.pyin(warm, sr=rate, **PITCH)
        pyin = best(lambda: librosa.pyin(minute, sr=rate, **PITCH), 1)
        ours = best(lambda: _core.pyin(minute, rate, PITCH["fmin"], PITCH["fmax"], 2048, 512))
        row("pyin, a minute", ours, pyin, 5)
    row("pitch and voice of all", best(lambda: run(["pitch", "voice"]), 1), 0.0, 0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--skip-pyin", action="store_true", help="leave out the slowest anchor")
    found = parser.parse_args()
    for rate, n_channels in ((16_000, 1), (44_100, 2)):
        compare(rate, n_channels, found.minutes, skip_pyin=found.skip_pyin)


if __name__ == "__main__":
    main()
