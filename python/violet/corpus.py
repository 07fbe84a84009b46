"""Speech with its exact words: what comes with Violet, a directory, or a dataset's manifest."""

import json
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".webm"})
"""File names that count as clips in a directory of challenges."""

MAX_MANIFEST_BYTES = 256 << 20
"""Largest manifest."""

_AUDIO_KEYS = ("audio_filepath", "audio_path", "audio", "path", "file")
_TEXT_KEYS = ("text", "sentence", "transcript")


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech with its exact words."""

    path: Path
    text: str
    language: str = "en"
    start_s: float = 0.0
    """Where in the recording the words begin, seconds."""
    duration_s: float | None = None
    """How long they last, seconds; None to the recording's end."""


def packaged_clips() -> tuple[Clip, ...]:
    """The clips that Violet brings (`violet/data/speech`, licences beside them)."""
    directory = Path(str(files("violet"))) / "data" / "speech"
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    return tuple(Clip(directory / entry["file"], entry["text"]) for entry in manifest["clips"])


def clips_in(directory: Path) -> tuple[Clip, ...]:
    """Every `NAME.wav` (or flac, mp3, m4a, ogg, opus, webm) below `directory` that has its words in `NAME.txt`.

    Raises:
        ValueError: There is none.
    """
    clips = tuple(
        Clip(path, path.with_suffix(".txt").read_text(encoding="utf-8").strip())
        for path in sorted(directory.rglob("*"))
        if path.suffix.lower() in AUDIO_SUFFIXES and path.with_suffix(".txt").is_file()
    )
    if not clips:
        message = f"no clips in {directory}; expected NAME.wav (or flac, mp3, m4a, ogg) with the words in NAME.txt"
        raise ValueError(message)
    return clips


def clips_of(manifest: Path) -> tuple[Clip, ...]:
    """The clips of a dataset's manifest.

    It is a JSON object a line, with `audio_filepath` and `text` (as NeMo and others write it), and `language` where it
    is not English. With `offset` and `duration`, seconds, the words are those of this part of the recording, which is
    cut out of it. Paths are relative to the manifest.

    Raises:
        ValueError: A line is no such object, a file is missing, or there is no line.
        OSError: The manifest cannot be read.
    """
    if manifest.stat().st_size > MAX_MANIFEST_BYTES:
        message = f"{manifest} is larger than {MAX_MANIFEST_BYTES >> 20} MiB; give a part of it"
        raise ValueError(message)
    clips = []
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            clips.append(_clip(manifest, number, line))
    if not clips:
        message = f"{manifest} names no clips; expected a JSON object a line with audio_filepath and text"
        raise ValueError(message)
    return tuple(clips)


def _clip(manifest: Path, number: int, line: str) -> Clip:
    where = f"{manifest}, line {number}"
    try:
        value: dict[str, Any] = json.loads(line)
        audio = next(str(value[key]) for key in _AUDIO_KEYS if key in value)
        text = next(str(value[key]) for key in _TEXT_KEYS if key in value)
        language = str(value.get("language") or value.get("lang") or "en")
        start_s = float(value.get("offset") or 0.0)
        # Without an offset it says how long the whole recording is.
        duration_s = float(value["duration"]) if value.get("offset") is not None and "duration" in value else None
    except (ValueError, TypeError, AttributeError, StopIteration) as error:
        message = f"{where}: {line[:80]!r} is no object with audio_filepath and text"
        raise ValueError(message) from error
    path = manifest.parent / Path(audio).expanduser()
    if not path.is_file():
        message = f"{where}: there is no file {path}"
        raise ValueError(message)
    if not (0 <= start_s < math.inf and (duration_s is None or 0 < duration_s < math.inf)):
        message = f"{where}: a part from {start_s} s of {duration_s} s; expected numbers from 0 up"
        raise ValueError(message)
    return Clip(path, text.strip(), language, start_s, duration_s)
