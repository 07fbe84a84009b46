"""Makes vits_joe.bin and vits_tiny.json: what other implementations say with the same symbols, without noise.

    python make_vits.py DIRECTORY   # with model.onnx and model.onnx.json of the voice joe (`violet models path joe`)

`vits_joe.bin` is onnxruntime's speech of PHONEMES by the voice joe, raw little-endian f32 at 22,050 Hz.
`vits_tiny.json` has the weights' shapes and the samples of a small VITS of Hugging Face's whose weights are sines of
their place, so that the test can make them again. Needs numpy, onnxruntime, torch and transformers.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import onnxruntime

DATA = Path(__file__).parent
PHONEMES = "həlˈoʊ, wˈɜːld!"
TEXT = "ab cab"
VOCABULARY = {"_": 0, "a": 1, "b": 2, "c": 3, " ": 4}
SETTINGS = {
    "vocab_size": 6,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "window_size": 2,
    "ffn_dim": 24,
    "flow_size": 12,
    "spectrogram_bins": 9,
    "prior_encoder_num_flows": 2,
    "prior_encoder_num_wavenet_layers": 2,
    "posterior_encoder_num_wavenet_layers": 1,
    "wavenet_dilation_rate": 2,
    "duration_predictor_num_flows": 3,
    "duration_predictor_flow_bins": 5,
    "depth_separable_num_layers": 2,
    "upsample_initial_channel": 32,
    "upsample_rates": [4, 2],
    "upsample_kernel_sizes": [8, 6],
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3], [1, 2]],
    "num_speakers": 3,
    "speaker_embedding_size": 6,
    "sampling_rate": 16_000,
}


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    n = math.prod(shape)
    sines = np.sin(0.7 * np.arange(n, dtype=np.float64) + sum(name.encode())).reshape(shape)
    if "norm" in name or "layer_norm" in name or name.endswith(("weight_g", "original0")):
        return 1.0 + 0.2 * sines if name.endswith(("weight", "weight_g", "original0")) else 0.1 * sines
    if len(shape) < 2 or name.endswith(("translate", "log_scale")):
        return 0.1 * sines
    return sines * (1.5 / math.sqrt(math.prod(shape[1:])))


def joe(directory: Path) -> None:
    numbers = json.loads((directory / "model.onnx.json").read_text("utf-8"))["phoneme_id_map"]
    ids = numbers["^"] + numbers["_"]
    for phoneme in PHONEMES:
        ids += numbers[phoneme] + numbers["_"]
    ids += numbers["$"]
    session = onnxruntime.InferenceSession(directory / "model.onnx", providers=["CPUExecutionProvider"])
    feeds = {
        "input": np.array([ids], np.int64),
        "input_lengths": np.array([len(ids)], np.int64),
        "scales": np.array([0.0, 1.0, 0.0], np.float32),
    }
    session.run(None, feeds)[0].astype("<f4").tofile(DATA / "vits_joe.bin")


def tiny() -> None:
    import torch
    from transformers import VitsConfig, VitsModel

    model = VitsModel(VitsConfig(**SETTINGS)).eval()
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    state = {name: torch.tensor(weight(name, shape), dtype=torch.float32) for name, shape in shapes.items()}
    model.load_state_dict(state)
    model.noise_scale = model.noise_scale_duration = 0.0
    ids = [0]
    for letter in TEXT:
        ids += [VOCABULARY[letter], 0]
    with torch.no_grad():
        samples = model(torch.tensor([ids]), speaker_id=1).waveform[0].numpy()
    golden = {
        "config": {"model_type": "vits", **SETTINGS},
        "vocabulary": VOCABULARY,
        "text": TEXT,
        "speaker": 1,
        "shapes": {name: shape for name, shape in shapes.items() if not name.startswith("posterior_encoder")},
        "samples": [round(float(sample), 7) for sample in samples],
    }
    (DATA / "vits_tiny.json").write_text(json.dumps(golden) + "\n", "utf-8")


if __name__ == "__main__":
    joe(Path(sys.argv[1]))
    tiny()
