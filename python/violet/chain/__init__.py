"""The chain: who is registered, how weights are set, with one adapter per kind of chain.

Importing this does not import the SDK; `connect` to a real network does.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from violet.chain.types import NO_IP, Chain, Coldkey, EpochInfo, Hotkey, Metagraph, Neuron
from violet.sdk import CHAIN_ONLY, installed_sdk
from violet.sdk_logging import log_levels_kept

if TYPE_CHECKING:
    from bittensor_wallet import Wallet

__all__ = ["NO_IP", "Chain", "Coldkey", "EpochInfo", "Hotkey", "Metagraph", "Neuron", "connect"]

LOCALNET = "localnet"
"""The network whose chain is a file on this machine."""


def connect(
    network: str,
    netuid: int,
    wallet: "Wallet | None",
    *,
    chain_endpoint: str | None = None,
    localnet_path: Path | None = None,
    timeout_s: float = 60.0,
) -> Chain:
    """A connection to the chain of `network`, through whichever of Bittensor's SDKs is installed.

    Args:
        network: `localnet`, or a network of the SDK (`finney`, `test`, `local`).
        netuid: The subnet.
        wallet: Whose hotkey signs; None for a connection that only reads.
        chain_endpoint: Address of the chain's node (`wss://..`), instead of the network's own.
        localnet_path: The localnet's file, instead of `VIOLET_LOCALNET` or the default place.
        timeout_s: Longest wait for one call.

    Raises:
        ChainUnreachableError: The node does not answer, or the localnet's file does not exist.
        ChainError: The localnet's file is of another subnet, or no SDK that Violet knows is installed.
    """
    if network == LOCALNET:
        from violet.chain.localnet import LocalChain, default_path

        return LocalChain.open(localnet_path or default_path(), netuid, None if wallet is None else wallet.hotkey)
    if installed_sdk() == CHAIN_ONLY:
        from violet.chain.sdk11 import Sdk11Chain

        return Sdk11Chain.connect(network, netuid, wallet, chain_endpoint=chain_endpoint, timeout_s=timeout_s)
    with log_levels_kept():
        from violet.chain.sdk import SdkChain

    return SdkChain.connect(network, netuid, wallet, chain_endpoint=chain_endpoint, timeout_s=timeout_s)
