"""Audio in and out: files, bytes and streams to samples and back.

Samples are float32 in [-1, 1]: `[n_samples]` for one channel, `[n_frames, n_channels]` for several.

>>> import numpy as np, violet
>>> data = violet.encode(np.zeros(16_000, np.float32), 16_000, format="flac")
>>> samples, sample_rate = violet.load(data)
>>> samples.shape, sample_rate
((16000,), 16000)
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import PurePath
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from violet import _core

type Samples = npt.NDArray[np.float32]
"""Samples in [-1, 1]: `[n_samples]`, or `[n_frames, n_channels]`."""

type Source = str | PathLike[str] | bytes | bytearray | BinaryIO
"""A path, the bytes of a file, or a binary file object."""

type Format = Literal["wav", "flac", "mp3", "aac", "opus", "pcm"]
"""A file format that is written; `aac` is AAC-LC in ADTS."""

type Bits = Literal[16, 24, "float"]
"""How wav, flac and pcm store samples."""

MAX_DURATION_S = 4 * 3600.0
"""Longest audio that is loaded, seconds, unless another limit is given."""

MAX_BYTES = 1 << 30
"""Largest file that is loaded, bytes, unless another limit is given."""

MAX_STREAM_DURATION_S = 24 * 3600.0
"""Longest audio that is streamed, seconds, unless another limit is given."""

MAX_STREAM_BYTES = 1 << 34
"""Largest file that is streamed, bytes, unless another limit is given."""


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of an audio file says."""

    duration_s: float | None
    """Length without encoder delay and padding, seconds; None where it is not known."""
    sample_rate: int
    """Samples a second of each channel, Hz."""
    n_channels: int
    """Number of channels."""
    layout: str | None
    """Name of the channels' layout, such as `stereo` or `5.1`."""
    codec: str
    """Short name of the codec, such as `mp3` or `pcm_s16le`."""
    container: str
    """Short name of the container, such as `wave` or `ogg`."""
    bit_depth: int | None
    """Bits a sample; None where samples are not stored as such."""
    bit_rate: int | None
    """Mean bits a second of the whole file."""
    tags: dict[str, str] = field(default_factory=dict)
    """Tags such as `title` and `artist`."""


def load(
    source: Source | Iterable[bytes],
    sample_rate: int | None = None,
    *,
    mono: bool = True,
    channel: int | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    allow_ffmpeg: bool = False,
    max_duration_s: float = MAX_DURATION_S,
    max_bytes: int = MAX_BYTES,
) -> tuple[Samples, int]:
    """Decodes audio: wav, aiff, flac, mp3, aac, mp4, ogg, opus, matroska, webm or caf, recognised by content.

    Damaged packets are heard as silence; `stream` counts them.

    Args:
        source: A path, the bytes of a file, a binary file object, or an iterable of bytes as they arrive.
        sample_rate: Rate to resample to, Hz; None keeps the file's own.
        mono: Mix all channels to one after ITU-R BS.775; False keeps them all, `[n_frames, n_channels]`.
        channel: Hear this channel alone, counted from 0.
        start_s: Where to begin, seconds.
        duration_s: How much to hear, seconds; None for all.
        allow_ffmpeg: Give what cannot be read here to an `ffmpeg` on PATH, within limits of time and memory.
        max_duration_s: Longest audio that is decoded, seconds.
        max_bytes: Largest input, bytes.

    Returns:
        The samples and their sample rate, Hz.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not audio, cannot be read, has no supported codec, or an argument is impossible.
        violet.LimitError: It is longer or larger than the limits.
    """
    _check_counts(sample_rate=sample_rate, channel=channel, max_bytes=max_bytes)
    return _core.load(
        source,
        sample_rate,
        mono=mono,
        channel=channel,
        start_s=start_s,
        duration_s=duration_s,
        allow_ffmpeg=allow_ffmpeg,
        max_duration_s=max_duration_s,
        max_bytes=max_bytes,
    )


