"""The miner's side: the SDK's axon with bounds on everything and replays refused.

No `from __future__ import annotations` here: the SDK compares the annotations of these functions at run time.
"""

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Tuple  # noqa: UP035

import uvicorn
from bittensor.core.axon import Axon
from bittensor.core.config import Config
from bittensor_wallet import Wallet
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from violet.chain.types import Hotkey, Metagraph, Neuron
from violet.errors import BusyError, PortError, ProtocolError, VioletError
from violet.protocol import DIRECT_SLOT, RESULT_LIMIT_BYTES, sha256_hex, sign_response
from violet.sdk_logging import SDK_LOGGER
from violet.transport.gate import PriorityGate
from violet.transport.jobs import Jobs
from violet.transport.messages import AudioRequest, Capabilities, TextRequest
from violet.transport.synapses import (
    AudioSynapse,
    SignedSynapse,
    VioletAnalyze,
    VioletCapabilities,
    VioletFetch,
    VioletSynthesize,
    VioletTranscribe,
    from_synapse,
    from_synthesize,
)

BODY_LIMIT_BYTES = 256 * 1024
"""Largest request: inline audio as base64 and the rest of a synapse, with room to spare."""

BODY_WAIT_S = 10.0
"""Longest wait for a request's body."""

KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than any client of ours keeps one, so that we never close first."""

MAX_CONNECTIONS = 256
"""Most connections and requests at once."""

MAX_AGE_S = 60.0
"""Oldest request that is taken, whatever its (unsigned) timeout says; nonces are remembered for this long."""

MAX_AHEAD_S = 2.0
"""How far a caller's clock may be ahead."""

MAX_NONCES = 100_000
"""Most nonces remembered; beyond, callers are told to come later."""

MAX_QUEUE_S = 60.0
"""Longest wait of a request for its turn; a caller that says that it waits less waits less."""

START_WAIT_S = 10.0
"""Longest wait for the server to begin."""

STOP_WAIT_S = 5
"""How long running requests may go on when the axon stops."""


@dataclass(frozen=True, slots=True)
class Forwards:
    """What the axon does for its callers, in the event loop that started the axon, so nothing here may block.

    Work returns the result's JSON text; it raises a `VioletError` (its text is the caller's answer) when there is none.
    """

    capabilities: Callable[[], Awaitable[Capabilities]]
    transcribe: Callable[[AudioRequest], Awaitable[str]] | None = None
    """None where the miner does not: then there is no such route."""
    analyze: Callable[[AudioRequest], Awaitable[str]] | None = None
    synthesize: Callable[[TextRequest], Awaitable[str]] | None = None


def refusal(caller: str | None, neurons: dict[Hotkey, Neuron], min_stake: float) -> str | None:
    """Why this caller may not give us work; None when it may."""
    neuron = neurons.get(Hotkey(caller or ""))
    if neuron is None:
        return "hotkey is not registered on this subnet"
    if not neuron.validator_permit:
        return "hotkey has no validator permit"
    if neuron.stake < min_stake:
        return f"stake {neuron.stake:g} is below {min_stake:g}"
    return None


