"""The files for containers and services start Violet's commands with flags and variables that these know."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.servers import serving
from violet import _core
from violet.chain import localnet
from violet.config import ENVIRONMENT, MinerConfig, ValidatorConfig
from violet.metrics import MinerMetrics, NeuronMetrics, ValidatorMetrics

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = {name: service for name, service in COMPOSE["services"].items() if "entrypoint" not in service}
UNITS = sorted((ROOT / "deploy/systemd").glob("*.service"))
DEFAULTS = {
    "AXON_IP": "203.0.113.7",
    "AXON_PORT": "8091",
    "MODEL": "tiny.en",
    "BT_NETWORK": "finney",
    "BT_NETUID": "49",
}


def filled(text: str) -> str:
    """`text` with `${NAME:-default}` and `${NAME}` as the tools fill them in."""
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda found: found[2] or DEFAULTS.get(found[1], ""), text)


def check(command: list[str], env: Mapping[str, str]) -> None:
    """Has the role's own parser read its flags and variables; what it does not know ends the test by SystemExit."""
    role, *flags = command
    known = {"HOME": "/nowhere", **{name: filled(value) for name, value in env.items()}}
    if role == "miner":
        assert MinerConfig.from_args(flags, known).axon_port == 8091
    elif role == "validator":
        assert ValidatorConfig.from_args(flags, known).netuid in {1, 49}
    else:
        assert role == "proxy"
        own = [flag for flag in flags if flag.startswith("--") and not flag.startswith(("--subtensor.", "--netuid"))]
        listed = proxy_help()
        assert [flag for flag in own if flag not in listed] == []


