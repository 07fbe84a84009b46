"""The proxy, as miners and validators talk to it (`docs/protocol.md`): signed requests, retries, checked downloads."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from violet.chain.types import Hotkey
from violet.download import CHUNK_BYTES, Downloader
from violet.errors import ProtocolError, ProxyError, ProxyUnreachableError
from violet.protocol import (
    TRANSCRIPTION,
    Evaluation,
    InputRef,
    Lease,
    ResponseId,
    TaskId,
    member,
    optional,
    sha256_hex,
    signed_headers,
)
from violet.retry import RETRIED_STATUS, TRIES, backoff_s, cause, retry_after_s
from violet.wallet import Signer

ANSWER_LIMIT_BYTES = 64 * 1024 * 1024
"""Most bytes of a JSON answer: an evaluation carries up to 8 results of 4 MiB, escaped."""

STORE_WAIT_S = 120.0
"""How much longer a request that stores audio may take."""

TIMEOUT_S = 15.0
"""Longest wait for an answer, besides the time that the request itself asks to wait."""


@dataclass(frozen=True, slots=True)
class Network:
    """What the proxy says about itself and the subnet."""

    proxy_hotkey: Hotkey
    """Whom requests are signed for."""
    netuid: int
    network: str
    document: Mapping[str, Any]
    """The whole answer: queue, miners, validators."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the proxy knows of the miner that asks."""

    quality: float
    """Its proven quality, 0 to 1."""
    capacity: int | None
    """Leases that it may hold; None where it said nothing lately."""
    is_draining: bool
    """It takes no more work."""
    n_leases: int
    """Leases that it holds."""
    document: Mapping[str, Any]
    """The whole answer."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The answer to a miner's sign of life."""

    expires_at_ms: int
    cancel: bool
    """The task is no longer wanted."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a submit."""

    response_id: ResponseId | None
    state: str
    """`submitted` or `rejected`."""
    reason: str | None
    """Why it was rejected."""


@dataclass(frozen=True, slots=True)
class EvaluationStatus:
    """Where the judging of a task stands."""

    phase: str
    """`commit`, `reveal` or `done`."""
    verdict: Mapping[str, Any] | None


