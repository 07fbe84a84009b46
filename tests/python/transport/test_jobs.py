"""Long work: begun by one call, fetched by others."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from bittensor_wallet import Keypair, Wallet

from fixtures.axons import REQUEST, Miner, Way, calling
from violet.chain import Hotkey
from violet.errors import BusyError, ProtocolError
from violet.protocol import TaskId
from violet.transport import MinerCaller
from violet.transport import caller as caller_module
from violet.transport.bodies import FetchBody
from violet.transport.jobs import Jobs


@pytest.fixture
async def miner(wallet: Wallet, validator: Keypair) -> AsyncIterator[Miner]:
    miner = Miner(wallet, validator, capacity=1, max_waiting=1)
    await miner.axon.start()
    yield miner
    await miner.axon.stop()


@pytest.fixture
async def caller(way: Way, validator: Keypair) -> AsyncIterator[MinerCaller]:
    async with calling(way, validator, timeout_s=2.0) as caller:
        yield caller


async def test_work_that_outlasts_every_call_is_fetched(
    miner: Miner, caller: MinerCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller_module, "FETCH_WAIT_S", 0.05)
    release = asyncio.Event()
    miner.work = release.wait  # type: ignore[assignment]
    asking = asyncio.create_task(caller.transcribe(miner.neuron, REQUEST, patience_s=60))
    while not miner.asked:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # several fetches that find nothing
    assert not asking.done()
    release.set()
    answer = await asking
    assert (answer.ok, answer.value) == (True, miner.result)
    assert miner.asked == [REQUEST], "begun once"


async def test_what_is_not_there_in_time_is_cancelled(miner: Miner, caller: MinerCaller) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    miner.work = work
    answer = await caller.transcribe(miner.neuron, REQUEST, patience_s=0.2)
    assert (answer.ok, answer.error) == (False, "no result within 0.2 s")
    await asyncio.wait_for(ended.wait(), 10)
    assert miner.axon.gate.free == 1


async def test_more_long_work_than_there_is_room_for_gets_a_busy_answer(miner: Miner, caller: MinerCaller) -> None:
    miner.work = asyncio.Event().wait  # type: ignore[assignment]
    asked = [
        asyncio.create_task(
            caller.transcribe(miner.neuron, replace(REQUEST, task_id=TaskId(f"task_{number}")), patience_s=1.5)
        )
        for number in range(4)
    ]
    answers = await asyncio.gather(*asked)
    assert sum(answer.busy for answer in answers) == 2, answers
    assert not any(answer.ok for answer in answers)


async def test_results_are_for_those_who_asked_for_them(miner: Miner, validator: Keypair, way: Way) -> None:
    other = Keypair.create_from_uri("//Other")
    miner.neurons.append(replace(miner.neurons[0], uid=2, hotkey=Hotkey(other.ss58_address)))
    async with calling(way, validator) as first, calling(way, other) as second:
        assert (await first.transcribe(miner.neuron, REQUEST, patience_s=30)).ok
        stolen = await second._ask(miner.neuron, FetchBody(task_id=REQUEST.task_id), str, 5.0)
        assert not stolen.ok
        assert "no work for task task_1 of this caller" in (stolen.error or "")


async def test_what_nobody_asks_for_is_dropped() -> None:
    now_s = [0.0]
    jobs = Jobs(1, kept_s=60, now_s=lambda: now_s[0])

    async def work() -> str:
        return "done"

    jobs.begin("a", "1", work)
    jobs.begin("a", "1", work)
    assert await jobs.fetch("a", "1", 5) == "done"
    assert await jobs.fetch("a", "1", 5) == "done", "a broken connection loses nothing"
    with pytest.raises(BusyError, match="1 pieces"):
        jobs.begin("b", "1", work)
    now_s[0] = 61.0
    jobs.begin("b", "1", work)
    with pytest.raises(ProtocolError):
        await jobs.fetch("a", "1", 0)
    jobs.close()
    with pytest.raises(ProtocolError):
        await jobs.fetch("b", "1", 0)
