"""The two messages between validators and miners, and the plain data that they carry.

No `from __future__ import annotations` here: the SDK reads the annotations of synapses at run time.
"""

import base64
import binascii
import json
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Self

from bittensor.core.synapse import Synapse
from pydantic import Field

from violet.errors import ProtocolError
from violet.protocol import INLINE_LIMIT_BYTES, InputRef, Options, TaskId, canonical_json, member

ID_LIMIT = 128
"""Longest id of a task, characters."""

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
        kinds = member(value, "kinds", list)
        if not all(isinstance(kind, str) for kind in kinds):
            message = f"kinds is {kinds!r:.80}; expected names"
            raise ProtocolError(message)
        return cls(
            tuple(kinds),
            member(value, "model", str),
            member(value, "capacity", int),
            member(value, "free", int),
            member(value, "version", str),
        )


@dataclass(frozen=True, slots=True)
class TranscribeRequest:
    """Audio to transcribe: a reference, or (small) the bytes themselves."""

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


class SignedSynapse(Synapse):  # type: ignore[misc]  # the SDK ships no types
    """What both messages have: a task's id in, a signed result out."""

    task_id: str = Field(default="", max_length=ID_LIMIT)

    result: str | None = None
    """The answer, a JSON text."""
    digest: str | None = None
    """SHA-256 of the result."""
    signature: str | None = None
    """The miner's, over task, slot 0 and digest: the SDK leaves responses unsigned."""
    busy: bool = False
    """No room now; ask another miner."""
    error: str | None = None
    """Why there is no result, in words."""

    def get_required_fields(self) -> list[str]:
        """None: every field has a default. The SDK's own would build a JSON schema on every call, 3 ms each."""
        return []


class VioletCapabilities(SignedSynapse):
    """What can you do? The result is `Capabilities`; `task_id` is random, so that an old answer does not fit."""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("task_id",)


class VioletTranscribe(SignedSynapse):
    """Transcribe this. The result is a transcript (`docs/protocol.md`)."""

    url: str | None = Field(default=None, max_length=TEXT_LIMIT)
    sha256: str | None = Field(default=None, max_length=64)
    bytes: int | None = Field(default=None, ge=1)
    duration_s: float | None = Field(default=None, ge=0)
    inline: str | None = Field(default=None, max_length=(INLINE_LIMIT_BYTES + 2) // 3 * 4)
    language: str | None = Field(default=None, max_length=32)
    prompt: str | None = Field(default=None, max_length=TEXT_LIMIT)
    temperature: float = Field(default=0.0, ge=0, le=1)

    # Every input: what is not listed here is not signed.
    required_hash_fields: ClassVar[tuple[str, ...]] = (
        "task_id", "url", "sha256", "bytes", "duration_s", "inline", "language", "prompt", "temperature",
    )  # fmt: skip


def to_synapse(request: TranscribeRequest) -> VioletTranscribe:
    """The message that carries a request."""
    options, source = request.options, request.input
    fields: dict[str, Any] = {
        "task_id": request.task_id,
        "language": options.language,
        "prompt": options.prompt,
        "temperature": options.temperature,
    }
    if source is not None:
        fields |= {"url": source.url, "sha256": source.sha256, "bytes": source.bytes, "duration_s": source.duration_s}
    if request.inline is not None:
        fields["inline"] = base64.b64encode(request.inline).decode()
    return VioletTranscribe(**fields)


def from_synapse(synapse: VioletTranscribe) -> TranscribeRequest:
    """The request that a message carries.

    Raises:
        ProtocolError: It carries no audio, both forms of it, too much of it, or half a reference.
    """
    source = None
    if synapse.url is not None:
        if synapse.sha256 is None or synapse.bytes is None:
            message = "url without sha256 or bytes"
            raise ProtocolError(message)
        source = InputRef(synapse.url, synapse.sha256, synapse.bytes, synapse.duration_s or 0.0)
    try:
        inline = None if synapse.inline is None else base64.b64decode(synapse.inline, validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"inline is not base64: {error}"
        raise ProtocolError(message) from error
    options = Options(synapse.language, synapse.prompt, synapse.temperature)
    return TranscribeRequest(TaskId(synapse.task_id), source, inline, options)
