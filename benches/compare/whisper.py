"""Violet's Whisper and its peers side by side in one run: speed, load to first token, peak memory.

Run: python benches/compare/whisper.py --model DIRECTORY.. --long DATA --short CLIP [--threads 1 2] [--beams 1 5]

A DIRECTORY holds a model in CTranslate2's format, which Violet and faster-whisper both read (`violet models path base`
prints one). DATA is a directory as `wer.py --data` takes it, of which the English clips are used, or clips; they are
joined, and joined again, until they last `--long-s` (147) seconds or more. With
`--ggml DIRECTORY`, where `ggml-NAME-f16.bin` lies for a model directory NAME (`tests/data/make_ggml.py` writes it),
whisper.cpp runs as well.

Every engine is in a process of its own; repeats are interleaved, so that a slow minute of the machine falls on all of
them; times are the least of the repeats, their median in parentheses; the CPU's time is of the least repeat. Loading
and peak memory are of fresh processes. A ratio is theirs / ours: above 1, Violet is better. Exits with 0, met or
missed: timings of a shared machine are no verdict.
Needs `violet`, `numpy`, `faster-whisper`, `ffmpeg`; `pywhispercpp` for `--ggml`.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from engines import SAMPLE_RATE, Engine, EngineError, Result, Samples, Spec, load_clip, save
from wer import aligner_files

#: What Violet should be against faster-whisper int8 with the same beam: theirs / ours.
TARGETS = {"long": 1.3, "short": 2.0, "load": 2.0, "memory": 1.0}
#: Whom the targets mean.
ANCHOR = "faster-whisper int8"
#: Models that the load target means, and those that the memory target means.
LOAD_MODELS, MEMORY_MODELS = ("tiny.en",), ("base",)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: an engine against Violet."""

    what: str
    model: str
    threads: int
    beam_size: int
    name: str
    ours: str
    theirs: str
    ratio: float
    cpu_ratio: float | None
    target: float | None

    def markdown(self) -> str:
        """As a line of a table."""
        verdict = ""
        if self.target is not None:
            verdict = f"{self.target:.1f} {'met' if self.ratio >= self.target else '**missed**'}"
        cpu = "" if self.cpu_ratio is None else f"{self.cpu_ratio:.2f}"
        return (
            f"| {self.what} | {self.model} | {self.threads} | {self.beam_size} | {self.name} | {self.ours} "
            f"| {self.theirs} | {self.ratio:.2f} | {cpu} | {verdict} |"
        )


HEADER = (
    "| what | model | threads | beam | against | Violet | theirs | ratio | CPU ratio | target |\n"
    "| --- | --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |"
)


