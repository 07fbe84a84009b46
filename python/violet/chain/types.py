"""What Violet asks of a chain, and the chain's words as plain data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NewType, Protocol, Self

from violet.errors import ProtocolError
from violet.files import write_atomic

Hotkey = NewType("Hotkey", str)
"""An SS58 address that signs for one neuron."""

Coldkey = NewType("Coldkey", str)
"""An SS58 address that owns hotkeys and their stake."""

NO_IP = "0.0.0.0"
"""The address of a neuron that serves no axon."""


@dataclass(frozen=True, slots=True)
class Neuron:
    """One registered hotkey of a subnet."""

    uid: int
    hotkey: Hotkey
    coldkey: Coldkey
    stake: float
    """Stake weight, in the subnet's units (TAO and alpha combined as the chain does)."""
    validator_permit: bool = False
    ip: str = NO_IP
    port: int = 0
    incentive: float = 0.0
    dividends: float = 0.0
    emission: float = 0.0
    """What the last epoch paid, in the subnet's units."""
    consensus: float = 0.0
    last_update: int = 0
    """Block of the last weights that this hotkey set; 0 when never."""

    @property
    def is_serving(self) -> bool:
        """Whether an address to call is published."""
        return self.ip not in {NO_IP, "::"} and self.port > 0


@dataclass(frozen=True, slots=True)
class Metagraph:
    """Who is registered on a subnet, at one block."""

    netuid: int
    network: str
    block: int
    tempo: int
    """Blocks per epoch, as the chain counts them."""
    neurons: tuple[Neuron, ...]
    synced_at_ms: int
    """When it was read, milliseconds since the Unix epoch."""
    owner_uid: int | None = None
    """The uid that the subnet's owner holds; weight given to it is burned."""
    by_hotkey: dict[Hotkey, Neuron] = field(init=False, repr=False, compare=False)
    """The same neurons by their hotkeys."""

    def __post_init__(self) -> None:
        """Builds the index."""
        object.__setattr__(self, "by_hotkey", {neuron.hotkey: neuron for neuron in self.neurons})

    def to_json(self) -> str:
        """The metagraph file's text (`docs/protocol.md`, "The metagraph file")."""
        neurons = [
            {
                "uid": n.uid,
                "hotkey": n.hotkey,
                "coldkey": n.coldkey,
                "stake": n.stake,
                "validator_permit": n.validator_permit,
                "ip": n.ip,
                "port": n.port,
                "incentive": n.incentive,
                "dividends": n.dividends,
                "emission": n.emission,
                "consensus": n.consensus,
            }
            for n in self.neurons
        ]
        return json.dumps(
            {
                "netuid": self.netuid,
                "network": self.network,
                "block": self.block,
                "synced_at_ms": self.synced_at_ms,
                "tempo": self.tempo,
                "neurons": neurons,
            },
            allow_nan=False,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The metagraph in a metagraph file's text.

        Raises:
            ProtocolError: The text is not such a file's.
        """
        try:
            value: dict[str, Any] = json.loads(text)
            neurons = tuple(Neuron(**neuron) for neuron in value.pop("neurons"))
            return cls(**value, neurons=neurons)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            message = f"not a metagraph file: {error}"
            raise ProtocolError(message) from error

    def write_atomic(self, path: Path) -> None:
        """Writes the file so that a reader sees the old text or the new, never a part.

        Raises:
            OSError: The directory cannot be written.
        """
        write_atomic(path, self.to_json(), mode=0o644)


@dataclass(frozen=True, slots=True)
class EpochInfo:
    """Where the subnet and one hotkey stand in the epoch."""

    block: int
    tempo: int
    blocks_until_next_epoch: int
    blocks_since_last_update: int | None
    """Blocks since this hotkey last set weights; None when it never did."""
    weights_rate_limit: int
    """Blocks that must lie between two settings of weights."""

    @property
    def blocks_until_weights(self) -> int:
        """Blocks until this hotkey may set weights; 0 when it may now."""
        if self.blocks_since_last_update is None:
            return 0
        # The SDK asks for a distance greater than the limit; the chain would take one equal to it.
        return max(0, self.weights_rate_limit + 1 - self.blocks_since_last_update)


class Chain(Protocol):
    """What Violet needs of a chain; every call may block for `timeout_s` of the adapter and is safe to repeat.

    Every method raises `ChainUnreachableError` when the chain does not answer, and `ChainError` when it refuses for a
    reason without a class of its own.
    """

    @property
    def network(self) -> str:
        """Name of the network: `finney`, `test`, `local` or `localnet`."""

    @property
    def netuid(self) -> int:
        """The subnet that this connection speaks about."""

    @property
    def block_time_s(self) -> float:
        """Seconds between two blocks, as planned."""

    def block(self) -> int:
        """Number of the newest block."""

    def block_hash(self) -> str:
        """Hash of the newest block, `0x` + hex: nobody knows it before."""

    def metagraph(self) -> Metagraph:
        """Everybody who is registered, as of now."""

    def serve(self, ip: str, port: int) -> None:
        """Publishes the address of this hotkey's axon; does nothing when it is already published.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """

    def set_weights(self, uids: Sequence[int], weights: Sequence[float]) -> None:
        """Sets this validator's weights; the chain normalises them.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
            NoPermitError: The hotkey has no validator permit.
            WeightsTooSoonError: Less than the rate limit since the last time.
        """

    def epoch(self) -> EpochInfo:
        """Where this hotkey stands in the epoch.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """

    def close(self) -> None:
        """Ends the connection; the object is not used afterwards."""
