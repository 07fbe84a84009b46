"""Wallets: the key files of `btcli`, opened with errors that say what to do."""

from pathlib import Path
from typing import Protocol

from bittensor_wallet import Keypair, Wallet

from violet.errors import WalletError
from violet.sdk import btcli_flags

DEFAULT_WALLET_PATH = Path("~/.bittensor/wallets")
"""Where `btcli` keeps wallets."""

SIGNATURE_BYTES = 64
"""Size of an sr25519 signature."""


class Signer(Protocol):
    """A key that signs: `bittensor_wallet.Keypair`, or a wallet's hotkey."""

    @property
    def ss58_address(self) -> str:
        """The public key as an SS58 address."""

    def sign(self, data: bytes) -> bytes:
        """The sr25519 signature of `data`."""


def load_wallet(name: str, hotkey: str, path: Path = DEFAULT_WALLET_PATH) -> Wallet:
    """The wallet whose hotkey signs for a neuron; its coldkey's private half is never read.

    Args:
        name: Name of the wallet, which is its coldkey's.
        hotkey: Name of the hotkey within it.
        path: Directory of all wallets.

    Raises:
        WalletError: A key file is missing, encrypted or damaged.
    """
    directory = path.expanduser()
    where = btcli_flags(name=name, path=directory)
    public = directory / name / "coldkeypub.txt"
    if not public.is_file():
        message = f"no wallet at {public}; make one with: btcli wallet new_coldkey {where}"
        raise WalletError(message)
    private = directory / name / "hotkeys" / hotkey
    if not private.is_file():
        message = f"no hotkey at {private}; make one with: btcli wallet new_hotkey {where} {btcli_flags(hotkey=hotkey)}"
        raise WalletError(message)
    wallet = Wallet(name=name, hotkey=hotkey, path=str(directory))
    if wallet.hotkey_file.is_encrypted():
        message = f"hotkey at {private} is encrypted; a neuron signs without a person: make an unencrypted hotkey"
        raise WalletError(message)
    try:
        _ = (wallet.hotkey, wallet.coldkeypub)
    except Exception as error:  # the wallet library's own errors share no base but Exception
        message = f"cannot read the keys of {private}: {error}"
        raise WalletError(message) from error
    return wallet


def create_wallet(name: str, hotkey: str, path: Path) -> Wallet:
    """A wallet with fresh, unencrypted keys, for local networks and tests; one that exists is opened.

    Raises:
        WalletError: A key file exists, but cannot be read.
    """
    directory = path.expanduser()
    wallet = Wallet(name=name, hotkey=hotkey, path=str(directory))
    if not (directory / name / "coldkeypub.txt").is_file():
        wallet.create_new_coldkey(use_password=False, suppress=True)
    if not (directory / name / "hotkeys" / hotkey).is_file():
        wallet.create_new_hotkey(use_password=False, suppress=True)
    return load_wallet(name, hotkey, path)


def is_signed_by(address: str, message: bytes, signature: str) -> bool:
    """Whether `signature` (`0x` + hex) is that of `address` over `message`; False for anything malformed."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
        return len(raw) == SIGNATURE_BYTES and bool(Keypair(ss58_address=address).verify(message, raw))
    except (ValueError, TypeError):
        return False
