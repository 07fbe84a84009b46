"""Neurons where SDK 11 is installed: they start without axons, and call each other all the same."""

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import bittensor
import pytest
from bittensor_wallet import Keypair
from packaging.requirements import Requirement

import violet
from fixtures.waiting import until
from violet.chain import Coldkey, Hotkey, Metagraph, Neuron
from violet.corpus import packaged_clips
from violet.doctor import machine
from violet.errors import WalletError
from violet.local_network import LocalNetwork
from violet.protocol import signed_headers
from violet.scoreboard import Scoreboard
from violet.sdk import CHAIN_ONLY, btcli_flags, has_axons, installed_sdk
from violet.transport import Capabilities, Forwards, MinerServer, MinerService
from violet.transport.bodies import Reply
from violet.transport.caller import authentic_result
from violet.wallet import create_wallet, load_wallet

ROOT = Path(__file__).parents[2]
WITH_AXONS_ONLY = {"bittensor", "fastapi", "starlette"}
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
        "print([name for name in ('bittensor', 'fastapi', 'starlette') if name in sys.modules])"
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


def test_the_doctor_says_which_sdk_is_here() -> None:
    finding = machine.packages()
    assert finding.state == "ok"
    assert f"bittensor {bittensor.__version__}" in finding.text


async def test_a_request_that_the_sdk_signs_is_taken(tmp_path: Path) -> None:
    """A validator of another make, with the SDK's own signatures."""
    wallet, judge = create_wallet("miner", "default", tmp_path), Keypair.create_from_uri("//Alice")
    hotkey = Hotkey(wallet.hotkey.ss58_address)
    neurons = (
        Neuron(0, Hotkey(judge.ss58_address), Coldkey("a"), 100.0, validator_permit=True),
        Neuron(1, hotkey, Coldkey("b"), 0.0),
    )

    async def capabilities() -> Capabilities:
        return Capabilities(("analysis",), "", 1, 1, "1")

    metagraph = Metagraph(1, "localnet", 1, 20, neurons, 0)
    server = MinerServer(MinerService(wallet, lambda: metagraph, Forwards(capabilities)), "127.0.0.1", 0)
    await server.start()
    path, body = "/v1/direct/capabilities", b'{"task_id": "cap_1"}'
    headers = bittensor.http_auth.sign(judge, method="POST", path=path, body=body, receiver_ss58=hotkey)
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{server.port}{path}", data=body, headers=headers) as response,
    ):
        assert response.status == 200
        reply = Reply.model_validate_json(await response.read())
    await server.stop()
    assert authentic_result(reply, hotkey, "cap_1") == (await capabilities()).to_json()


def test_a_network_without_axons_challenges_judges_and_pays(tmp_path: Path) -> None:
    clip = next(clip for clip in packaged_clips() if clip.path.name == "jfk.flac")
    network = LocalNetwork(tmp_path, n_miners=1, n_validators=1, has_bad_miner=False)
    judge = network.member("validator-1")
    judge.arguments = [*judge.arguments, "--challenge.interval_s", "3"]
    miner = network.member("miner-1")

    def direct() -> dict[str, Any] | None:
        """What the validator thinks of the miner once it has challenged it itself."""
        if not (path := tmp_path / "validator-1" / "scores.json").exists():
            return None
        record: dict[str, Any] = json.loads(path.read_text())["miners"].get(miner.hotkey, {})
        return record if record.get("direct") else None

    with network:
        assert miner.uid is not None
        with violet.Client(network.url) as client:
            task = client.wait(client.submit(clip.path).id, timeout_s=DEADLINE_S)
            assert task.state == "verified"
            text = client.result(task.id)
        assert violet.wer(clip.text, text, "whisper-basic") == 0
        weights = until(lambda: network.chain.weights().get(judge.uid or 0), "weights are set")
        assert weights == {miner.uid: 1.0}
        record = until(direct, "the miner was challenged directly")
        assert network.chain.metagraph().neurons[miner.uid].is_serving
        assert "axon on port" in (network.logs / "miner-1.log").read_text()
    assert 0 < record["answered"] <= record["asked"]
    assert set(record["direct"]) <= {"transcription", "analysis", "synthesis"}
    assert record["passed"] > 0, record
    assert Hotkey(str(miner.hotkey)) in Scoreboard.open(tmp_path / "validator-1" / "scores.json")
