"""Which of Bittensor's SDKs is installed, and what depends on it.

An environment has one, for both are the package `bittensor`. SDK 10.5 has the chain, axons and dendrites; SDK 11 has
the chain alone, without which neurons call each other, and a `btcli` whose flags are spelt otherwise. Nothing here
imports it.
"""

import functools
import importlib.metadata
from pathlib import Path

from violet.errors import ChainError

WITH_AXONS, CHAIN_ONLY = 10, 11
"""Major versions that Violet knows."""


@functools.cache
def installed_sdk() -> int:
    """Major version of the installed SDK.

    Raises:
        ChainError: None is installed, or one that Violet does not know.
    """
    try:
        version = importlib.metadata.version("bittensor")
    except importlib.metadata.PackageNotFoundError:
        message = "Bittensor's SDK is not installed: pip install 'bittensor>=10.5,<11'"
        raise ChainError(message) from None
    major = int(version.partition(".")[0])
    if major not in {WITH_AXONS, CHAIN_ONLY}:
        message = f"bittensor {version} is installed; Violet works with 10.5 and with 11"
        raise ChainError(message)
    return major


def has_axons() -> bool:
    """Whether the SDK has axons and dendrites, which neurons use beside their own way of calling each other."""
    return _is_installed(WITH_AXONS)


def btcli_flags(
    *, name: str | None = None, hotkey: str | None = None, path: Path | None = None, network: str | None = None
) -> str:
    """These settings as flags of the `btcli` that belongs to the installed SDK."""
    is_new = _is_installed(CHAIN_ONLY)
    found = {
        "--network" if is_new else "--subtensor.network": network,
        "--wallet" if is_new else "--wallet.name": name,
        "--wallet-hotkey" if is_new else "--wallet.hotkey": hotkey,
        "--wallet-path" if is_new else "--wallet.path": path,
    }
    return " ".join(f"{flag} {value}" for flag, value in found.items() if value is not None)


def _is_installed(major: int) -> bool:
    try:
        return installed_sdk() == major
    except ChainError:
        return False
