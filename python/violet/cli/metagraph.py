"""`violet metagraph`: who is registered on the subnet, and the reader that keeps the proxy's metagraph file fresh."""

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from violet import VioletError
from violet.chain import LOCALNET, Chain, connect
from violet.cli.parsing import Parser, add_debug_flag, add_network_flags, number, read_network

INTERVAL_S = 30.0
"""Time between two readings of a real chain, whose metagraph changes with its blocks (12 s)."""

LOCALNET_INTERVAL_S = 1.0
"""Time between two readings of a localnet."""

MAX_BACKOFF_S = 300.0
"""Longest wait after a failed reading."""


class Reader:
    """Keeps a metagraph file up to date; a chain that does not answer is tried again, ever less often.

    Args:
        open_chain: Makes a connection; called again after every failure.
        path: The file, replaced in one step.
        interval_s: Time between two readings.
        warn: Is told in one line why a reading failed.
    """

    def __init__(
        self, open_chain: Callable[[], Chain], path: Path, interval_s: float, warn: Callable[[str], None]
    ) -> None:
        self._open_chain = open_chain
        self._path = path
        self._interval_s = interval_s
        self._warn = warn
        self._chain: Chain | None = None
        self._stopped = threading.Event()

    def read(self) -> None:
        """Replaces the file once.

        Raises:
            VioletError: The chain does not answer.
            OSError: The file cannot be written.
        """
        try:
            if self._chain is None:
                self._chain = self._open_chain()
            self._chain.metagraph().write_atomic(self._path)
        except BaseException:
            self._close()
            raise

    def run(self) -> None:
        """Replaces the file every interval until `stop`."""
        failures = 0
        while not self._stopped.is_set():
            try:
                self.read()
                failures = 0
            except (VioletError, OSError, ValueError) as error:
                failures += 1
                self._warn(f"metagraph not read: {error}; trying again")
            self._stopped.wait(min(MAX_BACKOFF_S, self._interval_s * 2 ** min(failures, 16)))
        self._close()

    def stop(self) -> None:
        """Ends `run` soon."""
        self._stopped.set()

    def _close(self) -> None:
        if self._chain is not None:
            self._chain.close()
            self._chain = None


def main(argv: Sequence[str]) -> int:
    """Prints the metagraph, or keeps it in a file until a signal ends it."""
    parser = Parser(
        "metagraph",
        "Who is registered on the subnet, as JSON: printed once, or kept up to date in a file for a proxy.",
        "  violet metagraph --subtensor.network test --netuid 424\n"
        "  violet metagraph --subtensor.network finney --output metagraph.json",
    )
    add_network_flags(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help="replace this file again and again (print once)")
    parser.add_argument("--json", action="store_true", help="changes nothing: it is JSON already")
    add_interval_flag(parser, "--interval")
    add_debug_flag(parser)
    found = parser.parse_args(argv)
    read_network(parser, found)

    def open_chain() -> Chain:
        return connect(found.network, found.netuid, None, chain_endpoint=found.chain_endpoint)

    if found.output is None:
        chain = open_chain()
        try:
            print(chain.metagraph().to_json())
        finally:
            chain.close()
        return 0
    reader = Reader(open_chain, found.output, interval_s(found.interval, found.network), warn)
    reader.read()
    reader.run()
    return 0


def add_interval_flag(parser: Parser, flag: str) -> None:
    """The flag for the time between two readings."""
    parser.add_argument(
        flag,
        dest="interval",
        type=number(float, 0.1, 3600),
        metavar="S",
        help=f"seconds between two readings ({INTERVAL_S:g}; {LOCALNET_INTERVAL_S:g} on localnet)",
    )


def interval_s(given: float | None, network: str) -> float:
    """The time between two readings."""
    return given or (LOCALNET_INTERVAL_S if network == LOCALNET else INTERVAL_S)


def warn(text: str) -> None:
    """One line on standard error, with the time."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {text}", file=sys.stderr, flush=True)
