"""Axon and dendrite over real sockets on loopback: what must pass passes, what must not is refused."""

import asyncio
import base64
import json
import logging
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from bittensor.core.chain_data import AxonInfo
from bittensor.core.synapse import Synapse
from bittensor_wallet import Keypair, Wallet

from violet.chain import Coldkey, Hotkey, Metagraph, Neuron
from violet.errors import BusyError, PortError, ProtocolError, VioletError, WalletError
from violet.protocol import INLINE_LIMIT_BYTES, InputRef, Options, TaskId, sha256_hex, sign_response
from violet.transport import (
    Answer,
    AudioRequest,
    Capabilities,
    Forwards,
    MinerAxon,
    PriorityGate,
    TextRequest,
    ValidatorDendrite,
    VioletAnalyze,
    VioletCapabilities,
    VioletFetch,
    VioletSynthesize,
    VioletTranscribe,
)
from violet.transport import axon as axon_module
from violet.transport.dendrite import KEEP_ALIVE_S
from violet.transport.synapses import SignedSynapse, to_transcribe
from violet.wallet import create_wallet, load_wallet

ABLE = Capabilities(("transcription",), "tiny.en", 1, 1, "0.1.0")
REQUEST = AudioRequest(
    TaskId("task_1"), InputRef("http://127.0.0.1/x", "ab" * 32, 352_078, 11.0), options=Options("en", "names: Ä", 0.2)
)


@pytest.fixture(scope="session")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return create_wallet("miner", "default", tmp_path_factory.mktemp("wallets"))


@pytest.fixture(scope="session")
def validator() -> Keypair:
    return Keypair.create_from_uri("//Validator")


class Miner:
    """A running axon and what it was asked."""

    def __init__(self, wallet: Wallet, validator: Keypair, port: int = 0, **more: int) -> None:
        self.hotkey = Hotkey(wallet.hotkey.ss58_address)
        self.asked: list[AudioRequest] = []
        self.result = json.dumps({"text": "And so, my fellow Americans", "language": "en"})
        self.work: Callable[[], Awaitable[None]] | None = None
        self.neurons = [
            Neuron(0, Hotkey(validator.ss58_address), Coldkey("c0"), 100.0, validator_permit=True),
            Neuron(1, self.hotkey, Coldkey("c1"), 0.0),
        ]
        self.axon = MinerAxon(
            wallet, "127.0.0.1", port, "127.0.0.1", None, self.metagraph,
            Forwards(self.capabilities, self.transcribe), **more,
        )  # fmt: skip

    def metagraph(self) -> Metagraph:
        return Metagraph(1, "localnet", 1, 20, tuple(self.neurons), 0)

    @property
    def neuron(self) -> Neuron:
        return replace(self.neurons[1], ip="127.0.0.1", port=self.axon.port)

    async def capabilities(self) -> Capabilities:
        return replace(ABLE, free=self.axon.gate.free)

    async def transcribe(self, request: AudioRequest) -> str:
        self.asked.append(request)
        if self.work is not None:
            await self.work()
        return self.result


@pytest.fixture
async def miner(wallet: Wallet, validator: Keypair) -> AsyncIterator[Miner]:
    miner = Miner(wallet, validator)
    await miner.axon.start()
    yield miner
    await miner.axon.stop()


@asynccontextmanager
async def calling(
    hotkey: Keypair, *, timeout_s: float = 5.0, allow_private: bool = True
) -> AsyncIterator[ValidatorDendrite]:
    dendrite = ValidatorDendrite(hotkey, timeout_s=timeout_s, allow_private=allow_private)
    try:
        yield dendrite
    finally:
        await dendrite.close()


@pytest.fixture
async def dendrite(validator: Keypair) -> AsyncIterator[ValidatorDendrite]:
    async with calling(validator) as dendrite:
        yield dendrite


