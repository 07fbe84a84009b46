"""The load of `run.py`: one scenario against one server; figures as one line of JSON on stdout.

    generate.py hotkeys N
    generate.py requests URL METHOD PATH N CONNECTIONS [CONTENT_TYPE BODY_FILE]   the same request N times
    generate.py work URL RECEIVER N MINERS                                        N times claim and submit
    generate.py streams URL PATH N                        N event streams, open until stdin is closed

Each connection has one request in flight. What is counted is the server's CPU time, not this one's. Where wall time
counts, this one's takes part in it: so it speaks HTTP by itself, with less work than Python's client.
"""

import hashlib
import json
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bittensor_wallet import Keypair

TIMEOUT_S = 300

LOCKED = b"database is locked"
"""What no client may ever read."""


class Connection:
    """A kept HTTP/1.1 connection: one request at a time, answers with a length."""

    def __init__(self, url: str) -> None:
        self.host = url.removeprefix("http://")
        host, _, port = self.host.partition(":")
        self.socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        self.send(method, path, body, headers)
        return self.answer()

    def send(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> None:
        """Asks, without waiting for the answer."""
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        # A large body by itself: joined to the head it would be copied.
        self.socket.sendall(head if body is None or len(body) > 1 << 16 else head + body)
        if body is not None and len(body) > 1 << 16:
            self.socket.sendall(body)

    def answer(self) -> tuple[int, bytes]:
        """The status and the body of the answer to what was sent."""
        seen = b""
        while (end := seen.find(b"\r\n\r\n")) < 0:
            seen += self._more()
        head = seen[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        assert at >= 0, f"an answer without a length: {head!r}"
        left = end + 4 + int(head[at + 17 :].split(b"\r\n", 1)[0]) - len(seen)
        while left > 0:
            more = self._more()
            seen, left = seen + more, left - len(more)
        return int(seen[9:12]), seen[end + 4 :]

    def _more(self) -> bytes:
        more = self.socket.recv(1 << 16)
        assert more, "the server closed the connection"
        return more


def requests(
    url: str, method: str, path: str, n: str, connections: str, kind: str = "", body_file: str = ""
) -> dict[str, Any]:
    """The same request again and again.

    Small ones are sent over all connections before the first answer is read. A load of one at a time for each thread of
    Python's leaves a fast server idle in between, and counts how often it wakes up.
    """
    body = Path(body_file).read_bytes() if body_file else None
    headers = {"content-type": kind} if kind else {}
    done: list[tuple[int, bytes]] = []
    if body is None or len(body) <= 1 << 16:
        opened, left = [Connection(url) for _ in range(int(connections))], int(n)
        while left > 0:
            for connection in opened[:left]:
                connection.send(method, path, body, headers)
            done += [connection.answer() for connection in opened[:left]]
            left -= len(opened)
    else:
        together(url, int(n), int(connections), lambda c, _: done.append(c.request(method, path, body, headers)))
    statuses = Counter(str(status) for status, _ in done)
    return {"n": len(done), "statuses": statuses, "locked": sum(LOCKED in answer for _, answer in done)}


def work(url: str, receiver: str, n: str, miners: str) -> dict[str, Any]:
    """Miners that claim one task and submit a transcript."""
    keys, claims, submits = [key(seed) for seed in range(int(miners))], list[float](), list[float]()

    def post(connection: Connection, signer: Keypair, path: str, body: object) -> dict[str, Any]:
        data, nonce, hotkey = json.dumps(body).encode(), str(time.time_ns()), signer.ss58_address
        lines = ("btauth/1", "sr25519", "POST", path, hashlib.sha256(data).hexdigest(), nonce, hotkey, receiver)
        names = ("version", "hotkey", "receiver", "nonce", "signature")
        values = ("1", hotkey, receiver, nonce, sign(signer, "\n".join(lines)))
        headers = {f"x-bittensor-{name}": value for name, value in zip(names, values, strict=True)}
        status, answer = connection.request("POST", path, data, {"content-type": "application/json", **headers})
        said: dict[str, Any] = json.loads(answer)
        assert status == 200, said
        return said

    def one(connection: Connection, miner: int) -> None:
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


def together(url: str, n: int, threads: int, one: Callable[[Connection, int], None]) -> float:
    """Does it `n` times, each thread over its own connection; how long that took, seconds."""
    left, lock, began = iter(range(n)), threading.Lock(), time.monotonic()

    def run(at: int) -> None:
        connection = Connection(url)
        while True:
            with lock:
                if next(left, None) is None:
                    return
            one(connection, at)

    with ThreadPoolExecutor(threads) as running:
        # One that failed ends the whole: figures of a part would be of something else.
        for done in [running.submit(run, at) for at in range(threads)]:
            done.result()
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
