"""Miners that are busy, broken or lie, as validators see them."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from bittensor_wallet import Keypair, Wallet

from fixtures.axons import ABLE, DIGEST, REQUEST, Liar, Miner, Way, answering, calling
from violet.chain import Neuron
from violet.errors import VioletError
from violet.protocol import sign_response
from violet.transport import MinerCaller


async def test_a_full_miner_says_that_it_is_busy(wallet: Wallet, validator: Keypair, way: Way) -> None:
    miner = Miner(wallet, validator, capacity=1, max_waiting=1)
    release = asyncio.Event()

    async def work() -> None:
        await release.wait()

    miner.work = work
    await miner.axon.start()
    async with calling(way, validator) as caller:
        running = [asyncio.create_task(caller.transcribe(miner.neuron, REQUEST)) for _ in range(2)]
        async with asyncio.timeout(5):
            while miner.axon.gate.free or not miner.axon.gate.waiting:
                await asyncio.sleep(0.01)
        answer = await caller.transcribe(miner.neuron, REQUEST)
        assert (answer.ok, answer.busy) == (False, True)
        assert answer.latency_s < 2, "at once"
        assert (await caller.capabilities([miner.neuron]))[miner.hotkey].value == replace(ABLE, free=0)
        release.set()
        assert [answer.ok for answer in await asyncio.gather(*running)] == [True, True]
    await miner.axon.stop()


async def test_a_failure_of_the_miners_is_told_in_words(miner: Miner, caller: MinerCaller) -> None:
    async def fail() -> None:
        raise VioletError("model is not loaded")

    miner.work = fail
    answer = await caller.transcribe(miner.neuron, REQUEST)
    assert (answer.ok, answer.busy, answer.error) == (False, False, "model is not loaded")


async def test_a_fault_of_the_miners_leaks_nothing(miner: Miner, caller: MinerCaller) -> None:
    async def fail() -> None:
        raise KeyError("/home/me/secret")

    miner.work = fail
    answer = await caller.transcribe(miner.neuron, REQUEST)
    assert not answer.ok
    assert "500" in (answer.error or "")
    assert "secret" not in (answer.error or "")


async def test_a_slow_miner_is_not_waited_for(miner: Miner, validator: Keypair, way: Way) -> None:
    async def work() -> None:
        await asyncio.sleep(30)

    miner.work = work
    async with calling(way, validator, timeout_s=0.3) as caller:
        answer = await caller.transcribe(miner.neuron, REQUEST)
    assert answer.error == "no answer within 0.3 s"
    assert 0.3 <= answer.latency_s < 2


@pytest.mark.parametrize(
    ("task_id", "slot", "answer", "reason"),
    [
        pytest.param("task_1", 0, {"result": "{}"}, "digest", id="no-digest"),
        pytest.param("task_1", 0, {"result": "[]", "digest": DIGEST}, "digest", id="other-result"),
        pytest.param("task_2", 0, {"result": "{}", "digest": DIGEST}, "not signed", id="signed-for-another-task"),
        pytest.param("task_1", 1, {"result": "{}", "digest": DIGEST}, "not signed", id="signed-for-another-slot"),
        pytest.param(
            "task_2", 0, {"task_id": "task_2", "result": "{}", "digest": DIGEST}, "not signed", id="names-another-task"
        ),
        pytest.param("task_1", 0, {"result": "{}", "digest": DIGEST, "signature": "0x12"}, "not signed", id="garbage"),
        pytest.param("task_1", 0, {"result": "{}", "digest": DIGEST, "signature": None}, "not signed", id="unsigned"),
        pytest.param("task_1", 0, {}, "without a result", id="nothing"),
        pytest.param("task_1", 0, {"result": 7}, "ValidationError", id="not-text"),
    ],
)
async def test_a_result_that_the_miner_did_not_sign_is_refused(
    liar: tuple[Liar, Neuron],
    caller: MinerCaller,
    wallet: Wallet,
    task_id: str,
    slot: int,
    answer: dict[str, Any],
    reason: str,
) -> None:
    server, neuron = liar
    server.reply = answering(**{"signature": sign_response(wallet.hotkey, task_id, slot, DIGEST)} | answer)
    found = await caller.transcribe(neuron, REQUEST)
    assert not found.ok
    assert reason in (found.error or "")


async def test_somebody_elses_signature_is_refused(liar: tuple[Liar, Neuron], caller: MinerCaller) -> None:
    server, neuron = liar
    signature = sign_response(Keypair.create_from_uri("//Thief"), "task_1", 0, DIGEST)
    server.reply = answering(result="{}", digest=DIGEST, signature=signature)
    assert (await caller.transcribe(neuron, REQUEST)).error == "result is not signed by the miner"


async def test_an_endless_answer_is_cut(
    liar: tuple[Liar, Neuron], caller: MinerCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("violet.transport.caller.RESPONSE_LIMIT_BYTES", 100_000)
    server, neuron = liar

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    server.reply = endless
    assert "above 100000 bytes" in ((await caller.transcribe(neuron, REQUEST)).error or "")


async def test_a_redirect_is_not_followed(liar: tuple[Liar, Neuron], caller: MinerCaller) -> None:
    server, neuron = liar

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    server.reply = elsewhere
    assert "HTTP 307" in ((await caller.transcribe(neuron, REQUEST)).error or "")
    assert server.calls == 1


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "evil.example"])
async def test_our_own_network_is_not_called_for_a_miner(miner: Miner, validator: Keypair, ip: str, way: Way) -> None:
    async with calling(way, validator, allow_private=False) as caller:
        answer = await caller.transcribe(replace(miner.neuron, ip=ip), REQUEST)
    assert "address" in (answer.error or "")
    assert miner.asked == []