async def post(url: str, headers: dict[str, str], body: dict[str, Any] | bytes) -> tuple[int, str]:
    """A request as it stands, past everything that the dendrite would do."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, headers={**headers, "Content-Type": "application/json"}, data=data) as response,
    ):
        return response.status, await response.text()


def signed(hotkey: Keypair, miner: Miner, synapse: SignedSynapse) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Address, headers and body of a call as the SDK signs it."""
    caller = ValidatorDendrite(hotkey)
    target = AxonInfo(10_005_000, "127.0.0.1", miner.axon.port, 4, miner.hotkey, "c1")
    synapse = caller.preprocess_synapse_for_request(target, synapse, 12.0)
    return f"http://127.0.0.1:{miner.axon.port}/{type(synapse).__name__}", synapse.to_headers(), synapse.model_dump()


# What must pass.


async def test_a_signed_call_is_answered_with_a_signed_result(miner: Miner, dendrite: ValidatorDendrite) -> None:
    answer = await dendrite.transcribe(miner.neuron, REQUEST)
    assert answer == Answer(True, False, miner.result, answer.latency_s, None)
    assert 0 < answer.latency_s < 5
    assert miner.asked == [REQUEST]


async def test_small_audio_travels_inline(miner: Miner, dendrite: ValidatorDendrite) -> None:
    audio = bytes(range(256)) * (INLINE_LIMIT_BYTES // 256)
    assert (await dendrite.transcribe(miner.neuron, AudioRequest(TaskId("t"), None, audio))).ok
    assert miner.asked[0].inline == audio


async def test_sounds_to_measure_and_texts_to_speak_reach_the_miner(
    wallet: Wallet, validator: Keypair, dendrite: ValidatorDendrite
) -> None:
    asked: list[AudioRequest | TextRequest] = []

    async def work(request: AudioRequest | TextRequest) -> str:
        asked.append(request)
        return '{"done": true}'

    miner = Miner(wallet, validator)
    miner.axon = MinerAxon(
        wallet, "127.0.0.1", 0, "127.0.0.1", None, miner.metagraph,
        Forwards(miner.capabilities, analyze=work, synthesize=work),
    )  # fmt: skip
    await miner.axon.start()
    try:
        sound = AudioRequest(TaskId("t1"), None, b"RIFF", Options(fields=("level", "pitch")))
        text = TextRequest(TaskId("t2"), "Hello, Ä.", Options(language="en", voice="joe", speed=1.5))
        assert (await dendrite.analyze(miner.neuron, sound)).value == '{"done": true}'
        assert (await dendrite.synthesize(miner.neuron, text)).value == '{"done": true}'
        assert asked == [sound, text]
        unserved = await dendrite.transcribe(miner.neuron, REQUEST)
        assert (unserved.ok, len(asked)) == (False, 2)
    finally:
        await miner.axon.stop()


def test_a_text_that_may_not_travel_is_refused() -> None:
    with pytest.raises(ProtocolError, match="0 characters; expected 1 to 4096"):
        TextRequest(TaskId("t"), "")
    with pytest.raises(ProtocolError, match="5000 characters"):
        TextRequest(TaskId("t"), "x" * 5000)


async def test_capabilities_of_many_are_asked_at_once(miner: Miner, dendrite: ValidatorDendrite) -> None:
    silent = replace(miner.neuron, hotkey=Hotkey("5Silent"), port=9)
    unserved = replace(miner.neuron, hotkey=Hotkey("5Unserved"), ip="0.0.0.0", port=0)
    answers = await dendrite.capabilities([miner.neuron, silent, unserved])
    assert answers[miner.hotkey].value == ABLE
    assert [answers[n.hotkey].ok for n in (silent, unserved)] == [False, False]
    assert answers[unserved.hotkey].error == "serves no axon"


async def test_calls_that_overtake_each_other_are_no_replays(miner: Miner, dendrite: ValidatorDendrite) -> None:
    answers = await asyncio.gather(*(dendrite.capabilities([miner.neuron]) for _ in range(40)))
    assert all(answer[miner.hotkey].ok for answer in answers)


async def test_the_history_of_calls_does_not_grow(miner: Miner, dendrite: ValidatorDendrite) -> None:
    for _ in range(3):
        await dendrite.capabilities([miner.neuron])
    assert dendrite.synapse_history == []


async def test_required_fields_are_constant_and_every_input_is_signed() -> None:
    outputs = {"result", "digest", "signature", "busy", "error"}
    sdk = set(Synapse.model_fields)
    for kind in (VioletCapabilities, VioletFetch, VioletTranscribe, VioletAnalyze, VioletSynthesize):
        assert kind().get_required_fields() == kind.model_json_schema().get("required", [])
        assert set(kind.model_fields) - outputs - sdk == set(kind.required_hash_fields)


async def test_the_port_is_open_when_start_returns_and_free_after_stop(wallet: Wallet, validator: Keypair) -> None:
    miner = Miner(wallet, validator)
    await miner.axon.start()
    socket.create_connection(("127.0.0.1", miner.axon.port), timeout=1).close()
    await miner.axon.stop()
    await miner.axon.stop()
    again = Miner(wallet, validator, port=miner.axon.port)
    await again.axon.start()
    await again.axon.stop()


async def test_a_taken_port_is_one_line_that_names_the_flag(miner: Miner, wallet: Wallet, validator: Keypair) -> None:
    with pytest.raises(PortError, match=r"port \d+: Address already in use; .*--axon\.port"):
        await Miner(wallet, validator, port=miner.axon.port).axon.start()


async def test_nobody_asks_the_internet_for_our_address(
    wallet: Wallet, validator: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked() -> str:
        raise AssertionError("asked the internet")

    monkeypatch.setattr("bittensor.utils.networking.get_external_ip", asked)
    miner = Miner(wallet, validator)
    await miner.axon.start()
    await miner.axon.stop()
    await ValidatorDendrite(validator).close()


# What must be refused.


def with_tampered_body(body: dict[str, Any]) -> None:
    body["url"] = "http://evil.example/"


def with_tampered_prompt(body: dict[str, Any]) -> None:
    body["prompt"] = "ignore the audio"


def with_tampered_task(body: dict[str, Any]) -> None:
    body["task_id"] = "task_2"


@pytest.mark.parametrize("tamper", [with_tampered_body, with_tampered_prompt, with_tampered_task])
async def test_a_changed_body_is_refused(
    miner: Miner, validator: Keypair, tamper: Callable[[dict[str, Any]], None]
) -> None:
    url, headers, body = signed(validator, miner, to_transcribe(REQUEST))
    tamper(body)
    status, _ = await post(url, headers, body)
    assert status >= 400
    assert miner.asked == []


def forged(headers: dict[str, str]) -> None:
    headers["bt_header_dendrite_signature"] = "0x" + "11" * 64


def unsigned(headers: dict[str, str]) -> None:
    del headers["bt_header_dendrite_signature"]


def without_nonce(headers: dict[str, str]) -> None:
    del headers["bt_header_dendrite_nonce"]


def with_another_nonce(headers: dict[str, str]) -> None:
    headers["bt_header_dendrite_nonce"] = str(time.time_ns())


def with_another_uuid(headers: dict[str, str]) -> None:
    headers["bt_header_dendrite_uuid"] = "another"


def of_an_old_version(headers: dict[str, str]) -> None:
    headers["bt_header_dendrite_version"] = "1"
    headers["bt_header_dendrite_nonce"] = "1"


@pytest.mark.parametrize(
    "change", [forged, unsigned, without_nonce, with_another_nonce, with_another_uuid, of_an_old_version]
)
async def test_a_changed_head_is_refused(
    miner: Miner, validator: Keypair, change: Callable[[dict[str, str]], None]
) -> None:
    url, headers, body = signed(validator, miner, to_transcribe(REQUEST))
    change(headers)
    assert (await post(url, headers, body))[0] == 401
    assert miner.asked == []


async def test_a_call_for_another_miner_is_refused(miner: Miner, validator: Keypair) -> None:
    other = replace(miner.neuron, hotkey=Hotkey(Keypair.create_from_uri("//Other").ss58_address))
    async with calling(validator) as dendrite:
        answer = await dendrite.transcribe(other, REQUEST)
    assert not answer.ok
    assert "401" in (answer.error or "")
    assert miner.asked == []


async def test_a_replay_is_refused(miner: Miner, validator: Keypair) -> None:
    call = signed(validator, miner, to_transcribe(REQUEST))
    assert (await post(*call))[0] == 200
    assert (await post(*call))[0] == 401
    assert len(miner.asked) == 1


async def test_a_replay_after_a_restart_is_refused(wallet: Wallet, validator: Keypair) -> None:
    first = Miner(wallet, validator)
    await first.axon.start()
    url, headers, body = signed(validator, first, to_transcribe(REQUEST))
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
    ("age_s", "reason"),
    [
        pytest.param(axon_module.MAX_AGE_S + 5, "older than", id="too-old"),
        pytest.param(-axon_module.MAX_AHEAD_S - 5, "in the future", id="from-the-future"),
    ],
)
async def test_an_untimely_call_is_refused_whatever_its_timeout_says(
    miner: Miner, validator: Keypair, monkeypatch: pytest.MonkeyPatch, age_s: float, reason: str
) -> None:
    url, headers, body = signed(validator, miner, to_transcribe(REQUEST))
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
    miner: Miner, dendrite: ValidatorDendrite, change: Callable[[Miner], None], reason: str
) -> None:
    change(miner)
    answer = await dendrite.transcribe(miner.neuron, REQUEST)
    assert (answer.ok, answer.busy, miner.asked) == (False, False, [])
    assert reason in (answer.error or "")


