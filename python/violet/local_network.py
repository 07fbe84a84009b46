"""A whole Violet network on this machine: chain, proxy, miners and validators, each a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from violet.chain import Hotkey, localnet
from violet.chain.ledger import Rules
from violet.errors import VioletError
from violet.wallet import create_wallet

NETUID = 1
"""Number of the subnet on the local chain."""

VALIDATOR_STAKE = 1000.0
"""Stake of each validator, in the local chain's units."""

START_TIMEOUT_S = 120.0
"""Longest wait until every process answers."""

STOP_TIMEOUT_S = 5.0
"""How long a process may take to end in order before it is killed."""

LOG_TAIL_LINES = 5
"""Lines of a dead process's log that its error shows."""

type Role = Literal["proxy", "miner", "validator"]
"""What a process of the network does."""


class NetworkError(VioletError, RuntimeError):
    """The local network did not come up, or one of its processes died."""


@dataclass(slots=True)
class Member:
    """One process of the network."""

    name: str
    role: Role
    arguments: Sequence[str]
    hotkey: Hotkey | None = None
    uid: int | None = None
    is_bad: bool = False
    """Whether it leaves words out on purpose."""
    metrics_url: str | None = None
    """Where a neuron serves `/metrics` and `/healthz`."""
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)


class LocalNetwork:
    """A local chain, one proxy, miners (the last one bad) and validators, under one directory.

    Args:
        directory: Where wallets, the chain, the proxy's data and the logs go.
        model: Whisper model of miners and validators.
        n_miners: Miners, of which the last leaves words out if `has_bad_miner`.
        n_validators: Validators with equal stake.
        has_bad_miner: Whether the last miner drops words.
        port: Port of the proxy; a free one if None.
        block_time_s: Time between two blocks.
        tempo: Blocks per epoch.
        kinds: Kinds of task that miners take; all that the models on this machine allow if None.
        grace_s: How long the proxy waits for further miners after a task's first answer.
        commit_s: How long the proxy waits for a validator that does not judge.
        challenge_interval_s: Time between two rounds of each validator's direct challenges.
        start_timeout_s: Longest wait until every process answers.
    """

    def __init__(
        self,
        directory: Path,
        *,
        model: str = "tiny.en",
        n_miners: int = 3,
        n_validators: int = 2,
        has_bad_miner: bool = True,
        port: int | None = None,
        block_time_s: float = 0.25,
        tempo: int = 20,
        kinds: Sequence[str] | None = None,
        grace_s: int = 40,
        commit_s: int = 120,
        challenge_interval_s: float = 20.0,
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self.directory = directory
        self.url = f"http://127.0.0.1:{port or free_port()}"
        self.block_time_s = block_time_s
        self.tempo = tempo
        self._model = model
        self._kinds = kinds
        self._grace_s = grace_s
        self._commit_s = commit_s
        self._challenge_interval_s = challenge_interval_s
        self._start_timeout_s = start_timeout_s
        self._chain_path = directory / "localnet.sqlite"
        self._ready_path = directory / "proxy.ready"
        rules = Rules(netuid=NETUID, tempo=tempo, block_time_s=block_time_s, weights_rate_limit=tempo // 2)
        localnet.create(self._chain_path, rules)
        self.chain = localnet.LocalChain.open(self._chain_path, NETUID, None)
        self.members = [
            self._proxy(),
            *(self._neuron("validator", index + 1) for index in range(n_validators)),
            *(
                self._neuron("miner", index + 1, is_bad=has_bad_miner and index + 1 == n_miners)
                for index in range(n_miners)
            ),
        ]

    def __enter__(self) -> Self:
        """Starts every process and waits until all answer."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stops every process."""
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """Environment of every process, for commands that should reach this network."""
        n_neurons = sum(member.role != "proxy" for member in self.members)
        threads = str(max(1, (os.cpu_count() or 1) // n_neurons))
        return os.environ | {
            "VIOLET_LOCALNET": str(self._chain_path),
            "PYTHONUNBUFFERED": "1",
            "WANDB_MODE": "disabled",
            # Neurons share the cores: more threads than cores would make all of them slower.
            "RAYON_NUM_THREADS": threads,
        }

    def member(self, name: str) -> Member:
        """The process called `name`: `proxy`, `miner-1`, `validator-2` ..

        Raises:
            KeyError: There is none.
        """
        for member in self.members:
            if member.name == name:
                return member
        raise KeyError(name)

    def start(self) -> None:
        """Starts every process and waits until the proxy answers and has heard of every miner.

        Raises:
            NetworkError: A process died, or not all answer in time.
        """
        for member in self.members:
            self.spawn(member.name)
        deadline = time.monotonic() + self._start_timeout_s
        wanted = {member.hotkey for member in self.members if member.role == "miner"}
        while True:
            self.check_alive()
            network = self.get("/v1/network")
            if network is not None and wanted <= {miner["hotkey"] for miner in network["miners"]}:
                return
            if time.monotonic() > deadline:
                message = f"the network is not up after {self._start_timeout_s:.0f} s; look at the logs in {self.logs}"
                raise NetworkError(message)
            time.sleep(0.05)

    def join(self, role: Literal["miner", "validator"]) -> Member:
        """Registers one more miner or validator while the network runs, and starts it."""
        member = self._neuron(role, 1 + sum(member.role == role for member in self.members))
        self.members.append(member)
        self.spawn(member.name)
        return member

    def spawn(self, name: str) -> None:
        """Starts (or starts again) the process called `name`."""
        member = self.member(name)
        self.logs.mkdir(parents=True, exist_ok=True)
        with (self.logs / f"{name}.log").open("ab") as log, _held_signals():
            member.process = subprocess.Popen(
                [sys.executable, "-m", "violet", *member.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.directory,
                # A group of its own: Ctrl-C reaches this process alone, which then stops the others in order.
                start_new_session=True,
            )

    def kill(self, name: str) -> None:
        """Ends the process called `name` at once, as `kill -9` does."""
        process = self.member(name).process
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Ends every process in order, and by force what does not end in time."""
        with _held_signals():
            self._stop()

    def _stop(self) -> None:
        running = [m.process for m in self.members if m.process is not None and m.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def check_alive(self) -> None:
        """Raises if a process has ended.

        Raises:
            NetworkError: Which one, and what it said last.
        """
        for member in self.members:
            if member.process is not None and member.process.poll() is not None:
                lines = (self.logs / f"{member.name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
                tail = " | ".join(lines[-LOG_TAIL_LINES:])
                message = f"{member.name} ended with code {member.process.returncode}: {tail}"
                raise NetworkError(message)

    @property
    def logs(self) -> Path:
        """Directory of the processes' logs."""
        return self.directory / "logs"

    def get(self, path: str) -> Mapping[str, Any] | None:
        """The proxy's JSON answer to `GET path`; None if it does not answer (yet)."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=5) as reply:
                value: Mapping[str, Any] = json.load(reply)
        except (OSError, ValueError):
            return None
        return value

    def _proxy(self) -> Member:
        host, port = self.url.removeprefix("http://").split(":")
        return Member(
            "proxy",
            "proxy",
            [
                "proxy", *_NETWORK_FLAGS, "--host", host, "--port", port, "--data-dir", str(self.directory / "proxy"),
                "--lease-s", "6", "--grace-s", str(self._grace_s), "--commit-s", str(self._commit_s),
                "--reveal-s", "20",
            ],
        )  # fmt: skip

    def _neuron(self, role: Role, number: int, *, is_bad: bool = False) -> Member:
        name = f"{role}-{number}"
        wallets = self.directory / "wallets"
        wallet = create_wallet(name, "default", wallets)
        hotkey = Hotkey(wallet.hotkey.ss58_address)
        uid = localnet.register(self._chain_path, wallet.hotkey, wallet.coldkeypub.ss58_address).uid
        if role == "validator":
            localnet.add_stake(self._chain_path, hotkey, VALIDATOR_STAKE)
        arguments = [
            role, *_NETWORK_FLAGS, "--wallet.path", str(wallets), "--wallet.name", name, "--wallet.hotkey", "default",
            "--axon.ip", "127.0.0.1", "--axon.port", str(free_port()), "--proxy.url", self.url, "--device", "cpu",
            "--model", self._model, "--neuron.path", str(self.directory / name), "--neuron.sync_interval_s", "1",
            "--poll.wait_s", "5",
        ]  # fmt: skip
        metrics_port = free_port()
        arguments += ["--metrics.port", str(metrics_port)]
        if role == "validator":
            arguments += ["--challenge.interval_s", str(self._challenge_interval_s)]
        else:
            # Miners that measure at the same time would measure each other.
            arguments += ["--capacity", "1"]
            arguments += [] if self._kinds is None else ["--mine.kinds", ",".join(self._kinds)]
        if is_bad:
            arguments += ["--dev.drop_words", "0.3"]
        return Member(name, role, arguments, hotkey, uid, is_bad, f"http://127.0.0.1:{metrics_port}")


_NETWORK_FLAGS = ("--subtensor.network", "localnet", "--netuid", str(NETUID))


@contextmanager
def _held_signals() -> Iterator[None]:
    """Holds Ctrl-C and its like back for a moment.

    An interrupt between the start of a process and the note of it would leave that process behind; so would one while
    the processes are being stopped.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, _: held.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
