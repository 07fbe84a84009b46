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
from violet.audio import AudioInfo, decode, encode, info, load, resample, save, stream
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
    "cer",
    "char_counts",
    "compare",
    "cpwer",
    "decode",
    "encode",
    "info",
    "load",
    "log_mel",
    "mer",
    "normalize",
    "normalizers",
    "resample",
    "save",
    "score_characters",
    "score_words",
    "ser",
    "speech_timestamps",
    "stream",
    "tcpwer",
    "wer",
    "wil",
    "wip",
    "word_counts",
]
