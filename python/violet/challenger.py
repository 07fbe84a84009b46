"""Direct questions to miners whose answers the validator knows."""

import asyncio
import base64
import binascii
import random
import tempfile
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from violet import _core
from violet.analysis import analyze
from violet.audio import decode
from violet.chain import Neuron
from violet.challenge import Maker, Sound, Speech
from violet.judge import NOTHING, score_measures, score_speech, score_text
from violet.listener import Listener, about_audio
from violet.protocol import ANALYSIS, SYNTHESIS, TRANSCRIPTION, Options, Score, TaskId, sha256_hex
from violet.transport import Answer, AudioRequest, Capabilities, MinerCaller, TextRequest

PASSING_ERROR_RATE = 0.35
"""A transcript, or what is heard in speech, with more errors than this is no honest work: the zero of the curve."""

MAX_AT_ONCE = 16
"""Most requests at once; the proxy lends no miner more."""

IN_TIME = 3.0
"""Share of the time that counts in full from which a late answer earns nothing for its speed."""

TEXT_S = 0.07
"""Length of speech by its text, seconds a character, where nobody knows it yet."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question."""

    kind: str
    score: Score
    passed: bool
    """Whether the answer passes as honest work."""
    latency_s: float
    pace: float
    """Latency as a share of the time that counts in full."""


class Challenger:
    """Asks miners what it knows.

    Args:
        caller: How they are called.
        maker: Makes the questions.
        listener: Judges speech; None for a validator that cannot.
    """

    def __init__(self, caller: MinerCaller, maker: Maker, listener: Listener | None = None) -> None:
        self._caller = caller
        self._maker = maker
        self._listener = listener
        self.kinds: tuple[str, ...] = (TRANSCRIPTION, ANALYSIS, *(() if listener is None else (SYNTHESIS,)))
        """What it can ask and judge."""

    def draw_kind(self, able: Collection[Capabilities], generator: random.Random) -> str | None:
        """The kind of one round: all miners are asked the same kind at one moment, so that their times compare."""
        kinds = [kind for kind in self.kinds if any(kind in miner.kinds for miner in able)]
        return generator.choice(kinds) if kinds else None

    async def ask(self, miner: Neuron, able: Capabilities, kind: str, generator: random.Random) -> Outcome | None:
        """One question of this kind, or of another where the miner does not do it.

        None where there is none to ask, or the miner is busy.
        """
        kinds = [known for known in self.kinds if known in able.kinds]
        if not kinds:
            return None
        kind = kind if kind in kinds else generator.choice(kinds)
        if kind == TRANSCRIPTION:
            return await self._ask_to_transcribe(miner, await asyncio.to_thread(self._maker.speech, generator))
        if kind == ANALYSIS:
            return await self._ask_to_analyze(miner, self._maker.sound(generator))
        options = Options(voice=generator.choice(able.voices) if able.voices else None)
        text = self._maker.text(generator)
        reply = await self._caller.synthesize(miner, TextRequest(_fresh_id(), text, options))
        if reply.busy:
            return None
        return _outcome(kind, await self._score_speech(text, options, reply), reply, TEXT_S * len(text))

    async def prove(
        self, miner: Neuron, able: Capabilities, leases: int | None, generator: random.Random
    ) -> int | None:
        """How many small requests at once a miner answers rightly and in time: its capacity, less what it failed.

        It is sent as many as it has places free, at one moment, each of them another. None where there is nothing to
        prove: it does one thing at a time, has no place free, or neither transcribes nor analyses.

        Args:
            miner: Who is tried.
            able: What it says about itself, a moment ago.
            leases: What it holds of the proxy by the proxy's word, None where that is not known. A place that is not
                taken by these counts as free whatever the miner says, but for one: another validator may have it.
            generator: Draws what is asked.
        """
        free = able.free if leases is None else max(able.free, able.capacity - leases - 1)
        at_once = min(free, able.capacity, MAX_AT_ONCE)
        kind = next((kind for kind in (TRANSCRIPTION, ANALYSIS) if kind in able.kinds), None)
        if kind is None or able.capacity < 2 or at_once < 1:
            return None
        own = [random.Random(generator.getrandbits(128)) for _ in range(at_once)]
        # Made before the first is sent: what takes this validator time must not look like the miner's.
        if kind == TRANSCRIPTION:
            speeches = [await asyncio.to_thread(self._maker.speech, one) for one in own]
            asked = [self._ask_to_transcribe(miner, speech) for speech in speeches]
        else:
            asked = [self._ask_to_analyze(miner, self._maker.sound(one)) for one in own]
        outcomes = await asyncio.gather(*asked)
        in_time = sum(found is not None and found.passed and found.pace < IN_TIME for found in outcomes)
        return min(able.capacity, MAX_AT_ONCE) - (at_once - in_time)

    async def _ask_to_transcribe(self, miner: Neuron, speech: Speech) -> Outcome | None:
        request = AudioRequest(_fresh_id(), None, speech.audio, Options(language=speech.language))
        reply = await self._caller.transcribe(miner, request)
        if reply.busy:
            return None
        scored = await asyncio.to_thread(_score_transcript, speech, reply)
        return _outcome(TRANSCRIPTION, scored, reply, speech.duration_s)

    async def _ask_to_analyze(self, miner: Neuron, sound: Sound) -> Outcome | None:
        reply = await self._caller.analyze(
            miner, AudioRequest(_fresh_id(), None, sound.audio, Options(fields=sound.fields))
        )
        if reply.busy:
            return None
        scored = await asyncio.to_thread(_score_sound, sound, reply)
        duration_s, _ = sound.known["duration_s"]
        return _outcome(ANALYSIS, scored, reply, duration_s)

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
        return score, passes(SYNTHESIS, score)


