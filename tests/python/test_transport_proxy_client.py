"""The proxy client against a small server over a real socket: signatures, retries, refusals, checked downloads."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from bittensor_wallet import Keypair

from violet.chain import Hotkey
from violet.download import Downloader
from violet.errors import DownloadError, ProtocolError, ProxyError, ProxyUnreachableError
from violet.protocol import (
    InputRef,
    Lease,
    Options,
    ResponseId,
    Score,
    TaskId,
    commitment,
    request_text,
    scores_text,
    sha256_hex,
    sign_response,
    verify_response,
)
from violet.proxy_client import ProxyClient
from violet.retry import BACKOFF_S, MAX_BACKOFF_S, backoff_s
from violet.wallet import is_signed_by

MINER, PROXY = Keypair.create_from_uri("//Miner"), Keypair.create_from_uri("//Proxy")
AUDIO = bytes(range(256)) * 4096  # 1 MiB
REF = InputRef(url="", sha256=hashlib.sha256(AUDIO).hexdigest(), bytes=len(AUDIO), duration_s=11.0)
LEASE = Lease(TaskId("task_1"), "transcription", 2, 7, 10, 20, Options(), REF)
LEASE_JSON = {
    "task_id": "task_1", "kind": "transcription", "slot": 2, "token": 7, "expires_at_ms": 10, "deadline_ms": 20,
    "options": {"language": None, "prompt": None, "temperature": 0.0},
    "input": {"url": "", "sha256": REF.sha256, "bytes": REF.bytes, "duration_s": 11},
}  # fmt: skip

type Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeProxy:
    """A server that checks signatures as the protocol says, and answers what a test tells it."""

    def __init__(self) -> None:
        self.hotkey = PROXY.ss58_address
        self.nonces: list[int] = []
        self.bodies: list[Any] = []
        self.replies: list[Reply | dict[str, Any]] = []
        self.url = ""
        self.sleeps: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/network":
            return web.json_response({"proxy": {"hotkey": self.hotkey}, "netuid": 1, "network": "localnet"})
        if request.path.startswith("/v1/") and request.method != "PUT":
            body = await request.read()
            headers = request.headers
            nonce = int(headers["X-Bittensor-Nonce"])
            text = request_text(
                request.method, request.path_qs, body, nonce, headers["X-Bittensor-Hotkey"], self.hotkey
            )
            signature = headers["X-Bittensor-Signature"]
            is_fresh = nonce not in self.nonces
            self.nonces.append(nonce)
            if not is_fresh or not is_signed_by(MINER.ss58_address, text.encode(), signature):
                return refuse(401, "bad_signature")
            self.bodies.append(json.loads(body) if body else None)
        reply = self.replies.pop(0)
        return web.json_response(reply) if isinstance(reply, dict) else await reply(request)


def refuse(status: int, code: str, **headers: str) -> web.Response:
    error = {"message": f"no, {code}", "type": "t", "param": None, "code": code}
    return web.json_response({"error": error}, status=status, headers=headers)


def refusing(status: int, code: str, **headers: str) -> Reply:
    async def reply(_: web.Request) -> web.Response:
        return refuse(status, code, **headers)

    return reply


async def hang_up(request: web.Request) -> web.StreamResponse:
    """Closes the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


@pytest.fixture
async def proxy() -> AsyncIterator[FakeProxy]:
    proxy = FakeProxy()
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    proxy.url = f"http://{host}:{port}"
    yield proxy
    await runner.cleanup()


@pytest.fixture
async def client(proxy: FakeProxy) -> AsyncIterator[ProxyClient]:
    async with ProxyClient(proxy.url, MINER, sleep=proxy.sleep) as client:
        yield client


async def test_a_miner_registers_drains_and_asks_how_it_stands(proxy: FakeProxy, client: ProxyClient) -> None:
    standing = {"quality": 1, "capacity": 4, "draining": False, "leases": [{"task_id": "task_1"}]}
    proxy.replies = [dict(standing), {**standing, "draining": True}, {**standing, "capacity": None}]
    registered = await client.register(kinds=("synthesis",), voices=("joe",), capacity=2, model="tiny.en")
    assert (registered.quality, registered.capacity, registered.n_leases) == (1.0, 4, 1)
    assert (await client.drain()).is_draining
    assert (await client.me()).capacity is None
    about = {"kinds": ["synthesis"], "capacity": 2, "model": "tiny.en", "voices": ["joe"]}
    assert proxy.bodies == [about, {}, None]
    proxy.replies = [{**standing, "draining": "perhaps"}]
    with pytest.raises(ProtocolError, match="draining"):
        await client.me()


