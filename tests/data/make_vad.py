"""Writes vad_jfk.json: what Silero VAD says about jfk.flac, by its own model on onnxruntime and its own code.

pip install --no-deps silero-vad==6.2.3; pip install onnxruntime numpy soundfile packaging
python make_vad.py
"""

import importlib
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import onnxruntime
import soundfile

HERE = Path(__file__).parent
OPTIONS = [
    {},
    {"threshold": 0.8, "min_silence_duration_ms": 50},
    {"min_silence_duration_ms": 300, "speech_pad_ms": 200},
    {"min_speech_duration_ms": 1000},
    {"max_speech_duration_s": 2.0, "min_silence_duration_ms": 2000, "speech_pad_ms": 100},
    {"max_speech_duration_s": 5.0, "min_silence_duration_ms": 2000, "speech_pad_ms": 400, "min_speech_duration_ms": 0},
]

# Only the package's functions on tensors need torch; the one used here has plain numbers.
sys.modules.setdefault("torch", MagicMock(__version__="2.9.0"))
sys.modules.setdefault("torchaudio", MagicMock())
spans_of = importlib.import_module("silero_vad.utils_vad").get_speech_timestamps_from_probs
weights = Path(find_spec("silero_vad").submodule_search_locations[0]) / "data" / "silero_vad.onnx"

samples, rate = soundfile.read(HERE / "jfk.flac", dtype="float32")
assert rate == 16_000
session = onnxruntime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])
state, context = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32)
probabilities = []
for chunk in np.pad(samples, (0, -len(samples) % 512)).reshape(-1, 1, 512):
    heard = np.concatenate([context, chunk], axis=1)
    probability, state = session.run(None, {"input": heard, "state": state, "sr": np.array(rate)})
    context = heard[:, -64:]
    probabilities.append(probability.item())
speech = []
for options in OPTIONS:
    found = spans_of(probabilities, rate, audio_length_samples=len(samples), **options)
    speech.append({"options": options, "spans": [[span["start"], span["end"]] for span in found]})
golden = {"made_by": "silero-vad 6.2.3", "probabilities": [round(p, 6) for p in probabilities], "speech": speech}
(HERE / "vad_jfk.json").write_text(json.dumps(golden) + "\n", encoding="utf-8")
