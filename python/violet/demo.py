"""The whole network on this machine, shown: tasks of every kind in, verified answers out, and who earns what."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import aiohttp

from violet import wer, word_counts
from violet.challenge import Clip, packaged_clips
from violet.errors import VioletError
from violet.local_network import LocalNetwork, Member
from violet.protocol import ANALYSIS, SYNTHESIS, TRANSCRIPTION

NORMALIZER = "whisper-basic"
"""What texts go through before their words are compared."""

TASK_TIMEOUT_S = 240.0
"""Longest wait for one verified transcript."""

EMISSION_TIMEOUT_S = 120.0
"""Longest wait for an epoch in which every validator's weights count."""

ANALYSED = "level,loudness,pitch"
"""Fields of the analysis that is shown."""

SPOKEN = "The quick brown fox jumps over the lazy dog."
"""Text of the speech that is shown."""

FINAL = frozenset({"verified", "unverified", "failed", "cancelled"})
"""States in which a task stays."""

KEEP_PORT = 8080
"""Port of the proxy of `violet demo --keep`, where it is free."""


class DemoError(VioletError, RuntimeError):
    """The network did not do what it promises."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is sent to the network."""

    name: str
    kind: str
    fields: Mapping[str, str]
    """The task's options, or its text."""
    clip: Clip | None = None
    """The task's audio."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job and what became of its task."""

    job: Job
    task: Mapping[str, Any]
    result: Mapping[str, Any] | None
    duration_s: float


