"""The wire protocol (`docs/protocol.md`): signatures, commitments and the types that travel."""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NewType, Self

from violet.chain.types import Hotkey
from violet.errors import ProtocolError
from violet.wallet import Signer, is_signed_by

TaskId = NewType("TaskId", str)
"""Id of a task: letters, digits and `_`."""

ResponseId = NewType("ResponseId", str)
"""Id of a miner's response."""

TRANSCRIPTION = "transcription"
"""Speech to text."""

SYNTHESIS = "synthesis"
"""Text to speech."""

ANALYSIS = "analysis"
"""Audio to measurements."""

KINDS = (TRANSCRIPTION, SYNTHESIS, ANALYSIS)
"""The kinds of task that there are."""

DIRECT_SLOT = 0
"""The slot that is signed for in answers over the axon."""

INLINE_LIMIT_BYTES = 64 * 1024
"""Most bytes of audio that may travel inside a synapse."""

RESULT_LIMIT_BYTES = 4 * 1024 * 1024
"""Most bytes of a result's JSON text."""

SALT_BYTES = 16
"""Randomness in a commitment's salt."""


def sha256_hex(data: bytes | str) -> str:
    """SHA-256 in lower-case hex; of a text, that of its UTF-8 bytes."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def canonical_json(value: object) -> str:
    """One JSON text per value: keys sorted, no spaces, no NaN.

    Raises:
        ValueError: A number is not finite.
        TypeError: A part has no JSON form.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sign(signer: Signer, text: str) -> str:
    """The signature of `text` as `0x` + hex.

    The key signs bytes: given a `str` that begins with `0x`, `Keypair.sign` would decode it as hex first.
    """
    return "0x" + signer.sign(text.encode()).hex()


def response_text(task_id: str, slot: int, digest: str) -> str:
    """What a miner signs for a response."""
    return f"violet/response/1\n{task_id}\n{slot}\n{digest}"


def sign_response(signer: Signer, task_id: str, slot: int, digest: str) -> str:
    """A miner's signature for a response whose result has the SHA-256 `digest`."""
    return sign(signer, response_text(task_id, slot, digest))


def verify_response(hotkey: str, task_id: str, slot: int, digest: str, signature: str) -> bool:
    """Whether `hotkey` signed this response; False for anything malformed."""
    return is_signed_by(hotkey, response_text(task_id, slot, digest).encode(), signature)


def new_salt() -> str:
    """A salt that nobody can guess, 32 hex characters."""
    return secrets.token_hex(SALT_BYTES)


def commitment(task_id: str, validator: str, salt: str, scores: str) -> str:
    """The hash that a validator publishes before its `scores` (a JSON text)."""
    return sha256_hex(f"violet/commit/1\n{task_id}\n{validator}\n{salt}\n{scores}")


def request_text(method: str, path_query: str, body: bytes, nonce_ns: int, sender: str, receiver: str) -> str:
    """What the sender of a `btauth/1` request signs."""
    lines = ("btauth/1", "sr25519", method.upper(), path_query, sha256_hex(body), str(nonce_ns), sender, receiver)
    return "\n".join(lines)


def signed_headers(
    signer: Signer, method: str, path_query: str, body: bytes, receiver: str, nonce_ns: int | None = None
) -> dict[str, str]:
    """The headers that make a request a signed one (`btauth/1`, the form of the SDK 11).

    Args:
        signer: The sender's hotkey.
        method: HTTP method.
        path_query: Path and query as sent, for example `/v1/miner/claim`.
        body: The body as sent, empty for none.
        receiver: Hotkey of the service.
        nonce_ns: Nanoseconds since the Unix epoch; now when None. Every request needs a nonce of its own.
    """
    nonce = time.time_ns() if nonce_ns is None else nonce_ns
    sender = signer.ss58_address
    return {
        "X-Bittensor-Version": "1",
        "X-Bittensor-Hotkey": sender,
        "X-Bittensor-Receiver": receiver,
        "X-Bittensor-Nonce": str(nonce),
        "X-Bittensor-Signature": sign(signer, request_text(method, path_query, body, nonce, sender, receiver)),
    }


