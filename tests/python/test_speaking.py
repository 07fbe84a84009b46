"""A miner's voices, and what a validator hears in them."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import violet
from violet.engine import Engine
from violet.judge import score_speech
from violet.listener import SAME_FROM, Listener, about_audio, can_listen, duplicates
from violet.protocol import INLINE_LIMIT_BYTES, Options
from violet.sabotage import drop_words
from violet.speaking import Spoken, Voices, own_seed, voices_here

TEXT = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def voices() -> Voices:
    return Voices(("joe",))


@pytest.fixture(scope="module")
def spoken(voices: Voices) -> Spoken:
    return voices.speak(TEXT, seed=1)


@pytest.fixture(scope="module")
def listener(voices: Voices) -> Iterator[Listener]:
    engine = Engine(violet.Transcriber("tiny.en"), 1, voices)
    yield Listener(engine, voices)
    engine.close()


def test_the_models_of_the_tests_are_here() -> None:
    assert voices_here() == ("joe",)
    assert can_listen()


def test_a_result_says_what_was_spoken_and_when(spoken: Spoken) -> None:
    result = json.loads(json.dumps(spoken.result({"sha256": "00"})))
    assert [word["word"].strip(".").lower() for word in result["words"]] == TEXT.strip(".").lower().split()
    assert 1.0 < result["duration_s"] < 6.0
    assert result["words"][-1]["end"] <= result["duration_s"]
    assert (result["voice"], result["skipped"]) == ("joe", [])
    assert about_audio(json.dumps(result)) == {"sha256": "00"}


@pytest.mark.parametrize("result", ["", "{", "[]", "{}", '{"audio": 1}', "[" * 100_000])
def test_what_is_no_synthesis_has_no_audio(result: str) -> None:
    assert about_audio(result) is None


def test_the_files_hold_the_speech(spoken: Spoken) -> None:
    samples, rate = violet.decode(spoken.flac())
    assert (rate, len(samples)) == (spoken.sample_rate, len(spoken.samples))
    assert np.abs(samples - spoken.samples).max() < 1e-3
    assert len(spoken.opus()) <= INLINE_LIMIT_BYTES
    long = Spoken(np.tile(spoken.samples, 30), spoken.sample_rate, "joe", (), ())
    with pytest.raises(ValueError, match="do not fit into 65536 bytes"):
        long.opus()


def test_no_two_miners_make_the_same_audio(voices: Voices, spoken: Spoken, tmp_path: Path) -> None:
    assert own_seed("5A", "task_1") != own_seed("5B", "task_1") != own_seed("5B", "task_2")
    others = [voices.speak(TEXT, seed=own_seed(hotkey, "task_1")) for hotkey in ("5A", "5B")]
    softer = Spoken(0.5 * spoken.samples, spoken.sample_rate, "joe", (), ())
    paths = []
    for index, rendering in enumerate((spoken, *others, softer)):
        paths.append(tmp_path / str(index))
        paths[-1].write_bytes(rendering.flac())
    assert duplicates(paths) == [False, False, False, True]
    assert 0.5 < SAME_FROM < 1.0


def test_a_voice_that_is_not_here_is_refused_with_those_that_are(voices: Voices) -> None:
    with pytest.raises(ValueError, match="no voice 'amy' here; expected one of joe"):
        voices.speak(TEXT, "amy")
    with pytest.raises(ValueError, match="violet models fetch joe"):
        Voices(()).speak(TEXT)


def test_good_speech_earns_and_left_out_words_do_not(
    voices: Voices, spoken: Spoken, listener: Listener, tmp_path: Path
) -> None:
    path = tmp_path / "speech.flac"
    path.write_bytes(spoken.flac())
    heard = asyncio.run(listener.listen(path, TEXT, Options(voice="joe")))
    assert heard.wer == 0.0
    assert heard.speaker_cosine is not None
    assert heard.speaker_cosine > 0.8
    assert score_speech(TEXT, heard, "en", 1.0).score > 0.7
    path.write_bytes(voices.speak(drop_words(TEXT, 0.5, random.Random(2))).flac())
    lacking = asyncio.run(listener.listen(path, TEXT, Options()))
    assert score_speech(TEXT, lacking, "en", 1.0).score < 0.2


def test_one_word_said_well_is_verified(voices: Voices, listener: Listener, tmp_path: Path) -> None:
    path = tmp_path / "speech.flac"
    for text in ("No.", "Thank you."):
        path.write_bytes(voices.speak(text, seed=1).flac())
        heard = asyncio.run(listener.listen(path, text, Options(voice="joe")))
        # The quality from which the proxy verifies.
        assert score_speech(text, heard, "en", 1.0).score >= 0.5, heard
