"""A miner's HTTP server inside the event loop, with bounds on bodies, connections and waits. It needs no SDK."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

import uvicorn

from violet.errors import PortError
from violet.transport.asgi import App, BodyLimit
from violet.transport.direct import DirectDoor
from violet.transport.gate import PriorityGate
from violet.transport.service import MinerService

BODY_LIMIT_BYTES = 256 * 1024
"""Largest request: inline audio as base64 and the rest of a message, with room to spare."""

BODY_WAIT_S = 10.0
"""Longest wait for a request's body."""

KEEP_ALIVE_S = 75
"""How long an idle connection stays open: longer than any client of ours keeps one, so that we never close first."""

MAX_CONNECTIONS = 256
"""Most connections and requests at once."""

START_WAIT_S = 10.0
"""Longest wait for the server to begin."""

STOP_WAIT_S = 5
"""How long running requests may go on when the server stops."""


class MinerServer:
    """A miner's server for validators with a permit, who sign their calls as `btauth/1`.

    Args:
        service: What answers.
        ip: Address to bind.
        port: Port to bind; 0 for any free one, found in `port` after `start`.
    """

    def __init__(self, service: MinerService, ip: str, port: int) -> None:
        self.port = port
        self._ip = ip
        self._service = service
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def gate(self) -> PriorityGate:
        """Where all work waits for its turn."""
        return self._service.gate

    async def start(self) -> None:
        """Begins to serve; the port is open when this returns.

        Raises:
            PortError: The address cannot be bound.
        """
        listener = _listen(self._ip, self.port)
        self.port = listener.getsockname()[1]
        # What was signed before this moment may be a replay of what a process before us did.
        app = BodyLimit(self._app(time.time_ns()), BODY_LIMIT_BYTES, BODY_WAIT_S)
        self._server = _Server(
            uvicorn.Config(
                app,
                ws="none",
                log_config=None,
                access_log=False,
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
        self._service.close()
        self._server.should_exit = True
        done, _ = await asyncio.wait({self._serving}, timeout=STOP_WAIT_S + 1)
        if not done:
            self._serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._serving
        self._server = self._serving = None

    def _app(self, started_ns: int) -> App:
        """What answers; it takes nothing that was signed before `started_ns`."""
        return DirectDoor(self._service, started_ns)


class _Server(uvicorn.Server):
    """A server inside our event loop that leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(ip: str, port: int) -> socket.socket:
    """A bound, listening socket, so that a taken port is an error here and now."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    # With the protocol named, asyncio knows that connections are TCP, and lets no answer wait 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
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
