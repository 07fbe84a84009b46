"""Questions whose answers the validator knows: speech, texts and sounds that were never heard before."""

import hashlib
import hmac
import math
import random
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from violet import _core
from violet.audio import encode, load
from violet.corpus import Clip
from violet.files import write_atomic
from violet.grammar import draw_text
from violet.protocol import INLINE_LIMIT_BYTES
from violet.speaking import Voices

SPEECH_RATE = 16_000
"""Sample rate of spoken challenges, Hz."""

MAX_SPEECH_S = 12.0
"""Longest piece of the corpus in a challenge, before silence is put around it: miners have users to serve."""

FRESH_SHARE = 0.15
"""Share of spoken challenges that are made by a voice, where there is one; the others are of the corpus."""

BEHIND_SHARE = 0.2
"""Share of the corpus's challenges with another recording behind them."""

BEHIND_DB = (22.0, 34.0)
"""How much softer that one is, dB: it is heard, and its words are not."""

FORMATS: Sequence[tuple[Literal["opus", "mp3"], int]] = (
    ("opus", 32_000),
    ("opus", 24_000),
    ("mp3", 48_000),
    ("mp3", 32_000),
    ("opus", 16_000),
)
"""How spoken challenges are written, drawn at random; the last is small enough for what travels inside a message."""

MAX_REMEMBERED = 10_000
"""Challenges whose like is not sent again, the newest."""

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Speech:
    """Speech to transcribe, and its words."""

    audio: bytes
    """A file."""
    text: str
    language: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound that was made by formula, and what is true of it."""

    audio: bytes
    """A wav file."""
    fields: tuple[str, ...]
    """What to ask for."""
    known: Mapping[str, tuple[float, float]]
    """Truth and tolerance by the path of a value, such as `level.rms_dbfs`."""


class Seeds:
    """Generators that nobody else can foresee: drawn from a secret of this validator and the newest block's hash.

    The block's hash lets the validator not choose its questions; the secret lets nobody compute them.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._drawn = 0

    @classmethod
    def open(cls, path: Path) -> "Seeds":
        """The seeds of the secret in a file, which is made (for its owner's eyes) where there is none.

        Raises:
            ValueError: The file holds something else.
            OSError: It cannot be read or written.
        """
        if not path.exists():
            write_atomic(path, secrets.token_hex(SECRET_BYTES))
        text = path.read_text(encoding="utf-8").strip()
        try:
            secret = bytes.fromhex(text)
        except ValueError:
            secret = b""
        if len(secret) != SECRET_BYTES:
            message = f"{path} is no secret of {2 * SECRET_BYTES} hex digits; delete it, and another one is made"
            raise ValueError(message)
        return cls(secret)

    def draw(self, block_hash: str) -> random.Random:
        """The next generator."""
        self._drawn += 1
        # A restart begins with fresh draws too, even within one block.
        text = f"violet/challenge/1\n{block_hash}\n{self._drawn}\n{secrets.token_hex(8)}"
        return random.Random(hmac.digest(self._secret, text.encode(), hashlib.sha256))