def _fresh_id() -> TaskId:
    return TaskId(f"challenge_{uuid.uuid4().hex}")


def _outcome(kind: str, scored: tuple[Score, bool], reply: Answer[str], duration_s: float) -> Outcome:
    return Outcome(kind, *scored, reply.latency_s, reply.latency_s / _core.latency_target_s(kind, duration_s))


def passes(kind: str, score: Score) -> bool:
    """Whether an answer to a challenge passes as honest work."""
    if kind == ANALYSIS:
        return score.score > 0
    is_close = score.error_rate is not None and score.error_rate <= PASSING_ERROR_RATE
    return is_close and (kind == TRANSCRIPTION or score.score > 0)


def _score_transcript(speech: Speech, reply: Answer[str]) -> tuple[Score, bool]:
    score = score_known_transcript(speech, reply.value or "", reply.latency_s)
    return score, passes(TRANSCRIPTION, score)


def score_known_transcript(speech: Speech, result: str, latency_s: float) -> Score:
    """Score of a transcript of words that are known."""
    try:
        transcript = _core.Transcript.from_json(result)
    except ValueError:
        return NOTHING
    # The length is the challenge's own: the miner's word for it would stretch its time.
    return score_text(speech.text, transcript.text, speech.language, speech.duration_s, latency_s)


def _score_sound(sound: Sound, reply: Answer[str]) -> tuple[Score, bool]:
    score = score_known_sound(sound, reply.value or "", reply.latency_s)
    return score, passes(ANALYSIS, score)


def score_known_sound(sound: Sound, result: str, latency_s: float) -> Score:
    """Score of measures of a sound that was made by formula."""
    samples, sample_rate = decode(sound.audio)
    own = analyze(samples, sound.fields, sample_rate=sample_rate)
    # What is known by formula is not asked of this validator's own instruments.
    measured = {name: own[name] for name in sound.fields if name != "pitch"}
    duration_s, _ = sound.known["duration_s"]
    return score_measures(result, measured, sound.known, duration_s, latency_s)
