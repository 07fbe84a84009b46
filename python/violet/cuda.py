"""The libraries of NVIDIA's that a GPU needs, and why there is none."""

import ctypes
import logging
import os
import sys
from functools import cache
from pathlib import Path

from violet import _core

logger = logging.getLogger(__name__)

PATTERNS = ("libcublasLt.so.*", "libcublas.so.*", "libnvrtc-builtins.so.*", "libnvrtc.so.*")
"""File names of the libraries, each before those that need it."""


def libraries() -> list[Path]:
    """The libraries, from the first place that has all: wheels, `CUDA_HOME`, the toolkit's usual place."""
    roots = [Path(root) / "nvidia" for root in sys.path if root]
    directories = [directory for root in roots for directory in sorted(root.glob("*/lib"))]
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    for directory in [*directories, toolkit / "lib64", toolkit / "lib"]:
        found = [sorted(directory.glob(pattern)) for pattern in PATTERNS]
        if all(found):
            return [paths[0] for paths in found]
    return []


@cache
def load_libraries() -> None:
    """Load the libraries, so that the core finds them by name; those on the loader's own path need no help."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    for path in libraries():
        try:
            ctypes.CDLL(str(path))
        except OSError as error:
            logger.warning("%s cannot be loaded: %s", path, error)


def missing() -> str | None:
    """Why this build cannot use a GPU here; None when it can."""
    load_libraries()
    return _core.cuda_problem()


def prepare(device: str) -> None:
    """Make ready to open a device; in a build with CUDA, log once why `auto` is the CPU where it is."""
    if _core.HAS_CUDA and device != "cpu" and (reason := missing()) and device == "auto":
        log_fallback(reason)


@cache
def log_fallback(reason: str) -> None:
    """Say a reason once."""
    logger.warning("device auto is the CPU: %s", reason)