async def test_a_caller_with_too_little_stake_is_refused(wallet: Wallet, validator: Keypair) -> None:
    miner = Miner(wallet, validator, min_stake=101)
    await miner.axon.start()
    async with calling(validator) as dendrite:
        assert "stake 100 is below 101" in ((await dendrite.transcribe(miner.neuron, REQUEST)).error or "")
    await miner.axon.stop()


@pytest.mark.parametrize("size", [axon_module.BODY_LIMIT_BYTES + 1, 50_000_000])
async def test_an_oversize_body_is_refused_unread(miner: Miner, size: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", miner.axon.port)
    writer.write(f"POST /VioletTranscribe HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
    assert b"413" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()


async def test_an_oversize_body_of_unsaid_length_is_refused(miner: Miner) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientError, AssertionError)):
            async with session.post(f"http://127.0.0.1:{miner.axon.port}/VioletTranscribe", data=endless()) as response:
                assert response.status != 413


async def test_a_body_that_does_not_come_is_not_waited_for(
    wallet: Wallet, validator: Keypair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(axon_module, "BODY_WAIT_S", 0.1)
    miner = Miner(wallet, validator)
    await miner.axon.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", miner.axon.port)
    writer.write(b"POST /VioletTranscribe HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    assert b"413" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    await miner.axon.stop()


async def test_only_violets_messages_are_served(miner: Miner) -> None:
    for path in ("", "Synapse", "docs", "openapi.json"):
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
    miner: Miner, validator: Keypair, change: dict[str, Any], reason: str
) -> None:
    synapse = to_transcribe(REQUEST).model_copy(update=change)
    status, said = await post(*signed(validator, miner, synapse))
    assert (status, miner.asked) == (200, [])
    assert reason in json.loads(said)["error"]


def test_audio_above_the_limit_does_not_become_a_request() -> None:
    with pytest.raises(ProtocolError, match="expected 1 to 65536"):
        AudioRequest(TaskId("t"), None, b"x" * (INLINE_LIMIT_BYTES + 1))


# Miners that are busy, broken or lie.


async def test_a_full_miner_says_that_it_is_busy(wallet: Wallet, validator: Keypair) -> None:
    miner = Miner(wallet, validator, capacity=1, max_waiting=1)
    release = asyncio.Event()

    async def work() -> None:
        await release.wait()

    miner.work = work
    await miner.axon.start()
    async with calling(validator) as dendrite:
        running = [asyncio.create_task(dendrite.transcribe(miner.neuron, REQUEST)) for _ in range(2)]
        async with asyncio.timeout(5):
            while miner.axon.gate.free or not miner.axon.gate.waiting:
                await asyncio.sleep(0.01)
        answer = await dendrite.transcribe(miner.neuron, REQUEST)
        assert (answer.ok, answer.busy) == (False, True)
        assert answer.latency_s < 2, "at once"
        assert (await dendrite.capabilities([miner.neuron]))[miner.hotkey].value == replace(ABLE, free=0)
        release.set()
        assert [answer.ok for answer in await asyncio.gather(*running)] == [True, True]
    await miner.axon.stop()


async def test_a_failure_of_the_miners_is_told_in_words(miner: Miner, dendrite: ValidatorDendrite) -> None:
    async def fail() -> None:
        raise VioletError("model is not loaded")

    miner.work = fail
    answer = await dendrite.transcribe(miner.neuron, REQUEST)
    assert (answer.ok, answer.busy, answer.error) == (False, False, "model is not loaded")


async def test_a_fault_of_the_miners_leaks_nothing(miner: Miner, dendrite: ValidatorDendrite) -> None:
    async def fail() -> None:
        raise KeyError("/home/me/secret")

    miner.work = fail
    answer = await dendrite.transcribe(miner.neuron, REQUEST)
    assert not answer.ok
    assert "500" in (answer.error or "")
    assert "secret" not in (answer.error or "")


async def test_a_slow_miner_is_not_waited_for(miner: Miner, validator: Keypair) -> None:
    async def work() -> None:
        await asyncio.sleep(30)

    miner.work = work
    async with calling(validator, timeout_s=0.3) as dendrite:
        answer = await dendrite.transcribe(miner.neuron, REQUEST)
    assert answer.error == "no answer within 0.3 s"
    assert 0.3 <= answer.latency_s < 2


class Liar:
    """A server that answers what a test tells it, without the SDK."""

    def __init__(self) -> None:
        self.calls = 0
        self.reply: Callable[[web.Request], Awaitable[web.StreamResponse]]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        return await self.reply(request)


@pytest.fixture
async def liar(wallet: Wallet) -> AsyncIterator[tuple[Liar, Neuron]]:
    liar = Liar()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", liar.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    yield liar, Neuron(1, Hotkey(wallet.hotkey.ss58_address), Coldkey("c"), 0.0, ip="127.0.0.1", port=port)
    await runner.cleanup()


def answering(**fields: object) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def reply(_: web.Request) -> web.Response:
        return web.json_response(fields)

    return reply


DIGEST = sha256_hex("{}")


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
    dendrite: ValidatorDendrite,
    wallet: Wallet,
    task_id: str,
    slot: int,
    answer: dict[str, Any],
    reason: str,
) -> None:
    server, neuron = liar
    server.reply = answering(**{"signature": sign_response(wallet.hotkey, task_id, slot, DIGEST)} | answer)
    found = await dendrite.transcribe(neuron, REQUEST)
    assert not found.ok
    assert reason in (found.error or "")


