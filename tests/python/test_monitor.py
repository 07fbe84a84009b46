"""Weights & Biases: runs are really written, nothing private is in them, and what fails there disturbs nobody."""

import getpass
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from wandb.proto import wandb_internal_pb2

from fixtures.waiting import until
from violet import monitor
from violet.monitor import WandbMonitor, WandbSettings

BLOCK = 32_768
FACTS = {"role": "miner", "netuid": 49, "hotkey": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"}


def settings(directory: Path, mode: Literal["offline", "disabled"] = "offline") -> WandbSettings:
    return WandbSettings(mode, "violet-tests", None, "a run of the tests", directory)


def records(path: Path) -> Iterator[Any]:
    """Everything in a run's file: protocol buffers in LevelDB's log format, after a head of 7 bytes."""
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, whole = 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # no head of a record fits there
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if at + 7 + length > len(data):  # not all of it is there yet
            return
        if kind == 0:  # the rest of a block is empty
            at += BLOCK - at % BLOCK
            continue
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in {1, 4}:  # all of a record, or its end
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def values(path: Path) -> list[dict[str, str]]:
    history = (record.history for record in records(path) if record.WhichOneof("record_type") == "history")
    return [{item.key or "/".join(item.nested_key): item.value_json for item in row.item} for row in history]


def test_an_offline_run_is_written_and_holds_the_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdef" * 2 + "01234567")
    # The file is read behind: on a busy machine wandb takes its time to write it.
    monkeypatch.setattr(monitor, "STOP_WAIT_S", 120)
    counts = iter(range(100))
    two = threading.Event()

    def sample() -> dict[str, float]:
        number = next(counts)
        if number == 1:
            two.set()
        return {"violet_miner_running": float(number)}

    with WandbMonitor(settings(tmp_path), "miner-5Grwva", FACTS, sample, sample_s=0.05):
        assert two.wait(60)
    (file,) = tmp_path.rglob("*.wandb")
    # Wandb's own process writes it, and has not always done so when it says that a run has ended.
    rows = until(lambda: (found := values(file))[1:] and found, "two samples are in the file")
    assert [row["violet_miner_running"] for row in rows][:2] in (["0", "1"], ["0.0", "1.0"])
    run = next(record.run for record in records(file) if record.WhichOneof("record_type") == "run")
    assert (run.project, run.display_name, run.notes) == ("violet-tests", "miner-5Grwva", "a run of the tests")
    config = {update.key: update.value_json for update in run.config.update}
    assert config["netuid"] == "49"
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    private = {
        "the key": os.environ["WANDB_API_KEY"],
        "the machine": socket.gethostname(),
        "the directory": str(Path.cwd()),
        "the command line": " ".join(sys.argv) or "pytest",
    }
    log_files = b"".join(path.read_bytes() for path in tmp_path.rglob("*.log"))
    sent = written.replace(log_files, b"") if log_files else written
    assert {what for what, text in private.items() if len(text) > 3 and text.encode() in file.read_bytes()} == set()
    assert private["the key"].encode() not in sent
    assert getpass.getuser() not in run.host


def test_nothing_is_written_where_it_is_off(tmp_path: Path) -> None:
    with WandbMonitor(settings(tmp_path, "disabled"), "x", FACTS, dict):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_fails_is_a_line_in_the_log_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(monitor, "RETRY_S", (0.01, 0.02))
    tries = threading.Semaphore(0)

    def sample() -> dict[str, float]:
        tries.release()
        message = "no room on the disk"
        raise OSError(message)

    with (
        caplog.at_level(logging.WARNING, "violet"),
        WandbMonitor(settings(tmp_path), "x", FACTS, sample, sample_s=0.01),
    ):
        assert tries.acquire(timeout=60)
        assert tries.acquire(timeout=60)
    assert "wandb: no room on the disk; trying again" in caplog.text


def test_without_the_package_a_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with caplog.at_level(logging.WARNING, "violet"), WandbMonitor(settings(tmp_path), "x", FACTS, dict) as found:
        assert found._thread is not None
        found._thread.join(10)
    assert "pip install 'violet[wandb]'" in caplog.text


def test_the_monitor_alone_imports_wandb() -> None:
    source = Path(monitor.__file__).parent
    importers = [
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if any(line.strip().startswith(("import wandb", "from wandb")) for line in path.read_text().splitlines())
    ]
    assert importers == ["monitor.py"]
    # And nobody pays for it before it is used.
    check = "import sys, violet.miner, violet.validator; sys.exit('wandb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