class Maker:
    """Makes challenges, none of them twice.

    Args:
        clips: Speech with its words.
        voices: Make fresh speech; None, or none at all, for a validator without.
    """

    def __init__(self, clips: Sequence[Clip], voices: Voices | None) -> None:
        self._clips = clips
        self._voices = voices if voices is not None and voices.names else None
        self._made: OrderedDict[str, None] = OrderedDict()

    def speech(self, generator: random.Random, *, limit_bytes: int = INLINE_LIMIT_BYTES) -> Speech:
        """Speech in a file of at most `limit_bytes`; may take a second where a voice speaks.

        Raises:
            ValueError: No clip is short enough.
            OSError: A clip cannot be read.
        """
        if self._voices is not None and generator.random() < FRESH_SHARE:
            samples, text, language = self._spoken(self._voices, generator)
        else:
            samples, text, language = self._from_corpus(generator)
        whole = _core.augment(samples, SPEECH_RATE, draw_changes(generator), generator.getrandbits(63))
        duration_s = len(whole) / SPEECH_RATE
        for name, bit_rate in (generator.choice(FORMATS), FORMATS[-1]):
            file = encode(whole, SPEECH_RATE, format=name, bit_rate=bit_rate)
            if len(file) <= limit_bytes:
                return self._once(Speech(file, text, language, duration_s), file)
        message = f"{duration_s:.0f} s of speech do not fit into {limit_bytes} bytes"
        raise ValueError(message)

    def text(self, generator: random.Random) -> str:
        """A sentence to speak."""
        while (text := draw_text(generator)) in self._made:
            pass
        return self._once(text, text.encode(), key=text)

    def sound(self, generator: random.Random) -> Sound:
        """A sound to measure."""
        sound = draw_sound(generator)
        return self._once(sound, sound.audio)

    def _spoken(self, voices: Voices, generator: random.Random) -> tuple[npt.NDArray[np.float32], str, str]:
        text = self.text(generator)
        voice = generator.choice(voices.names)
        spoken = voices.speak(text, voice, speed=generator.uniform(0.85, 1.0), seed=generator.getrandbits(31))
        samples = _core.resample(spoken.samples, spoken.sample_rate, SPEECH_RATE)
        return samples, text, "en"

    def _from_corpus(self, generator: random.Random) -> tuple[npt.NDArray[np.float32], str, str]:
        """One clip, or two that are short enough, one after the other; behind some, far away, another one."""
        samples, clip = self._short_clip(generator)
        text = clip.text
        other = generator.choice(self._clips)
        if other.language == clip.language and other.path != clip.path and generator.random() < 0.5:
            more = _part(other)
            if len(samples) + len(more) <= MAX_SPEECH_S * SPEECH_RATE:
                pause = np.zeros(int(generator.uniform(0.3, 0.9) * SPEECH_RATE), np.float32)
                samples, text = np.concatenate([samples, pause, more]), f"{text} {other.text}"
        if generator.random() < BEHIND_SHARE:
            behind = _part(generator.choice(self._clips))
            if np.any(behind):
                samples = _core.behind(samples, behind, SPEECH_RATE, generator.uniform(*BEHIND_DB))
        return samples, text, clip.language

    def _short_clip(self, generator: random.Random) -> tuple[npt.NDArray[np.float32], Clip]:
        for clip in generator.sample(self._clips, len(self._clips)):
            samples = _part(clip)
            if np.any(samples) and len(samples) <= MAX_SPEECH_S * SPEECH_RATE:
                return samples, clip
        message = f"every challenge clip is over {MAX_SPEECH_S:g} s; give shorter ones"
        raise ValueError(message)

    def _once[T](self, made: T, content: bytes, *, key: str | None = None) -> T:
        """Notes what was made.

        Raises:
            ValueError: The same was made before: the generator repeats itself.
        """
        key = key or hashlib.sha256(content).hexdigest()
        if key in self._made:
            message = "a challenge came out twice; the generator of its draws repeats itself"
            raise ValueError(message)
        self._made[key] = None
        while len(self._made) > MAX_REMEMBERED:
            self._made.popitem(last=False)
        return made


def _part(clip: Clip) -> npt.NDArray[np.float32]:
    """The part of a recording that a clip is; more than a challenge may have is not decoded."""
    longest_s = MAX_SPEECH_S + 1.0
    duration_s = longest_s if clip.duration_s is None else min(clip.duration_s, longest_s)
    samples, _ = load(clip.path, SPEECH_RATE, start_s=clip.start_s, duration_s=duration_s)
    return samples


def draw_changes(generator: random.Random) -> list[tuple[str, float]]:
    """Changes (`violet::audio::augment`) after which a small honest model understands speech and no stored answer fits.

    The silence around it, which has a floor as recordings have, is for models that hear words where there are none.
    """
    changes = [("speed", generator.uniform(0.96, 1.05))]
    if generator.random() < 0.25:
        changes.append(("reverberation", generator.uniform(0.1, 0.25)))
    changes.append(("silence_before", generator.uniform(0.05, 0.6)))
    changes.append(("silence_after", generator.uniform(0.05, 0.8)))
    changes.append((generator.choice(("noise", "pink_noise")), generator.uniform(28, 45)))
    if (way := generator.random()) < 0.1:
        changes.append(("telephone", 1))
    elif way < 0.3:
        changes.append((generator.choice(("opus", "mp3")), generator.choice((32_000, 48_000, 64_000))))
    changes.append(("gain", generator.uniform(-14, 3)))
    return changes


SOUND_RATE = 16_000
"""Sample rate of a sound, Hz."""

SOUND_S = (1.2, 1.9)
"""Length of a sound, seconds: within 64 KiB as 16-bit samples."""


def draw_sound(generator: random.Random) -> Sound:
    """A tone of a random pitch, level and offset, never the same twice."""
    duration_s = generator.uniform(*SOUND_S)
    f0_hz, amplitude, offset = generator.uniform(90, 400), generator.uniform(0.05, 0.7), generator.uniform(-0.1, 0.1)
    n_samples = int(duration_s * SOUND_RATE)
    phase = 2 * math.pi * (f0_hz / SOUND_RATE * np.arange(n_samples) + generator.random())
    samples = (offset + amplitude * np.sin(phase)).astype(np.float32)
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    known = {
        "duration_s": (n_samples / SOUND_RATE, 1e-3),
        "level.rms_dbfs": (20 * math.log10(rms), 0.02),
        "level.dc_offset": (float(samples.mean(dtype=np.float64)), 1e-3),
        "pitch.median_hz": (f0_hz, 0.01 * f0_hz),
    }
    more = generator.sample(("loudness", "true_peak", "mel", "mfcc"), 2)
    return Sound(encode(samples, SOUND_RATE, dither=generator.getrandbits(32)), ("level", "pitch", *more), known)
