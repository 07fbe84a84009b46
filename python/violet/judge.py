"""What a validator says about responses: scores from the Rust core, nothing of its own."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from violet import _core, reward
from violet.analysis import Analysis
from violet.protocol import Response, ResponseId, Score

AGREEMENT = _core.analysis_agreement()
"""Of every field that needs no model: how far values may be apart (absolutely, as a share), and whether it is exact."""

HEARD_TOLERANCE = reward.Relative(0.05, 0.05)
"""How far values of a field that models hear may be apart: their sums differ from machine to machine."""

NOTHING = Score(0.0, None)
"""The score of a response that is not the miner's own, or no result."""


def score_responses[T](
    responses: Iterable[Response], task_id: str, score: Callable[[Response, T], Score], reference: T
) -> dict[ResponseId, Score]:
    """Scores of all responses of one task by the validator's own reference."""
    return {
        response.response_id: score(response, reference) if response.is_authentic(task_id) else NOTHING
        for response in responses
    }


def error_rate(reference: str, hypothesis: str, language: str) -> float:
    """Word (or character) errors per unit of the reference; an empty reference allows no words at all."""
    rate = _core.transcription_error_rate(reference, hypothesis, language)
    if rate is None:
        return 1.0 if _core.normalize(hypothesis, "whisper-basic").strip() else 0.0
    return rate


def score_text(reference: str, hypothesis: str, language: str, duration_s: float, elapsed_s: float) -> Score:
    """Reward of a transcript in [0, 1] (`violet.reward`) and its error rate."""
    found = reward.transcription(reference, hypothesis, language=language, duration_s=duration_s, elapsed_s=elapsed_s)
    return Score(found.value, error_rate(reference, hypothesis, language))


def score_transcript(response: Response, reference: _core.Transcript) -> Score:
    """Score of a transcript, with the times of its words where the validator listened for them.

    The miner heard a variant of the recording: its times are taken back to those of the recording, so that times that
    were copied from the answer to another variant are wrong.
    """
    try:
        transcript = _core.Transcript.from_json(response.result)
    except ValueError:
        return NOTHING
    expected = word_starts(reference)
    found = reward.transcription(
        " ".join(word for word, _ in expected) or reference.text,
        transcript.text,
        language=reference.language,
        duration_s=reference.duration_s,
        elapsed_s=response.latency_s,
        reference_starts=[start for _, start in expected] or None,
        word_starts=[response.original_s(start) for _, start in word_starts(transcript)],
    )
    return Score(found.value, error_rate(reference.text, transcript.text, reference.language))


def word_starts(transcript: _core.Transcript) -> list[tuple[str, float]]:
    """Words between white space and when each starts, seconds, without those that are punctuation alone.

    Empty where words have no times, and where a language is written without spaces between words.
    """
    found: list[tuple[str, float]] = []
    if transcript.language.partition("-")[0] in UNSPACED:
        return found
    for word in (word for segment in transcript.segments for word in segment.words):
        first, *rest = word.word.split() or [""]
        if found and not word.word[:1].isspace():
            text, start = found.pop()
            found.append((text + first, start))
        else:
            found.append((first, word.start))
        found.extend((part, word.start) for part in rest)
    # As `violet.reward` counts words: those of which its normalizer leaves something.
    return [(text, start) for text, start in found if _core.normalize(text, "whisper-basic").strip()]


UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "km", "my"})
"""Languages whose words have no spaces between them."""


def score_analysis(response: Response, reference: Analysis) -> Score:
    """Score of an analysis; fields that the validator could not measure itself do not count."""
    fields = {name: value for name, value in reference.values.items() if name in _FIELDS}
    return score_measures(response.result, fields, {}, reference.values["duration_s"], response.latency_s)


def score_measures(
    result: str,
    own: Mapping[str, Any],
    known: Mapping[str, tuple[float, float]],
    duration_s: float,
    elapsed_s: float,
) -> Score:
    """Score of an analysis.

    Args:
        result: The miner's, a JSON text.
        own: Fields as the validator measured them from the same audio; exact ones are a gate.
        known: Truth and tolerance of single values by their path, such as `level.rms_dbfs`.
        duration_s: The audio's length, seconds.
        elapsed_s: Time to the whole answer, seconds.
    """
    try:
        answer = json.loads(result)
    except (ValueError, RecursionError):
        return NOTHING
    if not isinstance(answer, dict):
        return NOTHING
    tolerances: dict[str, float | reward.Relative] = {name: allowed for name, (_, allowed) in known.items()}
    tolerances |= {name: _tolerance(name) for name in own}
    expected = {name: truth for name, (truth, _) in known.items()} | dict(own)
    got = {name: value for name, value in answer.items() if name in own}
    got |= {name: value for name in known if (value := _at(answer, name.split("."))) is not None}
    try:
        found = reward.analysis(
            expected,
            got,
            tolerances=tolerances,
            recomputed=[name for name in own if name in AGREEMENT and AGREEMENT[name][2]],
            duration_s=duration_s,
            elapsed_s=elapsed_s,
        )
    except (ValueError, TypeError):  # values nested without end, or none that can be compared
        return NOTHING
    return Score(found.value, None)


def score_speech(text: str, speech: reward.Speech, language: str, elapsed_s: float) -> Score:
    """Score of speech that was measured, and the recognizer's word error rate."""
    return Score(reward.synthesis(text, speech, language=language, elapsed_s=elapsed_s).value, speech.wer)


def _tolerance(field: str) -> reward.Relative:
    if field not in AGREEMENT:
        return HEARD_TOLERANCE
    absolute, relative, _ = AGREEMENT[field]
    return reward.Relative(relative, absolute)


def _at(value: object, path: Sequence[str]) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


_FIELDS = frozenset({*AGREEMENT, "speech", "speakers", "language", "quality"})
