"""What speech earns that is made without saying the text, heard by the real recognizer and the real networks."""

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import violet
from violet import models, reward
from violet.samples import SAMPLE_RATE

type Samples = npt.NDArray[np.float32]

DATA = Path(__file__).parents[1] / "data"
SPEECH = Path(str(files("violet"))) / "data" / "speech"
TEXTS: dict[str, str] = {
    entry["file"]: entry["text"]
    for entry in json.loads((SPEECH / "manifest.json").read_text(encoding="utf-8"))["clips"]
}
NAMES = ("jfk-ask-not.mp3", "wizard.ogg", "slow.wav")
"""Those that cheats are made of."""
PIECE = SAMPLE_RATE // 5


@pytest.fixture(scope="module")
def recognizer() -> violet.Transcriber:
    """The real Whisper tiny.en, and the networks beside it; `make test` has fetched them."""
    models.fetch(["tiny.en", "distillmos", "dnsmos"])
    return violet.Transcriber("tiny.en")


def clip(name: str) -> Samples:
    """A clip of the package at 16 kHz."""
    return violet.load(SPEECH / name, SAMPLE_RATE)[0]


def found(text: str, samples: Samples, recognizer: violet.Transcriber) -> reward.Reward:
    """The reward of these samples for this text, everything measured."""
    heard = recognizer.transcribe(samples, language="en").text
    scores = violet.mos(samples)
    assert scores.dnsmos is not None
    with np.errstate(divide="ignore"):
        level = float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))
    speech = reward.Speech(
        SAMPLE_RATE,
        len(samples) / SAMPLE_RATE,
        level,
        wer=violet.score_words(text, heard).wer,
        cer=violet.score_characters(text, heard).cer,
        distill_mos=scores.distillmos,
        dnsmos=scores.dnsmos.ovr,
        clipped_share=float(np.mean(np.abs(samples) >= 1)),
    )
    return reward.synthesis(text, speech)


def shuffled(samples: Samples) -> Samples:
    """Pieces of 200 ms in another order."""
    pieces = samples[: len(samples) // PIECE * PIECE].reshape(-1, PIECE)
    return np.random.default_rng(1).permutation(pieces).ravel()


def noise(samples: Samples) -> Samples:
    """White noise as loud as the clip."""
    level = float(np.sqrt(np.mean(np.square(samples))))
    white: Samples = np.random.default_rng(2).standard_normal(len(samples), dtype=np.float32)
    unclipped: Samples = np.clip(level * white, -0.99, 0.99).astype(np.float32)
    return unclipped


CHEATS: dict[str, Callable[[Samples, Samples], Samples]] = {
    "reversed": lambda clip, _: clip[::-1].copy(),
    "shuffled": lambda clip, _: shuffled(clip),
    "silence": lambda clip, _: np.zeros_like(clip),
    "noise": lambda clip, _: noise(clip),
    "replay of other speech": lambda _, other: other,
    "loop of the first second": lambda clip, _: np.resize(clip[:SAMPLE_RATE], len(clip)),
    "loop of the first two seconds": lambda clip, _: np.resize(clip[: 2 * SAMPLE_RATE], len(clip)),
    "tone": lambda clip, _: (0.1 * np.sin(0.05 * np.arange(len(clip)))).astype(np.float32),
}


@pytest.mark.parametrize("name", NAMES)
def test_speech_made_without_saying_the_text_stays_below_0_2(name: str, recognizer: violet.Transcriber) -> None:
    said, other = clip(name), clip(NAMES[(NAMES.index(name) + 1) % len(NAMES)])
    honest = found(TEXTS[name], said, recognizer)
    for cheat, made in CHEATS.items():
        cheated = found(TEXTS[name], made(said, other), recognizer)
        assert cheated.value < 0.2, (cheat, cheated)
        assert cheated.value < honest.value, (cheat, cheated, honest)


def test_espeak_stays_below_0_65_and_natural_speech_above(recognizer: violet.Transcriber) -> None:
    text = TEXTS["jfk.flac"]
    robot = found(text, violet.load(DATA / "espeak.flac", SAMPLE_RATE)[0], recognizer)
    person = found(text, clip("jfk.flac"), recognizer)
    assert robot.measures["wer"] < 0.2
    assert robot.value < 0.65
    assert robot.parts["quality"] < 0.65 < person.parts["quality"]
