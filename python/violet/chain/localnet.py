"""The local chain as a `Chain`, and what `violet localnet` does."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from violet.chain.ledger import Ledger, Totals
from violet.chain.rules import Rules, extrinsic
from violet.chain.types import EpochInfo, Metagraph, Neuron
from violet.config import data_dir
from violet.errors import ChainError, NotRegisteredError
from violet.wallet import Signer

VERSION_KEY = 1
"""Version of the rules by which this version of Violet makes weights."""


def default_path(env: Mapping[str, str] = os.environ) -> Path:
    """The localnet's file: `VIOLET_LOCALNET`, or one place per user."""
    return Path(env.get("VIOLET_LOCALNET") or data_dir(env) / "localnet.sqlite").expanduser()


class LocalChain:
    """A `Chain` whose node is a file.

    A call takes milliseconds, and blocks for at most `ledger.LOCK_WAIT_S` while another process writes.
    """

    def __init__(self, ledger: Ledger, signer: Signer | None) -> None:
        self.ledger = ledger
        self._signer = signer

    @classmethod
    def open(cls, path: Path, netuid: int, signer: Signer | None, *, clock: Callable[[], float] = time.time) -> Self:
        """Connects a hotkey (None to read only) to the chain in a file.

        Raises:
            ChainUnreachableError: There is no such file.
            ChainError: The file is of another subnet.
        """
        ledger = Ledger.open(path, clock)
        if ledger.rules.netuid != netuid:
            ledger.close()
            message = (
                f"localnet at {path} is subnet {ledger.rules.netuid}, not {netuid}; use --netuid {ledger.rules.netuid}"
            )
            raise ChainError(message)
        return cls(ledger, signer)

    @property
    def network(self) -> str:
        """`localnet`."""
        return "localnet"

    @property
    def netuid(self) -> int:
        """The subnet that the file holds."""
        return self.ledger.rules.netuid

    @property
    def block_time_s(self) -> float:
        """Seconds between two blocks."""
        return self.ledger.rules.block_time_s

    def block(self) -> int:
        """Number of the newest block."""
        return self.ledger.block()

    def block_hash(self) -> str:
        """Hash of the newest block: of the chain's beginning and its number, for local blocks have no contents."""
        return self.ledger.block_hash()

    def metagraph(self) -> Metagraph:
        """Everybody who is registered, as of now."""
        return self.ledger.metagraph()

    def weights(self) -> dict[int, dict[int, float]]:
        """Each validator's weights, as shares of its whole, by uids."""
        return self.ledger.weights()

    def register(self, coldkey: str) -> Neuron:
        """Registers this hotkey for an owner; does nothing when it is registered for that owner already.

        Raises:
            ChainError: It is registered for another owner, or no uid is free.
        """
        self._submit("register", {"coldkey": coldkey})
        return self._me(self.metagraph())

    def serve(self, ip: str, port: int) -> None:
        """Publishes the address of this hotkey's axon.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
            ChainError: The address is not one.
        """
        self._submit("serve", {"ip": ip, "port": port})

    def set_weights(self, uids: Sequence[int], weights: Sequence[float]) -> None:
        """Sets this validator's weights.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
            NoPermitError: The hotkey has no validator permit.
            WeightsTooSoonError: Less than the rate limit since the last time.
            ChainError: The weights are impossible.
        """
        try:
            self._submit("set_weights", {"uids": list(uids), "weights": list(weights), "version_key": VERSION_KEY})
        except ValueError as error:  # a weight that JSON cannot say
            message = f"weights refused: {error}"
            raise ChainError(message) from error

    def epoch(self) -> EpochInfo:
        """Where this hotkey stands in the epoch.

        Raises:
            NotRegisteredError: The hotkey has no uid here.
        """
        metagraph = self.metagraph()
        last_update = self._me(metagraph).last_update
        return EpochInfo(
            block=metagraph.block,
            tempo=metagraph.tempo,
            blocks_until_next_epoch=self.ledger.blocks_until_next_epoch(),
            blocks_since_last_update=metagraph.block - last_update if last_update else None,
            weights_rate_limit=self.ledger.rules.weights_rate_limit,
        )

    def close(self) -> None:
        """Closes the file."""
        self.ledger.close()

    def _submit(self, call: str, arguments: Mapping[str, object]) -> None:
        if self._signer is None:
            message = f"{call} needs a wallet: this connection only reads"
            raise ChainError(message)
        self.ledger.submit(*extrinsic(self._signer, call, arguments))

    def _me(self, metagraph: Metagraph) -> Neuron:
        address = None if self._signer is None else self._signer.ss58_address
        neuron = next((neuron for neuron in metagraph.neurons if neuron.hotkey == address), None)
        if neuron is None:
            message = f"hotkey {address} is not registered on localnet {self.netuid}; violet localnet register does it"
            raise NotRegisteredError(message)
        return neuron


def create(path: Path, rules: Rules | None = None) -> None:
    """Makes a local chain at block 0 (`violet localnet create`).

    Raises:
        FileExistsError: There is a file already.
        ValueError: The rules cannot work.
    """
    Ledger.create(path, rules or Rules()).close()


def register(path: Path, hotkey: Signer, coldkey: str) -> Neuron:
    """Registers a hotkey for an owner (`violet localnet register`); the same again changes nothing.

    Raises:
        ChainUnreachableError: There is no localnet at `path`.
        ChainError: It is registered for another owner, or no uid is free.
    """
    chain = LocalChain(Ledger.open(path), hotkey)
    try:
        return chain.register(coldkey)
    finally:
        chain.close()


def add_stake(path: Path, hotkey: str, amount: float) -> Neuron:
    """Gives stake to a neuron, or takes it (`violet localnet stake`).

    Raises:
        ChainUnreachableError: There is no localnet at `path`.
        NotRegisteredError: The hotkey has no uid.
        ValueError: The amount is not finite.
    """
    ledger = Ledger.open(path)
    try:
        ledger.add_stake(hotkey, amount)
        return next(neuron for neuron in ledger.metagraph().neurons if neuron.hotkey == hotkey)
    finally:
        ledger.close()


def show(path: Path) -> tuple[Rules, Metagraph, Totals]:
    """The chain's rules, who is registered and what was paid so far (`violet localnet show`).

    Raises:
        ChainUnreachableError: There is no localnet at `path`.
    """
    ledger = Ledger.open(path)
    try:
        return ledger.rules, ledger.metagraph(), ledger.totals()
    finally:
        ledger.close()


def inject(path: Path, kind: str, value: float, count: int) -> None:
    """Lets the next calls go wrong (`violet localnet fault`); see `Ledger.inject`.

    Raises:
        ChainUnreachableError: There is no localnet at `path`.
        ValueError: No such fault.
    """
    ledger = Ledger.open(path)
    try:
        ledger.inject(kind, value, count)
    finally:
        ledger.close()


def step(path: Path, blocks: int) -> int:
    """Moves the chain on (`violet localnet step`); returns the newest block's number.

    Raises:
        ChainUnreachableError: There is no localnet at `path`.
        ValueError: `blocks` is negative or absurd.
    """
    ledger = Ledger.open(path)
    try:
        return ledger.step(blocks)
    finally:
        ledger.close()
