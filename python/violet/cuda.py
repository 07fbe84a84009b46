"""The libraries of NVIDIA's that a GPU needs, and why there is none."""

import ctypes
import logging
import site
import sys
from functools import cache
from pathlib import Path

logger = logging.getLogger(__name__)

PATTERNS = ("libcublasLt.so.*", "libcublas.so.*", "libnvrtc-builtins.so.*", "libnvrtc.so.*")
"""File names, a library before those that need it."""


def wheel_libraries() -> list[Path]:
    """The libraries in installed wheels (`nvidia-cublas`, `nvidia-cuda-nvrtc`), in the order in which to load them."""
    roots = dict.fromkeys(Path(root) / "nvidia" for root in [*site.getsitepackages(), *sys.path] if root)
    directories = [directory for root in roots for directory in sorted(root.glob("*/lib"))]
    return [path for pattern in PATTERNS for directory in directories for path in sorted(directory.glob(pattern))]


@cache
def load_libraries() -> None:
    """Load what wheels hold, so that the core finds it by its name; the loader's own path needs no help."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return
    for path in wheel_libraries():
        try:
            ctypes.CDLL(str(path))
        except OSError as error:
            logger.warning("%s cannot be loaded: %s", path, error)


@cache
def log_fallback(reason: str) -> None:
    """Say once for each reason why `auto` is the CPU."""
    logger.warning("%s: the device `auto` is the CPU", reason)
