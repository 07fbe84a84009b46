"""A real chain through SDK 11 (bittensor 11), which has the chain alone: no axons, no dendrites.

Its reads go by the names of its registry (`btcli query`); its changes are intents, which it fits to the subnet's rules
and sends as a commit or in plain text, whichever the subnet asks for.
"""

import re
import time
from typing import Any, ClassVar

import bittensor
from bittensor import ErrorCode, ExtrinsicResult, RpcConnectionError, ServeAxon, SetWeights, Subtensor, storage

from violet.chain.node import AXON_PROTOCOL, EXTRINSIC_TIMEOUT_FACTOR, NodeChain, ip_text, one_line
from violet.chain.types import Coldkey, EpochInfo, Hotkey, Metagraph, Neuron
from violet.errors import VioletError
from violet.sdk import CHAIN_ONLY

RAO = 1_000_000_000
"""The chain's units of a TAO, or of one of a subnet's own."""

PER_U16 = 65_535
"""The chain's 1.0 of shares."""

NO_PERMIT = frozenset({"NeuronNoValidatorPermit", "NotEnoughStakeToSetWeights", "StakeAmountTooLow"})
"""Names of what is refused to hotkeys without a permit; a node says the last of too little stake, before any block."""

WEIGHTS = "setting weights"
"""What is done that needs a permit and patience."""


class Sdk11Chain(NodeChain):
    """A `Chain` behind a node of the Bittensor network."""

    unreachable: ClassVar[tuple[type[BaseException], ...]] = (
        ConnectionError,
        TimeoutError,
        OSError,
        RpcConnectionError,
    )

    def block(self) -> int:
        """Number of the newest block."""
        return int(self._call(lambda client: client.block))

    def block_hash(self) -> str:
        """Hash of the newest block."""
        return str(self._call(lambda client: client.block_info().hash))

    def metagraph(self) -> Metagraph:
        """Everybody who is registered, as of now."""
        # The chain's own record: the SDK's typed one cannot be made while one axon has an impossible address.
        record = self._call(lambda client: client.read("metagraph", netuid=self._netuid))
        if not isinstance(record, dict):
            raise self._no_subnet()
        return to_metagraph(record, self._network)

    def serve(self, ip: str, port: int) -> None:
        """Publishes the address of this hotkey's axon; does nothing when it is already published.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """
        self._uid()
        hotkey = self._signer().hotkey.ss58_address
        known = self._call(lambda client: client.query(storage.SubtensorModule.Axons, [self._netuid, hotkey]))
        if isinstance(known, dict) and (_ip(known), int(known["port"])) == (ip, port):
            return
        intent = ServeAxon(netuid=self._netuid, ip=ip, port=port, protocol=AXON_PROTOCOL, version=version_number())
        self._execute(intent, f"publishing the axon {ip}:{port}")

    def epoch(self) -> EpochInfo:
        """Where this hotkey stands in the epoch.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """
        uid, netuid = self._uid(), self._netuid

        def read(client: Any) -> EpochInfo:  # noqa: ANN401
            view = client.at()
            status = view.read("epoch_status", netuid=netuid)
            since = view.read("blocks_since_last_update", netuid=netuid, uid=uid)
            limit = view.read("weights_rate_limit", netuid=netuid)
            tempo, until = int(status["tempo"]), status["blocks_remaining"]
            return EpochInfo(int(status["block"]), tempo, tempo if until is None else int(until), since, int(limit))

        return self._call(read)

    @classmethod
    def _open(cls, where: str) -> Any:  # noqa: ANN401
        return Subtensor(where)

    def _subnet_exists(self, connection: Any) -> bool:  # noqa: ANN401
        return bool(connection.query(storage.SubtensorModule.NetworksAdded, [self._netuid]))

    def _find_uid(self, connection: Any, hotkey: str) -> int | None:  # noqa: ANN401
        uid = connection.read("uid", hotkey_ss58=hotkey, netuid=self._netuid)
        return None if uid is None else int(uid)

    def _least_weights(self, connection: Any) -> int | None:  # noqa: ANN401
        return int(connection.read("min_allowed_weights", netuid=self._netuid))

    def _send_weights(self, uids: list[int], weights: list[float]) -> None:
        intent = SetWeights(netuid=self._netuid, uids=uids, weights=weights, version_key=version_number())
        self._execute(intent, WEIGHTS)

    def _execute(self, intent: Any, what: str) -> None:  # noqa: ANN401
        """Sends something that changes the chain.

        Raises:
            NotRegisteredError: The chain says that the hotkey has no uid.
            NoPermitError: The chain says that it has no permit or too little stake.
            WeightsTooSoonError: The chain says that it is too soon.
            ChainError: The chain refuses for another reason.
        """
        # Not the wallet: with the hotkey alone there is no other key that could be asked for.
        hotkey = self._signer().hotkey

        def send(client: Any) -> Any:  # noqa: ANN401
            try:
                return client.execute(intent, hotkey, wait_for_finalization=False)
            except bittensor.ChainError as error:  # refused before it was sent
                return ExtrinsicResult(success=False, error=error)

        result = self._call(send, factor=EXTRINSIC_TIMEOUT_FACTOR)
        if not result.success:
            raise self._refusal(result.error, one_line(result.error or result.message or "no reason given"), what)

    def _refusal(self, error: bittensor.ChainError | None, said: str, what: str) -> VioletError:
        code, name = (None, None) if error is None else (error.code, error.name)
        said = said if name is None else f"{name}: {said}"
        if code is ErrorCode.NOT_REGISTERED:
            return self._not_registered()
        if what == WEIGHTS and (name in NO_PERMIT or code is ErrorCode.NOT_AUTHORIZED):
            return self._no_permit(what, said)
        if what == WEIGHTS and code is ErrorCode.RATE_LIMITED:
            return self._too_soon(what, said)
        return self._refused(what, said)


