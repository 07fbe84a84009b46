"""Golden values of the audio scores with a reference, and of the pitch tracker, on `jfk.flac`.

STOI and ESTOI by pystoi 0.4.1, PESQ by pesq 0.0.4 (the C code of ITU-T P.862), pitch by librosa 1.0 `yin`; the others
by their definitions in numpy:

- SNR: 10 log10(sum s^2 / sum (d - s)^2).
- SI-SDR: Le Roux et al., ICASSP 2019, equation 3.
- Log-spectral distance: Gray and Markel 1976, L2; scipy's Hann windows of 4 hops of 8 ms, power floor 1e-10.
- Mel-cepstral distortion: Kubichek 1993; librosa's mel filters (40, each of sum 1), scipy's DCT-II, coefficients 1 to
  13, librosa's dynamic time warping.
- log-F0: RMSE of ln of librosa's pitch where both frames are voiced (difference function below 0.3, within 40 dB).

The clip's samples are read at many sample rates as if recorded at each; degradations are exact arithmetic, which
`tests/score_signal.rs` repeats. Writes audio_scores.json.
Needs: pip install pystoi==0.4.1 pesq==0.0.4 librosa==1.0.0 soundfile; run: python make_audio_scores.py
"""

import json
import warnings
from pathlib import Path

import librosa
import numpy as np
import pesq
import scipy.fft
import scipy.signal
import soundfile
from librosa.core import pitch
from pystoi import stoi

HERE = Path(__file__).parent
FLOOR = 1e-10
DB_PER_NEPER = 10 / np.log(10) * np.sqrt(2)
warnings.simplefilter("error", RuntimeWarning)

clip, _ = soundfile.read(HERE / "jfk.flac", dtype="float32")
clip = clip.astype(np.float64)


def noise(n):
    """Uniform in [-0.5, 0.5), from a linear congruential generator."""
    values, state = np.empty(n), 1
    for index in range(n):
        state = (state * 1664525 + 1013904223) % 2**32
        values[index] = state / 2**32 - 0.5
    return values


