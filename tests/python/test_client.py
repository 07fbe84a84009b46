"""The user's client against a proxy that breaks off, and against wrong use; the real network is in test_network.py."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from violet.cli import submit
from violet.client import AsyncClient, Client, TaskFailedError
from violet.errors import ProtocolError, ProxyError, ProxyUnreachableError, UploadInterruptedError


def document(state: str, **more: object) -> dict[str, Any]:
    """A task as the proxy shows it."""
    answer = {"response_id": "resp_1", "miner": "5F", "text": "hello"} if state in {"answered", "verified"} else None
    usual = {"id": "task_1", "kind": "transcription", "state": state, "reason": None, "progress": 0.0, "answer": answer}
    return {**usual, **more}


@dataclass
class FlakyProxy:
    """Answers as docs/protocol.md says, except for what a test has it do wrong."""

    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses and headers that the next requests get instead of an answer."""
    streams: list[bytes] = field(default_factory=list)
    """What each connection to the events gets before it is closed."""
    taken: list[int] = field(default_factory=list)
    """How many bytes of each part of an upload are kept before the connection is as good as broken; all, in the end."""
    kept: bytearray = field(default_factory=bytearray)
    length: int = 0
    state: str = "verified"
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append((request.method, request.path_qs, dict(request.headers), body))
        if self.refusals:
            status, headers = self.refusals.pop(0)
            error = {"message": "no", "type": "server_error", "param": None, "code": "refused"}
            return web.json_response({"error": error}, status=status, headers=headers)
        if request.path.endswith("/events"):
            stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await stream.prepare(request)
            await stream.write(self.streams.pop(0) if self.streams else b"")
            return stream
        if "Upload-Length" in request.headers:
            self.length = int(request.headers["Upload-Length"])
        if request.path.startswith("/v1/uploads/"):
            return self._part(request, body)
        if request.path == "/v1/uploads":
            return web.json_response({"id": "upload_1"}, status=201)
        if request.path.endswith("/result"):
            return web.Response(text="hello\n")
        if request.path == "/v1/tasks" and request.method == "GET":
            after = int(request.query.get("after", "0"))
            limit = int(request.query["limit"])
            data = [document("verified", id=f"task_{i}") for i in range(after, min(after + limit, 250))]
            return web.json_response({"data": data, "next": str(after + limit) if after + limit < 250 else None})
        return web.json_response(document(self.state))

    def _part(self, request: web.Request, body: bytes) -> web.Response:
        """An upload in parts, of which some keep less than was sent before they break off."""
        if request.method == "PATCH":
            if int(request.headers["Upload-Offset"]) != len(self.kept):
                error = {"message": "no", "type": "conflict_error", "param": None, "code": "wrong_offset"}
                return web.json_response({"error": error}, status=409)
            taken = self.taken.pop(0) if self.taken else len(body)
            self.kept += body[:taken]
            if taken < len(body):
                error = {"message": "no", "type": "server_error", "param": None, "code": "broken"}
                return web.json_response({"error": error}, status=503, headers={"Retry-After": "0"})
        state = "complete" if len(self.kept) == self.length else "open"
        return web.json_response({"id": "upload_1", "state": state, "offset": len(self.kept), "bytes": self.length})

    def paths(self) -> list[str]:
        """What was asked for."""
        return [path for _, path, _, _ in self.requests]


@dataclass
class Running:
    """The proxy, its address, and a client of it."""

    proxy: FlakyProxy
    url: str
    client: AsyncClient


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    proxy = FlakyProxy()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", proxy.answer)
    async with TestServer(application) as server:
        url = str(server.make_url("")).rstrip("/")
        async with AsyncClient(url, "secret") as client:
            yield Running(proxy, url, client)


def event(number: int | None, kind: str, data: object) -> bytes:
    head = f"id: {number}\n" if number is not None else ""
    return f"event: {kind}\n{head}data: {json.dumps(data)}\n\n".encode()


