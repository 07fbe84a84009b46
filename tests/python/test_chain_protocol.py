"""What is signed, hashed and read, against the texts of `docs/protocol.md` written out."""

import hashlib
import json
import math
from typing import Any

import pytest
from bittensor_wallet import Keypair

from violet import _core
from violet.errors import ProtocolError
from violet.protocol import (
    Evaluation,
    InputRef,
    Options,
    Response,
    ResponseId,
    Score,
    canonical_json,
    commitment,
    new_salt,
    scores_text,
    sha256_hex,
    sign,
    sign_response,
    signed_headers,
    verify_response,
)
from violet.wallet import is_signed_by

ALICE, BOB = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob")


def test_a_request_is_signed_line_by_line() -> None:
    body = b'{"claim_id":"1"}'
    headers = signed_headers(ALICE, "post", "/v1/miner/claim?x=1", body, BOB.ss58_address, nonce_ns=123)
    lines = [
        "btauth/1", "sr25519", "POST", "/v1/miner/claim?x=1", hashlib.sha256(body).hexdigest(), "123",
        "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty",
    ]  # fmt: skip
    signature = headers.pop("X-Bittensor-Signature")
    assert ALICE.verify("\n".join(lines).encode(), bytes.fromhex(signature[2:]))
    assert headers == {
        "X-Bittensor-Version": "1", "X-Bittensor-Hotkey": lines[6], "X-Bittensor-Receiver": lines[7],
        "X-Bittensor-Nonce": "123",
    }  # fmt: skip


def test_every_request_has_a_nonce_of_its_own() -> None:
    nonces = {signed_headers(ALICE, "GET", "/", b"", BOB.ss58_address)["X-Bittensor-Nonce"] for _ in range(50)}
    assert len(nonces) == 50


def test_a_response_is_signed_with_its_task_and_slot() -> None:
    digest = sha256_hex("{}")
    signature = sign_response(ALICE, "task_1", 2, digest)
    assert ALICE.verify(f"violet/response/1\ntask_1\n2\n{digest}".encode(), bytes.fromhex(signature[2:]))
    assert verify_response(ALICE.ss58_address, "task_1", 2, digest, signature)
    for hotkey, task_id, slot, other in [
        (BOB.ss58_address, "task_1", 2, digest),
        (ALICE.ss58_address, "task_2", 2, digest),
        (ALICE.ss58_address, "task_1", 0, digest),
        (ALICE.ss58_address, "task_1", 2, sha256_hex("[]")),
    ]:
        assert not verify_response(hotkey, task_id, slot, other, signature)


def test_a_text_that_looks_like_hex_is_signed_as_it_stands() -> None:
    """`Keypair.sign("0x41")` would sign the letter A."""
    signature = sign(ALICE, "0x41")
    assert is_signed_by(ALICE.ss58_address, b"0x41", signature)
    assert not is_signed_by(ALICE.ss58_address, b"A", signature)


@pytest.mark.parametrize(
    "signature", ["", "0x", "0x12", "zz", "0x" + "00" * 64, "0x" + "00" * 65, "é", "0x" + "0" * 127]
)
@pytest.mark.parametrize("address", [ALICE.ss58_address, "", "5bad", "é"])
def test_a_malformed_signature_is_no_signature(address: str, signature: str) -> None:
    assert not is_signed_by(address, b"x", signature)


def test_a_commitment_is_the_hash_of_what_the_protocol_says() -> None:
    text = "violet/commit/1\ntask_1\n5G\nsalt\n{}"
    assert commitment("task_1", "5G", "salt", "{}") == hashlib.sha256(text.encode()).hexdigest()
    assert len({new_salt() for _ in range(100)}) == 100
    assert len(new_salt()) == 32


def test_scores_have_one_text() -> None:
    first = {ResponseId("b"): Score(0.5, None), ResponseId("a"): Score(1.0, 0.25)}
    second = dict(reversed(first.items()))
    assert scores_text(first) == scores_text(second)
    assert json.loads(scores_text(first)) == {
        "a": {"score": 1.0, "error_rate": 0.25}, "b": {"score": 0.5, "error_rate": None},
    }  # fmt: skip
    with pytest.raises(ValueError, match="JSON compliant"):
        scores_text({ResponseId("a"): Score(math.nan, None)})


