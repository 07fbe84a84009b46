"""The validator's side: the SDK's dendrite, without its leaks, races and trust in what a miner sends."""

import asyncio
import ipaddress
import secrets
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import aiohttp
from bittensor.core.chain_data import AxonInfo
from bittensor.core.dendrite import DendriteMixin
from bittensor.core.settings import version_as_int
from bittensor_wallet import Keypair

from violet.chain.types import Hotkey, Neuron
from violet.errors import ProtocolError
from violet.protocol import DIRECT_SLOT, RESULT_LIMIT_BYTES, sha256_hex, verify_response
from violet.transport.messages import Answer, AudioRequest, Capabilities, TextRequest
from violet.transport.synapses import (
    SignedSynapse,
    VioletCapabilities,
    VioletFetch,
    to_analyze,
    to_synthesize,
    to_transcribe,
)

KEEP_ALIVE_S = 2.0
"""How long an idle connection is kept: shorter than the 5 s after which the SDK's axons close theirs."""

RESPONSE_LIMIT_BYTES = 2 * RESULT_LIMIT_BYTES
"""Most bytes of a response: a result, escaped as JSON, and the rest of the synapse."""

FETCH_WAIT_S = 10.0
"""How long one call waits for the result of long work."""

MAX_CONNECTIONS = 64
"""Most calls at once."""

CONNECT_WAIT_S = 5.0
"""Longest wait for a connection."""

RETRY_ERRORS = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError)
"""Errors of the transport, after which a call is made once more before anything counts against the miner."""


