"""Speech from text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict, Unpack

import numpy as np

from violet import _core, audio, models
from violet.models.hub import HUB_ID
from violet.models.voices import VOICES, VoiceInfo

if TYPE_CHECKING:
    import numpy.typing as npt

    Samples = npt.NDArray[np.float32]

MAX_SEED = 2**64 - 1
"""Greatest seed."""

MAX_DURATION_S = 4 * 3600.0
"""Longest speech that `synthesize` holds at once; a stream has no limit."""

Phonemizer = Literal["violet", "espeak"]
"""How text becomes phonemes: built in (English), or by an `espeak-ng` program on PATH."""


class SpokenWord(NamedTuple):
    """A word with its time in the speech."""

    word: str
    start: float
    """Seconds."""
    end: float
    """Seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A sentence that was said, and the silence behind it."""

    text: str
    """As it is written; empty for what is left at the end."""
    samples: Samples
    """`[n_samples]`, mono, in [-1, 1]."""
    sample_rate: int
    """Hz."""
    words: list[SpokenWord]
    """Its words, with times from the start of the speech; none of a Parler-TTS voice, which does not tell them."""
    skipped: list[str]
    """Characters that could not be said, each once."""


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A text that was said."""

    samples: Samples
    """`[n_samples]`, mono, in [-1, 1]."""
    sample_rate: int
    """Hz."""
    words: list[SpokenWord]
    """Every word with its time."""
    skipped: list[str]
    """Characters that could not be said, each once."""

    @property
    def duration_s(self) -> float:
        """Length, seconds."""
        return len(self.samples) / self.sample_rate

    def save(self, path: str | os.PathLike[str], format: audio.Format | None = None) -> None:
        """Writes the speech as a file: wav, flac, mp3, aac, opus or pcm.

        Args:
            path: The file, made or replaced.
            format: The file format; None takes it from the end of the path's name.

        Raises:
            OSError: The file cannot be written.
            ValueError: No such format.
        """
        audio.save(path, self.samples, self.sample_rate, format=format)


class Options(TypedDict, total=False):
    """How a text is said."""

    speed: float
    """Relative to the voice's own speed, 0.25 to 4; the pitch stays. 1 if not given."""
    seed: int
    """Of the noise, 0 to `MAX_SEED`: the same seed gives the same bits, on any number of threads. 0 if not given."""
    speaker: str | int | None
    """Name or number of a voice's speaker; the first if not given."""
    noise_scale: float | None
    """How much the voice varies, 0 to 4; what the voice was made for if not given."""
    noise_w: float | None
    """How much the lengths of sounds vary, 0 to 4; what the voice was made for if not given."""
    description: str | None
    """How the voice sounds, in at most 2,000 bytes of words ("a woman speaks slowly in a quiet room"): only for voices
    that words make (Parler-TTS). A plain one if not given."""
    phonemizer: Phonemizer
    """How text becomes phonemes; `violet` if not given."""
    lexicon: str | os.PathLike[str] | None
    """A file of pronunciations: on each line a word, a tabulator and its phonemes in IPA."""
    ssml: bool
    """Whether the text is SSML: `speak p s break prosody@rate say-as phoneme sub`. No if not given."""
    sample_rate: int | None
    """Hz; the voice's own if not given."""


