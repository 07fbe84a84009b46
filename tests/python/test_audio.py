"""Audio in and out from Python: every kind of source, parts, channels, files that are written."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import violet
from violet import audio
from violet.cli import main

DATA = Path(__file__).parents[1] / "data"
JFK = DATA / "jfk.flac"


class Unseekable(io.RawIOBase):
    """A pipe."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)

    def seekable(self) -> bool:
        return False


def pieces(data: bytes, size: int = 1_000) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("name", ["clip.opus", "clip_opus.webm", "clip.mp3", "clip.m4a", "clip_video.mp4", "clip.caf"])
def test_every_source_gives_the_same(name: str) -> None:
    path = DATA / name
    data = path.read_bytes()
    want, sample_rate = violet.load(str(path), 16_000)
    assert sample_rate == 16_000
    assert want.dtype == np.float32
    with path.open("rb") as file:
        sources = [path, data, bytearray(data), io.BytesIO(data), file, Unseekable(data), pieces(data)]
        for source in sources:
            got, _ = violet.load(source, 16_000)  # type: ignore[arg-type]
            # Padding in the last block of Matroska is cut where the file can be looked through before.
            n_padding = 216 if name.endswith(".webm") and len(got) > len(want) else 0
            np.testing.assert_array_equal(got[: len(got) - n_padding], want)
    np.testing.assert_array_equal(violet.decode(data, 16_000)[0], want)


def test_channels_and_parts() -> None:
    frames, sample_rate = violet.load(DATA / "clip_51.wav", mono=False)
    assert (frames.shape, sample_rate) == ((16_000, 6), 16_000)
    one, _ = violet.load(DATA / "clip_51.wav", channel=2, start_s=0.25, duration_s=0.5)
    np.testing.assert_array_equal(one, frames[4_000:12_000, 2])
    with pytest.raises(ValueError, match="channels 0 to 5"):
        violet.load(DATA / "clip_51.wav", channel=6)


def test_blocks_are_alike_and_together_the_whole() -> None:
    want, _ = violet.load(JFK)
    stream = violet.stream(JFK, block_s=2.0)
    assert (stream.sample_rate, stream.n_channels, stream.duration_s) == (16_000, 1, 11.0)
    blocks = list(stream)
    assert [len(block) for block in blocks] == [32_000] * 5 + [16_000]
    np.testing.assert_array_equal(np.concatenate(blocks), want)
    assert stream.skipped_packets == 0


def test_an_arriving_stream_is_heard_before_it_ends() -> None:
    data, taken = (DATA / "clip_44k_stereo.mp3").read_bytes(), 0

    def arriving() -> Iterator[bytes]:
        nonlocal taken
        for piece in pieces(data, 512):
            taken += len(piece)
            yield piece

    stream = violet.stream(arriving(), 16_000, block_s=0.1)
    next(stream)
    assert taken < len(data) * 0.95


def test_an_error_of_the_source_is_not_hidden() -> None:
    def broken() -> Iterator[bytes]:
        yield (DATA / "clip.mp3").read_bytes()[:6_000]
        raise ConnectionResetError("the line is cut")

    with pytest.raises(OSError, match="the line is cut"):
        violet.load(broken())


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_what_is_saved_is_loaded(tmp_path: Path, format: audio.Format) -> None:
    samples, sample_rate = violet.load(JFK)
    path = tmp_path / f"copy.{format}"
    violet.save(path, samples, sample_rate)
    np.testing.assert_array_equal(violet.load(path)[0], samples)
    stereo = np.stack([samples, -samples], axis=1)
    got, _ = violet.load(violet.encode(stereo, sample_rate, format=format, bits=24), mono=False)
    np.testing.assert_array_equal(got, stereo)
    assert violet.info(path).duration_s == 11.0


def test_opus_is_saved_small_and_whole(tmp_path: Path) -> None:
    samples, sample_rate = violet.load(JFK)
    violet.save(tmp_path / "copy.opus", samples, sample_rate, bit_rate=24_000)
    info = violet.info(tmp_path / "copy.opus")
    assert (info.codec, info.n_channels, info.layout, info.bit_depth) == ("opus", 1, "mono", None)
    assert info.duration_s == pytest.approx(11.0, abs=1e-3)
    assert (tmp_path / "copy.opus").stat().st_size < 50_000
    assert len(violet.load(tmp_path / "copy.opus", 16_000)[0]) == pytest.approx(176_000, abs=1)


