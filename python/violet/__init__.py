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
    load,
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
    "CharacterScores",
    "Comparison",
    "DnsMosScores",
    "LimitError",
    "MeetingScores",
    "MosScores",
    "Segment",
    "SpeechSpan",
    "Transcriber",
    "Transcript",
    "VadOptions",
    "VioletError",
    "Voice",
    "Word",
    "WordScores",
    "__version__",
    "cer",
    "char_counts",
    "compare",
    "cpwer",
    "load",
    "log_mel",
    "mer",
    "mos",
    "normalize",
    "normalizers",
    "score_characters",
    "score_words",
    "ser",
    "speaker_embedding",
    "speaker_similarity",
    "speech_timestamps",
    "tcpwer",
    "voice",
    "wer",
    "wil",
    "wip",
    "word_counts",
]
