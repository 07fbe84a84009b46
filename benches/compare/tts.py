"""The voice joe by Violet and by onnxruntime, which Piper runs on: speed, first audio, memory, and what listeners get.

    pip install onnxruntime && python benches/compare/tts.py [--threads 1 2] [--repeats 3] [--sentences 50]

Both say the same phonemes, which Violet makes of the sentences of tests/data/phonemes.json; onnxruntime is called as
piper-tts 1.3 calls it, without Piper's own work around it. Each engine runs in processes of its own, the engines by
turns; the least of the repeats counts. Then both say all sentences again, `--rounds` times with other noise, for
Whisper tiny.en (words wrong, with the 95 % interval of the difference by a paired bootstrap) and DistillMOS. Needs the
models joe, tiny.en and distillmos.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ("violet", "onnxruntime")
N_FIRST = 20
WER_POINTS, MOS_POINTS, FIRST_S = 1.0, 0.1, 0.15

Samples = npt.NDArray[np.float32]
Say = Callable[[tuple[str, str], int], Samples]
"""Says a text and its phonemes; the number draws the noise where the engine takes one."""


def violet_voice(model: Path, threads: int) -> tuple[Say, Callable[[list[tuple[str, str]]], None]]:
    import violet

    voice = violet.Synthesizer(model, num_threads=threads)

    def first(pairs: list[tuple[str, str]]) -> None:
        next(iter(voice.stream(". ".join(text for text, _ in pairs))))

    return lambda pair, seed: voice.synthesize(pair[0], seed=seed).samples, first


def onnxruntime_voice(model: Path, threads: int) -> tuple[Say, Callable[[list[tuple[str, str]]], None]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model / "model.onnx", options, providers=["CPUExecutionProvider"])
    settings = json.loads((model / "model.onnx.json").read_text("utf-8"))
    numbers, inference = settings["phoneme_id_map"], settings["inference"]
    scales = np.array([inference["noise_scale"], inference["length_scale"], inference["noise_w"]], np.float32)

    def say(pair: tuple[str, str], _: int) -> Samples:
        ids = [*numbers["^"], *numbers["_"]]
        for phoneme in pair[1]:
            ids += numbers[phoneme] + numbers["_"]
        ids += numbers["$"]
        feeds = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": scales}
        samples: Samples = session.run(None, feeds)[0].squeeze()
        return samples

    def first(pairs: list[tuple[str, str]]) -> None:
        say(pairs[0], 0)

    return say, first


def child(engine: str, model: Path, threads: int, rounds: int, work: Path) -> None:
    """Says all sentences so many times, keeps what it said, and prints what it took."""
    pairs = [tuple(pair) for pair in json.loads((work / "pairs.json").read_text("utf-8"))]
    began = time.perf_counter()
    say, first = (violet_voice if engine == "violet" else onnxruntime_voice)(model, threads)
    load_s = time.perf_counter() - began
    say(pairs[0], 0)
    began = time.perf_counter()
    say(pairs[0], 0)
    one_s = time.perf_counter() - began
    began = time.perf_counter()
    first(pairs[:N_FIRST])
    first_s = time.perf_counter() - began
    began, began_cpu = time.perf_counter(), time.process_time()
    said = [say(pair, seed) for seed in range(rounds) for pair in pairs]
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.savez(work / f"{engine}.npz", *said)
    audio_s = sum(len(samples) for samples in said) / 22_050
    keys = ("load_s", "one_s", "first_s", "audio_s", "wall_s", "cpu_s", "rss_mb")
    values = (load_s, one_s, first_s, audio_s, wall_s, cpu_s, rss_mb)
    sys.stdout.write(json.dumps(dict(zip(keys, values, strict=True))) + "\n")


def run(engine: str, model: Path, threads: int, rounds: int, work: Path) -> dict[str, float]:
    """An engine in a process of its own."""
    command = [sys.executable, __file__, "--child", engine, "--model", str(model), "--threads", str(threads)]
    command += ["--rounds", str(rounds), "--work", str(work)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(model: Path, threads: int, repeats: int, work: Path) -> dict[str, dict[str, float]]:
    """The least of an engine's figures, those of time for a second of speech."""
    runs: dict[str, list[dict[str, float]]] = {engine: [] for engine in ENGINES}
    for _ in range(repeats):
        for engine in ENGINES:
            runs[engine].append(run(engine, model, threads, 1, work))
    return {
        engine: {
            key: min(run[key] / (run["audio_s"] if key in {"wall_s", "cpu_s"} else 1) for run in found)
            for key in found[0]
        }
        for engine, found in runs.items()
    }


