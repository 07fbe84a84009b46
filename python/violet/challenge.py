"""Clips whose words the validator knows, to ask a miner about directly."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

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