class MinerAxon:
    """A miner's axon: serves `VioletCapabilities` and the work of `forwards` to validators with a permit.

    Args:
        wallet: Whose hotkey answers and signs results.
        ip: Address to bind (the SDK's own axon ignores it and binds every one).
        port: Port to bind; 0 for any free one, found in `port` after `start`.
        external_ip: Address that others reach it at. It is never asked from the internet.
        external_port: Port that others reach it at; the bound one when None.
        metagraph: Returns the newest metagraph; called on every request, so it must be a look at a variable.
        forwards: What to do.
        min_stake: Least stake of a caller.
        capacity: Requests worked on at once.
        max_waiting: Requests that may wait behind them; more are told that the miner is busy.
    """

    def __init__(
        self,
        wallet: Wallet,
        ip: str,
        port: int,
        external_ip: str,
        external_port: int | None,
        metagraph: Callable[[], Metagraph],
        forwards: Forwards,
        *,
        min_stake: float = 0.0,
        capacity: int = 1,
        max_waiting: int = 8,
    ) -> None:
        self.port = port
        self.gate = PriorityGate(capacity, max_waiting)
        self._jobs = Jobs(capacity + max_waiting)
        self._wallet = wallet
        self._hotkey = wallet.hotkey
        self._ip = ip
        self._external = (external_ip, external_port)
        self._metagraph = metagraph
        self._forwards = forwards
        self._min_stake = min_stake
        self._started_ns = 0
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begins to serve; the port is open when this returns.

        Raises:
            PortError: The address cannot be bound.
        """
        listener = _listen(self._ip, self.port)
        self.port = listener.getsockname()[1]
        # What was signed before this moment may be a replay of what a process before us did.
        self._started_ns = time.time_ns()
        app = BodyLimit(self._axon().app, BODY_LIMIT_BYTES, BODY_WAIT_S)
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                lifespan="off",
                timeout_keep_alive=KEEP_ALIVE_S,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=STOP_WAIT_S,
                server_header=False,
            )
        )
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]), name="axon")
        deadline = time.monotonic() + START_WAIT_S
        while not self._server.started:
            if self._serving.done() or time.monotonic() > deadline:
                await self.stop()
                message = f"the axon on port {self.port} did not start"
                raise PortError(message)
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stops serving; running requests have `STOP_WAIT_S` to end. The same again does nothing."""
        if self._server is None or self._serving is None:
            return
        self._jobs.close()
        self._server.should_exit = True
        done, _ = await asyncio.wait({self._serving}, timeout=STOP_WAIT_S + 1)
        if not done:
            self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving
        self._server = self._serving = None

    def _axon(self) -> Axon:
        """The SDK's axon, with our functions and nothing else to call."""
        external_ip, external_port = self._external
        logger = logging.getLogger(SDK_LOGGER)
        if not any(isinstance(known, _QuietAboutStrangers) for known in logger.filters):
            logger.addFilter(_QuietAboutStrangers())
        axon = Axon(
            wallet=self._wallet,
            config=Config(),  # without one, the SDK reads this program's command line
            ip=self._ip,
            port=max(self.port, 1025),
            external_ip=external_ip,
            external_port=external_port or max(self.port, 1025),
            max_workers=1,
        )
        for name in list(axon.forward_class_types):
            # The SDK's ping answers everybody who can sign.
            del axon.forward_class_types[name]

        async def capabilities(synapse: VioletCapabilities) -> VioletCapabilities:
            return await self._answer(synapse, self._capabilities())

        # The SDK compares these annotations with typing.Tuple[bool, str].
        def refuse_capabilities(synapse: VioletCapabilities) -> Tuple[bool, str]:  # noqa: UP006
            return self._blacklist(synapse)

        async def fetch(synapse: VioletFetch) -> VioletFetch:
            return await self._fetch(synapse)

        def refuse_fetch(synapse: VioletFetch) -> Tuple[bool, str]:  # noqa: UP006
            return self._blacklist(synapse)

        axon.attach(capabilities, refuse_capabilities)
        axon.attach(fetch, refuse_fetch)
        self._attach_work(axon)
        verify = _verifier(axon.default_verify, self._started_ns, axon.nonces)
        for name in axon.verify_fns:
            axon.verify_fns[name] = verify
        return axon

    def _attach_work(self, axon: Axon) -> None:
        """Adds the routes of the kinds that this miner does. The SDK knows a route by its function's annotations."""
        forwards = self._forwards
        if (transcribe_audio := forwards.transcribe) is not None:

            async def transcribe(synapse: VioletTranscribe) -> VioletTranscribe:
                return await self._work(synapse, lambda: transcribe_audio(from_synapse(synapse)))

            def refuse_transcribe(synapse: VioletTranscribe) -> Tuple[bool, str]:  # noqa: UP006
                return self._blacklist(synapse)

            axon.attach(transcribe, refuse_transcribe)
        if (analyze_audio := forwards.analyze) is not None:

            async def analyze(synapse: VioletAnalyze) -> VioletAnalyze:
                return await self._work(synapse, lambda: analyze_audio(from_synapse(synapse)))

            def refuse_analyze(synapse: VioletAnalyze) -> Tuple[bool, str]:  # noqa: UP006
                return self._blacklist(synapse)

            axon.attach(analyze, refuse_analyze)
        if (synthesize_text := forwards.synthesize) is not None:

            async def synthesize(synapse: VioletSynthesize) -> VioletSynthesize:
                return await self._work(synapse, lambda: synthesize_text(from_synthesize(synapse)))

            def refuse_synthesize(synapse: VioletSynthesize) -> Tuple[bool, str]:  # noqa: UP006
                return self._blacklist(synapse)

            axon.attach(synthesize, refuse_synthesize)

    def _blacklist(self, synapse: SignedSynapse) -> tuple[bool, str]:
        """Whether to refuse; runs before the signature is checked, so it punishes nobody and remembers nothing."""
        caller = synapse.dendrite.hotkey if synapse.dendrite else None
        reason = refusal(caller, self._metagraph().by_hotkey, self._min_stake)
        return reason is not None, reason or ""

    async def _capabilities(self) -> str:
        return (await self._forwards.capabilities()).to_json()

    async def _in_turn(self, synapse: SignedSynapse, work: Callable[[], Awaitable[str]]) -> str:
        """Does a caller's work when it is its turn."""
        neuron = self._metagraph().by_hotkey.get(Hotkey(synapse.dendrite.hotkey))
        wait_s = min(MAX_QUEUE_S, synapse.timeout or MAX_QUEUE_S)
        async with self.gate.enter(0.0 if neuron is None else neuron.stake, wait_s):
            return await work()

    async def _work[T: SignedSynapse](self, synapse: T, work: Callable[[], Awaitable[str]]) -> T:
        if not synapse.later:
            return await self._answer(synapse, self._in_turn(synapse, work))
        # The message itself is changed when it is answered; the work reads it as it came.
        own = synapse.model_copy(update={"timeout": MAX_QUEUE_S})
        return await self._answer(synapse, self._begin(own, work))

    async def _begin(self, synapse: SignedSynapse, work: Callable[[], Awaitable[str]]) -> None:
        caller = synapse.dendrite.hotkey
        self._jobs.begin(caller, synapse.task_id, lambda: self._in_turn(synapse, work))

    async def _fetch(self, synapse: VioletFetch) -> VioletFetch:
        caller = synapse.dendrite.hotkey
        if synapse.cancel:
            self._jobs.forget(caller, synapse.task_id)
            return synapse
        return await self._answer(synapse, self._jobs.fetch(caller, synapse.task_id, synapse.wait_s))

    async def _answer[T: SignedSynapse](self, synapse: T, work: Awaitable[str | None]) -> T:
        """Fills in the signed result, or why there is none."""
        try:
            result = await work
            synapse.later = result is None
            if result is not None and len(result.encode()) > RESULT_LIMIT_BYTES:
                message = f"result is above {RESULT_LIMIT_BYTES} bytes"
                raise ProtocolError(message)
        except BusyError as error:
            synapse.busy, synapse.error = True, str(error)
        except VioletError as error:
            synapse.error = str(error)
        else:
            if result is None:
                return synapse
            synapse.result, synapse.digest = result, sha256_hex(result)
            synapse.signature = sign_response(self._hotkey, synapse.task_id, DIRECT_SLOT, synapse.digest)
        if isinstance(synapse, AudioSynapse):
            synapse.inline = None  # the caller has it
        return synapse


