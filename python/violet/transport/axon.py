"""The miner's axon: the SDK's, with bounds on everything and replays refused.

No `from __future__ import annotations` here: the SDK compares the annotations of these functions at run time.
"""

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Tuple  # noqa: UP035

from bittensor.core.axon import Axon
from bittensor.core.config import Config

from violet.errors import ProtocolError
from violet.sdk_logging import SDK_LOGGER
from violet.transport.asgi import App, Receive, Scope, Send
from violet.transport.bodies import PREFIX, AudioBody
from violet.transport.server import MinerServer
from violet.transport.service import MAX_QUEUE_S
from violet.transport.synapses import SYNAPSES, SignedSynapse

MAX_AGE_S = 60.0
"""Oldest request that is taken, whatever its (unsigned) timeout says; nonces are remembered for this long."""

MAX_AHEAD_S = 2.0
"""How far a caller's clock may be ahead."""

MAX_NONCES = 100_000
"""Most nonces remembered; beyond, callers are told to come later."""


class MinerAxon(MinerServer):
    """A miner's server with the SDK's axon beside the direct calls, on one port."""

    def _app(self, started_ns: int) -> App:
        direct, axon = super()._app(started_ns), self._axon(started_ns).app

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (direct if scope["path"].startswith(PREFIX) else axon)(scope, receive, send)

        return app

    def _axon(self, started_ns: int) -> Axon:
        """The SDK's axon, with our functions and nothing else to call."""
        logger = logging.getLogger(SDK_LOGGER)
        if not any(isinstance(known, _QuietAboutStrangers) for known in logger.filters):
            logger.addFilter(_QuietAboutStrangers())
        axon = Axon(
            wallet=self._service.wallet,
            config=Config(),  # without one, the SDK reads this program's command line
            ip=self._ip,
            port=max(self.port, 1025),
            external_ip=self._ip,  # without one, the SDK asks the internet
            external_port=max(self.port, 1025),
            max_workers=1,
        )
        for name in list(axon.forward_class_types):
            # The SDK's ping answers everybody who can sign.
            del axon.forward_class_types[name]
        for body in self._service.served:
            self._attach(axon, SYNAPSES[body])
        verify = _verifier(axon.default_verify, started_ns, axon.nonces)
        for name in axon.verify_fns:
            axon.verify_fns[name] = verify
        return axon

    def _attach(self, axon: Axon, kind: type[SignedSynapse]) -> None:
        """Adds the route of a synapse. The SDK knows it by its functions' annotations."""

        async def forward(synapse: kind) -> kind:  # type: ignore[valid-type]
            return await self._serve(synapse)

        # The SDK compares these annotations with typing.Tuple[bool, str].
        def refuse(synapse: kind) -> Tuple[bool, str]:  # type: ignore[valid-type]  # noqa: UP006
            return self._refuse(synapse)

        axon.attach(forward, refuse)

    def _refuse(self, synapse: SignedSynapse) -> tuple[bool, str]:
        """Whether to refuse, and why; runs before the signature is checked."""
        reason = self._service.refusal(synapse.dendrite.hotkey if synapse.dendrite else None)
        return reason is not None, reason or ""

    async def _serve(self, synapse: SignedSynapse) -> SignedSynapse:
        """The message with its answer written into it."""
        reply = await self._service.reply(synapse.dendrite.hotkey, synapse, synapse.timeout or MAX_QUEUE_S)
        for name, value in reply:
            setattr(synapse, name, value)
        if isinstance(synapse, AudioBody):
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


class _QuietAboutStrangers(logging.Filter):
    """Keeps the SDK from writing an error for every request that it refuses: strangers would fill the log.

    With the SDK's logger at DEBUG they are written.
    """

    REFUSALS = ("Blacklisted", "NotVerified", "UnknownSynapse", "SynapseParsing", "InvalidRequestName")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        is_refusal = record.getMessage().startswith(self.REFUSALS)
        return not is_refusal or logging.getLogger(record.name).isEnabledFor(logging.DEBUG)
