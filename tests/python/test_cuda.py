"""Choosing between the GPU and the CPU, on a machine that may have either."""

import logging
from pathlib import Path

import pytest

from violet import _core, cuda


def test_without_a_gpu_there_is_a_reason() -> None:
    reason = cuda.missing()
    assert reason is None or "CUDA" in reason or "NVIDIA" in reason


def test_a_build_without_cuda_says_so_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_core, "HAS_CUDA", False)
    cuda.prepare("auto")
    assert not caplog.records


def test_the_fall_back_to_the_cpu_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_core, "HAS_CUDA", True)
    monkeypatch.setattr(_core, "cuda_problem", lambda: "no driver (test)")
    # A logger of its own: the SDK, once imported, silences those that are not its.
    own = logging.Logger("violet.cuda")
    own.addHandler(caplog.handler)
    monkeypatch.setattr(cuda, "logger", own)
    for device in ("cpu", "cuda", "auto", "auto"):
        cuda.prepare(device)
    assert [record.getMessage() for record in caplog.records] == ["device auto is the CPU: no driver (test)"]


def test_libraries_come_from_one_place_that_has_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("libcublasLt.so.13", "libcublas.so.13", "libnvrtc-builtins.so.13.0", "libnvrtc.so.13")
    incomplete, complete = tmp_path / "a/nvidia/cu12/lib", tmp_path / "b/nvidia/cu13/lib"
    for directory, n in ((incomplete, 3), (complete, 4)):
        directory.mkdir(parents=True)
        for name in names[:n]:
            (directory / name).touch()
    monkeypatch.setattr("sys.path", [str(tmp_path / "a"), "", str(tmp_path / "b")])
    assert cuda.libraries() == [complete / name for name in names]
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert cuda.libraries() == []