def member[T](value: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """The member `name` of a JSON object, checked to be a `kind` (an int counts as a float).

    Raises:
        ProtocolError: It is missing or of another kind.
    """
    got = value.get(name) if isinstance(value, Mapping) else None
    if kind is float and isinstance(got, int) and not isinstance(got, bool):
        return float(got)  # type: ignore[return-value]
    if not isinstance(got, kind) or (isinstance(got, bool) and kind is not bool):
        message = f"{name} is {got!r:.80}; expected a {kind.__name__}"
        raise ProtocolError(message)
    return got


def optional[T](value: Mapping[str, Any], name: str, kind: type[T]) -> T | None:
    """The member `name` of a JSON object, or None where it is absent or null.

    Raises:
        ProtocolError: It is of another kind.
    """
    return None if value.get(name) is None else member(value, name, kind)


def texts(value: object, name: str) -> tuple[str, ...]:
    """A JSON list of texts.

    Raises:
        ProtocolError: It is something else.
    """
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = f"{name} is {value!r:.80}; expected a list of texts"
        raise ProtocolError(message)
    return tuple(value)


@dataclass(frozen=True, slots=True)
class Options:
    """How a task wants to be done; what another kind of task takes has its default."""

    language: str | None = None
    prompt: str | None = None
    temperature: float = 0.0
    task: Literal["transcribe", "translate"] = "transcribe"
    """`translate` is into English."""
    word_timestamps: bool = False
    voice: str | None = None
    """Name of the voice of a synthesis; None for the miner's choice."""
    speed: float = 1.0
    fields: tuple[str, ...] = ()
    """What an analysis measures."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Options from their JSON object; absent members have their defaults.

        Raises:
            ProtocolError: A member is of the wrong kind.
        """
        speed = optional(value, "speed", float)
        return cls(
            language=optional(value, "language", str),
            prompt=optional(value, "prompt", str),
            temperature=optional(value, "temperature", float) or 0.0,
            task="translate" if optional(value, "task", str) == "translate" else "transcribe",
            word_timestamps=optional(value, "word_timestamps", bool) or False,
            voice=optional(value, "voice", str),
            speed=1.0 if speed is None else speed,
            fields=texts(value.get("fields") or [], "fields"),
        )


@dataclass(frozen=True, slots=True)
class InputRef:
    """Where a file (audio, or a text to speak) is, and how to know that it is the right one."""

    url: str
    sha256: str
    bytes: int
    duration_s: float
    """Length of audio; 0 where it is not known, and of a text."""

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """A reference from its JSON object.

        Raises:
            ProtocolError: A member is missing or of the wrong kind.
        """
        return cls(
            member(value, "url", str),
            member(value, "sha256", str),
            member(value, "bytes", int),
            optional(value, "duration_s", float) or 0.0,
        )


@dataclass(frozen=True, slots=True)
class Lease:
    """A slot lent to a miner."""

    task_id: TaskId
    kind: str
    slot: int
    token: int
    """Fencing token: of two leases of a slot, the later has the greater."""
    expires_at_ms: int
    deadline_ms: int
    options: Options
    input: InputRef

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """A lease from its JSON object.

        Raises:
            ProtocolError: A member is missing or of the wrong kind.
        """
        return cls(
            task_id=TaskId(member(value, "task_id", str)),
            kind=member(value, "kind", str),
            slot=member(value, "slot", int),
            token=member(value, "token", int),
            expires_at_ms=member(value, "expires_at_ms", int),
            deadline_ms=member(value, "deadline_ms", int),
            options=Options.from_json(member(value, "options", dict)),
            input=InputRef.from_json(member(value, "input", dict)),
        )


@dataclass(frozen=True, slots=True)
class Variant:
    """What a miner heard instead of the input: the same words at other times."""

    lead_s: float
    """Silence before the recording, seconds; below 0, what was cut of it."""
    speed: float
    """How fast it was played: 1 is its own speed."""

    def original_s(self, heard_s: float) -> float:
        """When it is in the recording what is heard at `heard_s`, seconds."""
        return max((heard_s - self.lead_s) * self.speed, 0.0)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """A variant from its JSON object.

        Raises:
            ProtocolError: A member is missing or of the wrong kind.
        """
        return cls(lead_s=member(value, "lead_s", float), speed=member(value, "speed", float))


@dataclass(frozen=True, slots=True)
class Response:
    """A miner's signed result, as a validator gets it to judge."""

    response_id: ResponseId
    miner: Hotkey
    slot: int
    result: str
    digest: str
    signature: str
    latency_s: float
    audio: InputRef | None = None
    """The speech that a synthesis made."""
    variant: Variant | None = None
    """What the miner of a transcription heard: its result has the times of that. None for the input itself."""

    def original_s(self, heard_s: float) -> float:
        """When it is in the recording what the miner says is at `heard_s`, seconds."""
        return heard_s if self.variant is None else self.variant.original_s(heard_s)

    def is_authentic(self, task_id: str) -> bool:
        """Whether the miner itself signed exactly this result for this task."""
        return sha256_hex(self.result) == self.digest and verify_response(
            self.miner, task_id, self.slot, self.digest, self.signature
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """A response from its JSON object.

        Raises:
            ProtocolError: A member is missing or of the wrong kind.
        """
        return cls(
            response_id=ResponseId(member(value, "response_id", str)),
            miner=Hotkey(member(value, "miner", str)),
            slot=member(value, "slot", int),
            result=member(value, "result", str),
            digest=member(value, "digest", str),
            signature=member(value, "signature", str),
            latency_s=member(value, "latency_s", float),
            audio=None if value.get("audio") is None else InputRef.from_json(member(value, "audio", dict)),
            variant=None if value.get("variant") is None else Variant.from_json(member(value, "variant", dict)),
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All responses of one task, lent to a validator to judge."""

    task_id: TaskId
    kind: str
    options: Options
    input: InputRef
    commit_by_ms: int
    reveal_by_ms: int
    responses: tuple[Response, ...]

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """An evaluation from its JSON object.

        Raises:
            ProtocolError: A member is missing or of the wrong kind.
        """
        return cls(
            task_id=TaskId(member(value, "task_id", str)),
            kind=member(value, "kind", str),
            options=Options.from_json(member(value, "options", dict)),
            input=InputRef.from_json(member(value, "input", dict)),
            commit_by_ms=member(value, "commit_by_ms", int),
            reveal_by_ms=member(value, "reveal_by_ms", int),
            responses=tuple(Response.from_json(item) for item in member(value, "responses", list)),
        )


@dataclass(frozen=True, slots=True)
class Score:
    """What a validator says about one response."""

    score: float
    """In [0, 1]."""
    error_rate: float | None
    """Word (or character) error rate against the validator's reference; None without one."""


def scores_text(scores: Mapping[ResponseId, Score]) -> str:
    """The JSON text of a validator's scores, the same bytes for the same scores.

    Raises:
        ValueError: A number is not finite.
    """
    return canonical_json({key: {"score": s.score, "error_rate": s.error_rate} for key, s in scores.items()})