async def test_audio_is_declared_and_stored_under_the_url_that_the_proxy_gives(
    proxy: FakeProxy, client: ProxyClient
) -> None:
    stored: list[tuple[str, str | None, bytes]] = []

    async def store(request: web.Request) -> web.Response:
        stored.append((request.path_qs, request.headers.get("Content-Type"), await request.read()))
        assert "X-Bittensor-Signature" not in request.headers
        return web.json_response({}, status=201)

    # The proxy may know itself by another address than we do; a store that fails is tried again.
    url = f"https://proxy.example/v1/blobs/{REF.sha256}?signature=ab&bytes=9"
    proxy.replies = [{"url": url}, refusing(503, "busy"), store]
    await client.store(LEASE, AUDIO)
    assert stored == [(f"/v1/blobs/{REF.sha256}?signature=ab&bytes=9", "audio/flac", AUDIO)]
    declared = {"task_id": "task_1", "slot": 2, "token": 7, "sha256": REF.sha256, "bytes": len(AUDIO)}
    assert proxy.bodies == [declared]
    proxy.replies = [{"url": "https://elsewhere.example/x"}]
    with pytest.raises(ProtocolError, match="/v1/blobs/"):
        await client.store(LEASE, AUDIO)


def test_options_and_inputs_of_every_kind_are_read() -> None:
    lease = LEASE_JSON | {"kind": "synthesis", "options": {"voice": "joe", "speed": 2, "temperature": 0.0}}
    lease["input"] = {"url": "", "sha256": REF.sha256, "bytes": 9, "duration_s": None, "characters": 9}
    read = Lease.from_json(lease)
    assert (read.options, read.input.duration_s) == (Options(voice="joe", speed=2.0), 0.0)
    analysis = Options.from_json({"fields": ["level", "pitch"], "task": "translate", "word_timestamps": True})
    assert analysis == Options(fields=("level", "pitch"), task="translate", word_timestamps=True)
    with pytest.raises(ProtocolError, match="fields"):
        Options.from_json({"fields": [1]})


async def test_a_miners_requests(proxy: FakeProxy, client: ProxyClient) -> None:
    proxy.replies = [
        {"leases": [LEASE_JSON]},
        {"expires_at_ms": 99, "cancel": True},
        {"response_id": "resp_1", "state": "submitted"},
        {"state": "rejected", "reason": "empty text"},
        {},
    ]
    leases = await client.claim("c1", capacity=2, model="tiny.en", wait_s=1)
    assert leases == [LEASE]
    heartbeat = await client.heartbeat(LEASE, progress=1.5, partial="and so")
    assert (heartbeat.expires_at_ms, heartbeat.cancel) == (99, True)
    result = '{"text": "ä"}'
    signature = sign_response(MINER, LEASE.task_id, LEASE.slot, sha256_hex(result))
    submitted = await client.submit(LEASE, result, sha256_hex(result), signature)
    assert (submitted.response_id, submitted.state, submitted.reason) == ("resp_1", "submitted", None)
    assert (await client.submit(LEASE, "{}", sha256_hex("{}"), "0x00")).reason == "empty text"
    await client.fail(LEASE, "no disk")
    claim, beat, submit, _, fail = proxy.bodies
    assert claim == {"claim_id": "c1", "kinds": ["transcription"], "capacity": 2, "model": "tiny.en", "wait_s": 1}
    assert beat == {"task_id": "task_1", "slot": 2, "token": 7, "progress": 1.0, "partial": "and so"}
    assert (submit["result"], submit["digest"]) == (result, sha256_hex(result))
    assert verify_response(MINER.ss58_address, "task_1", 2, submit["digest"], submit["signature"])
    assert fail == {"task_id": "task_1", "slot": 2, "token": 7, "reason": "no disk"}


