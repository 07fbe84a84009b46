"""A real chain through the SDK's `Subtensor` (bittensor 10.5): with `sdk11` the only importer of an SDK's chain calls.

The SDK says "no" in three ways (an exception, `None`, a response whose `success` is false); each becomes one of
Violet's errors.
"""

import re
import time
from collections.abc import Callable
from typing import Any, ClassVar

from bittensor.core.errors import ChainConnectionError
from bittensor.core.errors import NotRegisteredError as SdkNotRegisteredError
from bittensor.core.extrinsics.serving import serve_extrinsic
from bittensor.core.subtensor import Subtensor

from violet.chain.node import AXON_PROTOCOL, EXTRINSIC_TIMEOUT_FACTOR, NodeChain, ip_text, one_line
from violet.chain.types import Coldkey, EpochInfo, Hotkey, Metagraph, Neuron
from violet.errors import VioletError


class SdkChain(NodeChain):
    """A `Chain` behind a node of the Bittensor network."""

    unreachable: ClassVar[tuple[type[BaseException], ...]] = (
        ConnectionError,
        TimeoutError,
        OSError,
        ChainConnectionError,
    )

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
            raise self._no_subnet()
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

    @classmethod
    def _open(cls, where: str) -> Any:  # noqa: ANN401
        return Subtensor(network=where)

    def _subnet_exists(self, connection: Any) -> bool:  # noqa: ANN401
        return bool(connection.subnet_exists(self._netuid))

    def _find_uid(self, connection: Any, hotkey: str) -> int | None:  # noqa: ANN401
        uid = connection.get_uid_for_hotkey_on_subnet(hotkey, self._netuid)
        return None if uid is None else int(uid)

    def _least_weights(self, connection: Any) -> int | None:  # noqa: ANN401
        least = connection.min_allowed_weights(self._netuid)
        return None if least is None else int(least)

    def _send_weights(self, uids: list[int], weights: list[float]) -> None:
        wallet = self._signer()
        self._extrinsic(
            lambda subtensor: subtensor.set_weights(
                wallet=wallet,
                netuid=self._netuid,
                uids=uids,
                weights=weights,
                max_attempts=1,
                wait_for_inclusion=True,
                wait_for_finalization=False,
            ),
            "setting weights",
        )

    def _translate(self, error: Exception) -> VioletError:
        return self._not_registered() if isinstance(error, SdkNotRegisteredError) else super()._translate(error)

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
        said = one_line(response.message or response.error or "no reason given")
        if re.search(r"not registered|HotKeyNotRegistered|NotRegistered", said, re.IGNORECASE):
            raise self._not_registered()
        if re.search(r"NeuronNoValidatorPermit|NotEnoughStakeToSetWeights|validator permit", said, re.IGNORECASE):
            raise self._no_permit(what, said)
        if re.search(r"SettingWeightsTooFast|CommittingWeightsTooFast|too (soon|fast)", said, re.IGNORECASE):
            raise self._too_soon(what, said)
        raise self._refused(what, said)


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
    """An axon's address, as text."""
    ip = _member(axon, "ip")
    return ip if isinstance(ip, str) else ip_text(ip, _member(axon, "ip_type"))
