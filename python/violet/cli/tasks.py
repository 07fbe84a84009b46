"""`violet tasks`: the user's tasks at a proxy."""

import json
import time
from collections.abc import Sequence

from violet.cli.parsing import Parser, add_client_flags, add_debug_flag, number, open_client
from violet.protocol import KINDS

STATES = ("queued", "running", "answered", "verified", "unverified", "failed", "cancelled")


def main(argv: Sequence[str]) -> int:
    """Prints a line for each task, newest first."""
    parser = Parser(
        "tasks",
        "Lists your tasks at a proxy, newest first.",
        "  violet tasks\n"
        "  violet tasks --state failed --kind transcription\n"
        "  violet tasks --limit 100 --json\n"
        "  violet tasks --cancel task_01..",
    )
    parser.add_argument("--limit", type=number(int, 1, 100_000), default=20, metavar="N", help="how many (20)")
    parser.add_argument("--state", choices=STATES, help="only tasks in this state")
    parser.add_argument("--kind", choices=KINDS, help="only tasks of this kind")
    parser.add_argument("--cancel", metavar="TASK", help="end this task instead")
    add_client_flags(parser)
    add_debug_flag(parser)
    found = parser.parse_args(argv)
    with open_client(found) as client:
        if found.cancel is not None:
            task = client.cancel(found.cancel)
            print(json.dumps(task.document) if found.json else f"{task.id} {task.state}")
            return 0
        filters = {name: value for name in ("state", "kind") if (value := getattr(found, name)) is not None}
        for task in client.tasks(limit=found.limit, **filters):
            made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(task.document["created_at_ms"] / 1000))
            what = " ".join((task.text or task.reason or task.partial).split())[:60]
            line = f"{task.id}  {made}  {task.kind:<13} {task.state:<10} {what}".rstrip()
            print(json.dumps(task.document) if found.json else line, flush=True)
    return 0
