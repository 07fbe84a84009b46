"""Direct calls over real sockets on loopback, in either way: what must pass passes."""

import asyncio
import socket
from dataclasses import replace

import pytest
from bittensor.core.synapse import Synapse
from bittensor_wallet import Keypair, Wallet

from fixtures.axons import ABLE, REQUEST, Miner
from violet.chain import Hotkey
from violet.errors import PortError, ProtocolError
from violet.protocol import INLINE_LIMIT_BYTES, Options, TaskId
from violet.transport import (
    Answer,
    AudioRequest,
    Forwards,
    MinerAxon,
    MinerCaller,
    MinerServer,
    MinerService,
    TextRequest,
    ValidatorDendrite,
    VioletAnalyze,
    VioletCapabilities,
    VioletFetch,
    VioletSynthesize,
    VioletTranscribe,
)


async def test_a_signed_call_is_answered_with_a_signed_result(miner: Miner, caller: MinerCaller) -> None:
    answer = await caller.transcribe(miner.neuron, REQUEST)
    assert answer == Answer(True, False, miner.result, answer.latency_s, None)
    assert 0 < answer.latency_s < 5
    assert miner.asked == [REQUEST]


async def test_small_audio_travels_inline(miner: Miner, caller: MinerCaller) -> None:
    audio = bytes(range(256)) * (INLINE_LIMIT_BYTES // 256)
    assert (await caller.transcribe(miner.neuron, AudioRequest(TaskId("t"), None, audio))).ok
    assert miner.asked[0].inline == audio


async def test_sounds_to_measure_and_texts_to_speak_reach_the_miner(
    wallet: Wallet, validator: Keypair, caller: MinerCaller
) -> None:
    asked: list[AudioRequest | TextRequest] = []

    async def work(request: AudioRequest | TextRequest) -> str:
        asked.append(request)
        return '{"done": true}'

    miner = Miner(wallet, validator)
    forwards = Forwards(miner.capabilities, analyze=work, synthesize=work)
    miner.axon = MinerAxon(MinerService(wallet, miner.metagraph, forwards), "127.0.0.1", 0)
    await miner.axon.start()
    try:
        sound = AudioRequest(TaskId("t1"), None, b"RIFF", Options(fields=("level", "pitch")))
        text = TextRequest(TaskId("t2"), "Hello, Ä.", Options(language="en", voice="joe", speed=1.5))
        assert (await caller.analyze(miner.neuron, sound)).value == '{"done": true}'
        assert (await caller.synthesize(miner.neuron, text)).value == '{"done": true}'
        assert asked == [sound, text]
        unserved = await caller.transcribe(miner.neuron, REQUEST)
        assert (unserved.ok, len(asked)) == (False, 2)
    finally:
        await miner.axon.stop()


def test_a_text_that_may_not_travel_is_refused() -> None:
    with pytest.raises(ProtocolError, match="0 characters; expected 1 to 4096"):
        TextRequest(TaskId("t"), "")
    with pytest.raises(ProtocolError, match="5000 characters"):
        TextRequest(TaskId("t"), "x" * 5000)


async def test_capabilities_of_many_are_asked_at_once(miner: Miner, caller: MinerCaller) -> None:
    silent = replace(miner.neuron, hotkey=Hotkey("5Silent"), port=9)
    unserved = replace(miner.neuron, hotkey=Hotkey("5Unserved"), ip="0.0.0.0", port=0)
    answers = await caller.capabilities([miner.neuron, silent, unserved])
    assert answers[miner.hotkey].value == ABLE
    assert [answers[n.hotkey].ok for n in (silent, unserved)] == [False, False]
    assert answers[unserved.hotkey].error == "serves no axon"


async def test_calls_that_overtake_each_other_are_no_replays(miner: Miner, caller: MinerCaller) -> None:
    answers = await asyncio.gather(*(caller.capabilities([miner.neuron]) for _ in range(40)))
    assert all(answer[miner.hotkey].ok for answer in answers)


async def test_a_dendrite_reaches_a_miner_that_has_no_axon(
    wallet: Wallet, validator: Keypair, dendrite: ValidatorDendrite
) -> None:
    """A validator on SDK 10.5, and a miner on SDK 11."""
    miner = Miner(wallet, validator, server=MinerServer)
    await miner.axon.start()
    assert (await dendrite.capabilities([miner.neuron]))[miner.hotkey].value == ABLE
    assert dendrite._without_axon == {miner.hotkey: ("127.0.0.1", miner.axon.port)}
    assert (await dendrite.transcribe(miner.neuron, REQUEST)).value == miner.result
    assert (await dendrite.transcribe(miner.neuron, REQUEST, patience_s=30)).value == miner.result
    await miner.axon.stop()
    # The same address has an axon now, of a version that takes no direct calls.
    later = Miner(wallet, validator, port=miner.axon.port)
    later.axon._app = lambda started_ns: later.axon._axon(started_ns).app  # type: ignore[attr-defined,method-assign]
    await later.axon.start()
    assert (await dendrite.transcribe(later.neuron, REQUEST)).value == later.result
    assert dendrite._without_axon == {}
    await later.axon.stop()


async def test_who_left_the_metagraph_is_forgotten(
    wallet: Wallet, validator: Keypair, dendrite: ValidatorDendrite
) -> None:
    miner = Miner(wallet, validator, server=MinerServer)
    await miner.axon.start()
    assert (await dendrite.transcribe(miner.neuron, REQUEST)).ok
    assert list(dendrite._without_axon) == [miner.hotkey]
    await dendrite.capabilities([])
    assert dendrite._without_axon == {}
    await miner.axon.stop()


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
