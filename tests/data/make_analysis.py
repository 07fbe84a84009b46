"""Writes analysis.json.gz: librosa's and Praat's values of jfk.flac and of a made vowel.

Needs librosa 1.0, praat-parselmouth 0.4.7, soundfile. Spectra are in double precision, so that the values are the
definitions' and not one machine's rounding.
"""

import gzip
import json
from pathlib import Path

import librosa
import numpy as np
import parselmouth
import soundfile
from parselmouth.praat import call

HERE = Path(__file__).parent
EVERY = 15
"""Of every feature each 15th frame is kept."""

samples, rate = soundfile.read(HERE / "jfk.flac", dtype="float64")
feature = librosa.feature
features = {
    "centroid_hz": feature.spectral_centroid(y=samples, sr=rate),
    "bandwidth_hz": feature.spectral_bandwidth(y=samples, sr=rate),
    "rolloff_hz": feature.spectral_rolloff(y=samples, sr=rate),
    "flatness": feature.spectral_flatness(y=samples),
    "contrast_db": feature.spectral_contrast(y=samples, sr=rate),
    "zero_crossing_rate": feature.zero_crossing_rate(samples),
    "mel": feature.melspectrogram(y=samples, sr=rate),
    "mfcc": feature.mfcc(y=samples, sr=rate),
    "chroma": feature.chroma_stft(y=samples, sr=rate, tuning=0),
}
pitch = {"fmin": 65.0, "fmax": 500.0, "sr": rate, "frame_length": 1600, "hop_length": 160}
f0, _, probability = librosa.pyin(samples, **pitch)
yin = librosa.yin(samples, **pitch)
onsets = librosa.onset.onset_detect(y=samples, sr=rate, units="time")
tempo = librosa.feature.tempo(y=samples, sr=rate)


def vowel(jitter: float, shimmer: float) -> np.ndarray:
    """Pulses of a resonance at 700 Hz, 120 a second, whose times and strengths vary by turns; 16 kHz, 1.5 s."""
    made = np.zeros(24_000)
    time = 0.05
    for index in range(160):
        sign = 0.5 if index % 2 == 0 else -0.5
        first = int(np.ceil(time * 16_000))
        t = np.arange(first, min(first + 400, len(made))) / 16_000 - time
        made[first : first + len(t)] += 0.3 * (1 + sign * shimmer) * np.exp(-600 * t) * np.sin(2 * np.pi * 700 * t)
        time += (1 + sign * jitter) / 120
    return made


def praat(made: np.ndarray) -> dict[str, float]:
    """What Praat says of a sound."""
    sound = parselmouth.Sound(made, 16_000)
    pulses = call(sound, "To PointProcess (periodic, cc)", 65, 500)
    harmonicity = call(sound, "To Harmonicity (cc)", 0.01, 75, 0.1, 1.0)
    heard = harmonicity.values[harmonicity.values > -200]
    return {
        "jitter_local": call(pulses, "Get jitter (local)", 0, 0, 0.0001, 0.02, 1.3),
        "shimmer_local": call([sound, pulses], "Get shimmer (local)", 0, 0, 0.0001, 0.02, 1.3, 1.6),
        "median_hnr_db": float(np.median(heard)),
    }


def syllables(made: np.ndarray) -> list[float]:
    """Times of the nuclei after de Jong and Wempe (2009), with Praat's intensity and pitch."""
    sound = parselmouth.Sound(made, rate)
    intensity = call(sound, "To Intensity", 50, 0, "yes")
    values, times = intensity.values[0], intensity.xs()
    least = call(intensity, "Get quantile", 0, 0, 0.99) - 25
    inner = range(1, len(values) - 1)
    peaks = [i for i in inner if values[i] > values[i - 1] and values[i] >= values[i + 1] and values[i] > least]
    voice = call(sound, "To Pitch (ac)", 0.02, 30, 4, "no", 0.03, 0.25, 0.01, 0.35, 0.25, 450)
    ends = [*peaks[1:], len(values) - 1]
    is_voiced = [not np.isnan(call(voice, "Get value at time", times[i], "Hertz", "Linear")) for i in peaks]
    dips = [values[i] - values[i : end + 1].min() for i, end in zip(peaks, ends, strict=True)]
    return [float(times[i]) for i, dip, voiced in zip(peaks, dips, is_voiced, strict=True) if dip > 2 and voiced]


def rounded(values: np.ndarray) -> list:
    """Seven digits are more than the comparison needs."""
    return [[float(f"{value:.7g}") for value in row] for row in np.atleast_2d(values)]


golden = {
    "every": EVERY,
    "features": {name: rounded(values[:, ::EVERY]) for name, values in features.items()},
    "summaries": {name: [[float(row.mean()), float(row.std())] for row in values] for name, values in features.items()},
    "pyin_f0_hz": [None if np.isnan(hz) else float(hz) for hz in f0],
    "pyin_probability": [round(float(p), 6) for p in probability],
    "yin_f0_hz": [float(f"{hz:.8g}") for hz in yin],
    "onsets_s": onsets.tolist(),
    "tempo_bpm": float(tempo[0]),
    "praat": [
        {"jitter": jitter, "shimmer": shimmer, **praat(vowel(jitter, shimmer))}
        for jitter, shimmer in ((0.0, 0.0), (0.01, 0.05), (0.02, 0.1))
    ],
    "praat_jfk": praat(samples),
    "syllables_s": syllables(samples),
}
with (HERE / "analysis.json.gz").open("wb") as file:
    file.write(gzip.compress(json.dumps(golden).encode(), mtime=0))
