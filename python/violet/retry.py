"""When to ask again, and how long to wait before: shared by everything that talks to the proxy."""

import contextlib
import os
import random
from collections.abc import Mapping

TRIES = 4
"""How often a request is sent before it has failed."""

BACKOFF_S = 0.25
"""Wait before the second try; it doubles for each further one, less a random half."""

MAX_BACKOFF_S = 5.0
"""Longest wait between two tries, whatever the other side asks for."""

RETRIED_STATUS = frozenset({429, 502, 503, 504})
"""Answers after which the same request may succeed."""


def backoff_s(attempt: int, asked_s: float | None) -> float:
    """How long to wait after try number `attempt` (from 1): what was asked for, else a doubling wait."""
    wait_s = BACKOFF_S * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0) if asked_s is None else asked_s
    return min(max(wait_s, 0.0), MAX_BACKOFF_S)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that an answer asks for; None when it asks for none in seconds."""
    with contextlib.suppress(KeyError, ValueError):
        seconds = float(headers["Retry-After"])
        return seconds if 0 <= seconds < float("inf") else None
    return None


def cause(error: BaseException) -> str:
    """An error's text in one line, or its name where it has none; of a failed connection, the system's word for why."""
    system = getattr(error, "os_error", None)
    if isinstance(system, OSError):
        # Names have errors of their own, with negative numbers.
        number = system.errno or 0
        return os.strerror(number) if number > 0 else system.strerror or str(system)
    return " ".join(str(error).split()) or type(error).__name__
