"""Rewards as Python sees them: their parts and reasons, their bounds, and what cheats earn."""

import json
import math
import random
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from violet import reward
from violet.reward import Delivery, Relative, Reward, Speech

NUMBERS = st.one_of(st.floats(), st.floats(-1, 2), st.just(0.0))
WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "don't", "你好", "-"]), max_size=20)
MANIFEST = json.loads((Path(str(files("violet"))) / "data" / "speech" / "manifest.json").read_text(encoding="utf-8"))
TEXTS: list[str] = [clip["text"] for clip in MANIFEST["clips"]]
TEXTS += json.loads((Path(__file__).parent.parent / "data" / "transcripts.json").read_text(encoding="utf-8"))
JFK = TEXTS[0]

SPEECH = Speech(24_000, 7.0, -20.0, wer=0.0, cer=0.0, distill_mos=4.46, dnsmos=3.25)
"""Natural speech."""

# Measured of 11 s of J. F. Kennedy (`jfk.flac`), of which most are made: error rates by tiny.en with greedy decoding,
# DistillMOS 0.9.1, DNSMOS of speechmos 0.0.1.1; for espeak-ng the best that any recognizer could hear.
CHEATS: dict[str, tuple[Speech, float]] = {
    "espeak": (Speech(22_050, 7.0, -20.0, wer=0.0, cer=0.0, distill_mos=2.42, dnsmos=3.10), 0.65),
    "silence": (Speech(16_000, 11.0, -240.0, wer=1.0, cer=1.0, distill_mos=1.97, dnsmos=1.84), 0.2),
    "noise": (Speech(16_000, 11.0, -20.0, wer=1.0, cer=1.0, distill_mos=1.23, dnsmos=1.11), 0.2),
    "tone": (Speech(16_000, 10.0, -9.0, wer=1.0, cer=1.0, distill_mos=1.46, dnsmos=1.06), 0.2),
    "reversed": (Speech(16_000, 11.0, -16.9, wer=1.64, cer=1.12, distill_mos=2.70, dnsmos=2.20), 0.2),
    "shuffled": (Speech(16_000, 11.0, -16.9, wer=1.36, cer=0.70, distill_mos=2.17, dnsmos=2.22), 0.2),
    "replay of other speech": (Speech(16_000, 4.9, -28.9, wer=1.0, cer=0.78, distill_mos=4.46, dnsmos=3.25), 0.2),
    "loop": (Speech(16_000, 11.0, -14.5, wer=0.77, cer=0.58, distill_mos=4.46, dnsmos=3.25), 0.2),
    "duplicate": (replace(SPEECH, is_duplicate=True), 0.2),
    "another voice": (replace(SPEECH, speaker_cosine=0.64), 0.2),
}


def check(found: Reward) -> None:
    assert 0 <= found.value <= 1
    assert all(0 <= part <= 1 for part in found.parts.values())
    assert found.value == 0 or all(found.gates.values())
    assert found.value == 1 or found.reasons
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["version"] == reward.VERSION


def test_a_reward_says_what_it_is_made_of() -> None:
    found = reward.transcription(
        "ask not what your country",
        "ask not what your county",
        hypothesis_language="en-US",
        duration_s=10,
        elapsed_s=5,
        reference_starts=[0.0, 0.5, 1.0, 1.5, 2.0],
        word_starts=[0.1, 0.5, 1.0, 1.8, 2.0],
    )
    words = (0.35 - 0.2) / 0.33
    quality = 0.85 * words + 0.10 * 0.6 + 0.05
    assert found.parts == pytest.approx(
        {"words": words, "times": 0.6, "language": 1.0, "quality": quality, "latency": 0.5}
    )
    assert found.value == pytest.approx(quality**2 * 0.9)
    assert found.measures["error_rate"] == 0.2
    assert found.gates == {"valid": True, "canary": True, "in_time": True}
    assert len(found.reasons) == 3
    assert (found.kind, found.version) == ("transcription", reward.VERSION)


@pytest.mark.parametrize("name", CHEATS)
def test_no_speech_made_up_earns_as_much_as_its_ceiling(name: str) -> None:
    speech, ceiling = CHEATS[name]
    found = reward.synthesis(JFK, speech)
    check(found)
    assert found.parts["quality"] < ceiling or not all(found.gates.values())
    assert found.value < ceiling


