"""Direct questions to miners whose answers the validator knows."""

import asyncio
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from violet import _core
from violet.analysis import analyze
from violet.audio import decode
from violet.chain import Neuron
from violet.challenge import Clip, Sound, draw, draw_sound
from violet.judge import NOTHING, score_measures, score_text
from violet.protocol import ANALYSIS, TRANSCRIPTION, Options, Score, TaskId
from violet.transport import Answer, AudioRequest, ValidatorDendrite

PASSING_ERROR_RATE = 0.35
"""A transcript with more errors than this earns nothing: the zero of the quality curve."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question."""

    kind: str
    score: Score
    passed: bool
    """Whether the answer passes as honest work."""
    latency_s: float


class Challenger:
    """Asks miners what it knows.

    Args:
        dendrite: How they are called.
        clips: Speech with its words.
        generator: Private: nobody can know the questions beforehand.
    """

    kinds: tuple[str, ...] = (TRANSCRIPTION, ANALYSIS)
    """What it can ask."""

    def __init__(self, dendrite: ValidatorDendrite, clips: Sequence[Clip], generator: random.Random) -> None:
        self._dendrite = dendrite
        self._clips = clips
        self._random = generator

    async def ask(self, miner: Neuron, kinds: Sequence[str]) -> Outcome | None:
        """One question of a kind that the miner does; None where there is none, or it is busy."""
        able = [kind for kind in self.kinds if kind in kinds]
        if not able:
            return None
        kind = self._random.choice(able)
        task_id = TaskId(f"challenge_{uuid.uuid4().hex}")
        if kind == TRANSCRIPTION:
            clip = draw(self._clips, self._random)
            audio = await asyncio.to_thread(clip.path.read_bytes)
            reply = await self._dendrite.transcribe(miner, AudioRequest(task_id, None, audio))
            scored = None if reply.busy else await asyncio.to_thread(_score_clip, clip, reply)
        else:
            sound = draw_sound(self._random)
            request = AudioRequest(task_id, None, sound.audio, Options(fields=sound.fields))
            reply = await self._dendrite.analyze(miner, request)
            scored = None if reply.busy else await asyncio.to_thread(_score_sound, sound, reply)
        return None if scored is None else Outcome(kind, *scored, reply.latency_s)


def _score_clip(clip: Clip, reply: Answer[str]) -> tuple[Score, bool]:
    """Score of a transcript of words that are known."""
    try:
        transcript = _core.Transcript.from_json(reply.value or "")
    except ValueError:
        return NOTHING, False
    score = score_text(clip.text, transcript.text, "en", transcript.duration_s, reply.latency_s)
    return score, score.error_rate is not None and score.error_rate <= PASSING_ERROR_RATE


def _score_sound(sound: Sound, reply: Answer[str]) -> tuple[Score, bool]:
    """Score of measures of a sound that was made by formula."""
    samples, sample_rate = decode(sound.audio)
    own = analyze(samples, sound.fields, sample_rate=sample_rate)
    # What is known by formula is not asked of this validator's own instruments.
    measured = {name: own[name] for name in sound.fields if name != "pitch"}
    duration_s, _ = sound.known["duration_s"]
    score = score_measures(reply.value or "", measured, sound.known, duration_s, reply.latency_s)
    return score, score.score > 0