def listen(work: Path, texts: list[str]) -> None:
    """Says how many words are wrong in what each engine said last, and its mean DistillMOS."""
    import violet

    asr = violet.Transcriber("tiny.en")
    heard_by, mos_of = {}, {}
    for engine in ENGINES:
        said = np.load(work / f"{engine}.npz")
        clips = [violet.resample(said[name], 22_050, 16_000) for name in said.files]
        heard = [asr.transcribe(clip).text for clip in clips]
        scores = violet.score_words(texts, heard, normalizer="whisper-en")
        mos = float(np.mean([score.distillmos or 0.0 for score in violet.mos(clips, ["distillmos"])]))
        wrong = scores.substitutions + scores.deletions + scores.insertions
        n = scores.hits + scores.substitutions + scores.deletions
        sys.stdout.write(f"{engine}: {wrong} of {n} words wrong ({100 * wrong / n:.2f} %), DistillMOS {mos:.3f}\n")
        heard_by[engine], mos_of[engine] = heard, mos
    ours, theirs = (heard_by[engine] for engine in ENGINES)
    words = violet.compare(texts, theirs, ours, normalizer="whisper-en")
    assert words is not None
    low, high = words.interval
    sys.stdout.write(
        f"WER {100 * words.difference:+.2f} points, {100 * low:+.2f} to {100 * high:+.2f} (at most +{WER_POINTS:g}), "
        f"DistillMOS {mos_of['violet'] - mos_of['onnxruntime']:+.3f} (at least -{MOS_POINTS:g})\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sentences", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--model", type=Path, help="directory of the voice joe (that of the cache)")
    parser.add_argument("--child", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    found = parser.parse_args()
    if found.child:
        child(found.child, found.model, found.threads[0], found.rounds, found.work)
        return
    import violet
    from violet import models

    model = found.model or models.resolve("joe")
    texts = [text for text, _ in json.loads((ROOT / "tests/data/phonemes.json").read_text("utf-8"))["sentences"]]
    texts = texts[: found.sentences]
    pairs = [(text, " ".join(phonemes for _, phonemes in violet.phonemize(text))) for text in texts]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "pairs.json").write_text(json.dumps(pairs), "utf-8")
        sys.stdout.write(f"{len(pairs)} sentences\n")
        for threads in found.threads:
            results: dict[str, Any] = measure(model, threads, found.repeats, work)
            ours, theirs = results["violet"], results["onnxruntime"]
            for key, what, unit in (
                ("wall_s", "wall time of 1 s of speech", "s"),
                ("cpu_s", "processor time of 1 s of speech", "s"),
                ("load_s", "load", "s"),
                ("rss_mb", "peak memory", "MB"),
            ):
                ratio = theirs[key] / ours[key]
                line = f"{threads} threads, {what}: {ours[key]:.4g} {unit}, onnxruntime {theirs[key]:.4g} {unit}"
                sys.stdout.write(f"{line}, ratio {ratio:.2f}\n")
            late = ours["first_s"] - ours["one_s"]
            line = f"{threads} threads, first audio of {N_FIRST} sentences: {ours['first_s']:.3f} s, the sentence alone"
            sys.stdout.write(
                f"{line} {ours['one_s']:.3f} s: {1000 * late:.0f} ms more (at most {1000 * FIRST_S:.0f})\n"
            )
        for engine in ENGINES:
            run(engine, model, found.threads[-1], found.rounds, work)
        listen(work, texts * found.rounds)


if __name__ == "__main__":
    main()
