"""`violet.Transcriber` with the real tiny.en: options, streams, threads, interrupts, memory."""

import itertools
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import violet
from violet.vad import VadOptions

SPEECH = Path(str(files("violet"))) / "data" / "speech"
JFK = SPEECH / "jfk.flac"
TEXT = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
WORDS = TEXT.split()

Samples = npt.NDArray[np.float32]


@pytest.fixture(scope="module")
def asr(tiny_en: Path) -> violet.Transcriber:
    # Begins the process's own pool of threads, so that none of them bears the name of the stream that first needs it.
    violet.log_mel(np.zeros(16_000, np.float32))
    return violet.Transcriber(tiny_en, "cpu")


@pytest.fixture(scope="module")
def jfk() -> Samples:
    samples, _ = violet.load(JFK, 16_000)
    return samples


@pytest.fixture(scope="module")
def long(jfk: Samples) -> Samples:
    """The clip four times, with 4 s of silence between."""
    pause = np.zeros(64_000, np.float32)
    return np.concatenate([part for _ in range(4) for part in (jfk, pause)])


def words(text: str) -> list[str]:
    return "".join(c for c in text.lower() if c.isalnum() or c.isspace()).split()


def engine_threads() -> list[str]:
    """Names of this process's threads that a stream or a batch began."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if name.startswith(("whisper-stream", "whisper-chunk"))]


def test_a_path_and_its_samples_are_the_same(asr: violet.Transcriber, jfk: Samples) -> None:
    from_path, from_samples = asr.transcribe(JFK), asr.transcribe(jfk)
    assert words(from_path.text) == WORDS
    assert from_path.to_json() == from_samples.to_json()


def test_a_stream_yields_what_transcribe_returns(asr: violet.Transcriber, long: Samples) -> None:
    whole = asr.transcribe(long)
    seen: list[tuple[float, str]] = []
    stream = asr.stream(long, progress=lambda fraction, text: seen.append((fraction, text)))
    segments, n_reports_at_first = [], 0
    while True:
        try:
            segments.append(next(stream))
            n_reports_at_first = n_reports_at_first or len(seen)
        except StopIteration as end:
            transcript = end.value
            break
    assert transcript is not None
    assert transcript.to_json() == whole.to_json()
    assert [segment.text for segment in segments] == [segment.text for segment in whole.segments]
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert n_reports_at_first < len(seen), "the first segment came when all was over"
    assert len({text for _, text in seen}) > len(segments), "no text was shown before its segment was done"


def test_leaving_a_stream_leaves_no_thread(asr: violet.Transcriber, long: Samples) -> None:
    for segment in asr.stream(long):
        assert segment.text
        break
    assert engine_threads() == []
    stream = asr.stream(long)
    next(stream)
    assert engine_threads() == ["whisper-stream"]
    stream.close()
    assert engine_threads() == []
    unused = asr.stream(long)
    del unused
    assert engine_threads() == []


def test_live_audio_is_answered_at_its_pauses(asr: violet.Transcriber, silero_vad: Path, long: Samples) -> None:
    assert silero_vad.is_dir()
    given = 0

    def microphone() -> Iterator[Samples]:
        nonlocal given
        for chunk in np.split(long, range(4_000, len(long), 4_000)):
            given += len(chunk)
            yield chunk

    heard, when = [], []
    for segment in asr.stream(microphone()):
        heard.append(segment)
        when.append(given / 16_000)
    assert words(" ".join(segment.text for segment in heard)) == WORDS * 4
    # Answered within the clip's own turn: 11 s of speech, 4 s of silence.
    assert when[0] < 15.0
    assert all(at - segment.end < 4.5 for at, segment in zip(when, heard, strict=True))
    assert engine_threads() == []


def test_an_error_of_live_audio_is_the_callers_own(asr: violet.Transcriber, silero_vad: Path, jfk: Samples) -> None:
    assert silero_vad.is_dir()

    def broken() -> Iterator[Samples]:
        yield jfk[:16_000]
        raise ConnectionError("the microphone is gone")

    with pytest.raises(ConnectionError, match="microphone"):
        list(asr.stream(broken()))
    with pytest.raises(ValueError, match="expected floats"):
        list(asr.stream([np.zeros(100, np.int16)]))
    assert engine_threads() == []


def test_chunks_side_by_side_say_the_same_words(asr: violet.Transcriber, silero_vad: Path) -> None:
    assert silero_vad.is_dir()
    pause = np.zeros(64_000, np.float32)
    clips = [violet.load(path, 16_000)[0] for path in sorted(SPEECH.iterdir()) if path.suffix not in {".md", ".json"}]
    long = np.concatenate([part for clip in clips for part in (clip, pause)])
    transcript = asr.transcribe(long, batch_size=4)
    # Other windows and nothing said before: a word or two may differ.
    rate = violet.wer(asr.transcribe(long).text, transcript.text, "whisper-en")
    assert rate is not None
    assert rate < 0.05
    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)
    # Times are those of the recording, not of its speech alone.
    assert transcript.segments[-1].start > 40.0
    assert transcript.duration_s == pytest.approx(len(long) / 16_000)
    assert engine_threads() == []


def test_silence_is_left_out_and_times_are_restored(asr: violet.Transcriber, silero_vad: Path, jfk: Samples) -> None:
    assert silero_vad.is_dir()
    silence = np.random.default_rng(0).normal(0, 1e-3, 20 * 16_000).astype(np.float32)
    audio = np.concatenate([silence, jfk, silence])
    transcript = asr.transcribe(audio, vad_filter=True)
    assert words(transcript.text) == WORDS
    assert 19.5 < transcript.segments[0].start < 21.0
    assert 29.0 < transcript.segments[-1].end < 32.0
    assert transcript.duration_s == pytest.approx(51.0)
    assert asr.transcribe(silence, vad_filter=True).text == ""
    never = VadOptions(threshold=1.0)
    assert asr.transcribe(jfk, vad_filter=True, vad=never).text == ""


def test_speech_timestamps_are_sileros(silero_vad: Path, jfk: Samples) -> None:
    assert silero_vad.is_dir()
    # Made by silero-vad 6.2.3; see tests/data/make_vad.py.
    expected = [(5152, 36320), (52256, 71136), (86048, 122848), (130592, 169952)]
    assert violet.speech_timestamps(jfk) == expected
    assert violet.speech_timestamps(JFK)[0].end == 36_320
    with pytest.raises(ValueError, match="threshold is 2"):
        violet.speech_timestamps(jfk, VadOptions(threshold=2.0))


def test_eight_threads_say_what_one_says(asr: violet.Transcriber, jfk: Samples) -> None:
    shifted = [np.concatenate([np.zeros(160 * n, np.float32), jfk]) for n in range(8)]
    alone = [asr.transcribe(samples).to_json() for samples in shifted]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda samples: asr.transcribe(samples).to_json(), shifted))
    texts = [violet.Transcript.from_json(text).text for text in alone]
    assert [violet.Transcript.from_json(text).text for text in together] == texts
    assert all(words(text) == WORDS for text in texts)


def test_an_exception_from_progress_ends_the_work(asr: violet.Transcriber, long: Samples) -> None:
    def stop(fraction: float, text: str) -> None:
        raise LookupError(text)

    with pytest.raises(LookupError):
        asr.transcribe(long, progress=stop)
    with pytest.raises(LookupError):
        list(asr.stream(long, progress=stop))
    assert engine_threads() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"language": "xx"}, "unknown language `xx`; this model knows en", id="language"),
        pytest.param({"beam_size": 0}, "beam_size is 0; expected 1 to 32", id="beam"),
        pytest.param({"batch_size": 1000}, "batch_size is 1000; expected 1 to 128", id="batch"),
        pytest.param({"temperature": 3.0}, "temperature is 3; expected 0 to 2", id="temperature"),
        pytest.param({"seed": -1}, "^seed is -1: ", id="seed"),
    ],
)
def test_impossible_options_are_refused(
    asr: violet.Transcriber, silero_vad: Path, jfk: Samples, options: dict[str, Any], message: str
) -> None:
    assert silero_vad.is_dir()
    with pytest.raises(ValueError, match=message):
        asr.transcribe(jfk, **options)
    with pytest.raises(ValueError, match=message):
        list(asr.stream(jfk, **options))


def test_an_option_that_does_not_exist_is_refused_with_those_that_do(asr: violet.Transcriber, jfk: Samples) -> None:
    with pytest.raises(TypeError, match=r"unknown option beam; expected some of .*batch_size, beam_size, .*"):
        asr.transcribe(jfk, **{"beam": 5})  # type: ignore[arg-type]


def test_what_is_of_another_type_is_named(asr: violet.Transcriber, silero_vad: Path, jfk: Samples) -> None:
    assert silero_vad.is_dir()
    with pytest.raises(TypeError, match=r"^beam_size is None: "):
        asr.transcribe(jfk, beam_size=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^clip_timestamps is '3,7': "):
        asr.stream(jfk, clip_timestamps="3,7")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"audio is of type bytes; expected a path or float samples"):
        asr.transcribe(JFK.read_bytes())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"audio is of type int; expected a path or float samples"):
        list(asr.stream(JFK.read_bytes()))  # type: ignore[arg-type]


INTERRUPTED = """
import signal, sys, time, threading, numpy, violet
asr = violet.Transcriber(sys.argv[1], "cpu")
jfk, _ = violet.load(sys.argv[2], 16_000)
audio = numpy.tile(jfk, 60)
print("ready", flush=True)
try:
    {call}