def decode(
    data: bytes, sample_rate: int | None = None, *, mono: bool = True, channel: int | None = None
) -> tuple[Samples, int]:
    """Decodes the bytes of an audio file; see `load`.

    Raises:
        TypeError: The data are not bytes.
        ValueError: They are not audio, their codec is not supported, or an argument is impossible.
        violet.LimitError: The audio is longer or larger than the limits.
    """
    _check_counts(sample_rate=sample_rate, channel=channel)
    return _core.decode(data, sample_rate, mono=mono, channel=channel)


def stream(
    source: Source | Iterable[bytes],
    sample_rate: int | None = None,
    *,
    block_s: float = 1.0,
    mono: bool = True,
    channel: int | None = None,
    start_s: float = 0.0,
    duration_s: float | None = None,
    allow_ffmpeg: bool = False,
    max_duration_s: float = MAX_STREAM_DURATION_S,
    max_bytes: int = MAX_STREAM_BYTES,
) -> "AudioStream":
    """Decodes audio block by block, however long it is, in constant memory; see `load`.

    An iterable of bytes is decoded as it arrives; of mp4, caf and aiff, which cannot be, a temporary copy is made.

    Args:
        source: As in `load`.
        sample_rate: As in `load`.
        block_s: Length of the blocks, seconds; the last may be shorter.
        mono: As in `load`.
        channel: As in `load`.
        start_s: As in `load`.
        duration_s: As in `load`.
        allow_ffmpeg: As in `load`; for paths only.
        max_duration_s: As in `load`.
        max_bytes: As in `load`.

    Returns:
        An iterator of blocks of samples that knows its rate and channels.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not audio, its codec is not supported, or an argument is impossible.
        violet.LimitError: It is longer or larger than the limits; also while it is decoded.
    """
    _check_counts(sample_rate=sample_rate, channel=channel, max_bytes=max_bytes)
    blocks = _core.AudioStream(
        source,
        block_s,
        sample_rate,
        mono=mono,
        channel=channel,
        start_s=start_s,
        duration_s=duration_s,
        allow_ffmpeg=allow_ffmpeg,
        max_duration_s=max_duration_s,
        max_bytes=max_bytes,
    )
    return AudioStream(blocks)


class AudioStream(Iterator[Samples]):
    """Blocks of samples, decoded while they are asked for."""

    def __init__(self, blocks: _core.AudioStream) -> None:
        self._blocks = blocks

    @property
    def sample_rate(self) -> int:
        """Samples a second of each channel, Hz."""
        return self._blocks.sample_rate

    @property
    def n_channels(self) -> int:
        """Number of channels of the blocks."""
        return self._blocks.n_channels

    @property
    def duration_s(self) -> float | None:
        """Length that the header states, seconds; None where it does not."""
        return self._blocks.duration_s

    @property
    def skipped_packets(self) -> int:
        """Damaged packets so far, heard as silence."""
        return self._blocks.skipped_packets

    def __next__(self) -> Samples:
        """The next block."""
        return next(self._blocks)


def info(source: Source) -> AudioInfo:
    """What an audio file is, without decoding it all.

    Args:
        source: A path, the bytes of a file, or a binary file object that can seek.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not audio, or its codec is not supported.
    """
    return AudioInfo(**_core.probe(source))


def save(
    path: str | PathLike[str],
    samples: npt.ArrayLike | Iterator[npt.ArrayLike],
    sample_rate: int,
    *,
    format: Format | None = None,
    bits: Bits = 16,
    bit_rate: int | None = None,
    dither: int | None = 0,
) -> None:
    """Writes an audio file.

    All formats begin and end where the samples do, but aac: what is heard of it is 1,024 samples late, with silence at
    its end, which ADTS cannot tell a player to leave out.

    Args:
        path: The file, made or replaced.
        samples: `[n_samples]` or `[n_frames, n_channels]`, in [-1, 1]; what lies beyond is clipped unless `bits` is
            "float". An iterator of such blocks, as `stream` gives them, is written block by block.
        sample_rate: Their rate, Hz.
        format: The file format; None takes it from the end of the path's name.
        bits: How wav, flac and pcm store samples.
        bit_rate: Bits a second of mp3, aac and opus; None for 64,000 a channel (of aac below 10.7 kHz the most that it
            can have, 6 for each sample).
        dither: Seed of the triangular dither that is added where bits are lost; None for plain rounding.

    Raises:
        OSError: The file cannot be written.
        ValueError: The samples are not finite, or the format cannot hold them.
    """
    _check_counts(sample_rate=sample_rate, bit_rate=bit_rate, dither=dither)
    choices = (format or PurePath(fspath(path)).suffix.removeprefix("."), str(bits), bit_rate, dither)
    if isinstance(samples, Iterator):
        for _ in _encoded(path, samples, sample_rate, choices):
            pass
    else:
        _core.save(path, _floats(samples), sample_rate, choices)


