"""The whole network as real processes on a local chain, with real speech, and with parts of it killed in the middle."""

import json
import os
import signal
import subprocess
import sys
import wave
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openai
import pytest
from openai.types.audio import TranscriptionVerbose

import violet
from fixtures.waiting import until
from violet.corpus import packaged_clips
from violet.local_network import LocalNetwork

pytestmark = [pytest.mark.network, pytest.mark.timeout(900)]

CLIPS = packaged_clips()
JFK = next(clip for clip in CLIPS if clip.path.name.startswith("jfk"))
REPEATS = 2
DEADLINE_S = 120.0


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNetwork]:
    with LocalNetwork(tmp_path_factory.mktemp("network"), has_bad_miner=False) as network:
        yield network


@pytest.fixture(scope="module")
def client(network: LocalNetwork) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{network.url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All clips one after the other, twice: long enough to be interrupted."""
    sample_rate = 16_000
    samples = np.concatenate([violet.load(clip.path, sample_rate)[0] for clip in CLIPS])
    path = tmp_path_factory.mktemp("clips") / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((np.tile(samples, REPEATS).clip(-1, 1) * 32767).astype("<i2").tobytes())
    return path


def submit(network: LocalNetwork, path: Path) -> str:
    command = ["curl", "-sS", "--fail-with-body", f"{network.url}/v1/tasks", "-F", f"file=@{path}"]
    reply = subprocess.run(command, capture_output=True, text=True, check=True)
    task_id: str = json.loads(reply.stdout)["id"]
    return task_id


def task(network: LocalNetwork, task_id: str) -> Mapping[str, Any]:
    return network.get(f"/v1/tasks/{task_id}") or {"state": "unreachable", "slots": []}


def violet_command(network: LocalNetwork, *words: str) -> subprocess.CompletedProcess[str]:
    """What a user's command does here, where nothing is a terminal."""
    command = [sys.executable, "-m", "violet", *words]
    environment = os.environ | {"VIOLET_PROXY_URL": network.url}
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environment)


def test_task_survives_the_death_of_a_miner_and_of_the_proxy(network: LocalNetwork, long_clip: Path) -> None:
    miners = {str(member.hotkey): member.name for member in network.members if member.role == "miner"}
    task_id = submit(network, long_clip)

    def leased() -> str | None:
        slots = [slot for slot in task(network, task_id)["slots"] if slot["state"] == "leased"]
        return slots[0]["miner"] if slots else None

    victim = miners[until(leased, "a miner has leased the task")]
    network.kill(victim)
    network.kill("proxy")
    network.spawn("proxy")

    def final() -> Mapping[str, Any] | None:
        found = task(network, task_id)
        return found if found["state"] in {"verified", "unverified", "failed"} else None

    state = until(final, "the task is final after the proxy came back")
    assert state["state"] == "verified"
    words = " ".join(clip.text for clip in CLIPS * REPEATS)
    rate = violet.wer(words, state["answer"]["text"], "whisper-basic")
    assert rate is not None
    assert rate < 0.1
    network.spawn(victim)
    again = submit(network, JFK.path)
    until(lambda: task(network, again)["state"] == "verified", "the network goes on with the miner back")


@pytest.mark.parametrize("response_format", ["json", "text", "srt", "verbose_json", "vtt"])
def test_the_official_client_reads_every_format(
    network: LocalNetwork, client: openai.OpenAI, response_format: Literal["json", "text", "srt", "verbose_json", "vtt"]
) -> None:
    with JFK.path.open("rb") as file:
        answer = client.audio.transcriptions.create(model="whisper-1", file=file, response_format=response_format)
    text = answer if isinstance(answer, str) else answer.text
    assert "ask not what your country can do for you" in text.replace("\n", " ").replace(",", "").lower() or (
        response_format in {"srt", "vtt"} and "-->" in text
    )
    assert isinstance(answer, TranscriptionVerbose) == (response_format == "verbose_json")
    if isinstance(answer, TranscriptionVerbose):
        assert answer.segments is not None
        assert answer.duration == pytest.approx(11.0, abs=0.1)
        # The miner heard a variant, which may begin 20 ms later.
        assert answer.segments[0].start == pytest.approx(0.0, abs=0.03)