def _verifier(
    default: Callable[[Any], Awaitable[None]], started_ns: int, nonces: dict[str, int]
) -> Callable[[Any], Awaitable[None]]:
    """The SDK's check of the signature, with our own of the time before it.

    The SDK remembers nonces in memory only and lets the (unsigned) timeout header stretch a request's age: after a
    restart, yesterday's request would be taken again. So: nothing from before the start, nothing older than
    `MAX_AGE_S`, nothing from the future. Then nonces older than that need not be remembered.
    """
    pruned_ns = started_ns

    # A coroutine function, as the SDK checks: it would call another kind of callable without awaiting its verdict.
    async def verify(synapse: Any) -> None:  # noqa: ANN401
        nonlocal pruned_ns
        now_ns = time.time_ns()
        if now_ns - pruned_ns > MAX_AGE_S * 1e9 / 4:
            pruned_ns = now_ns
            for key in [key for key, nonce in nonces.items() if now_ns - nonce > MAX_AGE_S * 1e9]:
                del nonces[key]
        reason = _untimely(synapse.dendrite.nonce if synapse.dendrite else None, now_ns, started_ns)
        if reason is None and len(nonces) >= MAX_NONCES:
            reason = f"more than {MAX_NONCES} requests in {MAX_AGE_S:g} s"
        if reason is not None:
            raise ProtocolError(reason)
        await default(synapse)

    return verify


