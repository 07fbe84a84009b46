"""The messages between validators and miners as they travel: JSON over `btauth/1`, and the fields of synapses.

No `from __future__ import annotations` here: the SDK reads the annotations of its synapses, which inherit these.
"""

import base64
import binascii
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from violet.errors import ProtocolError
from violet.protocol import INLINE_LIMIT_BYTES, InputRef, Options, TaskId
from violet.transport.messages import TEXT_LIMIT, AudioRequest, TextRequest

PREFIX = "/v1/direct/"
"""Where direct calls are; behind it stands a message's `route`."""

ID_LIMIT = 128
"""Longest id of a task, characters."""


class Body(BaseModel):
    """What every message has."""

    route: ClassVar[str]
    """Its name in the path of a direct call."""

    task_id: str = Field(default="", max_length=ID_LIMIT)
    later: bool = False
    """Begin, and let me fetch the result."""


class CapabilitiesBody(Body):
    """What can you do? The result is `Capabilities`; `task_id` is random, so that an old answer does not fit."""

    route: ClassVar[str] = "capabilities"


class FetchBody(Body):
    """Give me the result of the work that I let you begin."""

    route: ClassVar[str] = "fetch"

    wait_s: float = Field(default=0.0, ge=0, le=30)
    """How long to wait for it."""
    cancel: bool = False
    """End the work, or forget its result."""


class AudioBody(Body):
    """What messages with audio have in common."""

    url: str | None = Field(default=None, max_length=TEXT_LIMIT)
    sha256: str | None = Field(default=None, max_length=64)
    bytes: int | None = Field(default=None, ge=1)
    duration_s: float | None = Field(default=None, ge=0)
    inline: str | None = Field(default=None, max_length=(INLINE_LIMIT_BYTES + 2) // 3 * 4)


class TranscribeBody(AudioBody):
    """Transcribe this. The result is a transcript (`docs/protocol.md`)."""

    route: ClassVar[str] = "transcribe"

    language: str | None = Field(default=None, max_length=32)
    prompt: str | None = Field(default=None, max_length=TEXT_LIMIT)
    temperature: float = Field(default=0.0, ge=0, le=1)


class AnalyzeBody(AudioBody):
    """Measure this. The result is an analysis."""

    route: ClassVar[str] = "analyze"

    fields: str = Field(default="", max_length=TEXT_LIMIT)
    """Names of fields, with commas between."""


class SynthesizeBody(Body):
    """Speak this. The result is a synthesis whose audio, Opus, is in it as base64."""

    route: ClassVar[str] = "synthesize"

    text: str = Field(default="", max_length=TEXT_LIMIT)
    voice: str | None = Field(default=None, max_length=64)
    speed: float = Field(default=1.0, ge=0.25, le=4)
    language: str | None = Field(default=None, max_length=32)


class Reply(BaseModel):
    """What comes back: a signed result, or why there is none."""

    result: str | None = None
    """The answer, a JSON text."""
    digest: str | None = None
    """SHA-256 of the result."""
    signature: str | None = None
    """The miner's, over task, slot 0 and digest."""
    busy: bool = False
    """No room now; ask another miner."""
    error: str | None = None
    """Why there is no result, in words."""
    later: bool = False
    """There is none yet: fetch it."""


def _audio_fields(request: AudioRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {"task_id": request.task_id}
    if (source := request.input) is not None:
        fields |= {"url": source.url, "sha256": source.sha256, "bytes": source.bytes, "duration_s": source.duration_s}
    if request.inline is not None:
        fields["inline"] = base64.b64encode(request.inline).decode()
    return fields


def to_transcribe(request: AudioRequest) -> TranscribeBody:
    """The message that asks for a transcript."""
    options = request.options
    return TranscribeBody(
        **_audio_fields(request), language=options.language, prompt=options.prompt, temperature=options.temperature
    )


def to_analyze(request: AudioRequest) -> AnalyzeBody:
    """The message that asks for an analysis."""
    return AnalyzeBody(**_audio_fields(request), fields=",".join(request.options.fields))


def to_synthesize(request: TextRequest) -> SynthesizeBody:
    """The message that asks for speech."""
    options = request.options
    return SynthesizeBody(
        task_id=request.task_id,
        text=request.text,
        voice=options.voice,
        speed=options.speed,
        language=options.language,
    )


def from_audio(body: TranscribeBody | AnalyzeBody) -> AudioRequest:
    """The request that a message with audio carries.

    Raises:
        ProtocolError: It carries no audio, both forms of it, too much of it, or half a reference.
    """
    source = None
    if body.url is not None:
        if body.sha256 is None or body.bytes is None:
            message = "url without sha256 or bytes"
            raise ProtocolError(message)
        source = InputRef(body.url, body.sha256, body.bytes, body.duration_s or 0.0)
    try:
        inline = None if body.inline is None else base64.b64decode(body.inline, validate=True)
    except (binascii.Error, ValueError) as error:
        message = f"inline is not base64: {error}"
        raise ProtocolError(message) from error
    if isinstance(body, AnalyzeBody):
        options = Options(fields=tuple(name for name in body.fields.split(",") if name))
    else:
        options = Options(body.language, body.prompt, body.temperature)
    return AudioRequest(TaskId(body.task_id), source, inline, options)


def from_synthesize(body: SynthesizeBody) -> TextRequest:
    """The request that a message with text carries.

    Raises:
        ProtocolError: It carries none.
    """
    options = Options(language=body.language, voice=body.voice, speed=body.speed)
    return TextRequest(TaskId(body.task_id), body.text, options)
