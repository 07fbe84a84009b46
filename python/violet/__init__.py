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
    normalize,
    wer,
    word_counts,
)
from violet.transcriber import Transcriber
from violet.vad import SpeechSpan, VadOptions, speech_timestamps

__all__ = [
    "LimitError",
    "Segment",
    "SpeechSpan",
    "Transcriber",
    "Transcript",
    "VadOptions",
    "VioletError",
    "Word",
    "__version__",
    "cer",
    "char_counts",
    "load",
    "log_mel",
    "normalize",
    "speech_timestamps",
    "wer",
    "word_counts",
]
