"""`violet transcribe`: speech to text on this machine."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from violet.cli.parsing import Parser, add_debug_flag, number
from violet.progress import Bar, Progress

if TYPE_CHECKING:
    from violet import Transcriber, Transcript
    from violet.transcriber import Options


@dataclass(frozen=True, slots=True)
class Layout:
    """How subtitles are cut into cues and lines."""

    max_line_width: int | None = None
    max_line_count: int | None = None
    max_words_per_line: int | None = None
    highlight_words: bool = False


FORMATS: Mapping[str, "Callable[[Transcript, Layout], str]"] = {
    "txt": lambda transcript, _: transcript.to_txt(),
    "srt": lambda transcript, layout: transcript.to_srt(**asdict(layout)),
    "vtt": lambda transcript, layout: transcript.to_vtt(**asdict(layout)),
    "tsv": lambda transcript, _: transcript.to_tsv(),
    "json": lambda transcript, _: transcript.to_verbose_json() + "\n",
}
"""How a transcript is written, by format; the format is also the suffix of the file."""

SUBTITLES = ("srt", "vtt")
"""The formats that a layout concerns."""

MAX_LINE_WIDTH = 1000
"""Most characters that a line can be asked to have."""

MAX_LINES = 20
"""Most lines or words that a cue can be asked to have: with highlighting its text is repeated for each word."""

MAX_TEMPERATURE = 2.0
"""Greatest decoding temperature."""

MAX_TOKEN = 1_000_000
"""Greatest token that can be named; every model's own greatest is lower."""

MAX_TIME_S = 360_000.0
"""Latest time in a recording that can be asked for."""

NUMBERS: Mapping[str, tuple[type[int] | type[float], float, float, str]] = {
    "best_of": (int, 1, 32, "sequences drawn at temperatures above 0; the likeliest is kept (5)"),
    "patience": (float, 0.01, 100, "the beam search ends when beam size times this many sequences have ended (1)"),
    "length_penalty": (float, 0, 1, "exponent of the length that log probabilities are divided by (mean)"),
    "repetition_penalty": (float, 0.01, 100, "above 1: tokens of the window so far become less likely (1)"),
    "no_repeat_ngram_size": (int, 0, 448, "no sequence of so many tokens comes twice in a window (0: no such rule)"),
    "max_new_tokens": (int, 1, 448, "most tokens of a window (half of the model's positions)"),
    "compression_ratio_threshold": (float, 0, 1000, "try again where the text compresses better: it repeats (2.4)"),
    "logprob_threshold": (float, -1000, 1000, "try again where the mean log probability is lower (-1)"),
    "no_speech_threshold": (float, 0, 1, "an improbable window is silence above this probability (0.6)"),
    "seed": (int, 0, 10**15, "seed of the draws at temperatures above 0 (0)"),
    "hallucination_silence_threshold": (
        float,
        0,
        3600,
        "drop words that are likely made up where more silence is around them, seconds (never)",
    ),
}
"""Options of decoding that are one number: its type, least and greatest value, and what it means."""


def main(argv: Sequence[str]) -> int:
    """Transcribes every file that can be; 1 if one could not."""
    parser = _parser()
    found = parser.parse_args(argv)
    if len(found.files) > 1 and found.output_dir is None and found.format != "txt":
        parser.error(f"--format {found.format} of {len(found.files)} files needs --output-dir to write them to")
    layout = Layout(found.max_line_width, found.max_line_count, found.max_words_per_line, found.highlight_words)
    if layout != Layout() and found.format not in SUBTITLES:
        parser.error(f"--format {found.format} has no lines to lay out; expected srt or vtt")
    if found.output_dir is not None:
        found.output_dir.mkdir(parents=True, exist_ok=True)

    from violet import Transcriber
    from violet.cli import describe
    from violet.models import resolve

    progress = Bar()
    if found.vad or found.batch_size > 1:
        resolve("silero-vad", progress=progress)
    directory = resolve(found.model, progress=progress)
    model = Transcriber(directory, found.device, num_threads=found.threads, compute_type=found.compute_type)
    outputs = _outputs(found.files, found.output_dir, found.format)
    failures = 0
    for path in found.files:
        try:
            # Cues and lines are made of words with times.
            transcript = _transcribe(model, path, found, found.word_timestamps or layout != Layout(), progress)
            _write(FORMATS[found.format](transcript, layout), path, outputs.get(path), found, progress)
        except (OSError, ValueError, RuntimeError) as error:
            # One bad file does not cost the others their transcripts.
            progress.end()
            text = describe(error)
            print(f"violet: error: {text if str(path) in text else f'{path}: {text}'}", file=sys.stderr)
            failures += 1
    return 1 if failures else 0


