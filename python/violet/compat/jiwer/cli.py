"""jiwer 4's command line; `python -m violet.compat.jiwer -r REF -h HYP` runs it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from violet.compat import jiwer


def cli(argv: Sequence[str] | None = None) -> int:
    """Prints the rate, or the alignment; 1 if the files do not fit together."""
    parser = argparse.ArgumentParser(prog="jiwer", description="Word or character error rate of lines.", add_help=False)
    parser.add_argument("--help", action="help", help="show this text")
    parser.add_argument("-r", "--reference", type=Path, required=True, help="file of reference lines")
    parser.add_argument("-h", "--hypothesis", type=Path, required=True, help="file of hypothesis lines")
    parser.add_argument("-c", "--cer", action="store_true", help="characters in place of words")
    parser.add_argument("-a", "--align", action="store_true", help="print the alignment")
    parser.add_argument("-g", "--global", dest="is_global", action="store_true", help="join the lines first")
    found = parser.parse_args(argv)
    references, hypotheses = _lines(found.reference), _lines(found.hypothesis)
    if not found.is_global and len(references) != len(hypotheses):
        print(
            f"jiwer: error: {found.reference} has {len(references)} lines and {found.hypothesis} has "
            f"{len(hypotheses)}; expected as many (--global joins them)",
            file=sys.stderr,
        )
        return 1
    output: jiwer.WordOutput | jiwer.CharacterOutput
    if found.cer:
        transform = jiwer.cer_contiguous if found.is_global else jiwer.cer_default
        output = jiwer.process_characters(references, hypotheses, transform, transform)
    else:
        transform = jiwer.wer_contiguous if found.is_global else jiwer.wer_default
        output = jiwer.process_words(references, hypotheses, transform, transform)
    if found.align:
        print(jiwer.visualize_alignment(output), end="")
    else:
        print(output.cer if isinstance(output, jiwer.CharacterOutput) else output.wer)
    return 0


def _lines(path: Path) -> list[str]:
    # Lines of one character are left out, as in jiwer.
    stripped = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in stripped if len(line) > 1]
