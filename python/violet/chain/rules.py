"""What a local chain allows: its rules, and the signed calls that it takes."""

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from violet.errors import ChainError
from violet.protocol import canonical_json
from violet.wallet import Signer, is_signed_by

MAX_UIDS = 256
"""Most neurons of a subnet."""

U16_MAX = 65_535
"""The greatest weight, as the chain stores them."""

MAX_NONCE = 2**63 - 1
"""The greatest nonce, as SQLite stores them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a local chain behaves; fixed when it is created."""

    netuid: int = 1
    tempo: int = 20
    """Blocks per epoch."""
    block_time_s: float = 1.0
    weights_rate_limit: int = 5
    """Blocks that must lie between two settings of weights by one validator."""
    emission_per_block: float = 1.0
    max_validators: int = 64
    """How many of the greatest stakes get a permit."""
    activity_cutoff: int = 5000
    """Blocks after which weights no longer count."""
    min_allowed_weights: int = 1
    max_weight_limit: float = 1.0
    """Greatest share of one validator's weight that one miner may get."""
    version_key: int = 0
    """Least version of the rules that weights must be made by."""
    max_uids: int = MAX_UIDS
    """Most neurons; who registers beyond takes the place of the one that earns least."""
    immunity_period: int = 100
    """Blocks after its registration in which a neuron keeps its place, while another one without immunity is there."""
    commit_reveal: bool = False
    """Whether weights count only when their time comes, so that nobody can copy them while they are fresh."""
    reveal_period: int = 1
    """Epochs that weights wait for that, with `commit_reveal`."""
    owner_hotkey: str | None = None
    """Who owns the subnet: what it would earn as a miner is burned."""

    def __post_init__(self) -> None:
        """Refuses rules that cannot work."""
        wrong = {
            "netuid": not 0 <= self.netuid <= U16_MAX,
            "tempo": self.tempo < 1,
            "block_time_s": not (math.isfinite(self.block_time_s) and self.block_time_s > 0),
            "weights_rate_limit": self.weights_rate_limit < 0,
            "emission_per_block": not (math.isfinite(self.emission_per_block) and self.emission_per_block >= 0),
            "max_validators": self.max_validators < 1,
            "activity_cutoff": self.activity_cutoff < 1,
            "min_allowed_weights": not 0 <= self.min_allowed_weights <= MAX_UIDS,
            "max_weight_limit": not 0 < self.max_weight_limit <= 1,
            "version_key": self.version_key < 0,
            "max_uids": not 1 <= self.max_uids <= MAX_UIDS,
            "immunity_period": self.immunity_period < 0,
            "reveal_period": self.reveal_period < 1,
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            message = f"{name} of a localnet cannot be {getattr(self, name)!r}"
            raise ValueError(message)

    def check_weights(self, uids: Sequence[int], weights: Sequence[float], version_key: int, count: int) -> None:
        """Whether a validator may say this about the `count` neurons.

        Raises:
            ChainError: It may not.
        """
        reasons = {
            f"version key {version_key} is below {self.version_key}": version_key < self.version_key,
            f"{len(uids)} uids for {len(weights)} weights": len(uids) != len(weights),
            "a uid is there twice": len(set(uids)) != len(uids),
            f"a uid is not below {count}": any(not (isinstance(uid, int) and 0 <= uid < count) for uid in uids),
            "a weight is negative or not finite": any(not (math.isfinite(w) and w >= 0) for w in weights),
            "all weights are 0": not any(weights),
            f"fewer than {self.min_allowed_weights} weights": len(uids) < self.min_allowed_weights,
        }
        reason = next((reason for reason, is_wrong in reasons.items() if is_wrong), None)
        if reason is None and max(weights) / math.fsum(weights) > self.max_weight_limit:
            reason = f"a weight is above {self.max_weight_limit:g} of all"
        if reason is not None:
            message = f"weights refused: {reason}"
            raise ChainError(message)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that its hotkey signed."""

    name: str
    arguments: dict[str, Any]
    hotkey: str
    nonce: int


def extrinsic(signer: Signer, call: str, arguments: Mapping[str, object], nonce: int | None = None) -> tuple[str, str]:
    """A signed call for `Ledger.submit`: the payload and its signature.

    Args:
        signer: The hotkey that acts.
        call: `register`, `serve` or `set_weights`.
        arguments: What the call takes.
        nonce: Greater than that of the hotkey's call before; the time in nanoseconds when None.
    """
    nonce = time.time_ns() if nonce is None else nonce
    payload = canonical_json({"call": call, "arguments": arguments, "hotkey": signer.ss58_address, "nonce": nonce})
    return payload, signer.sign(_signed_bytes(payload)).hex()


def _signed_bytes(payload: str) -> bytes:
    return b"violet/localnet/1\n" + payload.encode()


def read_extrinsic(payload: str, signature: str) -> Call:
    """The call in a payload, known to be signed by its hotkey.

    Raises:
        ChainError: It is not, or the payload is no call.
    """
    try:
        value = json.loads(payload)
        call = Call(value["call"], value["arguments"], value["hotkey"], value["nonce"])
        signed = _signed_bytes(payload)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        message = f"not an extrinsic: {error}"
        raise ChainError(message) from error
    kinds = (call.name, str), (call.arguments, dict), (call.hotkey, str), (call.nonce, int)
    if not all(isinstance(part, kind) for part, kind in kinds) or not 0 <= call.nonce <= MAX_NONCE:
        message = f"not an extrinsic: {payload:.200}"
        raise ChainError(message)
    if not is_signed_by(call.hotkey, signed, signature):
        message = f"the call is not signed by {call.hotkey}"
        raise ChainError(message)
    return call
