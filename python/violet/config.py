"""The neurons' settings: one frozen object, read once from flags and environment (flag > environment > default)."""

import argparse
import ipaddress
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Self
from urllib.parse import urlsplit

from violet.chain import LOCALNET
from violet.protocol import KINDS
from violet.wallet import DEFAULT_WALLET_PATH

HOSTED_PROXY_URL = "https://violet-proxy.onrender.com"
"""The proxy that the subnet's owner runs for mainnet and testnet."""

LOCAL_PROXY_URL = "http://127.0.0.1:8080"
"""A proxy on this machine."""

NETWORKS = ("finney", "test", "local", LOCALNET)
"""`finney` is mainnet, `test` testnet, `local` a subtensor node on this machine, `localnet` a file on this machine."""

DEFAULT_NETUID = {"finney": 49, "test": 424, LOCALNET: 1}
"""The subnet's number on each network; on `local` it depends on the chain and must be given."""

PRIVATE_NETWORKS = frozenset({"local", LOCALNET})
"""Networks whose neurons may have addresses that the internet cannot reach."""

PORTS = range(1025, 65535)
"""Ports that an axon of the SDK may use."""

MAX_CAPACITY = 64
"""Most tasks that a miner takes at once."""

ANY_IP = "0.0.0.0"
"""Bind to every address of the machine."""

USAGE_EXIT_CODE = 2
"""Exit code for a wrong flag or value."""

LOG_LEVELS = {"info": "say what happens (the default)", "debug": "say more, with tracebacks", "trace": "say everything"}
"""The values of `NeuronConfig.log_level`, and what they mean."""

WANDB_PROJECT = "violet"
"""The project of runs on Weights & Biases unless `--wandb.project_name` names another."""

METRICS_PORTS = {"miner": 9191, "validator": 9192}
"""Ports of `/metrics` and `/healthz`."""

WANDB_MODES = ("online", "offline", "disabled")
"""The values of `NeuronConfig.wandb_mode`."""


@dataclass(frozen=True, slots=True)
class NeuronConfig:
    """What every neuron needs; read once, never changed."""

    netuid: int
    network: str
    chain_endpoint: str | None
    """Address of the chain's node, instead of the network's own."""
    wallet_name: str
    wallet_hotkey: str
    wallet_path: Path
    log_level: str
    """One of `LOG_LEVELS`."""
    axon_ip: str
    """Address that the axon binds."""
    axon_port: int
    axon_external_ip: str | None
    """Address to publish; None to publish the bound one, see `published_ip`."""
    axon_external_port: int
    proxy_url: str
    model: str
    device: str
    neuron_path: Path
    """Directory for this neuron's state."""
    sync_interval_s: float
    """Time between two readings of the metagraph."""
    wandb_mode: Literal["online", "offline", "disabled"]
    wandb_project: str
    wandb_entity: str | None
    wandb_notes: str | None
    metrics_host: str
    """Address that `/metrics` and `/healthz` are served on."""
    metrics_port: int | None
    """Its port; None to serve neither."""
    record_log: bool
    """Whether the log is also written to files, as lines of JSON."""
    logging_dir: Path
    """Where to."""

    @property
    def published_ip(self) -> str | None:
        """The address that others reach this axon at; None where nobody said it (the internet is never asked)."""
        if self.axon_external_ip is not None:
            return self.axon_external_ip
        if not ipaddress.ip_address(self.axon_ip).is_unspecified:
            return self.axon_ip
        return "127.0.0.1" if self.network in PRIVATE_NETWORKS else None


