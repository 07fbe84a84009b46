"""What miner and validator share: a chain that goes away, a hotkey that is replaced, a log for programs."""

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from violet import logs
from violet.chain import EpochInfo, localnet
from violet.chain.ledger import Ledger, Rules
from violet.config import MinerConfig, ValidatorConfig
from violet.metrics import MinerMetrics
from violet.neuron import Neuron
from violet.validator import Validator
from violet.wallet import create_wallet


class Bystander(Neuron):
    """A neuron that only looks."""

    published = 0

    async def run(self, stop: asyncio.Event) -> None:
        await self.until_stopped(stop, [asyncio.create_task(self.follow_chain())])

    async def reregistered(self) -> None:
        self.published += 1


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    path = tmp_path / "localnet.sqlite"
    monkeypatch.setenv("VIOLET_LOCALNET", str(path))
    localnet.create(path, Rules(max_uids=2, immunity_period=0, block_time_s=0.05))
    ledger = Ledger.open(path)
    yield ledger
    ledger.close()


def register(tmp_path: Path, name: str) -> None:
    wallet = create_wallet(name, "default", tmp_path / "wallets")
    localnet.register(tmp_path / "localnet.sqlite", wallet.hotkey, wallet.coldkeypub.ss58_address)


def flags(tmp_path: Path, *more: str) -> list[str]:
    return [
        "--subtensor.network", "localnet", "--wallet.path", str(tmp_path / "wallets"), "--wallet.name", "one",
        "--neuron.path", str(tmp_path / "state"), "--neuron.sync_interval_s", "0.1", "--metrics.port", "0", *more,
    ]  # fmt: skip


async def until(claim: object, deadline_s: float = 30.0) -> None:
    async with asyncio.timeout(deadline_s):
        while not claim():  # type: ignore[operator]
            await asyncio.sleep(0.05)


async def test_a_chain_that_is_away_and_a_hotkey_that_is_replaced_are_noticed(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    register(tmp_path, "one")
    neuron = Bystander(MinerConfig.from_args(flags(tmp_path), {}), MinerMetrics())
    await neuron.metagraph.refresh()
    assert neuron.health() == {}
    stop = asyncio.Event()
    running = asyncio.create_task(neuron.run(stop))
    with caplog.at_level(logging.INFO, "violet"):
        ledger.inject("fail", 0, 2)
        failed = "violet_neuron_chain_errors_total{call=metagraph}"
        await until(lambda: neuron.metrics.snapshot().get(failed) == 2)
        before = neuron.metagraph.now.block
        await until(lambda: neuron.metagraph.now.block > before)
        for name in ("two", "three"):
            register(tmp_path, name)
        await until(neuron.health)
        assert neuron.health() == {"registration": "the hotkey is not registered"}
        assert "violet localnet register --wallet.name one" in caplog.text
        assert neuron.metrics.snapshot()["violet_neuron_uid"] == -1
        register(tmp_path, "one")
        await until(lambda: neuron.published)
    assert neuron.health() == {}
    stop.set()
    await running
    neuron.chain.close()


async def test_metrics_and_health_are_served_while_a_neuron_runs(ledger: Ledger, tmp_path: Path) -> None:
    register(tmp_path, "one")
    neuron = Bystander(MinerConfig.from_args(flags(tmp_path), {}), MinerMetrics())
    logging.getLogger("violet").setLevel(logging.INFO)
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("violet").addHandler(handler)
    try:
        async with neuron.watched(), aiohttp.ClientSession() as session:
            url = next(line for line in seen if line.startswith("metrics and health on ")).rpartition(" ")[2]
            async with session.get(f"{url}/healthz") as reply:
                assert (reply.status, (await reply.json())["wrong"]) == (
                    503,
                    {"chain": "the metagraph was not read yet"},
                )
            await neuron.metagraph.refresh()
            async with session.get(f"{url}/healthz") as reply:
                assert reply.status == 200
            async with session.get(f"{url}/metrics") as reply:
                assert "violet_neuron_uid 0.0" in await reply.text()
    finally:
        logging.getLogger("violet").removeHandler(handler)
        neuron.chain.close()


def test_the_log_for_programs_is_json_and_has_tracebacks(tmp_path: Path) -> None:
    before = logging.root.handlers[:]
    try:
        logs.begin("info", tmp_path / "logs")
        log = logging.getLogger("violet")
        log.info("answered in %.1f s", 2.5, extra={"task_id": "task_1"})
        log.debug("not at this level")
        try:
            Path(tmp_path / "missing").read_text()
        except OSError:
            log.exception("failed")
    finally:
        for handler in logging.root.handlers:
            handler.close()
        logging.root.handlers = before
    lines = [json.loads(line) for line in (tmp_path / "logs" / logs.FILE_NAME).read_text().splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [("info", "answered in 2.5 s"), ("error", "failed")]
    assert lines[0]["task_id"] == "task_1"
    assert "FileNotFoundError" in lines[1]["traceback"]


def test_weights_are_set_once_an_epoch_at_a_time_of_ones_own(ledger: Ledger, tmp_path: Path) -> None:
    waits = {}
    for name in ("one", "two"):
        register(tmp_path, name)
        config = ValidatorConfig.from_args([*flags(tmp_path), "--wallet.name", name], {})
        validator = Validator(config)

        def wait(left: int, since: int | None, validator: Validator = validator) -> int:
            return validator._blocks_to_wait(EpochInfo(1000, 360, left, since, 100))

        window = 360 - wait(360, None)
        assert 45 <= window <= 180
        assert wait(window, None) == 0
        assert wait(window + 7, 200) == 7
        assert wait(10, 360) == 0, "not set in this epoch yet"
        assert wait(window - 5, 5) == window - 5, "set at the window's beginning: not again before the next epoch"
        waits[name] = window
        validator.chain.close()
    assert waits["one"] != waits["two"]
