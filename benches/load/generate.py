"""The load of `run.py`: one scenario against one server; figures as one line of JSON on stdout.

    generate.py hotkeys N
    generate.py requests URL METHOD PATH N CONNECTIONS [CONTENT_TYPE BODY_FILE]   the same request N times
    generate.py work URL RECEIVER N MINERS                                        N times claim and submit
    generate.py streams URL PATH N                        N event streams, open until stdin is closed

A thread for each connection, each with one request in flight. What is counted is the server's CPU time, not this one's.
"""

import hashlib
import http.client
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bittensor_wallet import Keypair

TIMEOUT_S = 300


def requests(
    url: str, method: str, path: str, n: str, connections: str, kind: str = "", body_file: str = ""
) -> dict[str, Any]:
    """The same request again and again."""
    body = Path(body_file).read_bytes() if body_file else None
    headers = {"content-type": kind} if kind else {}
    done: list[tuple[int, float]] = []

    def one(connection: http.client.HTTPConnection, _: int) -> None:
        sent = time.monotonic()
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        answer.read()
        done.append((answer.status, ms(sent)))

    seconds = together(url, int(n), int(connections), one)
    statuses = Counter(str(status) for status, _ in done)
    return {"n": len(done), "seconds": seconds, "statuses": statuses, "ms": spread([took for _, took in done])}


def work(url: str, receiver: str, n: str, miners: str) -> dict[str, Any]:
    """Miners that claim one task and submit a transcript."""
    keys, claims, submits = [key(seed) for seed in range(int(miners))], list[float](), list[float]()

    def post(connection: http.client.HTTPConnection, signer: Keypair, path: str, body: object) -> dict[str, Any]:
        data, nonce, hotkey = json.dumps(body).encode(), str(time.time_ns()), signer.ss58_address
        lines = ("btauth/1", "sr25519", "POST", path, hashlib.sha256(data).hexdigest(), nonce, hotkey, receiver)
        names = ("version", "hotkey", "receiver", "nonce", "signature")
        values = ("1", hotkey, receiver, nonce, sign(signer, "\n".join(lines)))
        headers = {f"x-bittensor-{name}": value for name, value in zip(names, values, strict=True)}
        connection.request("POST", path, data, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        said: dict[str, Any] = json.loads(answer.read())
        assert answer.status == 200, said
        return said

    def one(connection: http.client.HTTPConnection, miner: int) -> None:
        sent = time.monotonic()
        claim = {"claim_id": str(time.time_ns()), "kinds": ["transcription"], "capacity": 1, "wait_s": 10}
        lease = post(connection, keys[miner], "/v1/miner/claim", claim)["leases"][0]
        claims.append(ms(sent))
        text = "and so my fellow americans ask not what your country can do for you"
        seconds = lease["input"]["duration_s"]
        result = json.dumps({"text": text, "language": "en", "duration_s": seconds, "segments": []})
        task, slot, digest = lease["task_id"], lease["slot"], hashlib.sha256(result.encode()).hexdigest()
        signature = sign(keys[miner], f"violet/response/1\n{task}\n{slot}\n{digest}")
        submit = {"task_id": task, "slot": slot, "token": lease["token"], "result": result}
        sent = time.monotonic()
        path = "/v1/miner/submit"
        receipt = post(connection, keys[miner], path, {**submit, "digest": digest, "signature": signature})
        assert receipt["state"] == "submitted", receipt
        submits.append(ms(sent))

    seconds = together(url, int(n), int(miners), one)
    return {"n": len(claims), "seconds": seconds, "claim_ms": spread(claims), "submit_ms": spread(submits)}


def streams(url: str, path: str, n: str) -> None:
    """Opens streams, waits for the first event of each, and keeps them open until stdin ends."""
    host, _, port = url.removeprefix("http://").partition(":")
    opened = []
    for _ in range(int(n)):
        stream = socket.create_connection((host, int(port)), TIMEOUT_S)
        stream.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
        seen = b""
        while b"data:" not in seen:
            seen += stream.recv(1 << 16)
        opened.append(stream)
    print(json.dumps({"open": len(opened)}), flush=True)
    sys.stdin.read()


def together(url: str, n: int, threads: int, one: Callable[[http.client.HTTPConnection, int], None]) -> float:
    """Does it `n` times, each thread over its own connection; how long that took, seconds."""
    left, lock, began = iter(range(n)), threading.Lock(), time.monotonic()

    def run(at: int) -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT_S)
        while True:
            with lock:
                if next(left, None) is None:
                    return
            one(connection, at)

    running = [threading.Thread(target=run, args=(at,)) for at in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return time.monotonic() - began


def key(seed: int) -> Keypair:
    """A miner's key."""
    return Keypair.create_from_uri(f"//VioletBench{seed}")


def sign(signer: Keypair, text: str) -> str:
    """A signature as hexadecimal text."""
    return f"0x{bytes(signer.sign(text.encode())).hex()}"


def ms(since: float) -> float:
    """Time since then, ms."""
    return (time.monotonic() - since) * 1000


def spread(times: list[float]) -> dict[str, float]:
    """Median, 99th percentile and the longest."""
    times = sorted(times)
    return {name: times[int((len(times) - 1) * share)] for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


def main(scenario: str, *args: str) -> None:
    """Runs one scenario."""
    if scenario == "streams":
        streams(*args)
    elif scenario == "hotkeys":
        print(json.dumps([key(seed).ss58_address for seed in range(int(args[0]))]))
    elif scenario == "requests":
        print(json.dumps(requests(*args)))
    elif scenario == "work":
        print(json.dumps(work(*args)))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
