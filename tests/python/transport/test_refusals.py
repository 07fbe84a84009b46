"""What a miner refuses in either way: changed, forged, replayed and untimely calls, strangers, bodies too large."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from bittensor_wallet import Keypair, Wallet

from fixtures.axons import REQUEST, Miner, Way, calling, post, signed
from violet.chain import Hotkey
from violet.errors import ProtocolError
from violet.protocol import INLINE_LIMIT_BYTES, TaskId
from violet.transport import AudioRequest, MinerCaller, ValidatorDendrite
from violet.transport import axon as axon_module
from violet.transport import btauth as btauth_module
from violet.transport import server as server_module
from violet.transport.bodies import PREFIX, to_transcribe

PATHS = ["/VioletTranscribe", f"{PREFIX}transcribe"]


def with_tampered_body(body: dict[str, Any]) -> None:
    body["url"] = "http://evil.example/"


def with_tampered_prompt(body: dict[str, Any]) -> None:
    body["prompt"] = "ignore the audio"


def with_tampered_task(body: dict[str, Any]) -> None:
    body["task_id"] = "task_2"


@pytest.mark.parametrize("tamper", [with_tampered_body, with_tampered_prompt, with_tampered_task])
async def test_a_changed_body_is_refused(
    miner: Miner, validator: Keypair, tamper: Callable[[dict[str, Any]], None], way: Way
) -> None:
    url, headers, body = signed(way, validator, miner, to_transcribe(REQUEST))
    tamper(body)
    status, _ = await post(url, headers, body)
    assert status >= 400
    assert miner.asked == []


def name_of(headers: dict[str, str], part: str) -> str:
    """The header in which the caller says this, in either way."""
    (name,) = [name for name in headers if name.lower().endswith(part) and "axon" not in name]
    return name


def forged(headers: dict[str, str]) -> None:
    headers[name_of(headers, "signature")] = "0x" + "11" * 64


def unsigned(headers: dict[str, str]) -> None:
    del headers[name_of(headers, "signature")]


def without_nonce(headers: dict[str, str]) -> None:
    del headers[name_of(headers, "nonce")]


def with_another_nonce(headers: dict[str, str]) -> None:
    headers[name_of(headers, "nonce")] = str(time.time_ns())


def of_another_hotkey(headers: dict[str, str]) -> None:
    headers[name_of(headers, "hotkey")] = Keypair.create_from_uri("//Other").ss58_address


def of_another_version(headers: dict[str, str]) -> None:
    headers[name_of(headers, "version")] = "2"
    headers[name_of(headers, "nonce")] = "1"


def with_another_uuid(headers: dict[str, str]) -> None:
    headers["bt_header_dendrite_uuid"] = "another"


def for_another_miner(headers: dict[str, str]) -> None:
    headers["X-Bittensor-Receiver"] = Keypair.create_from_uri("//Other").ss58_address


IN_EITHER = [forged, unsigned, without_nonce, with_another_nonce, of_another_hotkey, of_another_version]
CHANGES = [
    *((way, change) for way in (ValidatorDendrite, MinerCaller) for change in IN_EITHER),
    (ValidatorDendrite, with_another_uuid),
    (MinerCaller, for_another_miner),
]


@pytest.mark.parametrize(("way", "change"), CHANGES)
async def test_a_changed_head_is_refused(
    miner: Miner, validator: Keypair, change: Callable[[dict[str, str]], None], way: Way
) -> None:
    # The other hotkey may call as well: what refuses is the signature.
    other = Hotkey(Keypair.create_from_uri("//Other").ss58_address)
    miner.neurons.append(replace(miner.neurons[0], uid=2, hotkey=other))
    url, headers, body = signed(way, validator, miner, to_transcribe(REQUEST))
    change(headers)
    assert (await post(url, headers, body))[0] == 401
    assert miner.asked == []


async def test_forgeries_in_a_validators_name_cost_it_nothing(miner: Miner, validator: Keypair, way: Way) -> None:
    url, headers, body = signed(way, validator, miner, to_transcribe(REQUEST))
    forged(headers)
    assert [(await post(url, headers, body))[0] for _ in range(20)] == [401] * 20
    async with calling(way, validator) as caller:
        assert (await caller.transcribe(miner.neuron, REQUEST)).ok
    assert len(miner.asked) == 1


async def test_a_call_for_another_miner_is_refused(miner: Miner, validator: Keypair, way: Way) -> None:
    other = replace(miner.neuron, hotkey=Hotkey(Keypair.create_from_uri("//Other").ss58_address))
    async with calling(way, validator) as caller:
        answer = await caller.transcribe(other, REQUEST)
    assert not answer.ok
    assert "401" in (answer.error or "")
    assert miner.asked == []


async def test_a_replay_is_refused(miner: Miner, validator: Keypair, way: Way) -> None:
    call = signed(way, validator, miner, to_transcribe(REQUEST))
    assert (await post(*call))[0] == 200
    assert (await post(*call))[0] == 401
    assert len(miner.asked) == 1


async def test_a_replay_after_a_restart_is_refused(wallet: Wallet, validator: Keypair, way: Way) -> None:
    first = Miner(wallet, validator)
    await first.axon.start()
    url, headers, body = signed(way, validator, first, to_transcribe(REQUEST))
    assert (await post(url, headers, body))[0] == 200
    await first.axon.stop()
    second = Miner(wallet, validator, port=first.axon.port)
    await second.axon.start()
    # The timeout is not signed: without a floor, any age could be had.
    status, said = await post(url, headers | {"timeout": "1000000"}, body)
    assert (status, second.asked) == (401, [])
    assert "before this axon started" in said
    await second.axon.stop()


@pytest.mark.parametrize(
    ("way", "age_s", "reason"),
    [
        pytest.param(ValidatorDendrite, axon_module.MAX_AGE_S + 5, "older than", id="axon-too-old"),
        pytest.param(ValidatorDendrite, -axon_module.MAX_AHEAD_S - 5, "in the future", id="axon-from-the-future"),
        pytest.param(MinerCaller, btauth_module.MAX_AGE_NS / 1e9 + 1, "older than", id="btauth-too-old"),
        pytest.param(MinerCaller, -btauth_module.MAX_AHEAD_NS / 1e9 - 5, "in the future", id="btauth-from-the-future"),
    ],
)
async def test_an_untimely_call_is_refused_whatever_its_timeout_says(
    miner: Miner, validator: Keypair, monkeypatch: pytest.MonkeyPatch, age_s: float, reason: str, way: Way
) -> None:
    url, headers, body = signed(way, validator, miner, to_transcribe(REQUEST))
    now_ns = time.time_ns() + int(age_s * 1e9)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    status, said = await post(url, headers | {"timeout": "1000000"}, body)
    assert status == 401
    assert reason in said


def unregistered(miner: Miner) -> None:
    miner.neurons[0] = replace(miner.neurons[0], hotkey=Hotkey("5Other"))


def no_permit(miner: Miner) -> None:
    miner.neurons[0] = replace(miner.neurons[0], validator_permit=False)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(unregistered, "not registered", id="unregistered"),
        pytest.param(no_permit, "no validator permit", id="no-permit"),
    ],
)
async def test_a_caller_who_may_not_is_refused(
    miner: Miner, caller: MinerCaller, change: Callable[[Miner], None], reason: str
) -> None:
    change(miner)
    answer = await caller.transcribe(miner.neuron, REQUEST)
    assert (answer.ok, answer.busy, miner.asked) == (False, False, [])
    assert reason in (answer.error or "")


async def test_a_caller_with_too_little_stake_is_refused(wallet: Wallet, validator: Keypair, way: Way) -> None:
    miner = Miner(wallet, validator, min_stake=101)
    await miner.axon.start()
    async with calling(way, validator) as caller:
        assert "stake 100 is below 101" in ((await caller.transcribe(miner.neuron, REQUEST)).error or "")
    await miner.axon.stop()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size", [server_module.BODY_LIMIT_BYTES + 1, 50_000_000])
async def test_an_oversize_body_is_refused_unread(miner: Miner, size: int, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", miner.axon.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
    assert b"413" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


@pytest.mark.parametrize("path", PATHS)
async def test_an_oversize_body_of_unsaid_length_is_refused(miner: Miner, path: str) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientError, AssertionError)):
            async with session.post(f"http://127.0.0.1:{miner.axon.port}{path}", data=endless()) as response:
                assert response.status != 413


async def test_a_body_that_does_not_come_is_not_waited_for(
    wallet: Wallet, validator: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "BODY_WAIT_S", 0.1)
    miner = Miner(wallet, validator)
    await miner.axon.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", miner.axon.port)
    writer.write(b"POST /VioletTranscribe HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert b"413" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await miner.axon.stop()


async def test_only_violets_messages_are_served(miner: Miner) -> None:
    for path in ("", "Synapse", "docs", "openapi.json", "v1/direct/", "v1/direct/synthesize"):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{miner.axon.port}/{path}") as response,
        ):
            assert response.status in {400, 404}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"url": None}, "either a reference or inline", id="no-audio"),
        pytest.param({"inline": base64.b64encode(b"x").decode()}, "either a reference or inline", id="both"),
        pytest.param({"sha256": None}, "url without sha256", id="half-a-reference"),
        pytest.param({"url": None, "inline": "@@"}, "not base64", id="not-base64"),
    ],
)
async def test_a_request_that_makes_no_sense_is_told_why(
    miner: Miner, validator: Keypair, change: dict[str, Any], reason: str, way: Way
) -> None:
    synapse = to_transcribe(REQUEST).model_copy(update=change)
    status, said = await post(*signed(way, validator, miner, synapse))
    assert (status, miner.asked) == (200, [])
    assert reason in json.loads(said)["error"]


def test_audio_above_the_limit_does_not_become_a_request() -> None:
    with pytest.raises(ProtocolError, match="expected 1 to 65536"):
        AudioRequest(TaskId("t"), None, b"x" * (INLINE_LIMIT_BYTES + 1))
