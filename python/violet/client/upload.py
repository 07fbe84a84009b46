"""The body of an upload: a path, bytes or a file, piece by piece."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import BinaryIO

CHUNK_BYTES = 256 << 10
"""Size of the pieces that are sent."""

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
