"""`violet localnet`, `metagraph`, `proxy` and `doctor` against a real localnet file and a real proxy."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from fixtures.commands import run_here
from fixtures.waiting import until
from violet.chain import Metagraph
from violet.cli.metagraph import Reader
from violet.cli.proxy import _option, _warn_as_json
from violet.errors import ChainUnreachableError
from violet.scoreboard import Scoreboard


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BT_", "VIOLET_"))}
    return kept | {"VIOLET_LOCALNET": str(tmp_path / "localnet.sqlite"), "PYTHONUNBUFFERED": "1"}


def output(*arguments: str | Path, env: Mapping[str, str]) -> str:
    done = run_here(*arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def wallets(tmp_path: Path) -> list[str]:
    return ["--wallet.path", str(tmp_path / "wallets")]


@pytest.fixture
def localnet(env: dict[str, str], wallets: list[str]) -> dict[str, str]:
    """A localnet with one validator that has stake."""
    output("localnet", "create", "--block-time", "0.05", "--tempo", "5", env=env)
    output("localnet", "register", "--create-wallet", "--wallet.name", "alice", *wallets, env=env)
    output("localnet", "stake", "1000", "--wallet.name", "alice", *wallets, env=env)
    return env


def test_localnet_is_created_filled_and_shown(localnet: dict[str, str], wallets: list[str]) -> None:
    shown = json.loads(output("localnet", "show", "--json", env=localnet))
    assert shown["rules"]["tempo"] == 5
    (neuron,) = shown["metagraph"]["neurons"]
    staked = json.loads(output("localnet", "stake", "0", "--wallet.name", "alice", *wallets, "--json", env=localnet))
    assert (staked["hotkey"], staked["stake"]) == (neuron["hotkey"], 1000.0)
    assert neuron["stake"] == 1000.0
    assert neuron["validator_permit"] is True
    assert neuron["hotkey"] in output("localnet", "show", env=localnet)
    before = int(output("localnet", "step", "0", env=localnet).removeprefix("block "))
    assert json.loads(output("localnet", "step", "1000", "--json", env=localnet))["block"] >= before + 1000
    again = run_here("localnet", "create", env=localnet)
    assert again.returncode == 1
    assert len(again.stderr.splitlines()) == 1
    assert localnet["VIOLET_LOCALNET"] in again.stderr


def test_missing_wallet_and_missing_localnet_say_what_to_do(env: dict[str, str], wallets: list[str]) -> None:
    # Named by variables, as a neuron's.
    named = {"BT_WALLET_NAME": "nobody", "BT_WALLET_PATH": wallets[1]}
    done = run_here("localnet", "register", env=env | named)
    assert done.returncode == 1
    assert f"no wallet at {wallets[1]}/nobody/" in done.stderr
    assert "btcli wallet new_coldkey" in done.stderr
    done = run_here("metagraph", "--subtensor.network", "localnet", env=env)
    assert done.returncode == 1
    assert env["VIOLET_LOCALNET"] in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_metagraph_is_printed_once_or_kept_in_a_file(localnet: dict[str, str], tmp_path: Path) -> None:
    flags = ["metagraph", "--subtensor.network", "localnet"]
    printed = Metagraph.from_json(output(*flags, env=localnet))
    assert [neuron.stake for neuron in printed.neurons] == [1000.0]
    path = tmp_path / "metagraph.json"
    command = [sys.executable, "-m", "violet", *flags, "--output", str(path), "--interval", "0.1"]
    with subprocess.Popen(command, env=localnet) as process:
        until(path.is_file, "the file is there")
        first = Metagraph.from_json(path.read_text())
        until(lambda: Metagraph.from_json(path.read_text()).block > first.block, "the file follows the chain")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


class BrokenChain:
    """A chain that fails the first times."""

    def __init__(self, failures: list[int], metagraph: Metagraph) -> None:
        self._failures = failures
        self._metagraph = metagraph
        self.is_closed = False

    def metagraph(self) -> Metagraph:
        if self._failures[0] > 0:
            self._failures[0] -= 1
            raise ChainUnreachableError("node is away")
        return self._metagraph

    def close(self) -> None:
        self.is_closed = True


def test_reader_outlives_a_chain_that_is_away(tmp_path: Path) -> None:
    path = tmp_path / "metagraph.json"
    metagraph = Metagraph(1, "localnet", 7, 20, (), 0)
    failures, opened, warnings = [2], list[BrokenChain](), list[str]()

    def open_chain() -> BrokenChain:
        opened.append(BrokenChain(failures, metagraph))
        return opened[-1]

    reader = Reader(open_chain, path, 0.01, warnings.append)  # type: ignore[arg-type]
    thread = threading.Thread(target=reader.run)
    thread.start()
    until(path.is_file, "the file is there")
    reader.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert Metagraph.from_json(path.read_text()).block == 7
    assert len(warnings) == 2
    assert "node is away" in warnings[0]
    assert len(opened) == 3
    assert all(chain.is_closed for chain in opened)


@pytest.fixture
def proxy(localnet: dict[str, str], tmp_path: Path) -> Iterator[str]:
    """The address of a running `violet proxy`, which is ended with a signal."""
    ready = tmp_path / "ready"
    config = tmp_path / "proxy.toml"
    # Where its data are, a file of its own says: what is beside it, its metagraph too, belongs to nobody else.
    config.write_text(f"data_dir = {json.dumps(str(tmp_path / 'data'))}\nlog-format = 'json'\n")
    flags = ["--subtensor.network", "localnet", "--port", "0", "--config", str(config)]
    command = [
        sys.executable,
        "-m",
        "violet",
        "proxy",
        *flags,
        "--ready-file",
        str(ready),
        "--metagraph.interval",
        "0.2",
    ]
    with subprocess.Popen(command, env=localnet) as process:
        yield until(lambda: ready.read_text().strip() if ready.is_file() else None, "the proxy listens")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_proxy_serves_with_a_metagraph_that_follows_the_chain(
    proxy: str, localnet: dict[str, str], wallets: list[str], tmp_path: Path
) -> None:
    with urllib.request.urlopen(f"{proxy}/readyz", timeout=5) as answer:
        assert answer.status == 200

    def validators() -> list[str]:
        with urllib.request.urlopen(f"{proxy}/v1/network", timeout=5) as answer:
            return [validator["hotkey"] for validator in json.load(answer)["validators"]]

    assert len(validators()) == 1
    assert (tmp_path / "data" / "metagraph.json").is_file()
    output("localnet", "register", "--create-wallet", "--wallet.name", "bob", *wallets, env=localnet)
    output("localnet", "stake", "2000", "--wallet.name", "bob", *wallets, env=localnet)
    until(lambda: len(validators()) == 2, "the proxy has heard of the second validator")


def test_an_option_of_the_proxy_is_read_as_the_proxy_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "proxy.toml"
    config.write_text("data-dir = 'of the file'\nlog_format = 'json'\n")
    monkeypatch.setenv("VIOLET_PROXY_CONFIG", str(config))
    assert _option([], "data-dir") == "of the file"
    assert (_option([], "log-format"), _option([], "metagraph")) == ("json", None)
    monkeypatch.setenv("VIOLET_PROXY_DATA_DIR", "of the variable")
    assert _option([], "data-dir") == "of the variable"
    assert _option(["--port", "1", "--data-dir", "of the flag"], "data-dir") == "of the flag"
    assert _option(["--data-dir=of the flag"], "data-dir") == "of the flag"
    monkeypatch.setenv("VIOLET_PROXY_DATA_DIR", "")
    assert _option([], "data-dir") == "of the file", "an empty variable is as good as none"


def test_a_line_of_the_reader_is_json_as_the_proxys_are(capsys: pytest.CaptureFixture[str]) -> None:
    _warn_as_json("metagraph not read: the node is away")
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["message"]) == ("WARN", "metagraph not read: the node is away")
    assert datetime.fromisoformat(line["timestamp"]).tzinfo is not None


def test_doctor_finds_wallet_chain_and_proxy_in_order(proxy: str, localnet: dict[str, str], wallets: list[str]) -> None:
    flags = ["--subtensor.network", "localnet", "--wallet.name", "alice", *wallets, "--proxy.url", proxy]
    text = output("doctor", *flags, env=localnet)
    assert "uid 0 of localnet subnet 1" in text
    assert "uid 0 may set weights" in text
    assert f"{proxy} is ready" in text
    assert "agrees with the proxy's" in text


def test_doctor_counts_what_was_named_and_is_broken(env: dict[str, str], wallets: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run_here(
        *("doctor", "--subtensor.network", "localnet", "--wallet.name", "nobody", *wallets),
        *("--proxy.url", f"http://127.0.0.1:{port}"),
        env=env,
    )
    assert done.returncode == 1
    broken = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("broken")]
    assert broken == ["wallet", "chain", "proxy"]
    assert "-> violet localnet create" in done.stdout
    assert "-> make one with: btcli wallet new_coldkey" in done.stdout


def test_status_is_the_chain_and_what_the_proxy_says(proxy: str, localnet: dict[str, str]) -> None:
    flags = ["status", "--subtensor.network", "localnet", "--once"]
    found = json.loads(output(*flags, "--json", "--proxy.url", proxy, env=localnet))
    (row,) = found["neurons"]
    assert (row["role"], row["stake"], row["weights_age"]) == ("validator", 1000.0, None)
    assert found["queue"] == {"queued": 0, "running": 0, "answered": 0}
    shown = output(*flags, "--proxy.url", "http://127.0.0.1:9", env=localnet)
    assert row["hotkey"][:8] in shown
    assert "http://127.0.0.1:9: [Errno 111] Connection refused" in shown


def test_weights_are_explained_from_saved_scores_and_nothing_is_set(
    localnet: dict[str, str], wallets: list[str], tmp_path: Path
) -> None:
    output("localnet", "register", "--create-wallet", "--wallet.name", "bob", *wallets, env=localnet)
    neurons = json.loads(output("localnet", "show", "--json", env=localnet))["metagraph"]["neurons"]
    bob = next(neuron for neuron in neurons if neuron["uid"] == 1)
    flags = ["weights", "--subtensor.network", "localnet", "--neuron.path", str(tmp_path / "state")]
    done = run_here(*flags, env=localnet)
    assert done.returncode == 1
    assert f"no validator has left scores at {tmp_path / 'state' / 'scores.json'}" in done.stderr
    board = Scoreboard.open(tmp_path / "state" / "scores.json")
    for now_s in range(20):
        board.add_quality(bob["hotkey"], "transcription", 0.9, float(now_s))
        board.add_probe(bob["hotkey"], answered=True)
        board.add_challenge(bob["hotkey"], passed=now_s > 0)
    board.save()
    found = json.loads(output(*flags, "--explain", "--json", env=localnet))
    (miner,) = found["miners"]
    assert found["weights"] == {"1": 1.0}
    assert miner["score"] == pytest.approx(board.score(bob["hotkey"]))
    assert miner["kinds"][0]["through_proxy"] == pytest.approx(0.9)
    shown = output(*flags, "--explain", env=localnet)
    assert bob["hotkey"] in shown
    assert "transcription: 1.00 of the reward" in shown
    assert "passed 95.2 % of challenges" in shown
    after = json.loads(output("metagraph", "--subtensor.network", "localnet", env=localnet))["neurons"]
    assert [neuron["incentive"] for neuron in after] == [0.0, 0.0]


def test_a_chain_with_faults_and_little_room(env: dict[str, str], wallets: list[str]) -> None:
    rules = ["--max-uids", "1", "--immunity-period", "0", "--reveal-period", "2", "--max-weight-limit", "0.5"]
    output("localnet", "create", *rules, "--min-allowed-weights", "2", env=env)
    shown = json.loads(output("localnet", "show", "--json", env=env))["rules"]
    assert (shown["max_uids"], shown["commit_reveal"], shown["reveal_period"]) == (1, True, 2)
    assert (shown["min_allowed_weights"], shown["max_weight_limit"]) == (2, 0.5)
    for name in ("alice", "bob"):
        said = output("localnet", "register", "--create-wallet", "--wallet.name", name, *wallets, env=env)
        assert said.startswith("uid 0:"), "the second takes the first one's place"
    assert output("localnet", "fault", "fail", "--count", "1", env=env) == "fail 0 x 1\n"
    done = run_here("localnet", "show", env=env)
    assert done.returncode == 1
    assert "a failure that was injected" in done.stderr
    output("localnet", "show", env=env)
