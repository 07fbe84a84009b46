"""Voice activity: when somebody speaks."""

from __future__ import annotations

import functools
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from violet import _core, models
from violet.samples import SAMPLE_RATE, mono_samples

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MODEL = "silero-vad"
"""Name of the detector's model."""


@dataclass(frozen=True, slots=True)
class VadOptions:
    """What counts as speech. The defaults are Silero's."""

    threshold: float = 0.5
    """Speech begins at this probability, 0 to 1."""
    neg_threshold: float | None = None
    """Speech ends below this probability; `threshold - 0.15`, at least 0.01, when None."""
    min_speech_duration_ms: int = 250
    """Shorter speech is dropped, ms."""
    max_speech_duration_s: float = float("inf")
    """Longer speech is cut at its longest pause above 98 ms, else where it gets too long, seconds."""
    min_silence_duration_ms: int = 100
    """Speech ends with a pause of this length, ms."""
    speech_pad_ms: int = 30
    """Added to both ends of speech as far as the pauses go, ms."""


class SpeechSpan(NamedTuple):
    """A stretch of speech, in samples at 16 kHz."""

    start: int
    """First sample."""
    end: int
    """One after the last sample."""


def speech_timestamps(
    audio: str | os.PathLike[str] | npt.NDArray[np.floating], options: VadOptions | None = None
) -> list[SpeechSpan]:
    """Where somebody speaks, as Silero VAD hears it, in order and without overlap.

    Args:
        audio: Path of a file, or float samples `[n_samples]` at 16 kHz.
        options: What counts as speech.

    Raises:
        ValueError: Not audio, samples of the wrong shape, impossible options.
        violet.VioletError: The detector's model is not there and cannot be fetched.
        OSError: The file cannot be read.
    """
    options = VadOptions() if options is None else options
    if isinstance(audio, (str, os.PathLike)):
        samples, _ = _core.load(Path(audio), SAMPLE_RATE)
    else:
        samples = mono_samples(audio)
    return [SpeechSpan(start, end) for start, end in detector().speech(samples, asdict(options))]


@functools.cache
def detector() -> _core.Vad:
    """The detector, fetched first if need be; loaded once.

    Raises:
        violet.VioletError: It is not there and cannot be fetched.
    """
    return _core.Vad(models.resolve(MODEL))
