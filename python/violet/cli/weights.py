"""`violet weights`: what a validator would tell the chain now, and why each miner gets what it gets."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from violet.chain import connect
from violet.cli.parsing import Parser, add_debug_flag, add_network_flags, read_network
from violet.config import ENVIRONMENT, neuron_dir
from violet.scoreboard import Audit, Scoreboard, StateError
from violet.weighing import Weighed, Weighing

CHAIN_TIMEOUT_S = 30.0
"""Longest wait for the chain."""


def main(argv: Sequence[str]) -> int:
    """Prints the weights that follow from a validator's saved state; sets nothing."""
    parser = Parser(
        "weights",
        "The weights that follow from a validator's saved scores and the chain's metagraph, as it would set them now.\n"
        "A dry run: nothing is sent, no key is needed, and the validator may be running.",
        "  violet weights --explain --wallet.name violet\n"
        "  violet weights --explain --json --neuron.path DIR --subtensor.network localnet",
    )
    add_network_flags(parser)
    parser.add_argument(
        "--wallet.name", dest="wallet_name", metavar="NAME", help="the validator's wallet (default) [BT_WALLET_NAME]"
    )
    parser.add_argument(
        "--wallet.hotkey", dest="wallet_hotkey", metavar="NAME", help="its hotkey (default) [BT_WALLET_HOTKEY]"
    )
    parser.add_argument(
        "--neuron.path",
        dest="path",
        type=Path,
        metavar="DIR",
        help="the validator's --neuron.path, where that was given",
    )
    parser.add_argument("--explain", action="store_true", help="say how each weight came about")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with everything")
    add_debug_flag(parser)
    found = parser.parse_args(argv)
    read_network(parser, found)
    name, hotkey = (
        getattr(found, setting) or os.environ.get(ENVIRONMENT[setting][0]) or "default"
        for setting in ("wallet_name", "wallet_hotkey")
    )
    path = (found.path or neuron_dir(found.network, found.netuid, name, hotkey, "validator")) / "scores.json"
    if not path.exists():
        message = f"no validator has left scores at {path}; name its directory with --neuron.path"
        raise StateError(message)
    board = Scoreboard.open(path)
    chain = connect(found.network, found.netuid, None, chain_endpoint=found.chain_endpoint, timeout_s=CHAIN_TIMEOUT_S)
    try:
        metagraph = chain.metagraph()
    finally:
        chain.close()
    weighing, audit = board.weigh(metagraph), board.audit()
    if found.json:
        value = {"netuid": found.netuid, "network": found.network, "block": metagraph.block, **weighing.to_dict()}
        about_proxy = {"disagreement": audit.disagreement, "is_flagged": audit.is_flagged}
        print(json.dumps({**value, "proxy": about_proxy}))
    else:
        print("\n".join(_lines(weighing, audit, explain=found.explain)))
    sys.stdout.flush()
    return 0


def _lines(weighing: Weighing, audit: Audit, *, explain: bool) -> list[str]:
    lines = [
        f"{'uid':>5}  {'weight':>7}  {'score':>6}  {'available':>9}  {'credible':>8}  {'group':<12}  quality by kind"
    ]
    miners = sorted(weighing.miners, key=lambda miner: (-miner.weight, miner.uid))
    for miner in miners:
        kinds = ", ".join(f"{kind.kind} {kind.quality:.2f}" for kind in miner.kinds) or "not measured"
        group = "alone" if len(miner.group_uids) == 1 else "+".join(map(str, miner.group_uids))
        lines.append(
            f"{miner.uid:>5}  {miner.weight:>7.4f}  {miner.score:>6.3f}  {miner.availability:>9.3f}"
            f"  {miner.credibility:>8.3f}  {group:<12.12}  {kinds}"
        )
        if explain:
            lines += _explained(miner, weighing)
    if not weighing.weights:
        lines.append("nobody has earned a weight yet: nothing would be set")
    elif weighing.burned > 0:
        lines.append(f"burned: {weighing.burned:.4f}")
    lines.append(
        f"the proxy's account of miners: {audit.disagreement:+.1f} standard deviations from what was seen directly, "
        + ("FLAGGED" if audit.is_flagged else "not flagged")
    )
    return lines


def _explained(miner: Weighed, weighing: Weighing) -> list[str]:
    lines = [f"       hotkey {miner.hotkey}"]
    for kind in miner.kinds:
        means = " and ".join(
            f"{name} {'not measured' if mean is None else f'{mean:.3f}'}"
            for name, mean in (("through the proxy", kind.through_proxy), ("direct", kind.direct))
        )
        lines.append(
            f"       {kind.kind}: {kind.share:.2f} of the reward x sure {kind.confidence:.3f} x quality "
            f"{kind.quality:.3f} (the lesser of: {means})"
        )
    lines.append(
        f"       score {miner.score:.3f}: the sum of these x the cube root of {miner.availability:.3f} available "
        f"x {miner.credibility:.3f} credible to the power of 2.5"
    )
    lines.append(
        f"       which earns {miner.earning:.4f}; its group has {miner.group_share:.3f} of all "
        f"that is earned, at most {weighing.group_cap:.2f}; its own share {miner.share:.4f}"
    )
    return lines + [f"       - {reason}" for reason in miner.reasons]
