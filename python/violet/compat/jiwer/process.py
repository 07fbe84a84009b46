"""jiwer 4's outputs, counted by Violet's core."""

from dataclasses import dataclass
from typing import Any

from violet import _core
from violet.compat.jiwer.transformations import cer_default, wer_default
from violet.compat.jiwer.transforms import Transform

_TYPES = {"hit": "equal", "substitution": "substitute", "deletion": "delete", "insertion": "insert"}


@dataclass
class AlignmentChunk:
    """Neighbouring tokens with one `type`: `equal`, `substitute`, `insert` or `delete`."""

    type: str
    ref_start_idx: int
    ref_end_idx: int
    hyp_start_idx: int
    hyp_end_idx: int

    def __post_init__(self) -> None:
        if self.type == "replace":
            self.type = "substitute"
        if self.type not in _TYPES.values():
            raise ValueError(f"got type {self.type!r}; expected one of {', '.join(_TYPES.values())}")
        for side in ("ref", "hyp"):
            start, end = getattr(self, f"{side}_start_idx"), getattr(self, f"{side}_end_idx")
            if start > end:
                raise ValueError(f"{side}_start_idx={start} is larger than {side}_end_idx={end}")


@dataclass
class WordOutput:
    """Tokens, alignments, measures and counts of words."""

    references: list[list[str]]
    hypotheses: list[list[str]]
    alignments: list[list[AlignmentChunk]]
    wer: float
    mer: float
    wil: float
    wip: float
    hits: int
    substitutions: int
    insertions: int
    deletions: int


@dataclass
class CharacterOutput:
    """Tokens, alignments, rate and counts of characters."""

    references: list[list[str]]
    hypotheses: list[list[str]]
    alignments: list[list[AlignmentChunk]]
    cer: float
    hits: int
    substitutions: int
    insertions: int
    deletions: int


def process_words(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Transform = wer_default,
    hypothesis_transform: Transform = wer_default,
) -> WordOutput:
    """Aligns words.

    Raises:
        ValueError: If a transform does not give a list of lists of strings, or the two lists differ in length.
    """
    references = _transformed(reference, reference_transform, "reference")
    hypotheses = _transformed(hypothesis, hypothesis_transform, "hypothesis")
    if len(references) != len(hypotheses):
        raise ValueError(
            f"after the transforms there are {len(references)} reference and {len(hypotheses)} hypothesis sentences; "
            "expected as many of one as of the other"
        )
    aligned = _core.align_tokens(references, hypotheses)
    counts = dict.fromkeys(_TYPES, 0)
    for edit, start, end, from_, to in (step for steps in aligned for step in steps):
        counts[edit] += max(end - start, to - from_)
    hits, substitutions, deletions, insertions = counts.values()
    n_reference, n_hypothesis = hits + substitutions + deletions, hits + substitutions + insertions
    errors = substitutions + deletions + insertions
    wer: float
    mer: float
    wip: float
    if n_reference == 0:
        # jiwer's convention; Violet's own functions say None.
        wer, mer, wip = insertions, int(n_hypothesis > 0), int(n_hypothesis == 0)
    else:
        wer, mer = errors / n_reference, errors / (errors + hits)
        wip = (hits / n_reference) * (hits / n_hypothesis) if n_hypothesis else 0
    alignments = [[AlignmentChunk(_TYPES[edit], *bounds) for edit, *bounds in steps] for steps in aligned]
    return WordOutput(
        references, hypotheses, alignments, wer, mer, 1 - wip, wip, hits, substitutions, insertions, deletions
    )


def process_characters(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Transform = cer_default,
    hypothesis_transform: Transform = cer_default,
) -> CharacterOutput:
    """Aligns characters.

    Raises:
        ValueError: As `process_words`.
    """
    out = process_words(reference, hypothesis, reference_transform, hypothesis_transform)
    return CharacterOutput(
        out.references,
        out.hypotheses,
        out.alignments,
        out.wer,
        out.hits,
        out.substitutions,
        out.insertions,
        out.deletions,
    )


def _transformed(sentences: str | list[str], transform: Transform, name: str) -> list[list[str]]:
    tokens: Any = transform([sentences] if isinstance(sentences, str) else sentences)
    is_right = isinstance(tokens, list) and all(
        isinstance(sentence, list) and all(isinstance(token, str) for token in sentence) for sentence in tokens
    )
    if not is_right:
        raise ValueError(
            f"the {name} transform gave no list of lists of strings; end it with ReduceToListOfListOfWords or "
            "ReduceToListOfListOfChars"
        )
    return tokens  # type: ignore[no-any-return]
