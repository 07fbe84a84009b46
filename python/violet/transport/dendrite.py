"""Calls to axons: the SDK's dendrite, without its leaks and races."""

import json
import uuid
from typing import Any

from bittensor.core.chain_data import AxonInfo
from bittensor.core.dendrite import DendriteMixin
from bittensor.core.settings import version_as_int
from bittensor_wallet import Keypair

from violet.chain.types import Neuron
from violet.transport.bodies import Body
from violet.transport.caller import MinerCaller
from violet.transport.synapses import SYNAPSES, SignedSynapse


class ValidatorDendrite(MinerCaller, DendriteMixin):  # type: ignore[misc]  # the SDK ships no types
    """Calls miners' axons.

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

    def __del__(self) -> None:
        """Does nothing; the SDK's would start an event loop to close the session."""

    async def _call_once(self, miner: Neuron, body: Body, timeout_s: float) -> tuple[SignedSynapse, float]:
        """One HTTP request, signed by the SDK, with a nonce and a uuid of its own.

        The axon wants growing nonces per uuid: two calls of one uuid that overtake each other would look like a replay.
        """
        self.uuid = str(uuid.uuid4())
        kind = SYNAPSES[type(body)]
        target = AxonInfo(version_as_int, miner.ip, miner.port, 4, miner.hotkey, miner.coldkey)
        signed = self.preprocess_synapse_for_request(target, kind(**body.model_dump()), timeout_s)
        headers = signed.to_headers() | {"Content-Type": "application/json"}
        data = json.dumps(signed.model_dump()).encode()
        raw, latency_s = await self._post(miner, f"/{kind.__name__}", headers, data)
        return kind.model_validate_json(raw), latency_s
