"""Files of transcripts: lines, NIST's TRN, STM and CTM, and SegLST (JSON).

Formats: NIST SCTK's `sclite` documentation (TRN, STM, CTM); CHiME's SegLST (a JSON list of segments). Words are taken
as they are written: sclite's alternatives (`{ a / b }`, `<ALT>`), optional words (`(uh)`) and segments that are to be
ignored have no meaning here.
"""

import json
from pathlib import Path
from typing import Any

from violet.meetings import Segment

__all__ = ["FORMATS", "format_of", "read_lines", "read_segments", "read_utterances"]

FORMATS = ("lines", "trn", "stm", "ctm", "seglst")
"""The formats that are read; `lines` has one utterance a line."""


def format_of(path: Path) -> str:
    """The format that a file's name says; `lines` for any other name."""
    return {".trn": "trn", ".stm": "stm", ".ctm": "ctm", ".json": "seglst"}.get(path.suffix.lower(), "lines")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        ValueError: If it is not UTF-8.
        OSError: If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, without their ends; of `FORMATS`, `lines`.

    Only line feeds and carriage returns end a line: other separators of Unicode stand in transcripts too.

    Raises:
        ValueError: If it is not UTF-8.
        OSError: If it cannot be read.
    """
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def read_utterances(path: Path) -> dict[str, str]:
    """Utterances by id from a TRN file, whose lines end with `(id)`.

    Raises:
        ValueError: For a line without an id, an id that comes twice, or text that is not UTF-8.
        OSError: If the file cannot be read.
    """
    utterances: dict[str, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        text, _, rest = line.rstrip().rpartition("(")
        if not rest.endswith(")") or len(rest) < 2:
            raise ValueError(f"{path}:{number}: no utterance id; expected words and then (id)")
        if (name := rest[:-1]) in utterances:
            raise ValueError(f"{path}:{number}: the utterance id {name!r} comes twice")
        utterances[name] = text.strip()
    return utterances


def read_segments(path: Path, kind: str | None = None) -> list[Segment]:
    """Segments from an STM, CTM or SegLST file; `kind` is what the name says if None.

    A CTM has no speakers: its channels stand for them. Times are seconds, and NaN where SegLST has none.

    Raises:
        ValueError: For a line or an entry that is not of the format, or text that is not UTF-8.
        OSError: If the file cannot be read.
    """
    kind = kind or format_of(path)
    if kind == "seglst":
        return _seglst(path)
    reader = {"stm": _stm, "ctm": _ctm}.get(kind)
    if reader is None:
        raise ValueError(f"{path} is of format {kind!r}, which has no speakers; expected stm, ctm or seglst")
    segments = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.startswith(";;"):
            continue
        try:
            segments.append(reader(line))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: not a line of {kind.upper()}: {error}") from error
    return segments


def _stm(line: str) -> Segment:
    fields = line.split(maxsplit=5)
    if len(fields) < 5:
        raise ValueError("expected file, channel, speaker, begin, end and the words")
    text = fields[5] if len(fields) > 5 else ""
    if text.startswith("<") and ">" in text:
        text = text[text.index(">") + 1 :]
    return Segment(fields[0], fields[2], float(fields[3]), float(fields[4]), text.strip())


def _ctm(line: str) -> Segment:
    fields = line.split()
    if len(fields) < 5:
        raise ValueError("expected file, channel, begin, duration and the word")
    start = float(fields[2])
    return Segment(fields[0], fields[1], start, start + float(fields[3]), fields[4])


def _seglst(path: Path) -> list[Segment]:
    try:
        entries: Any = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    if not isinstance(entries, list):
        raise ValueError(  # noqa: TRY004 - the file is wrong, not an argument's type
            f"{path} is a JSON {type(entries).__name__}; expected a list of segments"
        )
    segments = []
    for index, entry in enumerate(entries):
        try:
            segments.append(Segment.from_entry(entry))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: entry {index} is not a segment: {error}") from error
    return segments
