"""The validator's side: calls to miners over HTTP, without trust in what a miner sends. It needs no SDK."""

import asyncio
import ipaddress
import json
import secrets
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import aiohttp

from violet.chain.types import Hotkey, Neuron
from violet.errors import ProtocolError
from violet.protocol import DIRECT_SLOT, RESULT_LIMIT_BYTES, sha256_hex, signed_headers, verify_response
from violet.transport.bodies import (
    PREFIX,
    Body,
    CapabilitiesBody,
    FetchBody,
    Reply,
    to_analyze,
    to_synthesize,
    to_transcribe,
)
from violet.transport.messages import Answer, AudioRequest, Capabilities, TextRequest
from violet.wallet import Signer

KEEP_ALIVE_S = 2.0
"""How long an idle connection is kept: shorter than the 5 s after which the SDK's axons close theirs."""

RESPONSE_LIMIT_BYTES = 2 * RESULT_LIMIT_BYTES
"""Most bytes of a response: a result, escaped as JSON, and the rest of the message."""

FETCH_WAIT_S = 10.0
"""How long one call waits for the result of long work."""

MAX_CONNECTIONS = 64
"""Most calls at once."""

CONNECT_WAIT_S = 5.0
"""Longest wait for a connection."""

RETRY_ERRORS = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError)
"""Errors of the transport, after which a call is made once more before anything counts against the miner."""


class NoRouteError(ProtocolError):
    """A miner serves no such path."""


class MinerReply(Protocol):
    """What a miner sends back: a `Reply`, or a synapse with its fields."""

    result: str | None
    digest: str | None
    signature: str | None
    busy: bool
    error: str | None
    later: bool