async def test_somebody_elses_signature_is_refused(liar: tuple[Liar, Neuron], dendrite: ValidatorDendrite) -> None:
    server, neuron = liar
    signature = sign_response(Keypair.create_from_uri("//Thief"), "task_1", 0, DIGEST)
    server.reply = answering(result="{}", digest=DIGEST, signature=signature)
    assert (await dendrite.transcribe(neuron, REQUEST)).error == "result is not signed by the miner"


async def test_an_endless_answer_is_cut(
    liar: tuple[Liar, Neuron], dendrite: ValidatorDendrite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("violet.transport.dendrite.RESPONSE_LIMIT_BYTES", 100_000)
    server, neuron = liar

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    server.reply = endless
    assert "above 100000 bytes" in ((await dendrite.transcribe(neuron, REQUEST)).error or "")


async def test_a_redirect_is_not_followed(liar: tuple[Liar, Neuron], dendrite: ValidatorDendrite) -> None:
    server, neuron = liar

    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/elsewhere"})

    server.reply = elsewhere
    assert "HTTP 307" in ((await dendrite.transcribe(neuron, REQUEST)).error or "")
    assert server.calls == 1


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "evil.example"])
async def test_our_own_network_is_not_called_for_a_miner(miner: Miner, validator: Keypair, ip: str) -> None:
    async with calling(validator, allow_private=False) as dendrite:
        answer = await dendrite.transcribe(replace(miner.neuron, ip=ip), REQUEST)
    assert "address" in (answer.error or "")
    assert miner.asked == []


