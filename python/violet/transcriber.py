"""A Whisper model by name, ready to transcribe files and samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from violet import _core, cuda, models

if TYPE_CHECKING:
    import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Sample rate of Whisper's input, Hz."""

DEFAULT_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Decoding temperatures tried in order while the result looks wrong (openai/whisper's default)."""


class Transcriber:
    """A Whisper model in memory. Thread-safe: one may serve several threads.

    Args:
        model: A name (`violet models list`), a directory, or a Hugging Face id (`org/name` or `org/name@revision`).
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `metal`; `auto` takes the CPU when no GPU answers.
        num_threads: Threads that the CPU may use; all cores by default.

    Raises:
        ValueError: An impossible device or number of threads.
        violet.VioletError: The model is unknown, cannot be fetched, or its files are damaged.
    """

    def __init__(
        self, model: str | os.PathLike[str] = "tiny.en", device: str = "auto", *, num_threads: int | None = None
    ) -> None:
        self.path: Path = models.resolve(os.fspath(model))
        cuda.prepare(device)
        self._model = _core.Transcriber(self.path, device, num_threads)

    @property
    def is_multilingual(self) -> bool:
        """True if the model knows more languages than English."""
        return self._model.is_multilingual

    @property
    def languages(self) -> list[str]:
        """Codes of the languages that the model knows."""
        return self._model.languages

    def transcribe(
        self,
        audio: str | os.PathLike[str] | npt.NDArray[np.floating],
        *,
        language: str | None = None,
        beam_size: int = 1,
        temperature: float | Sequence[float] = DEFAULT_TEMPERATURES,
        prompt: str | None = None,
        word_timestamps: bool = False,
        progress: Callable[[float, str], None] | None = None,
    ) -> _core.Transcript:
        """Text of an audio file or of mono samples at 16 kHz, with segments and times.

        Args:
            audio: Path of a file in any format that `violet.load` reads, or float samples `[n_samples]` at 16 kHz.
            language: Code such as `en`; detected from the first 30 s if absent.
            beam_size: Hypotheses kept while decoding at temperature 0; 1 is greedy.
            temperature: One temperature, or several to try in order while the result looks wrong.
            prompt: Text that is taken as said before the audio begins.
            word_timestamps: Whether to find when each word was said; the segments have `words` then.
            progress: Called as `progress(fraction, text_so_far)`; an exception from it stops the work.

        Raises:
            ValueError: Not audio, an unknown language, samples of the wrong shape.
            violet.LimitError: Audio over the limits of `violet.load`.
            OSError: The file cannot be read.
        """
        if isinstance(audio, (str, os.PathLike)):
            samples, _ = _core.load(Path(audio), SAMPLE_RATE)
        else:
            samples = mono_samples(audio)
        temperatures = (
            [float(temperature)] if isinstance(temperature, (int, float)) else [float(t) for t in temperature]
        )
        return self._model.transcribe(samples, language, beam_size, temperatures, prompt, progress, word_timestamps)


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
