"""What a validator says about a transcription: scores from the Rust core, nothing of its own."""

from collections.abc import Iterable

from violet import _core, reward
from violet.protocol import Response, ResponseId, Score


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


def score_response(response: Response, task_id: str, reference: _core.Transcript) -> Score:
    """Score of one response; one that is not the miner's own, or no transcript, is worth nothing."""
    if not response.is_authentic(task_id):
        return Score(0.0, None)
    try:
        transcript = _core.Transcript.from_json(response.result)
    except ValueError:
        return Score(0.0, None)
    return score_text(reference.text, transcript.text, reference.language, reference.duration_s, response.latency_s)


def score_responses(
    responses: Iterable[Response], task_id: str, reference: _core.Transcript
) -> dict[ResponseId, Score]:
    """Scores of all responses of one task."""
    return {response.response_id: score_response(response, task_id, reference) for response in responses}