class MinerCaller:
    """Calls miners, and takes only answers that the miner signed.

    Args:
        hotkey: Who calls.
        timeout_s: Longest wait for an answer.
        allow_private: Whether miners may have addresses that the internet cannot reach. On a real network a miner that
            publishes one would have us call machines of our own network.
    """

    def __init__(self, hotkey: Signer, *, timeout_s: float = 30.0, allow_private: bool = False) -> None:
        self.keypair = hotkey
        self._session: aiohttp.ClientSession | None = None
        self._timeout_s = timeout_s
        self._allow_private = allow_private

    async def close(self) -> None:
        """Closes all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def capabilities(self, neurons: Iterable[Neuron]) -> dict[Hotkey, Answer[Capabilities]]:
        """What each of these miners says about itself, all asked at once."""
        miners = list(neurons)

        async def ask(miner: Neuron) -> Answer[Capabilities]:
            body = CapabilitiesBody(task_id=f"cap_{secrets.token_hex(16)}")
            return await self._ask(miner, body, Capabilities.from_json, self._timeout_s)

        answers = await asyncio.gather(*(asyncio.create_task(ask(miner)) for miner in miners))
        return {miner.hotkey: answer for miner, answer in zip(miners, answers, strict=True)}

    async def transcribe(
        self, neuron: Neuron, request: AudioRequest, *, timeout_s: float | None = None, patience_s: float | None = None
    ) -> Answer[str]:
        """One miner's transcript (a JSON text) of a request; with `patience_s` see `_ask_later`."""
        return await self._ask_for_work(neuron, to_transcribe(request), timeout_s, patience_s)

    async def analyze(
        self, neuron: Neuron, request: AudioRequest, *, timeout_s: float | None = None, patience_s: float | None = None
    ) -> Answer[str]:
        """One miner's analysis (a JSON text) of a request; with `patience_s` see `_ask_later`."""
        return await self._ask_for_work(neuron, to_analyze(request), timeout_s, patience_s)

    async def synthesize(
        self, neuron: Neuron, request: TextRequest, *, timeout_s: float | None = None, patience_s: float | None = None
    ) -> Answer[str]:
        """One miner's synthesis (a JSON text with the audio in it) of a request; with `patience_s` see `_ask_later`."""
        return await self._ask_for_work(neuron, to_synthesize(request), timeout_s, patience_s)

    async def _ask_for_work(
        self, miner: Neuron, body: Body, timeout_s: float | None, patience_s: float | None
    ) -> Answer[str]:
        if patience_s is not None:
            return await self._ask_later(miner, body, patience_s)
        return await self._ask(miner, body, str, timeout_s or self._timeout_s)

    async def _ask[T](self, miner: Neuron, body: Body, read: Callable[[str], T], timeout_s: float) -> Answer[T]:
        """One call with its one retry; never raises for what a miner does."""
        reached = await self._reach(miner, body, timeout_s)
        if isinstance(reached, Answer):
            return Answer(False, reached.busy, None, reached.latency_s, reached.error)
        reply, latency_s = reached
        if reply.result is None:
            return Answer(False, False, None, latency_s, "an answer without a result")
        try:
            result = authentic_result(reply, miner.hotkey, body.task_id)
            return Answer(True, False, read(result), latency_s, None)
        except ProtocolError as error:
            return Answer(False, False, None, latency_s, str(error))

    async def _ask_later(self, miner: Neuron, body: Body, patience_s: float) -> Answer[str]:
        """Lets a miner begin, then fetches the result; what is not there after `patience_s` is cancelled.

        No call lasts much longer than `FETCH_WAIT_S`, and a broken one loses nothing.
        """
        began = time.monotonic()
        reached = await self._reach(miner, body.model_copy(update={"later": True}), self._timeout_s)
        while True:
            passed_s = time.monotonic() - began
            if isinstance(reached, Answer):
                return Answer(False, reached.busy, None, passed_s, reached.error)
            reply, _ = reached
            if reply.result is not None:
                try:
                    return Answer(True, False, authentic_result(reply, miner.hotkey, body.task_id), passed_s, None)
                except ProtocolError as error:
                    return Answer(False, False, None, passed_s, str(error))
            left_s = patience_s - passed_s
            if left_s <= 0 or not reply.later:
                if reply.later:
                    await self._reach(miner, FetchBody(task_id=body.task_id, cancel=True), self._timeout_s)
                reason = f"no result within {patience_s:g} s" if reply.later else "an answer without a result"
                return Answer(False, False, None, passed_s, reason)
            wait_s = min(FETCH_WAIT_S, left_s)
            fetch = FetchBody(task_id=body.task_id, wait_s=wait_s)
            reached = await self._reach(miner, fetch, self._timeout_s + wait_s)

    async def _reach(self, miner: Neuron, body: Body, timeout_s: float) -> tuple[MinerReply, float] | Answer[None]:
        """What came back and its latency, or why there is nothing, or what the miner says against it."""
        if (reason := self._unreachable(miner)) is not None:
            return Answer(False, False, None, 0.0, reason)
        started = time.monotonic()
        try:
            reply, latency_s = await self._call_twice(miner, body, timeout_s)
        except TimeoutError:
            return Answer(False, False, None, time.monotonic() - started, f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError, TypeError, AttributeError) as error:
            message = f"{type(error).__name__}: {error}"
            return Answer(False, False, None, time.monotonic() - started, f"{message:.200}")
        if reply.busy:
            return Answer(False, True, None, latency_s, reply.error or "busy")
        if reply.error is not None and reply.result is None:
            return Answer(False, False, None, latency_s, reply.error[:200])
        return reply, latency_s

    async def _call_twice(self, miner: Neuron, body: Body, timeout_s: float) -> tuple[MinerReply, float]:
        async with asyncio.timeout(timeout_s):
            try:
                return await self._call_once(miner, body, timeout_s)
            except RETRY_ERRORS:
                return await self._call_once(miner, body, timeout_s)

    async def _call_once(self, miner: Neuron, body: Body, timeout_s: float) -> tuple[MinerReply, float]:
        """One HTTP request, signed as `btauth/1` for this miner alone: what came back, and its latency."""
        path = PREFIX + body.route
        data = json.dumps(body.model_dump() | {"timeout_s": timeout_s}).encode()
        headers = signed_headers(self.keypair, "POST", path, data, miner.hotkey)
        raw, latency_s = await self._post(miner, path, headers, data)
        return Reply.model_validate_json(raw), latency_s

    async def _post(self, miner: Neuron, path: str, headers: dict[str, str], data: bytes) -> tuple[bytes, float]:
        """One HTTP request: the body of its answer, and its latency.

        Raises:
            NoRouteError: The miner does not know the path.
            ProtocolError: It refuses, or its answer is too large.
        """
        host = f"[{miner.ip}]" if ":" in miner.ip else miner.ip
        started = time.monotonic()
        session = await self.session
        # A redirect would make us call wherever the miner likes.
        async with session.post(
            f"http://{host}:{miner.port}{path}",
            headers=headers | {"Content-Type": "application/json"},
            data=data,
            allow_redirects=False,
        ) as response:
            raw = await _read_limited(response)
            latency_s = time.monotonic() - started
            if response.status != 200:
                message = f"HTTP {response.status}: {raw[:120].decode('utf-8', 'replace')}"
                raise NoRouteError(message) if response.status == 404 else ProtocolError(message)
        return raw, latency_s

    @property
    async def session(self) -> aiohttp.ClientSession:
        """Our own session: connections are dropped before the miner may close them, and there is a bound on them."""
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WAIT_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        return self._session

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


def authentic_result(reply: MinerReply, miner: Hotkey, task_id: str) -> str:
    """The result of an answer, known to be signed by the miner for this task.

    Raises:
        ProtocolError: It is not.
    """
    result: str = reply.result or ""
    if len(result.encode()) > RESULT_LIMIT_BYTES:
        message = f"result is above {RESULT_LIMIT_BYTES} bytes"
        raise ProtocolError(message)
    digest = sha256_hex(result)
    if digest != reply.digest:
        message = "digest is not that of the result"
        raise ProtocolError(message)
    # The task is the one that we asked about, not the one that the answer names.
    if not verify_response(miner, task_id, DIRECT_SLOT, digest, reply.signature or ""):
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
