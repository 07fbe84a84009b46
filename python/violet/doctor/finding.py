"""One line of the report."""

from dataclasses import dataclass
from typing import Literal

type Role = Literal["miner", "validator"]
"""What the machine is meant for."""

ANSWER_TIMEOUT_S = 5.0
"""How long a server may take to answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    state: Literal["ok", "note", "broken"]
    text: str
    mend: str | None = None
    """What to do about it."""
