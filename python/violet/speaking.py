"""A neuron's voices: texts spoken as miners hand them in."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from violet import _core, audio, models
from violet.models.voices import VOICES
from violet.protocol import INLINE_LIMIT_BYTES
from violet.synthesizer import SpokenWord, Synthesizer

if TYPE_CHECKING:
    import numpy.typing as npt

OPUS_BIT_RATES = (64_000, 32_000, 16_000)
"""Bits a second of speech that travels inside a message, the first that fits."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """A text that was spoken."""

    samples: "npt.NDArray[np.float32]"
    """`[n_samples]`, mono."""
    sample_rate: int
    voice: str
    words: tuple[SpokenWord, ...]
    skipped: tuple[str, ...]
    """Characters that could not be said."""

    def flac(self) -> bytes:
        """The audio as a file."""
        return audio.encode(self.samples, self.sample_rate, format="flac")

    def opus(self) -> bytes:
        """The audio as a file that may travel inside a message.

        Raises:
            ValueError: It is too long for that.
        """
        for bit_rate in OPUS_BIT_RATES:
            file = audio.encode(self.samples, self.sample_rate, format="opus", bit_rate=bit_rate)
            if len(file) <= INLINE_LIMIT_BYTES:
                return file
        message = f"{len(self.samples) / self.sample_rate:.0f} s of speech do not fit into {INLINE_LIMIT_BYTES} bytes"
        raise ValueError(message)

    def result(self, about_audio: dict[str, Any]) -> dict[str, Any]:
        """The result of a synthesis, with what is said about its audio."""
        return {
            "audio": about_audio,
            "duration_s": len(self.samples) / self.sample_rate,
            "sample_rate": self.sample_rate,
            "voice": self.voice,
            "words": [word._asdict() for word in self.words],
            "skipped": list(self.skipped),
        }


class Voices:
    """Voices by name, each loaded when it is first asked for.

    Args:
        names: Which; the first is spoken with where no name is given.
        num_threads: Threads that share one text; all when None.
    """

    def __init__(self, names: Sequence[str], num_threads: int | None = None) -> None:
        self.names = tuple(names)
        self._num_threads = num_threads
        self._loaded: dict[str, Synthesizer] = {}
        self._lock = threading.Lock()

    def load(self, name: str) -> Synthesizer:
        """The voice of this name.

        Raises:
            ValueError: It is not among the names.
        """
        if name not in self.names:
            message = f"no voice {name!r} here; expected one of {', '.join(self.names) or 'none'}"
            raise ValueError(message)
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = Synthesizer(name, num_threads=self._num_threads)
            return self._loaded[name]

    def speak(
        self,
        text: str,
        voice: str | None = None,
        *,
        speed: float = 1.0,
        seed: int = 0,
        progress: Callable[[float, str], None] | None = None,
    ) -> Spoken:
        """Speaks a text; `progress(fraction, "")` is called after every sentence, and its exception ends the work.

        Raises:
            ValueError: A voice that is not here, or a text that cannot be spoken.
        """
        if voice is None and not self.names:
            message = "no voice is here; get one with: violet models fetch joe"
            raise ValueError(message)
        name = voice or self.names[0]
        chunks, n_said = [], 0
        for chunk in self.load(name).stream(text, speed=speed, seed=seed):
            chunks.append(chunk)
            n_said += len(chunk.text)
            if progress is not None:
                progress(min(n_said / len(text), 1.0), "")
        return Spoken(
            np.concatenate([chunk.samples for chunk in chunks]),
            chunks[0].sample_rate,
            name,
            tuple(word for chunk in chunks for word in chunk.words),
            tuple(dict.fromkeys(symbol for chunk in chunks for symbol in chunk.skipped)),
        )


def voices_here() -> tuple[str, ...]:
    """Names of the voices whose files are on this machine; nothing is fetched."""
    here = []
    for name in VOICES:
        try:
            models.resolve(name, offline=True)
        except (_core.VioletError, OSError):
            continue
        here.append(name)
    return tuple(here)


def own_seed(hotkey: str, task_id: str) -> int:
    """The seed with which one miner speaks one task: no two miners make the same audio of it."""
    return int.from_bytes(hashlib.sha256(f"{hotkey}\n{task_id}".encode()).digest()[:4])
