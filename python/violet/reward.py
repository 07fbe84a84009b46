"""What a response earns, in [0, 1], and why: the same rules and the same bits as validators use.

>>> from violet import reward
>>> found = reward.transcription("ask not what your country", "ask not what your county", duration_s=3, elapsed_s=1)
>>> round(found.value, 3), found.reasons
(0.207, ('1 errors in 5 words, 20.0 %; 2 % cost nothing',))

A reward is `V * Q^2 * (0.8 + 0.2 L)`: V is 1 if every gate is passed, else 0; Q the quality of the kind of task; L the
latency factor. Parts multiply, so that no part can buy another. Each function says its Q. `VERSION` names the rules;
store it with every reward.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from violet import _core

__all__ = [
    "VERSION",
    "Delivery",
    "Relative",
    "Reward",
    "Speech",
    "analysis",
    "availability",
    "credibility",
    "latency",
    "latency_target_s",
    "miner",
    "synthesis",
    "transcription",
    "transcription_without_reference",
]

VERSION: str = _core.REWARD_VERSION
"""Version of the rules, such as `reward/4`."""

type Kind = Literal["transcription", "synthesis", "analysis"]


@dataclass(frozen=True, slots=True)
class Reward:
    """A reward and how it came about.

    Attributes:
        kind: `transcription`, `synthesis`, `analysis` or `miner`.
        value: The reward, 0 to 1.
        parts: What it was made of, each 0 to 1; parts that were not asked for are absent.
        gates: What must hold for there to be a reward at all.
        measures: What the parts were made of, in its own units, such as `error_rate`.
        reasons: Why the value is below 1, one sentence for each failed gate and each part below 1.
        version: The rules that it was made by.
    """

    kind: str
    value: float
    parts: Mapping[str, float]
    gates: Mapping[str, bool]
    measures: Mapping[str, float]
    reasons: tuple[str, ...]
    version: str = VERSION

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can write it (an infinite measure as text)."""
        finite = {name: value if abs(value) != float("inf") else str(value) for name, value in self.measures.items()}
        return {**asdict(self), "measures": finite, "reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a response came; the default is valid and at once.

    Attributes:
        is_valid: Whether it is well-formed and signed by the miner that it is from.
        passed_canary: Whether the miner passed what was hidden in the request to catch copies and fabrications.
        deadline_s: Time from which on an answer is worth nothing, seconds; None if there is no such time.
    """

    is_valid: bool = True
    passed_canary: bool = True
    deadline_s: float | None = None

    def _timed(self, duration_s: float, elapsed_s: float) -> tuple[bool, bool, float, float, float | None]:
        return (self.is_valid, self.passed_canary, duration_s, elapsed_s, self.deadline_s)


_AT_ONCE = Delivery()


@dataclass(frozen=True, slots=True)
class Speech:
    """What was measured of synthesized speech; what was not measured (None) counts nothing.

    Attributes:
        sample_rate: Hz; 16,000 or more.
        duration_s: Length, seconds; from 1/30 s to 1/5 s a character (1/12 to 2/3 in languages scored by characters),
            and 3 s of pauses at most.
        level_dbfs: Root mean square, dB below full scale; -55 or more.
        wer: Word error rate of what a recognizer hears in it; None in languages that do not separate words.
        cer: Character error rate of what a recognizer hears in it.
        distill_mos: DistillMOS, 1 to 5.
        dnsmos: DNSMOS P.835, overall, 1 to 5.
        speaker_cosine: Cosine of speaker vectors (GE2E) to the voice that was asked for; None if none was.
        clipped_share: Share of the samples at full scale; 0.001 at most.
        decodes: Whether the audio decodes.
        is_duplicate: Whether the same audio was handed in before.
    """

    sample_rate: int
    duration_s: float
    level_dbfs: float
    wer: float | None = None
    cer: float | None = None
    distill_mos: float | None = None
    dnsmos: float | None = None
    speaker_cosine: float | None = None
    clipped_share: float = 0.0
    decodes: bool = True
    is_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Relative:
    """A tolerance as a share of the truth: `Relative(0.01)` is 1 %; and `absolute`, in the field's unit, besides."""

    share: float
    absolute: float | None = None


def transcription(
    reference: str,
    hypothesis: str,
    *,
    language: str = "en",
    hypothesis_language: str | None = None,
    duration_s: float = 0.0,
    elapsed_s: float = 0.0,
    reference_starts: Sequence[float] | None = None,
    word_starts: Sequence[float] = (),
    silences: Sequence[tuple[float, float]] = (),
    delivery: Delivery = _AT_ONCE,
) -> Reward:
    """Reward of a transcript whose truth is known: Q is `(0.85 W + 0.10 TS + 0.05 LANG) * exp(-h)`.

    W is `clip((0.35 - e) / 0.33)` of the error rate e: word errors (characters in zh yue ja th lo km my) over reference
    words, both texts normalized by `whisper-basic`. TS is the share of words that are there and start within 0.2 s of
    the truth, LANG whether the language is right, h the number of words that start in silence for every 2 s of it.
    Parts that were not asked for are left out and the other weights scaled to 1. Where nothing was said, W is 1 for an
    empty answer, else 0.

    Args:
        reference: What was said.
        hypothesis: What the miner heard.
        language: The language that was spoken: a code such as `en` or `zh-TW`.
        hypothesis_language: The language that the miner named, if it was asked to; empty if it named none.
        duration_s: The audio's length, seconds.
        elapsed_s: Time from the request to the whole answer, seconds.
        reference_starts: If times were asked for, when each word of the reference starts, seconds: one for each word
            between white space (each character in the languages above), none for punctuation alone.
        word_starts: The same for the hypothesis, as the miner says.
        silences: Where nobody speaks, as (start, end) in seconds.
        delivery: How the response came.

    Raises:
        ValueError: There is not one of `reference_starts` for each word, or a text is no Unicode text.
    """
    return _reward(
        _core.reward_transcription(
            reference,
            hypothesis,
            language,
            hypothesis_language,
            reference_starts,
            word_starts,
            silences,
            delivery._timed(duration_s, elapsed_s),
        )
    )


def transcription_without_reference(
    hypothesis: str,
    *,
    peers: Sequence[str],
    own: str | None,
    challenge_reward: float,
    language: str = "en",
    duration_s: float = 0.0,
    elapsed_s: float = 0.0,
    delivery: Delivery = _AT_ONCE,
) -> Reward:
    """Reward of a transcript whose truth nobody knows: agreement with others, never above what challenges show.

    The error rate between two texts is their distance over the longer one's length. Q is W of
    `min(e_v, (e_v + e_p) / 2)`: e_v against the validator's own model, e_p the lower median against the peers. A
    majority of peers that made up a text gains nothing by it, and an honest miner among them loses nothing.

    Args:
        hypothesis: What the miner heard.
        peers: What other miners heard in the same audio; their order does not matter.
        own: What the validator's own model heard; None if it did not listen.
        challenge_reward: The miner's mean reward for challenges, 0 to 1: the most that is given.
        language: A code such as `en`.
        duration_s: The audio's length, seconds.
        elapsed_s: Time from the request to the whole answer, seconds.
        delivery: How the response came.

    Raises:
        ValueError: A text is no Unicode text.
    """
    timed = delivery._timed(duration_s, elapsed_s)
    return _reward(_core.reward_agreement(hypothesis, peers, own, language, challenge_reward, timed))


def synthesis(
    text: str, speech: Speech, *, language: str = "en", elapsed_s: float = 0.0, delivery: Delivery = _AT_ONCE
) -> Reward:
    """Reward of synthesized speech: Q is `I^1.5 * M^0.7 * K^0.5`, 0 if a gate is closed.

    I is the geometric mean of `clip((0.50 - wer) / 0.45)` and `clip((0.30 - cer) / 0.28)`; M is `D^0.75 * N^0.25` of
    `D = clip((distill_mos - 1.5) / 2.7)` and `N = clip((dnsmos - 1) / 2)`; K is `clip((speaker_cosine - 0.65) / 0.20)`,
    or 1 if no voice was asked for. The gates are in `Speech`.

    Args:
        text: What was to be said.
        speech: What was measured of it.
        language: The text's language: a code such as `en`.
        elapsed_s: Time from the request to the whole audio, seconds.
        delivery: How the response came.

    Raises:
        ValueError: The text is no Unicode text.
    """
    return _reward(_core.reward_synthesis(text, speech, language, delivery._timed(speech.duration_s, elapsed_s)))


def analysis(
    expected: Mapping[str, Any],
    answer: Mapping[str, Any],
    *,
    tolerances: Mapping[str, float | Relative] | None = None,
    recomputed: Collection[str] = (),
    duration_s: float = 0.0,
    elapsed_s: float = 0.0,
    delivery: Delivery = _AT_ONCE,
) -> Reward:
    """Reward of measurements of audio: Q is the share of the fields that are right, 0 if a recomputed one is not.

    Args:
        expected: The truth of every field that was asked for: numbers, texts, flags, None, or lists or records of them.
        answer: The miner's values; further fields are ignored.
        tolerances: How far a field's numbers may be apart, in its unit or `Relative`; not at all where none is given.
        recomputed: Fields that the validator computed itself from the same audio by the same formula: a wrong or
            missing one was made up, and nothing beside it is trusted.
        duration_s: The audio's length, seconds.
        elapsed_s: Time from the request to the whole answer, seconds.
        delivery: How the response came.

    Raises:
        ValueError: `tolerances` or `recomputed` name a field that was not asked for, or values are nested too deep.
        TypeError: A value is none of the above.
    """
    tolerances = tolerances or {}
    for name in (*tolerances, *recomputed):
        if name not in expected:
            raise ValueError(f"got field {name!r}; expected one of {', '.join(expected)}")
    fields = []
    for name, value in expected.items():
        tolerance = tolerances.get(name)
        if isinstance(tolerance, Relative):
            absolute, relative = tolerance.absolute, tolerance.share
        else:
            absolute, relative = tolerance, None
        # None is a value too, so an answer is a list: without an item where the field is missing.
        got = [answer[name]] if name in answer else []
        fields.append((name, value, got, absolute, relative, name in recomputed))
    return _reward(_core.reward_analysis(fields, delivery._timed(duration_s, elapsed_s)))


def miner(kinds: Iterable[tuple[float, float, float]], availability: float, credibility: float) -> Reward:
    """A miner's score `S = A^(1/3) * C^2.5 * sum_k w_k c_k s_k`.

    Args:
        kinds: Of each kind of task its share of the reward w, how sure the validator is c, and the miner's mean reward
            s, each 0 to 1; their order does not matter.
        availability: A, as `availability` gives it.
        credibility: C, as `credibility` gives it.
    """
    return _reward(_core.reward_miner(list(kinds), availability, credibility))


def latency(kind: Kind, duration_s: float, elapsed_s: float) -> float:
    """The latency factor L, 0 to 1: `clip((3 T - t) / (2 T))`; faster than T earns nothing more.

    T is 1 s and 0.15 s (transcription), 0.5 s (synthesis) or 0.10 s (analysis) for every second of audio.

    Raises:
        ValueError: For another kind.
    """
    return _core.latency_factor(kind, duration_s, elapsed_s)


def latency_target_s(kind: Kind, duration_s: float) -> float:
    """The time T, seconds, up to which an answer counts in full; see `latency`.

    Raises:
        ValueError: For another kind.
    """
    return _core.latency_target_s(kind, duration_s)


def availability(answered: int, asked: int) -> float:
    """The Wilson lower bound (z = 1) of the share of requests that were answered, 0 to 1; 0 before the first."""
    return _core.availability(answered, asked)


def credibility(passed: int, failed: int) -> float:
    """Share of challenges passed, with one pass given for free: `(passed + 1) / (passed + 1 + failed)`."""
    return _core.credibility(passed, failed)


def _reward(found: _core._Reward) -> Reward:
    kind, value, parts, gates, measures, reasons = found
    return Reward(kind, value, parts, gates, measures, tuple(reasons))