def test_canonical_json_is_compact_and_sorted() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "ä"}) == '{"a":"ä","b":[1,2.5]}'


INPUT: dict[str, Any] = {"url": "http://x/", "sha256": "ab", "bytes": 3, "duration_s": 1}
RESPONSE: dict[str, Any] = {
    "response_id": "r", "miner": ALICE.ss58_address, "slot": 0, "result": "{}", "digest": sha256_hex("{}"),
    "signature": "0x", "latency_s": 1.5,
}  # fmt: skip
EVALUATION: dict[str, Any] = {
    "task_id": "t", "kind": "transcription", "options": {"language": "en"}, "input": INPUT, "commit_by_ms": 1,
    "reveal_by_ms": 2, "responses": [RESPONSE], "a member of a later version": 1,
}  # fmt: skip


def test_an_evaluation_is_read_and_members_of_later_versions_are_not_minded() -> None:
    found = Evaluation.from_json(EVALUATION)
    assert found.input == InputRef("http://x/", "ab", 3, 1.0)
    assert found.options == Options("en", None, 0.0)
    assert found.responses[0].latency_s == 1.5


def test_a_response_is_authentic_only_as_its_miner_signed_it() -> None:
    signed = RESPONSE | {"signature": sign_response(ALICE, "t", 0, RESPONSE["digest"])}
    assert Response.from_json(signed).is_authentic("t")
    assert not Response.from_json(signed).is_authentic("u")
    assert not Response.from_json(signed | {"result": "[]"}).is_authentic("t")
    assert not Response.from_json(signed | {"miner": BOB.ss58_address}).is_authentic("t")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param({"task_id": 1}, "task_id", id="a-number-for-a-text"),
        pytest.param({"commit_by_ms": "1"}, "commit_by_ms", id="a-text-for-a-number"),
        pytest.param({"commit_by_ms": True}, "commit_by_ms", id="a-boolean-for-a-number"),
        pytest.param({"commit_by_ms": 1.5}, "commit_by_ms", id="a-fraction-for-an-integer"),
        pytest.param({"input": None}, "input", id="null-for-an-object"),
        pytest.param({"input": INPUT | {"bytes": None}}, "bytes", id="null-inside"),
        pytest.param({"options": {"temperature": "hot"}}, "temperature", id="an-option"),
        pytest.param({"responses": [RESPONSE, 7]}, "response_id", id="a-number-for-a-response"),
    ],
)
def test_a_member_of_the_wrong_kind_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ProtocolError, match=f"^{named} is .*; expected a"):
        Evaluation.from_json(EVALUATION | change)


# The rules, as Python sees them; they are tested in Rust.


def test_the_rules_of_reward_are_there() -> None:
    ema = _core.ema_update(_core.ema_update((0.0, 0.0, 0.0), 1.0, 0.0), 0.4, 6 * 3600.0)
    assert ema == pytest.approx((0.6, 1.5, 6 * 3600.0))
    assert _core.availability(4, 4) == pytest.approx(0.8)
    assert _core.credibility(1, 2) == pytest.approx(0.5)
    assert _core.miner_score([(1.0, 1.0, 0.5)], 1.0, 1.0) == pytest.approx(0.5)
    weights, *_ = _core.miner_weights([(1, 1.0, "a", None, None), (2, 1.0, "b", "ip", None), (3, 1.0, "c", "ip", None)])
    assert dict(weights) == pytest.approx({1: 0.5, 2: 0.25, 3: 0.25})
    burnt, *_ = _core.miner_weights([(1, 0.45, "a", None, None)], burn_uid=0)
    assert dict(burnt) == pytest.approx({0: 0.5, 1: 0.5})
    assert _core.weights_to_u16(weights) == [(1, 65_535), (2, 32_768), (3, 32_768)]


def test_impossible_rules_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="uid 7 in weights"):
        _core.yuma_epoch([1.0], [True], [True], [[(7, 1.0)]], [[]], 1.0)
