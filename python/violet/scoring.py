"""Scores of transcripts: error rates of words and characters, alignments, confidence, comparisons.

>>> import violet
>>> scores = violet.score_words(["the cat sat", "hello world"], ["the cat", "hello word"])
>>> scores.wer, scores.deletions, scores.normalizer
(0.4, 1, 'whisper-en')

Every score names the normalizer that both sides went through first; `violet.normalizers()` lists them. Rates of a
corpus are sums of errors over sums of reference words, and None where the references have no words. Alignments are
rapidfuzz 3's, so counts equal jiwer 4's.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from violet import _core

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CharacterScores",
    "Chunk",
    "Comparison",
    "Scores",
    "WordScores",
    "compare",
    "score_characters",
    "score_words",
]

type References = str | Iterable[str | Sequence[str]]
"""One text, one text for each utterance, or for some utterances a list of texts that are equally right."""

ErrorKind = Literal["substitution", "deletion", "insertion"]


class Chunk(NamedTuple):
    """Neighbouring tokens of an alignment that share an edit.

    Attributes:
        edit: `hit`, `substitution`, `deletion` or `insertion`.
        reference: The reference's tokens; none for an insertion.
        hypothesis: The hypothesis's tokens; none for a deletion.
        reference_start: Where these begin in the reference, in tokens.
        hypothesis_start: Where these begin in the hypothesis, in tokens.
    """

    edit: str
    reference: tuple[str, ...]
    hypothesis: tuple[str, ...]
    reference_start: int
    hypothesis_start: int


class Scores:
    """Counts and rates of many utterances; `score_words` and `score_characters` make them.

    Attributes:
        hits: H, tokens of the references that the hypotheses have.
        substitutions: S, tokens that they have wrong.
        deletions: D, tokens that they lack.
        insertions: I, tokens of the hypotheses that the references lack.
        normalizer: What all texts went through.
        unit: What a token is: `word` or `char`.
    """

    unit: str = "word"

    def __init__(self, core: _core.Scores, normalizer: str) -> None:
        self._core = core
        self.normalizer = normalizer
        self.hits, self.substitutions, self.deletions, self.insertions = core.total()

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together: the Levenshtein distance."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def reference_len(self) -> int:
        """Number of tokens in the references."""
        return self.hits + self.substitutions + self.deletions

    @property
    def hypothesis_len(self) -> int:
        """Number of tokens in the hypotheses."""
        return self.hits + self.substitutions + self.insertions

    @property
    def rate(self) -> float | None:
        """(S + D + I) / (H + S + D), errors per reference token, 0 or more; None for empty references."""
        return self._core.rates()[0]

    @property
    def ser(self) -> float | None:
        """Sentence error rate: share of the utterances with an error, 0 to 1; None without utterances."""
        return self._core.rates()[4]

    def __len__(self) -> int:
        return len(self._core)

    @property
    def per_utterance(self) -> dict[str, npt.NDArray[Any]]:
        """Arrays with one value for each utterance: the four counts (int64) and `rate` (NaN where there is none)."""
        counts = self._core.per_utterance()
        errors, length = counts[:, 1:].sum(axis=1), counts[:, :3].sum(axis=1)
        rate = np.divide(errors, length, out=np.full(len(counts), np.nan), where=length > 0)
        names = ("hits", "substitutions", "deletions", "insertions")
        return {**{name: counts[:, index] for index, name in enumerate(names)}, "rate": rate}

    def alignments(self) -> list[list[Chunk]]:
        """The alignment of every utterance; counts made of it are these counts."""
        references, hypotheses = self._core.tokens()
        return [
            [
                Chunk(edit, tuple(left[start:end]), tuple(right[from_:to]), start, from_)
                for edit, start, end, from_, to in steps
            ]
            for steps, left, right in zip(self._core.alignments(), references, hypotheses, strict=True)
        ]

    def top_errors(self, kind: ErrorKind = "substitution", n: int = 20) -> list[tuple[str, str, int]]:
        """The most frequent errors of a kind: (reference, hypothesis, count); the absent side is empty.

        Raises:
            ValueError: For a kind that is none of `substitution`, `deletion`, `insertion`, or an n below 0.
        """
        return self._core.top_errors(kind, _count("n", n))

    def ci(
        self, level: float = 0.95, *, by: Iterable[str] | None = None, n_resamples: int = 1000, seed: int = 0
    ) -> tuple[float, float] | None:
        """Bootstrap confidence interval of the rate, by percentiles; None without a rate.

        The same seed gives the same bits for any number of threads. Source: Bisani and Ney, "Bootstrap estimates for
        confidence intervals in ASR performance evaluation", ICASSP 2004.

        Args:
            level: Share of the replicates within the interval, between 0 and 1.
            by: A name for each utterance, such as its speaker: whole speakers are drawn then, for utterances of one
                speaker are not independent.
            n_resamples: Number of replicates, 1 to 1,000,000.
            seed: Where the random numbers begin, 0 to 2^64 - 1.

        Raises:
            ValueError: For an impossible level or number, or names that are not one for each utterance.
        """
        groups = None if by is None else list(by)
        return self._core.ci(level, _count("n_resamples", n_resamples), _count("seed", seed), groups)

    def to_dict(self) -> dict[str, Any]:
        """Rates and counts by name, ready for JSON."""
        return {
            **self._rates(),
            "ser": self.ser,
            "hits": self.hits,
            "substitutions": self.substitutions,
            "deletions": self.deletions,
            "insertions": self.insertions,
            "utterances": len(self),
            "unit": self.unit,
            "normalizer": self.normalizer,
        }

    def to_pandas(self) -> pd.DataFrame:
        """One row for each utterance: the arrays of `per_utterance`.

        Raises:
            ModuleNotFoundError: If pandas is not installed; nothing else here needs it.
        """
        import pandas as pd

        return pd.DataFrame(self.per_utterance)

    def to_text(self, *, only_errors: bool = True) -> str:
        """Every utterance on a line, its differences marked.

        Text beyond ASCII is isolated, so that right-to-left words do not disorder the marks. Deleted
        tokens are in `[-brackets-]`, inserted ones in `{+braces+}`, as in a word diff.
        """
        lines = []
        for number, chunks in enumerate(self.alignments(), 1):
            if only_errors and all(chunk.edit == "hit" for chunk in chunks):
                continue
            lines.append(f"{number}: " + self._separator().join(_marked(chunk, self._separator()) for chunk in chunks))
        return "\n".join(lines)

    def _rates(self) -> dict[str, float | None]:
        return {"rate": self.rate}

    def _separator(self) -> str:
        return " " if self.unit == "word" else ""

    def __repr__(self) -> str:
        rates = ", ".join(f"{name}={_percent(rate)}" for name, rate in self._rates().items())
        return (
            f"{type(self).__name__}({rates}, hits={self.hits}, substitutions={self.substitutions}, "
            f"deletions={self.deletions}, insertions={self.insertions}, utterances={len(self)}, "
            f"normalizer={self.normalizer!r})"
        )

    def _repr_html_(self) -> str:
        """The rates, and the first utterances with errors in colour."""
        rates = "".join(
            f"<th style='text-align:left'>{name.upper()}</th><td>{_percent(rate)}</td>"
            for name, rate in self._rates().items()
        )
        rows: list[str] = []
        for number, chunks in enumerate(self.alignments(), 1):
            if len(rows) == _HTML_ROWS:
                break
            if any(chunk.edit != "hit" for chunk in chunks):
                body = self._separator().join(_coloured(chunk, self._separator()) for chunk in chunks)
                rows.append(f"<tr><td>{number}</td><td dir='auto' style='text-align:start'>{body}</td></tr>")
        return f"<table><tr>{rates}</tr></table><table>{''.join(rows)}</table>"


class WordScores(Scores):
    """Word counts and rates of many utterances; see `Scores`."""

    @property
    def wer(self) -> float | None:
        """Word error rate: (S + D + I) / (H + S + D), 0 or more; None for empty references."""
        return self._core.rates()[0]

    @property
    def mer(self) -> float | None:
        """Match error rate: (S + D + I) / (H + S + D + I), 0 to 1; None where nothing is aligned."""
        return self._core.rates()[1]

    @property
    def wil(self) -> float | None:
        """Word information lost: 1 - wip, 0 to 1; None for empty references."""
        return self._core.rates()[2]

    @property
    def wip(self) -> float | None:
        """Word information preserved: H / N_reference * H / N_hypothesis, 0 to 1; None for empty references.

        Source of MER, WIL and WIP: Morris, Maier and Green, "From WER and RIL to MER and WIL", Interspeech 2004.
        """
        return self._core.rates()[3]

    def weighted_wer(self, substitution: float = 1.0, deletion: float = 0.5, insertion: float = 0.5) -> float | None:
        """Word error rate with a price for each kind of error, 0 or more; None for empty references.

        `(substitution * S + deletion * D + insertion * I) / (H + S + D)`; the alignment stays the one of equal prices.

        Source: Hunt, "Figures of merit for assessing connected-word recognisers", Speech Communication 9 (1990).

        Raises:
            ValueError: For a price that is negative or no number.
        """
        return self._core.weighted_wer(substitution, deletion, insertion)

    def _rates(self) -> dict[str, float | None]:
        return {"wer": self.wer, "mer": self.mer, "wil": self.wil, "wip": self.wip}


class CharacterScores(Scores):
    """Character counts and rates of many utterances; see `Scores`."""

    unit = "char"

    @property
    def cer(self) -> float | None:
        """Character error rate: (S + D + I) / (H + S + D), 0 or more; None for empty references."""
        return self._core.rates()[0]

    def _rates(self) -> dict[str, float | None]:
        return {"cer": self.cer}


def score_words(
    references: References,
    hypotheses: str | Iterable[str],
    normalizer: str = "whisper-en",
    num_threads: int | None = None,
) -> WordScores:
    """Word scores of hypotheses against references: `(S + D + I) / (H + S + D)` and its relatives, over all utterances.

    Words are what white space separates, aligned by the least Levenshtein distance. Where an utterance has several
    references, the one with the lowest rate counts. Source: Levenshtein, Soviet Physics Doklady 10 (1966); counts as
    jiwer 4's.

    Args:
        references: What was said.
        hypotheses: What was heard, in the same order.
        normalizer: What both go through first; one of `violet.normalizers()`.
        num_threads: 1 to 256; all processors if None. The result is the same to the bit.

    Raises:
        TypeError: If a text is not a str: its index and type are named.
        ValueError: For lists of different lengths, an unknown normalizer, or a text with a lone surrogate.
    """
    return WordScores(_core.score_texts(references, hypotheses, "word", normalizer, num_threads), normalizer)


def score_characters(
    references: References,
    hypotheses: str | Iterable[str],
    normalizer: str = "whisper-basic",
    num_threads: int | None = None,
) -> CharacterScores:
    """Character scores of hypotheses against references: `(S + D + I) / (H + S + D)`, over all utterances.

    Characters are Unicode code points, spaces among them; white space at both ends is left out. Where an utterance has
    several references, the one with the lowest rate counts. Source: as `score_words`; counts as jiwer 4's.

    Args:
        references: What was said.
        hypotheses: What was heard, in the same order.
        normalizer: What both go through first; one of `violet.normalizers()`.
        num_threads: 1 to 256; all processors if None. The result is the same to the bit.

    Raises:
        TypeError: If a text is not a str: its index and type are named.
        ValueError: For lists of different lengths, an unknown normalizer, or a text with a lone surrogate.
    """
    return CharacterScores(_core.score_texts(references, hypotheses, "char", normalizer, num_threads), normalizer)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two systems compare on the same references; `compare` makes it.

    Attributes:
        wer_a: Word error rate of the first system, 0 or more.
        wer_b: Word error rate of the second system, 0 or more.
        difference: `wer_b - wer_a`; below 0 the second system is better.
        interval: Bootstrap confidence interval of the difference.
        probability_of_improvement: Share of the replicates in which the second is better, ties counted half, 0 to 1.
        p_bootstrap: Two-sided p-value of the paired bootstrap: twice the share of the replicates in which the system
            that is worse here is as good or better; 0 says that there was none, so below about `2 / n_resamples`.
        n_segments: Segments of MAPSSWE in which a system errs.
        z: MAPSSWE's normal statistic; above 0 the second is better.
        p_mapsswe: MAPSSWE's two-sided p-value; 1 where it is not defined.
        normalizer: What all texts went through.
    """

    wer_a: float
    wer_b: float
    difference: float
    interval: tuple[float, float]
    probability_of_improvement: float
    p_bootstrap: float
    n_segments: int
    z: float
    p_mapsswe: float
    normalizer: str


