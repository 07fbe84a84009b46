"""Many miners, many tasks, nothing lost. Takes minutes: `make soak` runs it, `make test` does not."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.networks import settings_of_weights, tone
from violet.client import AsyncClient
from violet.local_network import LocalNetwork

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

N_MINERS, N_VALIDATORS, N_TASKS = 20, 3, 500
SUBMITTED_AT_ONCE = 16
SOAK_S = 2400.0
"""Longest time for all tasks, on two slow cores."""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[LocalNetwork]:
    with LocalNetwork(
        tmp_path,
        n_miners=N_MINERS,
        n_validators=N_VALIDATORS,
        has_bad_miner=False,
        kinds=("analysis",),
        block_time_s=1.0,
        commit_s=int(SOAK_S),
        challenge_interval_s=30.0,
        start_timeout_s=600.0,
    ) as network:
        yield network


async def submit_all(network: LocalNetwork, clip: Path) -> list[str]:
    """Sends every task and kills a miner in the middle; the tasks' names."""
    places = asyncio.Semaphore(SUBMITTED_AT_ONCE)
    async with AsyncClient(network.url) as client:

        async def submit(number: int) -> str:
            async with places:
                task = await client.submit(clip, kind="analysis", fields=["level"], name=f"{number}.wav")
            if number == N_TASKS // 2:
                network.kill("miner-1")
            return task.id

        return await asyncio.gather(*map(submit, range(N_TASKS)))


async def states_of(network: LocalNetwork, task_ids: list[str]) -> Counter[str]:
    """How many of the tasks ended in which state; waits for each."""
    found: Counter[str] = Counter()
    async with AsyncClient(network.url) as client:
        for count, task_id in enumerate(task_ids):
            while not (task := await client.task(task_id, wait_s=20.0)).is_final:
                pass
            found[task.state] += 1
            if count % 50 == 49:
                print(f"{count + 1} tasks: {dict(found)}", flush=True)
    return found


def test_nothing_is_lost(network: LocalNetwork, tmp_path: Path) -> None:
    began = time.monotonic()
    task_ids = asyncio.run(submit_all(network, tone(tmp_path / "tone.wav")))
    sent_s = time.monotonic() - began
    assert len(set(task_ids)) == N_TASKS
    found = asyncio.run(asyncio.wait_for(states_of(network, task_ids), SOAK_S))
    took_s = time.monotonic() - began
    document = network.get("/v1/network")
    assert document is not None
    answered = sorted(miner["answered"] for miner in document["miners"])
    print(
        f"{N_TASKS} tasks sent in {sent_s:.1f} s, ended in {took_s:.1f} s ({N_TASKS / took_s:.1f} a second): "
        f"{dict(found)}; answers by miner from {answered[0]} to {answered[-1]}"
    )
    assert found == {"verified": N_TASKS}
    validators = [member for member in network.members if member.role == "validator"]
    settings_of_weights(network, validators, 1)
    dead = [member.name for member in network.members if member.process is not None and member.process.poll()]
    assert dead == ["miner-1"], "no other process ended"
