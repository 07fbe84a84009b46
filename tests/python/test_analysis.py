"""`violet.analyze` and `violet analyze`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import violet
from violet import analysis, cli
from violet.analysis import FIELDS, MEASURED, analyze

JFK = Path(violet.__file__).parent / "data/speech/jfk.flac"


@pytest.fixture(scope="module")
def jfk() -> analysis.Analysis:
    return analyze(JFK, MEASURED, tracks=True, frames=True)


def test_every_measured_field_has_values(jfk: analysis.Analysis) -> None:
    assert set(MEASURED) <= set(jfk.values)
    assert jfk.duration_s == pytest.approx(11.0, abs=0.01)
    assert -30 < jfk.loudness["integrated_lufs"] < -10
    assert jfk.level["effective_bits"] == 16
    assert jfk.container["codec"] == "flac"
    assert 80 < jfk.pitch["median_hz"] < 250
    assert len(jfk.mfcc) == 20
    assert not jfk.missing


def test_tracks_and_frames_have_their_shapes(jfk: analysis.Analysis) -> None:
    tracks = jfk.tracks
    assert tracks.frames["mel"].shape == (128, 344)
    assert tracks.frames["mfcc"].shape == (20, 344)
    assert len(tracks.f0_hz) == len(tracks.voiced_probability) == 1101
    assert tracks.outline.shape[0] == 2
    assert len(tracks.short_term_lufs) == 81
    assert jfk.picture.startswith(b"\x89PNG")


def test_dict_json_and_flat_agree(jfk: analysis.Analysis) -> None:
    assert json.loads(jfk.to_json()) == jfk.to_dict()
    flat = jfk.to_flat()
    assert flat["loudness.integrated_lufs"] == jfk.loudness["integrated_lufs"]
    assert flat["mfcc.3.mean"] == jfk.mfcc[3]["mean"]


def test_a_page_needs_nothing_else(jfk: analysis.Analysis) -> None:
    page = jfk.to_html()
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert "http" not in page
    assert page.count("<svg") == 3
    assert "data:image/png;base64," in page
    assert "<table>" in jfk._repr_html_()


def test_samples_are_analysed_as_the_file_is(jfk: analysis.Analysis) -> None:
    samples, rate = violet.load(JFK)
    found = analyze(samples, ["loudness", "spectral"], sample_rate=rate)
    assert found.loudness == jfk.loudness
    assert found.spectral == jfk.spectral
    with pytest.raises(AttributeError, match="was not measured"):
        _ = found.pitch


def test_a_table_writes_times_as_spans() -> None:
    values = {
        "duration_s": 11.0,
        "speech": {"segments_s": [[0.32, 2.27], [3.27, 4.5]], "speech_s": 3.18},
        "speakers": {"n_speakers": 1, "turns": [{"speaker": 0, "start_s": 0.32, "end_s": 4.5}]},
    }
    table = analysis.Analysis.from_dict(values).to_table()
    assert "segments  0.32 to 2.27, 3.27 to 4.50 s\n" in table
    assert "turns       1: 0.32 to 4.50\n" in table + "\n"


def test_channels_count_in_loudness() -> None:
    samples, rate = violet.load(JFK)
    mono = analyze(samples, ["loudness"], sample_rate=rate).loudness["integrated_lufs"]
    both = analyze(np.stack([samples, samples], axis=1), ["loudness"], sample_rate=rate)
    assert both.n_channels == 2
    assert both.loudness["integrated_lufs"] == pytest.approx(mono + 3.0103, abs=1e-3)


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.full(9, np.nan), np.zeros((9, 2)), np.ones(300)])
def test_odd_samples_have_an_analysis(samples: np.ndarray) -> None:
    found = analyze(samples, MEASURED, sample_rate=8_000)
    assert found.loudness["integrated_lufs"] is None
    assert json.loads(found.to_json())["n_channels"] == max(1, samples.ndim)
    assert found.to_table()


def test_impossible_arguments_are_refused_with_what_is_possible() -> None:
    samples = np.zeros(100, np.float32)
    with pytest.raises(ValueError, match="'volume'; expected some of level, true_peak"):
        analyze(samples, ["volume"], sample_rate=8_000)
    with pytest.raises(ValueError, match="without sample_rate"):
        analyze(samples)
    with pytest.raises(ValueError, match="shape"):
        analyze(np.zeros((2, 2, 2)), sample_rate=8_000)
    with pytest.raises(ValueError, match="int16"):
        analyze(np.zeros(9, np.int16), sample_rate=8_000)
    with pytest.raises(ValueError, match="sample rate is 0"):
        analyze(samples, sample_rate=0)


def test_what_lacks_its_model_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VIOLET_CACHE", str(tmp_path))
    found = analyze(JFK, ["level", "speech", "quality"])
    assert found.level["peak_dbfs"] < 0
    assert found.missing["speech"].endswith("violet models fetch silero-vad")
    assert "distillmos" in found.to_dict()["missing"]["quality"]


def test_the_command_prints_tables_json_pages_and_pictures(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.main(["analyze", str(JFK), "--fields", "loudness,level"]) == 0
    printed = capfd.readouterr().out
    assert "LUFS" in printed
    assert "effective bits" in printed
    assert cli.main(["analyze", str(JFK), "--fields", "level", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["level"]["effective_bits"] == 16
    for form in ("--png", "--html"):
        assert cli.main(["analyze", str(JFK), "--fields", "loudness", form, "--output-dir", str(tmp_path)]) == 0
    assert (tmp_path / "jfk.flac.png").read_bytes().startswith(b"\x89PNG")
    assert "Loudness" in (tmp_path / "jfk.flac.html").read_text()


def test_the_command_names_a_bad_file_and_goes_on(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio")
    assert cli.main(["analyze", str(bad), str(JFK), "--fields", "level", "--json"]) == 1
    printed = capfd.readouterr()
    assert "bad.wav" in printed.err
    assert "effective_bits" in printed.out


def test_the_command_refuses_unknown_fields(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["analyze", str(JFK), "--fields", "volume"])
    complaint = capsys.readouterr().err
    assert "volume" in complaint
    assert FIELDS[0] in complaint
