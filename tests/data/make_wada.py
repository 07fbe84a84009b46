"""Prints the table of src/analysis/wada.rs: ln E|z| - E ln|z| of speech and noise at -20 to 100 dB.

Needs numpy and scipy. The definition is Kim and Stern's (Interspeech 2008): the amplitude of speech has a gamma
distribution of shape 0.4, noise a normal one.
"""

import numpy as np
from scipy import special, stats

SHAPE = 0.4

logs = np.linspace(-120.0, 6.0, 8_001)
unit = np.exp(logs)  # amplitude of speech, scale 1
density = stats.gamma.pdf(unit, SHAPE) * unit


# E ln|x + n| of unit normal noise n at amplitudes x: by Poisson's mixture of chi-squares, far above the noise ln x.
amplitudes = np.exp(np.linspace(-14.0, np.log(14.0), 2_001))
j = np.arange(400)
weights = stats.poisson.pmf(j[None, :], amplitudes[:, None] ** 2 / 2)
near = 0.5 * (np.log(2) + weights @ special.digamma(0.5 + j))


def mean_log(x: np.ndarray) -> np.ndarray:
    """The table above between its ends, its limits beyond them."""
    far = np.log(np.maximum(x, 14.0)) - 0.5 / np.maximum(x, 14.0) ** 2
    return np.where(x < 14.0, np.interp(np.log(x), np.log(amplitudes), near), far)


values = []
for snr_db in range(-20, 101):
    scale = np.sqrt(10 ** (snr_db / 10) / (SHAPE * (SHAPE + 1)))
    x = unit * scale
    absolute = np.sqrt(2 / np.pi) * np.exp(-x * x / 2) + x * special.erf(x / np.sqrt(2))
    mass = np.trapezoid(density, logs)
    mean_absolute = np.trapezoid(density * absolute, logs) / mass
    mean_logarithm = np.trapezoid(density * mean_log(x), logs) / mass
    values.append(np.log(mean_absolute) - mean_logarithm)
for start in range(0, len(values), 8):
    print("    " + " ".join(f"{value:.6f}," for value in values[start : start + 8]))
