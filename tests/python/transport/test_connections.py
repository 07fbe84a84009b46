"""Connections that break, or are closed under a call."""

import asyncio
import socket

import pytest
from aiohttp import web
from bittensor_wallet import Keypair, Wallet

from fixtures.axons import DIGEST, REQUEST, Liar, Miner, answering
from violet.chain import Neuron
from violet.protocol import sign_response
from violet.transport import MinerCaller, ValidatorDendrite
from violet.transport import server as server_module
from violet.transport.caller import KEEP_ALIVE_S


async def test_a_broken_connection_is_tried_once_more(
    liar: tuple[Liar, Neuron], caller: MinerCaller, wallet: Wallet
) -> None:
    server, neuron = liar
    good = answering(result="{}", digest=DIGEST, signature=sign_response(wallet.hotkey, "task_1", 0, DIGEST))

    async def hang_up_once(request: web.Request) -> web.StreamResponse:
        if server.calls > 1:
            return await good(request)
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    server.reply = hang_up_once
    assert (await caller.transcribe(neuron, REQUEST)).ok
    assert server.calls == 2


async def test_a_connection_that_stays_broken_counts(liar: tuple[Liar, Neuron], caller: MinerCaller) -> None:
    server, neuron = liar

    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    server.reply = hang_up
    answer = await caller.transcribe(neuron, REQUEST)
    assert (answer.ok, server.calls) == (False, 2)
    assert "Disconnected" in (answer.error or "")


@pytest.fixture
def closes_idle(liar: tuple[Liar, Neuron], wallet: Wallet) -> tuple[Liar, Neuron]:
    """A server that closes each connection in the moment in which a second call arrives on it."""
    server, neuron = liar
    seen: list[asyncio.BaseTransport] = []
    good = answering(result="{}", digest=DIGEST, signature=sign_response(wallet.hotkey, "task_1", 0, DIGEST))

    async def reply(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        if request.transport in seen:
            request.transport.close()
        seen.append(request.transport)
        return await good(request)

    server.reply = reply
    return server, neuron


async def test_a_connection_that_is_closed_under_a_call_is_replaced(
    closes_idle: tuple[Liar, Neuron], caller: MinerCaller
) -> None:
    server, neuron = closes_idle
    assert [(await caller.transcribe(neuron, REQUEST)).ok for _ in range(3)] == [True] * 3
    assert server.calls > 3, "the race was there"


async def test_an_idle_connection_is_given_up_before_the_axon_closes_it(
    closes_idle: tuple[Liar, Neuron], dendrite: ValidatorDendrite
) -> None:
    """The SDK's axon closes idle connections after 5 s, and its dendrite would use them for 15 s."""
    server, neuron = closes_idle
    assert KEEP_ALIVE_S < 5 < 15 < server_module.KEEP_ALIVE_S
    assert (await dendrite.transcribe(neuron, REQUEST)).ok
    await asyncio.sleep(KEEP_ALIVE_S + 0.2)
    assert (await dendrite.transcribe(neuron, REQUEST)).ok
    assert server.calls == 2, "at the first try"


async def test_no_answer_waits_for_the_callers_acknowledgement(miner: Miner, caller: MinerCaller) -> None:
    """Nagle's algorithm would hold the second part of every answer back for 40 ms."""
    assert (await caller.transcribe(miner.neuron, REQUEST)).ok
    server = miner.axon._server
    assert server is not None
    sockets = [connection.transport.get_extra_info("socket") for connection in server.server_state.connections]
    assert [bool(found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) for found in sockets] == [True]


async def test_the_axon_keeps_an_idle_connection_longer_than_the_sdks_dendrite(
    miner: Miner, validator: Keypair
) -> None:
    server = miner.axon._server
    assert server is not None
    assert server.config.timeout_keep_alive == server_module.KEEP_ALIVE_S > 15
