"""The proxy for programs with an event loop."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, Self
from urllib.parse import quote

import aiohttp

from violet._core import Transcript
from violet.analysis import Analysis
from violet.client.task import Event, Task, TaskFailedError
from violet.client.upload import (
    CHUNK_BYTES,
    MOST_PARTS,
    PART_BYTES,
    PART_TYPE,
    PARTS_FROM_BYTES,
    Source,
    UploadProgress,
    file_name,
    is_repeatable,
    part_of,
    pieces,
    size_of,
)
from violet.errors import ProtocolError, ProxyError, ProxyUnreachableError, UploadInterruptedError
from violet.protocol import member, optional
from violet.proxy_client import refusal
from violet.retry import RETRIED_STATUS, TRIES, backoff_s, cause

ANSWER_LIMIT_BYTES = 64 << 20
"""Most bytes of one answer that is kept in memory."""

TIMEOUT_S = 30.0
"""Longest wait for the next bytes of an answer, besides the time that the request itself asks to wait."""

WAIT_S = 30.0
"""How long one request waits for a task's end."""


class AsyncClient:
    """A proxy, for one event loop. Use it with `async with`, or close it.

    Args:
        base_url: Address of the proxy, such as `http://127.0.0.1:8080`.
        api_key: The user's key; by default that of the variable `VIOLET_API_KEY`, none without it.
    """

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        self.base_url = base_url.rstrip("/").removesuffix("/v1")
        key = os.environ.get("VIOLET_API_KEY") if api_key is None else api_key
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def upload(
        self,
        source: Source,
        *,
        name: str | None = None,
        progress: UploadProgress | None = None,
        resume: str | bool | None = None,
    ) -> str:
        """Sends audio for later tasks; its name at the proxy.

        Args:
            source: The audio.
            name: The audio's name, where it is not a file's.
            progress: Told how much was uploaded.
            resume: True to send in parts, so that a connection that breaks, or a proxy that starts anew, costs a part;
                False to send all at once; by default paths and bytes from 32 MiB on go in parts. The name of an upload
                that broke off (`UploadInterruptedError.upload_id`) goes on where that ended, of the same source.

        Raises:
            OSError: The file cannot be read.
            ValueError: The source cannot be sent in parts, or is not the one that broke off.
            violet.errors.UploadInterruptedError: In parts, it broke off too often.
        """
        name = file_name(source) if name is None else name
        size = await asyncio.to_thread(size_of, source) if resume or is_repeatable(source) else None
        if resume or (resume is None and size is not None and size >= PARTS_FROM_BYTES):
            return await self._upload_parts(source, size, name, progress, resume if isinstance(resume, str) else None)
        path = f"/v1/uploads?name={quote(name or 'audio')}"
        value = await self._json("POST", path, source=source, progress=progress)
        return member(value, "id", str)

    async def _upload_parts(
        self, source: Source, size: int | None, name: str | None, progress: UploadProgress | None, upload_id: str | None
    ) -> str:
        """Sends a source part by part, from where the proxy has it; the upload's name."""
        if size is None:
            message = "resume needs a path, bytes or a file that can seek"
            raise ValueError(message)
        offset = 0
        if upload_id is None:
            length = {"Upload-Length": str(size)}
            begun = await self._json("POST", f"/v1/uploads?name={quote(name or 'audio')}", headers=length)
            upload_id = member(begun, "id", str)
        else:
            offset, is_complete = await self._upload_state(upload_id, size)
            if is_complete:
                return upload_id
        part_bytes = max(PART_BYTES, size // MOST_PARTS)
        failures = 0
        while True:
            part = await asyncio.to_thread(part_of, source, offset, part_bytes)
            headers = {"Content-Type": PART_TYPE, "Upload-Offset": str(offset)}
            told = None if progress is None else _further(progress, offset, size)
            try:
                await self._bytes(
                    "PATCH", f"/v1/uploads/{quote(upload_id)}", source=part, progress=told, headers=headers
                )
            except (ProxyError, ProxyUnreachableError) as error:
                # A part may have come without its answer: 409 says that the proxy has more than we know.
                if isinstance(error, ProxyError) and error.status not in RETRIED_STATUS | {409}:
                    raise
                failures += 1
                if failures == TRIES:
                    raise UploadInterruptedError(f"upload {upload_id} broke off: {error}", upload_id) from error
                await asyncio.sleep(backoff_s(failures, None))
                try:
                    there, is_complete = await self._upload_state(upload_id, size)
                except ProxyUnreachableError as lost:
                    raise UploadInterruptedError(f"upload {upload_id} broke off: {lost}", upload_id) from lost
                if is_complete:
                    return upload_id
                failures = 0 if there > offset else failures
                offset = there
            else:
                offset += len(part)
                failures = 0
                if offset >= size or not part:
                    return upload_id

    async def _upload_state(self, upload_id: str, size: int) -> tuple[int, bool]:
        """How many bytes of an upload are there, and whether it is complete."""
        value = await self._json("GET", f"/v1/uploads/{quote(upload_id)}")
        if member(value, "bytes", int) != size:
            message = f"upload {upload_id} is of {value['bytes']} bytes; the source has {size}"
            raise ValueError(message)
        return member(value, "offset", int), member(value, "state", str) == "complete"

    async def submit(
        self,
        source: Source | None = None,
        *,
        text: str | None = None,
        upload_id: str | None = None,
        kind: Literal["transcription", "synthesis", "analysis"] | None = None,
        idempotency_key: str | None = None,
        name: str | None = None,
        progress: UploadProgress | None = None,
        **options: object,
    ) -> Task:
        """Makes a task of audio, of an earlier upload, or of text.

        Args:
            source: The audio, which is uploaded.
            text: What is to be spoken.
            upload_id: What `upload` returned.
            kind: What to do; by default a synthesis of text and a transcription of audio.
            idempotency_key: The same key and content give the same task; by default a key of this call's own.
            name: The audio's name, where it is not a file's.
            progress: Told how much was uploaded.
            options: The task's options (docs/protocol.md), such as `language`, `priority`, `redundancy`, `deadline_s`.

        Raises:
            TypeError: Not exactly one of `source`, `text` and `upload_id`.
            OSError: The file cannot be read.
        """
        if [source, text, upload_id].count(None) != 2:
            message = "submit takes exactly one of source, text and upload_id"
            raise TypeError(message)
        if source is not None:
            upload_id = await self.upload(source, name=name, progress=progress)
        given = {"upload_id": upload_id} if text is None else {"text": text}
        kind = kind or ("transcription" if text is None else "synthesis")
        wishes = {key: value for key, value in options.items() if value is not None}
        value = await self._json(
            "POST",
            "/v1/tasks",
            body={"kind": kind, "input": given, **wishes},
            headers={"Idempotency-Key": idempotency_key or uuid.uuid4().hex},
        )
        return Task.from_json(value)

    async def task(self, task_id: str, *, wait_s: float = 0.0) -> Task:
        """The task; with `wait_s` (at most 60) as soon as it ended."""
        query = f"?wait={wait_s:g}" if wait_s > 0 else ""
        return Task.from_json(await self._json("GET", f"/v1/tasks/{quote(task_id)}{query}", wait_s=wait_s))

    async def wait(
        self, task_id: str, *, until: Literal["answered", "final"] = "final", timeout_s: float | None = None
    ) -> Task:
        """The task once it has an answer, or once nothing follows.

        Raises:
            TaskFailedError: It ended without an answer.
            TimeoutError: It did not in `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                if until == "answered":
                    async for event in self.events(task_id):
                        if event.task.is_answered or event.task.is_final:
                            break
                while not (task := await self.task(task_id, wait_s=0.0 if until == "answered" else WAIT_S)).is_final:
                    if until == "answered" and task.is_answered:
                        break
        except TimeoutError as error:
            message = f"{task_id} took more than {timeout_s:g} s; it goes on at the proxy"
            raise TimeoutError(message) from error
        if not task.is_answered:
            message = f"{task_id} is {task.state}: {task.reason or 'it has no answer'}"
            raise TaskFailedError(message, status=503, code="task_failed")
        return task

    async def events(self, task_id: str) -> AsyncIterator[Event]:
        """What happens to a task, until it ended. A broken connection is taken up where it ended."""
        last: str | None = None
        failures = 0
        task = await self.task(task_id)
        while True:
            headers = {} if last is None else {"Last-Event-ID": last}
            try:
                async for kind, number, data in self._event_stream(task_id, headers):
                    failures = 0
                    last = number or last
                    task = task.after(kind, data)
                    yield Event(kind, int(number) if number else None, task)
                    if task.is_final:
                        return
            except (aiohttp.ClientError, TimeoutError, ProxyError) as error:
                is_lasting = isinstance(error, ProxyError) and error.status not in RETRIED_STATUS
                failures += 1
                if is_lasting or failures == TRIES:
                    raise self._unreachable(error) from error
            await asyncio.sleep(backoff_s(failures + 1, None))
            task = await self.task(task_id)
            if task.is_final and last is not None:
                yield Event("state", None, task)
                return

    async def result(self, task_id: str, format: str = "text") -> str:
        """The answer as a file has it: `text`, `srt`, `vtt`, `verbose_json` of a transcription, `json` of any kind."""
        raw = await self._bytes("GET", f"/v1/tasks/{quote(task_id)}/result?format={quote(format)}")
        return raw.decode()

    async def transcript(self, task_id: str) -> Transcript:
        """The answer of a transcription, with its segments and words."""
        return Transcript.from_json(await self.result(task_id, "json"))

    async def analysis(self, task_id: str) -> Analysis:
        """The answer of an analysis."""
        return Analysis.from_dict(json.loads(await self.result(task_id, "json")))

    async def audio(self, task_id: str, format: str | None = None) -> bytes:
        """The speech that a synthesis gave, as a file of `format` (the one that was asked for)."""
        query = "" if format is None else f"?format={quote(format)}"
        return await self._bytes("GET", f"/v1/tasks/{quote(task_id)}/audio{query}")

    async def tasks(self, *, limit: int | None = None, **filters: str | int) -> AsyncIterator[Task]:
        """The user's tasks, newest first, page by page; at most `limit`.

        Args:
            limit: Most tasks; None for all.
            filters: `state`, `kind`, `created_after_ms` and `created_before_ms` (docs/protocol.md).
        """
        n, after = 0, None
        while limit is None or n < limit:
            size = 100 if limit is None else min(100, limit - n)
            wanted = {"limit": size, **filters} | ({} if after is None else {"after": after})
            query = "&".join(f"{key}={quote(str(value))}" for key, value in wanted.items())
            value = await self._json("GET", f"/v1/tasks?{query}")
            for item in member(value, "data", list):
                yield Task.from_json(item)
                n += 1
            after = optional(value, "next", str)
            if after is None:
                return

    async def cancel(self, task_id: str) -> Task:
        """Ends a task."""
        return Task.from_json(await self._json("POST", f"/v1/tasks/{quote(task_id)}/cancel"))

    async def retry(self, task_id: str) -> Task:
        """The same work on the same input again, as a new task; of a task that ended.

        Raises:
            ProxyError: Among others, 409 `task_open` while the task has not ended.
        """
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return Task.from_json(await self._json("POST", f"/v1/tasks/{quote(task_id)}/retry", headers=headers))

    async def delete(self, task_id: str) -> None:
        """Erases a task, its input and its answers; one that is still open ends first."""
        await self._bytes("DELETE", f"/v1/tasks/{quote(task_id)}")

    async def network(self) -> Mapping[str, Any]:
        """Miners, validators and the queue, as the proxy sees them."""
        return await self._json("GET", "/v1/network")

    async def _json(self, method: str, path: str, **how: Any) -> Mapping[str, Any]:  # noqa: ANN401 - handed on
        raw = await self._bytes(method, path, **how)
        try:
            value = json.loads(raw)
        except ValueError as error:
            message = f"answer to {path} is not JSON: {error}"
            raise ProtocolError(message) from error
        if not isinstance(value, dict):
            message = f"answer to {path} is not an object"
            raise ProtocolError(message)
        return value

    async def _bytes(
        self,
        method: str,
        path: str,
        *,
        body: object | None = None,
        source: Source | None = None,
        progress: UploadProgress | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
    ) -> bytes:
        """The answer to one request, after as many tries as it takes."""
        for attempt in range(1, TRIES + 1):
            data = None if body is None else json.dumps(body, allow_nan=False).encode()
            sent = {**self._headers, **(headers or {})} | ({} if data is None else {"Content-Type": "application/json"})
            upload = None if source is None else pieces(source, progress)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S + wait_s)
            try:
                async with self._get_session().request(
                    method,
                    self.base_url + path,
                    data=upload or data,
                    headers=sent,
                    timeout=timeout,
                    allow_redirects=False,
                ) as response:
                    raw = await _bounded(response, path)
                if 200 <= response.status < 300:
                    return raw
                error = refusal(response, raw, path)
                if error.status not in RETRIED_STATUS or attempt == TRIES or not is_repeatable(source):
                    raise error
                wait = backoff_s(attempt, error.retry_after_s)
            except (aiohttp.ClientError, TimeoutError) as error:
                if attempt == TRIES or not is_repeatable(source):
                    raise self._unreachable(error) from error
                wait = backoff_s(attempt, None)
            await asyncio.sleep(wait)
        raise AssertionError  # the last try returned or raised

    async def _event_stream(
        self, task_id: str, headers: Mapping[str, str]
    ) -> AsyncIterator[tuple[str, str | None, Any]]:
        """The events of one connection: name, id and data."""
        path = f"/v1/tasks/{quote(task_id)}/events"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=TIMEOUT_S + 15)
        async with self._get_session().get(
            self.base_url + path, headers={**self._headers, **headers}, timeout=timeout, allow_redirects=False
        ) as response:
            if response.status != 200:
                raise refusal(response, await _bounded(response, path), path)
            fields: dict[str, str] = {}
            async for raw in response.content:
                line = raw.decode().rstrip("\r\n")
                if not line and "data" in fields:
                    yield fields.get("event", "message"), fields.get("id"), json.loads(fields["data"])
                if not line:
                    fields = {}
                    continue
                key, _, value = line.partition(":")
                if key:
                    fields[key] = value.removeprefix(" ")

    def _unreachable(self, error: BaseException) -> BaseException:
        if isinstance(error, ProxyError):
            return error
        return ProxyUnreachableError(f"proxy {self.base_url} is not reachable: {cause(error)}; check its address")

    def _get_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A line of an event is a whole task.
            self._session = aiohttp.ClientSession(read_bufsize=1 << 20)
        return self._session


def _further(progress: UploadProgress, offset: int, size: int) -> UploadProgress:
    """The progress of a part as that of the whole."""
    return lambda sent, _: progress(offset + sent, size)


async def _bounded(response: aiohttp.ClientResponse, path: str) -> bytes:
    raw = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        raw += chunk
        if len(raw) > ANSWER_LIMIT_BYTES:
            message = f"answer to {path} is above {ANSWER_LIMIT_BYTES} bytes"
            raise ProtocolError(message)
    return bytes(raw)
