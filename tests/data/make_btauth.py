"""Makes btauth.json: requests signed by bittensor_wallet, an independent implementation, with what is to become of them.

Run: pip install bittensor-wallet==4.1.1 && python tests/data/make_btauth.py > tests/data/btauth.json
Signatures of sr25519 are randomised, so every run makes other ones.
"""

import hashlib
import json

from bittensor_wallet import Keypair

NOW_NS = 1_795_000_000_000_000_000
RECEIVER = Keypair.create_from_uri("//Proxy").ss58_address
SECOND_NS = 1_000_000_000


def message(case: dict[str, object]) -> bytes:
    """The bytes that btauth/1 signs."""
    body = hashlib.sha256(str(case["body"]).encode()).hexdigest()
    lines = ["btauth/1", "sr25519", case["method"], case["path_and_query"], body, case["nonce_ns"]]
    return "\n".join(str(line) for line in [*lines, case["hotkey"], case["receiver"]]).encode()


def signed(signer: Keypair, **changes: object) -> dict[str, object]:
    """A request as `signer` signs it for the hotkey //Miner."""
    case: dict[str, object] = {
        "method": "POST",
        "path_and_query": "/v1/miner/claim",
        "body": '{"claim_id":"a","kinds":["transcription"],"capacity":1}',
        "nonce_ns": NOW_NS - SECOND_NS,
        "hotkey": Keypair.create_from_uri("//Miner").ss58_address,
        "receiver": RECEIVER,
    }
    case |= changes
    return case | {"signature": "0x" + signer.sign(message(case)).hex()}


def main() -> None:
    """Prints the cases."""
    miner, stranger = Keypair.create_from_uri("//Miner"), Keypair.create_from_uri("//Stranger")
    good = signed(miner)
    cases = [
        {"name": "honest", "expected": "accepted", **good},
        {"name": "query and unicode", "expected": "accepted",
         **signed(miner, method="GET", path_and_query="/v1/validator/tasks/t?a=%C3%A9&b=", body="é\u0000")},
        {"name": "at the old edge", "expected": "accepted", **signed(miner, nonce_ns=NOW_NS - 10 * SECOND_NS)},
        {"name": "at the young edge", "expected": "accepted", **signed(miner, nonce_ns=NOW_NS + 2 * SECOND_NS)},
        {"name": "stale", "expected": "stale_nonce", **signed(miner, nonce_ns=NOW_NS - 10 * SECOND_NS - 1)},
        {"name": "from the future", "expected": "stale_nonce", **signed(miner, nonce_ns=NOW_NS + 2 * SECOND_NS + 1)},
        {"name": "for another proxy", "expected": "wrong_receiver",
         **signed(miner, receiver=Keypair.create_from_uri("//Other").ss58_address)},
        {"name": "forged", "expected": "bad_signature", **signed(stranger)},
        {"name": "changed body", "expected": "bad_signature", **good, "body": str(good["body"]) + " "},
        {"name": "changed path", "expected": "bad_signature", **good, "path_and_query": "/v1/miner/submit"},
        {"name": "changed method", "expected": "bad_signature", **good, "method": "PUT"},
        {"name": "changed nonce", "expected": "bad_signature", **good, "nonce_ns": NOW_NS},
        {"name": "short signature", "expected": "bad_signature", **good, "signature": "0x00"},
        {"name": "no hex prefix", "expected": "bad_signature", **good, "signature": str(good["signature"])[2:]},
    ]
    digest = hashlib.sha256(b"{}").hexdigest()
    response = {"task_id": "task_01", "slot": 2, "result": "{}", "digest": digest, "hotkey": miner.ss58_address}
    text = f"violet/response/1\ntask_01\n2\n{digest}"
    response["signature"] = "0x" + miner.sign(text.encode()).hex()
    print(json.dumps({"now_ns": NOW_NS, "receiver": RECEIVER, "requests": cases, "response": response}, indent=1))


if __name__ == "__main__":
    main()