def join_clips(paths: Sequence[Path], least_s: float) -> Samples:
    """The clips one after the other, again and again, until they last long enough."""
    clips = [load_clip(path) for path in paths]
    joined = np.concatenate(clips)
    return np.tile(joined, max(1, -(-int(least_s * SAMPLE_RATE) // max(1, len(joined)))))[
        : max(len(joined), int(least_s * SAMPLE_RATE))
    ]


def specs(args: argparse.Namespace, model: Path, threads: int, beam_size: int) -> list[Spec]:
    """Violet first, then its peers."""
    found = [Spec("violet", str(model), threads, args.compute_type, beam_size)]
    found += [Spec("faster-whisper", str(model), threads, kind, beam_size) for kind in ("int8", "float32")]
    ggml = args.ggml / f"ggml-{model.name}-f16.bin" if args.ggml else None
    if ggml and ggml.is_file():
        found.append(Spec("whisper.cpp", str(ggml), threads, "float16", beam_size))
    return found


def shown(values: Sequence[float]) -> str:
    """The least, and the median."""
    return f"{min(values):.2f} s ({statistics.median(values):.2f})"


def words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return "".join(c if c.isalnum() else " " for c in text.lower()).split()


def compare_speed(args: argparse.Namespace, model: Path, threads: int, beam_size: int, clip: tuple[str, Path]) -> None:
    """Runs every engine a few times, in turns."""
    what, path = clip
    engines: list[Engine] = []
    results: dict[str, list[Result]] = {}
    try:
        for spec in specs(args, model, threads, beam_size):
            engines.append(Engine(spec))
        for engine in engines:  # the first run pays for buffers that later ones have
            engine.transcribe(path)
        for _ in range(args.repeats):
            for engine in engines:
                results.setdefault(engine.spec.name, []).append(engine.transcribe(path))
    finally:
        for engine in engines:
            engine.close()
    ours, *theirs = (results[engine.spec.name] for engine in engines)
    best = min(ours, key=lambda result: result.seconds)
    for engine, peer in zip(engines[1:], theirs, strict=True):
        peer_best = min(peer, key=lambda result: result.seconds)
        target = TARGETS[what] if engine.spec.name == ANCHOR else None
        row = Row(
            what,
            model.name,
            threads,
            beam_size,
            engine.spec.name,
            shown([result.seconds for result in ours]),
            shown([result.seconds for result in peer]),
            peer_best.seconds / best.seconds,
            peer_best.cpu_s / best.cpu_s,
            target,
        )
        print(row.markdown(), flush=True)
        if words(best.text) != words(peer_best.text):
            n, other = len(words(best.text)), len(words(peer_best.text))
            print(f"words differ: {engine.spec.name} {what} {model.name}: {n} against {other}", file=sys.stderr)


def compare_start(args: argparse.Namespace, model: Path, short: Path, long: Path) -> None:
    """Load to first token, and peak memory after the long clip, in fresh processes with one thread."""
    loads: dict[str, list[float]] = {}
    starts: dict[str, list[float]] = {}
    peaks: dict[str, int] = {}
    chosen = specs(args, model, 1, 1)
    for _ in range(args.repeats):
        for spec in chosen:
            with Engine(spec) as engine:
                first = engine.transcribe(short, first_token=True).seconds
                loads.setdefault(spec.name, []).append(engine.load_s + first)
                starts.setdefault(spec.name, []).append(engine.start_s + first)
    for spec in chosen:
        with Engine(spec) as engine:
            peaks[spec.name] = engine.transcribe(long).peak_bytes
    ours = chosen[0].name
    for spec in chosen[1:]:
        name = spec.name
        is_anchor = name == ANCHOR
        for what, times, target in (
            ("load to first token", loads, TARGETS["load"] if is_anchor and model.name in LOAD_MODELS else None),
            ("the same, with Python and imports", starts, None),
        ):
            ratio = min(times[name]) / min(times[ours])
            print(
                Row(
                    what, model.name, 1, 1, name, shown(times[ours]), shown(times[name]), ratio, None, target
                ).markdown()
            )
        target = TARGETS["memory"] if is_anchor and model.name in MEMORY_MODELS else None
        mine, theirs = (f"{peaks[key] / 1e6:.0f} MB" for key in (ours, name))
        ratio = peaks[name] / peaks[ours]
        print(Row("peak memory", model.name, 1, 1, name, mine, theirs, ratio, None, target).markdown(), flush=True)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, nargs="+", required=True, metavar="DIRECTORY")
    parser.add_argument(
        "--long", type=Path, nargs="+", required=True, metavar="CLIP", help="clips, or directories of them"
    )
    parser.add_argument("--short", type=Path, required=True, metavar="CLIP", help="about 11 s")
    parser.add_argument("--long-s", type=float, default=147.0, metavar="S")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compute-type", default="auto", help="Violet's")
    parser.add_argument("--ggml", type=Path, metavar="DIRECTORY")
    parser.add_argument("--only", choices=("long", "short", "start"), nargs="+", default=["long", "short", "start"])
    args = parser.parse_args()
    clips = [path for given in args.long for path in (aligner_files(given) if given.is_dir() else [given])]
    with tempfile.TemporaryDirectory() as folder:
        long = join_clips(clips, args.long_s)
        short = load_clip(args.short)
        files = {
            "long": save(long, Path(folder) / "long.npy"),
            "short": save(short, Path(folder) / "short.npy"),
        }
        print(f"long: {len(long) / SAMPLE_RATE:.1f} s, short: {len(short) / SAMPLE_RATE:.1f} s\n\n{HEADER}", flush=True)
        for model in args.model:
            try:
                for beam_size in args.beams:
                    for threads in args.threads:
                        for what in ("long", "short"):
                            if what in args.only:
                                compare_speed(args, model, threads, beam_size, (what, files[what]))
                if "start" in args.only:
                    compare_start(args, model, files["short"], files["long"])
            except EngineError as error:
                print(f"{model.name}: {error}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
