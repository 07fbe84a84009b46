"""Speech quality without a reference, and whose voice it is.

Networks guess what listeners would say; they do not know what was to be said. DNSMOS alone cannot tell synthetic speech
from natural (it gives espeak-ng 3.1 and a human 3.25) and gives shuffled pieces of speech nearly as much: never decide
by it without DistillMOS.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast, overload

import numpy as np

from violet import _core, models
from violet.samples import SAMPLE_RATE, mono_samples
from violet.vad import detector

if TYPE_CHECKING:
    import numpy.typing as npt

    Clip = str | os.PathLike[str] | npt.NDArray[np.floating[Any]]
    Embedding = npt.NDArray[np.float32]

MODELS = ("distillmos", "dnsmos")
"""Names of the models that `mos` has."""

PARTIALS_PER_S = 1.3
"""Pieces of 1.6 s that a voice is heard in, a second. Resemblyzer's default."""


class DnsMosScores(NamedTuple):
    """DNSMOS of a clip, each 1 (bad) to 5 (excellent)."""

    sig: float
    """Of the speech (P.835)."""
    bak: float
    """Of the background; 5 is not noticeable (P.835)."""
    ovr: float
    """Of the whole (P.835)."""
    p808: float
    """Of the whole, by listeners who were asked nothing else (P.808)."""


@dataclass(frozen=True, slots=True)
class MosScores:
    """What listeners would say about a clip; None where a model was not asked."""

    distillmos: float | None
    """DistillMOS, 1 (bad) to 5 (excellent)."""
    dnsmos: DnsMosScores | None