except KeyboardInterrupt:
    names = [open(f"/proc/self/task/{{t}}/comm").read() for t in __import__("os").listdir("/proc/self/task")]
    print("interrupted", any(name.startswith("whisper-stream") for name in names), flush=True)
"""


@pytest.mark.parametrize("call", ["asr.transcribe(audio)", "list(asr.stream(audio))"])
def test_an_interrupt_is_answered_within_a_second(tiny_en: Path, call: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED.format(call=call), str(tiny_en), str(JFK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(3.0)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        answer = process.stdout.readline()
        took_s = time.monotonic() - began
        process.wait(timeout=30)
    assert answer == "interrupted False\n"
    assert took_s < 1.0


MEMORY = """
import resource, sys, violet
asr = violet.Transcriber(sys.argv[1], "cpu", num_threads=1)
n = 0
stream = asr.stream(sys.argv[2])
for segment in stream:
    n += 1
    if segment.end > float(sys.argv[3]):
        break
stream.close()
print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_recording(tiny_en: Path, jfk: Samples, tmp_path: Path) -> None:
    """A recording of an hour needs no more than its first ten minutes, which are read ahead."""
    peaks = []
    for minutes in (11, 60):
        path = tmp_path / f"{minutes}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            minute = (np.resize(jfk, 60 * 16_000) * 32767).astype("<i2").tobytes()
            for _ in range(minutes):
                file.writeframes(minute)
        command = [sys.executable, "-c", MEMORY, str(tiny_en), str(path), "20"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
        n_segments, peak_mb = map(int, done.stdout.split())
        assert n_segments > 0
        peaks.append(peak_mb)
    # An hour of samples alone is 230 MB.
    assert peaks[1] - peaks[0] < 40, f"{peaks} MB"


def test_threads_that_wait_do_not_hold_the_interpreter(asr: violet.Transcriber, jfk: Samples) -> None:
    ticks = itertools.count()
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.005):
            next(ticks)

    thread = threading.Thread(target=tick)
    thread.start()
    asr.transcribe(jfk)
    over.set()
    thread.join()
    assert next(ticks) > 10
