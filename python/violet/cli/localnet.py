"""`violet localnet`: a chain in a file, to try things without a chain."""

import argparse
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from violet.chain.ledger import Rules
from violet.chain.localnet import add_stake, create, default_path, inject, register, show, step
from violet.chain.rules import MAX_UIDS
from violet.cli.parsing import Parser, add_debug_flag, number
from violet.config import ENVIRONMENT
from violet.wallet import DEFAULT_WALLET_PATH, create_wallet, load_wallet

MAX_SECONDS = 86_400
"""Longest block time."""

MAX_BLOCKS = 1_000_000
"""Longest epoch, and most blocks of a step."""


def main(argv: Sequence[str]) -> int:
    """Runs one of the six."""
    parser = Parser(
        "localnet",
        "A chain in a file that all processes of this machine share: registration, stake, permits, weights,\n"
        "epochs with Yuma consensus. Neurons use it with --subtensor.network localnet.",
        "  violet localnet create --block-time 1 --tempo 20\n"
        "  violet localnet register --wallet.name miner --create-wallet\n"
        "  violet localnet register --wallet.name validator --create-wallet\n"
        "  violet localnet stake 1000 --wallet.name validator\n"
        "  violet localnet show\n"
        "\nenvironment: VIOLET_LOCALNET, the chain's file",
    )
    add_debug_flag(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, parser_class=_Action)
    defaults = Rules()
    making = actions.add_parser("create", help="make a chain at block 0")
    making.add_argument("--netuid", type=number(int, 0, 65_535), default=defaults.netuid, metavar="N", help="(1)")
    making.add_argument(
        "--tempo",
        type=number(int, 1, MAX_BLOCKS),
        default=defaults.tempo,
        metavar="BLOCKS",
        help="blocks an epoch (20)",
    )
    making.add_argument(
        "--block-time", type=number(float, 0.01, MAX_SECONDS), default=defaults.block_time_s, metavar="S", help="(1)"
    )
    making.add_argument(
        "--weights-rate-limit",
        type=number(int, 0, MAX_BLOCKS),
        default=defaults.weights_rate_limit,
        metavar="BLOCKS",
        help=f"blocks between two settings of weights ({defaults.weights_rate_limit})",
    )
    making.add_argument(
        "--max-uids",
        type=number(int, 1, MAX_UIDS),
        default=defaults.max_uids,
        metavar="N",
        help=f"most neurons; further ones replace those that earn least ({defaults.max_uids})",
    )
    making.add_argument(
        "--immunity-period",
        type=number(int, 0, MAX_BLOCKS),
        default=defaults.immunity_period,
        metavar="BLOCKS",
        help=f"in which a new neuron is not replaced ({defaults.immunity_period})",
    )
    making.add_argument(
        "--min-allowed-weights",
        type=number(int, 0, MAX_UIDS),
        default=defaults.min_allowed_weights,
        metavar="N",
        help="(1)",
    )
    making.add_argument(
        "--max-weight-limit",
        type=number(float, 1e-6, 1),
        default=defaults.max_weight_limit,
        metavar="SHARE",
        help="most of a validator's weight that one miner may get (1)",
    )
    making.add_argument(
        "--reveal-period",
        type=number(int, 1, 100),
        metavar="EPOCHS",
        help="weights are committed, and count after so many epochs (they count at once)",
    )
    making.set_defaults(run=_create)
    joining = actions.add_parser("register", help="give a hotkey a uid")
    _add_wallet_flags(joining)
    joining.add_argument("--create-wallet", action="store_true", help="make the wallet, unencrypted, if there is none")
    joining.set_defaults(run=_register)
    staking = actions.add_parser("stake", help="give stake to a neuron (a negative amount takes it)")
    staking.add_argument("amount", type=number(float, -1e12, 1e12), metavar="AMOUNT")
    _add_wallet_flags(staking)
    staking.add_argument("--hotkey", metavar="SS58", help="whose, instead of the wallet's")
    staking.set_defaults(run=_stake)
    showing = actions.add_parser("show", help="who is registered, and what each earned")
    showing.set_defaults(run=_show)
    stepping = actions.add_parser("step", help="move the chain on, besides what time does")
    stepping.add_argument("blocks", nargs="?", type=number(int, 0, MAX_BLOCKS), default=1, metavar="BLOCKS", help="(1)")
    stepping.set_defaults(run=_step)
    breaking = actions.add_parser(
        "fault", help="let the next calls fail or stall, or forget blocks, to test what follows"
    )
    breaking.add_argument("kind", choices=("fail", "stall", "fork"))
    breaking.add_argument(
        "value",
        nargs="?",
        type=number(float, 0, 1e9),
        default=0.0,
        metavar="VALUE",
        help="seconds, or blocks to forget",
    )
    breaking.add_argument("--count", type=number(int, 1, 1000), default=1, metavar="N", help="how many calls (1)")
    breaking.set_defaults(run=_fault)
    for action in (making, joining, staking, showing, stepping, breaking):
        action.add_argument("--json", action="store_true", help="print one JSON object")
        action.add_argument(
            "--path", type=Path, metavar="FILE", help="the chain's file (VIOLET_LOCALNET, or the user's own)"
        )
    found = parser.parse_args(argv)
    found.path = (found.path or default_path()).expanduser()
    found.run(found)
    return 0


