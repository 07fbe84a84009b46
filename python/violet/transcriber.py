"""A Whisper model by name, ready to transcribe files, samples and live audio."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np

from violet import _core, cuda, models
from violet.samples import SAMPLE_RATE, mono_samples
from violet.vad import VadOptions, detector

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["DEFAULT_TEMPERATURES", "SAMPLE_RATE", "Options", "Transcriber", "mono_samples"]

DEFAULT_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Decoding temperatures tried in order while the result looks wrong (openai/whisper's default)."""

type Progress = Callable[[float, str], object]
"""Called as `progress(fraction, text_so_far)`; the end of the text may still change."""


class Options(TypedDict, total=False):
    """How to transcribe: the keyword arguments of `Transcriber.transcribe` and `Transcriber.stream`.

    The defaults are openai-whisper's.
    """

    task: Literal["transcribe", "translate"]
    """Write down what is said in its language, or in English ("transcribe")."""
    language: str | None
    """Code or English name such as `de` or `german`; detected from the first window with sound when None."""
    multilingual: bool
    """Detect the language again in every window (False)."""
    temperature: float | Sequence[float]
    """One temperature, or up to 16 to try in order while the result looks wrong, each 0 to 2 (0, 0.2, .. 1)."""
    beam_size: int
    """Sequences kept by the search at temperature 0, 1 to 32; 1 is greedy (1)."""
    best_of: int
    """Sequences drawn at temperatures above 0, 1 to 32; the likeliest is kept (5)."""
    patience: float
    """The beam search ends when `beam_size * patience` sequences have ended, 0.01 to 100 (1)."""
    length_penalty: float | None
    """Exponent of Google NMT's length penalty, 0 to 1; mean log probability when None."""
    repetition_penalty: float
    """Above 1 the tokens of the window so far become less likely, 0.01 to 100 (1)."""
    no_repeat_ngram_size: int
    """No sequence of so many tokens comes twice in a window; 0 for no such rule (0)."""
    compression_ratio_threshold: float | None
    """A window whose text compresses better than this is repetitive and tried again (2.4)."""
    logprob_threshold: float | None
    """A window whose mean log probability is lower than this is tried again (-1)."""
    no_speech_threshold: float | None
    """An improbable window whose probability of no speech is higher than this is silence, 0 to 1 (0.6)."""
    prompt: str | None
    """Text that is taken as said before the audio begins: names and spellings."""
    carry_initial_prompt: bool
    """Whether `prompt` stands before every window, not only before the first ones (False)."""
    hotwords: str | None
    """Words that are likely to be said; they stand before every window, except one with a `prefix`."""
    prefix: str | None
    """What is said first; decoding goes on from there."""
    condition_on_previous_text: bool
    """Whether the text of a window is the prompt of the next one (True)."""
    prompt_reset_on_temperature: float
    """Above this temperature a window's text is too uncertain to be the prompt of the next one (0.5)."""
    suppress_tokens: Sequence[int]
    """Tokens that are never written; -1 stands for those that are not speech, such as brackets ([-1])."""
    suppress_blank: bool
    """Whether a window may neither begin with a space nor be empty without a time (True)."""
    max_new_tokens: int | None
    """Most tokens of a window, at least 1; half of the model's positions when None."""
    without_timestamps: bool
    """Write text without times: each window is one segment (False)."""
    max_initial_timestamp: float | None
    """The latest time at which the first segment of a window may start, 0 to 30 s (1)."""
    clip_timestamps: Sequence[float]
    """Start, end, start, end .. of the parts to transcribe, seconds, in order; a last start goes on to the end ([])."""
    word_timestamps: bool
    """Find when each word was said: segments have `words` then (False)."""
    prepend_punctuations: str
    """Marks that belong to the word behind them."""
    append_punctuations: str
    """Marks that belong to the word before them."""
    hallucination_silence_threshold: float | None
    """With `word_timestamps`: words that are likely made up are dropped where more silence is around them, seconds."""
    vad_filter: bool
    """Leave out silence, as a voice activity detector finds it (False)."""
    vad: VadOptions | None
    """What counts as speech; what suits the way of decoding when None."""
    batch_size: int
    """Chunks of speech decoded side by side, 1 to 128; 1: window after window, each with the text so far (1)."""
    seed: int
    """Seed of the draws at temperatures above 0: equal seeds, equal results (0)."""


