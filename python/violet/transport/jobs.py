"""Work that takes longer than a call should: begun by one message, its result fetched by others."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from violet.errors import BusyError, ProtocolError

KEPT_S = 600.0
"""How long a result waits to be fetched, and work goes on that nobody asks for."""


@dataclass(slots=True)
class _Job:
    work: asyncio.Task[str]
    asked_s: float
    """When its caller last asked for it."""


class Jobs:
    """Work in progress and results that were not fetched yet, by caller and task.

    Args:
        limit: Most of both together; more are told that the miner is busy.
        kept_s: Time after which what nobody asks for is dropped.
        now_s: A clock; for tests.
    """

    def __init__(self, limit: int, *, kept_s: float = KEPT_S, now_s: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._kept_s = kept_s
        self._now_s = now_s
        self._jobs: dict[tuple[str, str], _Job] = {}

    def begin(self, caller: str, task_id: str, work: Callable[[], Awaitable[str]]) -> None:
        """Begins work; the same again changes nothing.

        Raises:
            BusyError: No room.
        """
        self._prune()
        key = (caller, task_id)
        if key in self._jobs:
            self._jobs[key].asked_s = self._now_s()
            return
        if len(self._jobs) >= self._limit:
            message = f"busy: {len(self._jobs)} pieces of long work are here; fetch or cancel yours, or come later"
            raise BusyError(message)

        async def run() -> str:
            return await work()

        task = asyncio.create_task(run())
        # An error that its caller never fetches is nobody's surprise.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._jobs[key] = _Job(task, self._now_s())

    async def fetch(self, caller: str, task_id: str, wait_s: float) -> str | None:
        """The result, waiting up to `wait_s` for it; None while there is none. A result is kept until it is forgotten.

        Raises:
            ProtocolError: The caller has no such work here.
            VioletError: The work failed.
        """
        self._prune()
        job = self._jobs.get((caller, task_id))
        if job is None:
            message = f"no work for task {task_id:.60} of this caller is here; begin it first"
            raise ProtocolError(message)
        job.asked_s = self._now_s()
        done, _ = await asyncio.wait({job.work}, timeout=max(wait_s, 0.0))
        job.asked_s = self._now_s()
        return job.work.result() if done else None

    def forget(self, caller: str, task_id: str) -> None:
        """Ends work, or drops its result; the same again changes nothing."""
        job = self._jobs.pop((caller, task_id), None)
        if job is not None:
            job.work.cancel()

    def close(self) -> None:
        """Ends all work."""
        for caller, task_id in list(self._jobs):
            self.forget(caller, task_id)

    def _prune(self) -> None:
        before_s = self._now_s() - self._kept_s
        for key in [key for key, job in self._jobs.items() if job.asked_s < before_s]:
            self.forget(*key)
