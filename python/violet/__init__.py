"""Violet: speech recognition and synthesis, their scoring, and a Bittensor subnet for audio.

>>> import violet
>>> violet.wer("hello world", "hello word")
0.5
"""

from typing import TYPE_CHECKING, Any

from violet._core import (
    LimitError,
    Segment,
    Transcript,
    VioletError,
    Word,
    __version__,
    cer,
    char_counts,
    log_mel,
    mer,
    normalize,
    normalizers,
    ser,
    wer,
    wil,
    wip,
    word_counts,
)
from violet.analysis import Analysis, analyze
from violet.audio import AudioInfo, decode, encode, encode_stream, info, load, resample, save, stream
from violet.audio_scores import (
    log_f0_rmse,
    log_spectral_distance,
    mel_cepstral_distortion,
    pesq,
    si_sdr,
    snr,
    stoi,
)
from violet.meetings import MeetingScores, cpwer, tcpwer
from violet.quality import (
    DnsMosScores,
    MosScores,
    Voice,
    mos,
    speaker_embedding,
    speaker_similarity,
    voice,
)
from violet.scoring import (
    CharacterScores,
    Comparison,
    WordScores,
    compare,
    score_characters,
    score_words,
)
from violet.synthesizer import Speech, Synthesizer, phonemize, voices
from violet.transcriber import Transcriber
from violet.vad import SpeechSpan, VadOptions, speech_timestamps

if TYPE_CHECKING:
    from violet.client import AsyncClient, Client

__all__ = [
    "Analysis",
    "AsyncClient",
    "AudioInfo",
    "CharacterScores",
    "Client",
    "Comparison",
    "DnsMosScores",
    "LimitError",
    "MeetingScores",
    "MosScores",
    "Segment",
    "Speech",
    "SpeechSpan",
    "Synthesizer",
    "Transcriber",
    "Transcript",
    "VadOptions",
    "VioletError",
    "Voice",
    "Word",
    "WordScores",
    "__version__",
    "analyze",
    "cer",
    "char_counts",
    "compare",
    "cpwer",
    "decode",
    "encode",
    "encode_stream",
    "info",
    "load",
    "log_f0_rmse",
    "log_mel",
    "log_spectral_distance",
    "mel_cepstral_distortion",
    "mer",
    "mos",
    "normalize",
    "normalizers",
    "pesq",
    "phonemize",
    "resample",
    "save",
    "score_characters",
    "score_words",
    "ser",
    "si_sdr",
    "snr",
    "speaker_embedding",
    "speaker_similarity",
    "speech_timestamps",
    "stoi",
    "stream",
    "tcpwer",
    "voice",
    "voices",
    "wer",
    "wil",
    "wip",
    "word_counts",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what modules' __getattr__ returns
    """The clients, imported when they are first used: their HTTP library takes longer to import than all the rest."""
    if name in {"AsyncClient", "Client"}:
        from violet import client

        return getattr(client, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
