"""What miner and validator share: the wallet, the chain, the metagraph, the model, and a run that ends in order."""

import asyncio
import contextlib
import logging
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable

from violet import __version__, logs
from violet.chain import Chain, Hotkey, Metagraph, connect
from violet.config import METRICS_PORTS, PRIVATE_NETWORKS, NeuronConfig
from violet.errors import NotRegisteredError, PortError, VioletError
from violet.metrics import MetricsServer, NeuronMetrics
from violet.monitor import WandbMonitor, WandbSettings
from violet.proxy_client import ProxyClient
from violet.sdk import btcli_flags
from violet.transcriber import Transcriber
from violet.wallet import load_wallet

log = logging.getLogger("violet")

STALE_AFTER = 10
"""Readings of the metagraph that may fail in a row before the neuron says that it is not well."""

MIN_STALE_S = 60.0
"""The same as a time, where readings are frequent."""

TRACEBACK_LEVELS = frozenset({"debug", "trace"})
"""Log levels at which errors come with their tracebacks."""


class Neuron(ABC):
    """One registered hotkey at work.

    Raises:
        VioletError: The wallet or the chain cannot be used.
    """

    def __init__(self, config: NeuronConfig, metrics: NeuronMetrics) -> None:
        self._settings = config
        self.metrics = metrics
        self.is_debug = config.log_level in TRACEBACK_LEVELS
        self.wallet = load_wallet(config.wallet_name, config.wallet_hotkey, config.wallet_path)
        self.chain: Chain = connect(config.network, config.netuid, self.wallet, chain_endpoint=config.chain_endpoint)
        self.metagraph = MetagraphCache(self.chain, self._notice)
        self._uid: int | None = None

    @abstractmethod
    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then ends in order."""

    def health(self) -> dict[str, str]:
        """What is wrong now, by part."""
        wrong = {}
        age_s = self.metagraph.age_s
        if age_s is None:
            wrong["chain"] = "the metagraph was not read yet"
        elif age_s > max(MIN_STALE_S, STALE_AFTER * self._settings.sync_interval_s):
            wrong["chain"] = f"the metagraph is {age_s:.0f} s old: the chain does not answer"
        if age_s is not None and self._uid is None:
            wrong["registration"] = "the hotkey is not registered"
        return wrong

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Serves metrics and health, and sends samples to Weights & Biases, until the block ends."""
        settings, hotkey = self._settings, self.wallet.hotkey.ss58_address
        role = self.metrics.role
        self.metrics.info.labels(role, settings.network, settings.netuid, __version__).set(1)
        facts = {
            "role": role,
            "network": settings.network,
            "netuid": settings.netuid,
            "hotkey": hotkey,
            "model": settings.model if "/" not in settings.model else "a directory",
            "device": settings.device,
            "version": __version__,
        }
        where = WandbSettings(
            settings.wandb_mode,
            settings.wandb_project,
            settings.wandb_entity,
            settings.wandb_notes,
            settings.neuron_path / "wandb",
        )
        server = None
        if settings.metrics_port is not None:
            server = MetricsServer(self.metrics, self.health, settings.metrics_host, settings.metrics_port)
            try:
                await server.start()
                log.info("metrics and health on http://%s:%d", settings.metrics_host, server.port)
            except PortError as error:
                if settings.metrics_port != METRICS_PORTS[role]:
                    raise
                # Nobody asked for this port: another neuron on this machine has it.
                log.warning("%s", error)
        try:
            with WandbMonitor(where, f"{role}-{hotkey[:8]}", facts, self.metrics.snapshot):
                yield
        finally:
            if server is not None:
                await server.stop()

    async def reregistered(self) -> None:  # noqa: B027 - most neurons have nothing to do then
        """Called when the hotkey has a uid again, or another one."""

    def _notice(self, metagraph: Metagraph) -> bool:
        """Looks for this hotkey in a new metagraph; whether it has a uid that it had not before."""
        neuron = metagraph.by_hotkey.get(Hotkey(self.wallet.hotkey.ss58_address))
        before, self._uid = self._uid, None if neuron is None else neuron.uid
        self.metrics.block.set(metagraph.block)
        self.metrics.synced_at.set(metagraph.synced_at_ms / 1000)
        self.metrics.uid.set(-1 if self._uid is None else self._uid)
        if before is not None and self._uid is None:
            log.error("%s", self._unregistered())
        if self._uid is not None and self._uid != before:
            log.info("registered as uid %d", self._uid)
            return True
        return False

    async def load_model(self) -> Transcriber:
        """The model of the settings, loaded off the event loop."""
        settings = self._settings
        log.info("loading %s on %s", settings.model, settings.device)
        return await asyncio.to_thread(Transcriber, settings.model, settings.device)

    def proxy_client(self) -> ProxyClient:
        """A client of the proxy that signs as this hotkey."""
        settings = self._settings
        return ProxyClient(settings.proxy_url, self.wallet.hotkey, allow_private=settings.network in PRIVATE_NETWORKS)

    def registered_uid(self, metagraph: Metagraph) -> int:
        """This hotkey's uid.

        Raises:
            NotRegisteredError: It has none.
        """
        neuron = metagraph.by_hotkey.get(Hotkey(self.wallet.hotkey.ss58_address))
        if neuron is None:
            raise NotRegisteredError(self._unregistered())
        return neuron.uid

    def _unregistered(self) -> str:
        settings = self._settings
        name, hotkey, path = settings.wallet_name, settings.wallet_hotkey, settings.wallet_path
        how = (
            f"violet localnet register --wallet.name {name} --wallet.hotkey {hotkey} --wallet.path {path}"
            if settings.network == "localnet"
            else f"btcli subnet register --netuid {settings.netuid} "
            + btcli_flags(network=settings.network, name=name, hotkey=hotkey, path=path)
        )
        return (
            f"hotkey {self.wallet.hotkey.ss58_address} is not registered on netuid {settings.netuid} of "
            f"{settings.network}; register it with: {how}"
        )

    async def follow_chain(self) -> None:
        """Reads the metagraph again and again; the one place that polls the chain for its blocks."""
        while True:
            await asyncio.sleep(self._settings.sync_interval_s)
            try:
                is_new = await self.metagraph.refresh()
                if is_new:
                    await self.reregistered()
            except (VioletError, OSError) as error:
                self.metrics.chain_errors.labels("metagraph").inc()
                log.warning("metagraph not refreshed: %s", error)

    async def until_stopped(self, stop: asyncio.Event, background: Iterable[asyncio.Task[None]]) -> None:
        """Waits for `stop`; an error in the background work ends the neuron instead of hiding.

        Raises:
            Exception: Whatever ended one of the background tasks.
        """
        tasks = list(background)
        waiter = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {waiter}:
                task.result()
        finally:
            for task in (waiter, *tasks):
                task.cancel()
            await asyncio.gather(waiter, *tasks, return_exceptions=True)


