"""The neurons' settings: flag > environment > default, and one line for a wrong one."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from violet.config import HOSTED_PROXY_URL, LOCAL_PROXY_URL, MinerConfig, ValidatorConfig

DOCUMENTED = (
    "--netuid 49 --subtensor.network finney --wallet.name w --wallet.hotkey h --logging.debug --axon.ip 0.0.0.0 "
    "--axon.port 8091 --axon.external_ip 8.8.8.8 --axon.external_port 8092 --proxy.url http://10.0.0.1:9"
)


@pytest.mark.parametrize("read", [MinerConfig.from_args, ValidatorConfig.from_args], ids=["miner", "validator"])
def test_every_documented_flag_is_taken(read: Callable[..., MinerConfig | ValidatorConfig]) -> None:
    config = read(DOCUMENTED.split(), {})
    assert (config.netuid, config.network, config.wallet_name, config.wallet_hotkey) == (49, "finney", "w", "h")
    assert (config.axon_ip, config.axon_port) == ("0.0.0.0", 8091)
    assert (config.axon_external_ip, config.axon_external_port) == ("8.8.8.8", 8092)
    assert (config.proxy_url, config.log_level) == ("http://10.0.0.1:9", "debug")


ENV = {
    "BT_NETUID": "424", "BT_NETWORK": "test", "BT_WALLET_NAME": "w", "BT_WALLET_HOTKEY": "h",
    "BT_WALLET_PATH": "/wallets", "VIOLET_PROXY_URL": "https://p.example/", "WANDB_MODE": "offline",
    "CUDA_VISIBLE_DEVICES": "",
}  # fmt: skip


def test_the_environment_fills_what_no_flag_says() -> None:
    config = MinerConfig.from_args([], ENV)
    assert (config.netuid, config.network, config.wallet_name, config.wallet_hotkey) == (424, "test", "w", "h")
    assert (config.wallet_path, config.proxy_url) == (Path("/wallets"), "https://p.example")
    assert (config.wandb_mode, config.device) == ("offline", "cpu")


def test_a_flag_wins_over_the_environment() -> None:
    config = MinerConfig.from_args(["--netuid=7", "--subtensor.network=localnet", "--device=cuda:1"], ENV)
    assert (config.netuid, config.network, config.device) == (7, "localnet", "cuda:1")


def test_kinds_are_those_of_the_machine_unless_they_are_named() -> None:
    assert MinerConfig.from_args([], {}).kinds is None
    assert MinerConfig.from_args(["--mine.kinds", "analysis, transcription,analysis"], {}).kinds == (
        "analysis",
        "transcription",
    )


@pytest.mark.parametrize(
    ("flags", "env", "mode"),
    [
        pytest.param("", {}, "disabled", id="nothing is sent unasked"),
        pytest.param("--wandb.project_name audio", {}, "online", id="a project is a wish"),
        pytest.param("--wandb.offline", {}, "offline", id="offline"),
        pytest.param("--wandb.offline", {"WANDB_MODE": "online"}, "offline", id="flag over environment"),
        pytest.param("--wandb.off --wandb.project_name audio", {"WANDB_MODE": "online"}, "disabled", id="off"),
        pytest.param("", {"WANDB_MODE": "online"}, "online", id="environment"),
    ],
)
def test_where_metrics_are_sent(flags: str, env: dict[str, str], mode: str) -> None:
    assert ValidatorConfig.from_args(flags.split(), env).wandb_mode == mode


def test_what_is_said_of_a_run_and_where_it_is_served() -> None:
    flags = "--wandb.entity team --wandb.notes test --metrics.port off --logging.record_log --neuron.path /state"
    config = MinerConfig.from_args(flags.split(), {"WANDB_PROJECT": "audio"})
    assert (config.wandb_project, config.wandb_entity, config.wandb_notes) == ("audio", "team", "test")
    assert (config.metrics_host, config.metrics_port) == ("127.0.0.1", None)
    assert (config.record_log, config.logging_dir) == (True, Path("/state/logs"))
    assert MinerConfig.from_args([], {}).metrics_port == 9191
    assert ValidatorConfig.from_args(["--metrics.port", "0"], {}).metrics_port == 0


def test_capacity_is_measured_unless_it_is_given() -> None:
    assert MinerConfig.from_args([], {}).capacity is None
    assert MinerConfig.from_args(["--capacity", "auto"], {}).capacity is None
    config = MinerConfig.from_args(["--capacity", "4", "--concurrency", "synthesis=1, analysis=3"], {})
    assert (config.capacity, config.concurrency) == (4, {"synthesis": 1, "analysis": 3})


def test_challenges_are_of_one_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("")
    flags = ["--challenge.manifest", str(manifest)]
    assert ValidatorConfig.from_args(flags, {}).challenge_manifest == manifest
    with pytest.raises(SystemExit):
        ValidatorConfig.from_args([*flags, "--challenge.dir", str(tmp_path)], {})
    assert "--challenge.manifest: not together with --challenge.dir" in capsys.readouterr().err


def test_an_empty_variable_counts_as_not_set() -> None:
    assert MinerConfig.from_args([], {"BT_NETUID": "", "VIOLET_PROXY_URL": ""}).netuid == 49


@pytest.mark.parametrize(
    ("network", "netuid", "proxy", "published"),
    [
        pytest.param("finney", 49, HOSTED_PROXY_URL, None, id="mainnet"),
        pytest.param("test", 424, HOSTED_PROXY_URL, None, id="testnet"),
        pytest.param("localnet", 1, LOCAL_PROXY_URL, "127.0.0.1", id="localnet"),
    ],
)
def test_each_network_has_its_defaults(network: str, netuid: int, proxy: str, published: str | None) -> None:
    config = ValidatorConfig.from_args(["--subtensor.network", network], {})
    assert (config.netuid, config.proxy_url, config.published_ip) == (netuid, proxy, published)


@pytest.mark.parametrize(
    ("arguments", "env", "named"),
    [
        pytest.param("--bogus", {}, "--bogus", id="unknown-flag"),
        pytest.param("--net 49", {}, "--net", id="abbreviated-flag"),
        pytest.param("--netuid forty", {}, "--netuid", id="not-a-number"),
        pytest.param("--netuid -1", {}, "--netuid", id="negative-netuid"),
        pytest.param("--subtensor.network mainnet", {}, "--subtensor.network", id="unknown-network"),
        pytest.param("--subtensor.network local", {}, "--netuid", id="local-needs-a-netuid"),
        pytest.param("--subtensor.chain_endpoint http://x", {}, "--subtensor.chain_endpoint", id="endpoint-not-ws"),
        pytest.param("--axon.port 1024", {}, "--axon.port", id="port-too-low"),
        pytest.param("--axon.port 65535", {}, "--axon.port", id="port-too-high"),
        pytest.param("--axon.external_ip example.com", {}, "--axon.external_ip", id="name-instead-of-ip"),
        pytest.param("--proxy.url ftp://x", {}, "--proxy.url", id="proxy-not-http"),
        pytest.param("--wallet.name ../x", {}, "--wallet.name", id="wallet-name-with-a-slash"),
        pytest.param("--device gpu", {}, "--device", id="unknown-device"),
        pytest.param("--device cuda:", {}, "--device", id="device-without-an-index"),
        pytest.param("--capacity 0", {}, "--capacity", id="no-capacity"),
        pytest.param("--blacklist.min_stake nan", {}, "--blacklist.min_stake", id="nan"),
        pytest.param("--capacity many", {}, "--capacity", id="capacity-not-a-number"),
        pytest.param("--concurrency singing=1", {}, "--concurrency", id="concurrency-of-an-unknown-kind"),
        pytest.param("--concurrency synthesis=0", {}, "--concurrency", id="no-concurrency"),
        pytest.param("--concurrency synthesis=1,synthesis=2", {}, "--concurrency", id="concurrency-twice"),
        pytest.param("--metrics.port 70000", {}, "--metrics.port", id="metrics-port-too-high"),
        pytest.param("--metrics.host localhost", {}, "--metrics.host", id="metrics-host-a-name"),
        pytest.param("--wandb.off --wandb.offline", {}, "--wandb.off", id="wandb-off-and-offline"),
        pytest.param("--wandb.project_name a/b", {}, "--wandb.project_name", id="wandb-project-with-a-slash"),
        pytest.param("--mine.kinds transcription,singing", {}, "--mine.kinds", id="unknown-kind"),
        pytest.param("--dev.drop_words 1.5", {}, "--dev.drop_words", id="share-above-one"),
        pytest.param("--dev.drop_words 0.5", {}, "--dev.drop_words", id="bad-on-purpose-on-mainnet"),
        pytest.param("", {"BT_NETUID": "x"}, "BT_NETUID", id="bad-environment"),
        pytest.param("", {"BT_NETWORK": "x"}, "BT_NETWORK", id="bad-network-in-environment"),
        pytest.param("", {"WANDB_MODE": "loud"}, "WANDB_MODE", id="bad-wandb-mode"),
    ],
)
def test_an_impossible_setting_is_one_line_that_names_it(
    arguments: str, env: dict[str, str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        MinerConfig.from_args(arguments.split(), env)
    said = capsys.readouterr().err
    assert exit_.value.code == 2
    assert named in said
    assert said.count("\n") == 1


def test_a_missing_challenge_directory_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ValidatorConfig.from_args(["--challenge.dir", "/does/not/exist"], {})
    assert "--challenge.dir: got '/does/not/exist'" in capsys.readouterr().err


def test_help_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        MinerConfig.from_args(["--help"], {})
    assert exit_.value.code == 0
    said = capsys.readouterr().out
    for flag in DOCUMENTED.split()[::2]:
        assert not flag.startswith("--") or flag in said
    assert "BT_NETUID" in said


def test_settings_cannot_change() -> None:
    config = MinerConfig.from_args([], {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.netuid = 1  # type: ignore[misc]


def test_state_of_two_neurons_never_shares_a_directory() -> None:
    env = {"XDG_DATA_HOME": "/data"}
    first = MinerConfig.from_args(["--wallet.hotkey", "a"], env).neuron_path
    assert first == Path("/data/violet/neurons/finney-49/default-a/miner")
    others = [
        MinerConfig.from_args(["--wallet.hotkey", "b"], env),
        ValidatorConfig.from_args(["--wallet.hotkey", "a"], env),
    ]
    assert first not in {config.neuron_path for config in others}
