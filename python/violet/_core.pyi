"""Types of the extension module, and the documentation of what is public, as the Rust sources have it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, BinaryIO, Final, final

import numpy as np
import numpy.typing as npt

__all__ = [
    "HAS_CUDA",
    "MAX_ROUNDS",
    "MAX_TALLY",
    "REWARD_VERSION",
    "SCORE_FLOOR",
    "AudioEncoder",
    "AudioStream",
    "DistillMos",
    "DnsMos",
    "LimitError",
    "Scores",
    "Segment",
    "SpeakerEncoder",
    "SpeechStream",
    "Stream",
    "Synthesizer",
    "Transcriber",
    "Transcript",
    "Vad",
    "VioletError",
    "Word",
    "__version__",
    "align_tokens",
    "analysis_agreement",
    "analysis_fields",
    "analyze_file",
    "analyze_samples",
    "audit_proxy",
    "augment",
    "availability",
    "behind",
    "cer",
    "char_counts",
    "cluster_speakers",
    "compare_texts",
    "credibility",
    "cuda_problem",
    "decode",
    "ema_update",
    "encode",
    "hub_download",
    "hub_snapshot",
    "latency_clusters",
    "latency_factor",
    "latency_target_s",
    "likeness",
    "load",
    "log_f0_rmse",
    "log_mel",
    "log_spectral_distance",
    "meeting_counts",
    "mel_cepstral_distortion",
    "mer",
    "miner_score",
    "miner_weights",
    "normalize",
    "normalize_loudness",
    "normalizers",
    "pesq",
    "phonemize",
    "prepare_voice",
    "probe",
    "proven",
    "pyin",
    "resample",
    "reward_agreement",
    "reward_analysis",
    "reward_miner",
    "reward_synthesis",
    "reward_transcription",
    "run_proxy",
    "save",
    "score_texts",
    "ser",
    "si_sdr",
    "simulate",
    "snr",
    "speech_account",
    "stoi",
    "syllable_nuclei",
    "tally_add",
    "to_16_khz",
    "transcription_error_rate",
    "weights_to_u16",
    "wer",
    "whisper_memory",
    "whisper_names",
    "wil",
    "wip",
    "word_counts",
    "yin",
    "yuma_epoch",
    "yuma_permits",
]

MAX_ROUNDS: int
MAX_TALLY: int
REWARD_VERSION: str
SCORE_FLOOR: float
__version__: str

class VioletError(Exception): ...
class LimitError(ValueError): ...

def load(
    path: str | PathLike[str] | bytes | bytearray | BinaryIO | Iterable[bytes],
    sample_rate: int | None = None,
    **options: object,
) -> tuple[npt.NDArray[np.float32], int]: ...
def decode(data: bytes, sample_rate: int | None = None, **options: object) -> tuple[npt.NDArray[np.float32], int]: ...
def probe(path: str | PathLike[str] | bytes | bytearray | BinaryIO) -> dict[str, Any]: ...

@final
class AudioStream:
    def __new__(
        cls,
        source: str | PathLike[str] | bytes | bytearray | BinaryIO | Iterable[bytes],
        block_s: float,
        sample_rate: int | None = None,
        **options: object,
    ) -> AudioStream: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def n_channels(self) -> int: ...
    @property
    def duration_s(self) -> float | None: ...
    @property
    def skipped_packets(self) -> int: ...
    def __iter__(self) -> AudioStream: ...
    def __next__(self) -> npt.NDArray[np.float32]: ...

def encode(
    samples: npt.NDArray[np.float32], sample_rate: int, choices: tuple[str, str, int | None, int | None]
) -> bytes: ...
def save(
    path: str | PathLike[str],
    samples: npt.NDArray[np.float32],
    sample_rate: int,
    choices: tuple[str, str, int | None, int | None],
) -> None: ...

@final
class AudioEncoder:
    def __new__(
        cls,
        path: str | PathLike[str] | None,
        sample_rate: int,
        n_channels: int,
        choices: tuple[str, str, int | None, int | None],
    ) -> AudioEncoder: ...
    def write(self, samples: npt.NDArray[np.float32]) -> bytes: ...
    def finish(self) -> bytes: ...

def resample(samples: npt.NDArray[np.float32], from_rate: int, to_rate: int) -> npt.NDArray[np.float32]: ...
def log_mel(samples: npt.NDArray[np.float32], n_mels: int = 80, padding: int = 0) -> npt.NDArray[np.float32]:
    """Log-mel features of 16 kHz samples, `[n_mels, n_frames]`."""

def wer(
    reference: str | Iterable[str],
    hypothesis: str | Iterable[str],
    normalizer: str = "none",
    num_threads: int | None = None,
) -> float | None:
    """Word error rate; `None` for an empty reference, where no rate exists.

    `(S + D + I) / (H + S + D)`: words substituted, deleted and inserted on the shortest way from the reference to the
    hypothesis (Levenshtein's distance), over the words of the reference. 0 or more; above 1 where much is inserted.
    Words are what white space separates. Source: Levenshtein, Soviet Physics Doklady 10 (1966); equal to jiwer 4's
    where there is a rate.

    Args:
        reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
        hypothesis: What was heard: one text for each.
        normalizer: What both go through first; one of `violet.normalizers()`.
        num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.

    Raises:
        TypeError: For a text that is not a str: its index and type are named.
        ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
            threads, or a lone surrogate.
    """

def cer(
    reference: str | Iterable[str],
    hypothesis: str | Iterable[str],
    normalizer: str = "none",
    num_threads: int | None = None,
) -> float | None:
    """Character error rate; `None` for an empty reference, where no rate exists.

    `(S + D + I) / (H + S + D)` of Unicode code points, spaces among them, without white space at both ends:
    Levenshtein's distance over the length of the reference. 0 or more. Source: as `wer`; equal to jiwer 4's where
    there is a rate.

    Args:
        reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
        hypothesis: What was heard: one text for each.
        normalizer: What both go through first; one of `violet.normalizers()`.
        num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.

    Raises:
        TypeError: For a text that is not a str: its index and type are named.
        ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
            threads, or a lone surrogate.
    """

def ser(
    reference: str | Iterable[str],
    hypothesis: str | Iterable[str],
    normalizer: str = "none",
    num_threads: int | None = None,
) -> float | None:
    """Sentence error rate: share of the utterances with an error; `None` without utterances.

    Utterances of whose words one or more is substituted, deleted or inserted, over all utterances. 0 to 1. Source: the
    `Sent.Err` of NIST's `sclite`.

    Args:
        reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
        hypothesis: What was heard: one text for each.
        normalizer: What both go through first; one of `violet.normalizers()`.
        num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.

    Raises:
        TypeError: For a text that is not a str: its index and type are named.
        ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
            threads, or a lone surrogate.
    """

def mer(
    reference: str | Iterable[str],
    hypothesis: str | Iterable[str],
    normalizer: str = "none",
    num_threads: int | None = None,
) -> float | None:
    """Match error rate; `None` where nothing is aligned.

    `(S + D + I) / (H + S + D + I)`: the share of the aligned positions that are wrong, words as in `wer`. 0 to 1.
    Source: Morris, Maier and Green, "From WER and RIL to MER and WIL", Interspeech 2004; the alignment is jiwer 4's.

    Args:
        reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
        hypothesis: What was heard: one text for each.
        normalizer: What both go through first; one of `violet.normalizers()`.
        num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.

    Raises:
        TypeError: For a text that is not a str: its index and type are named.
        ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
            threads, or a lone surrogate.
    """

def wil(
    reference: str | Iterable[str],
    hypothesis: str | Iterable[str],
    normalizer: str = "none",
    num_threads: int | None = None,
) -> float | None:
    """Word information lost; `None` for an empty reference.

    `1 - wip`, words as in `wer`. 0 to 1. Source: Morris, Maier and Green, "From WER and RIL to MER and WIL",
    Interspeech 2004; the alignment is jiwer 4's.

    Args:
        reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
        hypothesis: What was heard: one text for each.
        normalizer: What both go through first; one of `violet.normalizers()`.
        num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.

    Raises:
        TypeError: For a text that is not a str: its index and type are named.
        ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
            threads, or a lone surrogate.
    """

def wip(
    reference: str | Iterable[str],
    hypothesis: str | Iterable[str],
    normalizer: str = "none",
    num_threads: int | None = None,
) -> float | None:
    """Word information preserved; `None` for an empty reference.

    `H / (H + S + D) * H / (H + S + I)`: hits over the words of the reference, times hits over those of the hypothesis;
    words as in `wer`. 0 to 1, 0 for an empty hypothesis. Source: Morris, Maier and Green, "From WER and RIL to MER and
    WIL", Interspeech 2004; the alignment is jiwer 4's.

    Args:
        reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
        hypothesis: What was heard: one text for each.
        normalizer: What both go through first; one of `violet.normalizers()`.
        num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.

    Raises:
        TypeError: For a text that is not a str: its index and type are named.
        ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
            threads, or a lone surrogate.
    """

def word_counts(reference: str, hypothesis: str, normalizer: str = "none") -> tuple[int, int, int, int]:
    """`(hits, substitutions, deletions, insertions)` of the best word alignment.

    Each 0 or more; hits, substitutions and deletions are the words of the reference, which white space separates. Of
    the shortest alignments the one that jiwer 4 takes. Source: Levenshtein, Soviet Physics Doklady 10 (1966), with the
    traceback of rapidfuzz 3.

    Args:
        reference: What was said.
        hypothesis: What was heard.
        normalizer: What both go through first; one of `violet.normalizers()`.

    Raises:
        TypeError: For what is not a str.
        ValueError: For an unknown normalizer or a lone surrogate.
    """

def char_counts(reference: str, hypothesis: str, normalizer: str = "none") -> tuple[int, int, int, int]:
    """`(hits, substitutions, deletions, insertions)` of the best character alignment.

    As `word_counts`, of Unicode code points, spaces among them, without white space at both ends. Source: as
    `word_counts`.

    Args:
        reference: What was said.
        hypothesis: What was heard.
        normalizer: What both go through first; one of `violet.normalizers()`.

    Raises:
        TypeError: For what is not a str.
        ValueError: For an unknown normalizer or a lone surrogate.
    """

def normalize(text: str, normalizer: str) -> str:
    """Text as the named normalizer writes it.

    `whisper-en` and `whisper-basic` are openai-whisper 20250625's, byte for byte and with their mistakes:
    `EnglishTextNormalizer` and `BasicTextNormalizer`; of the latter `-no-diacritics` is `remove_diacritics`, `-split`
    is `split_letters`. `violet-en` is `whisper-en` without its known mistakes, and idempotent; `none` changes nothing.

    Args:
        text: Any Unicode text.
        normalizer: One of `violet.normalizers()`.

    Raises:
        TypeError: For what is not a str.
        ValueError: For an unknown normalizer or a lone surrogate.
    """

def normalizers() -> list[str]:
    """The ids of all normalizers, as `normalize` and every score take them; they are stored with scores."""

def score_texts(
    references: str | Iterable[str | Sequence[str]],
    hypotheses: str | Iterable[str],
    unit: str,
    normalizer: str,
    num_threads: int | None = None,
) -> Scores: ...
def align_tokens(
    references: Sequence[Sequence[str]], hypotheses: Sequence[Sequence[str]]
) -> list[list[tuple[str, int, int, int, int]]]: ...
def compare_texts(
    references: str | Iterable[str],
    a: str | Iterable[str],
    b: str | Iterable[str],
    unit: str,
    normalizer: str,
    level: float,
    n_resamples: int,
    seed: int,
    groups: Iterable[str] | None = None,
) -> tuple[tuple[float, float], float, tuple[float, float], float, float, tuple[int, float, float]] | None: ...
def meeting_counts(
    reference: Sequence[tuple[str, str, float, float, str]],
    hypothesis: Sequence[tuple[str, str, float, float, str]],
    collar_s: float | None,
    normalizer: str,
) -> tuple[tuple[int, int, int, int], list[tuple[str, str | None, str | None]]]: ...
def transcription_error_rate(reference: str, hypothesis: str, language: str) -> float | None: ...
def latency_factor(kind: str, duration_s: float, elapsed_s: float) -> float: ...
def latency_target_s(kind: str, duration_s: float) -> float: ...

type _Reward = tuple[str, float, dict[str, float], dict[str, bool], dict[str, float], list[str]]
type _Delivered = tuple[bool, bool, float, float, float | None]

def reward_transcription(
    reference: str,
    hypothesis: str,
    language: str,
    hypothesis_language: str | None,
    reference_starts: Sequence[float] | None,
    word_starts: Sequence[float],
    silences: Sequence[tuple[float, float]],
    delivered: _Delivered,
) -> _Reward: ...
def reward_agreement(
    hypothesis: str, peers: Sequence[str], own: str | None, language: str, shown: float, delivered: _Delivered
) -> _Reward: ...
def reward_synthesis(text: str, speech: object, language: str, delivered: _Delivered) -> _Reward: ...
def reward_analysis(
    fields: Sequence[tuple[str, Any, Sequence[Any], float | None, float | None, bool]], delivered: _Delivered
) -> _Reward: ...
def reward_miner(kinds: Sequence[tuple[float, float, float]], availability: float, credibility: float) -> _Reward: ...
def ema_update(ema: tuple[float, float, float], x: float, now_s: float) -> tuple[float, float, float]: ...
def proven(weight: float, work: tuple[float, float], direct: tuple[float, float]) -> tuple[float, float, float]: ...
def tally_add(tally: tuple[int, int], is_good: bool) -> tuple[int, int]: ...
def miner_score(kinds: Sequence[tuple[float, float, float]], availability: float, credibility: float) -> float: ...
def availability(answered: int, asked: int) -> float: ...
def credibility(passed: int, failed: int) -> float: ...
def miner_weights(
    miners: Sequence[tuple[int, float, str, str | None, int | None]], burn_uid: int | None = None
) -> tuple[list[tuple[int, float]], list[tuple[float, int, float, float]], float, float]: ...
def latency_clusters(latencies: Sequence[Sequence[float | None]]) -> list[int | None]: ...
def audit_proxy(
    accounts: Sequence[tuple[tuple[int, int], tuple[int, int]]],
) -> tuple[list[float], float, bool]: ...
def augment(
    samples: npt.NDArray[np.float32], sample_rate: int, steps: Sequence[tuple[str, float]], seed: int
) -> npt.NDArray[np.float32]: ...
def behind(
    samples: npt.NDArray[np.float32], other: npt.NDArray[np.float32], sample_rate: int, snr_db: float
) -> npt.NDArray[np.float32]: ...
def simulate(seed: int, epochs: int, colluding_stake: float, colluders: int) -> tuple[str, str, str]: ...
def weights_to_u16(weights: Sequence[tuple[int, float]]) -> list[tuple[int, int]]: ...
def yuma_permits(stake: Sequence[float], count: int) -> list[bool]: ...
def yuma_epoch(
    stake: Sequence[float],
    permits: Sequence[bool],
    active: Sequence[bool],
    weights: Sequence[Sequence[tuple[int, float]]],
    bonds: Sequence[Sequence[tuple[int, float]]],
    emission: float,
    owner: int | None = None,
) -> dict[str, Any]: ...

@final
class Synthesizer:
    def __new__(
        cls, path: str | PathLike[str], device: str = "auto", num_threads: int | None = None
    ) -> Synthesizer: ...
    @property
    def name(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def sample_rate(self) -> int: ...
    @property
    def speakers(self) -> list[str]: ...
    @property
    def is_described(self) -> bool: ...
    def speak(self, text: str, options: Mapping[str, object]) -> SpeechStream: ...

@final
class SpeechStream:
    @property
    def sample_rate(self) -> int: ...
    def __iter__(self) -> SpeechStream: ...
    def __next__(self) -> tuple[str, npt.NDArray[np.float32], list[tuple[str, float, float]], list[str]]: ...

def phonemize(text: str, phonemizer: str = "violet", lexicon: str | None = None) -> list[tuple[str, str]]: ...
def normalize_loudness(samples: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float32]: ...
def hub_snapshot(
    id: str,
    revision: str = "main",
    *,
    endpoint: str | None = None,
    token: str | None = None,
    timeout_s: float = 5.0,
) -> tuple[str, list[tuple[str, int | None, str | None]]]: ...
def hub_download(
    id: str,
    revision: str,
    file: str,
    destination: str | PathLike[str],
    *,
    endpoint: str | None = None,
    token: str | None = None,
    timeout_s: float = 5.0,
    progress: Callable[[int, int | None], object] | None = None,
) -> tuple[int, str]: ...
def run_proxy(arguments: Sequence[str]) -> int: ...

@final
class Scores:
    def total(self) -> tuple[int, int, int, int]: ...
    def rates(self) -> list[float | None]: ...
    def weighted_wer(self, substitution: float, deletion: float, insertion: float) -> float | None: ...
    def per_utterance(self) -> npt.NDArray[np.int64]: ...
    def alignments(self) -> list[list[tuple[str, int, int, int, int]]]: ...
    def tokens(self) -> tuple[list[list[str]], list[list[str]]]: ...
    def top_errors(self, kind: str, n: int) -> list[tuple[str, str, int]]: ...
    def ci(
        self, level: float, n_resamples: int, seed: int, groups: Iterable[str] | None
    ) -> tuple[float, float] | None: ...
    def __len__(self) -> int: ...

@final
class Segment:
    """One stretch of speech with its text, times and the decoder's own doubts."""

    @property
    def id(self) -> int:
        """Position in the transcript, from 0."""
    @property
    def start(self) -> float:
        """Start, seconds."""
    @property
    def end(self) -> float:
        """End, seconds."""
    @property
    def text(self) -> str:
        """The text, with the leading space that the tokens have."""
    @property
    def tokens(self) -> list[int]:
        """Ids of the tokens, those of times included."""
    @property
    def temperature(self) -> float:
        """Decoding temperature of the window's result that was kept, 0 to 2."""
    @property
    def avg_logprob(self) -> float:
        """Mean natural logarithm of the probability of the window's tokens, 0 or less."""
    @property
    def compression_ratio(self) -> float:
        """Bytes of the window's text (UTF-8) over those of its zlib compression: above 2.4 it likely repeats itself."""
    @property
    def no_speech_prob(self) -> float:
        """Probability that nobody speaks in the window, 0 to 1."""
    @property
    def words(self) -> list[Word]:
        """The words and their times; empty where they were not asked for."""

@final
class Word:
    """A word of a segment with its times and probability."""

    @property
    def word(self) -> str:
        """The word, with the space before it and the punctuation that belongs to it."""
    @property
    def start(self) -> float:
        """Start, seconds."""
    @property
    def end(self) -> float:
        """End, seconds."""
    @property
    def probability(self) -> float:
        """Mean probability of its tokens, 0 to 1."""

@final
class Transcript:
    """What was said: the text, its language, and segments with times."""

    @staticmethod
    def from_json(text: str) -> Transcript:
        """The transcript in the JSON that `to_json` or `to_verbose_json` writes, within the wire protocol's limits.

        Raises:
            `ValueError`: No transcript, or numbers that cannot be.
            `violet.LimitError`: More than 4 MiB.
        """
    @property
    def text(self) -> str:
        """The whole text, without spaces at its ends."""
    @property
    def language(self) -> str:
        """Code of the language spoken, such as `en`: the one given, or the one detected."""
    @property
    def language_probability(self) -> float | None:
        """Probability of that language, 0 to 1, where it was detected; else `None`."""
    @property
    def language_probabilities(self) -> list[tuple[str, float]]:
        """Every language with its probability where it was detected, the likeliest first."""
    @property
    def duration_s(self) -> float:
        """Length of the audio, seconds."""
    @property
    def segments(self) -> list[Segment]:
        """The parts of the text, in order of time."""
    def to_txt(self) -> str:
        """The segments' texts, one a line."""
    def to_tsv(self) -> str:
        """Tab-separated start and end in milliseconds and the text of every segment."""
    def to_srt(
        self,
        *,
        max_line_width: int | None = None,
        max_line_count: int | None = None,
        max_words_per_line: int | None = None,
        highlight_words: bool = False,
    ) -> str:
        """Subtitles in the form of `SubRip` (srt).

        The options need words with times and do nothing without: most characters a line, most lines or words a cue, and
        whether each word is underlined in its time, in a cue of its own. As openai-whisper's `WriteSRT`.
        """
    def to_vtt(
        self,
        *,
        max_line_width: int | None = None,
        max_line_count: int | None = None,
        max_words_per_line: int | None = None,
        highlight_words: bool = False,
    ) -> str:
        """Subtitles in the form of `WebVTT`; the options are those of `to_srt`. As openai-whisper's `WriteVTT`."""
    def to_verbose_json(self) -> str:
        """JSON with openai-whisper's names, for files; `from_json` reads it too."""
    def to_json(self) -> str:
        """One line of JSON, the form that travels between miners, proxy and validators."""

@final
class Transcriber:
    def __new__(
        cls,
        path: str | PathLike[str],
        device: str = "auto",
        num_threads: int | None = None,
        compute_type: str = "auto",
    ) -> Transcriber: ...
    def use_vad(self, vad: Vad) -> None: ...
    @property
    def has_vad(self) -> bool: ...
    def transcribe(
        self,
        audio: str | PathLike[str] | npt.NDArray[np.float32],
        options: Mapping[str, Any],
        progress: Callable[[float, str], object] | None = None,
    ) -> Transcript: ...
    def stream(
        self,
        audio: str | PathLike[str] | npt.NDArray[np.float32],
        options: Mapping[str, Any],
        progress: Callable[[float, str], object] | None = None,
    ) -> Stream: ...
    def stream_live(
        self,
        chunks: Iterable[npt.NDArray[np.float32]],
        options: Mapping[str, Any],
        progress: Callable[[float, str], object] | None = None,
    ) -> Stream: ...
    def detect_language(self, samples: npt.NDArray[np.float32]) -> list[tuple[str, float]]: ...
    @property
    def compute_type(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def is_multilingual(self) -> bool: ...
    @property
    def languages(self) -> list[str]: ...

@final
class Stream:
    def __iter__(self) -> Stream: ...
    def __next__(self) -> Segment: ...
    def close(self) -> None: ...
    @property
    def transcript(self) -> Transcript | None: ...

@final
class Vad:
    def __new__(cls, path: str | PathLike[str]) -> Vad: ...
    def probabilities(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]: ...
    def speech(self, samples: npt.NDArray[np.float32], options: Mapping[str, Any]) -> list[tuple[int, int]]: ...

@final
class DistillMos:
    def __new__(cls, path: str | PathLike[str]) -> DistillMos: ...
    def scores(self, clips: Sequence[npt.NDArray[np.float32]], num_threads: int | None = None) -> list[float]: ...

@final
class DnsMos:
    def __new__(cls, path: str | PathLike[str]) -> DnsMos: ...
    def scores(
        self, clips: Sequence[npt.NDArray[np.float32]], num_threads: int | None = None
    ) -> list[tuple[float, float, float, float]]: ...

@final
class SpeakerEncoder:
    def __new__(cls, path: str | PathLike[str]) -> SpeakerEncoder: ...
    def embed(
        self, samples: npt.NDArray[np.float32], partials_per_s: float, num_threads: int | None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.float32]]: ...

def prepare_voice(
    samples: npt.NDArray[np.float32], vad: Vad
) -> tuple[npt.NDArray[np.float32], list[tuple[int, int]]]: ...
def to_16_khz(samples: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float32]: ...
def whisper_names() -> list[str]: ...
def whisper_memory(name: str, compute_type: str) -> tuple[int, int, int, int]: ...

HAS_CUDA: Final[bool]

def cuda_problem() -> str | None: ...

type _Clips = tuple[Sequence[npt.NDArray[np.floating[Any]]], Sequence[npt.NDArray[np.floating[Any]]], int]

def stoi(clips: _Clips, extended: bool, num_threads: int | None = None) -> list[float | None]: ...
def si_sdr(clips: _Clips, num_threads: int | None = None) -> list[float | None]: ...
def snr(clips: _Clips, num_threads: int | None = None) -> list[float | None]: ...
def log_spectral_distance(clips: _Clips, num_threads: int | None = None) -> list[float | None]: ...
def mel_cepstral_distortion(
    clips: _Clips, align: bool, parametrisation: str, num_threads: int | None = None
) -> list[float | None]: ...
def likeness(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32]) -> float: ...
def log_f0_rmse(clips: _Clips, align: bool, num_threads: int | None = None) -> list[float | None]: ...
def pesq(clips: _Clips, mode: str, num_threads: int | None = None) -> list[float | None]: ...
def analysis_agreement() -> dict[str, tuple[float, float, bool]]: ...
def analysis_fields() -> list[str]: ...
def analyze_file(
    path: str | PathLike[str], fields: Sequence[str] | None, frames: bool, tracks: bool
) -> tuple[str | None, str, dict[str, Any], int]: ...
def analyze_samples(
    samples: npt.NDArray[np.float32], sample_rate: int, fields: Sequence[str] | None, frames: bool, tracks: bool
) -> tuple[str | None, str, dict[str, Any], int]: ...
def pyin(
    samples: npt.NDArray[np.float32],
    sample_rate: int,
    fmin_hz: float,
    fmax_hz: float,
    frame_length: int,
    hop_length: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
def yin(
    samples: npt.NDArray[np.float32],
    sample_rate: int,
    fmin_hz: float,
    fmax_hz: float,
    frame_length: int,
    hop_length: int,
    trough_threshold: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
def cluster_speakers(vectors: npt.NDArray[np.float32], threshold: float) -> list[int]: ...
def speech_account(
    segments_s: Sequence[tuple[float, float]], duration_s: float, syllables_s: Sequence[float]
) -> str: ...
def syllable_nuclei(samples: npt.NDArray[np.float32], sample_rate: int) -> list[float]: ...