async def test_a_validators_requests(proxy: FakeProxy, client: ProxyClient) -> None:
    signature = "0x" + MINER.sign(f"violet/response/1\ntask_1\n0\n{sha256_hex('{}')}".encode()).hex()
    response = {
        "response_id": "resp_1", "miner": MINER.ss58_address, "slot": 0, "result": "{}", "digest": sha256_hex("{}"),
        "signature": signature, "latency_s": 1,
    }  # fmt: skip
    evaluation = {
        **{key: LEASE_JSON[key] for key in ("task_id", "kind", "options", "input")},
        "commit_by_ms": 1, "reveal_by_ms": 2, "responses": [response],
    }  # fmt: skip
    proxy.replies = [
        {"evaluations": [evaluation]},
        {"phase": "commit"},
        refusing(409, "commits_open", **{"Retry-After": "3"}),
        {"phase": "done"},
        {"task_id": "task_1", "phase": "done", "verdict": {"quorum": True}},
    ]
    (found,) = await client.lease("c1", wait_s=1)
    assert found.responses[0].is_authentic("task_1")
    assert not found.responses[0].is_authentic("task_2")
    scores = scores_text({ResponseId("resp_1"): Score(0.5, None)})
    assert await client.commit(found.task_id, commitment("task_1", MINER.ss58_address, "salt", scores)) == "commit"
    with pytest.raises(ProxyError) as refused:
        await client.reveal(found.task_id, "salt", scores)
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (409, "commits_open", 3.0)
    assert await client.reveal(found.task_id, "salt", scores) == "done"
    assert (await client.evaluation(found.task_id)).verdict == {"quorum": True}


@pytest.mark.parametrize(
    ("failure", "waits"),
    [
        pytest.param(hang_up, None, id="hung-up"),
        pytest.param(refusing(503, "not_ready"), None, id="not-ready"),
        pytest.param(refusing(429, "full", **{"Retry-After": "2"}), [2.0, 2.0], id="full"),
        pytest.param(refusing(429, "full", **{"Retry-After": "900"}), [MAX_BACKOFF_S] * 2, id="asks-for-too-long"),
    ],
)
async def test_what_time_heals_is_tried_again_with_a_fresh_nonce(
    proxy: FakeProxy, client: ProxyClient, failure: Reply, waits: list[float] | None
) -> None:
    proxy.replies = [failure, failure, {"leases": []}]
    assert await client.claim("c", capacity=1, model="m", wait_s=1) == []
    assert len(set(proxy.nonces)) == len(proxy.nonces) == 3
    assert len(proxy.sleeps) == 2
    assert waits is None or proxy.sleeps == waits


async def test_trying_ends(proxy: FakeProxy, client: ProxyClient) -> None:
    proxy.replies = [refusing(503, "not_ready")] * 9
    with pytest.raises(ProxyError) as refused:
        await client.claim("c", capacity=1, model="m", wait_s=1)
    assert (refused.value.code, len(proxy.bodies)) == ("not_ready", 4)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 413, 422, 500])
async def test_a_refusal_is_not_tried_again(proxy: FakeProxy, client: ProxyClient, status: int) -> None:
    proxy.replies = [refusing(status, "because")]
    with pytest.raises(ProxyError, match="no, because") as refused:
        await client.fail(LEASE, "x")
    assert (refused.value.status, refused.value.code) == (status, "because")


async def test_a_gateways_refusal_is_one_line(proxy: FakeProxy, client: ProxyClient) -> None:
    async def gateway(_: web.Request) -> web.Response:
        return web.Response(status=400, text="<html>\n<h1>Bad gateway</h1>")

    proxy.replies = [gateway]
    with pytest.raises(ProxyError) as refused:
        await client.fail(LEASE, "x")
    assert refused.value.code == "http_400"
    assert "\n" not in str(refused.value)


async def test_a_proxy_with_a_new_key_is_learned_again(proxy: FakeProxy, client: ProxyClient) -> None:
    await client.network()
    proxy.hotkey = MINER.ss58_address
    proxy.replies = [{}]
    await client.fail(LEASE, "x")
    assert len(proxy.bodies) == 1


async def test_nobody_there_is_one_line_that_names_the_flag() -> None:
    async def no_wait(_: float) -> None: ...

    async with ProxyClient("http://127.0.0.1:9", MINER, sleep=no_wait) as client:
        with pytest.raises(ProxyUnreachableError, match=r"127\.0\.0\.1:9 is not reachable.*--proxy\.url"):
            await client.network()


@pytest.mark.parametrize(
    "answer",
    [{}, {"leases": 1}, {"leases": [{}]}, {"leases": [LEASE_JSON | {"slot": True}]}],
    ids=["nothing", "not-a-list", "empty-lease", "slot-is-a-boolean"],
)
async def test_what_the_protocol_does_not_allow_is_named(
    proxy: FakeProxy, client: ProxyClient, answer: dict[str, Any]
) -> None:
    proxy.replies = [answer]
    with pytest.raises(ProtocolError, match="expected a"):
        await client.claim("c", capacity=1, model="m", wait_s=1)


def test_waits_double_and_end() -> None:
    for attempt in range(1, 20):
        assert 0.5 * min(BACKOFF_S * 2 ** (attempt - 1), MAX_BACKOFF_S) <= backoff_s(attempt, None) <= MAX_BACKOFF_S


