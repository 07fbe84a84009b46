"""`violet info` and `violet convert`: what an audio file is, and the same audio as another file."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from violet import audio

BITS: Mapping[str, audio.Bits] = {"16": 16, "24": 24, "float": "float"}
"""How samples are stored, by the names of the command line."""


def info(argv: Sequence[str]) -> int:
    """Prints what audio files are; 1 if one could not be read."""
    from violet.cli import describe

    parser = argparse.ArgumentParser(prog="violet info", description="What audio files are, from their headers.")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    args = parser.parse_args(argv)
    failures = 0
    for path in args.files:
        try:
            facts = asdict(audio.info(path))
        except (OSError, ValueError) as error:
            # One bad file does not hide what the others are.
            print(f"violet: error: {describe(error)}", file=sys.stderr)
            failures += 1
            continue
        if args.json:
            print(json.dumps({"file": str(path), **facts}, ensure_ascii=False))
            continue
        print(path)
        for name, value in (*facts.items(), *((f"tag {key}", text) for key, text in facts["tags"].items())):
            if name != "tags" and value is not None:
                print(f"  {name:<12} {value:.3f}" if isinstance(value, float) else f"  {name:<12} {value}")
    return 1 if failures else 0


def convert(argv: Sequence[str]) -> int:
    """Writes the audio of one file as another."""
    parser = argparse.ArgumentParser(prog="violet convert", description="Write the audio of a file as another file.")
    parser.add_argument("input", type=Path, metavar="IN")
    parser.add_argument("output", type=Path, metavar="OUT", help="its name ends in wav, flac, opus, mp3, aac or pcm")
    parser.add_argument("--sample-rate", type=int, metavar="HZ", help="resample to this rate")
    parser.add_argument("--mono", action="store_true", help="mix all channels to one")
    parser.add_argument("--channel", type=int, metavar="N", help="take this channel alone, counted from 0")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="begin here, seconds")
    parser.add_argument("--duration", type=float, metavar="S", help="take this much, seconds")
    parser.add_argument("--bits", choices=BITS, default="16", help="how samples are stored")
    parser.add_argument("--bit-rate", type=int, metavar="BPS", help="of opus, mp3 and aac, bits a second")
    parser.add_argument("--allow-ffmpeg", action="store_true", help="let ffmpeg read what Violet cannot")
    parser.add_argument("--json", action="store_true", help="say what was written as one JSON object")
    args = parser.parse_args(argv)
    if args.output.exists() and args.output.samefile(args.input):
        parser.error(f"{args.input} would be overwritten while it is read; name another file to write")
    blocks = audio.stream(
        args.input,
        args.sample_rate,
        block_s=10.0,
        mono=args.mono,
        channel=args.channel,
        start_s=args.start,
        duration_s=args.duration,
        allow_ffmpeg=args.allow_ffmpeg,
    )
    audio.save(args.output, blocks, blocks.sample_rate, bits=BITS[args.bits], bit_rate=args.bit_rate)
    if args.json:
        print(
            json.dumps(
                {"file": str(args.output), "sample_rate": blocks.sample_rate, "bytes": args.output.stat().st_size}
            )
        )
    return 0
