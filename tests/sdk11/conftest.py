"""What the tests with SDK 11 share. They run in an environment of their own (`make sdk11`), not with the others."""

from pathlib import Path

import pytest
from bittensor_wallet import Wallet

from violet.wallet import create_wallet


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK keeps the subnets' symbols in a file of the user's, unless it is told another."""
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols.json"))


@pytest.fixture(scope="session")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return create_wallet("w", "h", tmp_path_factory.mktemp("wallets"))
