"""Samples as the core takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Sample rate of the models' input, Hz."""


def mono_samples(audio: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """`audio` as contiguous float32 `[n_samples]`.

    Raises:
        ValueError: More than one dimension, or integers instead of floats in [-1, 1].
    """
    array = np.asarray(audio)
    if array.ndim != 1:
        message = f"samples have shape {list(array.shape)}; expected one dimension [n_samples] of mono audio at 16 kHz"
        raise ValueError(message)
    if not np.issubdtype(array.dtype, np.floating):
        message = f"samples are {array.dtype}; expected floats in [-1, 1] (divide 16-bit integers by 32768)"
        raise ValueError(message)
    return np.ascontiguousarray(array, dtype=np.float32)
