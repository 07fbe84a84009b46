"""The body of an upload: a path, bytes or a file, piece by piece."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 256 << 10
"""Size of the pieces that are sent."""

PART_BYTES = 8 << 20
"""Size of the parts of an upload in parts, what a broken connection costs at the most; larger for very large files."""

MOST_PARTS = 1_000
"""Parts of one upload at the most; the proxy takes twice as many, for those that broke off."""

PARTS_FROM_BYTES = 32 << 20
"""Size from which files are sent in parts unless the caller says otherwise."""

PART_TYPE = "application/offset+octet-stream"
"""Content type of a part."""

type Source = str | os.PathLike[str] | bytes | BinaryIO
"""Audio: a path, its bytes, or a binary file."""

type UploadProgress = Callable[[int, int | None], None]
"""Called as `progress(bytes_sent, bytes_in_all)`; the latter None where the file does not tell."""


def file_name(source: Source) -> str | None:
    """The file's name."""
    if isinstance(source, (str, os.PathLike)):
        return Path(source).name
    found = getattr(source, "name", None)
    return Path(found).name if isinstance(found, str) else None


def is_repeatable(source: Source | None) -> bool:
    """Whether a body can be sent again."""
    return source is None or isinstance(source, (str, os.PathLike, bytes))


def size_of(source: Source) -> int | None:
    """Number of bytes; None where the source does not tell, or cannot be read from any place.

    Raises:
        OSError: The file cannot be read.
    """
    if isinstance(source, bytes):
        return len(source)
    if isinstance(source, (str, os.PathLike)):
        return Path(source).stat().st_size
    return source.seek(0, os.SEEK_END) if source.seekable() else None


def part_of(source: Source, offset: int, n_bytes: int) -> bytes:
    """At most so many bytes from a place on.

    Raises:
        OSError: The file cannot be read.
    """
    if isinstance(source, bytes):
        return source[offset : offset + n_bytes]
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            file.seek(offset)
            return file.read(n_bytes)
    source.seek(offset)
    return source.read(n_bytes)


async def pieces(source: Source, progress: UploadProgress | None) -> AsyncIterator[bytes]:
    """The bytes, read off the event loop.

    Raises:
        OSError: The file cannot be read.
    """
    if isinstance(source, bytes):
        for at in range(0, len(source), CHUNK_BYTES):
            yield source[at : at + CHUNK_BYTES]
            if progress is not None:
                progress(min(len(source), at + CHUNK_BYTES), len(source))
    elif isinstance(source, (str, os.PathLike)):
        file = await asyncio.to_thread(Path(source).open, "rb")
        with file:
            async for piece in _read(file, os.fstat(file.fileno()).st_size, progress):
                yield piece
    else:
        async for piece in _read(source, None, progress):
            yield piece


async def _read(file: BinaryIO, total: int | None, progress: UploadProgress | None) -> AsyncIterator[bytes]:
    sent = 0
    while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
        yield piece
        sent += len(piece)
        if progress is not None:
            progress(sent, total)
