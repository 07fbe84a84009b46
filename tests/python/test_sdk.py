"""Which SDK is installed, and what follows; what runs with SDK 11 is tested in `tests/sdk11`."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest

from violet.doctor import machine
from violet.errors import ChainError
from violet.sdk import btcli_flags, has_axons, installed_sdk


@pytest.fixture(autouse=True)
def unremembered() -> Iterator[None]:
    installed_sdk.cache_clear()
    yield
    installed_sdk.cache_clear()


def installed(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    """An environment with this version of the package `bittensor`."""
    real = importlib.metadata.version

    def found(name: str) -> str:
        if name != "bittensor":
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", found)


@pytest.mark.parametrize(
    ("version", "major", "axons", "flag"),
    [("10.5.0", 10, True, "--wallet.hotkey h"), ("11.3.0", 11, False, "--wallet-hotkey h")],
)
def test_the_version_says_what_there_is(
    monkeypatch: pytest.MonkeyPatch, version: str, major: int, axons: bool, flag: str
) -> None:
    installed(monkeypatch, version)
    assert (installed_sdk(), has_axons(), btcli_flags(hotkey="h")) == (major, axons, flag)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        pytest.param("9.0.0", "bittensor 9.0.0 is installed; Violet works with 10.5 and with 11", id="too-old"),
        pytest.param("12.1.0", "bittensor 12.1.0 is installed; Violet works with 10.5 and with 11", id="too-new"),
        pytest.param(None, "Bittensor's SDK is not installed: pip install 'bittensor>=10.5,<11'", id="none"),
    ],
)
def test_another_sdk_or_none_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, version: str | None, said: str
) -> None:
    installed(monkeypatch, version)
    with pytest.raises(ChainError) as refused:
        installed_sdk()
    assert str(refused.value) == said
    assert not has_axons()
    assert machine.packages().state == "broken"


def test_flags_are_those_that_were_asked_for() -> None:
    flags = btcli_flags(name="w", path=Path("/wallets"), network="test")
    assert flags == "--subtensor.network test --wallet.name w --wallet.path /wallets"
