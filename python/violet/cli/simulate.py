"""`violet simulate`: what miners and validators of every kind earn under the subnet's rules."""

import sys
from collections.abc import Sequence
from pathlib import Path

from violet.cli.parsing import Parser, add_debug_flag, number


def main(argv: Sequence[str]) -> int:
    """Prints the shares of emission by rule set."""
    parser = Parser(
        "simulate",
        "Runs the subnet's rules against miners, validators and a proxy that are honest, weak, lazy or dishonest, and\n"
        "prints who earns what: under rules that add quality, speed and availability up, under rules that multiply\n"
        "them, and under those of this network (proposed). The same seed gives the same numbers.",
        "  violet simulate\n"
        "  violet simulate --seed 7 --epochs 200 --json\n"
        "  violet simulate --colluding-stake 0.3 --html emission.html",
    )
    parser.add_argument("--seed", type=number(int, 0, 2**63 - 1), default=0, metavar="N", help="of all draws (0)")
    parser.add_argument("--epochs", type=number(int, 10, 1000), default=60, metavar="N", help="10 to 1000 (60)")
    parser.add_argument(
        "--colluding-stake",
        type=number(float, 0, 0.49),
        default=0.49,
        metavar="SHARE",
        help="share of the stake that colluding validators hold, 0 to 0.49 (0.49)",
    )
    parser.add_argument(
        "--colluders", type=number(int, 1, 40), default=12, metavar="N", help="hotkeys that they divide it among (12)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with a chart to FILE")
    add_debug_flag(parser)
    found = parser.parse_args(argv)

    from violet import _core

    table, json, html = _core.simulate(found.seed, found.epochs, found.colluding_stake, found.colluders)
    if found.html is not None:
        found.html.write_text(html, encoding="utf-8")
    print(json if found.json else table.rstrip("\n"))
    sys.stdout.flush()
    return 0