PREPENDED = "\"'\u201c\u00bf([{-"
"""Marks that belong to the word behind them (openai/whisper's default)."""

APPENDED = "\"'.\u3002,\uff0c!\uff01?\uff1f:\uff1a\u201d)]}\u3001"
"""Marks that belong to the word before them (openai/whisper's default)."""

DEFAULTS: Options = {
    "task": "transcribe",
    "language": None,
    "multilingual": False,
    "temperature": DEFAULT_TEMPERATURES,
    "beam_size": 1,
    "best_of": 5,
    "patience": 1.0,
    "length_penalty": None,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "compression_ratio_threshold": 2.4,
    "logprob_threshold": -1.0,
    "no_speech_threshold": 0.6,
    "prompt": None,
    "carry_initial_prompt": False,
    "hotwords": None,
    "prefix": None,
    "condition_on_previous_text": True,
    "prompt_reset_on_temperature": 0.5,
    "suppress_tokens": (-1,),
    "suppress_blank": True,
    "max_new_tokens": None,
    "without_timestamps": False,
    "max_initial_timestamp": 1.0,
    "clip_timestamps": (),
    "word_timestamps": False,
    "prepend_punctuations": PREPENDED,
    "append_punctuations": APPENDED,
    "hallucination_silence_threshold": None,
    "vad_filter": False,
    "vad": None,
    "batch_size": 1,
    "seed": 0,
}
"""Every option with its default."""