class ValidatorDendrite(DendriteMixin):  # type: ignore[misc]  # the SDK ships no types
    """Calls miners' axons, and takes only answers that the miner signed.

    Args:
        hotkey: Who calls.
        timeout_s: Longest wait for an answer.
        external_ip: Our own address, for the miners' logs. It is never asked from the internet.
        allow_private: Whether miners may have addresses that the internet cannot reach. On a real network a miner that
            publishes one would have us call machines of our own network.
    """

    def __init__(
        self, hotkey: Keypair, *, timeout_s: float = 30.0, external_ip: str = "127.0.0.1", allow_private: bool = False
    ) -> None:
        # Not the SDK's __init__, which asks the internet for our address.
        self.keypair = hotkey
        self.external_ip = external_ip
        self.uuid = str(uuid.uuid4())
        self.synapse_history: list[Any] = []
        self._session: aiohttp.ClientSession | None = None
        self._timeout_s = timeout_s
        self._allow_private = allow_private

    def __del__(self) -> None:
        """Does nothing; the SDK's would start an event loop to close the session."""

    async def close(self) -> None:
        """Closes all connections."""
        await self.aclose_session()

    async def capabilities(self, neurons: Iterable[Neuron]) -> dict[Hotkey, Answer[Capabilities]]:
        """What each of these miners says about itself, all asked at once."""
        miners = list(neurons)

        async def ask(miner: Neuron) -> Answer[Capabilities]:
            synapse = VioletCapabilities(task_id=f"cap_{secrets.token_hex(16)}")
            return await self._ask(miner, synapse, Capabilities.from_json, self._timeout_s)

        answers = await asyncio.gather(*(asyncio.create_task(ask(miner)) for miner in miners))
        return {miner.hotkey: answer for miner, answer in zip(miners, answers, strict=True)}

    async def transcribe(
        self, neuron: Neuron, request: AudioRequest, *, timeout_s: float | None = None, patience_s: float | None = None
    ) -> Answer[str]:
        """One miner's transcript (a JSON text) of a request; with `patience_s` see `_ask_later`."""
        if patience_s is not None:
            return await self._ask_later(neuron, to_transcribe(request), patience_s)
        return await self._ask(neuron, to_transcribe(request), str, timeout_s or self._timeout_s)

    async def analyze(
        self, neuron: Neuron, request: AudioRequest, *, timeout_s: float | None = None, patience_s: float | None = None
    ) -> Answer[str]:
        """One miner's analysis (a JSON text) of a request; with `patience_s` see `_ask_later`."""
        if patience_s is not None:
            return await self._ask_later(neuron, to_analyze(request), patience_s)
        return await self._ask(neuron, to_analyze(request), str, timeout_s or self._timeout_s)

    async def synthesize(
        self, neuron: Neuron, request: TextRequest, *, timeout_s: float | None = None, patience_s: float | None = None
    ) -> Answer[str]:
        """One miner's synthesis (a JSON text with the audio in it) of a request; with `patience_s` see `_ask_later`."""
        if patience_s is not None:
            return await self._ask_later(neuron, to_synthesize(request), patience_s)
        return await self._ask(neuron, to_synthesize(request), str, timeout_s or self._timeout_s)

    async def _ask[T](
        self, miner: Neuron, synapse: SignedSynapse, read: Callable[[str], T], timeout_s: float
    ) -> Answer[T]:
        """One call with its one retry; never raises for what a miner does."""
        reached = await self._reach(miner, synapse, timeout_s)
        if isinstance(reached, Answer):
            return Answer(False, reached.busy, None, reached.latency_s, reached.error)
        answer, latency_s = reached
        if answer.result is None:
            return Answer(False, False, None, latency_s, "an answer without a result")
        try:
            result = authentic_result(answer, miner.hotkey, synapse.task_id)
            return Answer(True, False, read(result), latency_s, None)
        except ProtocolError as error:
            return Answer(False, False, None, latency_s, str(error))

    async def _ask_later(self, miner: Neuron, synapse: SignedSynapse, patience_s: float) -> Answer[str]:
        """Lets a miner begin, then fetches the result; what is not there after `patience_s` is cancelled.

        No call lasts much longer than `FETCH_WAIT_S`, and a broken one loses nothing.
        """
        began = time.monotonic()
        started = synapse.model_copy(update={"later": True})
        reached = await self._reach(miner, started, self._timeout_s)
        while True:
            passed_s = time.monotonic() - began
            if isinstance(reached, Answer):
                return Answer(False, reached.busy, None, passed_s, reached.error)
            answer, _ = reached
            if answer.result is not None:
                try:
                    return Answer(True, False, authentic_result(answer, miner.hotkey, synapse.task_id), passed_s, None)
                except ProtocolError as error:
                    return Answer(False, False, None, passed_s, str(error))
            left_s = patience_s - passed_s
            if left_s <= 0 or not answer.later:
                if answer.later:
                    await self._reach(miner, VioletFetch(task_id=synapse.task_id, cancel=True), self._timeout_s)
                reason = f"no result within {patience_s:g} s" if answer.later else "an answer without a result"
                return Answer(False, False, None, passed_s, reason)
            wait_s = min(FETCH_WAIT_S, left_s)
            fetch = VioletFetch(task_id=synapse.task_id, wait_s=wait_s)
            reached = await self._reach(miner, fetch, self._timeout_s + wait_s)

    async def _reach(
        self, miner: Neuron, synapse: SignedSynapse, timeout_s: float
    ) -> tuple[SignedSynapse, float] | Answer[None]:
        """The message that came back and its latency, or why there is none, or what the miner says against it."""
        if (reason := self._unreachable(miner)) is not None:
            return Answer(False, False, None, 0.0, reason)
        started = time.monotonic()
        try:
            answer, latency_s = await self._call_twice(miner, synapse, timeout_s)
        except TimeoutError:
            return Answer(False, False, None, time.monotonic() - started, f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError, TypeError, AttributeError) as error:
            message = f"{type(error).__name__}: {error}"
            return Answer(False, False, None, time.monotonic() - started, f"{message:.200}")
        if answer.busy:
            return Answer(False, True, None, latency_s, answer.error or "busy")
        if answer.error is not None and answer.result is None:
            return Answer(False, False, None, latency_s, answer.error[:200])
        return answer, latency_s

    async def _call_twice(self, miner: Neuron, synapse: SignedSynapse, timeout_s: float) -> tuple[SignedSynapse, float]:
        async with asyncio.timeout(timeout_s):
            try:
                return await self._call_once(miner, synapse.model_copy(), timeout_s)
            except RETRY_ERRORS:
                return await self._call_once(miner, synapse.model_copy(), timeout_s)

    async def _call_once(self, miner: Neuron, synapse: SignedSynapse, timeout_s: float) -> tuple[SignedSynapse, float]:
        """One HTTP request, signed by the SDK, with a nonce and a uuid of its own.

        The axon wants growing nonces per uuid: two calls of one uuid that overtake each other would look like a replay.
        """
        self.uuid = str(uuid.uuid4())
        target = AxonInfo(version_as_int, miner.ip, miner.port, 4, miner.hotkey, miner.coldkey)
        signed = self.preprocess_synapse_for_request(target, synapse, timeout_s)
        headers, body = signed.to_headers(), signed.model_dump()
        started = time.monotonic()
        session = await self.session
        # A redirect would make us call wherever the miner likes.
        async with session.post(
            self._url(miner, synapse), headers=headers, json=body, allow_redirects=False
        ) as response:
            raw = await _read_limited(response)
            latency_s = time.monotonic() - started
            if response.status != 200:
                message = f"HTTP {response.status}: {raw[:120].decode('utf-8', 'replace')}"
                raise ProtocolError(message)
        return type(synapse).model_validate_json(raw), latency_s

    @property
    async def session(self) -> aiohttp.ClientSession:
        """Our own session: connections are dropped before the axon may close them, and there is a bound on them."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WAIT_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self._session

    def _url(self, miner: Neuron, synapse: SignedSynapse) -> str:
        host = f"[{miner.ip}]" if ":" in miner.ip else miner.ip
        return f"http://{host}:{miner.port}/{type(synapse).__name__}"

    def _unreachable(self, miner: Neuron) -> str | None:
        """Why this miner is not called; None when it is."""
        if not miner.is_serving:
            return "serves no axon"
        try:
            address = ipaddress.ip_address(miner.ip)
        except ValueError:
            return f"{miner.ip!r:.60} is not an IP address"
        if not self._allow_private and not address.is_global:
            return f"{miner.ip} is not an address of the internet"
        return None


def authentic_result(answer: SignedSynapse, miner: Hotkey, task_id: str) -> str:
    """The result of an answer, known to be signed by the miner for this task.

    Raises:
        ProtocolError: It is not.
    """
    result: str = answer.result or ""
    if len(result.encode()) > RESULT_LIMIT_BYTES:
        message = f"result is above {RESULT_LIMIT_BYTES} bytes"
        raise ProtocolError(message)
    digest = sha256_hex(result)
    if digest != answer.digest:
        message = "digest is not that of the result"
        raise ProtocolError(message)
    # The task is the one that we asked about, not the one that the answer names.
    if not verify_response(miner, task_id, DIRECT_SLOT, digest, answer.signature or ""):
        message = "result is not signed by the miner"
        raise ProtocolError(message)
    return result


async def _read_limited(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(65_536):
        body += chunk
        if len(body) > RESPONSE_LIMIT_BYTES:
            message = f"response is above {RESPONSE_LIMIT_BYTES} bytes"
            raise ProtocolError(message)
    return bytes(body)
