"""What a validator knows beforehand, to ask a miner about directly: the words of clips, and measures of sounds."""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from violet.audio import encode
from violet.protocol import INLINE_LIMIT_BYTES

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg"})
"""File names that count as clips in a directory of challenges."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech with its exact words."""

    path: Path
    text: str

    @property
    def fits_inline(self) -> bool:
        """Whether the file may travel inside a synapse."""
        return self.path.stat().st_size <= INLINE_LIMIT_BYTES


def packaged_clips() -> tuple[Clip, ...]:
    """The clips that Violet brings (`violet/data/speech`, licences beside them)."""
    directory = Path(str(files("violet"))) / "data" / "speech"
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    return tuple(Clip(directory / entry["file"], entry["text"]) for entry in manifest["clips"])


def clips_in(directory: Path) -> tuple[Clip, ...]:
    """Every `NAME.wav` (or flac, mp3, m4a, ogg) in `directory` that has its words in `NAME.txt`.

    Raises:
        ValueError: There is none.
    """
    clips = tuple(
        Clip(path, path.with_suffix(".txt").read_text(encoding="utf-8").strip())
        for path in sorted(directory.iterdir())
        if path.suffix.lower() in AUDIO_SUFFIXES and path.with_suffix(".txt").is_file()
    )
    if not clips:
        message = f"no clips in {directory}; expected NAME.wav (or flac, mp3, m4a, ogg) with the words in NAME.txt"
        raise ValueError(message)
    return clips


def draw(clips: Sequence[Clip], generator: random.Random) -> Clip:
    """One clip that may travel inside a synapse.

    Raises:
        ValueError: All are too large.
    """
    small = [clip for clip in clips if clip.fits_inline]
    if not small:
        message = f"every challenge clip is over {INLINE_LIMIT_BYTES} bytes; shorten one, or store it as mp3 or ogg"
        raise ValueError(message)
    return generator.choice(small)


SOUND_RATE = 16_000
"""Sample rate of a sound, Hz."""

SOUND_S = (1.2, 1.9)
"""Length of a sound, seconds: within 64 KiB as 16-bit samples."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound that was made by formula, and what is true of it."""

    audio: bytes
    """A wav file."""
    fields: tuple[str, ...]
    """What to ask for."""
    known: Mapping[str, tuple[float, float]]
    """Truth and tolerance by the path of a value, such as `level.rms_dbfs`."""


def draw_sound(generator: random.Random) -> Sound:
    """A tone of a random pitch, level and offset, never the same twice."""
    duration_s = generator.uniform(*SOUND_S)
    f0_hz, amplitude, offset = generator.uniform(90, 400), generator.uniform(0.05, 0.7), generator.uniform(-0.1, 0.1)
    n_samples = int(duration_s * SOUND_RATE)
    phase = 2 * math.pi * (f0_hz / SOUND_RATE * np.arange(n_samples) + generator.random())
    samples = (offset + amplitude * np.sin(phase)).astype(np.float32)
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    known = {
        "duration_s": (n_samples / SOUND_RATE, 1e-3),
        "level.rms_dbfs": (20 * math.log10(rms), 0.02),
        "level.dc_offset": (float(samples.mean(dtype=np.float64)), 1e-3),
        "pitch.median_hz": (f0_hz, 0.01 * f0_hz),
    }
    more = generator.sample(("loudness", "true_peak", "mel", "mfcc"), 2)
    return Sound(encode(samples, SOUND_RATE, dither=generator.getrandbits(32)), ("level", "pitch", *more), known)


_NAMES = ("Amelia Hart", "Oscar Lindqvist", "Doctor Okafor", "Miss Delacroix", "Captain Ferrari", "Professor Nakamura")
_DEEDS = ("sold", "painted", "repaired", "borrowed", "photographed", "promised us")
_THINGS = ("wooden chairs", "silver lanterns", "old maps", "garden gates", "copper kettles", "fishing boats")
_PLACES = ("near the harbour", "behind the library", "outside the station", "under the bridge", "at the market")


def draw_text(generator: random.Random) -> str:
    """A sentence to speak, with a name, a number and a date; hardly ever the same twice."""
    day, hour = generator.randint(1, 28), generator.randint(2, 11)
    month = generator.choice(("January", "March", "June", "August", "October", "December"))
    return (
        f"On {month} {day}, {generator.choice(_NAMES)} {generator.choice(_DEEDS)} {generator.randint(2, 99)} "
        f"{generator.choice(_THINGS)} {generator.choice(_PLACES)} before {hour} o'clock."
    )
