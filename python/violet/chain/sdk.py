"""A real chain through the SDK's `Subtensor` (bittensor 10.5): the only importer of the SDK's chain calls.

The SDK's calls are synchronous, may wait for ever, and say "no" in three ways (an exception, `None`, a response whose
`success` is false). Here each runs in one worker thread with a timeout, and each "no" becomes one of Violet's errors.
"""

import concurrent.futures
import ipaddress
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

from bittensor.core.errors import ChainConnectionError
from bittensor.core.errors import NotRegisteredError as SdkNotRegisteredError
from bittensor.core.extrinsics.serving import serve_extrinsic
from bittensor.core.subtensor import Subtensor
from bittensor_wallet import Wallet

from violet.chain.types import NO_IP, Coldkey, EpochInfo, Hotkey, Metagraph, Neuron
from violet.errors import ChainError, ChainUnreachableError, NoPermitError, NotRegisteredError, WeightsTooSoonError

BLOCK_TIME_S = 12.0
"""Planned time between two blocks of every subtensor network."""

EXTRINSIC_TIMEOUT_FACTOR = 3.0
"""How much longer a call that changes the chain may take: it waits for blocks."""

AXON_PROTOCOL = 4
"""Protocol number that the SDK's axons publish."""

UNREACHABLE = (ConnectionError, TimeoutError, OSError, ChainConnectionError)
"""What the SDK raises when a node does not answer."""


class SdkChain:
    """A `Chain` behind a node of the Bittensor network.

    After a call that timed out, the connection is made anew: the SDK's socket may still hold the late answer.
    """

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
        chain = cls(lambda: Subtensor(network=chain_endpoint or network), network, netuid, wallet, timeout_s)
        if not chain._call(lambda subtensor: subtensor.subnet_exists(netuid)):
            chain.close()
            message = f"there is no subnet {netuid} on {network}; check --netuid and --subtensor.network"
            raise ChainError(message)
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

    def block(self) -> int:
        """Number of the newest block."""
        return int(self._call(lambda subtensor: subtensor.get_current_block()))

    def block_hash(self) -> str:
        """Hash of the newest block."""
        return str(self._call(lambda subtensor: subtensor.get_block_hash(None)))

    def metagraph(self) -> Metagraph:
        """Everybody who is registered, as of now."""
        info = self._call(lambda subtensor: subtensor.get_metagraph_info(self._netuid))
        if info is None:
            message = f"there is no subnet {self._netuid} on {self._network}"
            raise ChainError(message)
        return to_metagraph(info, self._network)

    def serve(self, ip: str, port: int) -> None:
        """Publishes the address of this hotkey's axon; the SDK does nothing when it is already published.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """
        wallet = self._signer()
        self._uid()
        self._extrinsic(
            lambda subtensor: serve_extrinsic(
                subtensor=subtensor, wallet=wallet, ip=ip, port=port, protocol=AXON_PROTOCOL, netuid=self._netuid
            ),
            f"publishing the axon {ip}:{port}",
        )

    def set_weights(self, uids: Sequence[int], weights: Sequence[float]) -> None:
        """Sets this validator's weights, as a commit where the subnet asks for commit and reveal.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
            NoPermitError: The hotkey has no validator permit.
            WeightsTooSoonError: Less than the rate limit since the last time.
            ChainError: The subnet wants more weights than these, or the chain refuses for another reason.
        """
        wallet = self._signer()
        # Asked first: where the limit is not over, the SDK answers "failed" without a reason.
        epoch = self.epoch()
        if epoch.blocks_until_weights > 0:
            message = (
                f"weights were set {epoch.blocks_since_last_update} blocks ago; wait {epoch.blocks_until_weights} more"
            )
            raise WeightsTooSoonError(message, blocks_to_wait=epoch.blocks_until_weights)
        least = self._call(lambda subtensor: subtensor.min_allowed_weights(self._netuid))
        if least is not None and len(uids) < int(least):
            message = f"weights for {len(uids)} miners; subnet {self._netuid} wants at least {least}"
            raise ChainError(message)
        self._extrinsic(
            lambda subtensor: subtensor.set_weights(
                wallet=wallet,
                netuid=self._netuid,
                uids=[int(uid) for uid in uids],
                weights=[float(weight) for weight in weights],
                max_attempts=1,
                wait_for_inclusion=True,
                wait_for_finalization=False,
            ),
            "setting weights",
        )

    def epoch(self) -> EpochInfo:
        """Where this hotkey stands in the epoch.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """
        uid, netuid = self._uid(), self._netuid

        def read(subtensor: Any) -> EpochInfo:  # noqa: ANN401
            block = int(subtensor.get_current_block())
            tempo = int(subtensor.tempo(netuid, block=block) or 0)
            until = subtensor.blocks_until_next_epoch(netuid, block=block)
            since = subtensor.blocks_since_last_update(netuid, uid, block=block)
            limit = int(subtensor.weights_rate_limit(netuid, block=block) or 0)
            return EpochInfo(block, tempo, tempo if until is None else int(until), since, limit)

        return self._call(read)

    def close(self) -> None:
        """Ends the connection."""
        worker = self._worker
        # In the worker: the SDK's socket belongs to the thread that made it.
        worker.submit(lambda: worker.connection and worker.connection.close())
        worker.stop()

    def _signer(self) -> Wallet:
        if self._wallet is None:
            message = "this connection only reads: it was made without a wallet"
            raise ChainError(message)
        return self._wallet

    def _uid(self) -> int:
        hotkey = self._signer().hotkey.ss58_address
        uid = self._call(lambda subtensor: subtensor.get_uid_for_hotkey_on_subnet(hotkey, self._netuid))
        if uid is None:
            raise self._not_registered()
        return int(uid)

    def _not_registered(self) -> NotRegisteredError:
        hotkey = self._signer().hotkey.ss58_address
        return NotRegisteredError(
            f"hotkey {hotkey} is not registered on subnet {self._netuid} of {self._network}; "
            f"register it with: btcli subnets register --netuid {self._netuid} --network {self._network}"
        )

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
        except UNREACHABLE as error:
            self._forget_connection()
            message = f"{self._network} is not reachable: {_one_line(error)}"
            raise ChainUnreachableError(message) from error
        except SdkNotRegisteredError as error:
            raise self._not_registered() from error
        except Exception as error:  # the SDK's errors share no base but Exception
            raise ChainError(f"{self._network}: {_one_line(error)}") from error

    def _forget_connection(self) -> None:
        """Leaves a connection that may hang to its thread, and begins with another of each."""
        self._worker.stop()
        self._worker = _Worker()

    def _extrinsic(self, send: Callable[[Any], Any], what: str) -> None:
        """Sends something that changes the chain.

        Raises:
            NotRegisteredError: The chain says that the hotkey has no uid.
            NoPermitError: The chain says that it has no permit or too little stake.
            WeightsTooSoonError: The chain says that it is too soon.
            ChainError: The chain refuses for another reason.
        """
        response = self._call(send, factor=EXTRINSIC_TIMEOUT_FACTOR)
        if response.success:
            return
        said = _one_line(response.message or response.error or "no reason given")
        error = f"{what}: {self._network} refused: {said}"
        if re.search(r"not registered|HotKeyNotRegistered|NotRegistered", said, re.IGNORECASE):
            raise self._not_registered()
        if re.search(r"NeuronNoValidatorPermit|NotEnoughStakeToSetWeights|validator permit", said, re.IGNORECASE):
            raise NoPermitError(error)
        if re.search(r"SettingWeightsTooFast|CommittingWeightsTooFast|too (soon|fast)", said, re.IGNORECASE):
            raise WeightsTooSoonError(error, blocks_to_wait=max(1, self.epoch().blocks_until_weights))
        raise ChainError(error)