class ProxyClient:
    """A connection to one proxy for one hotkey. Use it in one event loop; close it, or use it with `async with`.

    Every request is tried `TRIES` times: after a failure of the connection and after 429, 502, 503 and 504, each time
    with a nonce of its own. All requests of the protocol are safe to repeat. What still fails raises
    `ProxyUnreachableError` (no answer) or `ProxyError` (a refusal, with its status and code); an answer that the
    protocol does not allow raises `ProtocolError`.

    Args:
        url: Address of the proxy.
        signer: The neuron's hotkey.
        allow_private: Whether inputs may be at addresses that the internet cannot reach, besides the proxy's own.
        sleep: Waits between tries; for tests.
    """

    def __init__(
        self,
        url: str,
        signer: Signer,
        *,
        allow_private: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._signer = signer
        self._session: aiohttp.ClientSession | None = None
        self._downloader = Downloader(self.url, allow_private=allow_private, sleep=sleep)
        self._sleep = sleep
        self._receiver: Hotkey | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._downloader.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def network(self) -> Network:
        """What the proxy says about itself; it also learns whom to sign for."""
        value = await self._request("GET", "/v1/network", None, is_signed=False)
        hotkey = Hotkey(member(member(value, "proxy", dict), "hotkey", str))
        self._receiver = hotkey
        return Network(hotkey, member(value, "netuid", int), member(value, "network", str), value)

    async def register(
        self, *, kinds: Sequence[str], capacity: int, model: str | None = None, voices: Sequence[str] = ()
    ) -> Standing:
        """Says what this miner can do, and that it takes work (again)."""
        body: dict[str, Any] = {"kinds": list(kinds), "capacity": capacity}
        body |= ({"model": model} if model else {}) | ({"voices": list(voices)} if voices else {})
        return _standing(await self._request("POST", "/v1/miner/register", body))

    async def drain(self) -> Standing:
        """Says that this miner takes no more work; its claims that wait end, and what it holds goes on."""
        return _standing(await self._request("POST", "/v1/miner/drain", {}))

    async def me(self) -> Standing:
        """What the proxy knows of this miner."""
        return _standing(await self._request("GET", "/v1/miner/me", None))

    async def claim(
        self,
        claim_id: str,
        *,
        capacity: int,
        model: str | None,
        wait_s: int,
        kinds: Sequence[str] = (TRANSCRIPTION,),
        voices: Sequence[str] = (),
    ) -> list[Lease]:
        """Asks for work of these kinds (and syntheses by these voices), waiting up to `wait_s` for it.

        The same `claim_id` gets the same leases while they live: use a fresh one for new work, and the old one after a
        crash.
        """
        body: dict[str, Any] = {"claim_id": claim_id, "kinds": list(kinds), "capacity": capacity, "wait_s": wait_s}
        body |= ({"model": model} if model else {}) | ({"voices": list(voices)} if voices else {})
        value = await self._request("POST", "/v1/miner/claim", body, wait_s=wait_s)
        return [Lease.from_json(item) for item in member(value, "leases", list)]

    async def heartbeat(self, lease: Lease, progress: float, partial: str | None = None) -> Heartbeat:
        """Says that a task is being worked on, which extends its lease."""
        body: dict[str, Any] = {**_key(lease), "progress": min(max(progress, 0.0), 1.0)}
        if partial is not None:
            body["partial"] = partial
        value = await self._request("POST", "/v1/miner/heartbeat", body)
        return Heartbeat(member(value, "expires_at_ms", int), member(value, "cancel", bool))

    async def store(self, lease: Lease, data: bytes) -> None:
        """Stores the audio that belongs to a result; `submit` then names its hash. The same again changes nothing."""
        body = {**_key(lease), "sha256": sha256_hex(data), "bytes": len(data)}
        url = member(await self._request("POST", "/v1/miner/output", body), "url", str)
        # At the address by which we know the proxy, which may not be the one that it has for itself.
        _, route, object_query = url.partition("/v1/blobs/")
        if not object_query:
            message = f"the proxy wants the audio at {url!r:.80}; expected an address with /v1/blobs/"
            raise ProtocolError(message)
        await self._request("PUT", route + object_query, data, wait_s=STORE_WAIT_S, is_signed=False)

    async def submit(self, lease: Lease, result: str, digest: str, signature: str) -> Submitted:
        """Hands in a result (a JSON text) with the miner's signature (`protocol.sign_response`) over its digest.

        The same again gets the same answer.
        """
        body = {**_key(lease), "result": result, "digest": digest, "signature": signature}
        value = await self._request("POST", "/v1/miner/submit", body)
        response_id = optional(value, "response_id", str)
        return Submitted(
            None if response_id is None else ResponseId(response_id),
            member(value, "state", str),
            optional(value, "reason", str),
        )

    async def fail(self, lease: Lease, reason: str) -> None:
        """Gives a task back, for another miner."""
        await self._request("POST", "/v1/miner/fail", {**_key(lease), "reason": reason})

    async def lease(
        self, claim_id: str, *, limit: int = 1, wait_s: int, kinds: Sequence[str] = (TRANSCRIPTION,)
    ) -> list[Evaluation]:
        """Asks for answered tasks to judge, waiting up to `wait_s` for them."""
        body = {"claim_id": claim_id, "kinds": list(kinds), "max": limit, "wait_s": wait_s}
        value = await self._request("POST", "/v1/validator/lease", body, wait_s=wait_s)
        return [Evaluation.from_json(item) for item in member(value, "evaluations", list)]

    async def commit(self, task_id: TaskId, commitment: str) -> str:
        """Publishes the hash of scores; returns the phase, `commit` or `reveal`."""
        value = await self._request("POST", "/v1/validator/commit", {"task_id": task_id, "commitment": commitment})
        return member(value, "phase", str)

    async def reveal(self, task_id: TaskId, salt: str, scores: str) -> str:
        """Publishes scores; returns the phase, `reveal` or `done`.

        Raises:
            ProxyError: With code `commits_open` and `retry_after_s` while others may still commit.
        """
        body = {"task_id": task_id, "salt": salt, "scores": scores}
        return member(await self._request("POST", "/v1/validator/reveal", body), "phase", str)

    async def report(self, miners: Mapping[Hotkey, Mapping[str, int | None]]) -> int:
        """Says what this validator sees of miners itself; returns of how many the proxy took it.

        Of each miner `asked`, `answered` and `capacity`, which is None where it was not tried.
        """
        value = await self._request("POST", "/v1/validator/health", {"miners": miners})
        return member(value, "miners", int)

    async def evaluation(self, task_id: TaskId) -> EvaluationStatus:
        """Where the judging of a task stands."""
        value = await self._request("GET", f"/v1/validator/tasks/{task_id}", None)
        return EvaluationStatus(member(value, "phase", str), optional(value, "verdict", dict))

    async def download(self, source: InputRef, path: Path, *, limit_bytes: int) -> None:
        """Writes the bytes behind a reference to a new file; see `Downloader.fetch`."""
        await self._downloader.fetch(source, path, limit_bytes=limit_bytes)

    async def _request(
        self, method: str, path: str, body: object | bytes | None, *, wait_s: float = 0.0, is_signed: bool = True
    ) -> Mapping[str, Any]:
        """The answer to one request, after as many tries as it takes."""
        if is_signed and self._receiver is None:
            await self.network()
        media_type = "audio/flac" if isinstance(body, bytes) else "application/json"
        data = b"" if body is None else body if isinstance(body, bytes) else _json(body)
        for attempt in range(1, TRIES + 1):
            headers = {"Content-Type": media_type} if data else {}
            if is_signed:
                # Anew for each try: the proxy takes a nonce once.
                headers |= signed_headers(self._signer, method, self._base_path + path, data, self._receiver or "")
            try:
                return await self._send(method, path, data, headers, TIMEOUT_S + wait_s)
            except ProxyError as error:
                if is_signed and error.status == 401 and attempt == 1:
                    # Perhaps another proxy, with another key, answers at this address now.
                    await self.network()
                    continue
                if error.status not in RETRIED_STATUS or attempt == TRIES:
                    raise
                wait = backoff_s(attempt, error.retry_after_s)
            except (aiohttp.ClientError, TimeoutError) as error:
                if attempt == TRIES:
                    message = f"proxy {self.url} is not reachable: {cause(error)}; check --proxy.url"
                    raise ProxyUnreachableError(message) from error
                wait = backoff_s(attempt, None)
            await self._sleep(wait)
        raise AssertionError  # the last try returned or raised

    async def _send(
        self, method: str, path: str, data: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Mapping[str, Any]:
        timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=TIMEOUT_S)
        async with self._get_session().request(
            method,
            self.url + path,
            data=data or None,
            headers=headers,
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            raw = bytearray()
            async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                raw += chunk
                if len(raw) > ANSWER_LIMIT_BYTES:
                    message = f"answer to {path} is above {ANSWER_LIMIT_BYTES} bytes"
                    raise ProtocolError(message)
        if not 200 <= response.status < 300:
            raise refusal(response, bytes(raw), path)
        try:
            value = json.loads(raw)
        except ValueError as error:
            message = f"answer to {path} is not JSON: {error}"
            raise ProtocolError(message) from error
        if not isinstance(value, dict):
            message = f"answer to {path} is not an object"
            raise ProtocolError(message)
        return value

    @property
    def _base_path(self) -> str:
        """The path in the proxy's address, which is signed too where it serves below one."""
        return urlsplit(self.url).path

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session


def _standing(value: Mapping[str, Any]) -> Standing:
    return Standing(
        member(value, "quality", float),
        optional(value, "capacity", int),
        member(value, "draining", bool),
        len(member(value, "leases", list)),
        value,
    )


def _key(lease: Lease) -> dict[str, Any]:
    return {"task_id": lease.task_id, "slot": lease.slot, "token": lease.token}


def _json(body: object) -> bytes:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def refusal(response: aiohttp.ClientResponse, raw: bytes, path: str) -> ProxyError:
    """The error that a refusal is, whoever refused (a gateway in front of the proxy answers without our JSON)."""
    message, code = f"{path}: {raw[:120].decode('utf-8', 'replace')}", f"http_{response.status}"
    with contextlib.suppress(ValueError, ProtocolError):
        error = member(json.loads(raw), "error", dict)
        message, code = member(error, "message", str), optional(error, "code", str) or code
    text = " ".join(f"{message} ({response.status} {code})".split())
    return ProxyError(text, status=response.status, code=code, retry_after_s=retry_after_s(response.headers))
