"""Writes whisper_search.json: openai-whisper 20250625's results for patience, length penalty and best-of, with given weights.

`decoded` are single windows of `jfk.flac`, forwards and backwards (which no model understands, so that the search matters);
`ranked` are sequences' lengths and log probabilities and which of them its ranker keeps.

Needs: pip install openai-whisper==20250625 soundfile, and a directory that holds tiny.en in CTranslate2's format.
Usage: python make_whisper_search.py [MODELS]; without MODELS nothing is decoded, only `ranked` is made.
"""

import json
import random
import sys
from pathlib import Path

import soundfile
import torch
import whisper
from make_ggml import openai_tensors, read_ctranslate2
from whisper.decoding import DecodingOptions, MaximumLikelihoodRanker

HERE = Path(__file__).parent
CASES: list[dict[str, float]] = [
    {"beam_size": 5},
    {"beam_size": 5, "patience": 0.5},
    {"beam_size": 5, "patience": 2.0},
    {"beam_size": 5, "length_penalty": 0.0},
    {"beam_size": 5, "length_penalty": 1.0},
    {"beam_size": 3, "patience": 1.5, "length_penalty": 0.5},
    # So cold that every draw is the likeliest token: the draws themselves differ between programs.
    {"best_of": 5, "temperature": 0.001},
    {"best_of": 3, "temperature": 0.001, "length_penalty": 1.0},
]


def load(directory: Path) -> whisper.model.Whisper:
    """The weights, in f32, in openai-whisper's model."""
    tensors = {name: torch.from_numpy(value.copy()) for name, value in openai_tensors(read_ctranslate2(directory / "model.bin")).items()}
    n_layers = len({name.split(".")[2] for name in tensors if name.startswith("encoder.blocks.")})
    width = tensors["decoder.ln.weight"].shape[0]
    n_vocab = tensors["decoder.token_embedding.weight"].shape[0]
    sizes = whisper.model.ModelDimensions(80, 1500, width, width // 64, n_layers, n_vocab, 448, width, width // 64, n_layers)
    model = whisper.model.Whisper(sizes)
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    # The keys' projections have no bias; the mask is not learned.
    assert not unexpected, unexpected
    assert all(name.endswith("mask") for name in missing), missing
    return model.eval()


@torch.inference_mode()
def main(models: Path | None) -> None:
    samples, _ = soundfile.read(HERE / "jfk.flac", dtype="float32")
    decoded = []
    for name in ("tiny.en",) if models else ():
        model = load(models / name)
        for is_reversed in (False, True):
            audio = torch.from_numpy(samples[::-1].copy() if is_reversed else samples)
            mel = whisper.log_mel_spectrogram(audio, padding=whisper.audio.N_SAMPLES)[:, : whisper.audio.N_FRAMES]
            content = audio.shape[0] // whisper.audio.HOP_LENGTH
            # As transcribe() does it: the features of the content, zeros behind them.
            mel = whisper.pad_or_trim(mel[:, :content], whisper.audio.N_FRAMES)
            features = model.embed_audio(mel[None])[0]
            limit = {"sample_len": 24} if is_reversed else {}
            for chosen in CASES if is_reversed else CASES[2::2]:
                options = {**chosen, **limit}
                torch.manual_seed(0)
                result = model.decode(features, DecodingOptions(language="en", fp16=False, **options))
                decoded.append({
                    "model": name,
                    "reversed": is_reversed,
                    "options": options,
                    "tokens": result.tokens,
                    "avg_logprob": result.avg_logprob,
                    "no_speech_prob": result.no_speech_prob,
                })
                sys.stderr.write(f"{name} {is_reversed} {options}: {result.text}\n")
    rng = random.Random(0)
    ranked = []
    for _ in range(60):
        penalty = rng.choice([None, 0.0, 0.3, 0.6, 1.0])
        group = [(rng.randint(1, 30), -rng.random() * 20) for _ in range(rng.randint(1, 6))]
        tokens = [[torch.zeros(length) for length, _ in group]]
        kept = MaximumLikelihoodRanker(penalty).rank(tokens, [[total for _, total in group]])[0]
        ranked.append({"length_penalty": penalty, "sequences": group, "kept": int(kept)})
    parts = [f'"{key}": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]" for key, cases in (("decoded", decoded), ("ranked", ranked))]
    (HERE / "whisper_search.json").write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
