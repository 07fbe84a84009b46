"""Challenges: speech whose words are known, never the same twice, in ways that an honest model understands."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import violet
from violet import _core
from violet.challenge import SPEECH_RATE, Maker, Seeds, draw_changes
from violet.client import AsyncClient
from violet.corpus import Clip, clips_in, clips_of, packaged_clips
from violet.covert import CovertChallenges
from violet.errors import ChainUnreachableError
from violet.grammar import draw_name, draw_text
from violet.protocol import INLINE_LIMIT_BYTES
from violet.transcriber import Transcriber


def test_no_two_challenges_are_the_same_and_all_fit_into_a_message() -> None:
    maker, generator = Maker(packaged_clips(), None), random.Random(3)
    made = [maker.speech(generator) for _ in range(8)]
    assert len({speech.audio for speech in made}) == len(made)
    for speech in made:
        assert len(speech.audio) <= INLINE_LIMIT_BYTES
        samples, rate = violet.load(speech.audio)
        # Frames of codecs lie around what was written.
        assert len(samples) / rate == pytest.approx(speech.duration_s, abs=0.2)


def test_an_honest_model_passes_challenges(tiny_en: Path) -> None:
    maker, generator, transcriber = Maker(packaged_clips(), None), random.Random(5), Transcriber(tiny_en)
    rates = []
    for _ in range(4):
        speech = maker.speech(generator)
        text = transcriber.transcribe(_core.decode(speech.audio, SPEECH_RATE)[0]).text
        rates.append(_core.transcription_error_rate(speech.text, text, speech.language))
    assert max(rate for rate in rates if rate is not None) < 0.35, rates


def test_a_generator_that_repeats_itself_is_noticed() -> None:
    maker = Maker(packaged_clips(), None)
    maker.sound(random.Random(1))
    with pytest.raises(ValueError, match="came out twice"):
        maker.sound(random.Random(1))


def test_changes_are_ones_that_the_core_knows() -> None:
    samples = (0.1 * np.sin(np.arange(SPEECH_RATE) / 7)).astype(np.float32)
    for seed in range(12):
        changed = _core.augment(samples, SPEECH_RATE, draw_changes(random.Random(seed)), seed)
        assert np.abs(changed).max() <= 1.0
        assert len(changed) > len(samples) / 1.05
    with pytest.raises(ValueError, match=r"noise is 99; expected -20 to 80"):
        _core.augment(samples, SPEECH_RATE, [("noise", 99.0)], 0)


def test_noise_and_what_is_behind_have_the_ratio_that_was_asked_for() -> None:
    samples = (0.1 * np.sin(np.arange(4 * SPEECH_RATE) / 7)).astype(np.float32)
    noisy = _core.augment(samples, SPEECH_RATE, [("noise", 12.0)], 9)
    assert violet.snr(samples, noisy, SPEECH_RATE) == pytest.approx(12.0, abs=0.01)
    other = np.sin(np.arange(SPEECH_RATE) / 3).astype(np.float32)
    mixed = _core.behind(samples, other, SPEECH_RATE, 24.0)
    assert violet.snr(samples, mixed, SPEECH_RATE) == pytest.approx(24.0, abs=0.01)


def test_a_part_of_a_long_recording_is_cut_out_with_its_own_words(tmp_path: Path) -> None:
    t = np.arange(30 * SPEECH_RATE) / SPEECH_RATE
    # 300 Hz for 20 s, then 2 kHz: what is heard says which part it is.
    tone = np.where(t < 20, np.sin(2 * np.pi * 300 * t), np.sin(2 * np.pi * 2_000 * t))
    violet.save(tmp_path / "long.flac", (0.3 * tone).astype(np.float32), SPEECH_RATE)
    manifest = tmp_path / "manifest.jsonl"
    line = {"audio_filepath": "long.flac", "offset": 21.0, "duration": 4.0, "text": "two thousand"}
    manifest.write_text(json.dumps(line))
    (clip,) = clips_of(manifest)
    assert clip == Clip(tmp_path / "long.flac", "two thousand", "en", 21.0, 4.0)
    speech = Maker([clip], None).speech(random.Random(1))
    assert speech.text == "two thousand"
    assert 3.5 < speech.duration_s < 6.5
    samples, _ = violet.load(speech.audio, SPEECH_RATE)
    spectrum = np.abs(np.fft.rfft(samples))
    assert 1_800 < spectrum.argmax() * SPEECH_RATE / len(samples) < 2_200
    manifest.write_text(json.dumps({**line, "offset": -1.0}))
    with pytest.raises(ValueError, match=r"line 1: a part from -1.0 s"):
        clips_of(manifest)


def test_seeds_depend_on_the_secret_and_the_block_and_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    seeds = Seeds.open(path)
    assert path.stat().st_mode & 0o077 == 0
    kept = path.read_text()
    assert Seeds.open(path) is not seeds
    assert path.read_text() == kept
    draws = {seeds.draw("0xab").getrandbits(64) for _ in range(50)}
    assert len(draws) == 50
    path.write_text("not a secret")
    with pytest.raises(ValueError, match=str(path)):
        Seeds.open(path)


def test_texts_have_rare_names_numbers_and_dates_and_are_not_repeated() -> None:
    generator = random.Random(2)
    texts = {draw_text(generator) for _ in range(2_000)}
    assert len(texts) == 2_000
    assert all(8 < len(text.split()) < 24 and any(map(str.isdigit, text)) for text in texts)
    names = {draw_name(generator) for _ in range(2_000)}
    assert len(names) > 500, "most are rare ones, as the others repeat"


def test_clips_of_a_directory_and_of_a_manifest(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    violet.save(below / "a.flac", np.zeros(1600, np.float32), 16_000)
    (below / "a.txt").write_text(" one two \n")
    (below / "without-words.wav").write_bytes(b"")
    assert clips_in(tmp_path) == (Clip(below / "a.flac", "one two"),)
    manifest = tmp_path / "manifest.jsonl"
    lines: list[dict[str, Any]] = [
        {"audio_filepath": "below/a.flac", "duration": 0.1, "text": "one two"},
        {"path": "below/a.flac"},
    ]
    manifest.write_text(json.dumps({**lines[0], "language": "de"}) + "\n\n")
    assert clips_of(manifest) == (Clip(below / "a.flac", "one two", "de"),)
    manifest.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(ValueError, match=r"manifest\.jsonl, line 2"):
        clips_of(manifest)
    manifest.write_text(json.dumps({"audio": "nowhere.wav", "text": "x"}))
    with pytest.raises(ValueError, match="there is no file"):
        clips_of(manifest)
    manifest.write_text("")
    with pytest.raises(ValueError, match="names no clips"):
        clips_of(manifest)
    with pytest.raises(ValueError, match="no clips in"):
        clips_in(_empty(tmp_path))


def _empty(tmp_path: Path) -> Path:
    path = tmp_path / "empty"
    path.mkdir()
    return path


async def test_no_challenge_is_sent_while_the_chain_is_away() -> None:
    asked = []

    def away() -> str:
        asked.append(1)
        raise ChainUnreachableError("node is away")

    async with AsyncClient("http://127.0.0.1:9") as client:
        maker = Maker(packaged_clips(), None)
        covert = CovertChallenges(client, maker, Seeds(b"secret"), away, 0.18)
        # What the validator does besides, such as to reveal, must go on.
        assert await covert.send({"analysis"}) is None
        assert await covert.send({"analysis"}) is None
    assert len(asked) == 1, "not for every task"
