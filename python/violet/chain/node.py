"""What the adapters of real chains share: calls with a time limit, and one class of error for each kind of refusal.

The SDKs' calls are synchronous and may wait for ever. Here each runs in one worker thread with a timeout.
"""

import concurrent.futures
import ipaddress
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

from bittensor_wallet import Wallet

from violet.chain.types import NO_IP, EpochInfo, Metagraph
from violet.errors import (
    ChainError,
    ChainUnreachableError,
    NoPermitError,
    NotRegisteredError,
    VioletError,
    WeightsTooSoonError,
)

BLOCK_TIME_S = 12.0
"""Planned time between two blocks of every subtensor network."""

EXTRINSIC_TIMEOUT_FACTOR = 3.0
"""How much longer a call that changes the chain may take: it waits for blocks."""

AXON_PROTOCOL = 4
"""Protocol number that the SDK's axons publish."""


class NodeChain(ABC):
    """A `Chain` behind a node of the Bittensor network.

    After a call that timed out, the connection is made anew: the SDK's socket may still hold the late answer.
    """

    unreachable: ClassVar[tuple[type[BaseException], ...]]
    """What the SDK raises when a node does not answer."""

    def __init__(
        self, make: Callable[[], Any], network: str, netuid: int, wallet: Wallet | None, timeout_s: float
    ) -> None:
        self._make = make
        self._network = network
        self._netuid = netuid
        self._wallet = wallet
        self._timeout_s = timeout_s
        self._worker = _Worker()

    @classmethod
    def connect(
        cls,
        network: str,
        netuid: int,
        wallet: Wallet | None,
        *,
        chain_endpoint: str | None = None,
        timeout_s: float = 60.0,
    ) -> Self:
        """Connects to a node of `network`, or to `chain_endpoint`.

        Raises:
            ChainUnreachableError: The node does not answer within `timeout_s`.
            ChainError: The subnet does not exist.
        """
        chain = cls(lambda: cls._open(chain_endpoint or network), network, netuid, wallet, timeout_s)
        try:
            chain._check_subnet()
        except VioletError:
            chain.close()
            raise
        return chain

    @property
    def network(self) -> str:
        """Name of the network."""
        return self._network

    @property
    def netuid(self) -> int:
        """The subnet."""
        return self._netuid

    @property
    def block_time_s(self) -> float:
        """Seconds between two blocks."""
        return BLOCK_TIME_S

    @abstractmethod
    def block(self) -> int:
        """Number of the newest block."""

    @abstractmethod
    def block_hash(self) -> str:
        """Hash of the newest block."""

    @abstractmethod
    def metagraph(self) -> Metagraph:
        """Everybody who is registered, as of now."""

    @abstractmethod
    def serve(self, ip: str, port: int) -> None:
        """Publishes the address of this hotkey's axon; does nothing when it is already published.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """

    @abstractmethod
    def epoch(self) -> EpochInfo:
        """Where this hotkey stands in the epoch.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """

    def set_weights(self, uids: Sequence[int], weights: Sequence[float]) -> None:
        """Sets this validator's weights, as a commit where the subnet asks for commit and reveal.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
            NoPermitError: The hotkey has no validator permit.
            WeightsTooSoonError: Less than the rate limit since the last time.
            ChainError: The subnet wants more weights than these, or the chain refuses for another reason.
        """
        # Asked first: the SDKs say neither always nor in numbers how long to wait.
        epoch = self.epoch()
        if epoch.blocks_until_weights > 0:
            message = (
                f"weights were set {epoch.blocks_since_last_update} blocks ago; wait {epoch.blocks_until_weights} more"
            )
            raise WeightsTooSoonError(message, blocks_to_wait=epoch.blocks_until_weights)
        least = self._call(self._least_weights)
        if least is not None and len(uids) < least:
            message = f"weights for {len(uids)} miners; subnet {self._netuid} wants at least {least}"
            raise ChainError(message)
        self._send_weights([int(uid) for uid in uids], [float(weight) for weight in weights])

    def close(self) -> None:
        """Ends the connection."""
        worker = self._worker
        # In the worker: the SDK's socket belongs to the thread that made it.
        worker.submit(lambda: worker.connection and worker.connection.close())
        worker.stop()

    @classmethod
    @abstractmethod
    def _open(cls, where: str) -> Any:  # noqa: ANN401
        """The SDK's connection to a network or to the address of a node."""

    @abstractmethod
    def _subnet_exists(self, connection: Any) -> bool:  # noqa: ANN401
        """Whether the subnet is there."""

    @abstractmethod
    def _find_uid(self, connection: Any, hotkey: str) -> int | None:  # noqa: ANN401
        """The uid of a hotkey; None when it has none."""

    @abstractmethod
    def _least_weights(self, connection: Any) -> int | None:  # noqa: ANN401
        """How many weights the subnet wants at least."""

    @abstractmethod
    def _send_weights(self, uids: list[int], weights: list[float]) -> None:
        """Sends weights that may be set now."""

    def _check_subnet(self) -> None:
        if not self._call(self._subnet_exists):
            raise self._no_subnet()

    def _no_subnet(self) -> ChainError:
        return ChainError(
            f"there is no subnet {self._netuid} on {self._network}; check --netuid and --subtensor.network"
        )

    def _signer(self) -> Wallet:
        if self._wallet is None:
            message = "this connection only reads: it was made without a wallet"
            raise ChainError(message)
        return self._wallet

    def _uid(self) -> int:
        hotkey = self._signer().hotkey.ss58_address
        uid = self._call(lambda connection: self._find_uid(connection, hotkey))
        if uid is None:
            raise self._not_registered()
        return uid

    def _not_registered(self) -> NotRegisteredError:
        hotkey = self._signer().hotkey.ss58_address
        return NotRegisteredError(
            f"hotkey {hotkey} is not registered on subnet {self._netuid} of {self._network}; "
            f"register it with: btcli subnets register --netuid {self._netuid} --network {self._network}"
        )

    def _no_permit(self, what: str, said: str) -> NoPermitError:
        return NoPermitError(f"{what}: {self._network} refused: {said}")

    def _too_soon(self, what: str, said: str) -> WeightsTooSoonError:
        message = f"{what}: {self._network} refused: {said}"
        return WeightsTooSoonError(message, blocks_to_wait=max(1, self.epoch().blocks_until_weights))

    def _refused(self, what: str, said: str) -> ChainError:
        return ChainError(f"{what}: {self._network} refused: {said}")

    def _translate(self, error: Exception) -> VioletError:
        """What an exception of the SDK means, besides that the node does not answer."""
        return ChainError(f"{self._network}: {one_line(error)}")

    def _call[T](self, ask: Callable[[Any], T], *, factor: float = 1.0) -> T:
        """What `ask` gets from the connection, within the time for it.

        Raises:
            ChainUnreachableError: The node does not answer.
            ChainError: It answers with an error.
        """
        worker = self._worker

        def work() -> T:
            if worker.connection is None:
                worker.connection = self._make()
            return ask(worker.connection)

        limit_s = self._timeout_s * factor
        future = worker.submit(work)
        try:
            return future.result(timeout=limit_s)
        except TimeoutError as error:
            # Of the wait, or the SDK's own.
            self._forget_connection()
            message = f"{self._network} did not answer within {limit_s:g} s"
            raise ChainUnreachableError(message) from error
        except self.unreachable as error:
            self._forget_connection()
            message = f"{self._network} is not reachable: {one_line(error)}"
            raise ChainUnreachableError(message) from error
        except Exception as error:  # the SDKs' errors share no base but Exception
            raise self._translate(error) from error

    def _forget_connection(self) -> None:
        """Leaves a connection that may hang to its thread, and begins with another of each."""
        self._worker.stop()
        self._worker = _Worker()


def ip_text(ip: int, ip_type: int) -> str:
    """An axon's address, which the chain says as a number."""
    kind = ipaddress.IPv6Address if ip_type == 6 else ipaddress.IPv4Address
    try:
        return str(kind(ip))
    except ValueError:  # anybody may write anything there
        return NO_IP


def one_line(error: object) -> str:
    """The text of an error, without line breaks and not too long; its class's name where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


class _Worker:
    """One thread that does one call after the other, and the connection that belongs to it.

    Not the standard library's executor: that one waits for its threads when the program ends, also for one that hangs.
    """

    def __init__(self) -> None:
        self.connection: Any = None
        self._calls: queue.SimpleQueue[tuple[concurrent.futures.Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._run, name="chain", daemon=True).start()

    def submit[T](self, call: Callable[[], T]) -> concurrent.futures.Future[T]:
        """The future result of a call."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._calls.put((future, call))
        return future

    def stop(self) -> None:
        """Ends the thread after the calls before this one; does not wait."""
        self._calls.put(None)

    def _run(self) -> None:
        while (entry := self._calls.get()) is not None:
            future, call = entry
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # whoever waits for the result gets it
                    future.set_exception(error)
