"""Signed requests as the proxy judges them, and the door of direct calls without a socket."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from bittensor_wallet import Keypair, Wallet

from fixtures.axons import REQUEST, Miner, post, signed
from violet.chain import Hotkey
from violet.errors import BusyError
from violet.transport import MinerCaller, MinerServer
from violet.transport import btauth as btauth_module
from violet.transport.bodies import PREFIX, to_transcribe
from violet.transport.btauth import Claims, Replays, UnsignedError
from violet.transport.direct import DirectDoor

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "btauth.json").read_text(encoding="utf-8"))
"""Made by `bittensor_wallet`: see `tests/data/make_btauth.py`; the proxy is tested with the same."""


def headers_of(case: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    names = {"hotkey": "hotkey", "receiver": "receiver", "nonce": "nonce_ns", "signature": "signature"}
    found = {"version": "1"} | {name: str(case[key]) for name, key in names.items()}
    return [(f"x-bittensor-{name}".encode(), value.encode()) for name, value in found.items()]


def judged(case: dict[str, Any], floor_ns: int = 0) -> str:
    try:
        claims = Claims.from_headers(headers_of(case))
        claims.check(GOLDEN["receiver"], GOLDEN["now_ns"], floor_ns)
        claims.verify(case["method"], case["path_and_query"], case["body"].encode())
    except UnsignedError as error:
        return error.code
    return "accepted"


@pytest.mark.parametrize("case", GOLDEN["requests"], ids=lambda case: case["name"])
def test_requests_of_the_wallet_are_judged_as_its_script_says(case: dict[str, Any]) -> None:
    assert judged(case) == case["expected"]


def test_a_nonce_from_before_the_start_is_stale() -> None:
    honest = GOLDEN["requests"][0]
    assert judged(honest, honest["nonce_ns"]) == "accepted"
    assert judged(honest, honest["nonce_ns"] + 1) == "stale_nonce"


def test_headers_that_are_missing_doubled_or_spelt_otherwise_are_refused() -> None:
    good = headers_of(GOLDEN["requests"][0])
    broken = [("missing_signature", [pair for pair in good if pair != left]) for left in good]
    broken += [("bad_signature_header", [*good, doubled]) for doubled in good]
    for nonce in ("+1", "01", "1e18", "9" * 23, "\u0661", ""):
        others = [pair for pair in good if pair[0] != b"x-bittensor-nonce"]
        broken.append(("bad_signature_header", [*others, (b"x-bittensor-nonce", nonce.encode())]))
    for code, headers in broken:
        with pytest.raises(UnsignedError) as refused:
            Claims.from_headers(headers)
        assert refused.value.code == code


def test_what_was_taken_is_remembered_as_long_as_its_nonce_lives_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(btauth_module, "PER_HOTKEY", 2)
    replays, first, second = Replays(), Hotkey("5First"), Hotkey("5Second")
    replays.accept(first, "a", 0)
    with pytest.raises(UnsignedError, match="taken before"):
        replays.accept(first, "a", 11_999_999_999)
    replays.accept(first, "b", 1_000_000_000)
    with pytest.raises(BusyError, match="more than 2 requests within 12 s"):
        replays.accept(first, "c", 2_000_000_000)
    replays.accept(second, "a", 2_000_000_000)
    assert len(replays) == 3, "one hotkey's requests are no other's burden"
    replays.accept(first, "c", 12_500_000_000)
    assert len(replays) == 3, "the oldest is over"
    replays.accept(Hotkey("5Third"), "a", 100_000_000_000)
    assert len(replays) == 1, "who is silent is forgotten"


async def test_what_is_refused_is_not_remembered(wallet: Wallet, validator: Keypair) -> None:
    miner = Miner(wallet, validator, server=MinerServer)
    door = DirectDoor(miner.axon._service, 0)
    _, headers, body = signed(MinerCaller, validator, miner, to_transcribe(REQUEST))
    stranger = signed(MinerCaller, Keypair.create_from_uri("//Stranger"), miner, to_transcribe(REQUEST))[1]

    async def ask(headers: dict[str, str]) -> int:
        statuses: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode()}

        async def send(message: dict[str, Any]) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        given = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        path = f"{PREFIX}transcribe".encode()
        scope = {"method": "POST", "raw_path": path, "query_string": b"", "headers": given}
        await door(scope, receive, send)  # type: ignore[arg-type]
        return statuses[0]

    forged = headers | {"X-Bittensor-Signature": "0x" + "11" * 64}
    late = headers | {"X-Bittensor-Nonce": str(time.time_ns() - 11_000_000_000)}
    assert [await ask(given) for given in (stranger, forged, late)] == [403, 401, 401]
    assert len(door._replays) == 0
    assert await ask(headers) == 200
    assert [await ask(headers), len(door._replays), len(miner.asked)] == [401, 1, 1]


async def test_a_message_that_is_none_is_told_why(wallet: Wallet, validator: Keypair) -> None:
    miner = Miner(wallet, validator, server=MinerServer)
    await miner.axon.start()
    for change in ({"prompt": "x" * 5000}, {"temperature": 7}, {"bytes": "many"}):
        body = to_transcribe(REQUEST).model_copy(update=change)
        status, said = await post(*signed(MinerCaller, validator, miner, body))
        assert status == 422
        assert next(iter(change)) in said
    assert miner.asked == []
    await miner.axon.stop()