async def test_a_file_is_uploaded_then_submitted_with_a_key(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "my talk.mp3"
    path.write_bytes(bytes(600_000))
    seen: list[tuple[int, int | None]] = []
    task = await running.client.submit(path, language="en", prompt=None, progress=lambda *n: seen.append(n))
    assert (task.id, task.kind, task.text, task.is_final) == ("task_1", "transcription", "hello", True)
    (_, upload, headers, body), (_, _, task_headers, sent) = running.proxy.requests
    assert upload == "/v1/uploads?name=my%20talk.mp3"
    assert body == bytes(600_000)
    assert headers["Authorization"] == "Bearer secret"
    assert seen[-1] == (600_000, 600_000)
    assert json.loads(sent) == {"kind": "transcription", "input": {"upload_id": "upload_1"}, "language": "en"}
    assert len(task_headers["Idempotency-Key"]) == 32


async def test_text_becomes_a_synthesis(running: Running) -> None:
    await running.client.submit(text="hello", voice="joe", idempotency_key="mine")
    ((_, path, headers, sent),) = running.proxy.requests
    assert (path, headers["Idempotency-Key"]) == ("/v1/tasks", "mine")
    assert json.loads(sent) == {"kind": "synthesis", "input": {"text": "hello"}, "voice": "joe"}


async def test_a_busy_proxy_is_asked_again_with_the_same_key(running: Running) -> None:
    running.proxy.refusals = [(503, {"Retry-After": "0"}), (429, {"Retry-After": "0"})]
    await running.client.submit(upload_id="upload_1")
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in running.proxy.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    # The same work again is a new task, once.
    running.proxy.requests, running.proxy.refusals = [], [(503, {"Retry-After": "0"})]
    again = await running.client.retry("task_1")
    assert (again.id, running.proxy.paths()) == ("task_1", ["/v1/tasks/task_1/retry"] * 2)
    of_retry = {headers["Idempotency-Key"] for _, _, headers, _ in running.proxy.requests}
    assert len(of_retry) == 1
    assert not of_retry & set(keys)


async def test_a_refusal_carries_status_and_code(running: Running) -> None:
    running.proxy.refusals = [(404, {})]
    with pytest.raises(ProxyError, match="404 refused") as caught:
        await running.client.task("task_2")
    assert (caught.value.status, caught.value.code) == (404, "refused")
    assert len(running.proxy.requests) == 1


async def test_a_file_object_is_not_sent_twice(running: Running) -> None:
    running.proxy.refusals = [(503, {"Retry-After": "0"})]
    with pytest.raises(ProxyError):
        await running.client.upload(io.BytesIO(b"sound"), name="x.wav")
    assert len(running.proxy.requests) == 1


async def test_an_upload_in_parts_goes_on_where_it_broke_off(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("violet.client.asynchronous.PART_BYTES", 1_000)
    monkeypatch.setattr("violet.client.asynchronous.backoff_s", lambda *_: 0.0)
    sound = bytes(range(250)) * 10
    path = tmp_path / "talk.wav"
    path.write_bytes(sound)
    running.proxy.taken = [1_000, 300]
    seen: list[tuple[int, int | None]] = []
    name = await running.client.upload(path, resume=True, progress=lambda *n: seen.append(n))
    assert (name, bytes(running.proxy.kept)) == ("upload_1", sound)
    assert seen[-1] == (2_500, 2_500)
    assert running.proxy.requests[0][2]["Upload-Length"] == "2500"


async def test_an_upload_that_breaks_off_too_often_is_taken_up_by_its_name(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("violet.client.asynchronous.PART_BYTES", 1_000)
    monkeypatch.setattr("violet.client.asynchronous.backoff_s", lambda *_: 0.0)
    running.proxy.taken = [1_000] + [0] * 20
    with pytest.raises(UploadInterruptedError, match="upload_1") as broken:
        await running.client.upload(bytes(2_500), resume=True)
    assert len(running.proxy.kept) == 1_000
    running.proxy.taken = []
    with pytest.raises(ValueError, match="of 2500 bytes; the source has 7"):
        await running.client.upload(bytes(7), resume=broken.value.upload_id)
    assert await running.client.upload(io.BytesIO(bytes(2_500)), resume=broken.value.upload_id) == "upload_1"
    assert bytes(running.proxy.kept) == bytes(2_500)
    assert await running.client.upload(bytes(2_500), resume="upload_1") == "upload_1", "it is complete"


async def test_the_command_says_how_to_go_on_with_an_upload_and_does(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"PART_BYTES": 1_000, "PARTS_FROM_BYTES": 1_000, "backoff_s": lambda *_: 0.0}.items():
        monkeypatch.setattr(f"violet.client.asynchronous.{name}", value)
    path = tmp_path / "talk.wav"
    path.write_bytes(bytes(range(250)) * 10)
    command = [str(path), "--url", running.url]
    running.proxy.taken = [1_000] + [0] * 20
    assert await asyncio.to_thread(submit.main, command) == 1
    assert f"go on with: violet submit {path} --resume upload_1" in capsys.readouterr().err
    running.proxy.taken = []
    assert await asyncio.to_thread(submit.main, [*command, "--resume", "upload_1"]) == 0
    assert capsys.readouterr().out == "task_1\n"
    assert bytes(running.proxy.kept) == path.read_bytes()


async def test_events_go_on_after_the_connection_broke(running: Running) -> None:
    first = event(3, "state", document("running")) + event(None, "progress", {"progress": 0.5, "partial": "hel"})
    # The second half of an event that broke off is lost; the stream is taken up after the last whole one.
    running.proxy.streams = [first + b"event: state\nid: 4\nda", event(4, "state", document("verified"))]
    running.proxy.state = "running"
    seen = [(e.kind, e.number, e.task.state, e.task.partial) async for e in running.client.events("task_1")]
    assert seen == [
        ("state", 3, "running", ""),
        ("progress", None, "running", "hel"),
        ("state", 4, "verified", ""),
    ]
    resumed = [headers for _, path, headers, _ in running.proxy.requests if path.endswith("/events")]
    assert resumed[1]["Last-Event-ID"] == "3"


async def test_waiting_for_an_answer_ends_at_the_answer(running: Running) -> None:
    running.proxy.streams = [event(1, "state", document("running")) + event(2, "state", document("answered"))]
    running.proxy.state = "answered"
    assert (await running.client.wait("task_1", until="answered")).text == "hello"


async def test_a_task_without_an_answer_raises_its_reason(running: Running) -> None:
    running.proxy.state = "failed"
    with pytest.raises(TaskFailedError, match="task_1 is failed: it has no answer"):
        await running.client.wait("task_1")


async def test_a_wait_ends_at_its_time(running: Running) -> None:
    running.proxy.state = "running"
    with pytest.raises(TimeoutError, match=r"took more than 0\.2 s; it goes on"):
        await running.client.wait("task_1", timeout_s=0.2)


async def test_all_pages_are_listed(running: Running) -> None:
    assert [task.id async for task in running.client.tasks()] == [f"task_{i}" for i in range(250)]
    assert len([task async for task in running.client.tasks(limit=120)]) == 120
    assert running.proxy.paths()[-1] == "/v1/tasks?limit=20&after=100"


async def test_the_blocking_client_does_the_same(running: Running) -> None:
    running.proxy.streams = [event(1, "state", document("running")) + event(2, "state", document("verified"))]
    running.proxy.state = "running"

    def use() -> tuple[list[str], str, int]:
        with Client(f"{running.url}/v1/", "secret") as client:
            states = [event.task.state for event in client.events("task_1")]
            return states, client.result("task_1"), len(list(client.tasks(limit=3)))

    assert await asyncio.to_thread(use) == (["running", "verified"], "hello\n", 3)


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"text": "a", "upload_id": "b"}, id="both"),
    ],
)
async def test_a_task_has_one_input(running: Running, sources: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="exactly one of source, text and upload_id"):
        await running.client.submit(**sources)  # type: ignore[arg-type] # pairs of strings


async def test_an_address_where_nobody_answers_is_named() -> None:
    told = r"http://127\.0\.0\.1:9 is not reachable: Connection refused; check"
    async with AsyncClient("http://127.0.0.1:9") as client:
        with pytest.raises(ProxyUnreachableError, match=told):
            await client.task("task_1")


async def test_what_is_no_proxy_is_a_protocol_error(running: Running) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        await running.client._json("GET", "/v1/tasks/1/result")
