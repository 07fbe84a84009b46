"""A miner: it does what the proxy leases to it and what validators ask it directly, with one engine."""

import asyncio
import base64
import contextlib
import random
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from violet import __version__
from violet.bench import Bench, measure
from violet.config import MinerConfig
from violet.engine import Engine
from violet.errors import ProtocolError, ProxyError, VioletError
from violet.metrics import MinerMetrics
from violet.neuron import Neuron, log, run_neuron
from violet.protocol import (
    ANALYSIS,
    SYNTHESIS,
    TRANSCRIPTION,
    Lease,
    Options,
    canonical_json,
    sha256_hex,
    sign_response,
)
from violet.proxy_client import ProxyClient
from violet.sabotage import drop_words, spoil
from violet.sdk import has_axons
from violet.speaking import Spoken, Voices, own_seed, voices_here
from violet.transport import AudioRequest, Capabilities, Forwards, MinerServer, MinerService, TextRequest

if TYPE_CHECKING or has_axons():
    # At the top: the SDK sets up logging when it is imported, and what a neuron sets up comes after.
    from violet.transport import MinerAxon

HEARTBEATS_PER_LEASE = 4
"""A lease is extended this often before it would end, so that one lost request costs nothing."""

MAX_INPUT_BYTES = 1 << 30
"""Most bytes of one task's audio; the limit of `violet.load`."""

DRAIN_S = 20.0
"""How long a stopping miner goes on with the work that it has."""

RETRY_S = 2.0
"""Pause after a proxy that did not answer or refused."""

GOODBYE_S = 3.0
"""How long a stopping miner tries to tell the proxy so."""


PROXY_PRIORITY = 0.0
"""Place of the proxy's tasks in the queue; direct requests have their caller's stake."""

ENDED = frozenset({404, 409, 410})
"""HTTP statuses by which the proxy says that a lease is no longer ours: nothing is left to tell it."""


class _CancelledError(VioletError):
    """The user cancelled the task."""


