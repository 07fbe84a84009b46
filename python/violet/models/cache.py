"""The models on disk: where they are, whether they are whole, and how new ones get there in one step."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from violet.models.registry import ModelFile
from violet.progress import Progress

RECORD_NAME = "violet-model.json"
"""What was fetched, beside the files."""

LOCK_POLL_S = 0.2
"""How often a process that waits for another's download looks again."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a directory of the cache should hold, and where it came from."""

    name: str
    source: str
    revision: str
    files: tuple[ModelFile, ...]

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """The record in a directory; None where there is none, or an unreadable one."""
        try:
            value = json.loads((directory / RECORD_NAME).read_text(encoding="utf-8"))
            files = tuple(ModelFile(**file) for file in value.pop("files"))
            return cls(**value, files=files)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def write(self, directory: Path) -> None:
        """Puts the record into a directory."""
        (directory / RECORD_NAME).write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")


def cache_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Where Violet caches: `VIOLET_CACHE`, or `violet` in the user's cache directory."""
    if env.get("VIOLET_CACHE"):
        return Path(env["VIOLET_CACHE"]).expanduser()
    if env.get("XDG_CACHE_HOME"):
        return Path(env["XDG_CACHE_HOME"]).expanduser() / "violet"
    parent = Path("~/Library/Caches") if sys.platform == "darwin" else Path("~/.cache")
    return parent.expanduser() / "violet"


def model_dir(name: str, env: Mapping[str, str] = os.environ) -> Path:
    """Where a model that Violet knows by name is cached."""
    return cache_dir(env) / "models" / name


def hub_dir(hub_id: str, env: Mapping[str, str] = os.environ) -> Path:
    """Where the commits of a repository on the hub are cached."""
    return cache_dir(env) / "hub" / hub_id.replace("/", "--")


def first_damage(directory: Path, files: Sequence[ModelFile]) -> str | None:
    """The first file that is missing or has another size, in words; None when all have the right size."""
    for file in files:
        path = directory / file.name
        if not path.is_file():
            return f"{path} is missing"
        size = path.stat().st_size
        if size != file.size_bytes:
            return f"{path} has {size} bytes, expected {file.size_bytes}"
    return None


def wrong_hashes(directory: Path, files: Sequence[ModelFile], progress: Progress) -> list[str]:
    """Every file that is not exactly the right one, in words."""
    problems = []
    total = sum(file.size_bytes for file in files)
    done = 0
    for file in files:
        problem = first_damage(directory, [file])
        if problem is None:
            digest = sha256(directory / file.name)
            if digest != file.sha256:
                problem = f"{directory / file.name} has SHA-256 {digest}, expected {file.sha256}"
        if problem is not None:
            problems.append(problem)
        done += file.size_bytes
        progress.update(f"checking {directory.name}", done, total)
    progress.end()
    return problems


def sha256(path: Path) -> str:
    """SHA-256 of a file, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(directory: Path, progress: Progress) -> Iterator[None]:
    """Holds the right to replace `directory`; waits while another process has it.

    The operating system gives the lock back when its holder dies, however it dies.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with (directory.parent / f".{directory.name}.lock").open("w") as file:
        is_waiting = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not is_waiting:
                    progress.note(f"waiting for another process that fetches {directory.name}")
                    is_waiting = True
                time.sleep(LOCK_POLL_S)
        yield


def install(directory: Path, fill: Callable[[Path], Record]) -> None:
    """Makes `directory` hold what `fill` puts into an empty one: all of it or, when `fill` raises, nothing.

    The caller holds the lock of `directory`.
    """
    prefix = f".{directory.name}.part-"
    # Left by a process that was killed: nobody else has the lock, so nobody works in them.
    for leftover in directory.parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
    try:
        fill(part).write(part)
        part.chmod(0o755)
        if directory.exists():
            # A directory cannot be replaced by another in one step: the old one goes to a name that is swept above.
            directory.rename(part.with_name(f"{part.name}-old"))
        part.rename(directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(part.with_name(f"{part.name}-old"), ignore_errors=True)
