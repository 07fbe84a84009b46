"""`violet models`: the Whisper models in the cache."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from violet import models
from violet.cli.parsing import Parser, add_debug_flag, number
from violet.models.names import HUB_IDS
from violet.models.plan import DEFAULT_MODEL, GIB, MAX_WINDOWS, Plan, largest_that_fits, make_plan
from violet.models.registry import MODELS
from violet.progress import Bar, megabytes


def main(argv: Sequence[str]) -> int:
    """Runs one of the five; 1 if a model is not as it should be, or does not fit."""
    parser = Parser(
        "models",
        "Whisper models in the cache. A model is a name (tiny.en, large-v3-turbo), a directory,\n"
        "a file, or an id on the Hugging Face hub: org/name, or org/name@revision.",
        "  violet models list\n"
        "  violet models fetch tiny.en base\n"
        "  violet models fetch Systran/faster-whisper-small\n"
        "  ls $(violet models path tiny.en)\n"
        "  violet models plan --vram 12 --ram 12\n"
        "\nenvironment: VIOLET_CACHE, VIOLET_OFFLINE, HF_ENDPOINT, HF_TOKEN, and pip's own (PIP_INDEX_URL, ..)",
    )
    add_debug_flag(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Action)
    actions.add_parser("list", help="what there is, and what is cached")
    fetch = actions.add_parser("fetch", help="get models that are not cached")
    fetch.add_argument("names", nargs="+", metavar="MODEL")
    fetch.add_argument("--update", action="store_true", help="hash cached files; ask the hub what a branch means now")
    fetch.add_argument(
        "--timeout",
        type=number(float, 0.1, 3600),
        default=models.ANSWER_TIMEOUT_S,
        metavar="S",
        help="seconds that a source may take to answer before the next is tried (5)",
    )
    path = actions.add_parser("path", help="print the directory of a cached model")
    path.add_argument("name", metavar="MODEL")
    verify = actions.add_parser("verify", help="hash every byte of cached models")
    verify.add_argument("names", nargs="*", metavar="MODEL", help="(all that are cached)")
    plan = actions.add_parser("plan", help="what of a miner's models fits a machine, and what is loaded when")
    memory = number(float, 0, 4096)
    plan.add_argument("--vram", type=memory, default=0.0, metavar="GIB", help="memory of the GPU, GiB (0: none)")
    plan.add_argument("--ram", type=memory, default=12.0, metavar="GIB", help="memory of the machine, GiB (12)")
    plan.add_argument("--model", default=DEFAULT_MODEL, metavar="MODEL", help=f"a Whisper model ({DEFAULT_MODEL})")
    plan.add_argument(
        "--compute-type",
        choices=("auto", "float32", "float16", "bfloat16", "int8"),
        default="auto",
        help="auto: float16 on a GPU, int8 without one",
    )
    plan.add_argument("--beam-size", type=number(int, 1, 100), default=1, metavar="N", help="beams a window (1)")
    found = parser.parse_args(argv)
    if found.action == "list":
        return _list(found.json)
    if found.action == "fetch":
        for name in found.names:
            _say_path(name, models.resolve(name, update=found.update, timeout_s=found.timeout), found.json)
        return 0
    if found.action == "path":
        _say_path(found.name, models.resolve(found.name, offline=True), found.json)
        return 0
    if found.action == "plan":
        vram, ram = (round(size * GIB) for size in (found.vram, found.ram))
        made = make_plan(vram, ram, model=found.model, compute_type=found.compute_type, beam_size=found.beam_size)
        if found.json:
            print(json.dumps(asdict(made) | {"fits": made.fits}))
            return 0 if made.fits else 1
        return _plan(made)
    return _verify(found.names, found.json)


class _Action(Parser):
    """The parser of one action; its name is made by argparse."""

    def __init__(self, prog: str, **_: object) -> None:
        super().__init__(prog.removeprefix("violet "), "")
        self.add_argument("--json", action="store_true", help="one JSON object a line")
        add_debug_flag(self)


def _say_path(name: str, path: Path, is_json: bool) -> None:
    print(json.dumps({"name": name, "path": str(path)}) if is_json else path)


def _list(is_json: bool) -> int:
    statuses = models.list_models()
    if is_json:
        for status in statuses:
            print(json.dumps(asdict(status) | {"path": str(status.path)}))
        return 0
    width = max(len(status.name) for status in statuses)
    for status in statuses:
        print(f"{status.name:<{width}}  {status.state:<8} {megabytes(status.size_bytes):>10}  {status.description}")
    others = [name for name in HUB_IDS if name not in MODELS]
    print(f"\nfrom the Hugging Face hub, by name: {', '.join(others)}")
    print(f"cache: {models.cache_dir()}")
    return 0


def _plan(plan: Plan) -> int:
    memory = plan.memory
    rows = [("model", "where", "when", "weights", "caches, work")]
    for item in plan.items:
        rows.append((item.name, item.place, item.residence, megabytes(item.weights_bytes), megabytes(item.work_bytes)))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        left = "  ".join(text.ljust(width) for text, width in zip(row[:3], widths[:3], strict=True))
        print(f"{left}  {row[3]:>{widths[3]}}  {row[4]:>{widths[4]}}")
    print(
        f"\nwindow of 30 s in {memory.compute_type}: {megabytes(memory.window_bytes)} of keys and values, "
        f"{megabytes(memory.row_bytes)} a sequence (beams: {plan.beam_size}), "
        f"{megabytes(memory.workspace_bytes)} of workspace"
    )
    print(f"decoded together: {plan.n_windows} windows of 30 s (at most {MAX_WINDOWS})")
    whisper = plan.items[0]
    others = [item for item in plan.items[1:] if item.residence == "resident"]
    used = {
        "GPU": 0,
        "RAM": sum(item.weights_bytes for item in others) + max((i.work_bytes for i in others), default=0),
    }
    used[whisper.place] += whisper.total_bytes if plan.n_windows else 0
    for place, available in (("GPU", plan.vram_bytes), ("RAM", plan.ram_bytes)):
        if available or place == "RAM":
            print(
                f"{place}: {megabytes(used[place])} of {megabytes(available)} usable, "
                "with all that is resident and the largest of the others at work"
            )
    if plan.fits:
        return 0
    if plan.n_windows == 0:
        smaller = largest_that_fits(plan)
        advice = f"{smaller} would fit" if smaller else "no published model fits"
        needed = f"needs {whisper.total_bytes} bytes and {plan.whisper_bytes} are available"
        print(f"{whisper.name} does not fit: it {needed}; {advice}", file=sys.stderr)
    for item in plan.items[1:]:
        if item.residence == "does not fit":
            print(f"{item.name} does not fit: it needs {item.total_bytes} bytes of RAM", file=sys.stderr)
    return 1


def _verify(names: Sequence[str], is_json: bool) -> int:
    names = names or [status.name for status in models.list_models() if status.state != "missing"]
    if not names and not is_json:
        print("nothing is cached")
    progress = Bar()
    is_damaged = False
    for name in names:
        problems = models.verify(name, progress=progress)
        is_damaged |= bool(problems)
        if is_json:
            print(json.dumps({"name": name, "problems": list(problems)}))
            continue
        for problem in problems:
            print(f"{name}: damaged: {problem}")
        if not problems:
            print(f"{name}: every byte as expected")
    if is_damaged and not is_json:
        print("mend with: violet models fetch --update MODEL")
    return 1 if is_damaged else 0