async def test_a_broken_connection_is_tried_once_more(
    liar: tuple[Liar, Neuron], dendrite: ValidatorDendrite, wallet: Wallet
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
    assert (await dendrite.transcribe(neuron, REQUEST)).ok
    assert server.calls == 2


async def test_a_connection_that_stays_broken_counts(liar: tuple[Liar, Neuron], dendrite: ValidatorDendrite) -> None:
    server, neuron = liar

    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    server.reply = hang_up
    answer = await dendrite.transcribe(neuron, REQUEST)
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
    closes_idle: tuple[Liar, Neuron], dendrite: ValidatorDendrite
) -> None:
    server, neuron = closes_idle
    assert [(await dendrite.transcribe(neuron, REQUEST)).ok for _ in range(3)] == [True] * 3
    assert server.calls > 3, "the race was there"


async def test_an_idle_connection_is_given_up_before_the_axon_closes_it(
    closes_idle: tuple[Liar, Neuron], dendrite: ValidatorDendrite
) -> None:
    """The SDK's axon closes idle connections after 5 s, and its dendrite would use them for 15 s."""
    server, neuron = closes_idle
    assert KEEP_ALIVE_S < 5 < 15 < axon_module.KEEP_ALIVE_S
    assert (await dendrite.transcribe(neuron, REQUEST)).ok
    await asyncio.sleep(KEEP_ALIVE_S + 0.2)
    assert (await dendrite.transcribe(neuron, REQUEST)).ok
    assert server.calls == 2, "at the first try"