@dataclass(frozen=True, slots=True)
class MinerConfig(NeuronConfig):
    """What one miner process needs."""

    kinds: tuple[str, ...] | None
    """Kinds of task to take; None for all that the machine's models allow."""
    capacity: int | None
    """Tasks worked on at once; None for as many as the machine does in time, which is measured at the start."""
    concurrency: Mapping[str, int]
    """Most tasks of a kind at once, for kinds that have a limit of their own."""
    max_waiting: int
    """Direct requests that may wait behind the running ones; more get a busy answer."""
    min_stake: float
    """Least stake of a validator that the axon serves."""
    poll_wait_s: int
    """How long one claim waits at the proxy for work."""
    drop_words: float
    """Development only: the share of words that the miner leaves out, and by which its measurements are off."""

    @classmethod
    def from_args(cls, argv: Sequence[str], env: Mapping[str, str] = os.environ) -> Self:
        """The settings in `argv` (without the program's name) and `env`.

        Raises:
            SystemExit: With code 2 after one line about an unknown flag or an impossible value; with 0 after `--help`.
        """
        parser = _parser("miner.py", "Run a Violet miner: it works for the proxy and for validators.", env)
        work = parser.add_argument_group("work")
        _add(
            work,
            "--mine.kinds",
            _kinds,
            None,
            "KINDS",
            f"kinds of task to take, of {','.join(KINDS)} (all that the models on this machine allow)",
        )
        _add(work, "--capacity", _capacity, None, "N", "tasks at once, or auto: as many as are done in time (auto)")
        _add(
            work,
            "--concurrency",
            _concurrency,
            {},
            "KIND=N,..",
            "most tasks of a kind at once, such as synthesis=1,analysis=4 (--capacity)",
        )
        _add(work, "--axon.max_waiting", _number(int, 0, 1024), 8, "N", "direct requests that may wait (8)")
        _add(
            work,
            "--blacklist.min_stake",
            _number(float, 0, 1e12),
            0.0,
            "STAKE",
            "least stake of a validator that may call the axon (0: any with a permit)",
        )
        _add(work, "--poll.wait_s", _number(int, 1, 30), 20, "S", "seconds that one request for work waits (20)")
        develop = parser.add_argument_group("development (localnet and local only)")
        _add(
            develop,
            "--dev.drop_words",
            _number(float, 0, 1),
            0.0,
            "P",
            "play a bad miner: leave out this share of the words, and measure so wrongly, 0 to 1 (0)",
        )
        found = _read(parser, argv, env, "miner")
        if found["drop_words"] > 0 and found["network"] not in PRIVATE_NETWORKS:
            parser.error(f"argument --dev.drop_words: only for localnet and local, not for {found['network']}")
        return cls(**found)


@dataclass(frozen=True, slots=True)
class ValidatorConfig(NeuronConfig):
    """What one validator process needs."""

    challenge_dir: Path | None
    """Directory of clips with known transcripts; None for those that come with Violet."""
    challenge_manifest: Path | None
    """A dataset's manifest instead."""
    challenge_share: float
    """Share of the proxy's tasks that are challenges of validators."""
    challenge_api_key_file: Path | None
    """File with the key by which challenges are sent through the proxy; None where it asks for none."""
    challenge_interval_s: float
    """Time between two rounds of direct challenges."""
    query_timeout_s: float
    """Longest wait for a miner's direct answer."""
    poll_wait_s: int
    """How long one request for responses to judge waits at the proxy."""
    weights_interval_s: float
    """Least time between two settings of weights, besides the chain's own limit."""
    publish_axon: bool
    """Whether to publish the axon's address on chain."""

    @classmethod
    def from_args(cls, argv: Sequence[str], env: Mapping[str, str] = os.environ) -> Self:
        """The settings in `argv` (without the program's name) and `env`.

        Raises:
            SystemExit: With code 2 after one line about an unknown flag or an impossible value; with 0 after `--help`.
        """
        parser = _parser("validator.py", "Run a Violet validator: it judges miners and sets weights on chain.", env)
        work = parser.add_argument_group("work")
        _add(
            work,
            "--challenge.dir",
            _directory,
            None,
            "DIR",
            "clips with transcripts: NAME.wav (flac, mp3, ..) beside NAME.txt (those that come with Violet)",
        )
        _add(
            work,
            "--challenge.manifest",
            _file,
            None,
            "FILE",
            "a dataset's manifest instead: a JSON object a line with audio_filepath and text",
        )
        _add(
            work,
            "--challenge.share",
            _number(float, 0, 0.5),
            0.18,
            "P",
            "share of the proxy's tasks that validators send as challenges, all together (0.18)",
        )
        _add(
            work,
            "--challenge.api_key_file",
            _file,
            None,
            "FILE",
            "file with the key to send them with, where the proxy asks for one",
        )
        _add(
            work,
            "--challenge.interval_s",
            _number(float, 0.1, 86400),
            300.0,
            "S",
            "seconds between two rounds of direct challenges (300)",
        )
        _add(
            work,
            "--query.timeout_s",
            _number(float, 0.1, 600),
            30.0,
            "S",
            "longest wait for a miner's direct answer, seconds (30)",
        )
        _add(work, "--poll.wait_s", _number(int, 1, 30), 20, "S", "seconds that one request for work waits (20)")
        _add(
            work,
            "--weights.interval_s",
            _number(float, 0, 86400),
            0.0,
            "S",
            "least seconds between two settings of weights, besides the chain's limit (0)",
        )
        work.add_argument(
            "--axon.publish",
            dest="publish_axon",
            action="store_true",
            help="publish the axon's address on chain; a validator needs none",
        )
        found = _read(parser, argv, env, "validator")
        if found["challenge_dir"] is not None and found["challenge_manifest"] is not None:
            parser.error("argument --challenge.manifest: not together with --challenge.dir")
        return cls(**found)


