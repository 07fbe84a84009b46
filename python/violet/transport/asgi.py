"""What a server and its ways of calling share: the types of ASGI, an answer, and a bound on bodies."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def answer(send: Send, status: int, body: bytes, *, close: bool = False) -> None:
    """Sends a JSON body; with `close` the connection ends after it."""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close")] if close else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def refuse(send: Send, status: int, reason: str, *, close: bool = False) -> None:
    """Sends why a request is not served."""
    await answer(send, status, json.dumps({"message": reason}).encode(), close=close)


class BodyLimit:
    """Refuses request bodies that are too large or too slow, before anybody reads them (ASGI middleware)."""

    def __init__(self, app: App, limit_bytes: int, wait_s: float) -> None:
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
            reason = f"the body has {declared.decode('latin-1')[:20]} bytes; the limit is {self._limit_bytes}"
            await refuse(send, 413, reason, close=True)
            return
        body = await self._read(receive)
        if body is None:
            reason = f"the body is above {self._limit_bytes} bytes or took more than {self._wait_s:g} s"
            await refuse(send, 413, reason, close=True)
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
