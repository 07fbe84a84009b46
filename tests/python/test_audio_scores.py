"""Audio scores with a reference: values of pystoi, pesq and librosa, lists, threads, and what is refused."""

import doctest
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import violet
from violet import audio_scores

DATA = Path(__file__).parents[1] / "data"
GOLDEN = json.loads((DATA / "audio_scores.json").read_text(encoding="utf-8"))["cases"]
SCORES = ["stoi", "si_sdr", "snr", "log_spectral_distance", "mel_cepstral_distortion", "log_f0_rmse", "pesq"]
WITH_EQUAL_LENGTHS = ["stoi", "si_sdr", "snr", "log_spectral_distance"]


def scored(name: str, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - a float, None or an array
    return getattr(violet, name)(*args, **options)


@pytest.fixture(scope="module")
def clip() -> audio_scores.Clip:
    return violet.load(DATA / "jfk.flac")[0][16_000:64_000]


@pytest.fixture(scope="module")
def noise() -> audio_scores.Floats:
    return np.random.default_rng(4).standard_normal(48_000)


@pytest.mark.parametrize("case", [case for case in GOLDEN if case["degradation"] == "clipped"], ids=str)
def test_scores_are_those_of_the_originals(case: dict[str, Any]) -> None:
    samples = violet.load(DATA / "jfk.flac")[0][: case["n_samples"]]
    reference, rate = samples.astype(np.float64), case["rate"]
    degraded = np.clip(reference, -0.05, 0.05)
    assert violet.stoi(reference, degraded, rate) == pytest.approx(case["stoi"], abs=1e-9)
    assert violet.stoi(reference, degraded, rate, extended=True) == pytest.approx(case["estoi"], abs=1e-9)
    assert violet.snr(reference, degraded, rate) == pytest.approx(case["snr"])
    assert violet.si_sdr(reference, degraded, rate) == pytest.approx(case["si_sdr"])
    assert violet.log_spectral_distance(reference, degraded, rate) == pytest.approx(case["lsd"])
    distortion = violet.mel_cepstral_distortion(reference, degraded, rate, align=False)
    assert distortion == pytest.approx(case["mcd_fixed"], abs=1e-4)
    assert violet.log_f0_rmse(reference, degraded, rate) == pytest.approx(case["log_f0_warped"], abs=1e-6)
    for rate_of_mode, mode in ((8_000, "nb"), (16_000, "wb")):
        if rate == rate_of_mode:
            assert scored("pesq", reference, degraded, rate, mode) == pytest.approx(case[f"pesq_{mode}"], abs=0.01)


@pytest.mark.parametrize(
    ("name", "ideal"),
    [
        ("stoi", 1.0),
        ("si_sdr", np.inf),
        ("snr", np.inf),
        ("log_spectral_distance", 0.0),
        ("mel_cepstral_distortion", 0.0),
        ("log_f0_rmse", 0.0),
        ("pesq", 4.644),
    ],
)
def test_a_copy_has_the_ideal_score_and_silence_none(name: str, ideal: float, clip: audio_scores.Clip) -> None:
    assert scored(name, clip, clip, 16_000) == pytest.approx(ideal, abs=1e-3)
    silence = np.zeros_like(clip)
    assert scored(name, silence, clip, 16_000) is None
    scores = scored(name, [clip, silence], [clip, clip], 16_000)
    assert scores.dtype == np.float64
    assert scores[0] == pytest.approx(ideal, abs=1e-3)
    assert np.isnan(scores[1])


@pytest.mark.parametrize(
    ("name", "sign"),
    [(name, -1) for name in ("stoi", "si_sdr", "snr", "pesq")]
    + [("log_spectral_distance", 1), ("mel_cepstral_distortion", 1)],
)
def test_more_noise_is_never_better(name: str, sign: int, clip: audio_scores.Clip, noise: audio_scores.Floats) -> None:
    mixes = [clip + gain * noise for gain in (0.001, 0.005, 0.02, 0.1)]
    scores = scored(name, [clip] * len(mixes), mixes, 16_000)
    assert (np.diff(scores) * sign > 0).all(), scores


def test_a_known_mix_has_its_known_ratio(clip: audio_scores.Clip, noise: audio_scores.Floats) -> None:
    reference = clip.astype(np.float64)
    for db in (-10.0, 0.0, 35.0):
        gain = np.sqrt(np.sum(reference**2) / np.sum(noise**2) / 10 ** (db / 10))
        assert violet.snr(reference, reference + gain * noise, 16_000) == pytest.approx(db)


@pytest.mark.parametrize("name", SCORES)
def test_lists_and_threads_give_the_bits_of_single_clips(
    name: str, clip: audio_scores.Clip, noise: audio_scores.Floats
) -> None:
    degraded = [(clip + gain * noise).astype(np.float32) for gain in (0.001, 0.003, 0.01)]
    references = [clip] * len(degraded)
    want = np.array([scored(name, clip, other, 16_000) for other in degraded])
    for num_threads in (None, 1, 2, 5):
        got = scored(name, references, degraded, 16_000, num_threads=num_threads)
        assert got.tobytes() == want.tobytes()
    assert len(scored(name, [], [], 16_000)) == 0


def test_single_precision_and_strides_are_read_as_they_are(clip: audio_scores.Clip) -> None:
    degraded = 0.5 * clip + 0.01
    doubles = (clip.astype(np.float64), degraded.astype(np.float64))
    want = violet.stoi(*doubles, 16_000)
    assert violet.stoi(clip, degraded, 16_000) == want
    strided = [np.stack([samples, samples], axis=1)[:, 0] for samples in doubles]
    assert violet.stoi(strided[0], strided[1], 16_000) == want


@pytest.mark.parametrize("name", SCORES)
def test_bad_input_is_refused_with_what_was_got(name: str, clip: audio_scores.Clip) -> None:
    bad = clip.copy()
    bad[7] = np.nan
    with pytest.raises(ValueError, match=r"^reference\[7\] is NaN; expected finite"):
        scored(name, bad, clip, 16_000)
    bad[7] = np.inf
    with pytest.raises(ValueError, match=r"^clip 1: degraded\[7\] is inf"):
        scored(name, [clip, clip], [clip, bad], 16_000)
    with pytest.raises(ValueError, match=r"^degraded has no samples"):
        scored(name, clip, clip[:0], 16_000)
    with pytest.raises(ValueError, match=r"got 1 references and 2 degraded"):
        scored(name, [clip], [clip, clip], 16_000)
    with pytest.raises(ValueError, match=r"shape \(2, 24000\); expected mono"):
        scored(name, clip.reshape(2, -1), clip, 16_000)
    with pytest.raises(TypeError, match=r"is of int16; expected floats"):
        scored(name, clip, (clip * 32_767).astype(np.int16), 16_000)
    with pytest.raises(TypeError, match=r"one array and the other side a list"):
        scored(name, clip, [clip], 16_000)
    with pytest.raises(TypeError, match=r"reference\[0\] is of type list"):
        scored(name, [[0.0]], [clip], 16_000)
    with pytest.raises(ValueError, match=r"got num_threads 0; expected 1 to 256"):
        scored(name, [clip], [clip], 16_000, num_threads=0)


@pytest.mark.parametrize("name", WITH_EQUAL_LENGTHS)
def test_different_lengths_are_refused_with_both(name: str, clip: audio_scores.Clip) -> None:
    with pytest.raises(ValueError, match=r"reference has 48000 samples and the degraded clip 47000"):
        scored(name, clip, clip[:47_000], 16_000)


@pytest.mark.parametrize("name", ["mel_cepstral_distortion", "log_f0_rmse"])
def test_different_lengths_need_alignment(name: str, clip: audio_scores.Clip) -> None:
    assert scored(name, clip, clip[:47_000], 16_000) >= 0.0
    with pytest.raises(ValueError, match=r"reference has 48000 samples and the degraded clip 47000"):
        scored(name, clip, clip[:47_000], 16_000, align=False)


@pytest.mark.parametrize(
    ("name", "n_needed"),
    [
        ("stoi", 6_554),
        ("log_spectral_distance", 512),
        ("mel_cepstral_distortion", 512),
        ("log_f0_rmse", 512),
        ("pesq", 4_000),
    ],
)
def test_short_clips_and_other_rates_say_what_is_needed(name: str, n_needed: int, clip: audio_scores.Clip) -> None:
    short = clip[: n_needed - 1]
    with pytest.raises(ValueError, match=rf"has {n_needed - 1} samples; .* needs at least {n_needed} \("):
        scored(name, short, short, 16_000)
    takes = "wb takes 16000, nb 8000" if name == "pesq" else "takes 8000 to 96000 Hz"
    with pytest.raises(ValueError, match=f"sample rate is 4000 Hz; .*{takes}"):
        scored(name, clip, clip, 4_000)


def test_unknown_names_list_the_known_ones(clip: audio_scores.Clip) -> None:
    with pytest.raises(ValueError, match="expected one of nb, wb"):
        scored("pesq", clip, clip, 16_000, "fb")
    with pytest.raises(ValueError, match='expected "mel40-cep13"'):
        scored("mel_cepstral_distortion", clip, clip, 16_000, parametrisation="mfcc")


def test_more_audio_than_can_be_warped_is_a_limit() -> None:
    long = np.full(8_000 * 241, 0.1, dtype=np.float32)
    with pytest.raises(violet.LimitError, match="limit is 240"):
        violet.log_f0_rmse(long, long, 8_000)


def test_the_examples_run() -> None:
    assert doctest.testmod(audio_scores).failed == 0