def _untimely(nonce: int | None, now_ns: int, started_ns: int) -> str | None:
    """Why a request with this nonce (nanoseconds) is not taken now; None when it is."""
    if nonce is None:
        return "request has no nonce"
    if nonce <= started_ns:
        return "request was signed before this axon started"
    if now_ns - nonce > MAX_AGE_S * 1e9:
        return f"request is older than {MAX_AGE_S:g} s"
    if nonce - now_ns > MAX_AHEAD_S * 1e9:
        return f"request is more than {MAX_AHEAD_S:g} s in the future; set the caller's clock"
    return None


class BodyLimit:
    """Refuses request bodies that are too large or too slow, before anybody reads them (ASGI middleware)."""

    def __init__(self, app: ASGIApp, limit_bytes: int, wait_s: float) -> None:
        self._app = app
        self._limit_bytes = limit_bytes
        self._wait_s = wait_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or int(declared) > self._limit_bytes:
            await _refuse(
                send, 413, f"the body has {declared.decode('latin-1')[:20]} bytes; the limit is {self._limit_bytes}"
            )
            return
        body = await self._read(receive)
        if body is None:
            await _refuse(
                send, 413, f"the body is above {self._limit_bytes} bytes or took more than {self._wait_s:g} s"
            )
            return
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])
        await self._app(scope, lambda: _next_message(messages, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        body = bytearray()
        try:
            async with asyncio.timeout(self._wait_s):
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > self._limit_bytes:
                        return None
                    if message["type"] != "http.request" or not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            return None


async def _next_message(messages: Iterator[Message], receive: Receive) -> Message:
    return next(messages, None) or await receive()


async def _refuse(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"message": reason}).encode()})


class _QuietAboutStrangers(logging.Filter):
    """Keeps the SDK from writing an error for every request that it refuses: strangers would fill the log.

    With the SDK's logger at DEBUG they are written.
    """

    REFUSALS = ("Blacklisted", "NotVerified", "UnknownSynapse", "SynapseParsing", "InvalidRequestName")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        is_refusal = record.getMessage().startswith(self.REFUSALS)
        return not is_refusal or logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


class _Server(uvicorn.Server):
    """A server inside our event loop that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(ip: str, port: int) -> socket.socket:
    """A bound, listening socket, so that a taken port is an error here and now."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        message = f"cannot serve the axon on {ip} port {port}: {error.strerror}; choose another with --axon.port"
        raise PortError(message) from error
    return listener