class MetagraphCache:
    """The metagraph as of a short while ago; the old one stays while the chain does not answer.

    Args:
        chain: Where it is read.
        notice: Is told of every new one.
    """

    def __init__(self, chain: Chain, notice: Callable[[Metagraph], bool]) -> None:
        self._chain = chain
        self._notice = notice
        self._metagraph: Metagraph | None = None
        self._read_s = 0.0

    @property
    def now(self) -> Metagraph:
        """The newest metagraph that was read.

        Raises:
            RuntimeError: `refresh` was never called.
        """
        if self._metagraph is None:
            message = "the metagraph was not read yet"
            raise RuntimeError(message)
        return self._metagraph

    @property
    def age_s(self) -> float | None:
        """How long ago it was read; None before the first time."""
        return None if self._metagraph is None else time.monotonic() - self._read_s

    async def refresh(self) -> bool:
        """Reads the metagraph from the chain; what `notice` says of it.

        Raises:
            VioletError: The chain does not answer.
        """
        self._metagraph = await asyncio.to_thread(self._chain.metagraph)
        self._read_s = time.monotonic()
        return self._notice(self._metagraph)


def run_neuron[C: NeuronConfig](read: Callable[[], C], build: Callable[[C], Neuron]) -> int:
    """Runs a neuron until SIGINT or SIGTERM.

    Returns:
        0 after an orderly end, 1 after a failure told in one line; wrong flags end the program with 2.
    """
    config = read()
    try:
        logs.begin(config.log_level, config.logging_dir if config.record_log else None)
        neuron = build(config)
        try:
            asyncio.run(_until_signal(neuron))
        finally:
            neuron.chain.close()
    except (VioletError, OSError, ValueError) as error:
        if config.log_level in TRACEBACK_LEVELS:
            log.exception("stopped by an error")
        print(f"violet: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


async def _until_signal(neuron: Neuron) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop.set)
    async with neuron.watched():
        await neuron.run(stop)
