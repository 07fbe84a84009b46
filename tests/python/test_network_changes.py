"""A network of processes whose miners, validators and chain come and go while it works."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.networks import FINAL, chain_away, curl, metrics, settings_of_weights, shares, task, tone
from fixtures.waiting import until
from violet.local_network import LocalNetwork, Member

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

GRACE_S, COMMIT_S = 5, 20
"""How long a dead miner and a dead validator are waited for."""


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    # Analyses alone: what is tried here costs no model, so that processes come and go quickly.
    with LocalNetwork(
        tmp_path_factory.mktemp("network"),
        n_miners=2,
        n_validators=3,
        has_bad_miner=False,
        kinds=("analysis",),
        tempo=40,
        grace_s=GRACE_S,
        commit_s=COMMIT_S,
        challenge_interval_s=2.0,
        start_timeout_s=180.0,
    ) as network:
        yield network


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone(tmp_path_factory.mktemp("clips") / "tone.wav")


def submit(network: LocalNetwork, clip: Path) -> str:
    text = curl(f"{network.url}/v1/tasks", "-F", f"file=@{clip}", "-F", "kind=analysis", "-F", "fields=level")
    task_id: str = json.loads(text)["id"]
    return task_id


def ended(network: LocalNetwork, *task_ids: str) -> list[str]:
    """The states in which these tasks ended."""
    for task_id in task_ids:
        until(lambda name=task_id: task(network, name)["state"] in FINAL, f"{task_id} has ended")  # type: ignore[misc]
    return [task(network, task_id)["state"] for task_id in task_ids]


def living(network: LocalNetwork, role: str) -> list[Member]:
    return [m for m in network.members if m.role == role and m.process is not None and m.process.poll() is None]


def test_a_miner_that_joins_finds_its_share(network: LocalNetwork, clip: Path) -> None:
    validators = living(network, "validator")
    joined = network.join("miner")
    assert joined.uid is not None
    uid = joined.uid
    until(lambda: str(joined.hotkey) in json.dumps(network.get("/v1/network")), "the proxy knows it")

    def works() -> bool:
        state = ended(network, submit(network, clip))
        assert state == ["verified"]
        return any(
            name.startswith("violet_miner_tasks_total") and 'door="proxy",kind="analysis",outcome="answered"' in name
            for name, value in metrics(joined).items()
            if value > 0
        )

    until(works, "it has answered a task")
    until(lambda: all(shares(network).get(v.uid or 0, {}).get(uid, 0) > 0 for v in validators), "all give it weight")
    until(lambda: network.chain.metagraph().neurons[uid].emission > 0, "the chain pays it")


def test_a_miner_that_dies_loses_its_weight_and_no_user_notices(network: LocalNetwork, clip: Path) -> None:
    victim, other = network.member("miner-1"), network.member("miner-2")
    validators = living(network, "validator")
    settings_of_weights(network, validators, 1)

    def ratios() -> list[float]:
        """What the victim gets for each part of the other's, by validator."""
        found = shares(network)
        assert all(v.uid is not None and other.uid in found[v.uid] for v in validators)
        return [found[v.uid or 0].get(victim.uid or 0, 0.0) / found[v.uid or 0][other.uid or 0] for v in validators]

    before = ratios()
    assert min(before) > 0
    paid = network.chain.metagraph().neurons[victim.uid or 0].incentive
    tasks = [submit(network, clip) for _ in range(3)]
    network.kill(victim.name)
    tasks += [submit(network, clip) for _ in range(3)]
    assert ended(network, *tasks) == ["verified"] * 6
    # Each validator sets weights once an epoch.
    settings_of_weights(network, validators, 2)
    after = ratios()
    assert all(new < 0.8 * old for new, old in zip(after, before, strict=True)), (before, after)
    until(lambda: network.chain.metagraph().neurons[victim.uid or 0].incentive < paid, "the chain pays it less")


