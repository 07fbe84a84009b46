"""The adapter over SDK 11, through the SDK's real client, on a node in memory."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import bittensor
import pytest
from bittensor.error_map import NAME_TO_CODE
from bittensor.result import chain_error_from_substrate_request
from bittensor_wallet import Wallet

from fixtures.subnet import NETUID, RAO, U16, axon, metagraph_record
from sdk11_node import Node, differences
from violet.chain import Chain, Hotkey, connect, sdk11
from violet.chain.sdk11 import Sdk11Chain, to_metagraph, version_number
from violet.errors import ChainError, ChainUnreachableError, NoPermitError, NotRegisteredError, WeightsTooSoonError
from violet.wallet import create_wallet


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK keeps the subnets' symbols in a file of the user's, unless it is told another."""
    monkeypatch.setenv("BTCLI_TOKEN_SYMBOLS_CACHE", str(tmp_path / "symbols.json"))


@pytest.fixture(scope="module")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return create_wallet("w", "h", tmp_path_factory.mktemp("wallets"))


@pytest.fixture
def node(wallet: Wallet) -> Node:
    return Node(wallet.hotkey.ss58_address)


def client(node: Node) -> bittensor.Subtensor:
    return bittensor.Subtensor("finney", substrate=node)


@pytest.fixture
def chain(node: Node, wallet: Wallet) -> Iterator[Sdk11Chain]:
    chain = Sdk11Chain(lambda: client(node), "finney", NETUID, wallet, timeout_s=20)
    yield chain
    chain.close()


def sent(node: Node) -> dict[str, object]:
    """The arguments of the one call that was submitted."""
    (call,) = node.sent
    return {"function": f"{call.module}.{call.function}", **call.params}


def test_the_node_in_memory_takes_what_the_sdk_gives() -> None:
    assert differences() == []


def test_the_chains_record_becomes_our_metagraph() -> None:
    metagraph = to_metagraph(metagraph_record(), "finney")
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


def test_it_is_what_the_sdk_makes_of_the_same_record(chain: Sdk11Chain, node: Node) -> None:
    """The SDK's own reading of units and names, where it can read the record at all."""
    record = metagraph_record() | {"last_step": 1, "blocks_since_last_step": 1, "owner_coldkey": "5a"}
    node.runtime["SubnetInfoRuntimeApi", "get_metagraph"] = record | {"network_registered_at": 1}
    theirs = client(node).subnets.metagraph(NETUID, commitments=False)
    ours = chain.metagraph()
    assert (theirs.block, theirs.tempo, theirs.owner_hotkey) == (ours.block, ours.tempo, ours.neurons[0].hotkey)
    for their, our in zip(theirs.neurons, ours.neurons, strict=True):
        assert (their.uid, their.hotkey, their.coldkey) == (our.uid, our.hotkey, our.coldkey)
        assert (their.validator_permit, their.last_update) == (our.validator_permit, our.last_update)
        assert (their.total_stake.amount, their.emission.amount) == (our.stake, our.emission)
        assert (their.incentive, their.dividends, their.consensus) == (our.incentive, our.dividends, our.consensus)
        host = f"[{our.ip}]" if ":" in our.ip else our.ip
        assert their.axon == (f"{host}:{our.port}" if our.is_serving else None)


@pytest.mark.parametrize("published", [axon(1 << 40, 8091), axon(1 << 130, 8091, ip_type=6)])
def test_what_anybody_may_publish_breaks_nothing(chain: Sdk11Chain, node: Node, published: dict[str, int]) -> None:
    node.runtime["SubnetInfoRuntimeApi", "get_metagraph"]["axons"][2] = published
    assert chain.metagraph().neurons[2].ip == "0.0.0.0"


def test_the_chain_is_read_through_the_sdk(chain: Sdk11Chain) -> None:
    as_protocol: Chain = chain
    assert (as_protocol.network, as_protocol.netuid, as_protocol.block_time_s) == ("finney", 49, 12.0)
    assert (as_protocol.block(), as_protocol.block_hash()) == (1000, "0xhead")
    assert len(as_protocol.metagraph().neurons) == 3
    epoch = as_protocol.epoch()
    assert (epoch.block, epoch.tempo, epoch.blocks_until_next_epoch) == (1000, 360, 42)
    assert (epoch.blocks_since_last_update, epoch.weights_rate_limit, epoch.blocks_until_weights) == (101, 100, 0)


def test_a_subnet_without_epochs_still_has_a_place_in_one(chain: Sdk11Chain, node: Node) -> None:
    node.runtime["SubnetInfoRuntimeApi", "get_next_epoch_start_block"] = None
    node.storage["SubtensorModule", "Tempo"] = 0
    assert (chain.epoch().tempo, chain.epoch().blocks_until_next_epoch) == (0, 0)