class Transcriber:
    """A Whisper model in memory. Thread-safe: calls from several threads are worked on together.

    Args:
        model: A name (`violet models list`), a directory, or a Hugging Face id (`org/name` or `org/name@revision`).
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `metal`; `auto` takes the CPU when no GPU answers.
        num_threads: Threads that the CPU may use, 1 to 1024; all cores by default.
        compute_type: Numbers that it computes in: `auto`, `float32`, `float16`, `bfloat16` or `int8`.

    Raises:
        ValueError: An impossible device, number of threads or compute type.
        violet.VioletError: The model is unknown, cannot be fetched, or its files are damaged.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = "tiny.en",
        device: str = "auto",
        *,
        num_threads: int | None = None,
        compute_type: str = "auto",
    ) -> None:
        self.path: Path = models.resolve(os.fspath(model))
        cuda.prepare(device)
        self._model = _core.Transcriber(self.path, device, num_threads, compute_type)

    @property
    def is_multilingual(self) -> bool:
        """True if the model knows more languages than English."""
        return self._model.is_multilingual

    @property
    def languages(self) -> list[str]:
        """Codes of the languages that the model knows."""
        return self._model.languages

    @property
    def device(self) -> str:
        """Where the model runs: `cpu`, `cuda` or `metal`."""
        return self._model.device

    @property
    def compute_type(self) -> str:
        """Numbers that the model computes in; never `auto`."""
        return self._model.compute_type

    def detect_language(self, audio: str | os.PathLike[str] | npt.NDArray[np.floating]) -> dict[str, float]:
        """Probability of every language that the model knows, the likeliest first, heard in the first 30 s.

        Args:
            audio: Path of a file, or float samples `[n_samples]` at 16 kHz.

        Raises:
            ValueError: Not audio, samples of the wrong shape.
            TypeError: Neither a path nor samples.
            violet.LimitError: Audio over the limits of `violet.load`.
            OSError: The file cannot be read.
        """
        given = _input(audio)
        samples = _core.load(given, SAMPLE_RATE)[0] if isinstance(given, Path) else given
        return dict(self._model.detect_language(samples))

    def transcribe(
        self,
        audio: str | os.PathLike[str] | npt.NDArray[np.floating],
        *,
        progress: Progress | None = None,
        **options: Unpack[Options],
    ) -> _core.Transcript:
        """Text of an audio file or of mono samples at 16 kHz, with segments and times.

        A file is decoded on the way: however long it is, it is never in memory as a whole.

        Args:
            audio: Path of a file in any format that `violet.load` reads, or float samples `[n_samples]` at 16 kHz.
            progress: Called as `progress(fraction, text_so_far)`; an exception from it stops the work.
            **options: See `Options`.

        Raises:
            ValueError: Not audio, an unknown language, an impossible option, samples of the wrong shape.
            TypeError: An option that does not exist or is of another type; neither a path nor samples.
            violet.LimitError: Audio over the limits of `violet.load`.
            violet.VioletError: Too many transcriptions are under way, or a model that an option needs is not there.
            OSError: The file cannot be read.
        """
        return self._model.transcribe(_input(audio), self._arguments(options), progress)

    def stream(
        self,
        audio: str | os.PathLike[str] | npt.NDArray[np.floating] | Iterable[npt.NDArray[np.floating]],
        *,
        progress: Progress | None = None,
        **options: Unpack[Options],
    ) -> Generator[_core.Segment, None, _core.Transcript | None]:
        """Segments of an audio file, of samples or of live audio, each as soon as it is decoded.

        Closing the generator, or leaving the loop, ends the work. Its return value is the whole transcript.

        Args:
            audio: As for `transcribe`; or an iterable of chunks of float samples at 16 kHz, each of any length, that is
                asked for the next chunk when the one before it has been used up. Live audio is cut where the speaker
                pauses, at the latest after 30 s, and each part is decoded at once.
            progress: As for `transcribe`; called from the thread that takes the segments.
            **options: See `Options`.

        Raises:
            ValueError: As `transcribe`.
            TypeError: As `transcribe`; audio that cannot be iterated over.
            violet.LimitError: As `transcribe`.
            violet.VioletError: As `transcribe`.
            OSError: As `transcribe`.
        """
        if isinstance(audio, (str, os.PathLike, np.ndarray)):
            return _segments(self._model.stream(_input(audio), self._arguments(options), progress))
        self._model.use_vad(detector())
        chunks = (_samples(chunk) for chunk in audio)
        return _segments(self._model.stream_live(chunks, self._arguments(options), progress))

    def _arguments(self, given: Options) -> Mapping[str, Any]:
        """All options, as the core takes them.

        Raises:
            TypeError: One that does not exist.
        """
        unknown = given.keys() - DEFAULTS.keys()
        if unknown:
            message = f"unknown option {', '.join(sorted(unknown))}; expected some of {', '.join(sorted(DEFAULTS))}"
            raise TypeError(message)
        options: dict[str, Any] = {**DEFAULTS, **given}
        temperature = options["temperature"]
        options["temperature"] = [temperature] if isinstance(temperature, (int, float)) else list(temperature)
        if options["vad"] is not None:
            options["vad"] = asdict(options["vad"])
        if (options["vad_filter"] or options["batch_size"] > 1) and not self._model.has_vad:
            self._model.use_vad(detector())
        return options


def _input(
    audio: str | os.PathLike[str] | npt.NDArray[np.floating],
) -> Path | npt.NDArray[np.float32]:
    if isinstance(audio, (str, os.PathLike)):
        return Path(audio)
    return _samples(audio)


def _samples(audio: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    if np.ndim(audio) == 0:
        message = (
            f"audio is of type {type(audio).__name__}; expected a path or float samples [n_samples] at 16 kHz "
            "(violet.load(audio, 16_000)[0] decodes the bytes of a file)"
        )
        raise TypeError(message)
    return mono_samples(audio)


def _segments(stream: _core.Stream) -> Generator[_core.Segment, None, _core.Transcript | None]:
    try:
        yield from stream
        return stream.transcript
    finally:
        stream.close()
