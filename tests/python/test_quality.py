"""Speech quality and voices from Python, against the originals (`tests/data/mos.json`)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import violet
from violet import models
from violet.samples import SAMPLE_RATE

DATA = Path(__file__).parents[1] / "data"
JFK = DATA / "jfk.flac"
Samples = npt.NDArray[np.float32]


@pytest.fixture(scope="module", autouse=True)
def networks() -> None:
    """The real models; `make test` has fetched them."""
    models.fetch(["distillmos", "dnsmos", "ge2e", "silero-vad"])


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """What the originals say."""
    found: dict[str, Any] = json.loads((DATA / "mos.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def jfk() -> Samples:
    """The clip at 16 kHz."""
    return violet.load(JFK, SAMPLE_RATE)[0]


def noise(n_samples: int) -> Samples:
    """White noise by the generator of `make_mos.py`."""
    state, values = 1, np.empty(n_samples, dtype=np.float32)
    for index in range(n_samples):
        state = (state * 1_664_525 + 1_013_904_223) % 2**32
        values[index] = (state >> 8) / 2**23 - 1.0
    return values


def shuffled(samples: Samples) -> Samples:
    """Pieces of 200 ms, every second one first."""
    pieces = samples[: samples.size // 3200 * 3200].reshape(-1, 3200)
    return np.concatenate([pieces[0::2].ravel(), pieces[1::2].ravel()])


TONE = (0.1 * np.sin(2 * np.pi * 220 / SAMPLE_RATE * np.arange(10 * SAMPLE_RATE))).astype(np.float32)
CLIPS: dict[str, Callable[[Samples], Samples]] = {
    "whole": lambda jfk: jfk,
    "first_4_s": lambda jfk: jfk[:64_000],
    "first_0.5_s": lambda jfk: jfk[:8_000],
    "reversed": lambda jfk: jfk[::-1],
    "shuffled": shuffled,
    "half_gain": lambda jfk: np.float32(0.5) * jfk,
    "with_noise": lambda jfk: np.float32(0.8) * jfk + np.float32(0.02) * noise(jfk.size),
    "twice": lambda jfk: np.concatenate([jfk, jfk]),
    "sine_220_hz_10_s": lambda _: TONE,
    "silence_10_s": lambda _: np.zeros(160_000, np.float32),
}
"""The clips of `make_mos.py`."""


def test_scores_and_voices_are_those_of_the_originals(jfk: Samples, golden: dict[str, Any]) -> None:
    assert CLIPS.keys() == golden["clips"].keys()
    clips = [make(jfk) for make in CLIPS.values()]
    for name, clip, scores in zip(CLIPS, clips, violet.mos(clips), strict=True):
        want = golden["clips"][name]
        assert scores.distillmos == pytest.approx(want["distillmos"], abs=1e-3)
        assert scores.dnsmos is not None
        assert scores.dnsmos._asdict() == pytest.approx(want["dnsmos"], abs=1e-3)
        voice = violet.voice(clip, prepare=False)
        assert np.dot(voice.embedding.astype(np.float64), want["voice"]) > 1 - 1e-6, name
        assert [round(partial.start * SAMPLE_RATE) for partial in voice.partials] == want["partials"]


def test_one_to_eight_threads_give_the_same_bits(jfk: Samples) -> None:
    clip = np.concatenate([jfk, jfk])[: 12 * SAMPLE_RATE]
    alone = violet.mos(clip, num_threads=1), violet.voice(clip, prepare=False, partials_per_s=4, num_threads=1)
    for num_threads in range(2, 9):
        # A second clip where threads share one, and where they are many; at every number it would take long.
        n_clips = 2 if num_threads in {2, 3, 8} else 1
        assert violet.mos([clip] * n_clips, num_threads=num_threads) == [alone[0]] * n_clips
        voice = violet.voice(clip, prepare=False, partials_per_s=4, num_threads=num_threads)
        assert np.array_equal(voice.embedding, alone[1].embedding)
        assert all(np.array_equal(a[2], b[2]) for a, b in zip(voice.partials, alone[1].partials, strict=True))


def test_one_clip_or_several_from_a_file_or_samples_and_one_model_alone(jfk: Samples) -> None:
    one = violet.mos(JFK, "dnsmos", num_threads=1)
    assert one.distillmos is None
    assert [one, one] == violet.mos([JFK, jfk], ["dnsmos"], num_threads=2)
    assert violet.mos([]) == []


def test_other_sample_rates_are_resampled(jfk: Samples) -> None:
    # Every second sample, held: 8 kHz speech sounds worse, and much like itself.
    scores = violet.mos(jfk[::2], "distillmos", sample_rate=8_000)
    assert scores.distillmos is not None
    assert 1.0 < scores.distillmos < 5.0
    assert violet.speaker_similarity(JFK, JFK) == pytest.approx(1.0)


def test_voices_have_pieces_and_are_close_to_the_original_where_clips_are_prepared(
    jfk: Samples, golden: dict[str, Any]
) -> None:
    found = violet.voice(jfk, prepare=False)
    assert found.partials[0].end == pytest.approx(1.6)
    assert found.partials[-1].end <= len(jfk) / SAMPLE_RATE
    prepared = violet.speaker_embedding(jfk)
    assert np.linalg.norm(prepared) == pytest.approx(1.0, abs=1e-5)
    assert np.dot(prepared, golden["prepared"]["whole"]) > 0.98


def test_times_of_pieces_are_those_of_the_clip_where_pauses_are_taken_out(jfk: Samples) -> None:
    pause = np.zeros(5 * SAMPLE_RATE, dtype=np.float32)
    found = violet.voice(np.concatenate([pause, jfk, pause, jfk]))
    assert 4.5 < found.partials[0].start < 6.0
    assert any(partial.end - partial.start > 5.0 for partial in found.partials)
    assert all(a.start < b.start for a, b in zip(found.partials, found.partials[1:], strict=False))
    assert found.partials[-1].end <= 32.0


def test_loudness_does_not_change_a_prepared_voice(jfk: Samples) -> None:
    # Both are below -30 dBFS and are raised to it.
    assert violet.speaker_similarity(jfk * 0.01, jfk * 0.02) > 0.999


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: violet.mos(np.zeros(0, np.float32)), "the clip has no samples"),
        (lambda: violet.mos(np.full(9, np.nan, np.float32)), "sample 0 is NaN; every sample must be finite"),
        (lambda: violet.mos(np.full(9, 500.0, np.float32)), r"sample 0 is 500; expected floats in \[-1, 1\]"),
        (lambda: violet.mos([JFK, np.zeros(0, np.float32)], "dnsmos"), "clip 1: the clip has no samples"),
        (lambda: violet.mos(np.zeros((2, 9), np.float32)), r"shape \[2, 9\]"),
        (lambda: violet.mos(np.zeros(9, np.int16)), "int16; expected floats"),
        (lambda: violet.mos(JFK, ["utmos"]), "no model 'utmos'; expected some of distillmos, dnsmos"),
        (lambda: violet.mos(np.zeros(9, np.float32), sample_rate=0), "sample_rate is 0; expected 1 to 768000 Hz"),
        (lambda: violet.mos(JFK, "dnsmos", num_threads=0), "num_threads is 0; expected 1 to"),
        (lambda: violet.voice(JFK, partials_per_s=0.1), "partials_per_s is 0.1; expected 0.63 to 100"),
        (lambda: violet.speaker_embedding(np.zeros(32_000, np.float32)), "no speech in the clip"),
    ],
)
def test_what_is_no_audio_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_missing_model_says_how_to_fetch_it(tmp_path: Path) -> None:
    environment = {"VIOLET_OFFLINE": "1", "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    with pytest.raises(models.OfflineError, match="run `violet models fetch distillmos`"):
        models.resolve("distillmos", env=environment)


def test_speakers_are_counted_and_their_turns_found(jfk: Samples) -> None:
    clips = Path(violet.__file__).parent / "data/speech"
    wizard, cold = (violet.load(clips / name, SAMPLE_RATE)[0] for name in ("wizard.ogg", "cold.m4a"))
    alone = violet.analyze(jfk, ["speakers"], sample_rate=SAMPLE_RATE).speakers
    assert alone["n_speakers"] == 1
    # Where one follows another the change is within a piece, which is no speaker of its own.
    found = violet.analyze(np.concatenate([wizard, jfk, wizard, cold]), ["speakers"], sample_rate=SAMPLE_RATE).speakers
    assert [turn["speaker"] for turn in found["turns"]] == [0, 1, 0, 2]
    assert found["n_speakers"] == 3
    changes = np.cumsum([len(wizard), len(jfk), len(wizard)]) / SAMPLE_RATE
    assert [turn["start_s"] for turn in found["turns"][1:]] == pytest.approx(changes, abs=1.0)