def _parser() -> Parser:
    parser = Parser(
        "transcribe",
        "Turns speech into text on this machine: any file that violet.load reads.",
        "  violet transcribe talk.mp3\n"
        "  violet transcribe talk.mp3 --format srt > talk.srt\n"
        "  violet transcribe talk.mp3 --format vtt --max-line-width 42 --max-line-count 2 --highlight-words\n"
        "  violet transcribe *.flac --model base --language de --format vtt --output-dir subtitles",
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="audio files")
    parser.add_argument(
        "--model",
        default="tiny.en",
        metavar="NAME",
        help="name, directory or Hugging Face id (tiny.en); see violet models",
    )
    parser.add_argument("--language", metavar="CODE", help="language spoken, such as en (detected)")
    parser.add_argument("--format", choices=FORMATS, default="txt", help="how to write the transcript (txt)")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    parser.add_argument("--word-timestamps", action="store_true", help="find when each word was said (json)")
    parser.add_argument(
        "--max-line-width", type=number(int, 1, MAX_LINE_WIDTH), metavar="N", help="most characters a line (srt, vtt)"
    )
    parser.add_argument(
        "--max-line-count", type=number(int, 1, MAX_LINES), metavar="N", help="most lines a cue (srt, vtt)"
    )
    parser.add_argument(
        "--max-words-per-line", type=number(int, 1, MAX_LINES), metavar="N", help="most words a cue (srt, vtt)"
    )
    parser.add_argument("--highlight-words", action="store_true", help="underline each word in its time (srt, vtt)")
    parser.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="write FILE.txt (srt, ..) here, not to the screen"
    )
    parser.add_argument("--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda, cuda:N or metal (auto)")
    parser.add_argument("--threads", type=number(int, 1, 1024), metavar="N", help="processor threads (all)")
    parser.add_argument(
        "--temperature",
        type=_temperatures,
        metavar="T[,T..]",
        help="decoding temperatures to try in order while a result looks wrong (0,0.2,0.4,0.6,0.8,1)",
    )
    parser.add_argument(
        "--beam-size", type=number(int, 1, 32), default=1, metavar="N", help="hypotheses kept (1: greedy)"
    )
    parser.add_argument(
        "--batch-size",
        type=number(int, 1, 128),
        default=1,
        metavar="N",
        help="chunks of speech decoded side by side (1: window after window, each with the text before it)",
    )
    parser.add_argument("--vad", action="store_true", help="leave out silence (fetches silero-vad once)")
    parser.add_argument("--multilingual", action="store_true", help="detect the language again in every window")
    parser.add_argument(
        "--no-context", action="store_true", help="decode each window without the text of the one before it"
    )
    parser.add_argument(
        "--compute-type",
        default="auto",
        metavar="TYPE",
        help="numbers to compute in: auto, float32, float16, bfloat16 or int8 (auto)",
    )
    parser.add_argument("--translate", action="store_true", help="write English, whatever is spoken")
    parser.add_argument("--hotwords", metavar="TEXT", help="words that are likely to be said")
    parser.add_argument("--prompt", metavar="TEXT", help="text taken as said before, for names and spelling")
    parser.add_argument(
        "--carry-initial-prompt", action="store_true", help="put --prompt before every window, not the first ones alone"
    )
    parser.add_argument("--prefix", metavar="TEXT", help="what is said first; decoding goes on from there")
    parser.add_argument(
        "--clip-timestamps",
        type=_times,
        metavar="S[,S..]",
        help="start,end,start,end of the parts to transcribe, seconds (all of it)",
    )
    parser.add_argument(
        "--suppress-tokens",
        type=_tokens,
        metavar="N[,N..]",
        help="tokens that are never written; -1: those that are not speech (--suppress-tokens=-1)",
    )
    parser.add_argument(
        "--without-timestamps", action="store_true", help="decode without times: each window is one segment"
    )
    for name, (kind, least, greatest, meaning) in NUMBERS.items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=number(kind, least, greatest), metavar="N", help=meaning)
    parser.add_argument("--quiet", action="store_true", help="no progress and no summary")
    add_debug_flag(parser)
    return parser


