"""Calls to axons: the SDK's dendrite, without its leaks and races."""

import json
import uuid
from collections.abc import Iterable
from typing import Any

from bittensor.core.chain_data import AxonInfo
from bittensor.core.dendrite import DendriteMixin
from bittensor.core.settings import version_as_int
from bittensor_wallet import Keypair

from violet.chain.types import Hotkey, Neuron
from violet.transport.bodies import Body
from violet.transport.caller import MinerCaller, MinerReply, NoRouteError
from violet.transport.messages import Answer, Capabilities
from violet.transport.synapses import SYNAPSES, SignedSynapse


class ValidatorDendrite(MinerCaller, DendriteMixin):  # type: ignore[misc]  # the SDK ships no types
    """Calls miners' axons, and without the SDK those that have none.

    Args:
        hotkey: Who calls.
        timeout_s: Longest wait for an answer.
        external_ip: Our own address, for the miners' logs. It is never asked from the internet.
        allow_private: Whether miners may have addresses that the internet cannot reach.
    """

    def __init__(
        self, hotkey: Keypair, *, timeout_s: float = 30.0, external_ip: str = "127.0.0.1", allow_private: bool = False
    ) -> None:
        # Not the SDK's __init__, which asks the internet for our address.
        MinerCaller.__init__(self, hotkey, timeout_s=timeout_s, allow_private=allow_private)
        self.external_ip = external_ip
        self.uuid = str(uuid.uuid4())
        self.synapse_history: list[Any] = []
        self._without_axon: dict[Hotkey, tuple[str, int]] = {}
        """Addresses of the miners that were last reached without an axon."""

    def __del__(self) -> None:
        """Does nothing; the SDK's would start an event loop to close the session."""

    async def capabilities(self, neurons: Iterable[Neuron]) -> dict[Hotkey, Answer[Capabilities]]:
        """What each of these miners says about itself, all asked at once; the others are forgotten."""
        miners = list(neurons)
        asked = {miner.hotkey for miner in miners}
        self._without_axon = {hotkey: where for hotkey, where in self._without_axon.items() if hotkey in asked}
        return await super().capabilities(miners)

    async def _call_once(self, miner: Neuron, body: Body, timeout_s: float) -> tuple[MinerReply, float]:
        """One call to the miner's axon; to a miner that has none (SDK 11), one signed as `btauth/1`."""
        where = (miner.ip, miner.port)
        if self._without_axon.get(miner.hotkey) == where:
            try:
                return await super()._call_once(miner, body, timeout_s)
            except NoRouteError:
                self._without_axon.pop(miner.hotkey, None)
        try:
            return await self._call_axon(miner, body, timeout_s)
        except NoRouteError:
            reached = await super()._call_once(miner, body, timeout_s)
            self._without_axon[miner.hotkey] = where
            return reached

    async def _call_axon(self, miner: Neuron, body: Body, timeout_s: float) -> tuple[SignedSynapse, float]:
        """One HTTP request, signed by the SDK, with a nonce and a uuid of its own.

        The axon wants growing nonces per uuid: two calls of one uuid that overtake each other would look like a replay.
        """
        self.uuid = str(uuid.uuid4())
        kind = SYNAPSES[type(body)]
        target = AxonInfo(version_as_int, miner.ip, miner.port, 4, miner.hotkey, miner.coldkey)
        signed = self.preprocess_synapse_for_request(target, kind(**body.model_dump()), timeout_s)
        data = json.dumps(signed.model_dump()).encode()
        raw, latency_s = await self._post(miner, f"/{kind.__name__}", signed.to_headers(), data)
        return kind.model_validate_json(raw), latency_s
