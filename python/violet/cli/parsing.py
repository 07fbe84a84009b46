"""How the commands read their flags: complaints in one line, ranges checked, the network's flags in one place."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from violet.config import DEFAULT_NETUID, ENVIRONMENT, HOSTED_PROXY_URL, NETWORKS

if TYPE_CHECKING:
    from violet.client import Client


RESULT_FORMATS = ("text", "srt", "vtt", "json", "verbose_json")
"""Forms in which a proxy gives a transcript."""


class Parser(argparse.ArgumentParser):
    """A parser of one command; a wrong flag is one line and exit code 2."""

    def __init__(self, command: str, description: str, examples: str = "") -> None:
        super().__init__(
            prog=f"violet {command}",
            description=description,
            epilog=f"examples:\n{examples}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Ends the program with the complaint."""
        print(f"violet: error: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)


def add_debug_flag(parser: argparse.ArgumentParser) -> None:
    """`--logging.debug`, which `violet.cli.main` looks for itself."""
    parser.add_argument("--logging.debug", dest="debug", action="store_true", help="show tracebacks")


def add_client_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a user's commands: which proxy, who asks, and how to print."""
    parser.add_argument("--url", metavar="URL", help=f"the proxy ({HOSTED_PROXY_URL}) [VIOLET_PROXY_URL]")
    parser.add_argument(
        "--api-key-file", metavar="FILE", help="file with your key at the proxy [VIOLET_API_KEY: the key]"
    )
    parser.add_argument("--json", action="store_true", help="print JSON as the proxy sends it")


def open_client(found: argparse.Namespace, env: Mapping[str, str] = os.environ) -> "Client":
    """The proxy that the flags and the environment name.

    Raises:
        OSError: The file with the key cannot be read.
    """
    from violet.client import Client

    # A key on the command line could be read by every user of the machine.
    key = Path(found.api_key_file).read_text(encoding="utf-8").strip() if found.api_key_file else None
    return Client(found.url or env.get("VIOLET_PROXY_URL") or HOSTED_PROXY_URL, key)


def number[T: (int, float)](kind: Callable[[str], T], low: float, high: float) -> Callable[[str], T]:
    """A reader of numbers from `low` to `high`."""

    def read(text: str) -> T:
        expected = f"{'a whole number' if kind is int else 'a number'} from {low:g} to {high:g}"
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not math.isfinite(value) or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"got {text!r}; expected {expected}")
        return value

    return read


def add_network_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that say which subnet of which network."""
    group = parser.add_argument_group("network")
    flags = (
        ("--netuid", "netuid", "N", "number of the subnet (49 on finney, 424 on test, 1 on localnet)"),
        ("--subtensor.network", "network", "NAME", f"one of {', '.join(NETWORKS)} (finney)"),
        ("--subtensor.chain_endpoint", "chain_endpoint", "URL", "address of a chain node (the network's own)"),
    )
    for flag, setting, unit, text in flags:
        variable, reader = ENVIRONMENT[setting]
        group.add_argument(flag, dest=setting, type=reader, metavar=unit, help=f"{text} [{variable}]")


def read_network(
    parser: argparse.ArgumentParser, found: argparse.Namespace, env: Mapping[str, str] = os.environ
) -> None:
    """Fills in what the network's flags left open, from the environment and the defaults."""
    for setting in ("netuid", "network", "chain_endpoint"):
        variable, reader = ENVIRONMENT[setting]
        if getattr(found, setting) is None and env.get(variable):
            setattr(found, setting, _read_variable(parser, variable, reader, env[variable]))
    found.network = found.network or "finney"
    if found.netuid is None:
        found.netuid = DEFAULT_NETUID.get(found.network)
    if found.netuid is None:
        parser.error(f"argument --netuid: needed on {found.network}, whose subnets have no fixed numbers")


def _read_variable(parser: argparse.ArgumentParser, variable: str, reader: Callable[[str], Any], text: str) -> Any:  # noqa: ANN401
    try:
        return reader(text)
    except argparse.ArgumentTypeError as error:
        parser.error(f"environment variable {variable}: {error}")