def data_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Where Violet keeps state of this user (the XDG base directory specification)."""
    return Path(env.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "violet"


def neuron_dir(
    network: str, netuid: int, wallet_name: str, wallet_hotkey: str, role: str, env: Mapping[str, str] = os.environ
) -> Path:
    """Where a neuron keeps its state unless `--neuron.path` says otherwise."""
    return data_dir(env) / "neurons" / f"{network}-{netuid}" / f"{wallet_name}-{wallet_hotkey}" / role


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line that names the flag, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with the complaint."""
        print(f"{self.prog}: {message} (see --help)", file=sys.stderr)
        raise SystemExit(USAGE_EXIT_CODE)


type _Reader = Callable[[str], Any]


def _refuse(text: str, expected: str) -> NoReturn:
    message = f"got {text!r}; expected {expected}"
    raise argparse.ArgumentTypeError(message)


def _number(kind: type[int] | type[float], low: float, high: float) -> _Reader:
    """A reader of numbers in [low, high]."""

    def read(text: str) -> float:
        expected = f"{'an integer' if kind is int else 'a number'} from {low:g} to {high:g}"
        try:
            value = kind(text)
        except ValueError:
            _refuse(text, expected)
        return value if math.isfinite(value) and low <= value <= high else _refuse(text, expected)

    return read


def _one_of(*names: str) -> _Reader:
    return lambda text: text if text in names else _refuse(text, f"one of {', '.join(names)}")


