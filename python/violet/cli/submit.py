"""`violet submit`: audio or text to a proxy, and back what the network makes of it."""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from violet.cli.parsing import RESULT_FORMATS, Parser, add_client_flags, add_debug_flag, number, open_client
from violet.cli.result import FORMAT_HELP, fetch_text
from violet.client import Client, Task
from violet.errors import UploadInterruptedError
from violet.progress import Bar, megabytes
from violet.protocol import KINDS


def main(argv: Sequence[str]) -> int:
    """Submits every file; 1 if one of them failed."""
    parser = _parser()
    found = parser.parse_args(argv)
    if bool(found.files) == (found.text is not None):
        parser.error("expected FILE.. or --text, one of them")
    if found.text is not None and found.kind not in {None, "synthesis"}:
        parser.error(f"--kind {found.kind} takes a FILE, not --text")
    if found.resume is not None and len(found.files) != 1:
        parser.error("--resume goes on with one FILE")
    if found.output is not None and len(found.files) > 1:
        parser.error("--output takes one FILE's answer")
    for flag in ("verified", "format", "output"):
        if getattr(found, flag) and not found.watch:
            parser.error(f"--{flag} needs --watch, as the answer comes later")
    with open_client(found) as client:
        sources = [None] if found.text is not None else found.files
        return 1 if sum(not _submit(client, source, found) for source in sources) else 0


def _parser() -> Parser:
    parser = Parser(
        "submit",
        "Sends audio to a proxy, whose miners transcribe or analyse it, or text, which they speak. Without --watch it\n"
        "prints the task's name and ends: `violet result NAME` fetches the answer.",
        "  violet submit talk.mp3 --watch\n"
        "  violet submit *.flac --language de\n"
        "  violet submit talk.mp3 --kind analysis --watch --json\n"
        '  violet submit --text "Hello there." --voice joe --watch --output hello.wav',
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="audio files")
    parser.add_argument("--text", help="text to speak, instead of files")
    parser.add_argument("--kind", choices=KINDS, help="what to do (transcription; synthesis with --text)")
    parser.add_argument("--watch", action="store_true", help="wait, show the progress, print the answer")
    parser.add_argument("--verified", action="store_true", help="with --watch: wait for the validators' verdict too")
    parser.add_argument("--format", choices=RESULT_FORMATS, help=f"with --watch: {FORMAT_HELP}")
    parser.add_argument("--output", type=Path, metavar="FILE", help="with --watch: write the answer here")
    parser.add_argument("--resume", metavar="UPLOAD", help="go on with an upload of FILE that broke off")
    parser.add_argument("--language", metavar="CODE", help="language spoken, such as en (detected)")
    parser.add_argument("--prompt", metavar="TEXT", help="text taken as said before, for names and spelling")
    parser.add_argument("--voice", metavar="NAME", help="voice of a synthesis (the miner's own)")
    parser.add_argument("--speed", type=number(float, 0.25, 4.0), metavar="X", help="speed of a synthesis (1)")
    parser.add_argument("--priority", type=number(int, 0, 9), metavar="N", help="0 to 9 (5)")
    parser.add_argument("--redundancy", type=number(int, 1, 8), metavar="N", help="miners that do it (the proxy's)")
    parser.add_argument("--deadline", type=number(int, 10, 3600), metavar="S", help="seconds until it fails (600)")
    add_client_flags(parser)
    add_debug_flag(parser)
    return parser


def _submit(client: Client, source: Path | None, found: argparse.Namespace) -> bool:
    """Whether the task was made and, where it was watched, answered."""
    progress, label = Bar(), "text" if source is None else source.name

    def uploaded(sent: int, total: int | None) -> None:
        progress.update(f"{label}: upload", sent, total, megabytes(sent))

    try:
        upload_id = None
        if found.resume is not None and source is not None:
            upload_id = client.upload(source, progress=uploaded, resume=found.resume)
        task = client.submit(
            source if upload_id is None else None,
            text=found.text,
            upload_id=upload_id,
            kind=found.kind,
            progress=uploaded,
            language=found.language,
            prompt=found.prompt,
            voice=found.voice,
            speed=found.speed,
            priority=found.priority,
            redundancy=found.redundancy,
            deadline_s=found.deadline,
        )
        progress.end()
        if not found.watch:
            print(json.dumps(task.document) if found.json else task.id, flush=True)
            return True
        _finish(client, _watched(client, task, found.verified, label, progress), found)
    except (OSError, ValueError, RuntimeError) as error:
        from violet.cli import describe

        # One bad file does not cost the others their answers.
        progress.end()
        text = describe(error)
        print(f"violet: error: {text if label in text else f'{label}: {text}'}", file=sys.stderr)
        if isinstance(error, UploadInterruptedError):
            print(f"go on with: violet submit {shlex.quote(str(source))} --resume {error.upload_id}", file=sys.stderr)
        return False
    return True


def _watched(client: Client, task: Task, is_verdict_wanted: bool, label: str, progress: Bar) -> Task:
    for event in client.events(task.id):
        now = event.task
        place = "" if now.queue_position is None else f"place {now.queue_position} in the queue"
        progress.update(f"{label}: {now.state}", now.progress, 1.0, place or now.partial[-40:].strip())
        if now.is_final or (now.is_answered and not is_verdict_wanted):
            break
    progress.end()
    return client.wait(task.id, until="final" if is_verdict_wanted else "answered")


def _finish(client: Client, task: Task, found: argparse.Namespace) -> None:
    """Prints or writes the answer."""
    if task.kind == "synthesis":
        if found.output is not None:
            found.output.write_bytes(client.audio(task.id, found.output.suffix.removeprefix(".") or None))
        print(json.dumps(task.document) if found.json else found.output or f"violet result {task.id} --output FILE")
        return
    if found.json:
        print(json.dumps(task.document))
        return
    answer = fetch_text(client, task, found.format, found.output)
    if found.output is None:
        print(answer.rstrip("\n"), flush=True)
    else:
        found.output.write_text(answer, encoding="utf-8")
