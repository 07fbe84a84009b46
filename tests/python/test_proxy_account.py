"""What a proxy says of miners, from look to look."""

import pytest

from violet.chain import Hotkey
from violet.errors import ProtocolError
from violet.proxy_account import ProxyAccount
from violet.proxy_client import Network


def network(answered: object, silent: int, proxy: str = "proxy") -> Network:
    account = {"answered": answered, "silent": silent}
    miners = [{"hotkey": "m", "kinds": ["transcription", "singing"], "account": account}]
    document = {"miners": miners, "validators": [{"hotkey": "v"}]}
    return Network(Hotkey(proxy), 1, "localnet", document)


def test_what_counts_is_what_happened_since_the_last_look() -> None:
    account = ProxyAccount()
    assert account.read(network(100, 7)) == {}, "before this validator looked, it saw nothing itself"
    assert account.read(network(103, 8)) == {"m": (3, 1)}
    assert account.read(network(103, 8)) == {}
    assert account.kinds == {"transcription"}
    assert account.validators == (Hotkey("v"),)


def test_counts_begin_anew_with_the_proxy() -> None:
    account = ProxyAccount()
    account.read(network(100, 7))
    assert account.read(network(2, 0)) == {"m": (2, 0)}, "it was restarted"
    assert account.read(network(50, 9, "another")) == {}


@pytest.mark.parametrize("count", [-1, "3", None])
def test_an_impossible_count_is_refused(count: object) -> None:
    with pytest.raises(ProtocolError):
        ProxyAccount().read(network(count, 0))