def _kinds(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    is_known = all(name in KINDS for name in names)
    return names if is_known else _refuse(text, f"some of {','.join(KINDS)}, with commas between")


def _capacity(text: str) -> float | None:
    return None if text == "auto" else _number(int, 1, MAX_CAPACITY)(text)


def _concurrency(text: str) -> Mapping[str, int]:
    expected = f"KIND=N with commas between, of {','.join(KINDS)}, N from 1 to {MAX_CAPACITY}"
    found = {}
    for entry in text.split(","):
        kind, _, number = entry.strip().partition("=")
        if kind not in KINDS or kind in found or not number.isdecimal() or not 1 <= int(number) <= MAX_CAPACITY:
            _refuse(text, expected)
        found[kind] = int(number)
    return found


def _port(text: str) -> int:
    is_port = text.isdecimal() and int(text) in PORTS
    return int(text) if is_port else _refuse(text, f"a port from {PORTS.start} to {PORTS.stop - 1}")


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        _refuse(text, "an IP address (a name cannot be published on chain)")


def _url(*schemes: str) -> _Reader:
    def read(text: str) -> str:
        parts = urlsplit(text)
        is_address = parts.scheme in schemes and parts.hostname and not parts.query and not parts.fragment
        return text.rstrip("/") if is_address else _refuse(text, f"{'|'.join(schemes)}://host[:port]")

    return read


def _port_or_off(text: str) -> int | str:
    is_port = text.isdecimal() and int(text) < PORTS.stop
    return text if text == "off" else int(text) if is_port else _refuse(text, "a port, 0 for any free one, or off")


def _device(text: str) -> str:
    name, colon, index = text.partition(":")
    is_device = index.isdecimal() and name == "cuda" if colon else name in {"auto", "cpu", "cuda", "metal"}
    return text if is_device else _refuse(text, "auto, cpu, cuda, cuda:N or metal")


def _name(text: str) -> str:
    is_plain = bool(text) and "/" not in text and "\0" not in text and text not in {".", ".."}
    return text if is_plain else _refuse(text, "a name without slashes")


def _directory(text: str) -> Path:
    path = Path(text).expanduser()
    return path if path.is_dir() else _refuse(text, "a directory that exists")


def _file(text: str) -> Path:
    path = Path(text).expanduser()
    return path if path.is_file() else _refuse(text, "a file that exists")


def _path(text: str) -> Path:
    return Path(text).expanduser() if text else _refuse(text, "a directory")


ENVIRONMENT: Mapping[str, tuple[str, _Reader]] = {
    "netuid": ("BT_NETUID", _number(int, 0, 65535)),
    "network": ("BT_NETWORK", _one_of(*NETWORKS)),
    "chain_endpoint": ("BT_SUBTENSOR_CHAIN_ENDPOINT", _url("ws", "wss")),
    "proxy_url": ("VIOLET_PROXY_URL", _url("http", "https")),
    "wallet_name": ("BT_WALLET_NAME", _name),
    "wallet_hotkey": ("BT_WALLET_HOTKEY", _name),
    "wallet_path": ("BT_WALLET_PATH", _path),
    "wandb_mode": ("WANDB_MODE", _one_of(*WANDB_MODES)),
    "wandb_project": ("WANDB_PROJECT", _name),
    "wandb_entity": ("WANDB_ENTITY", _name),
}
"""The settings that the environment may give: variable and reader by setting. An empty variable counts as not set."""


def _setting(flag: str) -> str:
    """The setting that a flag gives: its name, without the group where that is no part of the meaning."""
    group, _, name = flag.removeprefix("--").partition(".")
    if flag == "--wandb.project_name":
        return "wandb_project"
    is_own_word = group in {"subtensor", "blacklist", "dev", "mine", "logging"} or name in {
        "max_waiting",
        "sync_interval_s",
    }
    return name if is_own_word else f"{group}_{name}".rstrip("_")


def _add(group: argparse._ArgumentGroup, flag: str, reader: _Reader, default: object, unit: str, text: str) -> None:
    group.add_argument(flag, dest=_setting(flag), type=reader, default=default, metavar=unit, help=text)


def _parser(program: str, description: str, env: Mapping[str, str]) -> Parser:
    """A parser with the flags of every neuron."""
    parser = Parser(
        prog=program,
        description=description,
        allow_abbrev=False,
        epilog="(x) is the default, [X] the environment variable that is used where the flag is not given.",
    )

    def add(group: argparse._ArgumentGroup, flag: str, unit: str, text: str) -> None:
        variable, reader = ENVIRONMENT[_setting(flag)]
        _add(group, flag, reader, None, unit, f"{text} [{variable}]")

    network = parser.add_argument_group("network")
    add(network, "--netuid", "N", "number of the subnet (49 on finney, 424 on test, 1 on localnet)")
    add(network, "--subtensor.network", "NAME", f"one of {', '.join(NETWORKS)} (finney)")
    add(network, "--subtensor.chain_endpoint", "URL", "address of a chain node, ws:// or wss:// (the network's own)")
    add(network, "--proxy.url", "URL", f"address of the proxy ({HOSTED_PROXY_URL}; {LOCAL_PROXY_URL} on localnet)")
    wallet = parser.add_argument_group("wallet")
    add(wallet, "--wallet.name", "NAME", "name of the wallet (default)")
    add(wallet, "--wallet.hotkey", "NAME", "name of its hotkey (default)")
    add(wallet, "--wallet.path", "DIR", f"directory of all wallets ({DEFAULT_WALLET_PATH})")
    axon = parser.add_argument_group("axon")
    _add(axon, "--axon.ip", _ip, ANY_IP, "IP", f"address to bind ({ANY_IP})")
    _add(axon, "--axon.port", _port, 8091, "PORT", "port to bind (8091)")
    _add(
        axon,
        "--axon.external_ip",
        _ip,
        None,
        "IP",
        "address to publish on chain, which others reach you at (the bound one; 127.0.0.1 on localnet)",
    )
    _add(axon, "--axon.external_port", _port, None, "PORT", "port to publish on chain (--axon.port)")
    model = parser.add_argument_group("model")
    _add(model, "--model", str, "tiny.en", "NAME", "name, directory or Hugging Face id of a Whisper model (tiny.en)")
    # An empty CUDA_VISIBLE_DEVICES (or -1) hides every GPU: a wish for the CPU.
    device = "cpu" if env.get("CUDA_VISIBLE_DEVICES") in {"", "-1"} else "auto"
    _add(
        model,
        "--device",
        _device,
        device,
        "DEVICE",
        "auto, cpu, cuda, cuda:N or metal (auto; cpu where CUDA_VISIBLE_DEVICES hides every GPU)",
    )
    running = parser.add_argument_group("running")
    _add(running, "--neuron.path", _path, None, "DIR", f"directory for its state ({data_dir(env)}/neurons/..)")
    _add(
        running,
        "--neuron.sync_interval_s",
        _number(float, 0.1, 3600),
        None,
        "S",
        "seconds between two readings of the metagraph (120; 2 on localnet)",
    )
    watching = parser.add_argument_group("watching")
    for level, text in LOG_LEVELS.items():
        watching.add_argument(f"--logging.{level}", dest="log_level", action="store_const", const=level, help=text)
    watching.add_argument(
        "--logging.record_log",
        dest="record_log",
        action="store_true",
        help="also write the log to files, as JSON lines",
    )
    _add(watching, "--logging.logging_dir", _path, None, "DIR", "where to (logs in --neuron.path)")
    _add(watching, "--metrics.host", _ip, "127.0.0.1", "IP", "address of /metrics and /healthz (127.0.0.1)")
    ports = ", ".join(f"{port} of a {role}" for role, port in METRICS_PORTS.items())
    _add(watching, "--metrics.port", _port_or_off, None, "PORT", f"its port, 0 for any free one, or off ({ports})")
    watching.add_argument("--wandb.off", dest="wandb_off", action="store_true", help="send nothing to Weights & Biases")
    watching.add_argument("--wandb.offline", dest="wandb_offline", action="store_true", help="write runs for later")
    _add(
        watching,
        "--wandb.project_name",
        _name,
        None,
        "NAME",
        f"send metrics to this project ({WANDB_PROJECT}; without a flag or WANDB_MODE nothing is sent) [WANDB_PROJECT]",
    )
    _add(watching, "--wandb.entity", _name, None, "NAME", "of this user or team [WANDB_ENTITY]")
    _add(watching, "--wandb.notes", str, None, "TEXT", "what to say about the run")
    return parser


def _read(parser: Parser, argv: Sequence[str], env: Mapping[str, str], role: str) -> dict[str, Any]:
    """The settings by name: flags first, then the environment, then what follows from the network."""
    found = vars(parser.parse_args(argv))
    _read_wandb(parser, found)
    for setting, (variable, reader) in ENVIRONMENT.items():
        if found.get(setting) is None and env.get(variable):
            try:
                found[setting] = reader(env[variable])
            except argparse.ArgumentTypeError as error:
                parser.error(f"environment variable {variable}: {error}")
    network = found["network"] = found.get("network") or "finney"
    is_private = network in PRIVATE_NETWORKS
    if found["netuid"] is None and network not in DEFAULT_NETUID:
        parser.error(f"argument --netuid: needed on {network}, whose subnets have no fixed numbers")
    defaults = {
        "netuid": DEFAULT_NETUID.get(network),
        "proxy_url": LOCAL_PROXY_URL if is_private else HOSTED_PROXY_URL,
        "wallet_name": "default",
        "wallet_hotkey": "default",
        "wallet_path": DEFAULT_WALLET_PATH.expanduser(),
        "wandb_mode": "disabled",
        "wandb_project": WANDB_PROJECT,
        "metrics_port": METRICS_PORTS[role],
        "log_level": "info",
        "sync_interval_s": 2.0 if network == LOCALNET else 120.0,
        "axon_external_port": found["axon_port"],
    }
    found |= {setting: value for setting, value in defaults.items() if found.get(setting) is None}
    if found["neuron_path"] is None:
        found["neuron_path"] = neuron_dir(
            network, found["netuid"], found["wallet_name"], found["wallet_hotkey"], role, env
        )
    if found["metrics_port"] == "off":
        found["metrics_port"] = None
    found["logging_dir"] = found["logging_dir"] or found["neuron_path"] / "logs"
    return found


def _read_wandb(parser: Parser, found: dict[str, Any]) -> None:
    """What the flags say about Weights & Biases; a project's name is a wish for it."""
    is_off, is_offline = found.pop("wandb_off"), found.pop("wandb_offline")
    if is_off and is_offline:
        parser.error("argument --wandb.off: not together with --wandb.offline")
    wished = "online" if found["wandb_project"] is not None else None
    found["wandb_mode"] = "disabled" if is_off else "offline" if is_offline else wished
