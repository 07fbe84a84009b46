"""`violet speak` and `violet voices`: text to speech on this machine."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from violet.cli.parsing import Parser, add_debug_flag, number
from violet.progress import Bar

if TYPE_CHECKING:
    from violet.audio import Format
    from violet.synthesizer import Chunk, Options

FORMATS = ("wav", "flac", "mp3", "aac", "opus", "pcm")
"""Formats that are written; each is also the end of a file's name."""


def main(argv: Sequence[str]) -> int:
    """Says a text into a file."""
    parser = _parser()
    found = parser.parse_args(argv)
    kind = found.format or found.output.suffix.removeprefix(".").lower()
    kind = {"wave": "wav", "ogg": "opus", "oga": "opus", "raw": "pcm", "adts": "aac"}.get(kind, kind)
    if kind not in FORMATS:
        parser.error(f"{found.output} ends in no known format; expected one of {', '.join(FORMATS)}, or --format")
    text = sys.stdin.read() if found.text == "-" else found.text
    if not found.ssml and text.lstrip("\ufeff \t\r\n").startswith("<speak"):
        print(
            "violet: the text looks like SSML, and its marks are said too; with --ssml they are followed",
            file=sys.stderr,
        )

    from violet import Synthesizer, _core

    voice = Synthesizer(found.voice, found.device, num_threads=found.threads)
    options: Options = {
        "speed": found.speed,
        "seed": found.seed,
        "speaker": found.speaker,
        "noise_scale": found.noise_scale,
        "noise_w": found.noise_w,
        "description": found.description,
        "phonemizer": found.phonemizer,
        "lexicon": found.lexicon,
        "ssml": found.ssml,
        "sample_rate": found.sample_rate,
    }
    began = time.monotonic()
    if found.normalize_loudness:
        speech = voice.synthesize(text, normalize_loudness=True, **options)
        speech.save(found.output, cast("Format", kind))
        duration_s, skipped = speech.duration_s, speech.skipped
    else:
        # Written while it is said: hours take no more memory than minutes.
        chunks = voice.stream(text, **options)
        first = next(chunks)
        writer = _core.AudioEncoder(found.output, first.sample_rate, 1, (kind, "16", None, 0))
        duration_s, skipped = 0.0, list[str]()
        bar, n_said = Bar(), 0
        for chunk in _all(first, chunks):
            writer.write(chunk.samples)
            duration_s += len(chunk.samples) / chunk.sample_rate
            skipped += [symbol for symbol in chunk.skipped if symbol not in skipped]
            n_said = min(n_said + len(chunk.text) + 1, len(text))
            if not found.quiet:
                bar.update(found.output.name, n_said, len(text), f"{duration_s:.0f} s")
        writer.finish()
        bar.end()
    if skipped:
        shown = ", ".join(f"{symbol!r} (U+{ord(symbol):04X})" for symbol in skipped[:8])
        print(f"violet: not said: {shown}{' ...' if len(skipped) > 8 else ''}", file=sys.stderr)
    elapsed_s = max(time.monotonic() - began, 1e-3)
    if found.json:
        told = {"file": str(found.output), "duration_s": duration_s, "elapsed_s": elapsed_s, "skipped": list(skipped)}
        print(json.dumps(told, ensure_ascii=False))
    elif not found.quiet:
        speed = f"{duration_s / elapsed_s:.0f} times real time"
        print(f"{found.output}: {duration_s:.1f} s of speech in {elapsed_s:.1f} s ({speed})", file=sys.stderr)
    return 0


def _all(first: "Chunk", rest: "Iterator[Chunk]") -> "Iterator[Chunk]":
    yield first
    yield from rest


def _parser() -> Parser:
    parser = Parser(
        "speak",
        "Says a text into a file on this machine: wav, flac, mp3, aac, opus or pcm.",
        '  violet speak "Hello, world!" -o hello.wav\n'
        "  violet speak - -o book.opus --speed 1.1 < book.txt\n"
        '  violet speak "<speak>One <break time=\\"1s\\"/> two</speak>" --ssml -o count.flac\n'
        '  violet speak "It is called [[bˈɪttɛnsɚ]]." -o name.wav',
    )
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument(
        "--voice", default="joe", metavar="VOICE", help="name or path of a voice (joe); see violet voices"
    )
    parser.add_argument("--speed", type=number(float, 0.25, 4), default=1.0, metavar="X", help="0.25 to 4 (1)")
    parser.add_argument("--format", choices=FORMATS, help="file format (by the end of the file's name)")
    parser.add_argument("--sample-rate", type=number(int, 8_000, 192_000), metavar="HZ", help="(the voice's own)")
    parser.add_argument("--normalize-loudness", action="store_true", help="-16 LUFS, true peak at most -1 dBTP")
    parser.add_argument("--ssml", action="store_true", help="the text is SSML")
    parser.add_argument(
        "--lexicon", type=Path, metavar="FILE", help="pronunciations: word, tabulator, IPA on each line"
    )
    parser.add_argument(
        "--phonemizer", choices=("violet", "espeak"), default="violet", help="espeak: an espeak-ng on PATH (violet)"
    )
    parser.add_argument("--speaker", metavar="NAME", help="name or number of the voice's speaker (the first)")
    parser.add_argument("--seed", type=number(int, 0, 2**64 - 1), default=0, metavar="N", help="of the noise (0)")
    parser.add_argument("--noise-scale", type=number(float, 0, 4), metavar="X", help="how much the voice varies")
    parser.add_argument("--description", metavar="TEXT", help="how a Parler-TTS voice sounds, in words")
    parser.add_argument("--noise-w", type=number(float, 0, 4), metavar="X", help="how much lengths vary")
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="auto or cpu (auto)")
    parser.add_argument("--threads", type=number(int, 1, 1024), metavar="N", help="processor threads (all)")
    parser.add_argument("--json", action="store_true", help="say what was written as one JSON object")
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")
    add_debug_flag(parser)
    return parser