def test_no_transcript_made_up_earns_as_much_as_0_15() -> None:
    rng = random.Random(7)
    for truth in TEXTS:
        words = truth.split()
        cheats = {
            "empty": "",
            "prompt echo": "Transcribe the following audio in English.",
            "repeat": " ".join([truth] * 3),
            "all the": "the " * len(words),
            "reversed": " ".join(reversed(words)),
            "shuffled": " ".join(rng.sample(words, len(words))),
            "loop": " ".join(words[:3] * (len(words) // 3 + 1)),
            "replay": next(other for other in TEXTS if not set(other.split()[:8]) & set(words)),
        }
        for name, text in cheats.items():
            assert reward.transcription(truth, text, hypothesis_language="en").value < 0.15, (name, truth)
        assert reward.transcription("", truth, silences=[(0, 30)]).value < 0.15
        assert reward.transcription(truth, truth).value == 1


@given(WORDS, WORDS, st.lists(NUMBERS, min_size=4, max_size=4), st.sampled_from(["en", "zh", ""]))
def test_transcripts_stay_within_bounds(left: list[str], right: list[str], n: list[float], language: str) -> None:
    reference, hypothesis = " ".join(left), " ".join(right)
    delivery = Delivery(deadline_s=n[2])
    check(
        reward.transcription(
            reference,
            hypothesis,
            language=language,
            duration_s=n[0],
            elapsed_s=n[1],
            word_starts=n,
            silences=[(n[2], n[3])],
            delivery=delivery,
        )
    )
    check(
        reward.transcription_without_reference(
            hypothesis, peers=[reference, hypothesis], own=reference, challenge_reward=n[0], elapsed_s=n[1]
        )
    )
    worse = reward.transcription(reference, f"{hypothesis} zq", language=language)
    assert worse.value <= reward.transcription(reference, hypothesis, language=language).value


@given(st.builds(Speech, st.integers(0, 2**32 - 1), *[NUMBERS] * 7, NUMBERS, st.booleans(), st.booleans()))
def test_speech_stays_within_bounds(speech: Speech) -> None:
    check(reward.synthesis(JFK, speech))


@given(st.dictionaries(st.text(max_size=3), st.none() | NUMBERS | st.text(max_size=3) | st.lists(NUMBERS), max_size=4))
def test_true_measurements_earn_all(truth: dict[str, Any]) -> None:
    found = reward.analysis(truth, truth, recomputed=list(truth))
    check(found)
    assert found.value == (1.0 if truth and not any(_has_nan(value) for value in truth.values()) else found.value)


def _has_nan(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(isinstance(item, float) and math.isnan(item) for item in values)


def test_measurements_by_hand() -> None:
    truth = {"loudness_lufs": -23.0, "pitch_hz": np.array([200.0, 100.0]), "key": "C", "is_clipped": False}
    answer: dict[str, Any] = {"loudness_lufs": -23.05, "pitch_hz": [199.0, 100.5], "key": "C", "is_clipped": False}
    tolerances: dict[str, float | Relative] = {"loudness_lufs": 0.1, "pitch_hz": Relative(0.01)}
    assert reward.analysis(truth, answer, tolerances=tolerances, recomputed=["is_clipped"]).value == 1
    half = reward.analysis(truth, {**answer, "key": "D", "loudness_lufs": -20}, tolerances=tolerances)
    assert half.value == pytest.approx(0.25)
    assert half.reasons == ("key is not within its tolerance", "loudness_lufs is not within its tolerance")
    made_up = reward.analysis(truth, {**answer, "is_clipped": True}, tolerances=tolerances, recomputed=["is_clipped"])
    assert (made_up.value, made_up.gates["recomputed"]) == (0, False)
    assert reward.analysis({"x": 1.0}, {"x": 10**400}).value == 0


def test_a_miners_score_multiplies_its_parts() -> None:
    found = reward.miner([(0.75, 1.0, 0.8), (0.25, 0.5, 0.4)], reward.availability(4, 4), reward.credibility(1, 2))
    assert found.value == pytest.approx(0.8 ** (1 / 3) * 0.5**2.5 * 0.65)
    assert set(found.parts) == {"quality", "availability", "credibility"}


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="got 1 reference times for 2 words"):
        reward.transcription("a b", "a b", reference_starts=[0.0])
    with pytest.raises(ValueError, match="got field 'pitch'; expected one of loudness"):
        reward.analysis({"loudness": 1.0}, {}, tolerances={"pitch": 1.0})
    with pytest.raises(TypeError, match="loudness is of type object"):
        reward.analysis({"loudness": 1.0}, {"loudness": object()})
    nested: list[Any] = []
    for _ in range(20):
        nested = [nested]
    with pytest.raises(ValueError, match="nested more than 16 deep"):
        reward.analysis({"x": 1.0}, {"x": nested})
    with pytest.raises(ValueError, match='got kind "music"'):
        reward.latency("music", 1.0, 1.0)  # type: ignore[arg-type]
