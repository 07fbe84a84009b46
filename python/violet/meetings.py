"""Scores of speech of several speakers: cpWER and, where words must be heard when they are said, tcpWER.

>>> from violet import cpwer
>>> said = [{"session_id": "m", "speaker": "Ann", "words": "good morning"}]
>>> cpwer(said, [{"session_id": "m", "speaker": "1", "words": "good evening"}]).wer
0.5
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from violet import _core

__all__ = ["MeetingScores", "Segment", "cpwer", "tcpwer"]


@dataclass(frozen=True, slots=True)
class Segment:
    """What one speaker says without a break.

    Attributes:
        session: The recording.
        speaker: Who speaks.
        start: Start, seconds; NaN where it is not known, which `cpwer` alone can do without.
        end: End, seconds; likewise.
        text: The words.
    """

    session: str
    speaker: str
    start: float
    end: float
    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"the words are of type {type(self.text).__name__}; expected str")

    @classmethod
    def from_entry(cls, entry: Any) -> Segment:  # noqa: ANN401 - what JSON has
        """The segment of a SegLST entry: `session_id`, `speaker`, `start_time`, `end_time` (seconds) and `words`.

        Speaker and words must be there; the session is empty and times are NaN where they are missing.

        Raises:
            TypeError: The entry is no mapping, or its words are no text.
            ValueError: It has no speaker or no words, or a time is no number.
        """
        if not isinstance(entry, Mapping):
            raise TypeError(f"got a {type(entry).__name__}; {_EXPECTED}")
        if missing := [key for key in ("speaker", "words") if key not in entry]:
            raise ValueError(f"no {missing[0]!r}; {_EXPECTED}")
        times = []
        for key in ("start_time", "end_time"):
            try:
                times.append(float(entry.get(key, "nan")))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{key!r} is {entry[key]!r}; expected seconds") from error
        return cls(str(entry.get("session_id", "")), str(entry["speaker"]), times[0], times[1], entry["words"])


_EXPECTED = "expected session_id, speaker, start_time, end_time, words"


@dataclass(frozen=True, slots=True)
class MeetingScores:
    """Word counts of speech of several speakers, under the best assignment of speakers.

    Attributes:
        hits: Reference words that the hypothesis has.
        substitutions: Reference words that the hypothesis has wrong.
        deletions: Reference words that the hypothesis lacks.
        insertions: Hypothesis words that the reference lacks.
        assignment: Session, reference's speaker and hypothesis's speaker; None for one without a partner.
        normalizer: What the words went through.
    """

    hits: int
    substitutions: int
    deletions: int
    insertions: int
    assignment: list[tuple[str, str | None, str | None]]
    normalizer: str

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float | None:
        """(S + D + I) / (H + S + D), 0 or more; None for an empty reference."""
        n_words = self.hits + self.substitutions + self.deletions
        return self.errors / n_words if n_words else None

    def to_dict(self) -> dict[str, Any]:
        """Rate, counts, assignment and normalizer by name, ready for JSON."""
        return {"wer": self.wer, **asdict(self)}


def cpwer(
    reference: Iterable[Segment | Mapping[str, Any]],
    hypothesis: Iterable[Segment | Mapping[str, Any]],
    normalizer: str = "whisper-en",
) -> MeetingScores:
    """Concatenated minimum-permutation WER: every speaker's words joined, speakers assigned for the fewest errors.

    The sum, over recordings, of the least errors that any one-to-one assignment of speakers gives (the words of a
    speaker without a partner are all deleted or inserted), over all reference words: 0 or more. A speaker's words are
    in order of their segments' starts.

    Source: Watanabe et al., "CHiME-6 challenge", 2020; as in meeteval 0.4.

    Args:
        reference: What was said: `Segment`s or SegLST entries (`session_id`, `speaker`, `start_time`, `end_time`,
            `words`). `violet.transcripts.read_segments` reads STM, CTM and SegLST files.
        hypothesis: What was heard; its speakers' names do not matter.
        normalizer: What all words go through first; one of `violet.normalizers()`.

    Raises:
        TypeError: For a segment or words of another type: the side, index and type are named.
        ValueError: For a hypothesis of a recording that the reference lacks, an unknown normalizer, a segment
            without speaker or words, or a lone surrogate.
    """
    return _meeting(reference, hypothesis, None, normalizer)


def tcpwer(
    reference: Iterable[Segment | Mapping[str, Any]],
    hypothesis: Iterable[Segment | Mapping[str, Any]],
    collar_s: float = 5.0,
    normalizer: str = "whisper-en",
) -> MeetingScores:
    """Time-constrained cpWER: words match only where they are spoken at the same time, give or take `collar_s`.

    A word's time is its share, by characters, of its segment's; a pair of words is a hit or a substitution only if the
    reference's time overlaps the middle of the hypothesis's, widened by the collar to both sides. 0 or more.

    Source: von Neumann et al., "MeetEval", CHiME 2023; as in meeteval 0.4 (character-based times of words).

    Args:
        reference: As for `cpwer`, with times.
        hypothesis: As for `cpwer`, with times.
        collar_s: How far apart the times may be, seconds, 0 or more.
        normalizer: What all words go through first; one of `violet.normalizers()`.

    Raises:
        TypeError: As `cpwer`.
        ValueError: As `cpwer`; also for a collar that is no number, and a segment without times or that ends before it
            begins.
    """
    return _meeting(reference, hypothesis, collar_s, normalizer)


def _meeting(
    reference: Iterable[Segment | Mapping[str, Any]],
    hypothesis: Iterable[Segment | Mapping[str, Any]],
    collar_s: float | None,
    normalizer: str,
) -> MeetingScores:
    counts, assignment = _core.meeting_counts(
        list(_turns(reference, "reference")), list(_turns(hypothesis, "hypothesis")), collar_s, normalizer
    )
    return MeetingScores(*counts, assignment=assignment, normalizer=normalizer)


def _turns(segments: Iterable[Segment | Mapping[str, Any]], name: str) -> Iterator[tuple[str, str, float, float, str]]:
    if isinstance(segments, str):
        raise TypeError(f"{name} is of type str; expected segments (violet.transcripts.read_segments reads files)")
    for index, given in enumerate(segments):
        try:
            segment = given if isinstance(given, Segment) else Segment.from_entry(given)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}[{index}]: {error}") from error
        yield segment.session, segment.speaker, segment.start, segment.end, segment.text