def proxy_help() -> str:
    """What `violet proxy --help` says of the proxy's own flags and variables."""
    read, write = os.pipe()
    kept = os.dup(1)
    os.dup2(write, 1)
    try:
        _core.run_proxy(["--help"])
    finally:
        os.dup2(kept, 1)
        os.close(write)
        os.close(kept)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_starts_a_command_that_is_understood(name: str) -> None:
    service: dict[str, Any] = SERVICES[name]
    environment = {key: str(value) for key, value in service.get("environment", {}).items()}
    check([filled(word) for word in service["command"]], environment)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_that_is_understood(unit: Path) -> None:
    line = re.search(r"^ExecStart=/opt/violet/bin/violet (.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    assert line is not None
    check(shlex.split(filled(line[1])), {})


def test_every_variable_that_is_set_is_read_by_something() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "python/violet").rglob("*.py"))
    read = {variable for variable, _ in ENVIRONMENT.values()} | set(
        re.findall(r"VIOLET_[A-Z_]+", proxy_help() + sources)
    )
    named = set(re.findall(r"\b(?:VIOLET|BT)_[A-Z_]+", (ROOT / "compose.yaml").read_text(encoding="utf-8")))
    named |= set(re.findall(r"\b(?:VIOLET|BT)_[A-Z_]+(?==)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))
    named |= set(re.findall(r"\b(?:VIOLET|BT)_[A-Z_]+", (ROOT / "render.yaml").read_text(encoding="utf-8")))
    assert named - read == set()


def test_every_setting_of_the_compose_file_and_the_units_is_explained() -> None:
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    units = [unit.read_text(encoding="utf-8") for unit in UNITS]
    used = set(re.findall(r"\$\{(\w+)", "".join([compose, *units])))
    example = (ROOT / "deploy/env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)) - {"VIOLET_PROXY_URL"} <= used
    assert used - set(re.findall(r"^#?([A-Z_]+)=", example, re.MULTILINE)) == set()
    set_here = {name for unit in units for line in re.findall(r"^Environment=(.*)$", unit, re.MULTILINE)
                for name in re.findall(r"(\w+)=", line)}  # fmt: skip
    known = {variable for variable, _ in ENVIRONMENT.values()} | {"HOME", "XDG_DATA_HOME", "VIOLET_CACHE"}
    assert {name for name in set_here - known if name not in proxy_help()} == set()


def test_the_hosted_proxy_starts_a_command_that_is_understood() -> None:
    (service,) = yaml.safe_load((ROOT / "render.yaml").read_text(encoding="utf-8"))["services"]
    program, *command = shlex.split(service["dockerCommand"])
    assert program == "violet"
    check(command, {})
    port = command[command.index("--port") + 1]
    assert {"key": "PORT", "value": port} in service["envVars"]


def entrypoint() -> list[str]:
    """What every container of the image runs its command with."""
    found = re.search(r"^ENTRYPOINT (.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    words: list[str] = json.loads(found[1])
    return words


@pytest.mark.parametrize("command", [["proxy", "--port", "80"], ["violet", "proxy", "--port", "80"]])
def test_the_image_takes_a_role_and_a_whole_command(command: list[str], tmp_path: Path) -> None:
    program = tmp_path / "violet"
    program.write_text('#!/bin/sh\nprintf "%s " "$@"\n')
    program.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    words = [*entrypoint(), *command]
    run = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    assert run.stdout == "proxy --port 80 "


def test_the_chains_container_makes_a_chain_once(tmp_path: Path) -> None:
    service = COMPOSE["services"]["chain"]
    script = service["command"][0].replace("$$", "$").replace("/data/wallets", str(tmp_path / "wallets"))
    chain = tmp_path / "localnet.sqlite3"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"VIOLET_LOCALNET": str(chain), "PATH": path}
    for _ in range(2):
        subprocess.run([*service["entrypoint"], script], env=environment, check=True, capture_output=True)
    neurons = localnet.LocalChain.open(chain, 1, None).metagraph().neurons
    assert len(neurons) >= 3
    assert sum(neuron.stake > 0 for neuron in neurons) == 1
    names = {path.name for path in (tmp_path / "wallets").iterdir()}
    used = {
        word for name in SERVICES for word in SERVICES[name]["command"] if re.fullmatch(r"(miner|validator)-\d", word)
    }
    assert names == used


@pytest.mark.parametrize(
    ("status", "code"),
    [pytest.param(200, 0, id="well"), pytest.param(503, 1, id="wrong"), pytest.param(0, 1, id="away")],
)
def test_a_containers_health_is_the_word_of_its_role(status: int, code: int) -> None:
    class Role(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"told so")

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    command = [sys.executable, str(ROOT / "deploy/healthcheck.py"), "http://127.0.0.1:9/healthz"]
    with serving(Role) as url:
        run = subprocess.run([*command, f"{url}/readyz"] if status else command, capture_output=True, text=True)
    assert run.returncode == code
    assert ("told so" if status else "nothing answers") in run.stdout


def test_what_a_container_keeps_is_in_a_volume() -> None:
    volumes = set(COMPOSE["volumes"])
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    made = re.search(r"install --directory --owner=violet --group=violet (.+)$", dockerfile, re.MULTILINE)
    assert made is not None
    # A new volume takes the owner of its folder in the image; one that is not there would be root's.
    writable = {"/data", *made[1].split()}
    for service in COMPOSE["services"].values():
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            assert source in volumes or source.startswith("${WALLETS"), mount
            assert source not in volumes or mount.split(":")[1] in writable, mount


def test_the_commands_of_the_networks_documentation_find_the_package() -> None:
    # All that pip does of `pip install -r requirements.txt`, which is `pip install -e .`, short of compiling.
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--no-deps", "--no-build-isolation"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    run = subprocess.run(
        [*command, "-r", "requirements.txt"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert f"Would install violet-{_core.__version__}" in run.stdout, run.stderr


def families(metrics: NeuronMetrics) -> set[str]:
    """Names of a neuron's metrics, as queries have them."""
    found = metrics.registry.collect()
    return {family.name + ("_total" if family.type == "counter" else "") for family in found}


def in_context(path: str) -> bool:
    """Whether `.dockerignore` lets a file of the checkout into the image's build; the last rule that fits counts."""
    is_in = True
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split():
        pattern = line.removeprefix("!")
        # A rule for a folder is one for all in it; `**/` stands for any folders, none included.
        parts = [
            "(.*/)?" if part == "**" else re.escape(part).replace(r"\*", "[^/]*") + "/" for part in pattern.split("/")
        ]
        if re.fullmatch("".join(parts).removesuffix("/") + "(/.*)?", path):
            is_in = line.startswith("!")
    return is_in


def test_the_images_build_gets_every_file_that_it_reads() -> None:
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {"Cargo.toml", "Cargo.lock", "pyproject.toml", "requirements.lock", "build.rs", project["readme"]}
    copied = re.findall(r"^COPY (?!--)(\S+) ", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    needed |= set(copied) - {"."}
    needed |= set(project["license-files"]) | {binary["path"] for binary in cargo["bin"]}
    needed |= {f"benches/{bench['name']}.rs" for bench in cargo["bench"]}
    for source in (ROOT / "src").rglob("*.rs"):
        needed.add(source.relative_to(ROOT).as_posix())
        text = source.read_text(encoding="utf-8")
        is_test = source.stem.endswith(("test", "tests")) or "tests" in source.parts
        for name in [] if is_test else included(text):
            needed.add((source.parent / name).resolve().relative_to(ROOT).as_posix())
    needed |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "python/violet").rglob("*.py")}
    assert sorted(path for path in needed if not (ROOT / path).is_file()) == []
    assert sorted(path for path in needed if not in_context(path)) == []
    assert [path for path in (".git/config", "tests/python/conftest.py", ".venv/pyvenv.cfg") if in_context(path)] == []


def included(text: str) -> list[str]:
    """The files that a Rust source compiles in, those of its tests left out."""
    code = re.split(r"#\[cfg\((?:all\()?test", text)[0]
    return re.findall(r'include_(?:str|bytes)!\(\s*"([^"]+)"\s*\)', code)


def test_the_dashboard_shows_metrics_that_proxy_and_neurons_have() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana.json").read_text(encoding="utf-8"))
    shown = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"violet_\w+?(?=_bucket|\b)", target["expr"])
    }
    known = re.findall(r'describe_\w+!\("(\w+)"', (ROOT / "src/proxy/metrics.rs").read_text(encoding="utf-8"))
    own = families(MinerMetrics()) | families(ValidatorMetrics())
    assert len(shown) > 14
    assert shown <= {*known, *own}
