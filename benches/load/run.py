"""What the proxy's HTTP costs, beside the FastAPI peer of `peer.py`: one after the other, in one run.

`make bench-load` builds what it needs and runs it. Rates are per second of the server's own CPU time (user and system,
from /proc), which other work on the machine does not change much; latencies and starts are wall time, which it does.
On a machine with more than two cores the server has two of them and the load the others; on one with two they share
both, so that pairs of claim and submit a second of wall time include what the load itself takes.
"""

import argparse
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
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
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORES = set(CORES[:2])
LOAD_CORES = set(CORES[2:]) or set(CORES)


@dataclass(frozen=True)
class Target:
    """What a figure is to be, for the proxy or as a ratio to the peer."""

    figure: str
    least: float = 0.0
    most: float = float("inf")
    is_ratio: bool = False

    def says(self, by_server: dict[str, float]) -> str:
        """Whether it is met; `not measured` where a side is missing."""
        if "proxy" not in by_server or (self.is_ratio and "peer" not in by_server):
            return "not measured"
        got = by_server["proxy"] / (by_server["peer"] if self.is_ratio else 1.0)
        wanted = f"at least {self.least:g}" if self.least else f"at most {self.most:g}"
        verdict = "met" if self.least <= got <= self.most else "MISSED"
        return f"{got:,.2f}{' x the peer' if self.is_ratio else ''}, {wanted}: {verdict}"


def targets(args: argparse.Namespace) -> list[Target]:
    """The targets, with the sizes of this run; those of other sizes than the defaults say less."""
    queued = f"{args.queued} queued"
    return [
        *(Target(f"{request}, a CPU second", least=8, is_ratio=True) for request in SMALL),
        Target(MULTIPART, least=1.7, is_ratio=True),
        Target(f"claim+submit, {queued}, a second of wall time", least=1_000),
        Target(f"claim p99, {queued}, ms", most=50),
        Target(f"{args.streams} event streams, KiB each", most=20 * 1000 / 1024),
        Target(f"{args.uploads} parallel uploads of 25 MB, peak RSS, MiB", most=256 * MB / MIB),
        Target("idle RSS, MiB", most=40 * MB / MIB),
        Target(f"restart with {queued}, s of wall time", most=2),
        Target(LOCKED, most=0),
    ]


SMALL = ("GET /healthz", "GET /v1/tasks/{id}", "POST /v1/tasks")
MULTIPART = "10 MB multipart, MB a CPU second"
LOCKED = "answers that say that the database is locked"