async def test_the_axon_keeps_an_idle_connection_longer_than_the_sdks_dendrite(
    miner: Miner, validator: Keypair
) -> None:
    server = miner.axon._server
    assert server is not None
    assert server.config.timeout_keep_alive == axon_module.KEEP_ALIVE_S > 15


# The gate.


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


# The SDK and logging.


def test_importing_the_sdk_leaves_everybodys_logging_alone() -> None:
    program = """
import logging
logging.getLogger("violet").setLevel(logging.INFO)
logging.getLogger("other")
import violet.transport
levels = [logging.getLogger(name).getEffectiveLevel() for name in ("violet", "violet.miner", "other", "new")]
print(levels == [logging.INFO, logging.INFO, logging.WARNING, logging.WARNING], levels)
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.startswith("True"), found.stdout


async def test_a_stranger_cannot_write_our_log(
    miner: Miner, dendrite: ValidatorDendrite, caplog: pytest.LogCaptureFixture
) -> None:
    unregistered(miner)
    with caplog.at_level(logging.WARNING, logger="bittensor"):
        assert not (await dendrite.transcribe(miner.neuron, REQUEST)).ok
    assert caplog.records == []


# Wallets.


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create_wallet("w", "h", tmp_path)
    return tmp_path


def test_a_wallet_is_made_once_and_found_again(directory: Path) -> None:
    found = load_wallet("w", "h", directory)
    assert create_wallet("w", "h", directory).hotkey.ss58_address == found.hotkey.ss58_address
    assert create_wallet("w", "h2", directory).coldkeypub.ss58_address == found.coldkeypub.ss58_address


@pytest.mark.parametrize(
    ("name", "hotkey", "said"),
    [
        pytest.param("x", "h", r"no wallet at .*/x/coldkeypub\.txt; .*btcli wallet new_coldkey", id="no-wallet"),
        pytest.param("w", "x", r"no hotkey at .*/w/hotkeys/x; .*btcli wallet new_hotkey", id="no-hotkey"),
    ],
)
def test_a_missing_wallet_says_how_to_make_it(directory: Path, name: str, hotkey: str, said: str) -> None:
    with pytest.raises(WalletError, match=said):
        load_wallet(name, hotkey, directory)


def test_a_damaged_wallet_is_named(directory: Path) -> None:
    (directory / "w" / "hotkeys" / "h").write_text("{}")
    with pytest.raises(WalletError, match=r"cannot read the keys of .*/w/hotkeys/h"):
        load_wallet("w", "h", directory)
