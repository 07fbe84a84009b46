"""Wallets that are made, found, missing and damaged."""

from pathlib import Path

import pytest

from violet.errors import WalletError
from violet.wallet import create_wallet, load_wallet


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    create_wallet("w", "h", tmp_path)
    return tmp_path


def test_a_wallet_is_made_once_and_found_again(directory: Path) -> None:
    found = load_wallet("w", "h", directory)
    assert create_wallet("w", "h", directory).hotkey.ss58_address == found.hotkey.ss58_address
    assert create_wallet("w", "h2", directory).coldkeypub.ss58_address == found.coldkeypub.ss58_address


@pytest.mark.parametrize(
    ("name", "hotkey", "said"),
    [
        pytest.param("x", "h", r"no wallet at .*/x/coldkeypub\.txt; .*btcli wallet new_coldkey", id="no-wallet"),
        pytest.param("w", "x", r"no hotkey at .*/w/hotkeys/x; .*btcli wallet new_hotkey", id="no-hotkey"),
    ],
)
def test_a_missing_wallet_says_how_to_make_it(directory: Path, name: str, hotkey: str, said: str) -> None:
    with pytest.raises(WalletError, match=said):
        load_wallet(name, hotkey, directory)


def test_a_damaged_wallet_is_named(directory: Path) -> None:
    (directory / "w" / "hotkeys" / "h").write_text("{}")
    with pytest.raises(WalletError, match=r"cannot read the keys of .*/w/hotkeys/h"):
        load_wallet("w", "h", directory)
