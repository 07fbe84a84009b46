"""The samples of the documentation run as they stand, on the local network that the documentation says how to start.

What cannot run here is in `NOT_RUN` with the reason; what is neither run nor listed fails.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

import violet
from fixtures.waiting import until
from violet.corpus import packaged_clips
from violet.local_network import free_port
from violet.models import cache_dir

# The network starts and learns how fast this machine is while other tests compute.
pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])

IN_CI = "what CI itself runs, or is made of (`.ci/run`)"
REAL_CHAIN = "the real chain, with coins; tests/python/test_docs.py has Violet's own parser read it"
CLOUD = "an account at Google"
DEMO = "tests/python/test_network.py runs the demo; --keep goes on until it is interrupted"
NOT_RUN = {
    "git clone ": "a copy of the repository with an address",
    ". .venv/bin/activate": "the tests are run by that environment's Python",
    "make ": IN_CI,
    "pip install ": "compiles the core, for minutes; CI installs a wheel of the checkout, `make dist` tries more",
    "violet demo": DEMO,
    "violet status": "goes on until it is interrupted; tests/python/test_network_changes.py runs it",
    "violet completion ": "tests/python/test_cli.py has bash complete with it",
    "violet proxy --subtensor.network finney": REAL_CHAIN,
    "violet proxy check-config --store firestore:": CLOUD,
    "python neurons/miner.py --netuid 49 --subtensor.network finney": REAL_CHAIN,
    "python neurons/validator.py --netuid 49 --subtensor.network finney": REAL_CHAIN,
    ".venv-sdk11/bin/violet validator --netuid 49 --subtensor.network finney": REAL_CHAIN,
    "btcli ": REAL_CHAIN,
    "ssh ": "a server",
    "scp ": "a server",
    "firebase ": CLOUD,
    "gcloud ": CLOUD,
}
"""How commands begin that are not run, and why."""

GROUPS = {"violet proxy", "violet localnet"}
"""What the README's table of commands names without saying what to do; samples elsewhere do."""

SERVES = ("violet proxy --", "python neurons/")
"""How commands begin that run until they are interrupted: the network of these tests."""

PORTS = ("8080", "8091", "8092", "9000")
"""Ports in the pages, for which each run takes free ones."""

SAID = {
    "transcribe": "your country",
    "curl": "your country",
    "violet submit": "your country",
    'open("talk.mp3"': "your country",
    "Client(": "your country",
    "Receiver": "task.answered",
    "btauth/1": "'uid': 0",
    "/v1/admin": '"paused":false',
}
"""What is heard and said where a sample has these words; the last that it has counts."""