def test_the_official_client_gets_an_error_that_it_knows(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "not-audio.mp3"
    path.write_text("these are not the bytes of a song" * 100)
    with path.open("rb") as file, pytest.raises(openai.BadRequestError, match="audio"):
        client.audio.transcriptions.create(model="whisper-1", file=file)


def test_an_analysis_is_measured_verified_and_delivered(network: LocalNetwork) -> None:
    fields = ("level", "loudness", "pitch")
    with violet.Client(network.url) as client:
        made = client.submit(JFK.path, kind="analysis", fields=fields)
        states = [event.task.state for event in client.events(made.id) if event.kind == "state"]
        found = client.analysis(made.id)
    # The first event is how the task stands, and a miner may have it by then.
    assert states[0] in {"queued", "running"}
    assert states[-1] == "verified"
    own = violet.analyze(JFK.path, fields)
    assert found.loudness["integrated_lufs"] == pytest.approx(own.loudness["integrated_lufs"], abs=0.05)
    assert found.pitch["median_hz"] == pytest.approx(own.pitch["median_hz"], rel=0.05)
    assert "integrated" in violet_command(network, "result", made.id).stdout, "a table for people"
    assert json.loads(violet_command(network, "result", made.id, "--json").stdout)["loudness"] == found.loudness
    verdict = task(network, made.id)["verdict"]
    # Nobody measured wrong; a right measurement that comes late is worth 0.8.
    assert min(verdict["scores"].values()) >= 0.799


def test_a_text_is_spoken_verified_and_delivered_by_openais_client(
    network: LocalNetwork, client: openai.OpenAI, tmp_path: Path
) -> None:
    text = "The weather is nice today, and we are going to the park."
    path = tmp_path / "speech.wav"
    client.audio.speech.create(model="tts-1", voice="alloy", input=text, response_format="wav").write_to_file(path)
    with path.open("rb") as file:
        heard = client.audio.transcriptions.create(model="whisper-1", file=file).text
    rate = violet.wer(text, heard, "whisper-en")
    assert rate is not None
    assert rate <= 0.25
    tasks = (network.get("/v1/tasks?limit=20") or {"data": []})["data"]
    spoken = next(found for found in tasks if found["kind"] == "synthesis")
    until(lambda: task(network, spoken["id"])["state"] == "verified", "the speech is verified")
    result = network.get(f"/v1/tasks/{spoken['id']}/result")
    assert result is not None
    assert [word["word"] for word in result["words"]][:3] == ["The", "weather", "is"]
    with pytest.raises(openai.UnprocessableEntityError, match="joe"):
        client.audio.speech.create(model="tts-1", voice="nobody", input=text)


@pytest.mark.parametrize("response_format", ["mp3", "aac", "opus", "flac"])
def test_speech_comes_in_the_format_that_openais_client_names(
    client: openai.OpenAI, tmp_path: Path, response_format: Literal["mp3", "aac", "opus", "flac"]
) -> None:
    path = tmp_path / "speech"
    speech = client.audio.speech.create(
        model="tts-1", voice="alloy", input="Good evening.", response_format=response_format
    )
    speech.write_to_file(path)
    info = violet.info(path)
    assert (info.codec, info.n_channels) == (response_format, 1)
    assert info.duration_s == pytest.approx(1.0, abs=0.6)


def test_words_have_times_and_a_stream_tells_the_text_as_it_comes(client: openai.OpenAI) -> None:
    with JFK.path.open("rb") as file:
        timed = client.audio.transcriptions.create(
            model="whisper-1", file=file, response_format="verbose_json", timestamp_granularities=["word", "segment"]
        )
    assert timed.words is not None
    assert timed.segments is not None
    assert len(timed.words) == len(timed.text.split())
    assert all(0 <= word.start <= word.end <= 11.5 for word in timed.words)
    with JFK.path.open("rb") as file:
        events = list(client.audio.transcriptions.create(model="whisper-1", file=file, stream=True))
    *deltas, done = events
    assert done.type == "transcript.text.done"
    assert "ask not what your country" in done.text
    assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == done.text


def test_the_command_line_submits_watches_lists_and_fetches(network: LocalNetwork, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear all,\n")
    run = violet_command(network, "submit", str(tmp_path / "letter.txt"), str(JFK.path), "--watch", "--verified")
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1, "one line about the file that is no audio, and no bars"
    assert "letter.txt" in run.stderr
    assert "ask not what your country" in run.stdout.lower()
    listed = violet_command(network, "tasks", "--kind", "transcription", "--state", "verified", "--limit", "1").stdout
    task_id = listed.split()[0]
    assert "ask not what your country" in listed.lower()
    assert violet_command(network, "result", task_id, "--format", "srt").stdout.startswith("1\n00:00:0")
    with violet.Client(network.url) as client:
        transcript = client.transcript(task_id)
    assert transcript.text.strip() == run.stdout.strip()
    assert transcript.duration_s == pytest.approx(11.0, abs=0.1)
    spoken = violet_command(
        network, "submit", "--text", "Good morning.", "--watch", "--output", str(tmp_path / "a.mp3")
    )
    assert (spoken.returncode, violet.info(tmp_path / "a.mp3").codec) == (0, "mp3")
    absent = violet_command(network, "result", "task_nobody")
    assert (absent.returncode, absent.stderr) == (
        1, "violet: error: there is no task task_nobody (404 no_such_task)\n"
    )  # fmt: skip


def demo_processes(directory: Path) -> list[str]:
    """Command lines of the processes that work in `directory`."""
    listing = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(directory) in line and " demo " not in line]


def test_demo_shows_a_verified_transcript_and_pays_the_honest_miners(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "violet", "demo", "--json", "--directory", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    # For people on standard error, for programs on standard output.
    assert "every honest miner earns more than miner-3" in run.stderr
    assert "WER    0.0%" in run.stderr
    found = json.loads(run.stdout)
    assert {task["kind"] for task in found["tasks"]} == {"transcription", "analysis", "synthesis"}
    assert {task["state"] for task in found["tasks"]} == {"verified"}
    assert min(task["wer"] for task in found["tasks"] if "wer" in task) == 0.0
    earned = {neuron["name"]: neuron["emission"] for neuron in found["neurons"]}
    assert min(earned["miner-1"], earned["miner-2"]) > earned["miner-3"]
    miner = next(neuron for neuron in found["neurons"] if neuron["name"] == "miner-1")
    assert set(miner["weights"]) == {"validator-1", "validator-2"}
    assert demo_processes(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_leaves_no_process_behind_when_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "violet", "demo", "--directory", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ) as run:
        assert run.stdout is not None
        until(lambda: len(demo_processes(tmp_path)) >= 3, "processes of the demo run")
        run.send_signal(number)
        run.communicate(timeout=120)
    assert run.returncode == 130
    assert demo_processes(tmp_path) == []