class Synthesizer:
    """A voice in memory. One may serve several threads.

    Args:
        voice: A known name (see `voices`), the path of a Piper voice (`NAME.onnx` beside `NAME.onnx.json`), a directory
            with one or with a VITS, MMS-TTS or Parler-TTS voice of Hugging Face's, or the id of such a voice on the hub
            (`facebook/mms-tts-deu`, `parler-tts/parler-tts-mini-v1`).
        device: `auto` or `cpu`; for Parler-TTS also a GPU, in a build that has one for it.
        num_threads: Threads that share the work; all when None.

    Raises:
        ValueError: Unknown voice (with the list), what is no voice (with what it is and what is supported), device.
        violet.VioletError: The voice is damaged, or not there and cannot be fetched (`violet models fetch joe`).
        OSError: A file cannot be read.
    """

    def __init__(
        self, voice: str | os.PathLike[str] = "joe", device: str = "auto", num_threads: int | None = None
    ) -> None:
        name = os.fspath(voice)
        path = Path(name).expanduser()
        if name in VOICES or (HUB_ID.fullmatch(name) and not path.exists()):
            path = models.resolve(name)
        elif not name or not path.exists():
            message = (
                f"no voice {name!r}; expected one of {', '.join(VOICES)}, or the path of a voice: NAME.onnx beside "
                "NAME.onnx.json (Piper), a directory (Hugging Face VITS, MMS-TTS, Parler-TTS), or an id on the hub, "
                "such as org/name"
            )
            raise ValueError(message)
        self._core = _core.Synthesizer(path, device, num_threads)
        self.path: Path = path
        known = VOICES.get(name)
        self.voice: VoiceInfo = VoiceInfo(
            name=name if known else self._core.name,
            language=self._core.language,
            licence=known.licence if known else "unknown",
            sample_rate=self._core.sample_rate,
            source=known.source if known else str(path),
            speakers=tuple(self._core.speakers),
        )

    @property
    def sample_rate(self) -> int:
        """The voice's own rate, Hz."""
        return self._core.sample_rate

    def synthesize(self, text: str, *, normalize_loudness: bool = False, **options: Unpack[Options]) -> Speech:
        """Says a text.

        Args:
            text: What to say; phonemes may be given as `[[həlˈoʊ]]`.
            normalize_loudness: Bring it to -16 LUFS, with true peaks of at most -1 dBTP; mp3, aac and opus, which keep
                the sound and not the samples, may raise a peak again by some tenths of a decibel.
            **options: See `Options`.

        Raises:
            ValueError: Nothing to say, an impossible option, or markup that is not understood.
            violet.LimitError: More than 16 MiB of text, or than four hours of speech.
            violet.VioletError: The voice speaks a language whose phonemes are not known here.
            OSError: A file cannot be read, or espeak-ng fails.
        """
        chunks: list[Chunk] = []
        duration_s = 0.0
        for chunk in self.stream(text, **options):
            chunks.append(chunk)
            duration_s += len(chunk.samples) / chunk.sample_rate
            if duration_s > MAX_DURATION_S:
                message = (
                    f"the speech is longer than {MAX_DURATION_S:g} s, the limit of what is held at once; stream it"
                )
                raise _core.LimitError(message)
        samples = np.concatenate([chunk.samples for chunk in chunks])
        rate = chunks[0].sample_rate
        if normalize_loudness:
            samples = _core.normalize_loudness(samples, rate)
        words = [word for chunk in chunks for word in chunk.words]
        skipped = dict.fromkeys(symbol for chunk in chunks for symbol in chunk.skipped)
        return Speech(samples, rate, words, list(skipped))

    def stream(self, text: str, **options: Unpack[Options]) -> Iterator[Chunk]:
        """Says a text sentence by sentence: each when it is asked for, so that memory does not grow with the text.

        Args:
            text: As in `synthesize`.
            **options: See `Options`.

        Returns:
            An iterator of sentences.

        Raises:
            ValueError: As in `synthesize`; also while it is said.
            violet.LimitError: More than 16 MiB of text.
            violet.VioletError: As in `synthesize`.
            OSError: As in `synthesize`.
        """
        unknown = options.keys() - Options.__annotations__.keys()
        if unknown:
            message = f"no option {', '.join(sorted(unknown))}; expected some of {', '.join(Options.__annotations__)}"
            raise TypeError(message)
        lexicon, speaker, seed = options.get("lexicon"), options.get("speaker"), options.get("seed", 0)
        if not 0 <= seed <= MAX_SEED:
            message = f"seed is {seed}; expected 0 to {MAX_SEED}"
            raise ValueError(message)
        stream = self._core.speak(
            text,
            {
                "speed": options.get("speed", 1.0),
                "seed": seed,
                "speaker": None if speaker is None else str(speaker),
                "noise_scale": options.get("noise_scale"),
                "noise_w": options.get("noise_w"),
                "description": options.get("description"),
                "phonemizer": options.get("phonemizer", "violet"),
                "lexicon": None if lexicon is None else Path(lexicon).read_text("utf-8"),
                "ssml": options.get("ssml", False),
                "sample_rate": options.get("sample_rate"),
            },
        )
        return _chunks(stream)


def _chunks(stream: _core.SpeechStream) -> Iterator[Chunk]:
    rate = stream.sample_rate
    for text, samples, words, skipped in stream:
        yield Chunk(text, samples, rate, [SpokenWord(*word) for word in words], skipped)


def voices() -> list[VoiceInfo]:
    """The voices that Violet knows by name."""
    return list(VOICES.values())


def phonemize(
    text: str, *, phonemizer: Phonemizer = "violet", lexicon: str | os.PathLike[str] | None = None
) -> list[tuple[str, str]]:
    """The sentences of an English text and their phonemes: IPA in the notation of espeak-ng's `en-us`.

    >>> phonemize("Hello, world!")
    [('Hello, world!', 'hɪlˈoʊ, wˈɜːld!')]

    Args:
        text: Plain text.
        phonemizer: Built in, or an `espeak-ng` on PATH.
        lexicon: As in `Options`; of the built-in phonemizer.

    Raises:
        ValueError: An unknown phonemizer, or a lexicon that is not understood.
        violet.VioletError: No espeak-ng on PATH.
        OSError: The lexicon cannot be read, or espeak-ng fails.
    """
    return _core.phonemize(text, phonemizer, None if lexicon is None else Path(lexicon).read_text("utf-8"))
