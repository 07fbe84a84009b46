"""`violet status`: the subnet as chain and proxy see it, as a table that follows them."""

import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from violet import VioletError
from violet.chain import Chain, Metagraph, connect
from violet.chain import Neuron as ChainNeuron
from violet.cli.parsing import Parser, add_debug_flag, add_network_flags, number, read_network
from violet.config import ENVIRONMENT, HOSTED_PROXY_URL, LOCAL_PROXY_URL, PRIVATE_NETWORKS

CHAIN_TIMEOUT_S = 30.0
"""Longest wait for the chain."""

PROXY_TIMEOUT_S = 5.0
"""Longest wait for the proxy."""

MAX_ANSWER_BYTES = 4 << 20
"""Longest answer of the proxy that is read."""

HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
"""Orders for terminals (ECMA-48)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One neuron."""

    uid: int
    hotkey: str
    role: str
    stake: float
    incentive: float
    dividends: float
    emission: float
    weights_age: int | None
    """Blocks since it last set weights; None for one that never did."""
    axon: str | None
    kinds: tuple[str, ...]
    """What it does by the proxy's account; empty where the proxy does not know it."""
    model: str | None
    capacity: int | None
    leases: int | None
    quality: float | None
    answered: int | None
    trust: float | None


@dataclass(frozen=True, slots=True)
class Status:
    """The subnet at one moment."""

    network: str
    netuid: int
    block: int
    tempo: int
    proxy: str
    proxy_problem: str | None
    queue: Mapping[str, int]
    neurons: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can write it."""
        return asdict(self)


def main(argv: Sequence[str]) -> int:
    """Shows the table once, or again and again until Ctrl-C."""
    parser = Parser(
        "status",
        "Who is on the subnet, what each earns, and what the proxy says of the miners: a table that follows chain and\n"
        "proxy until Ctrl-C.",
        "  violet status --subtensor.network finney\n"
        "  violet status --subtensor.network localnet --proxy.url http://127.0.0.1:8080 --once\n"
        "  violet status --once --json",
    )
    add_network_flags(parser)
    variable, reader = ENVIRONMENT["proxy_url"]
    parser.add_argument("--proxy.url", dest="proxy_url", type=reader, metavar="URL", help=f"the proxy [{variable}]")
    parser.add_argument("--once", action="store_true", help="print it once")
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line")
    parser.add_argument(
        "--interval", type=number(float, 0.2, 3600), default=5.0, metavar="S", help="seconds between two looks (5)"
    )
    add_debug_flag(parser)
    found = parser.parse_args(argv)
    read_network(parser, found)
    url = found.proxy_url or os.environ.get(variable)
    url = url or (LOCAL_PROXY_URL if found.network in PRIVATE_NETWORKS else HOSTED_PROXY_URL)
    chain = connect(found.network, found.netuid, None, chain_endpoint=found.chain_endpoint, timeout_s=CHAIN_TIMEOUT_S)
    try:
        _show(chain, url.rstrip("/"), once=found.once, as_json=found.json, interval_s=found.interval)
    finally:
        chain.close()
    return 0


def _show(chain: Chain, url: str, *, once: bool, as_json: bool, interval_s: float) -> None:
    is_live = not once and not as_json and sys.stdout.isatty()
    if is_live:
        print(f"{HOME}{CLEAR_BELOW}", end="")
    last: Status | None = None
    while True:
        problem = None
        try:
            last = look(chain.metagraph(), *_ask(url), url)
        except (VioletError, OSError) as error:
            if once or last is None:
                raise
            problem = f"{error}; trying again"
        if as_json:
            print(json.dumps(last.to_dict()), flush=True)
        elif is_live:
            _draw([*table(last), *([problem] if problem else []), f"{time.strftime('%H:%M:%S')}  Ctrl-C ends this"])
        else:
            print("\n".join([*table(last), *([problem] if problem else [])]), flush=True)
        if once:
            return
        time.sleep(interval_s)


def _draw(lines: Sequence[str]) -> None:
    """Writes over the last table, line by line, so that it does not flicker; what does not fit is left out."""
    width, height = shutil.get_terminal_size()
    shown = [line[: width - 1] for line in lines[: height - 2]] + [lines[-1][: width - 1]]
    print(HOME + "".join(f"{line}{CLEAR_LINE}\n" for line in shown) + CLEAR_BELOW, end="", flush=True)


def _ask(url: str) -> tuple[Mapping[str, Any] | None, str | None]:
    """What the proxy says of itself, or why it says nothing."""
    try:
        with urllib.request.urlopen(f"{url}/v1/network", timeout=PROXY_TIMEOUT_S) as reply:
            value = json.loads(reply.read(MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        return None, f"answers {error.code} {error.reason}"
    except (OSError, ValueError) as error:
        return None, str(getattr(error, "reason", error))
    return (value, None) if isinstance(value, dict) else (None, "does not answer like a proxy")


def look(metagraph: Metagraph, network: Mapping[str, Any] | None, problem: str | None, url: str) -> Status:
    """The subnet at this moment, from what chain and proxy said."""
    document = network or {}
    by_hotkey = {miner.get("hotkey"): miner for miner in document.get("miners", ())}
    trusts = {validator.get("hotkey"): validator.get("trust") for validator in document.get("validators", ())}
    rows = [
        _row(neuron, metagraph.block, by_hotkey.get(neuron.hotkey, {}), trusts.get(neuron.hotkey))
        for neuron in metagraph.neurons
    ]
    rows.sort(key=lambda row: (-row.emission, row.uid))
    return Status(
        metagraph.network,
        metagraph.netuid,
        metagraph.block,
        metagraph.tempo,
        url,
        problem,
        dict(document.get("queue", {})),
        tuple(rows),
    )


def _row(neuron: ChainNeuron, block: int, miner: Mapping[str, Any], trust: float | None) -> Row:
    return Row(
        neuron.uid,
        neuron.hotkey,
        "validator" if neuron.validator_permit else "miner",
        neuron.stake,
        neuron.incentive,
        neuron.dividends,
        neuron.emission,
        block - neuron.last_update if neuron.last_update else None,
        f"{neuron.ip}:{neuron.port}" if neuron.is_serving else None,
        tuple(miner.get("kinds", ())),
        miner.get("model"),
        miner.get("capacity"),
        miner.get("leases"),
        miner.get("quality"),
        miner.get("answered"),
        trust,
    )


def table(status: Status) -> list[str]:
    """The lines of the table."""
    queue = ", ".join(f"{count} {state}" for state, count in status.queue.items())
    lines = [
        f"{status.network} subnet {status.netuid}, block {status.block}, {len(status.neurons)} neurons",
        f"proxy {status.proxy}: {status.proxy_problem or queue}",
        f"{'uid':>5} {'hotkey':<10} {'role':<9} {'stake':>10} {'incentive':>9} {'dividends':>9} {'emission':>9} "
        f"{'weights':>8} {'quality':>7} {'trust':>5} {'answered':>8} {'leases':>6}  kinds",
    ]
    for row in status.neurons:
        age = "-" if row.weights_age is None else f"-{row.weights_age}"
        leases = "-" if row.capacity is None else f"{row.leases}/{row.capacity}"
        kinds = ",".join(row.kinds) + (f" ({row.model})" if row.model else "")
        lines.append(
            f"{row.uid:>5} {row.hotkey[:8]:<10} {row.role:<9} {row.stake:>10.5g} {row.incentive:>9.4f} "
            f"{row.dividends:>9.4f} {row.emission:>9.4g} {age:>8} {_number(row.quality):>7} {_number(row.trust):>5} "
            f"{'-' if row.answered is None else row.answered:>8} {leases:>6}  {kinds or '-'}"
        )
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
