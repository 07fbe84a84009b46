"""Neurons where SDK 11 is installed: they start without axons, and the proxy is their only door."""

import asyncio
import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import bittensor
import pytest
from bittensor_wallet import Keypair
from packaging.requirements import Requirement

import violet
from fixtures.waiting import until
from violet.chain import Hotkey, localnet
from violet.chain.ledger import Rules
from violet.config import ValidatorConfig
from violet.corpus import packaged_clips
from violet.doctor import machine
from violet.errors import WalletError
from violet.local_network import LocalNetwork
from violet.protocol import signed_headers
from violet.scoreboard import Scoreboard
from violet.sdk import CHAIN_ONLY, btcli_flags, has_axons, installed_sdk
from violet.validator import PRESENT_MS, Validator
from violet.wallet import create_wallet, load_wallet

ROOT = Path(__file__).parents[2]
WITH_AXONS_ONLY = {"bittensor", "fastapi", "starlette", "uvicorn"}
"""What Violet needs of packages besides, with SDK 10.5."""
DEADLINE_S = 150.0


def test_this_environment_has_what_the_package_needs_but_for_axons() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for requirement in map(Requirement, needed):
        if requirement.name in WITH_AXONS_ONLY:
            continue
        assert importlib.metadata.version(requirement.name) in requirement.specifier
    assert installed_sdk() == CHAIN_ONLY
    assert not has_axons()


def test_neurons_and_commands_start_without_axons() -> None:
    """In a process of its own, with all that the modules import at their top."""
    program = (
        "import sys, violet.miner, violet.validator, violet.challenger, violet.neuron, violet.doctor, violet.demo;"
        "import violet.cli.metagraph, violet.cli.status, violet.cli.weights;"
        "print([name for name in ('bittensor', 'fastapi', 'uvicorn', 'starlette') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")
    for script in ("miner.py", "validator.py"):
        run = subprocess.run(
            [sys.executable, str(ROOT / "neurons" / script), "--help"], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, "")
        assert "--subtensor.network" in run.stdout


def test_wallets_of_either_library_are_opened_by_the_other(tmp_path: Path) -> None:
    theirs = bittensor.Wallet("a", "b", str(tmp_path))
    theirs.create_new_coldkey(use_password=False, suppress=True)
    theirs.create_new_hotkey(suppress=True)
    ours = load_wallet("a", "b", tmp_path)
    assert ours.hotkey.ss58_address == theirs.hotkey.ss58_address
    assert ours.coldkeypub.ss58_address == theirs.coldkeypub.ss58_address
    made = create_wallet("c", "d", tmp_path)
    assert bittensor.Wallet("c", "d", str(tmp_path)).hotkey.ss58_address == made.hotkey.ss58_address
    theirs.create_new_hotkey(hotkey_password="secret", suppress=True, overwrite=True)
    with pytest.raises(WalletError, match="encrypted"):
        load_wallet("a", "b", tmp_path)


def test_requests_are_signed_as_the_sdk_checks_them() -> None:
    hotkey, proxy = Keypair.create_from_uri("//Alice"), Keypair.create_from_uri("//Bob").ss58_address
    body = b'{"claim_id":"1"}'
    headers = signed_headers(hotkey, "POST", "/v1/miner/claim?x=1", body, proxy)
    asked: dict[str, Any] = {"method": "POST", "path": "/v1/miner/claim?x=1", "self_hotkey_ss58": proxy}
    caller = bittensor.http_auth.verify(headers, body, **asked)
    assert caller.hotkey_ss58 == hotkey.ss58_address
    with pytest.raises(bittensor.http_auth.AuthError):
        bittensor.http_auth.verify(
            signed_headers(hotkey, "POST", "/v1/miner/claim?x=1", body, proxy), body + b" ", **asked
        )


def test_commands_are_told_as_this_sdks_btcli_takes_them(tmp_path: Path) -> None:
    flags = btcli_flags(name="a", hotkey="b", path=tmp_path, network="test")
    btcli = Path(sys.executable).with_name("btcli")
    run = subprocess.run(
        [str(btcli), "subnet", "register", "--netuid", "49", *flags.split(), "--help"],
        capture_output=True, text=True, check=False, env=os.environ | {"HOME": str(tmp_path)},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    with pytest.raises(WalletError, match=f"btcli wallet new_coldkey --wallet nobody --wallet-path {tmp_path}"):
        load_wallet("nobody", "b", tmp_path)


def test_the_doctor_says_what_is_missing_here() -> None:
    finding = machine.packages()
    assert finding.state == "note"
    assert f"bittensor {bittensor.__version__}" in finding.text
    assert "no axons" in finding.text


def test_who_is_there_is_the_proxys_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "localnet.sqlite"
    monkeypatch.setenv("VIOLET_LOCALNET", str(path))
    localnet.create(path, Rules())
    wallets = {name: create_wallet(name, "default", tmp_path) for name in ("judge", "here", "away", "stranger")}
    hotkeys = {name: Hotkey(wallet.hotkey.ss58_address) for name, wallet in wallets.items()}
    for name in ("judge", "here", "away"):
        localnet.register(path, wallets[name].hotkey, wallets[name].coldkeypub.ss58_address)
    flags = ["--subtensor.network", "localnet", "--wallet.path", str(tmp_path), "--wallet.name", "judge"]
    validator = Validator(ValidatorConfig.from_args([*flags, "--neuron.path", str(tmp_path / "state")], {}))
    asyncio.run(validator.metagraph.refresh())

    def probes(name: str) -> tuple[int, int] | None:
        record = validator._scores._records.get(hotkeys[name])
        return None if record is None else (record.answered, record.asked)

    heard = {"here": 10_000, "away": 10_000 - PRESENT_MS - 1, "stranger": 10_000}
    validator._believe({hotkeys[name]: at_ms for name, at_ms in heard.items()}, 10_000)
    assert [probes(name) for name in hotkeys] == [None, (1, 1), None, None], "who never was here is not missed"
    validator._believe({}, 70_000)
    assert probes("here") == (1, 2)
    validator.chain.close()


def test_a_network_without_axons_works_judges_and_pays(tmp_path: Path) -> None:
    clip = next(clip for clip in packaged_clips() if clip.path.name == "jfk.flac")
    network = LocalNetwork(tmp_path, n_miners=1, n_validators=1, has_bad_miner=False)
    judge = network.member("validator-1")
    judge.arguments = [*judge.arguments, "--challenge.interval_s", "3"]
    with network:
        miner = network.member("miner-1")
        assert miner.uid is not None
        with violet.Client(network.url) as client:
            task = client.wait(client.submit(clip.path).id, timeout_s=DEADLINE_S)
            assert task.state == "verified"
            text = client.result(task.id)
        assert violet.wer(clip.text, text, "whisper-basic") == 0
        weights = until(lambda: network.chain.weights().get(judge.uid or 0), "weights are set")
        assert weights == {miner.uid: 1.0}
        logs = {name: (network.logs / f"{name}.log").read_text() for name in ("miner-1", "validator-1")}
        assert "no axon; work from" in logs["miner-1"]
        assert all("no axons and dendrites" in log for log in logs.values())
        neuron = network.chain.metagraph().neurons[miner.uid]
        assert not neuron.is_serving
    record = json.loads((tmp_path / "validator-1" / "scores.json").read_text())["miners"][miner.hotkey]
    assert record["answered"] == record["asked"] > 0
    assert record["direct"] == {}
    assert Hotkey(str(miner.hotkey)) in Scoreboard.open(tmp_path / "validator-1" / "scores.json")
