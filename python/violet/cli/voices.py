"""`violet voices`: the voices that are known by name."""

import json
from collections.abc import Sequence

from violet.cli.parsing import Parser, add_debug_flag
from violet.models.voices import VOICES


def main(argv: Sequence[str]) -> int:
    """Lists the voices."""
    parser = Parser("voices", "The voices that violet speak and violet.Synthesizer know by name.")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_debug_flag(parser)
    if parser.parse_args(argv).json:
        for voice in VOICES.values():
            print(json.dumps(voice._asdict(), ensure_ascii=False))
        return 0
    rows = [("name", "language", "rate", "licence", "source")]
    rows += [(v.name, v.language, f"{v.sample_rate} Hz", v.licence, v.source) for v in VOICES.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print("\nPaths of Piper voices (NAME.onnx beside NAME.onnx.json) and directories of Hugging Face VITS work too.")
    return 0