@dataclass(frozen=True)
class Sample:
    """A block of a page, or a command of the README's table."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """Its commands without comments, each in one line."""
        lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in self.text.replace("\\\n", " ").splitlines())
        return [re.sub(r"\s+", " ", line) for line in lines if line]


def samples() -> Iterator[Sample]:
    """All of every page."""
    for page in PAGES:
        text, name = page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))
        for block in re.finditer(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
            yield Sample(name, text[: block.start()].count("\n") + 1, block[1], block[2])
        if name == "README.md":
            for row in re.finditer(r"^\| `violet .*", text, re.MULTILINE):
                line = text[: row.start()].count("\n") + 1
                for command in re.findall(r"`(violet [^`]+)`", row[0].split(" | ")[0]):
                    if command not in GROUPS:
                        yield Sample(name, line, "sh", command)


SAMPLES = list(samples())
SHELL = [sample for sample in SAMPLES if sample.language == "sh"]
# Sessions with a prompt are examples, which test_docs.py compares with what they say is printed.
PYTHON = [sample for sample in SAMPLES if sample.language == "python" and not sample.text.startswith(">>>")]
FIRST = {command: sample for sample in reversed(SHELL) for command in sample.commands}
"""Where each command is first: there it is run."""

NETWORK = next(sample for sample in SHELL if "violet localnet create" in sample.text)


def why_not(command: str) -> str | None:
    """Why a command is not run; None if it is."""
    return next((reason for start, reason in NOT_RUN.items() if command.startswith(start)), None)


def test_what_is_not_run_is_listed_with_its_reason_and_is_there() -> None:
    commands = [command for sample in SHELL for command in sample.commands]
    assert [start for start in NOT_RUN if not any(command.startswith(start) for command in commands)] == []
    # Nothing that the shell or Python could run hides in a block of another kind.
    assert {sample.language for sample in SAMPLES} == {"sh", "python", "json", "yaml", "nginx", "text", ""}
    others = "".join(sample.text for sample in SAMPLES if sample.language not in {"sh", "python"})
    assert re.findall(r"^ *(?:\$ |>>> |(?:violet|python3?|pip|make|curl|docker|import) ).*", others, re.MULTILINE) == []
    served = {command for command in commands if command.startswith(SERVES) and why_not(command) is None}
    assert served <= set(NETWORK.commands), "a sample that never ends is part of the network of these tests"


@dataclass
class Reader:
    """Who reads the documentation: a home with recordings, ports that are free, and a network of their own."""

    home: Path
    ports: dict[str, int] = field(default_factory=lambda: {port: free_port() for port in PORTS})
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """A new user's, but for models that are here already, and ports and a webhook's address of this machine."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BT_", "VIOLET_", "XDG_", "WANDB_"))}
        url = f"http://127.0.0.1:{self.ports['8080']}"
        return kept | {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "VIOLET_CACHE": str(cache_dir()),
            "VIOLET_OFFLINE": "1",
            "VIOLET_PROXY_URL": url,
            "VIOLET_PROXY_PORT": str(self.ports["8080"]),
            "VIOLET_PROXY_WEBHOOK_ADDRESSES": "any",
        }

    def here(self, text: str) -> str:
        """A sample with the ports of this reader's."""
        return re.sub(rf"\b({'|'.join(self.ports)})\b", lambda port: str(self.ports[port[0]]), text)

    def run(self, commands: list[str]) -> str:
        """What the commands print, one after the other in one shell; fails where one does."""
        script = "\n".join(["set -euo pipefail", *map(self.here, commands)])
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.home, env=self.environment, capture_output=True, text=True, timeout=240,
            check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}{self.logs()}"
        assert "Traceback" not in done.stderr
        return done.stdout

    def serve(self, command: str) -> None:
        """Starts what runs until it is interrupted, in a terminal of its own, so to say."""
        # Where its metrics are cannot be said by the environment.
        own = f" --metrics.port {free_port()}" if "neurons/" in command else ""
        with (self.home / f"{len(self.running)}.log").open("wb") as log:
            self.running[command] = subprocess.Popen(
                ["bash", "-c", f"exec {self.here(command)}{own}"], cwd=self.home, env=self.environment, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def get(self, path: str) -> Mapping[str, Any] | None:
        """The proxy's answer; None while there is none."""
        ended = [command for command, process in self.running.items() if process.poll() is not None]
        assert ended == [], self.logs()
        try:
            answer = requests.get(f"{self.environment['VIOLET_PROXY_URL']}{path}", timeout=5)
        except requests.ConnectionError:
            return None
        found: Mapping[str, Any] | None = answer.json() if answer.ok else None
        return found

    def logs(self) -> str:
        """The ends of what the network's processes said."""
        return "".join(f"\n== {log.name}\n{log.read_text()[-2000:]}" for log in sorted(self.home.glob("*.log")))

    def stop(self) -> None:
        """Ends the network in order."""
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self.running.values()):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """The reader, who has done what the page says about starting a network."""
    home = tmp_path_factory.mktemp("home")
    (home / "neurons").symlink_to(ROOT / "neurons")
    speech, rate = violet.load(next(c.path for c in packaged_clips() if c.path.name.startswith("jfk-ask")), 16_000)
    for name in ("talk.mp3", "call.mp3", "ten_hours.flac", "clean.wav"):
        violet.save(home / name, speech, rate)
    noise = 0.01 * np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    violet.save(home / "degraded.wav", speech + noise, rate)
    for name, clip in {"call.webm": "clip_opus.webm", "song.m4a": "clip.m4a", "talk.m4a": "clip.m4a"}.items():
        (home / name).write_bytes((ROOT / "tests/data" / clip).read_bytes())
    (home / "truth.txt").write_text("ask not what your country can do for you\n")
    (home / "heard.txt").write_text("ask not what your county can do for you\n")
    reader = Reader(home)
    try:
        for command in NETWORK.commands:
            if command.startswith(SERVES):
                reader.serve(command)
                until(lambda: reader.get("/readyz"), "the proxy is ready")
            elif len(reader.running) < 3:
                reader.run([command])
        until(lambda: (reader.get("/v1/network") or {"miners": []})["miners"], "the proxy knows the miner")
        yield reader
    finally:
        reader.stop()


def check(sample: Sample, said: str) -> None:
    """That a sample said what it is there for, and left the files that it names."""
    expected = [words for mark, words in SAID.items() if mark in sample.text]
    assert not expected or expected[-1] in said.lower()


@pytest.mark.parametrize("sample", SHELL, ids=str)
def test_commands_run(sample: Sample, reader: Reader) -> None:
    commands = [command for command in sample.commands if why_not(command) is None and FIRST[command] == sample]
    if sample == NETWORK:
        commands = commands[1 + max(at for at, command in enumerate(commands) if command.startswith(SERVES)) :]
    if commands:
        said = reader.run(commands)
        written = [reader.home / name for command in commands for name in re.findall(r"(?:-o|>) (\S+\.\w+)", command)]
        assert all(file.stat().st_size > 0 for file in written)
        if not written:
            check(sample, said)


@pytest.mark.parametrize("sample", PYTHON, ids=str)
def test_python_runs(
    sample: Sample, reader: Reader, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(reader.home)
    for name, value in reader.environment.items():
        monkeypatch.setenv(name, value)
    clean, _ = violet.load("clean.wav", 16_000)
    # What a sample takes as its reader's own.
    own = {"violet": violet, "book": "One. Two.", "play": len, "blocks": [clean]}
    exec(compile(reader.here(sample.text), str(sample), "exec"), own)
    check(sample, capsys.readouterr().out)
