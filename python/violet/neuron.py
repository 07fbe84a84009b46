"""What miner and validator share: the wallet, the chain, the metagraph, the model, and a run that ends in order."""

import asyncio
import contextlib
import logging
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from violet.chain import Chain, Hotkey, Metagraph, connect
from violet.config import PRIVATE_NETWORKS, NeuronConfig
from violet.errors import NotRegisteredError, VioletError
from violet.proxy_client import ProxyClient
from violet.transcriber import Transcriber
from violet.wallet import load_wallet

log = logging.getLogger("violet")

_LEVELS = {"info": logging.INFO, "debug": logging.DEBUG, "trace": logging.DEBUG}


TRACEBACK_LEVELS = frozenset({"debug", "trace"})
"""Log levels at which errors come with their tracebacks."""


class Neuron(ABC):
    """One registered hotkey at work.

    Raises:
        VioletError: The wallet or the chain cannot be used.
    """

    def __init__(self, config: NeuronConfig) -> None:
        self._settings = config
        self.is_debug = config.log_level in TRACEBACK_LEVELS
        self.wallet = load_wallet(config.wallet_name, config.wallet_hotkey, config.wallet_path)
        self.chain: Chain = connect(config.network, config.netuid, self.wallet, chain_endpoint=config.chain_endpoint)

    @abstractmethod
    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then ends in order."""

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
        hotkey = self.wallet.hotkey.ss58_address
        neuron = metagraph.by_hotkey.get(Hotkey(hotkey))
        if neuron is None:
            settings = self._settings
            how = (
                "violet localnet register"
                if settings.network == "localnet"
                else f"btcli subnet register --netuid {settings.netuid} --subtensor.network {settings.network}"
            )
            message = (
                f"hotkey {hotkey} is not registered on netuid {settings.netuid} of {settings.network}; "
                f"register it with: {how} --wallet.name {settings.wallet_name} "
                f"--wallet.hotkey {settings.wallet_hotkey} --wallet.path {settings.wallet_path}"
            )
            raise NotRegisteredError(message)
        return neuron.uid

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
    """The metagraph as of a short while ago; the old one stays while the chain does not answer."""

    def __init__(self, chain: Chain, interval_s: float) -> None:
        self._chain = chain
        self._interval_s = interval_s
        self._metagraph: Metagraph | None = None

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

    async def refresh(self) -> None:
        """Reads the metagraph from the chain.

        Raises:
            VioletError: The chain does not answer.
        """
        self._metagraph = await asyncio.to_thread(self._chain.metagraph)

    async def refresh_forever(self) -> None:
        """Reads it again and again."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.refresh()
            except (VioletError, OSError) as error:
                log.warning("metagraph not refreshed: %s", error)


def run_neuron[C: NeuronConfig](read: Callable[[], C], build: Callable[[C], Neuron]) -> int:
    """Runs a neuron until SIGINT or SIGTERM.

    Returns:
        0 after an orderly end, 1 after a failure told in one line; wrong flags end the program with 2.
    """
    config = read()
    logging.basicConfig(
        level=_LEVELS[config.log_level], format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr, force=True
    )
    try:
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
    await neuron.run(stop)
