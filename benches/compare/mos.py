"""Times of Violet's scores without a reference, and of the packages that they replace, one thread each, in one run.

Run: python benches/compare/mos.py [--clip tests/data/jfk.flac] [--seconds 10] [--repeats 15]

Needs `violet` with the models distillmos, dnsmos and ge2e, and for each row its peer: `distillmos` (torch), `speechmos`
(onnxruntime, librosa), `Resemblyzer` (torch, librosa); tests/data/make_mos.py says how to install them. A row whose
peer is missing is left out. Samples are in memory and models loaded before the clock starts. Repeats of both are
interleaved. Times are processor time of this process, the least of the repeats, in milliseconds; the ratio is theirs /
ours: above 1, Violet is faster. `difference` is the largest between the scores (of voices, 1 - cosine). `memory` is
what one first call of Violet's adds to a fresh process that holds the clip and the model, at most, in MB. Exits with 1
if a ratio is below its target or the memory above its.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Before numpy and the peers are loaded: one thread on both sides.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

import violet  # noqa: E402

type Floats = npt.NDArray[np.float32]
type Score = Callable[[Floats], npt.NDArray[np.floating[Any]]]

SAMPLE_RATE = 16_000
TARGET = 1.5
MEMORY_MB = 64.0


@dataclass(frozen=True, slots=True)
class Row:
    """A score: ours, what loads the peer's, and how two results differ."""

    name: str
    ours: Score
    peer: Callable[[], Score]
    is_voice: bool = False


def ours_distillmos(samples: Floats) -> npt.NDArray[np.float64]:
    """DistillMOS by Violet."""
    return np.array([violet.mos(samples, "distillmos", num_threads=1).distillmos])


def ours_dnsmos(samples: Floats) -> npt.NDArray[np.float64]:
    """DNSMOS by Violet."""
    return np.array(violet.mos(samples, "dnsmos", num_threads=1).dnsmos)


def ours_voice(samples: Floats) -> Floats:
    """The voice by Violet, the samples heard as they are: Resemblyzer's `embed_utterance`."""
    return violet.voice(samples, prepare=False, num_threads=1).embedding


def peer_distillmos() -> Score:
    """DistillMOS by its own package."""
    # Needed to open files only.
    sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
    torch = importlib.import_module("torch")
    torch.set_num_threads(1)
    network = importlib.import_module("distillmos").ConvTransformerSQAModel().eval()

    def score(samples: Floats) -> npt.NDArray[np.float64]:
        with torch.inference_mode():
            return np.array([network(torch.from_numpy(samples)[None]).item()])

    return score


def peer_dnsmos() -> Score:
    """DNSMOS by its own package, whose sessions get one thread."""
    dnsmos = importlib.import_module("speechmos.dnsmos")
    onnxruntime = importlib.import_module("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    models = Path(str(dnsmos.__file__)).parent / "dnsmos_models"
    network = dnsmos.DNSMOS(str(models / "sig_bak_ovr.onnx"), str(models / "model_v8.onnx"))
    for session, file in (("onnx_sess", "sig_bak_ovr.onnx"), ("p808_onnx_sess", "model_v8.onnx")):
        setattr(network, session, onnxruntime.InferenceSession(str(models / file), options))

    def score(samples: Floats) -> npt.NDArray[np.float64]:
        found = network(samples, SAMPLE_RATE, is_personalized_MOS=False)
        return np.array([found[f"{part}_mos"] for part in ("sig", "bak", "ovrl", "p808")])

    return score


def peer_voice() -> Score:
    """GE2E by Resemblyzer."""
    # Which Resemblyzer imports under a name that scipy no longer has.
    morphology = types.ModuleType("scipy.ndimage.morphology")
    morphology.binary_dilation = importlib.import_module("scipy.ndimage").binary_dilation  # type: ignore[attr-defined]
    sys.modules.setdefault("scipy.ndimage.morphology", morphology)
    importlib.import_module("torch").set_num_threads(1)
    encoder = importlib.import_module("resemblyzer").VoiceEncoder("cpu", verbose=False)
    return lambda samples: np.asarray(encoder.embed_utterance(samples))


ROWS = {
    "distillmos": Row("DistillMOS (peer: distillmos, torch)", ours_distillmos, peer_distillmos),
    "dnsmos": Row("DNSMOS P.835 and P.808 (peer: speechmos, onnxruntime)", ours_dnsmos, peer_dnsmos),
    "ge2e": Row("GE2E (peer: Resemblyzer, torch)", ours_voice, peer_voice, is_voice=True),
}


def measure(row: Row, peer: Score, samples: Floats, repeats: int) -> tuple[float, float, float]:
    """Least milliseconds of ours and of the peer's, and the difference."""
    ours, theirs = row.ours(samples), peer(samples)
    best = [float("inf"), float("inf")]
    for _ in range(repeats):
        for index, score in enumerate((row.ours, peer)):
            start = time.process_time()
            score(samples)
            best[index] = min(best[index], time.process_time() - start)
    difference = 1.0 - float(np.dot(ours, theirs)) if row.is_voice else float(np.abs(ours - theirs).max())
    return best[0] * 1e3, best[1] * 1e3, difference


def status_kb(name: str) -> int:
    """A line of the process's memory, kB. Linux."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def print_memory(model: str, clip: Path, seconds: float) -> None:
    """What the first call adds to this process at most, MB."""
    samples = load(clip, seconds)
    # Loads the weights; the private functions keep this out of what is measured.
    quality = importlib.import_module("violet.quality")
    {"distillmos": quality._distillmos, "dnsmos": quality._dnsmos, "ge2e": quality._encoder}[model]()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = status_kb("VmRSS")
    ROWS[model].ours(samples)
    print((status_kb("VmHWM") - before) * 1024 / 1e6)


def memory_mb(model: str, args: argparse.Namespace) -> float:
    """The same, in a process of its own."""
    command = [sys.executable, __file__, "--memory-of", model, "--clip", args.clip, "--seconds", str(args.seconds)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def load(clip: Path, seconds: float) -> Floats:
    """The clip at 16 kHz."""
    return violet.load(clip, SAMPLE_RATE)[0][: round(seconds * SAMPLE_RATE)]


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[2]
    parser.add_argument("--clip", type=Path, default=here / "tests/data/jfk.flac", help="speech")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip at 16 kHz (10)")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", choices=ROWS, nargs="+", default=list(ROWS))
    parser.add_argument("--memory-of", choices=ROWS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        print_memory(args.memory_of, args.clip, args.seconds)
        return 0
    samples = load(args.clip, args.seconds)
    print(f"{len(samples)} samples, one thread, the least of {args.repeats}\n", flush=True)
    table, is_good = [], True
    for model in args.only:
        row = ROWS[model]
        try:
            peer = row.peer()
        except ImportError as error:
            print(f"left out: {row.name}: {error}", file=sys.stderr)
            continue
        ours, theirs, difference = measure(row, peer, samples, args.repeats)
        memory = memory_mb(model, args)
        is_good &= theirs / ours >= TARGET and memory <= MEMORY_MB
        table.append(
            f"| {row.name} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.2f} | {TARGET} | {difference:.1e} "
            f"| {memory:.0f} (<= {MEMORY_MB:.0f}) |"
        )
    # After all that the peers print as they load.
    print("| score | Violet, ms | peer, ms | ratio | target | difference | memory, MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    print("\n".join(table))
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
