"""A bounded place for work: so many at once, so many waiting, the most important first.

The SDK's own `priority_fn` and `max_workers` have no effect on asynchronous forwards.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from violet.errors import BusyError


class PriorityGate:
    """Lets `capacity` callers in at once; up to `max_waiting` wait, and leave by priority, then by arrival.

    When the room is full, a caller who is more important than the least important one waiting takes its place.
    """

    def __init__(self, capacity: int, max_waiting: int) -> None:
        if capacity < 1 or max_waiting < 0:
            message = f"a gate with capacity {capacity} and {max_waiting} waiting; expected at least 1 and 0"
            raise ValueError(message)
        self._capacity = capacity
        self._max_waiting = max_waiting
        self._inside = 0
        self._arrivals = itertools.count()
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @property
    def free(self) -> int:
        """How many could enter now."""
        return self._capacity - self._inside

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def enter(self, priority: float, wait_s: float) -> AsyncIterator[None]:
        """A place inside, held until the `with` block ends.

        Raises:
            BusyError: No place, and no room to wait; or no place within `wait_s`; or a more important caller took the
                place in the room.
        """
        if self._inside < self._capacity:
            self._inside += 1
        else:
            await self._wait(priority, wait_s)
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, priority: float, wait_s: float) -> None:
        if len(self._waiting) >= self._max_waiting:
            last = max(self._waiting, default=None)
            if last is None or -last[0] >= priority:
                message = f"busy: {self._inside} tasks running and {len(self._waiting)} waiting"
                raise BusyError(message)
            self._waiting.remove(last)
            heapq.heapify(self._waiting)
            last[2].set_exception(BusyError("busy: a caller with more stake took the place"))
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (-priority, next(self._arrivals), turn)
        heapq.heappush(self._waiting, entry)
        try:
            async with asyncio.timeout(wait_s):
                await self._turn(entry)
        except TimeoutError as error:
            message = f"busy: no place within {wait_s:g} s"
            raise BusyError(message) from error

    async def _turn(self, entry: tuple[float, int, asyncio.Future[None]]) -> None:
        turn = entry[2]
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()  # the turn came in the same moment: pass it on
            elif entry in self._waiting:
                self._waiting.remove(entry)
                heapq.heapify(self._waiting)
            raise

    def _leave(self) -> None:
        """Gives the place to the first in the room, or frees it."""
        while self._waiting:
            turn = heapq.heappop(self._waiting)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._inside -= 1
