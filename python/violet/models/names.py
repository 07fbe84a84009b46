"""The published Whisper models by name, and where the hub has them."""

from collections.abc import Mapping

HUB_IDS: Mapping[str, str] = {
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "tiny": "Systran/faster-whisper-tiny",
    "base.en": "Systran/faster-whisper-base.en",
    "base": "Systran/faster-whisper-base",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "small.en": "Systran/faster-whisper-small.en",
    "small": "Systran/faster-whisper-small",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "medium.en": "Systran/faster-whisper-medium.en",
    "medium": "Systran/faster-whisper-medium",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "large-v3-turbo": "openai/whisper-large-v3-turbo",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
}
"""Repositories with weights in half precision, small models first."""

ALIASES: Mapping[str, str] = {"turbo": "large-v3-turbo", "large": "large-v3"}
"""Other names of the same models."""
