"""Direct questions to miners whose answers the validator knows."""

import asyncio
import base64
import binascii
import random
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from violet import _core
from violet.analysis import analyze
from violet.audio import decode
from violet.chain import Neuron
from violet.challenge import Clip, Sound, draw, draw_sound, draw_text
from violet.judge import NOTHING, score_measures, score_speech, score_text
from violet.listener import Listener, about_audio
from violet.protocol import ANALYSIS, SYNTHESIS, TRANSCRIPTION, Options, Score, TaskId, sha256_hex
from violet.transport import Answer, AudioRequest, Capabilities, TextRequest, ValidatorDendrite

PASSING_ERROR_RATE = 0.35
"""A transcript, or what is heard in speech, with more errors than this is no honest work: the zero of the curve."""


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
        listener: Judges speech; None for a validator that cannot.
    """

    def __init__(
        self,
        dendrite: ValidatorDendrite,
        clips: Sequence[Clip],
        generator: random.Random,
        listener: Listener | None = None,
    ) -> None:
        self._dendrite = dendrite
        self._clips = clips
        self._random = generator
        self._listener = listener

    async def ask(self, miner: Neuron, able: Capabilities) -> Outcome | None:
        """One question of a kind that the miner does; None where there is none, or it is busy."""
        known = (TRANSCRIPTION, ANALYSIS, *(() if self._listener is None else (SYNTHESIS,)))
        kinds = [kind for kind in known if kind in able.kinds]
        if not kinds:
            return None
        kind = self._random.choice(kinds)
        task_id = TaskId(f"challenge_{uuid.uuid4().hex}")
        if kind == TRANSCRIPTION:
            clip = draw(self._clips, self._random)
            audio = await asyncio.to_thread(clip.path.read_bytes)
            reply = await self._dendrite.transcribe(miner, AudioRequest(task_id, None, audio))
            scored = None if reply.busy else await asyncio.to_thread(_score_clip, clip, reply)
        elif kind == ANALYSIS:
            sound = draw_sound(self._random)
            request = AudioRequest(task_id, None, sound.audio, Options(fields=sound.fields))
            reply = await self._dendrite.analyze(miner, request)
            scored = None if reply.busy else await asyncio.to_thread(_score_sound, sound, reply)
        else:
            options = Options(voice=self._random.choice(able.voices) if able.voices else None)
            text = draw_text(self._random)
            reply = await self._dendrite.synthesize(miner, TextRequest(task_id, text, options))
            scored = None if reply.busy else await self._score_speech(text, options, reply)
        return None if scored is None else Outcome(kind, *scored, reply.latency_s)

    async def _score_speech(self, text: str, options: Options, reply: Answer[str]) -> tuple[Score, bool]:
        """Score of speech in which a text should be heard."""
        about = about_audio(reply.value or "")
        if about is None or self._listener is None:
            return NOTHING, False
        try:
            file = base64.b64decode(str(about.get("base64")), validate=True)
        except (binascii.Error, ValueError):
            return NOTHING, False
        if sha256_hex(file) != about.get("sha256"):
            return NOTHING, False
        with tempfile.TemporaryDirectory(prefix="violet-validator-") as directory:
            path = Path(directory) / "audio"
            await asyncio.to_thread(path.write_bytes, file)
            try:
                speech = await self._listener.listen(path, text, options)
            except ValueError:  # it does not decode, or holds nothing
                return NOTHING, False
        score = score_speech(text, speech, "en", reply.latency_s)
        return score, score.score > 0 and speech.wer is not None and speech.wer <= PASSING_ERROR_RATE


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
