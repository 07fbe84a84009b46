"""Writes whisper_options.json: what faster-whisper 1.2.1 (CTranslate2, float32) makes of jfk.flac with one option changed.

Needs: pip install faster-whisper==1.2.1 soundfile, and a directory that holds the models tiny.en and base in CTranslate2's format.
Usage: python make_whisper_options.py MODELS
"""

import json
import sys
from pathlib import Path

import soundfile
from faster_whisper import WhisperModel

HERE = Path(__file__).parent
CASES: list[tuple[str, dict[str, object]]] = [
    ("base", {"task": "translate", "language": "en"}),
    ("base", {"without_timestamps": True, "language": "en"}),
    ("tiny.en", {"without_timestamps": True}),
    ("tiny.en", {"initial_prompt": "KENNEDY SAID: AND SO, MY FELLOW AMERICANS,"}),
    ("tiny.en", {"hotwords": "FELLOW AMERICANS"}),
    ("tiny.en", {"prefix": "And so, my dear"}),
    ("tiny.en", {"no_repeat_ngram_size": 3}),
    ("base", {"no_repeat_ngram_size": 2, "language": "en"}),
    ("tiny.en", {"repetition_penalty": 1.5}),
    ("base", {"repetition_penalty": 1.3, "language": "en"}),
    ("tiny.en", {"suppress_tokens": [-1, 11]}),
    ("tiny.en", {"suppress_tokens": []}),
    ("tiny.en", {"max_initial_timestamp": 0.0}),
    ("base", {"language": "de"}),
    ("tiny.en", {"clip_timestamps": [3.0, 8.0]}),
    ("tiny.en", {"beam_size": 5, "patience": 2.0}),
    ("base", {"beam_size": 5, "patience": 2.0, "language": "en"}),
]


def main(models: Path) -> None:
    loaded = {name: WhisperModel(str(models / name), device="cpu", compute_type="float32") for name in ("tiny.en", "base")}
    samples, _ = soundfile.read(HERE / "jfk.flac", dtype="float32")
    cases = []
    for name, options in CASES:
        settings: dict[str, object] = {"beam_size": 1, "temperature": 0.0, "condition_on_previous_text": False, **options}
        segments, _ = loaded[name].transcribe(samples, **settings)
        found = [{"start": s.start, "end": s.end, "text": s.text, "tokens": s.tokens} for s in segments]
        cases.append({"model": name, "options": options, "segments": found})
        sys.stderr.write(f"{name} {options}: {[s['text'] for s in found]}\n")
    lines = ",\n".join(json.dumps(case, ensure_ascii=False) for case in cases)
    (HERE / "whisper_options.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
