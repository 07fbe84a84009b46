"""What a validator hears in speech that a miner made: words, naturalness, whose voice it is."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from violet import _core, audio, models, quality, reward
from violet.analysis import analyze
from violet.engine import Engine
from violet.protocol import Options
from violet.samples import SAMPLE_RATE
from violet.speaking import Voices

if TYPE_CHECKING:
    import numpy.typing as npt

MODELS = ("distillmos", "dnsmos")
"""What naturalness is heard with; without them no speech is judged."""

VOICE_MODELS = ("ge2e", "silero-vad")
"""What voices are told apart with; without them that part does not count."""

VOICE_TEXT = "The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background."
"""What a voice says so that others can be compared with it (Harvard sentences, list 1)."""

COMPARED_S = 4.0
COMPARED_HZ = 4_000
"""How much of two recordings is compared, and at which rate."""

WINDOW_S = 7.68
"""What DistillMOS hears at once. It takes the silence behind shorter speech for a fault of the speech."""

PAUSE_S = 0.3
"""Between repetitions of short speech."""

SAME_FROM = 0.9
"""Likeness from which two recordings are one; the proxy's."""


def can_listen() -> bool:
    """Whether the models are on this machine."""
    return all(map(_is_here, MODELS))


class Listener:
    """Measures speech with the validator's own models.

    Args:
        engine: Hears the words.
        voices: The voices that the validator has itself, to know them again.
    """

    def __init__(self, engine: Engine, voices: Voices) -> None:
        self._engine = engine
        self._voices = voices
        self._embeddings: dict[str, npt.NDArray[np.float32]] = {}

    async def listen(self, path: Path, text: str, options: Options) -> reward.Speech:
        """What was measured of the file at `path`, in which `text` should be said.

        Raises:
            ValueError: It does not decode.
            OSError: It cannot be read.
        """
        heard = await self._engine.transcribe(path, Options(language=options.language or "en"))
        return await asyncio.to_thread(self._measure, path, text, heard.text, options)

    def _measure(self, path: Path, text: str, heard: str, options: Options) -> reward.Speech:
        samples, sample_rate = audio.load(path)
        level = analyze(samples, ["level"], sample_rate=sample_rate).level
        at_16_khz, _ = audio.load(path, SAMPLE_RATE)
        filled = repeated(np.clip(at_16_khz, -1.0, 1.0))
        scores = quality.mos(filled)
        normalizer = "whisper-en" if (options.language or "en") == "en" else "whisper-basic"
        return reward.Speech(
            sample_rate=sample_rate,
            # As long as it would be at the voice's own speed.
            duration_s=len(samples) / sample_rate * options.speed,
            level_dbfs=-math.inf if level["rms_dbfs"] is None else level["rms_dbfs"],
            wer=_core.wer(text, heard, normalizer),
            cer=_core.cer(text, heard, normalizer),
            distill_mos=scores.distillmos,
            dnsmos=None if scores.dnsmos is None else scores.dnsmos.ovr,
            speaker_cosine=None if options.voice is None else self._cosine(filled, options.voice),
            clipped_share=level["clipped_samples"] / max(len(samples), 1),
        )

    def _cosine(self, samples: "npt.NDArray[np.float32]", voice: str) -> float | None:
        """How alike this voice is to the one that was asked for; None where that is not known here."""
        if voice not in self._voices.names or not all(map(_is_here, VOICE_MODELS)):
            return None
        if voice not in self._embeddings:
            spoken = self._voices.speak(VOICE_TEXT, voice)
            self._embeddings[voice] = quality.speaker_embedding(spoken.samples, sample_rate=spoken.sample_rate)
        try:
            own = quality.speaker_embedding(samples)
        except ValueError:  # nobody speaks
            return 0.0
        return float(np.clip(np.dot(own, self._embeddings[voice]), -1.0, 1.0))


def repeated(samples: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
    """Speech at 16 kHz; where it is shorter than 7.68 s, said again with pauses until then.

    Of one word nothing can be told otherwise:
    "No." of a good voice has 2.7 DistillMOS alone and 4.2 repeated; longer sentences change by less than 0.1.
    """
    n_window = int(WINDOW_S * SAMPLE_RATE)
    if len(samples) >= n_window:
        return samples
    once = np.concatenate([samples, np.zeros(int(PAUSE_S * SAMPLE_RATE), samples.dtype)])
    # Not longer: each further window would cost as much as this one.
    return np.tile(once, math.ceil(n_window / len(once)))[:n_window]


def duplicates(paths: Sequence[Path]) -> list[bool]:
    """Which of these recordings are one that comes before."""
    starts = [audio.load(path, COMPARED_HZ)[0][: int(COMPARED_S * COMPARED_HZ)] for path in paths]
    return [
        any(_core.likeness(starts[index], other) >= SAME_FROM for other in starts[:index])
        for index in range(len(starts))
    ]


def about_audio(result: str) -> Mapping[str, Any] | None:
    """What a synthesis's result says about its audio; None where it is no such result."""
    try:
        about = json.loads(result)["audio"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return None
    return about if isinstance(about, dict) else None


def _is_here(model: str) -> bool:
    try:
        models.resolve(model, offline=True)
    except (_core.VioletError, OSError):
        return False
    return True
