"""What validators say about responses, and what they know beforehand."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import violet
from violet.chain import Hotkey
from violet.challenge import draw_sound
from violet.challenger import _score_sound
from violet.corpus import packaged_clips
from violet.judge import NOTHING, score_analysis, score_responses, score_transcript, word_starts
from violet.protocol import (
    ANALYSIS,
    INLINE_LIMIT_BYTES,
    TRANSCRIPTION,
    Response,
    ResponseId,
    Variant,
    canonical_json,
    sha256_hex,
    sign_response,
)
from violet.sabotage import spoil
from violet.transport import Answer
from violet.wallet import create_wallet

JFK = next(clip for clip in packaged_clips() if clip.path.name.startswith("jfk"))
FIELDS = ("level", "loudness", "pitch", "mfcc")


@pytest.fixture(scope="module")
def own() -> violet.Analysis:
    return violet.analyze(JFK.path, FIELDS)


@pytest.fixture(scope="module")
def respond(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Response]:
    """Makes a miner's signed response of a result."""
    hotkey = create_wallet("miner", "default", tmp_path_factory.mktemp("wallets")).hotkey

    def signed(result: str) -> Response:
        digest = sha256_hex(result)
        signature = sign_response(hotkey, "task_1", 0, digest)
        return Response(ResponseId("r"), Hotkey(hotkey.ss58_address), 0, result, digest, signature, 0.5)

    return signed


def changed(own: violet.Analysis, change: Callable[[dict[str, Any]], object]) -> str:
    value = own.to_dict()
    change(value)
    return json.dumps(value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda value: None, 1.0, id="equal"),
        pytest.param(
            lambda value: value["level"].update(rms_dbfs=value["level"]["rms_dbfs"] + 1e-4), 1.0, id="rounded"
        ),
        pytest.param(lambda value: value["level"].update(rms_dbfs=-3.0), 0.0, id="level made up"),
        pytest.param(lambda value: value.pop("loudness"), 0.0, id="an exact field missing"),
        pytest.param(lambda value: value["pitch"].update(median_hz=999.0), 0.75**2, id="one of four wrong, no gate"),
        pytest.param(lambda value: value.update(more="x"), 1.0, id="more than was asked for"),
    ],
)
def test_an_analysis_is_worth_what_agrees(
    own: violet.Analysis,
    respond: Callable[[str], Response],
    change: Callable[[dict[str, Any]], object],
    expected: float,
) -> None:
    scores = score_responses([respond(changed(own, change))], "task_1", score_analysis, own)
    assert scores[ResponseId("r")].score == pytest.approx(expected)


@pytest.mark.parametrize("result", ["", "{", "[]", "null", "[" * 100_000, '{"level": ' * 60 + "1" + "}" * 60])
def test_what_is_no_analysis_is_worth_nothing(
    own: violet.Analysis, respond: Callable[[str], Response], result: str
) -> None:
    assert score_analysis(respond(result), own).score == 0.0


def test_what_the_miner_did_not_sign_for_this_task_is_worth_nothing(
    own: violet.Analysis, respond: Callable[[str], Response]
) -> None:
    response = respond(own.to_json())
    assert score_responses([response], "task_2", score_analysis, own)[ResponseId("r")] == NOTHING


def test_a_sound_is_known_by_its_formula_and_never_the_same() -> None:
    generator = random.Random(1)
    sounds = [draw_sound(generator) for _ in range(12)]
    assert len({sound.audio for sound in sounds}) == len(sounds)
    for sound in sounds:
        assert len(sound.audio) <= INLINE_LIMIT_BYTES
        samples, rate = violet.decode(sound.audio)
        honest = canonical_json(violet.analyze(samples, sound.fields, sample_rate=rate).to_dict())
        score, passed = _score_sound(sound, Answer(True, False, honest, 0.1, None))
        assert (score.score, passed) == (1.0, True)
        spoilt = spoil(ANALYSIS, honest, 0.3, generator)
        assert _score_sound(sound, Answer(True, False, spoilt, 0.1, None)) == (NOTHING, False)
    assert _score_sound(sounds[0], Answer(False, False, None, 0.1, "no answer")) == (NOTHING, False)


def test_a_bad_miners_transcript_lacks_words() -> None:
    result = json.dumps({"text": "one two three", "segments": [{"text": " one two three"}], "language": "en"})
    assert json.loads(spoil(TRANSCRIPTION, result, 1.0, random.Random(0)))["text"] == ""
    assert json.loads(spoil(TRANSCRIPTION, result, 0.0, random.Random(0)))["text"] == "one two three"


def heard(starts: list[float], words: str = "and so my fellow americans") -> str:
    """A transcript with a word at each of these times."""
    timed = [
        {"word": f" {word}", "start": start, "end": start + 0.1, "probability": 1.0}
        for word, start in zip(words.split(), starts, strict=True)
    ]
    segment = {"id": 0, "seek": 0, "start": 0.0, "end": 30.0, "text": f" {words}", "tokens": [], "temperature": 0.0}
    segment |= {"avg_logprob": 0.0, "compression_ratio": 1.0, "no_speech_prob": 0.0, "words": timed}
    return json.dumps({"text": words, "language": "en", "duration_s": 30.0, "segments": [segment]})


def test_times_are_judged_in_those_of_the_recording_and_copied_ones_do_not_fit(
    respond: Callable[[str], Response],
) -> None:
    truth = [2.0, 8.0, 14.0, 20.0, 26.0]
    reference = violet._core.Transcript.from_json(heard(truth))
    slow, fast = Variant(lead_s=0.15, speed=0.98), Variant(lead_s=-0.01, speed=1.02)
    said = heard([start / slow.speed + slow.lead_s for start in truth])
    honest = score_transcript(replace(respond(said), variant=slow), reference)
    copied = score_transcript(replace(respond(said), variant=fast), reference)
    assert honest.score == pytest.approx(1.0)
    # No word is within 0.2 s any more, and times are 0.10 of the 0.95 that count.
    quality = 0.85 / 0.95
    assert copied.score == pytest.approx(quality**2, abs=1e-6)
    assert (honest.error_rate, copied.error_rate) == (0.0, 0.0), "words fit every variant"


def test_words_are_those_between_white_space() -> None:
    words = json.loads(heard([1.0, 2.0, 3.0], "a b c"))
    timed = words["segments"][0]["words"]
    for word, text in zip(timed, [" it", "'s", " -"], strict=True):
        word["word"] = text
    transcript = violet._core.Transcript.from_json(json.dumps(words))
    assert word_starts(transcript) == [("it's", 1.0)]
    words["language"] = "ja"
    assert word_starts(violet._core.Transcript.from_json(json.dumps(words))) == []
