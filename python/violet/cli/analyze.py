"""`violet analyze`: what a recording is like."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from violet.cli.parsing import Parser, add_debug_flag


def main(argv: Sequence[str]) -> int:
    """Analyses every file that can be; 1 if one could not."""
    from violet.analysis import FIELDS, analyze
    from violet.cli import describe

    parser = Parser(
        "analyze",
        "Measures recordings: levels, loudness, noise, pitch, voice, spectrum, rhythm, speech.",
        "  violet analyze talk.mp3\n"
        "  violet analyze *.wav --fields level,loudness,true_peak --json\n"
        "  violet analyze talk.mp3 --html > talk.html\n"
        "  violet analyze *.flac --png --output-dir pictures",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="audio files")
    parser.add_argument("--fields", metavar="NAME[,..]", help=f"what to measure, of {', '.join(FIELDS)} (all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a line of JSON for every file")
    form.add_argument("--html", action="store_true", help="a page with waveform, spectrogram, loudness, pitch, speech")
    form.add_argument("--png", action="store_true", help="a picture of the mel spectrogram")
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="write FILE.json (html, png) here")
    add_debug_flag(parser)
    found = parser.parse_args(argv)
    suffix = "json" if found.json else "html" if found.html else "png" if found.png else "txt"
    if found.output_dir is None and suffix in {"html", "png"} and len(found.files) > 1:
        parser.error(f"--{suffix} of {len(found.files)} files needs --output-dir to write them to")
    if found.output_dir is None and suffix == "png" and sys.stdout.isatty():
        parser.error("--png writes a picture: send it to a file (> FILE.png) or give --output-dir")
    fields = None if found.fields is None else [name.strip() for name in found.fields.split(",") if name.strip()]
    unknown = [name for name in fields or () if name not in FIELDS]
    if unknown:
        parser.error(f"got field {unknown[0]!r}; expected some of {', '.join(FIELDS)}")
    if found.output_dir is not None:
        found.output_dir.mkdir(parents=True, exist_ok=True)
    failures = 0
    for path in found.files:
        try:
            analysis = analyze(path, [] if found.png and fields is None else fields, tracks=found.html or found.png)
            if found.json:
                content = (json.dumps({"file": str(path), **analysis.to_dict()}, ensure_ascii=False) + "\n").encode()
            elif found.png:
                content = analysis.picture
            else:
                content = (analysis.to_html() if found.html else f"# {path}\n{analysis.to_table()}\n").encode()
            if found.output_dir is None:
                sys.stdout.buffer.write(content)
                sys.stdout.buffer.flush()
            else:
                target = found.output_dir / f"{path.name}.{suffix}"
                target.write_bytes(content)
                print(f"wrote {target}", file=sys.stderr)
        except (OSError, ValueError, RuntimeError) as error:
            # One bad file does not cost the others their analysis.
            text = describe(error)
            print(f"violet: error: {text if str(path) in text else f'{path}: {text}'}", file=sys.stderr)
            failures += 1
    return 1 if failures else 0
