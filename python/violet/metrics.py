"""A neuron's metrics for Prometheus, and its health, over HTTP on loopback."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from violet.errors import PortError

TASK_BUCKETS_S = (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Bounds of the histogram of working times, seconds."""

STOP_WAIT_S = 1.0
"""How long the server may take to end."""

type Health = Callable[[], Mapping[str, str]]
"""What is wrong now, by part; empty when nothing is."""


class NeuronMetrics:
    """What both kinds of neuron measure. Every name that `violet_` begins is explained by its help text."""

    def __init__(self, role: str) -> None:
        self.registry = CollectorRegistry()
        self.role = role
        self.info = self.gauge("neuron_info", "Always 1; the labels say who", ("role", "network", "netuid", "version"))
        self.uid = self.gauge("neuron_uid", "The hotkey's uid; -1 while it has none")
        self.block = self.gauge("neuron_block", "Newest block that was read")
        self.synced_at = self.gauge("neuron_synced_timestamp_seconds", "When the metagraph was last read")
        self.chain_errors = self.counter("neuron_chain_errors_total", "Calls to the chain that failed", ("call",))
        self.proxy_errors = self.counter("neuron_proxy_errors_total", "Requests to the proxy that failed for good")
        started = self.gauge("neuron_start_timestamp_seconds", "When the process began")
        started.set(time.time())

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """A counter of this registry."""
        return Counter(f"violet_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """A gauge of this registry."""
        return Gauge(f"violet_{name}", text, labels, registry=self.registry)

    def seconds(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
        """A histogram of working times."""
        return Histogram(f"violet_{name}", text, labels, registry=self.registry, buckets=TASK_BUCKETS_S)

    def snapshot(self) -> dict[str, float]:
        """Every value now, by name and labels; of histograms count and sum only."""
        found = {}
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name.endswith(("_bucket", "_created")):
                    continue
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = float(sample.value)
        return found


class MinerMetrics(NeuronMetrics):
    """What a miner measures."""

    def __init__(self) -> None:
        super().__init__("miner")
        self.tasks = self.counter("miner_tasks_total", "Tasks by what came of them", ("kind", "door", "outcome"))
        self.task_seconds = self.seconds("miner_task_seconds", "Time from lease or call to answer", ("kind",))
        self.running = self.gauge("miner_running", "Tasks in work")
        self.waiting = self.gauge("miner_waiting", "Direct requests that wait for their turn")
        self.capacity = self.gauge("miner_capacity", "Tasks that it takes at once", ("kind",))


class ValidatorMetrics(NeuronMetrics):
    """What a validator measures."""

    def __init__(self) -> None:
        super().__init__("validator")
        self.evaluations = self.counter("validator_evaluations_total", "Tasks judged", ("kind", "outcome"))
        self.evaluation_seconds = self.seconds("validator_evaluation_seconds", "Time to judge a task", ("kind",))
        self.challenges = self.counter("validator_challenges_total", "Challenges", ("kind", "route", "outcome"))
        self.answering = self.gauge("validator_miners_answering", "Miners that answered in the last round")
        self.asked = self.gauge("validator_miners_asked", "Miners that were asked in the last round")
        self.score = self.gauge("validator_miner_score", "Each miner's score, 0 to 1", ("uid",))
        self.weight = self.gauge("validator_miner_weight", "Each miner's weight when weights were last set", ("uid",))
        self.weights_set = self.counter("validator_weights_total", "Settings of weights", ("outcome",))
        self.weights_at = self.gauge("validator_weights_timestamp_seconds", "When weights were last set")
        self.disagreement = self.gauge(
            "validator_proxy_disagreement", "Standard deviations by which the proxy says less of miners than is seen"
        )
        self.flagged = self.gauge("validator_proxy_flagged", "1 while the proxy's account is not to be believed")


class MetricsServer:
    """Serves `/metrics` and `/healthz`.

    Args:
        metrics: What is measured.
        health: What is wrong now; with anything in it `/healthz` answers 503.
        host: Address to bind.
        port: Port to bind; 0 for any free one, found in `port` after `start`.
    """

    def __init__(self, metrics: NeuronMetrics, health: Health, host: str, port: int) -> None:
        self.port = port
        self._metrics = metrics
        self._health = health
        self._host = host
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Begins to serve.

        Raises:
            PortError: The address cannot be bound.
        """
        app = web.Application(client_max_size=1024)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/healthz", self._show_health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_WAIT_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            message = (
                f"metrics cannot be served on {self._host}:{self.port}: {error.strerror}; give another --metrics.port"
            )
            raise PortError(message) from error
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Ends serving; the same again does nothing."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        )

    async def _show_health(self, _: web.Request) -> web.Response:
        wrong = dict(self._health())
        body: dict[str, Any] = {"status": "wrong" if wrong else "ok", "role": self._metrics.role, "wrong": wrong}
        return web.json_response(body, status=503 if wrong else 200)
