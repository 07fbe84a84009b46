"""Violet and Hugging Face transformers on one GPU: the same random weights and the same windows, in one run.

Run: python benches/gpu/whisper.py [--shape large-v3-turbo large-v3] [--windows 128] [--batch 64] [--tokens 96]

The weights are random and of the real shapes, which is all that speed needs. Both engines get windows of 30 s, decode
greedily and write the same number of tokens in each. Prints, for each shape: seconds of audio per second of both, their
ratio, and the encoder's share of the rate at which the card multiplies bfloat16 matrices (measured here, too).

Needs `violet` built with CUDA (`make cuda`), `torch` with CUDA, `transformers`, `safetensors` and `numpy`.
`--device cpu --tiny` checks the harness itself on a machine without a GPU; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import violet

SAMPLE_RATE = 16_000
WINDOW_S = 30

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model."""

    n_mels: int
    width: int
    n_heads: int
    n_encoder_layers: int
    n_decoder_layers: int
    n_vocab: int

    @property
    def encoder_flops(self) -> float:
        """Floating-point operations that encode one window: convolutions, linear layers, attention."""
        n = WINDOW_S * 50
        convolutions = 2 * 3 * (2 * n * self.n_mels + n * self.width) * self.width
        layer = 2 * n * 12 * self.width**2 + 4 * n * n * self.width
        cross = 2 * n * 2 * self.width**2 * self.n_decoder_layers
        return float(convolutions + self.n_encoder_layers * layer + cross)


SHAPES = {
    "large-v3-turbo": Shape(128, 1280, 20, 32, 4, 51_866),
    "large-v3": Shape(128, 1280, 20, 32, 32, 51_866),
    "tiny": Shape(80, 384, 6, 4, 4, 51_865),
}


def write_model(directory: Path, shape: Shape, tokenizer: Path) -> None:
    """Random weights in the format of Hugging Face, with a real multilingual tokenizer."""
    import torch
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=shape.n_vocab,
        num_mel_bins=shape.n_mels,
        d_model=shape.width,
        encoder_layers=shape.n_encoder_layers,
        decoder_layers=shape.n_decoder_layers,
        encoder_attention_heads=shape.n_heads,
        decoder_attention_heads=shape.n_heads,
        encoder_ffn_dim=4 * shape.width,
        decoder_ffn_dim=4 * shape.width,
        max_source_positions=WINDOW_S * 50,
        pad_token_id=50_257,
        bos_token_id=50_257,
        eos_token_id=50_257,
        decoder_start_token_id=50_258,
    )
    WhisperForConditionalGeneration(config).half().save_pretrained(directory)
    shutil.copy(tokenizer / "tokenizer.json", directory / "tokenizer.json")
    if not (directory / "config.json").is_file():
        (directory / "config.json").write_text(json.dumps(config.to_dict()))


def windows(n: int) -> list[Samples]:
    """Speech, repeated to fill windows of 30 s; each begins elsewhere in it."""
    path = resources.files("violet") / "data" / "speech" / "jfk.flac"
    with resources.as_file(path) as file:
        speech, _ = violet.load(file, SAMPLE_RATE)
    speech = np.tile(speech, 1 + WINDOW_S * SAMPLE_RATE * 2 // len(speech))
    return [np.ascontiguousarray(speech[i * 997 % 100_000 :][: WINDOW_S * SAMPLE_RATE]) for i in range(n)]


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    """The shortest of some runs, after one that warms up."""
    work()
    seconds = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds = min(seconds, time.perf_counter() - start)
    return seconds


def matrix_rate(device: str, n: int) -> float:
    """Floating-point operations a second of one large bfloat16 product, measured."""
    import torch

    left, right = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))

    def work() -> None:
        for _ in range(10):
            torch.matmul(left, right)
        if device == "cuda":
            torch.cuda.synchronize()

    return 10 * 2 * n**3 / best_seconds(work, 3)