def _temperatures(text: str) -> tuple[float, ...]:
    return tuple(number(float, 0, MAX_TEMPERATURE)(part) for part in text.split(","))


def _times(text: str) -> tuple[float, ...]:
    return tuple(number(float, 0, MAX_TIME_S)(part) for part in text.split(","))


def _tokens(text: str) -> tuple[int, ...]:
    return tuple(number(int, -1, MAX_TOKEN)(part) for part in text.split(","))


def _transcribe(
    model: "Transcriber", path: Path, found: argparse.Namespace, word_timestamps: bool, progress: Progress
) -> "Transcript":
    began = time.monotonic()

    def show(fraction: float, text: str) -> None:
        if not found.quiet:
            progress.update(path.name, fraction, 1.0, text[-40:].strip())

    options: Options = {
        "task": "translate" if found.translate else "transcribe",
        "language": found.language,
        "multilingual": found.multilingual,
        "beam_size": found.beam_size,
        "batch_size": found.batch_size,
        "vad_filter": found.vad,
        "condition_on_previous_text": not found.no_context,
        "hotwords": found.hotwords,
        "prompt": found.prompt,
        "carry_initial_prompt": found.carry_initial_prompt,
        "prefix": found.prefix,
        "without_timestamps": found.without_timestamps,
        # Which words are made up is told by their times.
        "word_timestamps": word_timestamps or found.hallucination_silence_threshold is not None,
    }
    given = {name: getattr(found, name) for name in ("temperature", "clip_timestamps", "suppress_tokens", *NUMBERS)}
    options.update(cast("Options", {name: value for name, value in given.items() if value is not None}))
    transcript = model.transcribe(path, progress=show, **options)
    progress.end()
    if not found.quiet:
        elapsed_s = max(time.monotonic() - began, 1e-3)
        speed = f"{transcript.duration_s / elapsed_s:.0f} times real time"
        progress.note(
            f"{path.name}: {transcript.duration_s:.1f} s of audio in {elapsed_s:.1f} s ({speed}), {transcript.language}"
        )
    return transcript


def _outputs(files: Sequence[Path], directory: Path | None, format_name: str) -> dict[Path, Path]:
    """Where each transcript goes; two inputs that differ in their suffix alone keep it, so that none is lost."""
    if directory is None:
        return {}
    stems = Counter(path.stem for path in dict.fromkeys(files))
    names = {path: path.stem if stems[path.stem] == 1 else path.name for path in files}
    return {path: directory / f"{name}.{format_name}" for path, name in names.items()}


def _write(text: str, path: Path, output: Path | None, found: argparse.Namespace, progress: Progress) -> None:
    if output is None:
        if len(found.files) > 1:
            print(f"# {path}")
        print(text, end="", flush=True)
        return
    output.write_text(text, encoding="utf-8")
    if not found.quiet:
        progress.note(f"wrote {output}")