def to_metagraph(record: dict[str, Any], network: str) -> Metagraph:
    """The chain's record of a metagraph as a `Metagraph`."""
    neurons = tuple(
        Neuron(
            uid=uid,
            hotkey=Hotkey(str(hotkey)),
            coldkey=Coldkey(str(record["coldkeys"][uid])),
            stake=int(record["total_stake"][uid]) / RAO,
            validator_permit=bool(record["validator_permit"][uid]),
            ip=_ip(record["axons"][uid]),
            port=int(record["axons"][uid]["port"]),
            incentive=int(record["incentives"][uid]) / PER_U16,
            dividends=int(record["dividends"][uid]) / PER_U16,
            emission=int(record["emission"][uid]) / RAO,
            consensus=int(record["consensus"][uid]) / PER_U16,
            last_update=int(record["last_update"][uid]),
        )
        for uid, hotkey in enumerate(record["hotkeys"])
    )
    return Metagraph(
        netuid=int(record["netuid"]),
        network=network,
        block=int(record["block"]),
        tempo=int(record["tempo"]),
        neurons=neurons,
        synced_at_ms=time.time_ns() // 1_000_000,
        owner_uid=next((neuron.uid for neuron in neurons if neuron.hotkey == record["owner_hotkey"]), None),
    )


def version_number() -> int:
    """The SDK's version as the number by which SDK 10.5 sends its own: 11.3.0 is 11003000.

    Sent with weights too, as that SDK does, so that a subnet's least version refuses no validator for its SDK.
    """
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", bittensor.__version__)
    major, minor, patch = (int(part) for part in found.groups()) if found else (CHAIN_ONLY, 0, 0)
    return major * 1_000_000 + minor * 1_000 + patch


def _ip(axon: dict[str, Any]) -> str:
    return ip_text(int(axon["ip"]), int(axon["ip_type"]))