@dataclass
class Server:
    """A running server, and what it used."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    receiver: str = ""
    ready_s: float = 0.0
    """From its start to when it listens and says so, seconds."""

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
        done = subprocess.run(command, capture_output=True, check=False, text=True, preexec_fn=on(LOAD_CORES))
        if done.returncode:
            sys.exit(f"generate {' '.join(map(str, args))}: {done.stderr}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def note(self, figure: str, server: Server, value: float) -> None:
        """Keeps a figure."""
        self.figures.setdefault(figure, {})[server.name] = value
        print(f"{server.name:>6}  {figure:<58} {value:14,.2f}", flush=True)

    @contextmanager
    def serve_proxy(self, name: str = "data", **options: object) -> Iterator[Server]:
        """The proxy on a data directory."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        metagraph = self.folder / "metagraph.json"
        write_metagraph(metagraph, self.generate("hotkeys", MINERS))  # type: ignore[arg-type]
        # Each miner of the load does the work of many: their limit would be what is measured.
        flags = {"max_open_tasks": 100_000, "lease_s": 600, "redundancy": 1, "rate_per_hotkey": 0, **options}
        command = [self.proxy, "--port", 0, "--metagraph", metagraph, "--metagraph-max-age-s", 86_400]
        command += ["--data-dir", self.folder / name, "--ready-file", ready, "--log", "warn"]
        for key, value in flags.items():
            command += [f"--{key.replace('_', '-')}", value]
        began = time.monotonic()
        process = subprocess.Popen([str(part) for part in command], preexec_fn=on(SERVER_CORES))
        with ended(process):
            wait_for(ready.exists, process)
            server = Server("proxy", ready.read_text(), process, ready_s=time.monotonic() - began)
            server.receiver = server.ask("/v1/network")["proxy"]["hotkey"]
            yield server

    @contextmanager
    def serve_peer(self, name: str = "peer") -> Iterator[Server]:
        """The peer on a data directory."""
        (self.folder / name).mkdir(exist_ok=True)
        port = free_port()
        command = [self.peer_python, Path(__file__).with_name("peer.py"), "--port", port, "--data", self.folder / name]
        process = subprocess.Popen([str(part) for part in command], preexec_fn=on(SERVER_CORES))
        with ended(process):
            server = Server("peer", f"http://127.0.0.1:{port}", process, "peer")
            wait_for(lambda: answers(server), process)
            yield server

    def requests(self, server: Server, figure: str, *args: object, megabytes: float = 0.0) -> dict[str, Any]:
        """Requests, or megabytes, per CPU second of the server."""
        before = server.cpu_s()
        seen = self.generate("requests", server.url, *args)
        if set(seen["statuses"]) - {"200", "201"} or seen["locked"]:
            sys.exit(f"{server.name}: {figure}: {seen}")
        done = seen["n"] * megabytes if megabytes else seen["n"]
        self.note(figure, server, done / (server.cpu_s() - before))
        return seen

    def small(self, server: Server) -> None:
        """Small requests, as many at once as a busy server has."""
        health, show, create = (f"{request}, a CPU second" for request in SMALL)
        self.requests(server, health, "GET", "/healthz", 40_000, 64)
        text = self.folder / "task.json"
        text.write_text(json.dumps({"kind": "synthesis", "input": {"text": "Hello there."}}))
        task = server.ask("/v1/tasks", json.loads(text.read_text()))
        self.requests(server, show, "GET", f"/v1/tasks/{task['id']}", 40_000, 64)
        self.requests(server, create, "POST", "/v1/tasks", 10_000, 64, "application/json", text)

    def multipart(self, server: Server, path: str) -> None:
        """10 MB of audio in a multipart body."""
        body = self.folder / "multipart"
        head = b'--edge\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        body.write_bytes(head + wav(10 * MB) + b"\r\n--edge--\r\n")
        kind = "multipart/form-data; boundary=edge"
        self.requests(server, MULTIPART, "POST", path, 40, 2, kind, body, megabytes=10)

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
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, preexec_fn=on(LOAD_CORES)) as generator:
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

    def contended(self, server: Server, database: Path, n: int) -> None:
        """Tasks are made while another program locks the database again and again, as backups and checkpoints do."""
        text, is_over = self.folder / "task.json", threading.Event()
        text.write_text(json.dumps({"kind": "synthesis", "input": {"text": "Hello there."}}))

        def lock() -> None:
            with sqlite3.connect(database, timeout=60, isolation_level=None) as other:
                while not is_over.wait(0.01):
                    other.execute("BEGIN IMMEDIATE")
                    is_over.wait(0.05)
                    other.execute("ROLLBACK")

        locking = threading.Thread(target=lock)
        locking.start()
        try:
            seen = self.generate("requests", server.url, "POST", "/v1/tasks", n, 16, "application/json", text)
        finally:
            is_over.set()
            locking.join()
        if set(seen["statuses"]) - {"201", "503"}:
            sys.exit(f"{server.name}: under a lock: {seen}")
        self.note(LOCKED, server, seen["locked"])
        self.note("POST /v1/tasks under locks, told to come back, of all", server, seen["statuses"].get("503", 0) / n)

    def idle(self, server: Server, figure: str) -> None:
        """CPU time of a server that nobody asks for anything."""
        before = server.cpu_s()
        time.sleep(5)
        self.note(figure, server, (server.cpu_s() - before) / 5 * 1000)


def queue_of_peer(folder: Path, n: int) -> None:
    """The same queue, written into the peer's table."""
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


def on(cores: set[int]) -> Callable[[], None]:
    """Lets a new process have these cores."""
    return lambda: os.sched_setaffinity(0, cores)


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
        # A zero on the peer's side has no ratio.
        for figure, by_server in bench.figures.items():
            if by_server.get("peer") and "proxy" in by_server:
                print(f"{figure:<58} {by_server['proxy'] / by_server['peer']:8.2f}")
        print("\ntargets")
        for target in targets(args):
            print(f"{target.figure:<62} {target.says(bench.figures.get(target.figure, {}))}")


def small(bench: Bench, args: argparse.Namespace) -> None:
    """Requests and multipart bodies."""
    del args
    with bench.serve_proxy() as proxy:
        bench.small(proxy)
        bench.multipart(proxy, "/v1/tasks")
        bench.contended(proxy, bench.folder / "data" / "violet.sqlite3", 1_000)
    with bench.serve_peer() as peer:
        bench.small(peer)
        bench.multipart(peer, "/v1/tasks/multipart")


def queue(bench: Bench, args: argparse.Namespace) -> None:
    """A long queue: a start with it, and work out of it."""
    queued = f"{args.queued} queued"
    with bench.serve_proxy("queue") as proxy:
        bench.queue(proxy, args.queued)
    # As the peer, which gives every miner the recording itself.
    with bench.serve_proxy("queue", variants="off") as proxy:
        # What the page cache keeps of the file is there, as after an upgrade of a running machine.
        bench.note(f"restart with {queued}, s of wall time", proxy, proxy.ready_s)
        bench.note(f"restart with {queued}, CPU s", proxy, proxy.cpu_s())
        bench.note(f"restart with {queued}, RSS, MiB", proxy, proxy.memory("VmRSS") / MIB)
        bench.idle(proxy, f"idle with {queued}, CPU ms a second")
        bench.work(proxy, args.pairs, queued)
    with bench.serve_proxy("queue") as proxy:
        # A rendering of a second of audio for every claim: what that costs beside the rest.
        bench.work(proxy, max(args.pairs // 10, MINERS), "variants of 1 s")
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
