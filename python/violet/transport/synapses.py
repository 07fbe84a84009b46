"""The messages between validators and miners, as the SDK's synapses.

No `from __future__ import annotations` here: the SDK reads the annotations of synapses at run time.
"""

import base64
import binascii
from typing import Any, ClassVar

from bittensor.core.synapse import Synapse
from pydantic import Field

from violet.errors import ProtocolError
from violet.protocol import INLINE_LIMIT_BYTES, InputRef, Options, TaskId
from violet.transport.messages import TEXT_LIMIT, AudioRequest, TextRequest

ID_LIMIT = 128
"""Longest id of a task, characters."""


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
    later: bool = False
    """In: begin, and let me fetch the result with `VioletFetch`. Out: there is none yet."""

    def get_required_fields(self) -> list[str]:
        """None: every field has a default. The SDK's own would build a JSON schema on every call, 3 ms each."""
        return []


class VioletCapabilities(SignedSynapse):
    """What can you do? The result is `Capabilities`; `task_id` is random, so that an old answer does not fit."""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("task_id", "later")


class VioletFetch(SignedSynapse):
    """Give me the result of the work that I let you begin."""

    wait_s: float = Field(default=0.0, ge=0, le=30)
    """How long to wait for it."""
    cancel: bool = False
    """End the work, or forget its result."""

    required_hash_fields: ClassVar[tuple[str, ...]] = ("task_id", "later", "wait_s", "cancel")


class AudioSynapse(SignedSynapse):
    """What messages with audio have in common."""

    url: str | None = Field(default=None, max_length=TEXT_LIMIT)
    sha256: str | None = Field(default=None, max_length=64)
    bytes: int | None = Field(default=None, ge=1)
    duration_s: float | None = Field(default=None, ge=0)
    inline: str | None = Field(default=None, max_length=(INLINE_LIMIT_BYTES + 2) // 3 * 4)


# In every message all inputs are listed: what is not listed is not signed.
_AUDIO_FIELDS = ("task_id", "later", "url", "sha256", "bytes", "duration_s", "inline")


class VioletTranscribe(AudioSynapse):
    """Transcribe this. The result is a transcript (`docs/protocol.md`)."""

    language: str | None = Field(default=None, max_length=32)
    prompt: str | None = Field(default=None, max_length=TEXT_LIMIT)
    temperature: float = Field(default=0.0, ge=0, le=1)

    required_hash_fields: ClassVar[tuple[str, ...]] = (*_AUDIO_FIELDS, "language", "prompt", "temperature")


class VioletAnalyze(AudioSynapse):
    """Measure this. The result is an analysis."""

    fields: str = Field(default="", max_length=TEXT_LIMIT)
    """Names of fields, with commas between."""

    required_hash_fields: ClassVar[tuple[str, ...]] = (*_AUDIO_FIELDS, "fields")


class VioletSynthesize(SignedSynapse):
    """Speak this. The result is a synthesis whose audio, Opus, is in it as base64."""

    text: str = Field(default="", max_length=TEXT_LIMIT)
    voice: str | None = Field(default=None, max_length=64)
    speed: float = Field(default=1.0, ge=0.25, le=4)
    language: str | None = Field(default=None, max_length=32)

    required_hash_fields: ClassVar[tuple[str, ...]] = ("task_id", "later", "text", "voice", "speed", "language")


def _audio_fields(request: AudioRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {"task_id": request.task_id}
    if (source := request.input) is not None:
        fields |= {"url": source.url, "sha256": source.sha256, "bytes": source.bytes, "duration_s": source.duration_s}
    if request.inline is not None:
        fields["inline"] = base64.b64encode(request.inline).decode()
    return fields


def to_transcribe(request: AudioRequest) -> VioletTranscribe:
    """The message that asks for a transcript."""
    options = request.options
    wishes = {"language": options.language, "prompt": options.prompt, "temperature": options.temperature}
    return VioletTranscribe(**_audio_fields(request), **wishes)


def to_analyze(request: AudioRequest) -> VioletAnalyze:
    """The message that asks for an analysis."""
    return VioletAnalyze(**_audio_fields(request), fields=",".join(request.options.fields))


def to_synthesize(request: TextRequest) -> VioletSynthesize:
    """The message that asks for speech."""
    options = request.options
    return VioletSynthesize(
        task_id=request.task_id,
        text=request.text,
        voice=options.voice,
        speed=options.speed,
        language=options.language,
    )


def from_synapse(synapse: VioletTranscribe | VioletAnalyze) -> AudioRequest:
    """The request that a message with audio carries.

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
    if isinstance(synapse, VioletAnalyze):
        options = Options(fields=tuple(name for name in synapse.fields.split(",") if name))
    else:
        options = Options(synapse.language, synapse.prompt, synapse.temperature)
    return AudioRequest(TaskId(synapse.task_id), source, inline, options)


def from_synthesize(synapse: VioletSynthesize) -> TextRequest:
    """The request that a message with text carries.

    Raises:
        ProtocolError: It carries none.
    """
    options = Options(language=synapse.language, voice=synapse.voice, speed=synapse.speed)
    return TextRequest(TaskId(synapse.task_id), synapse.text, options)
