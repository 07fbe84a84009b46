"""A neuron's metrics and health over HTTP."""

import re

import aiohttp
import pytest

from violet.errors import PortError
from violet.metrics import MetricsServer, MinerMetrics, NeuronMetrics, ValidatorMetrics

LINE = re.compile(r'^violet_\w+(\{(\w+="[^"]*",?)*\})? [-+0-9.e]+$')


async def get(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as reply:
        return reply.status, await reply.text()


@pytest.mark.parametrize("metrics", [MinerMetrics(), ValidatorMetrics()], ids=lambda metrics: metrics.role)
async def test_metrics_are_served_as_prometheus_reads_them(metrics: NeuronMetrics) -> None:
    metrics.proxy_errors.inc()
    metrics.info.labels(metrics.role, "localnet", 1, "0.1.0").set(1)
    server = MetricsServer(metrics, dict, "127.0.0.1", 0)
    await server.start()
    try:
        status, text = await get(server.port, "/metrics")
        assert status == 200
        samples = [line for line in text.splitlines() if not line.startswith("#")]
        assert [line for line in samples if not LINE.match(line)] == []
        assert "violet_neuron_proxy_errors_total 1.0" in samples
        assert (
            f'violet_neuron_info{{netuid="1",network="localnet",role="{metrics.role}",version="0.1.0"}} 1.0' in samples
        )
        assert (await get(server.port, "/secrets"))[0] == 404
    finally:
        await server.stop()


async def test_health_says_what_is_wrong() -> None:
    wrong: dict[str, str] = {}
    server = MetricsServer(MinerMetrics(), lambda: wrong, "127.0.0.1", 0)
    await server.start()
    try:
        assert await get(server.port, "/healthz") == (200, '{"status": "ok", "role": "miner", "wrong": {}}')
        wrong["chain"] = "the metagraph is 70 s old"
        status, text = await get(server.port, "/healthz")
        assert status == 503
        assert "the metagraph is 70 s old" in text
    finally:
        await server.stop()


async def test_a_port_that_is_taken_is_named() -> None:
    first = MetricsServer(MinerMetrics(), dict, "127.0.0.1", 0)
    await first.start()
    try:
        with pytest.raises(PortError, match=rf"127\.0\.0\.1:{first.port}.*--metrics\.port"):
            await MetricsServer(MinerMetrics(), dict, "127.0.0.1", first.port).start()
    finally:
        await first.stop()
        await first.stop()


def test_a_sample_has_every_value_and_no_buckets() -> None:
    metrics = MinerMetrics()
    metrics.tasks.labels("transcription", "proxy", "answered").inc(3)
    metrics.task_seconds.labels("transcription").observe(1.5)
    sample = metrics.snapshot()
    assert sample["violet_miner_tasks_total{door=proxy,kind=transcription,outcome=answered}"] == 3
    assert sample["violet_miner_task_seconds_sum{kind=transcription}"] == 1.5
    assert not any("bucket" in name or "created" in name for name in sample)
