"""`violet transcribe` on the speech that comes with Violet, with the real tiny.en."""

import json
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import violet
from fixtures.commands import Run, run_here, run_process

SPEECH = Path(str(files("violet"))) / "data" / "speech"
CLIPS: list[dict[str, Any]] = json.loads((SPEECH / "manifest.json").read_text(encoding="utf-8"))["clips"]
INLINE_LIMIT_BYTES = 64 << 10  # docs/protocol.md
MAX_CLIP_BYTES = 400_000


def transcribe(*arguments: str | Path, cwd: Path) -> Run:
    return run_here("transcribe", *arguments, cwd=cwd)


def errors(reference: str, hypothesis: str) -> int:
    _, substitutions, deletions, insertions = violet.word_counts(reference, hypothesis, "whisper-basic")
    return substitutions + deletions + insertions


def test_speech_is_whole_small_licensed_and_in_every_format() -> None:
    licences = (SPEECH / "LICENSES.md").read_text(encoding="utf-8")
    in_directory = {path.name for path in SPEECH.iterdir()} - {"manifest.json", "LICENSES.md"}
    assert in_directory == {clip["file"] for clip in CLIPS}
    assert {Path(clip["file"]).suffix for clip in CLIPS} == {".wav", ".flac", ".mp3", ".m4a", ".ogg"}
    for clip in CLIPS:
        body = (SPEECH / clip["file"]).read_bytes()
        assert len(body) <= MAX_CLIP_BYTES
        assert sha256(body).hexdigest() == clip["sha256"]
        assert clip["file"] in licences
    assert sum((SPEECH / clip["file"]).stat().st_size <= INLINE_LIMIT_BYTES for clip in CLIPS) >= 3


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: str(clip["file"]))
def test_speech_lasts_as_long_as_the_manifest_says(clip: dict[str, Any]) -> None:
    samples, sample_rate = violet.load(SPEECH / clip["file"], 16_000)
    # Lossy encoders pad by up to a few frames.
    assert len(samples) / sample_rate == pytest.approx(clip["duration_s"], abs=0.1)


def test_every_clip_is_heard_but_for_a_word(tiny_en: Path, tmp_path: Path) -> None:
    names = [SPEECH / clip["file"] for clip in CLIPS]
    flags = ("--model", tiny_en, "--output-dir", "out", "--device", "cpu")
    done = run_process("transcribe", *names, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    heard = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir()}
    wrong = {
        clip["file"]: heard[Path(clip["file"]).stem]
        for clip in CLIPS
        # 8 bits may cost tiny.en one word of a clip.
        if errors(clip["text"], heard[Path(clip["file"]).stem]) > 1
    }
    assert wrong == {}
    for name in names:
        assert f"{name.name}: " in done.stderr


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("srt", "1\n00:00:00,"), ("vtt", "WEBVTT\n"), ("json", "{"), ("tsv", "start\tend\ttext\n")],
)
def test_formats_begin_as_they_should(tiny_en: Path, tmp_path: Path, name: str, beginning: str) -> None:
    done = transcribe(SPEECH / "wizard.ogg", "--model", tiny_en, "--format", name, "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(beginning)
    assert done.stderr == ""
    assert "wizard" in done.stdout


def test_json_has_openais_names_and_words_when_asked(tiny_en: Path, tmp_path: Path) -> None:
    clip = SPEECH / "wizard.ogg"
    options = ("--model", tiny_en, "--format", "json", "--quiet")
    plain = json.loads(transcribe(clip, *options, cwd=tmp_path).stdout)
    timed = json.loads(transcribe(clip, *options, "--word-timestamps", cwd=tmp_path).stdout)
    assert {"text", "language", "duration", "segments"} <= set(plain)
    assert all("words" not in segment for segment in plain["segments"])
    for segment in timed["segments"]:
        words = segment["words"]
        assert "".join(word["word"] for word in words) == segment["text"]
        assert [word["start"] for word in words] == sorted(word["start"] for word in words)
        assert all(0 <= word["start"] <= word["end"] <= timed["duration"] + 0.1 for word in words)
        assert all(0 < word["probability"] <= 1 for word in words)
    assert violet.Transcript.from_json(json.dumps(timed)).segments[0].words[0].word


def test_options_of_decoding_reach_the_model(tiny_en: Path, tmp_path: Path) -> None:
    options = ("--model", tiny_en, "--format", "json", "--quiet", "--beam-size", "2", "--patience", "2")
    given = ("--prefix", "Dear", "--max-new-tokens", "4", "--clip-timestamps", "0,5")
    done = transcribe(SPEECH / "jfk.flac", *options, *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    transcript = json.loads(done.stdout)
    assert transcript["text"].strip().startswith("Dear")
    assert len(transcript["text"].split()) <= 5
    assert all(segment["end"] <= 5 for segment in transcript["segments"])
    country = (tiny_en / "vocabulary.txt").read_text(encoding="utf-8").split("\n").index("Ġcountry")
    given = (f"--suppress-tokens=-1,{country}", "--without-timestamps", "--logprob-threshold", "-2", "--seed", "1")
    done = transcribe(SPEECH / "jfk.flac", *options[:-4], *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    transcript = json.loads(done.stdout)
    assert "fellow" in transcript["text"]
    assert " country" not in transcript["text"]
    assert len(transcript["segments"]) == 1


def test_subtitles_are_laid_out_and_words_highlighted(tiny_en: Path, tmp_path: Path) -> None:
    options = ("--max-line-width", "20", "--max-line-count", "2", "--highlight-words")
    done = transcribe(SPEECH / "jfk.flac", "--model", tiny_en, "--format", "vtt", *options, "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    cues = [cue.split("\n")[1:] for cue in done.stdout.strip().split("\n\n")[1:]]
    assert len(cues) > 20
    assert all(len(lines) <= 2 for lines in cues)
    assert all(len(line.replace("<u>", "").replace("</u>", "")) <= 20 for lines in cues for line in lines)
    assert sum("<u>" in line for lines in cues for line in lines) >= 20


def test_a_layout_needs_subtitles(tmp_path: Path) -> None:
    done = transcribe(SPEECH / "jfk.flac", "--max-line-width", "20", cwd=tmp_path)
    assert done.returncode == 2
    assert "--format txt has no lines to lay out; expected srt or vtt" in done.stderr


def test_one_bad_file_costs_the_others_nothing(tiny_en: Path, tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"this is not audio" * 100)
    done = transcribe("noise.wav", "nowhere.mp3", SPEECH / "wizard.ogg", "--model", tiny_en, "--quiet", cwd=tmp_path)
    assert done.returncode == 1
    complaints = done.stderr.splitlines()
    assert len(complaints) == 2
    assert "noise.wav" in complaints[0]
    assert complaints[1] == "violet: error: nowhere.mp3: No such file or directory"
    assert "wizard" in done.stdout


def test_inputs_that_differ_in_their_suffix_alone_do_not_overwrite_each_other(tiny_en: Path, tmp_path: Path) -> None:
    for name in ("a.ogg", "b.ogg"):
        (tmp_path / name).write_bytes((SPEECH / "wizard.ogg").read_bytes())
    (tmp_path / "a.m4a").write_bytes((SPEECH / "cold.m4a").read_bytes())
    done = transcribe("a.ogg", "a.m4a", "b.ogg", "--model", tiny_en, "--output-dir", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.ogg.txt", "a.m4a.txt", "b.txt"}
