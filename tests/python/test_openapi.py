"""The proxy against its own OpenAPI document: everything that schemathesis makes of it is answered as it says."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from violet.protocol import signed_headers
from violet.wallet import Signer, create_wallet

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text(encoding="utf-8"))
CONFORM = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 8
"""Requests for each operation; more find no more here, and take longer."""

WAITS = {"wait", "wait_s"}
"""What makes the proxy wait for something that nobody here does."""

schema = schemathesis.openapi.from_dict(DOCUMENT)


@schemathesis.serializer("application/offset+octet-stream")
def part_of_a_file(_: schemathesis.SerializationContext, value: object) -> bytes:
    """The bytes of an upload's next part."""
    return value if isinstance(value, bytes) else str(value).encode()


class Running:
    """A proxy, and a neuron that is miner and validator at once."""

    def __init__(self, url: str, hotkey: Signer) -> None:
        self.url = url
        self.hotkey = hotkey
        with requests.get(f"{url}/v1/network", timeout=10) as answer:
            self.receiver: str = answer.json()["proxy"]["hotkey"]

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Signs what is said to miners' and validators' routes, and leaves the rest."""
        path = request.path_url
        if urlsplit(path).path.startswith(("/v1/miner/", "/v1/validator/")):
            body = request.body or b""
            body = body.encode() if isinstance(body, str) else body
            assert isinstance(body, bytes), "these routes take no streams"
            request.headers.update(signed_headers(self.hotkey, request.method or "", path, body, self.receiver))
        return request


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("proxy")
    hotkey = create_wallet("both", "default", folder / "wallets").hotkey
    neuron: dict[str, Any] = {"uid": 0, "hotkey": hotkey.ss58_address, "coldkey": "cold", "stake": 1e6, "port": 0}
    neuron |= {"validator_permit": True, "ip": "0.0.0.0"}
    neuron |= dict.fromkeys(("incentive", "dividends", "emission", "consensus"), 0.0)
    head = {"netuid": 49, "network": "localnet", "block": 1, "synced_at_ms": time.time_ns() // 1_000_000, "tempo": 360}
    metagraph, ready = folder / "metagraph.json", folder / "ready"
    metagraph.write_text(json.dumps({**head, "neurons": [neuron]}))
    command = [sys.executable, "-m", "violet", "proxy", "--metagraph", str(metagraph), "--port", "0"]
    command += ["--data-dir", str(folder / "data"), "--ready-file", str(ready), "--log", "warn"]
    with subprocess.Popen(command) as process:
        try:
            until = time.monotonic() + 60
            while not ready.exists():
                assert process.poll() is None, "the proxy ended"
                assert time.monotonic() < until, "the proxy does not start"
                time.sleep(0.02)
            yield Running(ready.read_text(), hotkey)
        finally:
            process.terminate()


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_answers_as_the_document_says(case: schemathesis.Case[Any], proxy: Running) -> None:
    for part in (case.query, case.body):
        if isinstance(part, dict):
            for name in WAITS.intersection(part):
                part[name] = 0
    # No miner is here, so who asks for an answer at once would wait until the deadline: a model that is not here is
    # answered too. That answers come is what test_network.py shows.
    if case.path.startswith("/v1/audio/") and isinstance(case.body, dict) and "model" in case.body:
        case.body["model"] = "none"
    case.call_and_validate(base_url=proxy.url, checks=CONFORM, auth=proxy, timeout=30)
