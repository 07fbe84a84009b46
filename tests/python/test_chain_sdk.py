"""The adapter over the SDK, against the SDK's own types: stubs take only the calls that the real `Subtensor` takes."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any
from unittest.mock import Mock, create_autospec

import pytest
from bittensor.core.chain_data import AxonInfo, MetagraphInfo
from bittensor.core.errors import ChainConnectionError
from bittensor.core.errors import NotRegisteredError as SdkNotRegisteredError
from bittensor.core.extrinsics.serving import serve_extrinsic
from bittensor.core.subtensor import Subtensor
from bittensor.core.types import ExtrinsicResponse
from bittensor_wallet import Wallet

from fixtures.subnet import axon, metagraph_record
from violet.chain import Chain, Hotkey
from violet.chain import sdk as sdk_module
from violet.chain.sdk import SdkChain, to_metagraph
from violet.errors import ChainError, ChainUnreachableError, NoPermitError, NotRegisteredError, WeightsTooSoonError
from violet.wallet import create_wallet


def chain_answer() -> dict[str, Any]:
    """What the runtime call `get_selective_mechagraph` decodes to, for three neurons."""
    lists = {"identities", "active", "pruning_score", "trust", "rank", "block_at_registration"}
    nothing: dict[str, Any] = {field.name: [] if field.name in lists else 0 for field in fields(MetagraphInfo)}
    optional = dict.fromkeys(("identity", "moving_price", "alpha_stake", "tao_stake", "commitments", "validators"))
    dividends: dict[str, Any] = {"tao_dividends_per_hotkey": [], "alpha_dividends_per_hotkey": []}
    return nothing | optional | dividends | metagraph_record()


@pytest.fixture(scope="module")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return create_wallet("w", "h", tmp_path_factory.mktemp("wallets"))


@pytest.fixture
def subtensor() -> Mock:
    """A node on which this hotkey is uid 1, at block 1000, and may set weights."""
    stub: Mock = create_autospec(Subtensor, instance=True)
    stub.subnet_exists.return_value = True
    stub.get_current_block.return_value = 1000
    stub.get_uid_for_hotkey_on_subnet.return_value = 1
    stub.tempo.return_value = 360
    stub.blocks_until_next_epoch.return_value = 42
    stub.blocks_since_last_update.return_value = 101
    stub.weights_rate_limit.return_value = 100
    stub.min_allowed_weights.return_value = 1
    stub.set_weights.return_value = ExtrinsicResponse(True, "Success", "set_weights")
    return stub


@pytest.fixture
def chain(subtensor: Mock, wallet: Wallet) -> Iterator[SdkChain]:
    chain = SdkChain(lambda: subtensor, "finney", 49, wallet, timeout_s=5)
    yield chain
    chain.close()


def test_the_sdks_metagraph_becomes_ours() -> None:
    metagraph = to_metagraph(MetagraphInfo.from_dict(chain_answer()), "finney")
    assert (metagraph.netuid, metagraph.network, metagraph.block, metagraph.tempo) == (49, "finney", 7_000_000, 360)
    assert metagraph.owner_uid == 0
    owner, validator, miner = metagraph.neurons
    assert (owner.ip, owner.is_serving) == ("0.0.0.0", False)
    assert (validator.hotkey, validator.coldkey, validator.stake) == ("5Validator", "5b", 2500.0)
    assert (validator.ip, validator.port, validator.validator_permit) == ("8.8.4.4", 8091, True)
    assert (validator.dividends, validator.emission, validator.last_update) == (1.0, 41.0, 6_999_900)
    assert (miner.ip, miner.port, miner.stake, miner.incentive) == ("2001:db8::1", 8092, 0.5, 1.0)
    assert miner.consensus == pytest.approx(0.2)
    assert metagraph.by_hotkey[Hotkey("5Miner")] == miner
    assert abs(metagraph.synced_at_ms / 1000 - time.time()) < 60


@pytest.mark.parametrize(
    ("published", "ip"),
    [
        pytest.param(axon(1 << 40, 8091), "0.0.0.0", id="not-an-ipv4-address"),
        pytest.param(axon(1 << 130, 8091, ip_type=6), "0.0.0.0", id="not-an-ipv6-address"),
        pytest.param(AxonInfo(1, "1.2.3.4", 8091, 4, "5Miner", "5c"), "1.2.3.4", id="an-axon-info"),
    ],
)
def test_what_anybody_may_publish_breaks_nothing(published: object, ip: str) -> None:
    answer = chain_answer()
    answer["axons"][2] = published
    assert to_metagraph(MetagraphInfo.from_dict(answer), "finney").neurons[2].ip == ip


def test_the_chain_is_read_through_the_sdk(chain: SdkChain, subtensor: Mock) -> None:
    subtensor.get_metagraph_info.return_value = MetagraphInfo.from_dict(chain_answer())
    as_protocol: Chain = chain
    assert (as_protocol.network, as_protocol.netuid, as_protocol.block_time_s) == ("finney", 49, 12.0)
    assert as_protocol.block() == 1000
    assert len(as_protocol.metagraph().neurons) == 3
    epoch = as_protocol.epoch()
    assert (epoch.block, epoch.tempo, epoch.blocks_until_next_epoch) == (1000, 360, 42)
    assert (epoch.blocks_since_last_update, epoch.weights_rate_limit, epoch.blocks_until_weights) == (101, 100, 0)


def test_weights_go_through_the_sdk(chain: SdkChain, subtensor: Mock, wallet: Wallet) -> None:
    chain.set_weights([2, 3], [0.75, 0.25])
    (call,) = subtensor.set_weights.call_args_list
    assert call.kwargs["netuid"] == 49
    assert (call.kwargs["uids"], call.kwargs["weights"]) == ([2, 3], [0.75, 0.25])
    assert call.kwargs["wallet"] is wallet


def test_an_axon_goes_through_the_sdk(chain: SdkChain, subtensor: Mock, monkeypatch: pytest.MonkeyPatch) -> None:
    serve: Mock = create_autospec(serve_extrinsic, return_value=ExtrinsicResponse(True, "", "serve"))
    monkeypatch.setattr(sdk_module, "serve_extrinsic", serve)
    chain.serve("8.8.4.4", 8091)
    (call,) = serve.call_args_list
    assert (call.kwargs["ip"], call.kwargs["port"], call.kwargs["netuid"]) == ("8.8.4.4", 8091, 49)
    assert call.kwargs["subtensor"] is subtensor


def test_weights_too_soon_are_not_even_sent(chain: SdkChain, subtensor: Mock) -> None:
    subtensor.blocks_since_last_update.return_value = 60
    with pytest.raises(WeightsTooSoonError) as refused:
        chain.set_weights([2], [1.0])
    assert refused.value.blocks_to_wait == 41
    subtensor.set_weights.assert_not_called()


def test_too_few_weights_are_not_even_sent(chain: SdkChain, subtensor: Mock) -> None:
    subtensor.min_allowed_weights.return_value = 3
    with pytest.raises(ChainError, match="wants at least 3"):
        chain.set_weights([2, 3], [0.5, 0.5])
    subtensor.set_weights.assert_not_called()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param("Subtensor returned `NeuronNoValidatorPermit (Module)` error.", NoPermitError, id="no-permit"),
        pytest.param("`NotEnoughStakeToSetWeights` error", NoPermitError, id="too-little-stake"),
        pytest.param("`SettingWeightsTooFast` error", WeightsTooSoonError, id="too-fast"),
        pytest.param("`CommittingWeightsTooFast` error", WeightsTooSoonError, id="commit-too-fast"),
        pytest.param("Hotkey 5F not registered in subnet 49.", NotRegisteredError, id="not-registered"),
        pytest.param("`HotKeyNotRegisteredInSubNet` error", NotRegisteredError, id="not-registered-on-chain"),
        pytest.param("Something\nelse", ChainError, id="anything-else"),
        pytest.param(None, ChainError, id="no-reason"),
    ],
)
def test_a_refusal_of_the_chain_has_a_class(
    chain: SdkChain, subtensor: Mock, said: str | None, expected: type[Exception]
) -> None:
    subtensor.set_weights.return_value = ExtrinsicResponse(False, said, "set_weights")
    with pytest.raises(expected) as refused:
        chain.set_weights([2], [1.0])
    assert type(refused.value) is expected
    assert "\n" not in str(refused.value)


def test_a_hotkey_without_a_uid_is_told_how_to_get_one(chain: SdkChain, subtensor: Mock) -> None:
    subtensor.get_uid_for_hotkey_on_subnet.return_value = None
    calls: list[Callable[[], object]] = [
        chain.epoch, lambda: chain.serve("8.8.4.4", 8091), lambda: chain.set_weights([2], [1.0]),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(NotRegisteredError, match="btcli subnets register --netuid 49 --network finney"):
            call()


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        pytest.param(ConnectionRefusedError("refused"), ChainUnreachableError, id="refused"),
        pytest.param(TimeoutError(), ChainUnreachableError, id="timed-out"),
        pytest.param(ChainConnectionError("gone"), ChainUnreachableError, id="sdk-connection"),
        pytest.param(SdkNotRegisteredError("x"), NotRegisteredError, id="sdk-not-registered"),
        pytest.param(ValueError("line one\nline two"), ChainError, id="anything-else"),
    ],
)
def test_an_exception_of_the_sdk_has_a_class(
    chain: SdkChain, subtensor: Mock, raised: Exception, expected: type[Exception]
) -> None:
    subtensor.get_current_block.side_effect = raised
    with pytest.raises(expected) as found:
        chain.block()
    assert "\n" not in str(found.value)


def test_a_node_that_hangs_is_given_up_and_connected_to_anew(subtensor: Mock, wallet: Wallet) -> None:
    hang = threading.Event()
    hanging: Mock = create_autospec(Subtensor, instance=True)
    hanging.get_current_block.side_effect = lambda: hang.wait(30)
    connections = [hanging, subtensor]
    chain = SdkChain(lambda: connections.pop(0), "finney", 49, wallet, timeout_s=0.2)
    started = time.monotonic()
    with pytest.raises(ChainUnreachableError, match=r"did not answer within 0\.2 s"):
        chain.block()
    assert time.monotonic() - started < 5
    assert chain.block() == 1000
    # The thread that hangs must not keep the neuron from ending.
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "chain")
    hang.set()
    chain.close()


def test_a_subnet_that_does_not_exist_is_named(
    subtensor: Mock, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    subtensor.subnet_exists.return_value = False
    monkeypatch.setattr(sdk_module, "Subtensor", create_autospec(Subtensor, return_value=subtensor))
    with pytest.raises(ChainError, match="there is no subnet 49 on finney"):
        SdkChain.connect("finney", 49, wallet)


def test_an_endpoint_wins_over_the_networks_own(
    subtensor: Mock, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: Mock = create_autospec(Subtensor, return_value=subtensor)
    monkeypatch.setattr(sdk_module, "Subtensor", made)
    SdkChain.connect("finney", 49, wallet, chain_endpoint="ws://10.0.0.1:9944").close()
    made.assert_called_once_with(network="ws://10.0.0.1:9944")


def test_a_connection_without_a_wallet_only_reads(subtensor: Mock) -> None:
    chain = SdkChain(lambda: subtensor, "finney", 49, None, timeout_s=5)
    assert chain.block() == 1000
    with pytest.raises(ChainError, match="only reads"):
        chain.set_weights([1], [1.0])
    chain.close()


def test_nobody_home_is_said_in_one_line(tmp_path: Path) -> None:
    """A real `Subtensor`, and a port where nothing listens."""
    with pytest.raises(ChainUnreachableError) as found:
        SdkChain.connect("local", 1, None, chain_endpoint="ws://127.0.0.1:9", timeout_s=20)
    assert "\n" not in str(found.value)
