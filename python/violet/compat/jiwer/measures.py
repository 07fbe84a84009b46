"""jiwer 4's measures."""

from violet.compat.jiwer.process import process_characters, process_words
from violet.compat.jiwer.transformations import cer_default, wer_default
from violet.compat.jiwer.transforms import Transform


def wer(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Transform = wer_default,
    hypothesis_transform: Transform = wer_default,
) -> float:
    """Word error rate."""
    return process_words(reference, hypothesis, reference_transform, hypothesis_transform).wer


def mer(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Transform = wer_default,
    hypothesis_transform: Transform = wer_default,
) -> float:
    """Match error rate."""
    return process_words(reference, hypothesis, reference_transform, hypothesis_transform).mer


def wil(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Transform = wer_default,
    hypothesis_transform: Transform = wer_default,
) -> float:
    """Word information lost."""
    return process_words(reference, hypothesis, reference_transform, hypothesis_transform).wil


def wip(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Transform = wer_default,
    hypothesis_transform: Transform = wer_default,
) -> float:
    """Word information preserved."""
    return process_words(reference, hypothesis, reference_transform, hypothesis_transform).wip


def cer(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Transform = cer_default,
    hypothesis_transform: Transform = cer_default,
) -> float:
    """Character error rate."""
    return process_characters(reference, hypothesis, reference_transform, hypothesis_transform).cer