class _Action(Parser):
    """The parser of one action; its name is made by argparse."""

    def __init__(self, prog: str, **_: object) -> None:
        super().__init__(prog.removeprefix("violet "), "")
        add_debug_flag(self)


def _add_wallet_flags(parser: argparse.ArgumentParser) -> None:
    for word, read, unit, default in (
        ("name", str, "NAME", "default"),
        ("hotkey", str, "NAME", "default"),
        ("path", Path, "DIR", str(DEFAULT_WALLET_PATH)),
    ):
        variable, _ = ENVIRONMENT[f"wallet_{word}"]
        parser.add_argument(
            f"--wallet.{word}",
            dest=f"wallet_{word}",
            type=read,
            default=os.environ.get(variable) or default,
            metavar=unit,
            help=f"({default}) [{variable}]",
        )


def _fault(found: argparse.Namespace) -> None:
    inject(found.path, found.kind, found.value, found.count)
    value = {"kind": found.kind, "value": found.value, "count": found.count}
    _say(found, f"{found.kind} {found.value:g} x {found.count}", value)


def _create(found: argparse.Namespace) -> None:
    found.path.parent.mkdir(parents=True, exist_ok=True)
    rules = Rules(
        netuid=found.netuid,
        tempo=found.tempo,
        block_time_s=found.block_time,
        weights_rate_limit=found.weights_rate_limit,
        max_uids=found.max_uids,
        immunity_period=found.immunity_period,
        min_allowed_weights=found.min_allowed_weights,
        max_weight_limit=found.max_weight_limit,
        commit_reveal=found.reveal_period is not None,
        reveal_period=found.reveal_period or Rules().reveal_period,
    )
    create(found.path, rules)
    text = f"{found.path}: subnet {rules.netuid}, a block every {rules.block_time_s:g} s, {rules.tempo} blocks an epoch"
    _say(found, text, {"path": str(found.path), "rules": dataclasses.asdict(rules)})


def _register(found: argparse.Namespace) -> None:
    opened = create_wallet if found.create_wallet else load_wallet
    wallet = opened(found.wallet_name, found.wallet_hotkey, found.wallet_path)
    neuron = register(found.path, wallet.hotkey, wallet.coldkeypub.ss58_address)
    _say(found, f"uid {neuron.uid}: hotkey {neuron.hotkey} of {neuron.coldkey}", dataclasses.asdict(neuron))


def _stake(found: argparse.Namespace) -> None:
    hotkey = found.hotkey
    if hotkey is None:
        hotkey = load_wallet(found.wallet_name, found.wallet_hotkey, found.wallet_path).hotkey.ss58_address
    neuron = add_stake(found.path, hotkey, found.amount)
    text = f"uid {neuron.uid}: hotkey {neuron.hotkey} has a stake of {neuron.stake:g}"
    _say(found, text, dataclasses.asdict(neuron))


def _show(found: argparse.Namespace) -> None:
    rules, metagraph, totals = show(found.path)
    if found.json:
        value = {"rules": dataclasses.asdict(rules), "metagraph": json.loads(metagraph.to_json())}
        print(json.dumps(value | {"totals": dataclasses.asdict(totals)}))
        return
    print(
        f"{found.path}: subnet {rules.netuid}, block {metagraph.block}, {totals.epochs} epochs of {rules.tempo} blocks"
    )
    header = f"{'uid':>4}  {'hotkey':<48}  {'stake':>10}  permit  {'axon':<21}  incentive  dividends  {'earned':>10}"
    print(header)
    for neuron in metagraph.neurons:
        axon = f"{neuron.ip}:{neuron.port}" if neuron.is_serving else "-"
        permit = "yes" if neuron.validator_permit else "no"
        earned = totals.earned.get(neuron.hotkey, 0.0)
        print(
            f"{neuron.uid:>4}  {neuron.hotkey:<48}  {neuron.stake:>10g}  {permit:<6}  {axon:<21}"
            f"  {neuron.incentive:>9.3f}  {neuron.dividends:>9.3f}  {earned:>10.4f}"
        )


def _step(found: argparse.Namespace) -> None:
    block = step(found.path, found.blocks)
    _say(found, f"block {block}", {"block": block})


def _say(found: argparse.Namespace, text: str, value: Mapping[str, object]) -> None:
    print(json.dumps(value) if found.json else text)