NOISE = noise(len(clip))
DEGRADATIONS = {
    "noise": lambda x: x + 0.05 * NOISE[: len(x)],
    "loud noise": lambda x: x + 0.5 * NOISE[: len(x)],
    "clipped": lambda x: np.clip(x, -0.05, 0.05),
    "smooth": lambda x: 0.5 * (x + np.concatenate([np.zeros(3), x[:-3]])),
    "quiet": lambda x: 0.1 * x + 0.001 * NOISE[: len(x)],
    "fast": lambda x: x[np.arange(len(x) * 20 // 21) * 21 // 20],
}


def hop(rate):
    return (rate + 62) // 125


def power(x, rate):
    """[frames, bins]; window energy 1."""
    size = 4 * hop(rate)
    window = scipy.signal.get_window("hann", size)
    frames = np.lib.stride_tricks.sliding_window_view(x, size)[:: hop(rate)]
    return np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / np.sum(window**2)


def lsd(x, y, rate):
    ratio = 10 * np.log10(np.maximum(power(x, rate), FLOOR) / np.maximum(power(y, rate), FLOOR))
    return np.mean(np.sqrt(np.mean(ratio**2, axis=1)))


def cepstra(x, rate):
    filters = librosa.filters.mel(sr=rate, n_fft=4 * hop(rate), n_mels=40).astype(np.float64)
    filters /= filters.sum(axis=1, keepdims=True)
    mel = np.maximum(power(x, rate) @ filters.T, FLOOR)
    return scipy.fft.dct(np.log(mel), type=2, axis=1)[:, 1:14] / (2 * 40)


def way(x, y, rate):
    """Pairs of frames, and their distances."""
    left, right = cepstra(x, rate), cepstra(y, rate)
    costs = np.sqrt(((left[:, None, :] - right[None, :, :]) ** 2).sum(-1))
    path = librosa.sequence.dtw(C=costs)[1][::-1]
    return path, costs


def voiced_log_pitch(x, rate):
    size = 8 * hop(rate)
    f0 = librosa.yin(x, fmin=60, fmax=500, sr=rate, frame_length=size, hop_length=hop(rate), trough_threshold=0.1)
    frames = librosa.util.frame(np.pad(x, size // 2), frame_length=size, hop_length=hop(rate))
    shortest, longest = int(rate / 500), int(np.ceil(rate / 60))
    differences = pitch._cumulative_mean_normalized_difference(frames, shortest, longest)
    place = np.clip(np.round(rate / f0).astype(int) - shortest, 0, longest - shortest)
    aperiodicity = differences[place, np.arange(len(f0))]
    n_frames = 1 + (len(x) - 4 * hop(rate)) // hop(rate)
    windows = np.lib.stride_tricks.sliding_window_view(x, 4 * hop(rate))[:: hop(rate)]
    energy = (windows**2).sum(axis=1)
    is_voiced = (aperiodicity[2 : 2 + n_frames] < 0.3) & (energy > 1e-4 * energy.max())
    return np.where(is_voiced, np.log(f0[2 : 2 + n_frames]), np.nan)


def log_f0_rmse(x, y, rate, pairs):
    left, right = voiced_log_pitch(x, rate), voiced_log_pitch(y, rate)
    difference = left[pairs[:, 0]] - right[pairs[:, 1]]
    difference = difference[~np.isnan(difference)]
    return np.sqrt(np.mean(difference**2)) if len(difference) else None


def si_sdr(x, y):
    target = x * (x @ y) / (x @ x)
    return 10 * np.log10((target @ target) / ((target - y) @ (target - y)))


cases = []
for rate in (8000, 10000, 11025, 16000, 22050, 44100, 48000):
    x = clip[: min(len(clip), 6 * rate)]
    for name, degrade in DEGRADATIONS.items():
        y = degrade(x)
        pairs, costs = way(x, y, rate)
        case = {
            "rate": rate,
            "degradation": name,
            "n_samples": len(x),
            "mcd_warped": DB_PER_NEPER * np.mean(costs[pairs[:, 0], pairs[:, 1]]),
            "log_f0_warped": log_f0_rmse(x, y, rate, pairs),
        }
        if len(x) == len(y):
            fixed = np.repeat(np.arange(len(costs))[:, None], 2, axis=1)
            case |= {
                "stoi": stoi(x, y, rate),
                "estoi": stoi(x, y, rate, extended=True),
                "snr": 10 * np.log10((x @ x) / ((y - x) @ (y - x))),
                "si_sdr": si_sdr(x, y),
                "lsd": lsd(x, y, rate),
                "mcd_fixed": DB_PER_NEPER * np.mean(np.diag(costs)),
                "log_f0_fixed": log_f0_rmse(x, y, rate, fixed),
            }
        if rate == 8000:
            case["pesq_nb"] = pesq.pesq(rate, x, y, "nb")
        if rate == 16000:
            case["pesq_wb"] = pesq.pesq(rate, x, y, "wb")
        cases.append(case)
        print(case)

x = clip[16000:64000]
pitches = []
for rate, fmin, fmax, size, step in (
    (16000, 60, 500, 1024, 160),
    (22050, 65, 2093, 2048, 512),
    (8000, 80, 400, 400, 80),
):
    f0 = librosa.yin(x, fmin=fmin, fmax=fmax, sr=rate, frame_length=size, hop_length=step)
    options = {"rate": rate, "fmin": fmin, "fmax": fmax, "frame_length": size, "hop_length": step}
    pitches.append({**options, "f0": f0.round(9).tolist()})

text = json.dumps({"cases": cases, "pitches": pitches}, indent=None, separators=(",", ":"), default=float)
(HERE / "audio_scores.json").write_text(text.replace("},{", "},\n{") + "\n")
