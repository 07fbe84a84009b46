"""What a proxy says of miners, as the difference between two looks at it."""

from collections.abc import Mapping
from typing import Any

from violet.chain import Hotkey
from violet.errors import ProtocolError
from violet.protocol import KINDS, member
from violet.proxy_client import Network


class ProxyAccount:
    """A proxy's counts of each miner; they begin anew when the proxy does, or the miner comes back."""

    def __init__(self) -> None:
        self._proxy: Hotkey | None = None
        self._counts: dict[Hotkey, tuple[int, int]] = {}
        self.kinds: frozenset[str] = frozenset()
        """Kinds of task that any miner takes by the last look."""
        self.validators: tuple[Hotkey, ...] = ()
        """Who judges by the last look."""

    def read(self, network: Network) -> dict[Hotkey, tuple[int, int]]:
        """Leases that each miner answered, and that ended without a word of it, since the last look; nothing at first.

        Raises:
            ProtocolError: The proxy's answer has another form.
        """
        before = self._counts if network.proxy_hotkey == self._proxy else {}
        is_first = network.proxy_hotkey != self._proxy
        miners = member(network.document, "miners", list)
        counts = {Hotkey(member(miner, "hotkey", str)): _counts(miner) for miner in miners}
        self.kinds = frozenset(kind for miner in miners for kind in miner.get("kinds", ()) if kind in KINDS)
        validators = member(network.document, "validators", list)
        self.validators = tuple(Hotkey(member(validator, "hotkey", str)) for validator in validators)
        self._proxy, self._counts = network.proxy_hotkey, counts
        if is_first:
            return {}
        changes = {}
        for hotkey, (answered, silent) in counts.items():
            old_answered, old_silent = before.get(hotkey, (0, 0))
            if answered < old_answered or silent < old_silent:
                old_answered, old_silent = 0, 0
            changes[hotkey] = (answered - old_answered, silent - old_silent)
        return {hotkey: change for hotkey, change in changes.items() if change != (0, 0)}


def _counts(miner: Mapping[str, Any]) -> tuple[int, int]:
    account = member(miner, "account", dict)
    answered, silent = member(account, "answered", int), member(account, "silent", int)
    if answered < 0 or silent < 0:
        message = f"the proxy counts {answered} and {silent} leases; expected none below 0"
        raise ProtocolError(message)
    return answered, silent
