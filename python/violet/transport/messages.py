"""What validators ask miners directly and are answered, as plain data: no SDK here."""

import json
from dataclasses import asdict, dataclass, field
from typing import Self

from violet.errors import ProtocolError
from violet.protocol import INLINE_LIMIT_BYTES, InputRef, Options, TaskId, canonical_json, member, texts

TEXT_LIMIT = 4096
"""Longest prompt or URL, characters."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a miner says about itself."""

    kinds: tuple[str, ...]
    model: str
    capacity: int
    """Tasks at once."""
    free: int
    """Tasks that it could begin now."""
    version: str
    voices: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The JSON text that the miner signs."""
        return canonical_json(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What a miner's answer says.

        Raises:
            ProtocolError: A member is missing or of the wrong kind.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            message = f"capabilities are not JSON: {error}"
            raise ProtocolError(message) from error
        return cls(
            texts(member(value, "kinds", list), "kinds"),
            member(value, "model", str),
            member(value, "capacity", int),
            member(value, "free", int),
            member(value, "version", str),
            texts(value.get("voices") or [], "voices"),
        )


@dataclass(frozen=True, slots=True)
class AudioRequest:
    """Audio to transcribe or to analyse: a reference, or (small) the bytes themselves."""

    task_id: TaskId
    input: InputRef | None
    """Where to fetch the audio; None when it is inline."""
    inline: bytes | None = None
    """The audio itself, at most `INLINE_LIMIT_BYTES`."""
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        """Refuses what may not travel."""
        if (self.input is None) == (self.inline is None):
            message = "a request carries either a reference or inline audio"
            raise ProtocolError(message)
        if self.inline is not None and not 0 < len(self.inline) <= INLINE_LIMIT_BYTES:
            message = f"inline audio has {len(self.inline)} bytes; expected 1 to {INLINE_LIMIT_BYTES}"
            raise ProtocolError(message)


@dataclass(frozen=True, slots=True)
class TextRequest:
    """A short text to speak."""

    task_id: TaskId
    text: str
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        """Refuses what may not travel."""
        if not 0 < len(self.text) <= TEXT_LIMIT:
            message = f"the text has {len(self.text)} characters; expected 1 to {TEXT_LIMIT}"
            raise ProtocolError(message)


@dataclass(frozen=True, slots=True)
class Answer[T]:
    """What became of one call to a miner."""

    ok: bool
    """Whether there is a value, signed by the miner."""
    busy: bool
    """Whether the miner said that it has no room now."""
    value: T | None
    latency_s: float
    """From sending to the last byte of the answer, of the last try."""
    error: str | None
    """Why there is no value."""
