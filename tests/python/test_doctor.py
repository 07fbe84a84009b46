"""`violet doctor`, finding by finding: what is there, what is wrong, how to mend it."""

import argparse
import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest

from violet import doctor
from violet.chain import Coldkey, Hotkey, Metagraph, Neuron
from violet.doctor.finding import Finding
from violet.doctor.machine import device, model_cache, python
from violet.doctor.network import MIN_STAKE, axon, clock, place
from violet.models.registry import TINY_EN

VALIDATOR = Neuron(0, Hotkey("5Validator"), Coldkey("c0"), 2 * MIN_STAKE, validator_permit=True)
MINER = Neuron(1, Hotkey("5Miner"), Coldkey("c1"), 0.0)
METAGRAPH = Metagraph(1, "localnet", 7, 20, (VALIDATOR, MINER), 0)


def look(
    hotkey: str, role: str | None, metagraph: Metagraph = METAGRAPH, network: str = "localnet"
) -> dict[str, Finding]:
    found = argparse.Namespace(
        network=network, netuid=1, wallet_name="w", wallet_hotkey="h", wallet_path=None, role=role, axon_port=0
    )
    return {finding.what: finding for finding in place(found, metagraph, hotkey)}


def states(findings: Mapping[str, Finding]) -> dict[str, str]:
    return {what: finding.state for what, finding in findings.items()}


def test_a_validator_with_permit_and_stake_is_well() -> None:
    found = look("5Validator", "validator")
    assert states(found) == {"registration": "ok", "permit": "ok", "stake": "ok", "axon": "ok"}
    assert found["registration"].text == "uid 0 of localnet subnet 1"


@pytest.mark.parametrize(
    ("role", "permit", "stake"),
    [
        pytest.param("miner", "ok", "ok", id="as-a-miner"),
        pytest.param("validator", "broken", "broken", id="as-a-validator"),
        pytest.param(None, "note", "note", id="as-nobody-said-what"),
    ],
)
def test_a_hotkey_without_stake_is_well_for_a_miner_alone(role: str | None, permit: str, stake: str) -> None:
    found = look("5Miner", role)
    assert (found["permit"].state, found["stake"].state) == (permit, stake)
    if role == "validator":
        assert "the least stake of those who have one is 2000" in found["permit"].text
        assert found["stake"].mend == "violet localnet stake 1000 --wallet.name w --wallet.hotkey h"


def test_a_hotkey_that_is_not_registered_is_told_how_to_be() -> None:
    found = look("5Nobody", "miner", network="finney")["registration"]
    assert found.state == "broken"
    assert found.mend == "btcli subnet register --netuid 1 --subtensor.network finney --wallet.name w --wallet.hotkey h"
    local = look("5Nobody", "miner")
    assert local["registration"].mend == "violet localnet register --wallet.name w --wallet.hotkey h"
    assert (local["permit"].state, local["stake"].state) == ("note", "note")


def test_the_axon_is_looked_for_where_the_chain_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        served = replace(MINER, ip="127.0.0.1", port=port)
        assert axon(1, served, "miner") == Finding("axon", "ok", f"answers at 127.0.0.1:{port}, which the chain names")
        taken = axon(port, MINER, "miner")
        assert (taken.state, taken.mend) == ("note", "a miner here needs another: --axon.port PORT")
    gone = axon(1, served, "miner")
    assert gone.state == "note"
    assert f"nothing answers at 127.0.0.1:{port}" in gone.text
    assert "open its port" in (gone.mend or "")
    assert axon(port, MINER, "miner").state == "ok"


def test_a_python_that_violet_is_not_made_for_is_named() -> None:
    assert python((3, 12)).state == python((3, 14)).state == "ok"
    for version in ((3, 11), (3, 15)):
        found = python(version)
        assert found.state == "broken"
        assert "3.12 to 3.14" in (found.mend or "")


def test_a_hidden_gpu_is_said() -> None:
    assert "hides every GPU" in device({"CUDA_VISIBLE_DEVICES": ""}).text
    assert "auto is the" in device({}).text


def test_a_damaged_model_is_seen(tmp_path: Path) -> None:
    env = {"VIOLET_CACHE": str(tmp_path)}
    assert model_cache(env).state == "note"
    directory = tmp_path / "models" / TINY_EN.name
    directory.mkdir(parents=True)
    (directory / "model.bin").write_bytes(b"cut short")
    finding = model_cache(env)
    assert (finding.state, finding.mend) == ("broken", "violet models fetch --update tiny.en")


def test_what_the_models_do_not_allow_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Status:
        name, state = "tiny.en", "cached"

    monkeypatch.setattr("violet.models.list_models", lambda **_: [Status])
    assert model_cache().state == "ok"
    miner, validator = model_cache(role="miner"), model_cache(role="validator")
    assert (miner.state, miner.mend) == ("note", "violet models fetch joe")
    assert (validator.state, validator.mend) == ("note", "violet models fetch distillmos dnsmos")
    assert "no speech is judged" in validator.text


@pytest.mark.parametrize(
    ("offset_s", "state"),
    [
        pytest.param(0.0, "ok", id="equal"),
        pytest.param(-30.0, "broken", id="we-are-ahead"),
        pytest.param(30.0, "broken", id="we-are-behind"),
        pytest.param(9.0, "ok", id="behind-within-the-window"),
    ],
)
def test_clocks_are_compared(offset_s: float, state: str) -> None:
    now_s = 1_700_000_000.0
    assert clock(formatdate(now_s + offset_s, usegmt=True), now_s, now_s + 0.1).state == state


def test_every_part_has_its_line_and_what_is_broken_its_mend(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BT_NETWORK", "BT_WALLET_NAME", "BT_WALLET_HOTKEY", "VIOLET_PROXY_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIOLET_LOCALNET", str(tmp_path / "none.sqlite"))
    monkeypatch.setenv("BT_WALLET_PATH", str(tmp_path))
    flags = ["--subtensor.network", "localnet", "--wallet.name", "nobody"]
    assert doctor.main([*flags, "--proxy.url", "nowhere", "--json"]) == 1
    found = {line["what"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    wanted = "Python core packages processor memory driver device models disk pip axon wallet registration permit"
    assert set(found) == {*wanted.split(), "stake", "chain", "proxy"}
    broken = {what for what, line in found.items() if line["state"] == "broken"}
    assert broken == {"wallet", "chain", "proxy"}
    assert all(found[what]["mend"] for what in broken)
    assert str(tmp_path) in found["wallet"]["text"], "where the variable says"
    assert doctor.main([]) in {0, 1}
    shown = capsys.readouterr().out
    assert "chain        not asked: name it with --subtensor.network" in shown
    assert "clock        " in shown
