"""`violet doctor`: what is missing on this machine, and how to mend it."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from violet.cli.parsing import Parser, add_debug_flag, add_network_flags, number, read_network
from violet.doctor import machine, network
from violet.doctor.finding import Finding

__all__ = ["Finding", "main"]


def main(argv: Sequence[str]) -> int:
    """Prints one line for each thing looked at; 1 if something needed is broken."""
    parser = Parser(
        "doctor",
        "Looks at what Violet needs on this machine, and says how to mend what is missing. Wallet, chain and proxy\n"
        "are looked at where you name them; the network is used only for what you name.",
        "  violet doctor\n"
        "  violet doctor --network\n"
        "  violet doctor --role validator --subtensor.network finney --wallet.name violet --wallet.hotkey default\n"
        "  violet doctor --proxy.url http://127.0.0.1:8080",
    )
    add_network_flags(parser)
    parser.add_argument("--role", choices=("miner", "validator"), help="look at what this one needs")
    parser.add_argument(
        "--wallet.name", dest="wallet_name", metavar="NAME", help="a wallet to look at [BT_WALLET_NAME]"
    )
    parser.add_argument("--wallet.hotkey", dest="wallet_hotkey", metavar="NAME", help="its hotkey [BT_WALLET_HOTKEY]")
    parser.add_argument(
        "--wallet.path", dest="wallet_path", type=Path, metavar="DIR", help="directory of all wallets [BT_WALLET_PATH]"
    )
    parser.add_argument("--axon.port", dest="axon_port", type=number(int, 1, 65_535), default=8091, metavar="PORT")
    parser.add_argument("--proxy.url", dest="proxy_url", metavar="URL", help="a proxy to look at [VIOLET_PROXY_URL]")
    parser.add_argument(
        "--network", dest="use_network", action="store_true", help="ask the hub and the package index too"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_debug_flag(parser)
    found = parser.parse_args(argv)
    env = os.environ
    is_chain_named = any(
        (found.network, found.chain_endpoint, env.get("BT_NETWORK"), env.get("BT_SUBTENSOR_CHAIN_ENDPOINT"))
    )
    read_network(parser, found)
    found.wallet_name = found.wallet_name or env.get("BT_WALLET_NAME")
    found.wallet_hotkey = found.wallet_hotkey or env.get("BT_WALLET_HOTKEY")
    found.wallet_path = found.wallet_path or (Path(path).expanduser() if (path := env.get("BT_WALLET_PATH")) else None)
    found.proxy_url = found.proxy_url or env.get("VIOLET_PROXY_URL")
    is_broken = False
    findings = chain(
        machine.look(found.role, use_network=found.use_network), network.look(found, is_chain_named=is_chain_named)
    )
    for finding in findings:
        is_broken |= finding.state == "broken"
        if found.json:
            print(json.dumps(asdict(finding), ensure_ascii=False), flush=True)
            continue
        print(f"{finding.state:<7} {finding.what:<12} {finding.text}", flush=True)
        if finding.mend is not None:
            print(f"{'':20} -> {finding.mend}", flush=True)
    return 1 if is_broken else 0