# Downloads.


async def whole(_: web.Request) -> web.Response:
    return web.Response(body=AUDIO)


async def broken_in_the_middle(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(AUDIO))})
    await response.prepare(request)
    await response.write(AUDIO[: 600 * 1024])
    await asyncio.sleep(0.05)
    assert request.transport is not None
    request.transport.close()
    return response


async def rest(request: web.Request) -> web.Response:
    begin = request.http_range.start or 0
    return web.Response(status=206 if begin else 200, body=AUDIO[begin:])


async def elsewhere(_: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "http://127.0.0.1:22/"})


@pytest.mark.parametrize(
    "replies",
    [
        pytest.param([whole], id="at-once"),
        pytest.param([refusing(503, "busy"), whole], id="after-a-503"),
        pytest.param([hang_up, whole], id="after-a-broken-connection"),
        pytest.param([broken_in_the_middle, rest], id="goes-on-where-it-stopped"),
        pytest.param([broken_in_the_middle, whole], id="begins-anew-where-ranges-are-unknown"),
    ],
)
async def test_a_download_arrives(proxy: FakeProxy, client: ProxyClient, replies: list[Reply], tmp_path: Path) -> None:
    proxy.replies = list(replies)
    await client.download(replace(REF, url=f"{proxy.url}/blob?x=1"), tmp_path / "x", limit_bytes=2**20)
    assert (tmp_path / "x").read_bytes() == AUDIO
    assert proxy.replies == []


@pytest.mark.parametrize(
    ("reply", "sha256", "n_bytes", "reason"),
    [
        pytest.param(whole, "0" * 64, len(AUDIO), "expected 000", id="other-hash"),
        pytest.param(whole, REF.sha256, len(AUDIO) - 1, "longer than", id="longer"),
        pytest.param(whole, REF.sha256, len(AUDIO) + 1, "ended after", id="shorter"),
        pytest.param(whole, REF.sha256, 2**21 + 1, "expected 1 to", id="above-the-limit"),
        pytest.param(whole, REF.sha256, 0, "expected 1 to", id="empty"),
        pytest.param(refusing(403, "expired"), REF.sha256, len(AUDIO), "HTTP 403", id="refused"),
        pytest.param(elsewhere, REF.sha256, len(AUDIO), "HTTP 302", id="sent-elsewhere"),
    ],
)
async def test_a_wrong_download_is_refused(
    proxy: FakeProxy, client: ProxyClient, tmp_path: Path, reply: Reply, sha256: str, n_bytes: int, reason: str
) -> None:
    proxy.replies = [reply]
    source = InputRef(f"{proxy.url}/blob", sha256, n_bytes, 11.0)
    with pytest.raises(DownloadError, match=reason):
        await client.download(source, tmp_path / "x", limit_bytes=2**21)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://[::1]:80/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/x",
        "http://localhost:{port}/",
        "file:///etc/passwd",
        "http:///x",
        "http://127.0.0.1:99999999/",
        "",
    ],
)
async def test_our_own_network_is_not_fetched_from(proxy: FakeProxy, url: str, tmp_path: Path) -> None:
    async def no_wait(_: float) -> None: ...

    proxy.replies = [whole]
    downloader = Downloader("https://proxy.example", sleep=no_wait)
    source = replace(REF, url=url.format(port=proxy.url.rpartition(":")[2]))
    with pytest.raises((DownloadError, ProxyUnreachableError)):
        await downloader.fetch(source, tmp_path / "x", limit_bytes=2**20)
    assert proxy.replies == [whole], "nobody was called"
    await downloader.close()


async def test_a_local_network_is_fetched_from_where_it_is_allowed(proxy: FakeProxy, tmp_path: Path) -> None:
    proxy.replies = [whole]
    downloader = Downloader(None, allow_private=True)
    await downloader.fetch(replace(REF, url=proxy.url), tmp_path / "x", limit_bytes=2**20)
    assert (tmp_path / "x").read_bytes() == AUDIO
    await downloader.close()


async def test_a_validators_report_is_signed_and_says_of_how_many_it_was_taken(
    proxy: FakeProxy, client: ProxyClient
) -> None:
    proxy.replies = [{"miners": 1}]
    miners: dict[Hotkey, dict[str, int | None]] = {
        Hotkey("a"): {"asked": 4, "answered": 3, "capacity": None},
        Hotkey("b"): {"asked": 2, "answered": 2, "capacity": 8},
    }
    assert await client.report(miners) == 1
    assert proxy.bodies == [{"miners": miners}]
