"""`violet result`: the answer of a task at a proxy."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from violet.cli.parsing import RESULT_FORMATS, Parser, add_client_flags, add_debug_flag, number, open_client

if TYPE_CHECKING:
    from violet.client import Client, Task

MAX_WAIT_S = 86_400
"""Longest wait that can be asked for."""


FORMAT_HELP = "of a transcript (text); of an analysis text, a table, or json (text; json with --output)"
"""What `--format` is for."""


def main(argv: Sequence[str]) -> int:
    """Prints or writes the answer."""
    parser = Parser(
        "result",
        "Fetches the answer of a task: a transcript, the measurements of an analysis, or the audio of a synthesis.",
        "  violet result task_01.. --format srt\n  violet result task_01.. --wait 600 --output hello.flac",
    )
    parser.add_argument("task", metavar="TASK", help="the task's name, as `violet submit` printed it")
    parser.add_argument("--format", choices=RESULT_FORMATS, help=FORMAT_HELP)
    parser.add_argument("--wait", type=number(float, 0, MAX_WAIT_S), default=0.0, metavar="S", help="for an answer (0)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write it; needed for audio")
    add_client_flags(parser)
    add_debug_flag(parser)
    found = parser.parse_args(argv)
    with open_client(found) as client:
        task = (
            client.wait(found.task, until="answered", timeout_s=found.wait) if found.wait else client.task(found.task)
        )
        if task.kind == "synthesis" and not found.json:
            if found.output is None:
                parser.error(f"{task.id} is speech; --output FILE says where to write it")
            found.output.write_bytes(client.audio(task.id, found.output.suffix.removeprefix(".") or None))
            return 0
        answer = fetch_text(client, task, "json" if found.json else found.format, found.output)
    if found.output is None:
        sys.stdout.write(answer if answer.endswith("\n") else f"{answer}\n")
    else:
        found.output.write_text(answer, encoding="utf-8")
    return 0


def fetch_text(client: "Client", task: "Task", format: str | None, output: Path | None) -> str:
    """The answer of a transcription or analysis as text: in a format, or as people look at it."""
    if task.kind != "analysis":
        return client.result(task.id, format or "text")
    found = client.result(task.id, format if format not in {None, "text"} else "json")
    if format == "text" or (format is None and output is None):
        from violet.analysis import Analysis

        return Analysis.from_dict(json.loads(found)).to_table()
    return found