def test_validators_carry_on_without_one_that_died(network: LocalNetwork, clip: Path) -> None:
    network.kill("validator-3")
    rest = living(network, "validator")
    assert len(rest) == 2
    task_id = submit(network, clip)
    assert ended(network, task_id) == ["verified"]
    judged = {evaluation["validator"] for evaluation in task(network, task_id)["verdict"]["evaluations"]}
    assert judged == {str(validator.hotkey) for validator in rest}
    settings_of_weights(network, rest, 1)


def test_everybody_goes_on_when_the_chain_comes_back(network: LocalNetwork, clip: Path) -> None:
    neurons = [*living(network, "validator"), *living(network, "miner")]
    assert len(neurons) == 4

    def failures(member: Member) -> float:
        return metrics(member).get('violet_neuron_chain_errors_total{call="metagraph"}', 0.0)

    before = {member.name: failures(member) for member in neurons}
    with chain_away(network):
        for member in neurons:
            until(lambda m=member: failures(m) > before[m.name] + 1, f"{member.name} misses the chain")  # type: ignore[misc]
        meanwhile = submit(network, clip)
        until(lambda: task(network, meanwhile).get("answer"), "a user is answered without a chain")
    block = network.chain.block()
    for member in neurons:
        until(lambda m=member: metrics(m).get("violet_neuron_block", 0) > block, f"{member.name} reads it again")  # type: ignore[misc]
    settings_of_weights(network, living(network, "validator"), 1)
    assert ended(network, meanwhile, submit(network, clip)) == ["verified", "verified"]
    dead = {"miner-1", "validator-3"}
    assert all((m.name in dead) == (m.process is not None and m.process.poll() is not None) for m in network.members)


def test_status_follows_the_network(network: LocalNetwork) -> None:
    command = [sys.executable, "-m", "violet", "status", "--subtensor.network", "localnet", "--proxy.url", network.url]
    once = subprocess.run([*command, "--once", "--json"], capture_output=True, text=True, env=network.environment)
    assert once.returncode == 0, once.stderr
    rows = {row["hotkey"]: row for row in json.loads(once.stdout)["neurons"]}
    assert {rows[str(m.hotkey)]["role"] for m in living(network, "miner")} == {"miner"}
    for validator in living(network, "validator"):
        assert rows[str(validator.hotkey)]["weights_age"] is not None
    for miner in living(network, "miner"):
        row = rows[str(miner.hotkey)]
        assert (row["kinds"], row["capacity"]) == (["analysis"], 1)
        assert row["answered"] > 0
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*command, "--interval", "0.5"], stdout=theirs, stderr=theirs, env=network.environment
    ) as live:
        os.close(theirs)
        shown = b""
        try:
            # It draws over itself: the same screen, with other blocks.
            while len(set(re.findall(rb"block (\d+),", shown))) < 3:
                shown += os.read(ours, 65536)
            live.send_signal(signal.SIGINT)
            assert live.wait(60) == 130
        finally:
            live.kill()
            os.close(ours)
    assert shown.count(b"\x1b[H") >= 3
    assert all(str(hotkey)[:8].encode() in shown for hotkey in rows)


def test_doctor_finds_a_neuron_at_work(network: LocalNetwork) -> None:
    def findings(name: str, role: str) -> dict[str, dict[str, str]]:
        wallet = ["--wallet.path", str(network.directory / "wallets"), "--wallet.name", name]
        command = [sys.executable, "-m", "violet", "doctor", "--json", "--role", role, *wallet]
        command += ["--subtensor.network", "localnet", "--proxy.url", network.url]
        port = network.member(name).arguments[network.member(name).arguments.index("--axon.port") + 1]
        run = subprocess.run([*command, "--axon.port", port], capture_output=True, text=True, env=network.environment)
        assert run.returncode == 0, run.stdout + run.stderr
        return {found["what"]: found for found in map(json.loads, run.stdout.splitlines())}

    miner = findings("miner-2", "miner")
    assert all(miner[what]["state"] == "ok" for what in ("registration", "axon", "chain", "proxy", "clock", "stake"))
    assert "answers" in miner["axon"]["text"]
    validator = findings("validator-1", "validator")
    assert validator["permit"]["state"] == validator["stake"]["state"] == "ok"
    assert "1000" in validator["stake"]["text"]
