"""`violet score`: how good transcripts are."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from violet.cli.parsing import Parser, add_debug_flag, number

if TYPE_CHECKING:
    from violet.scoring import ErrorKind


def main(argv: Sequence[str]) -> int:
    """Prints the rates; 1 if the files do not fit together."""
    parser = Parser(
        "score",
        "Compares transcripts with the truth and prints the word and character error rates of all utterances\n"
        "together: (substitutions + deletions + insertions) / length of the reference.\n\n"
        "Files are lines of text, TRN (utterances by id), or STM, CTM and SegLST JSON (speakers and times), by their\n"
        "names' ends. Files with speakers get cpWER, and with --collar tcpWER.",
        "  violet score truth.txt heard.txt\n"
        "  violet score truth.txt heard.txt --normalizer whisper-en --align\n"
        "  violet score truth.stm heard.json --collar 5 --json\n"
        "  violet score book.txt transcript.txt --whole",
    )
    from violet import normalizers

    parser.add_argument("reference", type=Path, metavar="REF", help="what was said")
    parser.add_argument("hypothesis", type=Path, metavar="HYP", help="what was heard")
    parser.add_argument(
        "--normalizer",
        default="none",
        metavar="NAME",
        help=f"what to ignore first: {', '.join(normalizers())} (none)",
    )
    parser.add_argument("--whole", action="store_true", help="compare the files as one text each; lines mean nothing")
    parser.add_argument(
        "--collar", type=number(float, 0, 3600), metavar="S", help="match words at most S seconds apart"
    )
    parser.add_argument("--align", action="store_true", help="show the utterances with errors, word by word")
    parser.add_argument(
        "--top", type=number(int, 0, 1000), default=0, metavar="N", help="list the N most frequent errors"
    )
    parser.add_argument("--ci", action="store_true", help="add a 95 %% bootstrap confidence interval of the WER")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_debug_flag(parser)
    found = parser.parse_args(argv)

    from violet.transcripts import format_of

    kinds = [format_of(path) for path in (found.reference, found.hypothesis)]
    if any(kind in {"stm", "ctm", "seglst"} for kind in kinds):
        report, lines = _meeting(found)
    elif found.collar is not None:
        raise ValueError(f"--collar needs times, which {found.reference} has not; expected .stm, .ctm or .json files")
    else:
        report, lines = _utterances(found, kinds)
    print(json.dumps(report) if found.json else "\n".join(lines))
    sys.stdout.flush()
    return 0


def _utterances(found: Any, kinds: list[str]) -> tuple[dict[str, Any], list[str]]:  # noqa: ANN401
    from violet import score_characters, score_words

    references, hypotheses = _texts(found, kinds)
    words = score_words(references, hypotheses, found.normalizer)
    characters = score_characters(references, hypotheses, found.normalizer)
    counts = words.per_utterance
    n_exact = int(sum(counts["substitutions"] + counts["deletions"] + counts["insertions"] == 0))
    report: dict[str, Any] = {
        "wer": words.wer,
        "mer": words.mer,
        "wil": words.wil,
        "wip": words.wip,
        "ser": words.ser,
        "cer": characters.cer,
        "words": _fields(words),
        "characters": _fields(characters),
        "lines": len(references),
        "exact_lines": n_exact,
        "normalizer": found.normalizer,
    }
    lines = [f"WER  {_readable(words, 'words')}", f"CER  {_readable(characters, 'characters')}"]
    if not found.whole:
        lines.append(f"{n_exact} of {len(references)} lines exactly right")
    if found.ci:
        report["wer_ci"] = interval = words.ci()
        lines.append("95 % of WER: " + (f"{interval[0]:.2%} to {interval[1]:.2%}" if interval else "none"))
    if found.top:
        kinds_of_error: tuple[ErrorKind, ...] = ("substitution", "deletion", "insertion")
        report["top_errors"] = top = {kind: words.top_errors(kind, found.top) for kind in kinds_of_error}
        for kind, errors in top.items():
            lines += [f"{kind}s:"] + [f"  {n:5}  {' -> '.join(filter(None, (a, b)))}" for a, b, n in errors]
    if found.align:
        report["alignments"] = [
            [[chunk.edit, list(chunk.reference), list(chunk.hypothesis)] for chunk in chunks]
            for chunks in words.alignments()
        ]
        lines += [words.to_text()] if n_exact < len(references) else []
    return report, lines


def _texts(found: Any, kinds: list[str]) -> tuple[list[str], list[str]]:  # noqa: ANN401
    from violet.transcripts import read_lines, read_text, read_utterances

    if kinds[0] != kinds[1]:
        raise ValueError(
            f"{found.reference} is {kinds[0]} and {found.hypothesis} is {kinds[1]}; expected the same format"
        )
    if kinds[0] == "trn":
        if found.whole:
            raise ValueError(f"--whole is for files of lines; {found.reference} is trn")
        said, heard = read_utterances(found.reference), read_utterances(found.hypothesis)
        if unknown := sorted(heard.keys() - said.keys()):
            raise ValueError(f"{found.hypothesis} has utterance {unknown[0]!r}, which {found.reference} has not")
        # An utterance that was not transcribed counts as deleted.
        return list(said.values()), [heard.get(name, "") for name in said]
    references, hypotheses = (
        [read_text(path)] if found.whole else read_lines(path) for path in (found.reference, found.hypothesis)
    )
    if len(references) != len(hypotheses):
        raise ValueError(
            f"{found.reference} has {len(references)} lines and {found.hypothesis} has {len(hypotheses)}; "
            "each line of one must be the same utterance in the other (--whole compares them as one text each)"
        )
    return references, hypotheses


def _meeting(found: Any) -> tuple[dict[str, Any], list[str]]:  # noqa: ANN401
    from violet import cpwer, tcpwer
    from violet.transcripts import read_segments

    for name in ("align", "top", "ci", "whole"):
        if getattr(found, name):
            raise ValueError(f"--{name} is for utterances; {found.reference} and {found.hypothesis} have speakers")
    reference, hypothesis = read_segments(found.reference), read_segments(found.hypothesis)
    if found.collar is None:
        name, scores = "cpwer", cpwer(reference, hypothesis, found.normalizer)
    else:
        name, scores = "tcpwer", tcpwer(reference, hypothesis, found.collar, found.normalizer)
    report = {
        name: scores.wer,
        "words": _fields(scores),
        "assignment": scores.assignment,
        "normalizer": scores.normalizer,
    }
    lines = [f"{name.replace('wer', 'WER')}  {_readable(scores, 'words')}"]
    for session, said, heard in scores.assignment:
        lines.append(f"{session}: {said or '(nobody)'} is {heard or '(not found)'}")
    return report, lines


def _fields(scores: Any) -> dict[str, int]:  # noqa: ANN401
    return {name: getattr(scores, name) for name in ("hits", "substitutions", "deletions", "insertions")}


def _readable(scores: Any, unit: str) -> str:  # noqa: ANN401
    n_reference = scores.hits + scores.substitutions + scores.deletions
    if not n_reference:
        return f"none: the reference has no {unit} ({scores.insertions} inserted)"
    parts = (
        f"{scores.substitutions} substituted",
        f"{scores.deletions} deleted",
        f"{scores.insertions} inserted",
    )
    return f"{scores.errors / n_reference:7.2%}  {scores.errors} errors in {n_reference} {unit}: {', '.join(parts)}"