def encode(
    samples: npt.ArrayLike,
    sample_rate: int,
    *,
    format: Format = "wav",
    bits: Bits = 16,
    bit_rate: int | None = None,
    dither: int | None = 0,
) -> bytes:
    """The bytes of an audio file; see `save`.

    Raises:
        ValueError: The samples are not finite, or the format cannot hold them.
    """
    _check_counts(sample_rate=sample_rate, bit_rate=bit_rate, dither=dither)
    return _core.encode(_floats(samples), sample_rate, (format, str(bits), bit_rate, dither))


def encode_stream(
    blocks: Iterable[npt.ArrayLike],
    sample_rate: int,
    *,
    format: Format = "mp3",
    bits: Bits = 16,
    bit_rate: int | None = None,
    dither: int | None = 0,
) -> Iterator[bytes]:
    """The bytes of an audio file as they are made, for a listener who does not wait for the end.

    What a header says at the end is not said: wav has the greatest length, flac none, and mp3 keeps the encoder's delay
    (1,057 samples) and padding. `save` and `encode` go back and write it. Aac is the same file as theirs, some frames
    behind the samples.

    Args:
        blocks: Blocks of samples, each as `encode` takes them, with as many channels as the first.
        sample_rate: As in `save`.
        format: As in `save`.
        bits: As in `save`.
        bit_rate: As in `save`.
        dither: As in `save`.

    Raises:
        ValueError: The samples are not finite, or the format cannot hold them; while bytes are asked for.
    """
    _check_counts(sample_rate=sample_rate, bit_rate=bit_rate, dither=dither)
    return _encoded(None, blocks, sample_rate, (format, str(bits), bit_rate, dither))


def _encoded(
    path: str | PathLike[str] | None,
    blocks: Iterable[npt.ArrayLike],
    sample_rate: int,
    choices: tuple[str, str, int | None, int | None],
) -> Iterator[bytes]:
    """The bytes that blocks of samples make; none of them where they go to a file."""
    encoder: _core.AudioEncoder | None = None
    for block in blocks:
        samples = _floats(block)
        if encoder is None:
            encoder = _core.AudioEncoder(path, sample_rate, samples.shape[1] if samples.ndim > 1 else 1, choices)
        if data := encoder.write(samples):
            yield data
    if encoder is None:
        encoder = _core.AudioEncoder(path, sample_rate, 1, choices)
    if data := encoder.finish():
        yield data


def resample(samples: npt.ArrayLike, from_rate: int, to_rate: int) -> Samples:
    """Samples at another rate: flat to 0.91 of the lower Nyquist frequency, aliases below -100 dB, not delayed.

    Args:
        samples: `[n_samples]` or `[n_frames, n_channels]`.
        from_rate: Their rate, Hz.
        to_rate: The wanted rate, Hz.

    Returns:
        `round(n * to_rate / from_rate)` samples of each channel, in the same shape.

    Raises:
        ValueError: A rate is impossible.
    """
    _check_counts(from_rate=from_rate, to_rate=to_rate)
    return _core.resample(_floats(samples), from_rate, to_rate)


def _check_counts(**counts: int | None) -> None:
    """Refuses numbers below 0 by their names."""
    for name, count in counts.items():
        if count is not None and count < 0:
            message = f"{name} is {count}; expected a number of at least 0"
            raise ValueError(message)


def _floats(samples: npt.ArrayLike) -> Samples:
    """Samples as float32; integers are not guessed at."""
    array = np.asarray(samples)
    if array.size and not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"samples are {array.dtype}; expected floats in [-1, 1] (divide 16-bit integers by 32768)")
    return np.ascontiguousarray(array, dtype=np.float32)
