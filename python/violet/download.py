"""Downloads that end: of a known size and hash, from an address that may be called, within a bounded time."""

import asyncio
import hashlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from violet.errors import DownloadError, ProxyUnreachableError
from violet.protocol import InputRef
from violet.retry import RETRIED_STATUS, TRIES, backoff_s, cause, retry_after_s

CHUNK_BYTES = 256 * 1024
"""Size of the pieces that are read."""

CONNECT_WAIT_S = 10.0
"""Longest wait for a connection, and for the next bytes of one."""

SLOWEST_BYTES_PER_S = 64 * 1024
"""A download that is slower than this, after `CONNECT_WAIT_S`, is given up."""


class Downloader:
    """Fetches referenced audio. Use it in one event loop, and close it.

    Whoever names the address might name one inside our own network. So: hosts other than `trusted_url`'s must have an
    address of the internet, redirects are not followed, and the content is judged by its hash alone.

    Args:
        trusted_url: An address whose host and port may be anywhere: the proxy that the operator configured.
        allow_private: Whether any host may be anywhere (local networks).
        sleep: Waits between tries; for tests.
    """

    def __init__(
        self,
        trusted_url: str | None = None,
        *,
        allow_private: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._trusted = None if trusted_url is None else _origin(urlsplit(trusted_url))
        self._allow_private = allow_private
        self._sleep = sleep
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Closes the connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def fetch(self, source: InputRef, path: Path, *, limit_bytes: int) -> None:
        """Writes the bytes behind a reference to a new file; there is no file when they are not the right ones.

        Args:
            source: Where they are, how many they must be, and their hash.
            path: The file.
            limit_bytes: How many are taken at most.

        Raises:
            DownloadError: Too many, too few, another hash, refused, too slow, or at an address that is not called.
            ProxyUnreachableError: No connection, after all tries.
            OSError: The file cannot be written.
        """
        if not 0 < source.bytes <= limit_bytes:
            message = f"input has {source.bytes} bytes; expected 1 to {limit_bytes}"
            raise DownloadError(message)
        try:
            with path.open("wb") as file:
                await self._write(source, file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    async def _write(self, source: InputRef, file: BinaryIO) -> None:
        """Copies the bytes into a file, and checks them."""
        digest = hashlib.sha256()
        try:
            async with asyncio.timeout(CONNECT_WAIT_S * TRIES + source.bytes / SLOWEST_BYTES_PER_S):
                async for chunk in self._chunks(source.url, source.bytes):
                    digest.update(chunk)
                    file.write(chunk)
        except TimeoutError as error:
            message = f"input came too slowly: {file.tell()} of {source.bytes} bytes"
            raise DownloadError(message) from error
        if digest.hexdigest() != source.sha256:
            message = f"input has SHA-256 {digest.hexdigest():.12}..; expected {source.sha256:.12}.."
            raise DownloadError(message)

    async def _chunks(self, url: str, n_bytes: int) -> AsyncIterator[bytes]:
        """The pieces, `n_bytes` together; after a broken connection it goes on where it stopped."""
        session, name = self._session_for(url), url.partition("?")[0]
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_WAIT_S, sock_read=CONNECT_WAIT_S)
        done = 0
        for attempt in range(1, TRIES + 1):
            headers = {"Range": f"bytes={done}-"} if done else {}
            try:
                async with session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as response:
                    if response.status not in RETRIED_STATUS or attempt == TRIES:
                        async for chunk in _new_bytes(response, done, n_bytes, name):
                            done += len(chunk)
                            yield chunk
                        return
                    wait_s = backoff_s(attempt, retry_after_s(response.headers))
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
                if attempt == TRIES:
                    message = f"input at {name} is not reachable: {cause(error)}"
                    raise ProxyUnreachableError(message) from error
                wait_s = backoff_s(attempt, None)
            except (aiohttp.ClientError, ValueError) as error:
                message = f"input at {name} cannot be fetched: {cause(error)}"
                raise DownloadError(message) from error
            await self._sleep(wait_s)

    def _session_for(self, url: str) -> aiohttp.ClientSession:
        """The session that may call this address.

        Raises:
            DownloadError: None may.
        """
        try:
            parts = urlsplit(url)
            is_free = self._allow_private or _origin(parts) == self._trusted
        except ValueError as error:
            message = f"input is at {url!r:.80}: {error}"
            raise DownloadError(message) from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            message = f"input is at {url!r:.80}; expected http or https"
            raise DownloadError(message)
        # aiohttp resolves names only; an address goes past the resolver.
        if not is_free and _is_address(parts.hostname) and not ipaddress.ip_address(parts.hostname).is_global:
            message = f"input is at {parts.hostname}, which is not an address of the internet"
            raise DownloadError(message)
        if is_free not in self._sessions:
            resolver = None if is_free else _InternetResolver()
            self._sessions[is_free] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver))
        return self._sessions[is_free]


class _InternetResolver(AbstractResolver):
    """Resolves names to addresses of the internet only; what is checked is what is connected to."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if ipaddress.ip_address(result["host"]).is_global]
        if not allowed:
            message = f"{host} has no address of the internet"
            raise OSError(message)
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


async def _new_bytes(response: aiohttp.ClientResponse, done: int, n_bytes: int, name: str) -> AsyncIterator[bytes]:
    """What a response adds to the `done` bytes that are there, which completes them."""
    if response.status not in {200, 206}:
        message = f"input at {name}: HTTP {response.status}"
        raise DownloadError(message)
    # A server without ranges begins anew.
    skip = done if response.status == 200 else 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        new = chunk[skip:]
        skip = max(0, skip - len(chunk))
        done += len(new)
        if done > n_bytes:
            message = f"input is longer than the {n_bytes} bytes that were promised"
            raise DownloadError(message)
        if new:
            yield new
    if done < n_bytes:
        message = f"input ended after {done} of {n_bytes} bytes"
        raise DownloadError(message)


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    """Scheme, host and port of an address."""
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
