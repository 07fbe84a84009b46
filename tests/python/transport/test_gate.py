"""The gate in front of a miner's engine."""

import asyncio

import pytest

from violet.errors import BusyError
from violet.transport import PriorityGate


async def test_the_most_important_waits_least() -> None:
    gate = PriorityGate(1, 3)
    order: list[str] = []

    async def caller(name: str, priority: float) -> None:
        async with gate.enter(priority, 5):
            order.append(name)
            await asyncio.sleep(0)

    async with gate.enter(0, 5):
        tasks = [asyncio.create_task(caller(*who)) for who in (("low", 1), ("high", 9), ("low, later", 1))]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["high", "low", "low, later"]
    assert (gate.free, gate.waiting) == (1, 0)


async def test_a_full_room_makes_room_for_the_more_important_only() -> None:
    gate = PriorityGate(1, 1)

    async def caller(priority: float) -> str:
        async with gate.enter(priority, 5):
            return "in"

    async with gate.enter(0, 5):
        poor = asyncio.create_task(caller(1))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="1 tasks running and 1 waiting"):
            await caller(1)
        rich = asyncio.create_task(caller(2))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="more stake"):
            await poor
    assert await rich == "in"


async def test_the_wait_at_the_gate_ends() -> None:
    gate = PriorityGate(1, 5)
    async with gate.enter(0, 5):
        with pytest.raises(BusyError, match="no place within"):
            async with gate.enter(0, 0.01):
                pass
        assert gate.waiting == 0
    assert gate.free == 1


@pytest.mark.parametrize("is_turn_in_the_same_moment", [False, True])
async def test_a_caller_who_goes_away_loses_no_place(is_turn_in_the_same_moment: bool) -> None:
    gate = PriorityGate(1, 5)

    async def caller() -> None:
        async with gate.enter(0, 5):
            pass

    async with gate.enter(0, 5):
        gone = asyncio.create_task(caller())
        stays = asyncio.create_task(caller())
        await asyncio.sleep(0)
        if not is_turn_in_the_same_moment:
            gone.cancel()
            await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait({gone, stays}, timeout=2)
    assert gone.cancelled()
    assert stays.done()
    assert (gate.free, gate.waiting) == (1, 0)


@pytest.mark.parametrize(("capacity", "waiting"), [(0, 1), (1, -1)])
def test_an_impossible_gate_is_refused(capacity: int, waiting: int) -> None:
    with pytest.raises(ValueError, match="a gate with capacity"):
        PriorityGate(capacity, waiting)