def violet_engine(model: Path, device: str, batch: int) -> Callable[[list[Samples], int], None]:
    """Violet: all windows as one recording, cut into chunks at pauses, which are decoded together."""
    transcriber = violet.Transcriber(str(model), device=device)
    options: dict[str, Any] = {"language": "en", "temperature": 0.0, "batch_size": batch, "without_timestamps": True}

    def transcribe(clips: list[Samples], n_tokens: int) -> None:
        samples = np.concatenate(clips)
        transcriber.transcribe(samples, **options | {"max_new_tokens": n_tokens})

    return transcribe


def transformers_engine(model: Path, device: str, batch: int) -> Callable[[list[Samples], int], None]:
    """transformers: batches of windows, scaled dot-product attention, half precision on a GPU."""
    import torch
    from transformers import WhisperFeatureExtractor, WhisperForConditionalGeneration

    dtype = torch.float16 if device == "cuda" else torch.float32
    peer = WhisperForConditionalGeneration.from_pretrained(model, dtype=dtype, attn_implementation="sdpa")
    peer = peer.to(device).eval()
    extractor = WhisperFeatureExtractor(feature_size=peer.config.num_mel_bins)
    start = torch.tensor([[50_258, 50_259, 50_359, 50_363]], device=device)

    def transcribe(clips: list[Samples], n_tokens: int) -> None:
        for first in range(0, len(clips), batch):
            part = clips[first : first + batch]
            features = extractor(part, sampling_rate=SAMPLE_RATE, return_tensors="pt", device=device).input_features
            with torch.inference_mode():
                # The library's plain greedy search, without its own long-form logic.
                super(WhisperForConditionalGeneration, peer).generate(
                    features.to(device, dtype),
                    decoder_input_ids=start.repeat(len(part), 1),
                    max_new_tokens=n_tokens,
                    min_new_tokens=n_tokens,
                    do_sample=False,
                    num_beams=1,
                )

    return transcribe


def compare(name: str, args: argparse.Namespace, rate: float) -> None:
    """Measure one shape and print its line."""
    shape, clips = SHAPES[name], windows(args.windows)
    audio_s = len(clips) * WINDOW_S
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch)
        write_model(directory, shape, Path(violet.models.resolve(args.tokenizer)))
        transcribe = violet_engine(directory, args.device, args.batch)
        seconds = {"violet": best_seconds(lambda: transcribe(clips, args.tokens), args.repeats)}
        # One token: what is left is the encoder, and a little.
        encoder_s = best_seconds(lambda: transcribe(clips, 1), args.repeats)
        peer = transformers_engine(directory, args.device, args.batch)
        seconds["transformers"] = best_seconds(lambda: peer(clips, args.tokens), args.repeats)
    share = len(clips) * shape.encoder_flops / encoder_s / rate
    print(f"{name}: {len(clips)} windows of {WINDOW_S} s, {args.tokens} tokens each, batches of {args.batch}")
    for engine, used in seconds.items():
        print(f"  {engine:13} {used:8.2f} s  {audio_s / used:8.1f} x real time")
    print(f"  violet / transformers: {seconds['transformers'] / seconds['violet']:.2f} times the throughput")
    print(f"  encoder: {encoder_s:.2f} s, {100 * share:.0f} % of {rate / 1e12:.1f} TFLOP/s in bfloat16 products")


def main() -> int:
    """Read the arguments, check the device, measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shape", nargs="+", choices=sorted(SHAPES), default=["large-v3-turbo", "large-v3"])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny shape and few windows: checks the harness")
    parser.add_argument("--windows", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tokenizer", default="base", help="a multilingual model whose tokenizer is used")
    args = parser.parse_args()
    if args.tiny:
        args.shape, args.windows, args.batch, args.tokens, args.repeats = ["tiny"], 2, 2, 4, 1
    if args.device == "cuda":
        import torch

        reason = "torch finds none" if not torch.cuda.is_available() else violet.cuda.missing()
        if reason:
            print(f"no CUDA device: {reason}", file=sys.stderr)
            return 2
    rate = matrix_rate(args.device, 256 if args.tiny else 8192)
    for name in args.shape:
        compare(name, args, rate)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