def to_metagraph(info: Any, network: str) -> Metagraph:  # noqa: ANN401
    """The SDK's `MetagraphInfo` as a `Metagraph`."""
    neurons = []
    for uid, hotkey in enumerate(info.hotkeys):
        axon = info.axons[uid]
        neurons.append(
            Neuron(
                uid=uid,
                hotkey=Hotkey(str(hotkey)),
                coldkey=Coldkey(str(info.coldkeys[uid])),
                stake=_amount(info.total_stake[uid]),
                validator_permit=bool(info.validator_permit[uid]),
                ip=_ip(axon),
                port=int(_member(axon, "port")),
                incentive=float(info.incentives[uid]),
                dividends=float(info.dividends[uid]),
                emission=_amount(info.emission[uid]),
                consensus=float(info.consensus[uid]),
                last_update=int(info.last_update[uid]),
            )
        )
    return Metagraph(
        netuid=int(info.netuid),
        network=network,
        block=int(info.block),
        tempo=int(info.tempo),
        neurons=tuple(neurons),
        synced_at_ms=time.time_ns() // 1_000_000,
        owner_uid=next((neuron.uid for neuron in neurons if neuron.hotkey == info.owner_hotkey), None),
    )


def _amount(balance: Any) -> float:  # noqa: ANN401
    """A `Balance` of the SDK in whole units (TAO or alpha)."""
    return float(balance.tao)


def _member(axon: Any, name: str) -> Any:  # noqa: ANN401
    """A member of an axon: `MetagraphInfo` promises `AxonInfo` objects and holds the chain's dictionaries."""
    return axon[name] if isinstance(axon, dict) else getattr(axon, name)


def _ip(axon: Any) -> str:  # noqa: ANN401
    """An axon's address: the chain says it as a number."""
    ip = _member(axon, "ip")
    if isinstance(ip, str):
        return ip
    kind = ipaddress.IPv6Address if _member(axon, "ip_type") == 6 else ipaddress.IPv4Address
    try:
        return str(kind(ip))
    except ValueError:  # anybody may write anything there
        return NO_IP


def _one_line(error: object) -> str:
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
