"""Violet: speech recognition, its scoring, and a Bittensor subnet for audio.

>>> import violet
>>> violet.wer("hello world", "hello word")
0.5
"""

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
from violet.audio import AudioInfo, decode, encode, info, load, resample, save, stream
from violet.audio_scores import (
    log_f0_rmse,
    log_spectral_distance,
    mel_cepstral_distortion,
    pesq,
    si_sdr,
    snr,
    stoi,
)
from violet.scoring import (
    CharacterScores,
    Comparison,
    MeetingScores,
    WordScores,
    compare,
    cpwer,
    score_characters,
    score_words,
    tcpwer,
)
from violet.transcriber import Transcriber
from violet.vad import SpeechSpan, VadOptions, speech_timestamps

__all__ = [
    "Analysis",
    "AudioInfo",
    "CharacterScores",
    "Comparison",
    "LimitError",
    "MeetingScores",
    "Segment",
    "SpeechSpan",
    "Transcriber",
    "Transcript",
    "VadOptions",
    "VioletError",
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
    "info",
    "load",
    "log_f0_rmse",
    "log_mel",
    "log_spectral_distance",
    "mel_cepstral_distortion",
    "mer",
    "normalize",
    "normalizers",
    "pesq",
    "resample",
    "save",
    "score_characters",
    "score_words",
    "ser",
    "si_sdr",
    "snr",
    "speech_timestamps",
    "stoi",
    "stream",
    "tcpwer",
    "wer",
    "wil",
    "wip",
    "word_counts",
]