def compare(
    references: str | Iterable[str],
    a: str | Iterable[str],
    b: str | Iterable[str],
    normalizer: str = "whisper-en",
    *,
    by: Iterable[str] | None = None,
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Comparison | None:
    """Whether one of two systems has fewer word errors than the other; None if the references are empty.

    Two tests: a paired bootstrap over utterances, or over the names in `by`, such as speakers, and the matched-pairs
    sentence-segment word error test (MAPSSWE), whose segments lie between two or more words in a row that both systems
    have right: `z = mean / (deviation / sqrt(n))` of the differences of their errors.

    Source: Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004;
    Gillick and Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP 1989.

    Args:
        references: What was said.
        a: What the first system heard.
        b: What the second system heard.
        normalizer: What all go through first; one of `violet.normalizers()`.
        by: A name for each utterance; the bootstrap draws whole names.
        level: Share of the replicates within the interval, between 0 and 1.
        n_resamples: Number of replicates, 1 to 1,000,000.
        seed: Where the random numbers begin, 0 to 2^64 - 1.

    Raises:
        TypeError: If a text is not a str: its index and type are named.
        ValueError: For lists of different lengths, an impossible normalizer, level or number, or a lone surrogate.
    """
    groups = None if by is None else list(by)
    n_resamples, seed = _count("n_resamples", n_resamples), _count("seed", seed)
    found = _core.compare_texts(references, a, b, "word", normalizer, level, n_resamples, seed, groups)
    if found is None:
        return None
    (wer_a, wer_b), difference, interval, improvement, p_bootstrap, (n_segments, z, p) = found
    return Comparison(
        wer_a, wer_b, difference, interval, improvement, p_bootstrap, n_segments, z, p, normalizer=normalizer
    )


_HTML_ROWS = 50
"""Utterances that a notebook shows at most."""

_ISOLATE, _END = "\u2068", "\u2069"
"""Unicode's first-strong isolate and its end: text in between does not reorder what is around it."""


def _count(name: str, value: int) -> int:
    """`value`, if the core can take it for a number of things."""
    if not 0 <= value < 1 << 64:
        raise ValueError(f"got {name} {value}; expected 0 to 2^64 - 1")
    return value


def _percent(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:.2%}"


def _isolated(text: str) -> str:
    is_plain = text.isascii()
    return text if is_plain else f"{_ISOLATE}{text}{_END}"


def _marked(chunk: Chunk, separator: str) -> str:
    deleted, inserted = _isolated(separator.join(chunk.reference)), _isolated(separator.join(chunk.hypothesis))
    if chunk.edit == "hit":
        return deleted
    parts = ([f"[-{deleted}-]"] if chunk.reference else []) + ([f"{{+{inserted}+}}"] if chunk.hypothesis else [])
    return " ".join(parts)


def _coloured(chunk: Chunk, separator: str) -> str:
    reference, hypothesis = (html.escape(separator.join(side)) for side in (chunk.reference, chunk.hypothesis))
    if chunk.edit == "hit":
        return f"<bdi>{reference}</bdi>"
    deleted = f"<bdi><del style='background:#fdd;color:#900'>{reference}</del></bdi>" if chunk.reference else ""
    inserted = f"<bdi><ins style='background:#dfd;color:#060'>{hypothesis}</ins></bdi>" if chunk.hypothesis else ""
    return " ".join(part for part in (deleted, inserted) if part)
