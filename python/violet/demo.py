"""The whole network on this machine, shown: tasks of every kind in, verified answers out, and who earns what."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn, TextIO

import aiohttp

from violet.corpus import packaged_clips
from violet.demo_screen import Display, Job, Outcome, say, show_emission, show_outcome, summary
from violet.errors import VioletError
from violet.local_network import LocalNetwork
from violet.protocol import ANALYSIS, SYNTHESIS, TRANSCRIPTION

TASK_TIMEOUT_S = 240.0
"""Longest wait for one verified transcript."""

EMISSION_TIMEOUT_S = 120.0
"""Longest wait for an epoch in which every validator's weights count."""

SPOKEN = "The quick brown fox jumps over the lazy dog."
"""Text of the speech that is shown."""

ANALYSED = "level,loudness,pitch"
"""Fields of the analysis that is shown."""

FINAL = frozenset({"verified", "unverified", "failed", "cancelled"})
"""States in which a task stays."""

KEEP_PORT = 8080
"""Port of the proxy of `violet demo --keep`, where it is free."""


class DemoError(VioletError, RuntimeError):
    """The network did not do what it promises."""


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
    parser.add_argument(
        "--json", action="store_true", help="print what came of it as one JSON object; the rest goes to standard error"
    )
    arguments = parser.parse_args(argv)
    directory = arguments.directory or Path(tempfile.mkdtemp(prefix="violet-demo-"))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    succeeded, output = False, sys.stdout
    try:
        with redirect_stdout(sys.stderr) if arguments.json else nullcontext():
            _run(directory, arguments, output)
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


def _run(directory: Path, arguments: argparse.Namespace, output: TextIO) -> None:
    """Runs the network, says what happens, and writes the object of `--json` to `output`."""
    began = time.monotonic()
    say(f"Violet: a local chain, 1 proxy, 3 miners (one leaves words out), 2 validators. Logs: {directory / 'logs'}")
    port = arguments.port or (KEEP_PORT if arguments.keep and _is_free(KEEP_PORT) else None)
    with LocalNetwork(directory, model=arguments.model, port=port) as network:
        say(f"network is up after {time.monotonic() - began:.1f} s; the proxy is at {network.url}")
        outcomes = asyncio.run(_send_all(network, _jobs(network)))
        for outcome in outcomes:
            show_outcome(network, outcome)
        _wait_for_emission(network)
        show_emission(network)
        _check(network, outcomes)
        say(f"done in {time.monotonic() - began:.1f} s")
        if arguments.json:
            print(json.dumps(summary(network, outcomes)), file=output, flush=True)
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
        say("no voice is on this machine, so no miner speaks: violet models fetch joe")
    return jobs


async def _send_all(network: LocalNetwork, jobs: Sequence[Job]) -> list[Outcome]:
    formats = ", ".join(sorted({job.clip.path.suffix.removeprefix(".") for job in jobs if job.clip}))
    kinds = ", ".join(dict.fromkeys(job.kind for job in jobs))
    say(f"sending {len(jobs)} tasks ({kinds}; audio as {formats})\n")
    display = Display([job.name for job in jobs])
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
    form = aiohttp.FormData(default_to_multipart=True)
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


def _wait_for_emission(network: LocalNetwork) -> None:
    """Waits for an epoch that ran with the weights of every validator."""
    validators = [member for member in network.members if member.role == "validator"]
    deadline = time.monotonic() + EMISSION_TIMEOUT_S
    say(f"waiting for an epoch ({network.tempo} blocks of {network.block_time_s} s) with both validators' weights ..")
    while True:
        network.check_alive()
        by_uid = {neuron.uid: neuron for neuron in network.chain.metagraph().neurons}
        if all(v.uid is not None and by_uid[v.uid].last_update and by_uid[v.uid].dividends > 0 for v in validators):
            return
        if time.monotonic() > deadline:
            message = f"no epoch with weights of all validators within {EMISSION_TIMEOUT_S:.0f} s"
            raise DemoError(message)
        time.sleep(network.block_time_s)


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
    say(f"checked: every answer is verified, and every honest miner earns more than {', '.join(bad)}")


def _keep(network: LocalNetwork) -> None:
    clip = next(clip for clip in packaged_clips() if clip.path.name.startswith("jfk"))
    say(f"""
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
    say("stopping")


def _is_free(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
