"""A task as the proxy shows it to its user, and what happens to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from violet.errors import ProxyError
from violet.protocol import member, optional

FINAL = frozenset({"verified", "unverified", "failed", "cancelled"})
"""States that nothing follows."""


class TaskFailedError(ProxyError):
    """The task ended without an answer; the message says why."""


@dataclass(frozen=True, slots=True)
class Task:
    """A task as the proxy shows it.

    Attributes:
        id: Its name.
        kind: `transcription`, `synthesis` or `analysis`.
        state: `queued`, `running`, `answered`, `verified`, `unverified`, `failed` or `cancelled`.
        reason: Why it failed; None where it did not.
        progress: How much of it is done, 0 to 1.
        partial: The text so far of a miner at work.
        queue_position: How many tasks are before it; None once a miner works on it.
        text: The text of the answer; None before there is one.
        document: All that the proxy said (docs/protocol.md).
    """

    id: str
    kind: str
    state: str
    reason: str | None
    progress: float
    partial: str
    queue_position: int | None
    text: str | None
    document: Mapping[str, Any]

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return self.state in FINAL

    @property
    def is_answered(self) -> bool:
        """Whether there is an answer to fetch."""
        return self.document.get("answer") is not None

    def after(self, kind: str, data: Mapping[str, Any]) -> Self:
        """The task after an event of that kind: a state is all of it, progress a part."""
        return self.from_json(data if kind == "state" else {**self.document, **data})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The task in an answer of the proxy.

        Raises:
            violet.errors.ProtocolError: It is none.
        """
        answer = optional(value, "answer", dict)
        return cls(
            member(value, "id", str),
            member(value, "kind", str),
            member(value, "state", str),
            optional(value, "reason", str),
            float(value.get("progress") or 0.0),
            optional(value, "partial", str) or "",
            optional(value, "queue_position", int),
            None if answer is None else optional(answer, "text", str),
            value,
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a task.

    Attributes:
        kind: `state` or `progress`.
        number: Number of a `state` event; None for the others.
        task: The task then.
    """

    kind: str
    number: int | None
    task: Task