def main(argv: Sequence[str]) -> int:
    """Runs the demonstration; its exit code, 1 if the network did not do what it promises."""
    parser = argparse.ArgumentParser(
        prog="violet demo",
        description="Starts a whole Violet network on this machine (local chain, proxy, 3 miners of which one is bad, "
        "2 validators), sends it speech and text, and shows the answers, the verdicts and who earns what.",
    )
    parser.add_argument("--keep", action="store_true", help="leave the network running and say how to talk to it")
    parser.add_argument(
        "--model", default="tiny.en", metavar="NAME", help="Whisper model of miners and validators (tiny.en)"
    )
    parser.add_argument("--port", type=int, metavar="PORT", help="port of the proxy (a free one)")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="where its files go (a temporary directory)")
    arguments = parser.parse_args(argv)
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="violet-demo-"))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    succeeded = False
    try:
        _run(directory, arguments)
        succeeded = True
    except (VioletError, OSError) as error:
        print(f"violet: error: {error}", file=sys.stderr)
        print(f"logs: {directory / 'logs'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    finally:
        # What went wrong is in the logs: they stay.
        if succeeded and arguments.directory is None:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _run(directory: Path, arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    _say(f"Violet: a local chain, 1 proxy, 3 miners (one leaves words out), 2 validators. Logs: {directory / 'logs'}")
    port = arguments.port or (KEEP_PORT if arguments.keep and _is_free(KEEP_PORT) else None)
    with LocalNetwork(directory, model=arguments.model, port=port) as network:
        _say(f"network is up after {time.monotonic() - began:.1f} s; the proxy is at {network.url}")
        outcomes = asyncio.run(_send_all(network, _jobs(network)))
        for outcome in outcomes:
            _show_outcome(network, outcome)
        _wait_for_emission(network)
        _show_emission(network)
        _check(network, outcomes)
        _say(f"done in {time.monotonic() - began:.1f} s")
        if arguments.keep:
            _keep(network)


def _jobs(network: LocalNetwork) -> list[Job]:
    clips = packaged_clips()
    jobs = [Job(clip.path.name, TRANSCRIPTION, {}, clip) for clip in clips]
    jobs.append(Job(f"analysis of {clips[0].path.name}", ANALYSIS, {"fields": ANALYSED}, clips[0]))
    miners = (network.get("/v1/network") or {"miners": []})["miners"]
    if any(SYNTHESIS in miner["kinds"] for miner in miners):
        jobs.append(Job("speech", SYNTHESIS, {"text": SPOKEN}))
    else:
        _say("no voice is on this machine, so no miner speaks: violet models fetch joe")
    return jobs


async def _send_all(network: LocalNetwork, jobs: Sequence[Job]) -> list[Outcome]:
    formats = ", ".join(sorted({job.clip.path.suffix.removeprefix(".") for job in jobs if job.clip}))
    kinds = ", ".join(dict.fromkeys(job.kind for job in jobs))
    _say(f"sending {len(jobs)} tasks ({kinds}; audio as {formats})\n")
    display = _Display([job.name for job in jobs])
    timeout = aiohttp.ClientTimeout(total=TASK_TIMEOUT_S)
    async with aiohttp.ClientSession(network.url, timeout=timeout) as session:
        try:
            return list(await asyncio.gather(*(_send(session, job, display.update) for job in jobs)))
        except TimeoutError as error:
            message = f"a task was not verified within {TASK_TIMEOUT_S:.0f} s"
            raise DemoError(message) from error
        finally:
            display.end()


async def _send(session: aiohttp.ClientSession, job: Job, show: Callable[[str, str], None]) -> Outcome:
    form = aiohttp.FormData()
    form.add_field("kind", job.kind)
    for name, value in job.fields.items():
        form.add_field(name, value)
    if job.clip is not None:
        # FormData keeps the file open as long as it is sent; clips are small.
        form.add_field("file", job.clip.path.read_bytes(), filename=job.clip.path.name)
    async with session.post("/v1/tasks", data=form) as reply:
        task = await reply.json()
        if reply.status not in {200, 201}:
            raise DemoError(f"{job.name}: {task['error']['message']}")
    began = time.monotonic()
    async with session.get(f"/v1/tasks/{task['id']}/events") as stream:
        kind = ""
        async for raw in stream.content:
            line = raw.decode().rstrip("\n")
            if line.startswith("event:"):
                kind = line.removeprefix("event:").strip()
            elif line.startswith("data:"):
                data = json.loads(line.removeprefix("data:"))
                if kind == "state":
                    task = data
                    show(job.name, task["state"])
                elif kind == "progress":
                    show(job.name, f"{task['state']} {data['progress']:4.0%} {data['partial'] or ''}")
    if task["state"] not in FINAL:
        async with session.get(f"/v1/tasks/{task['id']}?wait=30") as reply:
            task = await reply.json()
    show(job.name, task["state"])
    duration_s = time.monotonic() - began
    async with session.get(f"/v1/tasks/{task['id']}/result") as reply:
        result = await reply.json() if reply.status == 200 else None
    return Outcome(job, task, result, duration_s)


class _Display:
    """One line a clip, rewritten in place on a terminal; elsewhere, a line for each change of state."""

    def __init__(self, names: Sequence[str]) -> None:
        self._lines = dict.fromkeys(names, "queued")
        self._width = max(map(len, names))
        self._is_live = sys.stdout.isatty()
        self._is_drawn = False
        if self._is_live:
            self._draw()

    def update(self, name: str, text: str) -> None:
        """Shows `text` behind `name`."""
        changed = self._lines[name] != text
        self._lines[name] = text
        if self._is_live:
            self._draw()
        elif changed:
            _say(f"  {name:{self._width}}  {text}")

    def end(self) -> None:
        """Leaves the last state on the screen."""
        _say("")

    def _draw(self) -> None:
        columns = shutil.get_terminal_size().columns - 1
        if self._is_drawn:
            sys.stdout.write(f"\x1b[{len(self._lines)}A")
        for name, text in self._lines.items():
            sys.stdout.write(f"\x1b[2K{f'  {name:{self._width}}  {text}'[:columns]}\n")
        sys.stdout.flush()
        self._is_drawn = True


def _show_outcome(network: LocalNetwork, outcome: Outcome) -> None:
    task, job = outcome.task, outcome.job
    size = f"{task['input']['characters']} characters" if job.clip is None else f"{task['input']['duration_s']:.1f} s"
    _say(f"{job.name}  {size}, {task['state']} after {outcome.duration_s:.1f} s")
    if job.kind == TRANSCRIPTION and job.clip is not None:
        _show_transcript(job.clip, (task.get("answer") or {}).get("text", "").strip())
    elif job.kind == ANALYSIS and outcome.result is not None:
        found = outcome.result
        _say(
            f"  found  {found['loudness']['integrated_lufs']:.1f} LUFS, peak {found['level']['peak_dbfs']:.1f} dBFS, "
            f"pitch {found['pitch']['median_hz']:.0f} Hz"
        )
    elif job.kind == SYNTHESIS and outcome.result is not None:
        spoken = outcome.result
        _say(f"  text   {SPOKEN}")
        _say(
            f"  audio  {spoken['duration_s']:.1f} s by {spoken['voice']}: "
            f"{network.url}/v1/tasks/{task['id']}/audio?format=wav"
        )
    verdict = task.get("verdict") or {}
    names = {member.hotkey: member for member in network.members if member.hotkey}
    for slot in task["slots"]:
        response = slot.get("response_id")
        if response is None:
            continue
        scores = ", ".join(
            f"{names[evaluation['validator']].name} {evaluation['scores'][response]['score']:.2f}"
            for evaluation in verdict.get("evaluations", [])
            if response in evaluation["scores"]
        )
        final = verdict.get("scores", {}).get(response)
        best = ", best" if verdict.get("best") == response else ""
        _say(
            f"  {_label(names[slot['miner']]):14} answered in {slot['latency_s']:5.2f} s   {scores or 'not judged'}"
            f"   verdict {'-' if final is None else f'{final:.2f}'} {slot['state']}{best}"
        )
    _say("")


def _show_transcript(clip: Clip, heard: str) -> None:
    _say(f"  heard  {heard}")
    _say(f"  truth  {clip.text}")
    rate = wer(clip.text, heard, NORMALIZER)
    hits, substitutions, deletions, insertions = word_counts(clip.text, heard, NORMALIZER)
    errors, words = substitutions + deletions + insertions, hits + substitutions + deletions
    _say(f"  WER    {'none' if rate is None else f'{rate:.1%}'} ({errors} errors in {words} words)")


def _label(member: Member) -> str:
    return f"{member.name} (bad)" if member.is_bad else member.name


def _wait_for_emission(network: LocalNetwork) -> None:
    """Waits for an epoch that ran with the weights of every validator."""
    validators = [member for member in network.members if member.role == "validator"]
    deadline = time.monotonic() + EMISSION_TIMEOUT_S
    _say(f"waiting for an epoch ({network.tempo} blocks of {network.block_time_s} s) with both validators' weights ..")
    while True:
        network.check_alive()
        by_uid = {neuron.uid: neuron for neuron in network.chain.metagraph().neurons}
        if all(v.uid is not None and by_uid[v.uid].last_update and by_uid[v.uid].dividends > 0 for v in validators):
            return
        if time.monotonic() > deadline:
            message = f"no epoch with weights of all validators within {EMISSION_TIMEOUT_S:.0f} s"
            raise DemoError(message)
        time.sleep(network.block_time_s)


def _show_emission(network: LocalNetwork) -> None:
    by_uid = {neuron.uid: neuron for neuron in network.chain.metagraph().neurons}
    weights = network.chain.weights()
    validators = [member for member in network.members if member.role == "validator"]
    header = "".join(f"{f'weight by {v.name}':>24}" for v in validators)
    _say(f"\n  {'':14} {'uid':>3}{header}{'incentive':>12}{'emission':>12}")
    for member in network.members:
        if member.uid is None:
            continue
        neuron = by_uid[member.uid]
        row = "".join(
            f"{weights.get(v.uid or 0, {}).get(member.uid, 0.0):24.3f}" if member.role == "miner" else f"{'':24}"
            for v in validators
        )
        _say(f"  {_label(member):14} {member.uid:3}{row}{neuron.incentive:12.3f}{neuron.emission:12.4f}")
    _say("")


def _check(network: LocalNetwork, outcomes: Sequence[Outcome]) -> None:
    """Raises unless every task was verified and every honest miner earns more than the bad one.

    Raises:
        DemoError: What was not as promised.
    """
    for outcome in outcomes:
        if outcome.task["state"] != "verified":
            message = f"{outcome.job.name} is {outcome.task['state']}: {outcome.task['reason']}"
            raise DemoError(message)
    by_uid = {neuron.uid: neuron for neuron in network.chain.metagraph().neurons}
    miners = [member for member in network.members if member.role == "miner" and member.uid is not None]
    honest = {m.name: by_uid[m.uid].emission for m in miners if not m.is_bad and m.uid is not None}
    bad = {m.name: by_uid[m.uid].emission for m in miners if m.is_bad and m.uid is not None}
    if min(honest.values()) <= max(bad.values()):
        message = f"an honest miner earns no more than the bad one: {honest} against {bad}"
        raise DemoError(message)
    _say(f"checked: every answer is verified, and every honest miner earns more than {', '.join(bad)}")


def _keep(network: LocalNetwork) -> None:
    clip = next(clip for clip in packaged_clips() if clip.path.name.startswith("jfk"))
    _say(f"""
The network goes on until you press Ctrl-C. Talk to it:

  curl {network.url}/v1/audio/transcriptions -F model=whisper-1 -F file=@{clip.path}

  curl {network.url}/v1/audio/speech -H 'Content-Type: application/json' -o hello.wav \\
      -d '{{"model": "tts-1", "voice": "alloy", "input": "Hello there.", "response_format": "wav"}}'

  curl {network.url}/v1/tasks -F file=@{clip.path} -F kind=analysis -F fields=loudness,pitch
  curl {network.url}/v1/network

  from openai import OpenAI
  client = OpenAI(base_url="{network.url}/v1", api_key="none")
  print(client.audio.transcriptions.create(model="whisper-1", file=open("{clip.path}", "rb")).text)
""")
    with suppress(KeyboardInterrupt):
        while True:
            network.check_alive()
            time.sleep(1.0)
    _say("stopping")


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _say(text: str) -> None:
    print(text, flush=True)
