"""What the proxy's HTTP costs, beside the FastAPI peer of `peer.py`: one after the other, in one run.

`make bench-load` builds what it needs and runs it. Rates are per second of the server's own CPU time (user and system,
from /proc), which other work on the machine does not change much; latencies are wall time and suffer from it.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MB = 1_000_000
MIB = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")
MINERS = 32
GENERATOR = Path(__file__).with_name("generate.py")


@dataclass
class Server:
    """A running server, and what it used."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    receiver: str = ""

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self, name: str) -> int:
        """`VmRSS` or `VmHWM`, bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    def forget_peak(self) -> None:
        """Lets `VmHWM` begin anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to one request."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@dataclass
class Bench:
    """The programs, and where they put things."""

    proxy: Path
    peer_python: Path
    folder: Path
    figures: dict[str, dict[str, float]] = field(default_factory=dict)

    def generate(self, *args: object) -> dict[str, Any]:
        """Runs one scenario."""
        command = [str(self.peer_python), str(GENERATOR), *map(str, args)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        if done.returncode:
            sys.exit(f"generate {' '.join(map(str, args))}: {done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def note(self, figure: str, server: Server, value: float) -> None:
        """Keeps a figure."""
        self.figures.setdefault(figure, {})[server.name] = value
        print(f"{server.name:>6}  {figure:<58} {value:12,.1f}", flush=True)

    @contextmanager
    def serve_proxy(self, name: str = "data", **options: object) -> Iterator[Server]:
        """The proxy on a data directory."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        metagraph = self.folder / "metagraph.json"
        write_metagraph(metagraph, self.generate("hotkeys", MINERS))  # type: ignore[arg-type]
        flags = {"max_open_tasks": 100_000, "lease_s": 600, "redundancy": 1, **options}
        command = [self.proxy, "--port", 0, "--metagraph", metagraph, "--metagraph-max-age-s", 86_400]
        command += ["--data-dir", self.folder / name, "--ready-file", ready, "--log", "warn"]
        for key, value in flags.items():
            command += [f"--{key.replace('_', '-')}", value]
        process = subprocess.Popen([str(part) for part in command])
        with ended(process):
            wait_for(ready.exists, process)
            server = Server("proxy", ready.read_text(), process)
            server.receiver = server.ask("/v1/network")["proxy"]["hotkey"]
            yield server

    @contextmanager
    def serve_peer(self, name: str = "peer") -> Iterator[Server]:
        """The peer on a data directory."""
        (self.folder / name).mkdir(exist_ok=True)
        port = free_port()
        command = [self.peer_python, Path(__file__).with_name("peer.py"), "--port", port, "--data", self.folder / name]
        process = subprocess.Popen([str(part) for part in command])
        with ended(process):
            server = Server("peer", f"http://127.0.0.1:{port}", process, "peer")
            wait_for(lambda: answers(server), process)
            yield server

    def requests(self, server: Server, figure: str, *args: object, megabytes: float = 0.0) -> dict[str, Any]:
        """Requests, or megabytes, per CPU second of the server."""
        before = server.cpu_s()
        seen = self.generate("requests", server.url, *args)
        if set(seen["statuses"]) - {"200", "201"}:
            sys.exit(f"{server.name}: {figure}: {seen}")
        done = seen["n"] * megabytes if megabytes else seen["n"]
        self.note(figure, server, done / (server.cpu_s() - before))
        return seen

    def small(self, server: Server) -> None:
        """Small requests."""
        self.requests(server, "GET /healthz, a CPU second", "GET", "/healthz", 3_000, 8)
        text = self.folder / "task.json"
        text.write_text(json.dumps({"kind": "synthesis", "input": {"text": "Hello there."}}))
        task = server.ask("/v1/tasks", json.loads(text.read_text()))
        self.requests(server, "GET /v1/tasks/{id}, a CPU second", "GET", f"/v1/tasks/{task['id']}", 3_000, 8)
        self.requests(server, "POST /v1/tasks, a CPU second", "POST", "/v1/tasks", 1_000, 16, "application/json", text)

    def multipart(self, server: Server, path: str) -> None:
        """10 MB of audio in a multipart body."""
        body = self.folder / "multipart"
        head = b'--edge\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        body.write_bytes(head + wav(10 * MB) + b"\r\n--edge--\r\n")
        kind = "multipart/form-data; boundary=edge"
        figure = "10 MB multipart, MB a CPU second"
        self.requests(server, figure, "POST", path, 40, 2, kind, body, megabytes=10)

    def work(self, server: Server, n: int, queue: str) -> None:
        """Claim and submit."""
        before = server.cpu_s()
        seen = self.generate("work", server.url, server.receiver, n, MINERS)
        cpu_s = server.cpu_s() - before
        self.note(f"claim+submit, {queue}, a CPU second", server, seen["n"] / cpu_s)
        self.note(f"claim+submit, {queue}, a second of wall time", server, seen["n"] / seen["seconds"])
        self.note(f"claim p50, {queue}, ms", server, seen["claim_ms"]["p50"])
        self.note(f"claim p99, {queue}, ms", server, seen["claim_ms"]["p99"])
        self.note(f"submit p99, {queue}, ms", server, seen["submit_ms"]["p99"])

    def streams(self, server: Server, task_id: str, n: int) -> None:
        """Memory of open event streams."""
        before = server.memory("VmRSS")
        path = f"/v1/tasks/{task_id}/events"
        command = [str(self.peer_python), str(GENERATOR), "streams", server.url, path, str(n)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as generator:
            assert generator.stdout is not None
            if json.loads(generator.stdout.readline() or "{}").get("open") != n:
                sys.exit(f"{server.name}: not all of {n} streams opened")
            self.note(f"{n} event streams, KiB each", server, (server.memory("VmRSS") - before) / n / 1024)
            generator.communicate()

    def uploads(self, server: Server, n: int) -> None:
        """Memory of parallel uploads."""
        body = self.folder / "upload"
        body.write_bytes(wav(25 * MB))
        server.forget_peak()
        figure = f"{n} parallel uploads of 25 MB, MB a CPU second"
        self.requests(server, figure, "POST", "/v1/uploads", n, n, "application/octet-stream", body, megabytes=25)
        self.note(f"{n} parallel uploads of 25 MB, peak RSS, MiB", server, server.memory("VmHWM") / MIB)

    def queue(self, server: Server, n: int) -> None:
        """Fills the queue with tasks of one second of audio."""
        sound, task = self.folder / "second.wav", self.folder / "queued.json"
        sound.write_bytes(wav(32_000))
        request = urllib.request.Request(f"{server.url}/v1/uploads", sound.read_bytes())
        with urllib.request.urlopen(request) as answer:
            upload_id = json.load(answer)["id"]
        options = {"kind": "transcription", "redundancy": 1, "deadline_s": 3600, "input": {"upload_id": upload_id}}
        task.write_text(json.dumps(options))
        figure = f"POST /v1/tasks until {n} are queued, a CPU second"
        self.requests(server, figure, "POST", "/v1/tasks", n, 64, "application/json", task)

    def idle(self, server: Server, figure: str) -> None:
        """CPU time of a server that nobody asks for anything."""
        before = server.cpu_s()
        time.sleep(5)
        self.note(figure, server, (server.cpu_s() - before) / 5 * 1000)


def queue_of_peer(folder: Path, n: int) -> None:
    """The same queue, written into the peer's table."""
    import sqlite3

    with sqlite3.connect(folder / "peer.sqlite3") as sql:
        for at in range(n):
            task = {"id": f"task_{at}", "kind": "transcription", "input": {"sha256": "0" * 64, "duration_s": 1.0}}
            row = (task["id"], at, json.dumps({**task, "state": "queued", "priority": 5}))
            sql.execute("INSERT INTO tasks VALUES (?, 'queued', 5, ?, NULL, ?)", row)


def wav(n_bytes: int) -> bytes:
    """Noise as WAV: mono, 16 kHz, 16 bit."""
    sizes = (n_bytes - 8, 16, 1, 1, 16_000, 32_000, 2, 16, n_bytes - 44)
    widths = (4, 4, 2, 2, 4, 4, 2, 2, 4)
    size, form, *rest = (value.to_bytes(width, "little") for value, width in zip(sizes, widths, strict=True))
    head = b"RIFF" + size + b"WAVEfmt " + form + b"".join(rest[:-1]) + b"data" + rest[-1]
    return head + os.urandom(n_bytes - len(head))


def write_metagraph(path: Path, hotkeys: Sequence[str]) -> None:
    """Registers the generator's miners."""
    rest = {"stake": 0.0, "validator_permit": False, "ip": "0.0.0.0", "port": 0}
    rest |= dict.fromkeys(("incentive", "dividends", "emission", "consensus"), 0.0)
    neurons = [{"uid": uid, "hotkey": key, "coldkey": f"cold{uid}", **rest} for uid, key in enumerate(hotkeys)]
    now_ms = time.time_ns() // 1_000_000
    head = {"netuid": 49, "network": "localnet", "block": 1, "synced_at_ms": now_ms, "tempo": 360}
    path.write_text(json.dumps({**head, "neurons": neurons}))


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ends a process after the block, in order."""
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(is_there: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Polls until it is there; a minute at the longest."""
    until = time.monotonic() + 60
    while not is_there():
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(f"{process.args!r} did not start")
        time.sleep(0.01)


def answers(server: Server) -> bool:
    """Whether the server listens."""
    try:
        server.ask("/healthz")
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def main() -> None:
    """Runs all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxy", type=Path, required=True, help="the violet-proxy program")
    parser.add_argument("--peer-python", type=Path, default=Path(sys.executable), help="an interpreter with FastAPI")
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5_000, help="claims and submits")
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--streams", type=int, default=2_000)
    parser.add_argument("--only", choices=("small", "queue", "memory"), help="a part of it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.proxy, args.peer_python, Path(folder))
        parts = {"small": small, "queue": queue, "memory": memory}
        for name in (args.only,) if args.only else parts:
            parts[name](bench, args)
        print("\nratio to the peer")
        for figure, by_server in bench.figures.items():
            if len(by_server) == 2:
                print(f"{figure:<58} {by_server['proxy'] / by_server['peer']:8.2f}")


def small(bench: Bench, args: argparse.Namespace) -> None:
    """Requests and multipart bodies."""
    del args
    with bench.serve_proxy() as proxy:
        bench.small(proxy)
        bench.multipart(proxy, "/v1/tasks")
    with bench.serve_peer() as peer:
        bench.small(peer)
        bench.multipart(peer, "/v1/tasks/multipart")


def queue(bench: Bench, args: argparse.Namespace) -> None:
    """A long queue: work out of it, and a start with it."""
    queued = f"{args.queued} queued"
    with bench.serve_proxy("queue") as proxy:
        bench.queue(proxy, args.queued)
        bench.idle(proxy, f"idle with {queued}, CPU ms a second")
        bench.work(proxy, args.pairs, queued)
        left = args.queued - args.pairs
    started = time.monotonic()
    with bench.serve_proxy("queue") as proxy:
        bench.note(f"restart with {left} queued, s of wall time", proxy, time.monotonic() - started)
        bench.note(f"restart with {left} queued, CPU s", proxy, proxy.cpu_s())
        bench.note(f"restart with {left} queued, RSS, MiB", proxy, proxy.memory("VmRSS") / MIB)
    with bench.serve_peer("peer-queue") as peer:
        queue_of_peer(bench.folder / "peer-queue", args.queued)
        bench.work(peer, args.pairs, queued)


def memory(bench: Bench, args: argparse.Namespace) -> None:
    """Memory when idle, of streams and of uploads."""
    for serve in (bench.serve_proxy, bench.serve_peer):
        with serve(f"memory-{serve.__name__}") as server:
            bench.note("idle RSS, MiB", server, server.memory("VmRSS") / MIB)
            bench.idle(server, "idle, CPU ms a second")
            task = server.ask("/v1/tasks", {"kind": "synthesis", "input": {"text": "Hello there."}})
            bench.streams(server, task["id"], args.streams)
            bench.uploads(server, args.uploads)


if __name__ == "__main__":
    main()
