"""`violet score`: word and character error rates of transcripts."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from violet.cli.parsing import Parser, add_debug_flag


@dataclass(frozen=True, slots=True)
class Counts:
    """Edits that turn the references into the hypotheses, summed over all lines."""

    hits: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @property
    def reference_len(self) -> int:
        """Units in the references."""
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Edits in all."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float | None:
        """Errors per unit of the references; None where these are empty."""
        return self.errors / self.reference_len if self.reference_len else None

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.hits + other.hits,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def main(argv: Sequence[str]) -> int:
    """Prints the rates; 1 if the files do not fit together."""
    parser = Parser(
        "score",
        "Compares transcripts with the truth, line by line, and prints the word and character error rates of all\n"
        "lines together: (substitutions + deletions + insertions) / length of the reference.",
        "  violet score truth.txt heard.txt\n"
        "  violet score truth.txt heard.txt --normalizer whisper-basic --json\n"
        "  violet score book.txt transcript.txt --whole",
    )
    parser.add_argument("reference", type=Path, metavar="REF", help="what was said, one utterance a line")
    parser.add_argument("hypothesis", type=Path, metavar="HYP", help="what was heard, the same lines")
    parser.add_argument(
        "--normalizer",
        default="none",
        metavar="NAME",
        help="what to ignore first: none, or whisper-basic (case, punctuation)",
    )
    parser.add_argument("--whole", action="store_true", help="compare the files as one text each; lines mean nothing")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_debug_flag(parser)
    found = parser.parse_args(argv)

    from violet import char_counts, normalize, word_counts

    references, hypotheses = _lines(found.reference, found.whole), _lines(found.hypothesis, found.whole)
    if len(references) != len(hypotheses):
        raise ValueError(
            f"{found.reference} has {len(references)} lines and {found.hypothesis} has {len(hypotheses)}; "
            "each line of one must be the same utterance in the other (--whole compares them as one text each)"
        )
    words, characters, n_exact = Counts(), Counts(), 0
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        words += Counts(*word_counts(reference, hypothesis, found.normalizer))
        characters += Counts(*char_counts(reference, hypothesis, found.normalizer))
        n_exact += normalize(reference, found.normalizer).split() == normalize(hypothesis, found.normalizer).split()
    if found.json:
        print(_json(words, characters, len(references), n_exact, found.normalizer))
        return 0
    print(f"WER  {_readable(words, 'words')}")
    print(f"CER  {_readable(characters, 'characters')}")
    if not found.whole:
        print(f"{n_exact} of {len(references)} lines exactly right")
    return 0


def _lines(path: Path, whole: bool) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error
    return [text] if whole else text.splitlines()


def _readable(counts: Counts, unit: str) -> str:
    if counts.rate is None:
        return f"none: the reference has no {unit} ({counts.insertions} inserted)"
    parts = (
        f"{counts.substitutions} substituted",
        f"{counts.deletions} deleted",
        f"{counts.insertions} inserted",
    )
    return f"{counts.rate:7.2%}  {counts.errors} errors in {counts.reference_len} {unit}: {', '.join(parts)}"


def _json(words: Counts, characters: Counts, n_lines: int, n_exact: int, normalizer: str) -> str:
    def fields(counts: Counts) -> dict[str, int]:
        return {
            "hits": counts.hits,
            "substitutions": counts.substitutions,
            "deletions": counts.deletions,
            "insertions": counts.insertions,
        }

    return json.dumps(
        {
            "wer": words.rate,
            "cer": characters.rate,
            "words": fields(words),
            "characters": fields(characters),
            "lines": n_lines,
            "exact_lines": n_exact,
            "normalizer": normalizer,
        }
    )