def test_weights_go_out_in_plain_text_where_the_subnet_wants_no_secret(chain: Sdk11Chain, node: Node) -> None:
    chain.set_weights([2, 3], [0.75, 0.25])
    assert sent(node) == {
        "function": "SubtensorModule.set_mechanism_weights", "netuid": NETUID, "mecid": 0, "dests": [2, 3],
        "weights": [U16, U16 // 3], "version_key": version_number(),
    }  # fmt: skip


def test_weights_go_out_encrypted_where_the_subnet_reveals_them_later(chain: Sdk11Chain, node: Node) -> None:
    node.storage["SubtensorModule", "CommitRevealWeightsEnabled"] = True
    chain.set_weights([2, 3], [0.75, 0.25])
    found = sent(node)
    assert found["function"] == "SubtensorModule.commit_timelocked_mechanism_weights"
    assert (found["netuid"], found["mecid"]) == (NETUID, 0)
    assert isinstance(found["reveal_round"], int)
    assert found["reveal_round"] > 0
    assert isinstance(found["commit"], bytes)
    assert len(found["commit"]) > 100


def test_the_sdks_version_goes_with_weights_as_a_number() -> None:
    assert version_number() // 1_000_000 == 11


@pytest.mark.parametrize(("version", "number"), [("11.3.0", 11_003_000), ("11.12.1rc2", 11_012_001)])
def test_a_version_is_a_number(monkeypatch: pytest.MonkeyPatch, version: str, number: int) -> None:
    monkeypatch.setattr(bittensor, "__version__", version)
    assert version_number() == number


def test_weights_too_soon_are_not_even_sent(chain: Sdk11Chain, node: Node) -> None:
    node.storage["SubtensorModule", "LastUpdate"] = [0, 940, 0]
    with pytest.raises(WeightsTooSoonError) as refused:
        chain.set_weights([2], [1.0])
    assert refused.value.blocks_to_wait == 41
    assert node.sent == []


def test_too_few_weights_are_not_even_sent(chain: Sdk11Chain, node: Node) -> None:
    node.storage["SubtensorModule", "MinAllowedWeights"] = 3
    with pytest.raises(ChainError, match="wants at least 3"):
        chain.set_weights([2, 3], [0.5, 0.5])
    assert node.sent == []


def test_weights_that_are_nothing_are_refused_in_one_line(chain: Sdk11Chain, node: Node) -> None:
    with pytest.raises(ChainError, match="All weights are zero"):
        chain.set_weights([2, 3], [0.0, 0.0])
    assert node.sent == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NeuronNoValidatorPermit", NoPermitError),
        ("NotEnoughStakeToSetWeights", NoPermitError),
        ("SettingWeightsTooFast", WeightsTooSoonError),
        ("CommittingWeightsTooFast", WeightsTooSoonError),
        ("HotKeyNotRegisteredInSubNet", NotRegisteredError),
        ("IncorrectWeightVersionKey", ChainError),
    ],
)
def test_a_refusal_of_the_chain_has_a_class(
    chain: Sdk11Chain, node: Node, name: str, expected: type[Exception]
) -> None:
    assert name in NAME_TO_CODE, "a name of the chain that the SDK knows"
    node.answer = bittensor.ExtrinsicResult(success=False, error=bittensor.ChainError("said\nso", name))
    with pytest.raises(expected) as refused:
        chain.set_weights([2], [1.0])
    assert type(refused.value) is expected
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("number", "expected"), [(1, NoPermitError), (6, WeightsTooSoonError), (19, NotRegisteredError)]
)
def test_a_refusal_of_the_node_before_any_block_has_the_same_class(
    chain: Sdk11Chain, node: Node, number: int, expected: type[Exception]
) -> None:
    error = chain_error_from_substrate_request(Exception(f"Invalid Transaction: Custom error: {number}"))
    node.answer = bittensor.ExtrinsicResult(success=False, error=error)
    with pytest.raises(expected):
        chain.set_weights([2], [1.0])


def test_a_refusal_without_a_name_is_told_in_its_own_words(chain: Sdk11Chain, node: Node) -> None:
    node.answer = bittensor.ExtrinsicResult(success=False, message="the pool\nis full")
    with pytest.raises(ChainError, match="setting weights: finney refused: the pool is full"):
        chain.set_weights([2], [1.0])


def test_a_hotkey_that_lost_its_place_while_weights_were_made_is_told_so(chain: Sdk11Chain, node: Node) -> None:
    """The SDK looks once more before it signs."""
    node.storage["SubtensorModule", "Uids"] = iter([1, None])
    with pytest.raises(NotRegisteredError):
        chain.set_weights([2], [1.0])
    assert node.sent == []