@pytest.mark.parametrize("format", ["wav", "flac", "mp3", "aac", "opus", "pcm"])
def test_blocks_make_the_same_file_as_the_whole(tmp_path: Path, format: audio.Format) -> None:
    samples, sample_rate = violet.load(JFK, 24_000)
    blocks = iter(np.array_split(samples, 7))
    violet.save(tmp_path / "blocks", blocks, sample_rate, format=format)
    assert (tmp_path / "blocks").read_bytes() == violet.encode(samples, sample_rate, format=format)


# Blocks of 110 ms until the first bytes (aac is written eleven frames at a time), how late what is heard is, and the
# most noise in it.
@pytest.mark.parametrize(("format", "n_blocks", "delay", "most"), [("mp3", 1, 1_057, 1e-3), ("aac", 5, 1_024, 4e-3)])
def test_bytes_are_there_before_the_last_samples(format: audio.Format, n_blocks: int, delay: int, most: float) -> None:
    samples, sample_rate = violet.load(JFK, 24_000)
    given = 0

    def speaking() -> Iterator[audio.Samples]:
        nonlocal given
        for block in np.array_split(samples, 100):
            given += 1
            yield block

    made = violet.encode_stream(speaking(), sample_rate, format=format)
    first = next(made)
    assert (given, first[0]) == (n_blocks, 0xFF)
    heard, _ = violet.load(first + b"".join(made))
    noise = heard[delay:][: len(samples)] - samples
    assert np.square(noise).sum() < most * np.square(samples).sum()
    with pytest.raises(ValueError, match="2 channels; those before have 1"):
        list(violet.encode_stream([samples, np.zeros((10, 2), np.float32)], sample_rate))


def test_resampling_keeps_shape_and_length() -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (4_410, 2)).astype(np.float32)
    got = violet.resample(samples, 44_100, 16_000)
    assert got.shape == (1_600, 2)
    np.testing.assert_array_equal(got[:, 1], violet.resample(samples[:, 1], 44_100, 16_000))


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        pytest.param(lambda: violet.load(3), TypeError, "expected a path, bytes", id="number"),  # type: ignore[arg-type]
        pytest.param(lambda: violet.load(DATA / "clip.wma"), ValueError, "WMA", id="unsupported"),
        pytest.param(lambda: violet.load(b"%PDF-1.7"), ValueError, "a PDF document", id="no-audio"),
        pytest.param(lambda: violet.load("/no/such.wav"), FileNotFoundError, "such", id="missing"),
        pytest.param(lambda: violet.load(JFK, max_duration_s=5), violet.LimitError, "limit", id="long"),
        pytest.param(lambda: violet.load(JFK, start_s=60), ValueError, "ends before", id="past-the-end"),
        pytest.param(lambda: violet.load(JFK, channel=-1), ValueError, "channel is -1", id="channel"),
        pytest.param(lambda: violet.encode([0.0], 8_000, dither=-1), ValueError, "dither is -1", id="dither"),
        pytest.param(lambda: violet.stream(JFK, block_s=0), ValueError, "block_s", id="no-block"),
        pytest.param(lambda: violet.encode([1, 2], 8_000), ValueError, "int64", id="integers"),
        pytest.param(lambda: violet.encode(np.zeros((2, 2, 2)), 8_000), ValueError, "shape", id="cube"),
        pytest.param(lambda: violet.encode([0.0], 8_000, format="mp3", bit_rate=1), ValueError, "160,000", id="mp3"),
        pytest.param(lambda: violet.encode([0.0], 8_000, format="aac", bit_rate=1), ValueError, "48000", id="aac"),
        pytest.param(lambda: violet.encode([0.0], 8_000, format="amr"), ValueError, "wav, flac", id="format"),  # type: ignore[arg-type]
    ],
)
def test_impossible_calls_say_what_is_wrong(call, error, text) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    with pytest.raises(error, match=text):
        call()


def test_info_and_convert_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["convert", str(DATA / "clip_51.flac"), str(tmp_path / "mono.wav"), "--mono", "--sample-rate", "8000"])
        == 0
    )
    assert main(["info", "--json", str(tmp_path / "mono.wav")]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["sample_rate"], facts["n_channels"], facts["duration_s"], facts["codec"]) == (
        8_000,
        1,
        1.0,
        "pcm_s16le",
    )
    assert main(["convert", str(JFK), str(tmp_path / "jfk.mp3"), "--bit-rate", "32000"]) == 0
    assert violet.info(tmp_path / "jfk.mp3").duration_s == 11.0
    with pytest.raises(SystemExit):
        main(["convert", str(tmp_path / "jfk.mp3"), str(tmp_path / "jfk.mp3")])
    capsys.readouterr()
    assert main(["info", str(DATA / "absent.wav"), str(JFK)]) == 1
    printed = capsys.readouterr()
    assert "absent.wav: No such file" in printed.err
    assert "16000" in printed.out
