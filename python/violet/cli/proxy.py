"""`violet proxy`: the service between users, miners and validators, with the reader of the metagraph beside it."""

import json
import os
import sys
import threading
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from violet import VioletError, _core
from violet.chain import LOCALNET, Chain, connect
from violet.cli.metagraph import Reader, add_interval_flag, interval_s, warn
from violet.cli.parsing import Parser, add_debug_flag, add_network_flags, read_network

LOCALNET_MAX_AGE_S = 60
"""Age from which a localnet's metagraph is not trusted, seconds (docs/protocol.md)."""

DATA_DIR = "violet-proxy-data"
"""Where the proxy keeps its data unless an option says otherwise; its own default."""

STOP_TIMEOUT_S = 2.0
"""How long the reader may take to end; it has nothing to lose."""


def main(argv: Sequence[str]) -> int:
    """Serves until a signal ends it; the proxy's own exit code."""
    parser = Parser(
        "proxy",
        "Runs the proxy: users send it audio, miners fetch work from it, validators judge the answers.\n"
        "Who is registered is read from the chain all the while, unless --metagraph names a file that something else\n"
        "keeps up to date. Options of the proxy itself are listed below.",
        "  violet proxy --subtensor.network localnet --port 8080\n"
        "  violet proxy --subtensor.network finney --host 0.0.0.0 --port 443 --public-url https://proxy.example\n"
        "  violet proxy --store firestore:PROJECT --blobs gs://BUCKET --credentials service-account.json\n"
        "  violet proxy check-config --config proxy.toml\n"
        "  violet proxy migrate --data-dir violet-proxy-data\n"
        "  violet proxy new-key alice --api-keys keys.json\n"
        "  violet proxy admin create-key alice\n",
    )
    add_network_flags(parser)
    add_interval_flag(parser, "--metagraph.interval")
    add_debug_flag(parser)
    if {"-h", "--help"}.intersection(argv):
        parser.print_help()
        print("\noptions of the proxy itself\n", flush=True)
        return _core.run_proxy(["--help"])
    found, rest = parser.parse_known_args(argv)
    if _option(rest, "metagraph") or (rest and not rest[0].startswith("-")):
        # Somebody else keeps the file, or this does not serve at all (admin, new-key, check-config, migrate).
        return _core.run_proxy(rest)
    read_network(parser, found)
    path = Path(_option(rest, "data-dir") or DATA_DIR) / "metagraph.json"
    say = _warn_as_json if _option(rest, "log-format") == "json" else warn

    def open_chain() -> Chain:
        return connect(found.network, found.netuid, None, chain_endpoint=found.chain_endpoint)

    reader = Reader(open_chain, path, interval_s(found.interval, found.network), say)
    try:
        reader.read()
    except (VioletError, OSError) as error:
        # With an older file the proxy can start; it answers 503 once that is too old.
        if not path.is_file():
            raise
        say(f"metagraph not read: {error}; starting with the one in {path}")
    own = ["--metagraph", str(path)]
    if found.network == LOCALNET and _option(rest, "metagraph-max-age-s") is None:
        own += ["--metagraph-max-age-s", str(LOCALNET_MAX_AGE_S)]
    thread = threading.Thread(target=reader.run, name="metagraph", daemon=True)
    thread.start()
    try:
        return _core.run_proxy([*own, *rest])
    finally:
        reader.stop()
        thread.join(STOP_TIMEOUT_S)
        sys.stderr.flush()


def _option(arguments: Sequence[str], name: str) -> str | None:
    """What one of the proxy's own options is set to, by flag, variable or file as the proxy reads it; None if unset."""
    for at, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag == f"--{name}":
            return value if equals else next(iter(arguments[at + 1 :]), None)
    variable = os.environ.get(f"VIOLET_PROXY_{name.replace('-', '_').upper()}")
    if variable or name == "config":
        return variable or None
    path = _option(arguments, "config")
    if path is None:
        return None
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the proxy says what is wrong with it
    said = table.get(name, table.get(name.replace("-", "_")))
    return None if said is None else str(said)


def _warn_as_json(text: str) -> None:
    """One line on standard error in the form of the proxy's own."""
    timestamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    line = {"timestamp": timestamp, "level": "WARN", "target": "violet.metagraph", "message": text}
    print(json.dumps(line), file=sys.stderr, flush=True)
