"""Scores of audio against a reference: intelligibility, distortion, spectral and cepstral distance, pitch.

>>> import numpy as np
>>> import violet
>>> reference = np.sin(np.arange(16000) * 0.1)
>>> round(violet.snr(reference, 0.9 * reference, 16000), 6)
20.0

Every score takes one clip and its reference, or lists of them; lists are scored by `num_threads` threads (all, if
None), and the bits are the same for any number. Clips are mono arrays of floats, float32 or float64, that are 1 at
full scale: what `violet.load` returns. One pair gives a float, or None where there is no score, as for a silent
reference; lists give an array of float64 with NaN there.

What all of them raise:

- TypeError: For clips that are not arrays of floats, such as 16-bit integers (divide these by 32768).
- ValueError: For clips that are not mono, empty, or not finite; for lists of different lengths; for a sample rate
  that the score does not take, which the message names; for clips too short or of different lengths, with both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np
import numpy.typing as npt

from violet import _core

__all__ = [
    "log_f0_rmse",
    "log_spectral_distance",
    "mel_cepstral_distortion",
    "pesq",
    "si_sdr",
    "snr",
    "stoi",
]

type Clip = npt.NDArray[np.floating[Any]]
type Floats = npt.NDArray[np.float64]
type Clips = tuple[list[Clip], list[Clip], int]


@overload
def stoi(
    reference: Clip, degraded: Clip, sample_rate: int, extended: bool = False, *, num_threads: int | None = None
) -> float | None: ...
@overload
def stoi(
    reference: Sequence[Clip],
    degraded: Sequence[Clip],
    sample_rate: int,
    extended: bool = False,
    *,
    num_threads: int | None = None,
) -> Floats: ...
def stoi(
    reference: Clip | Sequence[Clip],
    degraded: Clip | Sequence[Clip],
    sample_rate: int,
    extended: bool = False,
    *,
    num_threads: int | None = None,
) -> float | Floats | None:
    """Short-time objective intelligibility: about 0 (unintelligible) to 1 (as the reference).

    The mean, over segments of 384 ms and 15 third-octave bands from 150 Hz, of the correlation of the bands'
    envelopes at 10 kHz. Frames more than 40 dB below the reference's loudest are left out first. ESTOI correlates
    whole normalized segments instead of bands, and so hears modulated noise. Equal to pystoi 0.4.1, whose resampler
    is part of it.

    None where fewer than 30 frames of the reference are not silent (pystoi: 1e-5). A silent degraded clip scores 0.

    Source: Taal et al., ICASSP 2010 and IEEE TASLP 19 (2011); extended: Jensen and Taal, IEEE/ACM TASLP 24 (2016).

    Args:
        reference: Clean speech, 0.41 s or more.
        degraded: The same speech after processing, in time with it and as long.
        sample_rate: Of both, Hz: 8000 to 96000.
        extended: ESTOI instead of STOI.
        num_threads: For lists: 1 to 256, all if None.

    Raises:
        TypeError: For clips that are not arrays of floats.
        ValueError: For clips of different lengths or shorter than 0.41 s, other sample rates, and what no score takes
            (see the module).
    """
    return _scored(lambda clips: _core.stoi(clips, extended, num_threads), reference, degraded, sample_rate)


@overload
def si_sdr(reference: Clip, degraded: Clip, sample_rate: int, *, num_threads: int | None = None) -> float | None: ...
@overload
def si_sdr(
    reference: Sequence[Clip], degraded: Sequence[Clip], sample_rate: int, *, num_threads: int | None = None
) -> Floats: ...
def si_sdr(
    reference: Clip | Sequence[Clip],
    degraded: Clip | Sequence[Clip],
    sample_rate: int,
    *,
    num_threads: int | None = None,
) -> float | Floats | None:
    """Scale-invariant signal-to-distortion ratio, dB.

    `10 log10(|a s|^2 / |a s - d|^2)` with `a = <d, s> / |s|^2`, reference `s` and degraded clip `d`; means are not
    removed. Any real number, the same at any volume of `d`; inf for a copy (about 300 where rounding remains), -inf
    where nothing of the reference is left, None if either clip is silent.

    Source: Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019.

    Args:
        reference: Clean audio.
        degraded: The same audio after processing, in time with it and as long.
        sample_rate: Of both, Hz; the score is the same for any.
        num_threads: For lists: 1 to 256, all if None.

    Raises:
        TypeError: For clips that are not arrays of floats.
        ValueError: For clips of different lengths, and for what no score takes (see the module).
    """
    return _scored(lambda clips: _core.si_sdr(clips, num_threads), reference, degraded, sample_rate)


@overload
def snr(reference: Clip, degraded: Clip, sample_rate: int, *, num_threads: int | None = None) -> float | None: ...
@overload
def snr(
    reference: Sequence[Clip], degraded: Sequence[Clip], sample_rate: int, *, num_threads: int | None = None
) -> Floats: ...
def snr(
    reference: Clip | Sequence[Clip],
    degraded: Clip | Sequence[Clip],
    sample_rate: int,
    *,
    num_threads: int | None = None,
) -> float | Floats | None:
    """Signal-to-noise ratio over the whole clip, dB: `10 log10(sum s^2 / sum (d - s)^2)`.

    Any real number; inf for equal clips, 0 for a silent degraded clip, None for a silent reference. A change of
    volume counts as noise: see `si_sdr`. The textbook definition.

    Args:
        reference: Clean audio.
        degraded: The same audio after processing, in time with it and as long.
        sample_rate: Of both, Hz; the score is the same for any.
        num_threads: For lists: 1 to 256, all if None.

    Raises:
        TypeError: For clips that are not arrays of floats.
        ValueError: For clips of different lengths, and for what no score takes (see the module).
    """
    return _scored(lambda clips: _core.snr(clips, num_threads), reference, degraded, sample_rate)


@overload
def log_spectral_distance(
    reference: Clip, degraded: Clip, sample_rate: int, *, num_threads: int | None = None
) -> float | None: ...
@overload
def log_spectral_distance(
    reference: Sequence[Clip], degraded: Sequence[Clip], sample_rate: int, *, num_threads: int | None = None
) -> Floats: ...
def log_spectral_distance(
    reference: Clip | Sequence[Clip],
    degraded: Clip | Sequence[Clip],
    sample_rate: int,
    *,
    num_threads: int | None = None,
) -> float | Floats | None:
    """Log-spectral distance, dB: mean over frames of `sqrt(mean over bins of (10 log10(P / Q))^2)`.

    `P` and `Q` are power spectra of periodic Hann windows of 32 ms, 8 ms apart, normalized so that white noise of
    variance 1 has power 1, and at least 1e-10. 0 for equal clips, else above; a change of volume by 6 dB is a
    distance of 6. None for a silent reference.

    Source: Gray and Markel, "Distance measures for speech processing", IEEE Trans. ASSP 24 (1976), the L2 norm.

    Args:
        reference: Clean audio, 32 ms or more.
        degraded: The same audio after processing, in time with it and as long.
        sample_rate: Of both, Hz: 8000 to 96000. Distances at different rates are not comparable.
        num_threads: For lists: 1 to 256, all if None.

    Raises:
        TypeError: For clips that are not arrays of floats.
        ValueError: For clips of different lengths or shorter than 32 ms, other sample rates, and what no score takes
            (see the module).
    """
    return _scored(lambda clips: _core.log_spectral_distance(clips, num_threads), reference, degraded, sample_rate)


@overload
def mel_cepstral_distortion(
    reference: Clip,
    degraded: Clip,
    sample_rate: int,
    *,
    align: bool = True,
    parametrisation: Literal["mel40-cep13"] = "mel40-cep13",
    num_threads: int | None = None,
) -> float | None: ...
@overload
def mel_cepstral_distortion(
    reference: Sequence[Clip],
    degraded: Sequence[Clip],
    sample_rate: int,
    *,
    align: bool = True,
    parametrisation: Literal["mel40-cep13"] = "mel40-cep13",
    num_threads: int | None = None,
) -> Floats: ...
def mel_cepstral_distortion(
    reference: Clip | Sequence[Clip],
    degraded: Clip | Sequence[Clip],
    sample_rate: int,
    *,
    align: bool = True,
    parametrisation: Literal["mel40-cep13"] = "mel40-cep13",
    num_threads: int | None = None,
) -> float | Floats | None:
    """Mel-cepstral distortion, dB: mean over frames of `10 / ln 10 * sqrt(2 * sum((c - e)^2))`.

    Values of different tools differ by their cepstrum, so it has a name: `mel40-cep13` is coefficients 1 to 13 (not
    0, the volume) of `c_d = 1/40 sum_n ln P_n cos(pi d (n + 1/2) / 40)`, with `P_n` the mean power of 40 triangular
    bands on Slaney's mel scale up to half the sample rate, in the frames of `log_spectral_distance`, at least 1e-10.
    0 for equal clips, else above; None for a silent reference.

    Source: Kubichek, IEEE PACRIM 1993; the cepstrum after Davis and Mermelstein, IEEE Trans. ASSP 28 (1980).

    Args:
        reference: Natural speech, 32 ms to 4 minutes.
        degraded: Speech to compare.
        sample_rate: Of both, Hz: 8000 to 96000. Distortions at different rates are not comparable.
        align: By dynamic time warping on the same distance, so clips may differ in length; otherwise frame by frame.
        parametrisation: The cepstrum.
        num_threads: For lists: 1 to 256, all if None.

    Raises:
        TypeError: For clips that are not arrays of floats.
        ValueError: For clips shorter than 32 ms, different lengths without `align`, other sample rates and names, and
            what no score takes (see the module).
        LimitError: For more than 4 minutes with `align`.
    """
    return _scored(
        lambda clips: _core.mel_cepstral_distortion(clips, align, parametrisation, num_threads),
        reference,
        degraded,
        sample_rate,
    )


@overload
def log_f0_rmse(
    reference: Clip, degraded: Clip, sample_rate: int, *, align: bool = True, num_threads: int | None = None
) -> float | None: ...
@overload
def log_f0_rmse(
    reference: Sequence[Clip],
    degraded: Sequence[Clip],
    sample_rate: int,
    *,
    align: bool = True,
    num_threads: int | None = None,
) -> Floats: ...
def log_f0_rmse(
    reference: Clip | Sequence[Clip],
    degraded: Clip | Sequence[Clip],
    sample_rate: int,
    *,
    align: bool = True,
    num_threads: int | None = None,
) -> float | Floats | None:
    """Root mean square error of the pitch's natural logarithm, over frames that are voiced in both clips.

    `sqrt(mean((ln f - ln g)^2))`: 0 for equal pitch, 0.0578 for a semitone, 0.693 for an octave. Pitch is YIN's from
    60 to 500 Hz in frames of 64 ms, 8 ms apart; voiced frames have an aperiodicity below 0.3 and a power within 40 dB
    of the clip's greatest. None for a silent reference and where no frames are voiced in both.

    Source: de Cheveigné and Kawahara, "YIN", JASA 111 (2002), as librosa 1.0's `yin`.

    Args:
        reference: Natural speech, 32 ms to 4 minutes.
        degraded: Speech to compare.
        sample_rate: Of both, Hz: 8000 to 96000.
        align: Along the warping of `mel_cepstral_distortion`, so clips may differ in length; otherwise frame by frame.
        num_threads: For lists: 1 to 256, all if None.

    Raises:
        TypeError: For clips that are not arrays of floats.
        ValueError: For clips shorter than 32 ms, different lengths without `align`, other sample rates, and what no
            score takes (see the module).
        LimitError: For more than 4 minutes with `align`.
    """
    return _scored(lambda clips: _core.log_f0_rmse(clips, align, num_threads), reference, degraded, sample_rate)


@overload
def pesq(
    reference: Clip,
    degraded: Clip,
    sample_rate: int,
    mode: Literal["wb", "nb"] = "wb",
    *,
    num_threads: int | None = None,
) -> float | None: ...
@overload
def pesq(
    reference: Sequence[Clip],
    degraded: Sequence[Clip],
    sample_rate: int,
    mode: Literal["wb", "nb"] = "wb",
    *,
    num_threads: int | None = None,
) -> Floats: ...
def pesq(
    reference: Clip | Sequence[Clip],
    degraded: Clip | Sequence[Clip],
    sample_rate: int,
    mode: Literal["wb", "nb"] = "wb",
    *,
    num_threads: int | None = None,
) -> float | Floats | None:
    """Perceptual evaluation of speech quality: MOS-LQO, 1.0 (bad) to 4.64 (wideband) or 4.55 (narrowband).

    Volume and delay are aligned first, so the clips may differ in both and in length. None for a silent clip and
    where no utterance is found. Samples are scaled to the greater peak of both and rounded to 16 bits.

    Source: ITU-T P.862.2 (wb), P.862 with P.862.1 (nb), by the Rust crate `pesq`. Of the C code's scores, wideband was
    within 0.003 and narrowband within 0.02 where we compared them (0.05 for a clip of another tempo).

    Args:
        reference: Clean speech, 250 ms or more.
        degraded: The same speech after processing.
        sample_rate: Of both, Hz: 16000 for wb, 8000 for nb.
        mode: Wideband or narrowband.
        num_threads: For lists: 1 to 256, all if None.

    Raises:
        TypeError: For clips that are not arrays of floats.
        ValueError: For clips shorter than 250 ms, other sample rates and modes, and what no score takes (see the
            module).
    """
    return _scored(lambda clips: _core.pesq(clips, mode, num_threads), reference, degraded, sample_rate)


def _scored(
    score: Callable[[Clips], list[float | None]],
    reference: Clip | Sequence[Clip],
    degraded: Clip | Sequence[Clip],
    sample_rate: int,
) -> float | Floats | None:
    if isinstance(reference, np.ndarray) and isinstance(degraded, np.ndarray):
        return score(([_clip(reference, "reference")], [_clip(degraded, "degraded")], sample_rate))[0]
    references, clips = _clips(reference, "reference"), _clips(degraded, "degraded")
    if len(references) != len(clips):
        raise ValueError(f"got {len(references)} references and {len(clips)} degraded clips; expected as many of both")
    scores = score((references, clips, sample_rate))
    return np.array([np.nan if value is None else value for value in scores], dtype=np.float64)


def _clips(clips: Clip | Sequence[Clip], name: str) -> list[Clip]:
    if isinstance(clips, np.ndarray):
        raise TypeError(f"{name} is one array and the other side a list; expected arrays or lists on both sides")
    return [_clip(clip, f"{name}[{index}]") for index, clip in enumerate(clips)]


def _clip(clip: Clip, name: str) -> Clip:
    if not isinstance(clip, np.ndarray):
        raise TypeError(f"{name} is of type {type(clip).__name__}; expected a numpy array of floats")
    if not np.issubdtype(clip.dtype, np.floating):
        raise TypeError(f"{name} is of {clip.dtype}; expected floats in [-1, 1]: divide 16-bit samples by 32768")
    if clip.ndim != 1:
        raise ValueError(f"{name} has shape {clip.shape}; expected mono samples, one dimension")
    dtype = np.float32 if clip.dtype.itemsize <= np.dtype(np.float32).itemsize else np.float64
    return np.ascontiguousarray(clip, dtype=dtype)
