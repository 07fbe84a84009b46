"""Writes mos.json: what DistillMOS, DNSMOS and Resemblyzer say about clips made of jfk.flac, by their own code.

pip install --no-deps distillmos==0.9.1 xls-r-sqa==0.1.0 speechmos==0.0.1.1 Resemblyzer==0.1.4
pip install torch onnxruntime librosa soundfile scipy webrtcvad-wheels requests numpy
python make_mos.py
"""

import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy import ndimage

HERE = Path(__file__).parent
RATE = 16_000

# Needed by distillmos to open files only, and by Resemblyzer under a name that scipy no longer has.
sys.modules.setdefault("torchaudio", types.ModuleType("torchaudio"))
morphology = types.ModuleType("scipy.ndimage.morphology")
morphology.binary_dilation = ndimage.binary_dilation
sys.modules.setdefault("scipy.ndimage.morphology", morphology)
distillmos = importlib.import_module("distillmos")
dnsmos = importlib.import_module("speechmos.dnsmos")
resemblyzer = importlib.import_module("resemblyzer")


def noise(n_samples: int) -> np.ndarray:
    """White noise by a linear congruential generator, so that tests can make the same."""
    state, values = 1, np.empty(n_samples, dtype=np.float32)
    for index in range(n_samples):
        state = (state * 1_664_525 + 1_013_904_223) % 2**32
        values[index] = (state >> 8) / 2**23 - 1.0
    return values


samples, rate = soundfile.read(HERE / "jfk.flac", dtype="float32")
assert rate == RATE
pieces = samples[: samples.size // 3200 * 3200].reshape(-1, 3200)
clips = {
    "whole": samples,
    "first_4_s": samples[: 4 * RATE],
    "first_0.5_s": samples[: RATE // 2],
    "reversed": samples[::-1].copy(),
    "shuffled": np.concatenate([pieces[0::2].ravel(), pieces[1::2].ravel()]),
    "half_gain": np.float32(0.5) * samples,
    "with_noise": np.float32(0.8) * samples + np.float32(0.02) * noise(samples.size),
    "twice": np.concatenate([samples, samples]),
    "sine_220_hz_10_s": (0.1 * np.sin(2 * np.pi * 220 / RATE * np.arange(10 * RATE))).astype(np.float32),
    "silence_10_s": np.zeros(10 * RATE, dtype=np.float32),
}
quality = distillmos.ConvTransformerSQAModel().eval()
encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
golden = {"made_by": "distillmos 0.9.1, speechmos 0.0.1.1, Resemblyzer 0.1.4", "clips": {}, "prepared": {}}
for name, clip in clips.items():
    with torch.no_grad():
        score = quality(torch.from_numpy(clip)[None]).item()
    found = dnsmos.run(clip, sr=RATE)
    voice, _, slices = encoder.embed_utterance(clip, return_partials=True)
    golden["clips"][name] = {
        "distillmos": round(score, 6),
        "dnsmos": {
            part: round(float(found[f"{key}_mos"]), 6)
            for part, key in [("sig", "sig"), ("bak", "bak"), ("ovr", "ovrl"), ("p808", "p808")]
        },
        "voice": [round(float(value), 7) for value in voice],
        "partials": [int(part.start) for part in slices],
    }
for name in ("whole", "half_gain", "with_noise"):
    voice = encoder.embed_utterance(resemblyzer.preprocess_wav(clips[name]))
    golden["prepared"][name] = [round(float(value), 7) for value in voice]
(HERE / "mos.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