class Partial(NamedTuple):
    """The voice of a piece of 1.6 s."""

    start: float
    """Where it begins in the clip, seconds."""
    end: float
    """Where it ends, seconds; pauses that were taken out count."""
    embedding: Embedding
    """`[256]`, of length 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """The voice of a clip, and of its pieces."""

    embedding: Embedding
    """`[256]`, of length 1."""
    partials: tuple[Partial, ...]
    """Pieces of 1.6 s that overlap, in order."""


@overload
def mos(  # type: ignore[overload-overlap]  # a str is one path, never an iterable of them
    clips: Clip, models: Iterable[str] = MODELS, *, sample_rate: int = SAMPLE_RATE, num_threads: int | None = None
) -> MosScores: ...
@overload
def mos(
    clips: Iterable[Clip],
    models: Iterable[str] = MODELS,
    *,
    sample_rate: int = SAMPLE_RATE,
    num_threads: int | None = None,
) -> list[MosScores]: ...
def mos(
    clips: Clip | Iterable[Clip],
    models: Iterable[str] = MODELS,
    *,
    sample_rate: int = SAMPLE_RATE,
    num_threads: int | None = None,
) -> MosScores | list[MosScores]:
    """Mean opinion scores of speech without a reference.

    DistillMOS (distillmos 0.9.1, v7): the mean over windows of 7.68 s that cover the clip, at most 1 s apart; a shorter
    clip is filled up with silence. DNSMOS (speechmos 0.0.1.1, not personalised, calibrated): the mean over windows of
    9.01 s, one a second; a shorter clip is repeated. Both want some seconds of speech: of less they say little.

    DNSMOS alone cannot tell synthetic speech from natural.

    Args:
        clips: One clip, or several: paths of files, or float samples `[n_samples]` in [-1, 1], mono.
        models: Which of `distillmos` and `dnsmos`.
        sample_rate: Of samples, Hz; files know theirs. The models hear 16 kHz.
        num_threads: Threads that share clips and windows; all when None. The scores do not depend on it.

    Returns:
        The scores of one clip, or a list of them for several.

    Raises:
        ValueError: No audio, samples that are not finite or far above 1, an unknown model, an impossible sample rate.
        violet.VioletError: A model is not there and cannot be fetched (`violet models fetch distillmos dnsmos`).
        OSError: A file cannot be read.
    """
    asked = (models,) if isinstance(models, str) else tuple(models)
    for name in asked:
        if name not in MODELS:
            message = f"no model {name!r}; expected some of {', '.join(MODELS)}"
            raise ValueError(message)
    is_one = isinstance(clips, (str, os.PathLike, np.ndarray))
    several = [cast("Clip", clips)] if is_one else cast("Iterable[Clip]", clips)
    samples = [_samples(clip, sample_rate) for clip in several]
    distill: list[float | None] = [None] * len(samples)
    dns: list[DnsMosScores | None] = [None] * len(samples)
    if "distillmos" in asked:
        distill = list(_distillmos().scores(samples, num_threads))
    if "dnsmos" in asked:
        dns = [DnsMosScores(*scores) for scores in _dnsmos().scores(samples, num_threads)]
    scores = [MosScores(*pair) for pair in zip(distill, dns, strict=True)]
    return scores[0] if is_one else scores


def voice(
    clip: Clip,
    *,
    sample_rate: int = SAMPLE_RATE,
    prepare: bool = True,
    partials_per_s: float = PARTIALS_PER_S,
    num_threads: int | None = None,
) -> Voice:
    """The voice of a clip, and of its pieces of 1.6 s with their times: for who speaks when.

    GE2E vectors of Resemblyzer 0.1.4 (Wan et al., ICASSP 2018). With `prepare` a soft clip is raised to -30 dBFS and
    pauses longer than about 0.2 s are taken out, as Resemblyzer's `preprocess_wav` does; but Silero VAD finds the
    pauses here and WebRTC's there, so that vectors are close to Resemblyzer's own, not equal. Without it the samples
    are heard as they are: `embed_utterance`, to rounding. The vector depends on loudness and pauses: compare only what
    was prepared alike.

    Args:
        clip: Path of a file, or float samples `[n_samples]` in [-1, 1], mono.
        sample_rate: Of samples, Hz; files know theirs.
        prepare: Bring to one level and take long pauses out (needs the model `silero-vad`).
        partials_per_s: Pieces a second, 0.63 to 100.
        num_threads: Threads that share the pieces; all when None. The vectors do not depend on it.

    Raises:
        ValueError: No audio, no voice in it, samples that are not finite or far above 1, an impossible rate.
        violet.VioletError: A model is not there and cannot be fetched (`violet models fetch ge2e silero-vad`).
        OSError: A file cannot be read.
    """
    samples = _samples(clip, sample_rate)
    stretches = [(0, len(samples))]
    if prepare:
        samples, stretches = _core.prepare_voice(samples, detector())
        if not stretches:
            message = "no speech in the clip; prepare=False hears it as it is"
            raise ValueError(message)
    embedding, spans, vectors = _encoder().embed(samples, partials_per_s, num_threads)
    lengths = np.cumsum([0] + [end - start for start, end in stretches])
    partials = []
    for (first, last), vector in zip(spans.tolist(), vectors, strict=True):
        # The last sample, not the one behind it, which may lie in the next stretch.
        end = _place(min(last, len(samples)) - 1, lengths, stretches) + 1
        partials.append(Partial(_place(first, lengths, stretches) / SAMPLE_RATE, end / SAMPLE_RATE, vector))
    return Voice(embedding, tuple(partials))


def speaker_embedding(clip: Clip, *, sample_rate: int = SAMPLE_RATE, prepare: bool = True) -> Embedding:
    """The vector of a clip's voice, `[256]`, of length 1: the `embedding` of `voice`.

    Args:
        clip: As in `voice`.
        sample_rate: As in `voice`.
        prepare: As in `voice`.

    Raises:
        ValueError: As in `voice`.
        violet.VioletError: As in `voice`.
        OSError: As in `voice`.
    """
    return voice(clip, sample_rate=sample_rate, prepare=prepare).embedding


def speaker_similarity(a: Clip, b: Clip, *, sample_rate: int = SAMPLE_RATE, prepare: bool = True) -> float:
    """How alike two voices are: the cosine of their GE2E vectors, 0 to 1.

    Clips of one speaker are usually above 0.8, of two below 0.7; order and meaning of the words do not matter.

    Args:
        a: A clip, as in `voice`.
        b: Another.
        sample_rate: As in `voice`.
        prepare: As in `voice`.

    Raises:
        ValueError: As in `voice`.
        violet.VioletError: As in `voice`.
        OSError: As in `voice`.
    """
    first, second = (speaker_embedding(clip, sample_rate=sample_rate, prepare=prepare) for clip in (a, b))
    return float(np.clip(np.dot(first.astype(np.float64), second.astype(np.float64)), 0.0, 1.0))


def _place(sample: int, lengths: npt.NDArray[np.int64], stretches: list[tuple[int, int]]) -> int:
    """Where a sample of the joined stretches lies in the clip."""
    index = min(int(np.searchsorted(lengths, sample, side="right")) - 1, len(stretches) - 1)
    return stretches[index][0] + sample - int(lengths[index])


def _samples(clip: Clip, sample_rate: int) -> npt.NDArray[np.float32]:
    if isinstance(clip, (str, os.PathLike)):
        return _core.load(Path(clip), SAMPLE_RATE)[0]
    samples = mono_samples(clip)
    if sample_rate == SAMPLE_RATE:
        return samples
    if not 1 <= sample_rate <= 768_000:
        message = f"sample_rate is {sample_rate}; expected 1 to 768000 Hz"
        raise ValueError(message)
    return _core.to_16_khz(samples, sample_rate)


@functools.cache
def _distillmos() -> _core.DistillMos:
    return _core.DistillMos(models.resolve("distillmos"))


@functools.cache
def _dnsmos() -> _core.DnsMos:
    return _core.DnsMos(models.resolve("dnsmos"))


@functools.cache
def _encoder() -> _core.SpeakerEncoder:
    return _core.SpeakerEncoder(models.resolve("ge2e"))
