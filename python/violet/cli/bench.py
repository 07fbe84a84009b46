"""`violet bench`: how fast this machine does each kind of task, and the capacity that a miner here should declare."""

import json
from collections.abc import Sequence

from violet.cli.parsing import Parser, add_debug_flag


def main(argv: Sequence[str]) -> int:
    """Prints what was measured."""
    parser = Parser(
        "bench",
        "Measures each kind of task on this machine, and how many transcriptions at once are done in the time that is\n"
        "paid in full. A miner does the same when it starts, unless --capacity says how many.",
        "  violet bench\n  violet bench --model base --device cuda --json",
    )
    parser.add_argument("--model", default="tiny.en", metavar="NAME", help="Whisper model (tiny.en)")
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or metal (auto)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_debug_flag(parser)
    found = parser.parse_args(argv)

    from violet.bench import measure
    from violet.speaking import Voices, voices_here
    from violet.transcriber import Transcriber

    bench = measure(Transcriber(found.model, found.device), Voices(voices_here()))
    if found.json:
        print(json.dumps(bench.to_dict()))
        return 0
    print(f"{'kind':<14}{'at once':>8}{'audio s':>9}{'took s':>8}{'in full up to s':>17}{'x real time':>13}")
    for speed in bench.speeds:
        print(
            f"{speed.kind:<14}{speed.at_once:>8}{speed.audio_s:>9.1f}{speed.seconds:>8.2f}{speed.target_s:>17.2f}"
            f"{speed.times_real_time:>13.1f}"
        )
    print(f"capacity: {bench.capacity}")
    for reason in bench.too_slow:
        print(f"too slow to be paid in full: {reason}")
    return 0