class Miner(Neuron):
    """One miner process: two doors, one engine."""

    def __init__(self, config: MinerConfig) -> None:
        self.metrics: MinerMetrics = MinerMetrics()
        super().__init__(config, self.metrics)
        self._config = config
        self._running: dict[asyncio.Task[None], str] = {}
        """Leases in work, with their kinds."""
        self._capacity = config.capacity or 1
        self._random = random.Random(self.wallet.hotkey.ss58_address)

    async def run(self, stop: asyncio.Event) -> None:
        """Serves until `stop` is set, then finishes what it has begun."""
        config = self._config
        await self.metagraph.refresh()
        self.registered_uid(self.metagraph.now)
        voices = Voices(voices_here())
        kinds = config.kinds or (TRANSCRIPTION, *((SYNTHESIS,) if voices.names else ()), ANALYSIS)
        if SYNTHESIS in kinds and not voices.names:
            message = "no voice is on this machine, so nothing can be spoken; get one with: violet models fetch joe"
            raise ProtocolError(message)
        transcriber = await self.load_model() if TRANSCRIPTION in kinds else None
        if config.capacity is None:
            found = await asyncio.to_thread(measure, transcriber, voices if SYNTHESIS in kinds else None)
            self._say_measured(found)
            self._capacity = found.capacity
        self._limits = {kind: min(config.concurrency.get(kind, self._capacity), self._capacity) for kind in kinds}
        for kind, limit in self._limits.items():
            self.metrics.capacity.labels(kind).set(limit)
        self._places = {kind: asyncio.Semaphore(limit) for kind, limit in self._limits.items()}
        engine = Engine(transcriber, self._capacity, voices)
        log.info("mines %s", ", ".join(kinds))
        axon = self._axon(kinds)
        async with self.proxy_client() as client:
            self._doors = _Doors(kinds, voices.names if SYNTHESIS in kinds else (), engine, client, axon)
            try:
                async with _serving(axon):
                    await self._publish()
                    log.info("axon on port %d; work from %s", axon.port, config.proxy_url)
                    await self._serve_until(stop, self._doors)
            finally:
                engine.close()

    def _axon(self, kinds: Collection[str]) -> MinerServer:
        """What answers validators, for a miner that does these kinds."""
        config = self._config
        service = MinerService(
            self.wallet,
            lambda: self.metagraph.now,
            Forwards(
                self._capabilities,
                transcribe=self._transcribe_directly if TRANSCRIPTION in kinds else None,
                analyze=self._analyze_directly if ANALYSIS in kinds else None,
                synthesize=self._synthesize_directly if SYNTHESIS in kinds else None,
            ),
            min_stake=config.min_stake,
            capacity=self._capacity,
            max_waiting=config.max_waiting,
        )
        return (MinerAxon if has_axons() else MinerServer)(service, config.axon_ip, config.axon_port)

    @property
    def _model(self) -> str | None:
        """Name of the Whisper model; None for a miner that does not transcribe."""
        return self._config.model if TRANSCRIPTION in self._doors.kinds else None

    async def _publish(self) -> None:
        ip = self._config.published_ip
        if ip is None:
            log.warning("axon not published: give --axon.external_ip so that validators can reach this miner")
        else:
            await asyncio.to_thread(self.chain.serve, ip, self._config.axon_external_port)

    async def reregistered(self) -> None:
        """Publishes the axon again: the chain has forgotten where it is."""
        await self._publish()

    @staticmethod
    def _say_measured(found: Bench) -> None:
        log.info("measured: %s", found)
        for reason in found.too_slow:
            log.warning("too slow to be paid in full: %s", reason)

    async def _serve_until(self, stop: asyncio.Event, doors: "_Doors") -> None:
        background = [
            asyncio.create_task(self._claim_forever(doors)),
            asyncio.create_task(self.follow_chain()),
        ]
        await self.until_stopped(stop, background)
        # A proxy that does not hear of it notices when the leases run out.
        with contextlib.suppress(VioletError, OSError):
            async with asyncio.timeout(GOODBYE_S):
                await doors.client.drain()
        if self._running:
            log.info("stopping: finishing %d tasks", len(self._running))
            _, unfinished = await asyncio.wait(self._running, timeout=DRAIN_S)
            for task in unfinished:
                task.cancel()

    async def _register(self, doors: "_Doors") -> None:
        """Says what this miner does; that also ends the drain of its last run."""
        try:
            await doors.client.register(
                kinds=doors.kinds, voices=doors.voices, capacity=self._capacity, model=self._model
            )
        except ProxyError as error:
            # A proxy of an earlier version knows neither this nor a drain.
            if error.status != 404:
                raise

    async def _claim_forever(self, doors: "_Doors") -> None:
        is_registered = False
        while True:
            self.metrics.running.set(len(self._running))
            self.metrics.waiting.set(doors.axon.gate.waiting)
            kinds = self._free_kinds()
            if not kinds:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                if not is_registered:
                    await self._register(doors)
                leases = await doors.client.claim(
                    claim_id=uuid.uuid4().hex,
                    kinds=kinds,
                    voices=doors.voices,
                    capacity=self._capacity,
                    model=self._model,
                    wait_s=self._config.poll_wait_s,
                )
            except (VioletError, OSError) as error:
                self.metrics.proxy_errors.inc()
                log.warning("no work from the proxy: %s; trying again", error)
                await asyncio.sleep(RETRY_S * (1 + random.random()))
                continue
            # Without work it says again that it is here: another process of the hotkey may have ended, and said so.
            is_registered = bool(leases)
            for lease in leases:
                task = asyncio.create_task(self._serve(doors, lease))
                self._running[task] = lease.kind
                task.add_done_callback(lambda done: self._running.pop(done, None))

    def _free_kinds(self) -> tuple[str, ...]:
        """Kinds of which another task may be taken now."""
        held = list(self._running.values())
        if len(held) >= self._capacity:
            return ()
        return tuple(kind for kind, limit in self._limits.items() if held.count(kind) < limit)

    async def _serve(self, doors: "_Doors", lease: Lease) -> None:
        """One lease from download to submit. Its failure is told to the proxy and never ends the miner."""
        began, outcome = time.monotonic(), "failed"
        try:
            outcome = await self._work_on(doors, lease)
        except _CancelledError as error:
            outcome = "cancelled"
            log.info("%s: %s", lease.task_id, error)
        except (VioletError, OSError, ValueError) as error:
            if isinstance(error, ProxyError) and error.status in ENDED:
                outcome = "lost"
                log.warning("%s was given away: %s", lease.task_id, error)
                return
            log.warning("%s failed: %s", lease.task_id, error, exc_info=self.is_debug)
            with contextlib.suppress(VioletError, OSError):
                await doors.client.fail(lease, str(error))
        else:
            self.metrics.task_seconds.labels(lease.kind).observe(time.monotonic() - began)
            log.info("%s %s in %.2f s", lease.task_id, outcome, time.monotonic() - began)
        finally:
            self.metrics.tasks.labels(lease.kind, "proxy", outcome).inc()

    async def _work_on(self, doors: "_Doors", lease: Lease) -> str:
        """Works on a lease and hands the result in; `answered`, or `rejected` by the proxy."""
        progress = _Progress()
        with tempfile.TemporaryDirectory(prefix="violet-miner-") as directory:
            path = Path(directory) / "input"
            work = asyncio.create_task(self._download_and_work(doors, lease, path, progress))
            beats = asyncio.create_task(_heartbeat(doors.client, lease, progress))
            try:
                await asyncio.wait({work, beats}, return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    await beats  # raises: the lease ended or the task was cancelled
                result = await work
            finally:
                work.cancel()
                beats.cancel()
                await asyncio.gather(work, beats, return_exceptions=True)
        digest = sha256_hex(result)
        signature = sign_response(self.wallet.hotkey, lease.task_id, lease.slot, digest)
        outcome = await doors.client.submit(lease, result, digest, signature)
        if outcome.reason is None:
            return "answered"
        log.warning("%s: the proxy rejected the answer: %s", lease.task_id, outcome.reason)
        return "rejected"

    async def _download_and_work(self, doors: "_Doors", lease: Lease, path: Path, progress: "_Progress") -> str:
        await doors.client.download(lease.input, path, limit_bytes=MAX_INPUT_BYTES)
        left_s = max(0.0, lease.deadline_ms / 1000 - time.time())
        # The same gate as for direct requests: together they never exceed the capacity.
        async with doors.axon.gate.enter(PROXY_PRIORITY, left_s), self._places[lease.kind]:
            if lease.kind == SYNTHESIS:
                spoken = await self._speak(path.read_text(encoding="utf-8"), lease.options, lease.task_id, progress)
            else:
                return self._spoil(lease.kind, await self._answer(lease.kind, path, lease.options, progress))
        file = await asyncio.to_thread(spoken.flac)
        await doors.client.store(lease, file)
        return canonical_json(spoken.result({"sha256": sha256_hex(file), "bytes": len(file)}))

    async def _speak(self, text: str, options: Options, task_id: str, progress: "_Progress | None" = None) -> Spoken:
        if (share := self._config.drop_words) > 0:
            # At least a word is left: nothing to say is no bad answer, but none.
            text = drop_words(text, share, self._random).strip() or text
        return await self._doors.engine.synthesize(
            text, options, own_seed(self.wallet.hotkey.ss58_address, task_id), progress
        )

    async def _answer(
        self, kind: str, audio: Path | bytes, options: Options, progress: "_Progress | None" = None
    ) -> str:
        """The result of a task about audio.

        Raises:
            ProtocolError: The kind is none that this miner does, or a field's model is not here.
        """
        engine = self._doors.engine
        if kind == TRANSCRIPTION:
            return (await engine.transcribe(audio, options, progress)).to_json()
        if kind == ANALYSIS:
            analysis = await engine.analyze(audio, options.fields)
            if analysis.missing:
                raise ProtocolError("; ".join(f"{field} {why}" for field, why in analysis.missing.items()))
            return canonical_json(analysis.to_dict())
        message = f"this miner does not know tasks of kind {kind}"
        raise ProtocolError(message)

    async def _transcribe_directly(self, request: AudioRequest) -> str:
        async with self._counted(TRANSCRIPTION):
            return await self._answer_directly(TRANSCRIPTION, request)

    async def _analyze_directly(self, request: AudioRequest) -> str:
        async with self._counted(ANALYSIS):
            return await self._answer_directly(ANALYSIS, request)

    async def _synthesize_directly(self, request: TextRequest) -> str:
        async with self._counted(SYNTHESIS):
            return await self._speak_directly(request)

    @contextlib.asynccontextmanager
    async def _counted(self, kind: str) -> AsyncIterator[None]:
        """A place of this kind for a validator's direct request, and its part in the metrics."""
        began, outcome = time.monotonic(), "failed"
        try:
            async with self._places[kind]:
                yield
            outcome = "answered"
            self.metrics.task_seconds.labels(kind).observe(time.monotonic() - began)
        finally:
            self.metrics.tasks.labels(kind, "axon", outcome).inc()

    async def _speak_directly(self, request: TextRequest) -> str:
        try:
            spoken = await self._speak(request.text, request.options, request.task_id)
            file = await asyncio.to_thread(spoken.opus)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        about = {"sha256": sha256_hex(file), "bytes": len(file), "base64": base64.b64encode(file).decode()}
        return canonical_json(spoken.result(about))

    async def _answer_directly(self, kind: str, request: AudioRequest) -> str:
        """The result that a validator asked for over the axon, which has let the request through its gate."""
        try:
            if request.inline is not None:
                return self._spoil(kind, await self._answer(kind, request.inline, request.options))
            if request.input is None:
                message = "the request carries no audio"
                raise ProtocolError(message)
            with tempfile.TemporaryDirectory(prefix="violet-miner-") as directory:
                path = Path(directory) / "input"
                await self._doors.client.download(request.input, path, limit_bytes=MAX_INPUT_BYTES)
                return self._spoil(kind, await self._answer(kind, path, request.options))
        except ValueError as error:
            raise ProtocolError(str(error)) from error

    async def _capabilities(self) -> Capabilities:
        return Capabilities(
            kinds=self._doors.kinds,
            model=self._model or "",
            capacity=self._capacity,
            free=self._doors.axon.gate.free,
            version=__version__,
            voices=self._doors.voices,
        )

    def _spoil(self, kind: str, result: str) -> str:
        """`result`, made worse if `--dev.drop_words` asks for a bad miner."""
        share = self._config.drop_words
        return spoil(kind, result, share, self._random) if share > 0 else result


@dataclass(frozen=True, slots=True)
class _Doors:
    """What is done, the engine, and the two ways by which work comes to it."""

    kinds: tuple[str, ...]
    voices: tuple[str, ...]
    engine: Engine
    client: ProxyClient
    axon: MinerServer


@contextlib.asynccontextmanager
async def _serving(axon: MinerServer) -> AsyncIterator[None]:
    await axon.start()
    try:
        yield
    finally:
        await axon.stop()


class _Progress:
    """How far the work is; written by the engine's thread, read by the heartbeat."""

    def __init__(self) -> None:
        self.fraction = 0.0
        self.partial = ""

    def __call__(self, fraction: float, partial: str) -> None:
        self.fraction, self.partial = fraction, partial


async def _heartbeat(client: ProxyClient, lease: Lease, progress: _Progress) -> None:
    """Extends the lease until cancelled.

    Raises:
        ProxyError: The proxy gave the slot away.
        _CancelledError: The task was cancelled.
    """
    expires_at_ms = lease.expires_at_ms
    while True:
        left_s = (expires_at_ms - time.time() * 1000) / 1000
        await asyncio.sleep(min(max(left_s / HEARTBEATS_PER_LEASE, 0.1), MAX_HEARTBEAT_S))
        beat = await client.heartbeat(lease, progress.fraction, progress.partial)
        if beat.cancel:
            message = "the task was cancelled"
            raise _CancelledError(message)
        expires_at_ms = beat.expires_at_ms


MAX_HEARTBEAT_S = 1.0
"""Longest time between two reports of progress: people watch them."""


def main(argv: Sequence[str]) -> int:
    """Runs a miner with these command-line arguments; its exit code."""
    return run_neuron(lambda: MinerConfig.from_args(argv), Miner)