def test_an_address_is_published_once(chain: Sdk11Chain, node: Node) -> None:
    chain.serve("8.8.4.4", 8091)
    found = sent(node)
    assert found["function"] == "SubtensorModule.serve_axon"
    assert (found["netuid"], found["ip"], found["ip_type"], found["port"]) == (NETUID, 0x0808_0404, 4, 8091)
    assert found["protocol"] == 4
    node.storage["SubtensorModule", "Axons"] = axon(0x0808_0404, 8091)
    chain.serve("8.8.4.4", 8091)
    assert len(node.sent) == 1
    chain.serve("2001:db8::1", 8091)
    assert node.sent[1].params["ip_type"] == 6


def test_an_address_that_is_published_too_soon_is_no_matter_of_weights(chain: Sdk11Chain, node: Node) -> None:
    error = bittensor.ChainError("wait", "ServingRateLimitExceeded")
    node.answer = bittensor.ExtrinsicResult(success=False, error=error)
    with pytest.raises(ChainError, match=r"publishing the axon 8\.8\.4\.4:8091: finney refused: Serving") as refused:
        chain.serve("8.8.4.4", 8091)
    assert type(refused.value) is ChainError


def test_a_hotkey_without_a_uid_is_told_how_to_get_one(chain: Sdk11Chain, node: Node) -> None:
    node.storage["SubtensorModule", "Uids"] = None
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
        pytest.param(bittensor.RpcConnectionError("gone"), ChainUnreachableError, id="sdk-connection"),
        pytest.param(bittensor.RpcPolicyError("too many"), ChainUnreachableError, id="sdk-policy"),
        pytest.param(bittensor.ChainError("line one\nline two"), ChainError, id="sdk-chain"),
        pytest.param(ValueError("line one\nline two"), ChainError, id="anything-else"),
    ],
)
def test_an_exception_of_the_sdk_has_a_class(
    chain: Sdk11Chain, node: Node, raised: Exception, expected: type[Exception]
) -> None:
    async def fail() -> None:
        raise raised

    node.failure = fail
    with pytest.raises(expected) as found:
        chain.block()
    assert type(found.value) is expected
    assert "\n" not in str(found.value)


def test_a_node_that_hangs_is_given_up_and_connected_to_anew(node: Node, wallet: Wallet) -> None:
    silent = Node(wallet.hotkey.ss58_address)
    silent.failure = silent.hang
    nodes = [silent, node]
    chain = Sdk11Chain(lambda: client(nodes.pop(0)), "finney", NETUID, wallet, timeout_s=2)
    with pytest.raises(ChainUnreachableError, match="did not answer within 2 s"):
        chain.block()
    assert chain.block() == 1000
    # Neither the thread that hangs nor the SDK's may keep the neuron from ending.
    assert all(thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread())
    chain.close()


def test_a_closed_chain_has_closed_its_connection(node: Node, wallet: Wallet) -> None:
    chain = Sdk11Chain(lambda: client(node), "finney", NETUID, wallet, timeout_s=20)
    chain.block()
    assert node.is_open
    chain.close()
    deadline = time.monotonic() + 20
    while node.is_open and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not node.is_open


def test_a_connection_without_a_wallet_only_reads(node: Node) -> None:
    chain = Sdk11Chain(lambda: client(node), "finney", NETUID, None, timeout_s=20)
    assert chain.block() == 1000
    with pytest.raises(ChainError, match="only reads"):
        chain.set_weights([1], [1.0])
    chain.close()


def test_the_installed_sdk_says_which_adapter_it_is(
    node: Node, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def subtensor(where: str) -> bittensor.Subtensor:
        asked.append(where)
        return client(node)

    monkeypatch.setattr(sdk11, "Subtensor", subtensor)
    for endpoint, where in [(None, "finney"), ("ws://10.0.0.1:9944", "ws://10.0.0.1:9944")]:
        found = connect("finney", NETUID, wallet, chain_endpoint=endpoint, timeout_s=20)
        assert isinstance(found, Sdk11Chain)
        found.close()
        assert asked.pop() == where
    node.storage["SubtensorModule", "NetworksAdded"] = False
    with pytest.raises(ChainError, match="there is no subnet 49 on finney"):
        connect("finney", NETUID, wallet, timeout_s=20)


def test_nobody_home_is_said_in_one_line() -> None:
    """The SDK's real way to a node, and a port where nothing listens."""
    with pytest.raises(ChainUnreachableError) as found:
        connect("local", 1, None, chain_endpoint="ws://127.0.0.1:9", timeout_s=40)
    assert "\n" not in str(found.value)


def test_a_node_that_turns_away_is_said_in_one_line() -> None:
    class Busy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(429)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ChainUnreachableError, match="rate limited") as found:
            connect("local", 1, None, chain_endpoint=f"ws://127.0.0.1:{server.server_port}", timeout_s=40)
        server.shutdown()
    assert "\n" not in str(found.value)


def test_the_units_of_the_record_are_the_sdks() -> None:
    assert bittensor.tao(1.0).rao == RAO == sdk11.RAO
