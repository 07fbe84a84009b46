"""The local chain: signed calls, epochs that run exactly once, and many processes on one file."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from bittensor_wallet import Keypair

from violet.chain import Hotkey, Metagraph, connect, localnet
from violet.chain.ledger import MAX_REPLAYED_EPOCHS, Ledger
from violet.chain.localnet import LocalChain
from violet.chain.rules import MAX_NONCE, Rules, extrinsic
from violet.errors import (
    ChainError,
    ChainUnreachableError,
    NoPermitError,
    NotRegisteredError,
    ProtocolError,
    WeightsTooSoonError,
)

ALICE, BOB, CAROL, DAVE, OWNER = (Keypair.create_from_uri(f"//{name}") for name in ("A", "B", "C", "D", "Owner"))
RULES = Rules(tempo=10, block_time_s=1.0, weights_rate_limit=5, emission_per_block=1.0)


class Clock:
    """A clock that stands still until told otherwise."""

    def __init__(self) -> None:
        self.now_s = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.sqlite"


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    """Alice (stake 30) and Bob (10) validate, Carol and Dave mine."""
    ledger = Ledger.create(path, RULES, clock)
    for keypair in (ALICE, BOB, CAROL, DAVE):
        ledger.submit(*extrinsic(keypair, "register", {"coldkey": f"cold-{keypair.ss58_address}"}))
    ledger.add_stake(ALICE.ss58_address, 30)
    ledger.add_stake(BOB.ss58_address, 10)
    yield ledger
    ledger.close()


def weigh(ledger: Ledger, who: Keypair, weights: Mapping[int, float], more: Mapping[str, object] | None = None) -> None:
    arguments = {"uids": list(weights), "weights": list(weights.values()), "version_key": 0, **(more or {})}
    ledger.submit(*extrinsic(who, "set_weights", arguments))


def test_blocks_follow_the_clock_and_never_go_back(ledger: Ledger, clock: Clock) -> None:
    assert ledger.block() == 0
    clock.now_s += 25.5
    assert ledger.block() == 25
    clock.now_s -= 20
    assert ledger.block() == 20, "not before the epoch that was run at block 20"


def test_a_step_moves_every_process_on(ledger: Ledger, path: Path, clock: Clock) -> None:
    assert ledger.step(7) == 7
    other = Ledger.open(path, clock)
    assert other.block() == 7
    other.close()


def test_uids_are_given_in_order_and_kept(ledger: Ledger) -> None:
    ledger.submit(*extrinsic(CAROL, "register", {"coldkey": f"cold-{CAROL.ss58_address}"}))
    found = [(neuron.uid, neuron.hotkey) for neuron in ledger.metagraph().neurons]
    assert found == list(enumerate(Hotkey(k.ss58_address) for k in (ALICE, BOB, CAROL, DAVE)))


def test_a_hotkey_has_one_owner(ledger: Ledger) -> None:
    with pytest.raises(ChainError, match="registered already"):
        ledger.submit(*extrinsic(CAROL, "register", {"coldkey": "another"}))


def test_permits_follow_stake(ledger: Ledger) -> None:
    assert [neuron.validator_permit for neuron in ledger.metagraph().neurons] == [True, True, False, False]
    ledger.add_stake(BOB.ss58_address, -100)
    bob = ledger.metagraph().by_hotkey[Hotkey(BOB.ss58_address)]
    assert (bob.stake, bob.validator_permit) == (0, False)


def test_an_epoch_pays_by_yuma_consensus(ledger: Ledger) -> None:
    weigh(ledger, ALICE, {2: 3, 3: 1})
    weigh(ledger, BOB, {2: 1, 3: 1})
    ledger.step(10)
    neurons = ledger.metagraph().neurons
    # Alice has three quarters of the stake: her 3/4 and 1/4 are the consensus; Bob's 1/2 for Dave is cut to 1/4.
    # Ranks: 3/4 * 3/4 + 1/4 * 1/2 = 11/16 and 3/4 * 1/4 + 1/4 * 1/4 = 4/16.
    assert [neuron.incentive for neuron in neurons] == pytest.approx([0, 0, 11 / 15, 4 / 15], rel=1e-4)
    assert [neuron.consensus for neuron in neurons] == pytest.approx([0, 0, 3 / 4, 1 / 4], rel=1e-4)
    # 10 blocks pay 10: 4.1 to miners, 4.1 to validators, 1.8 to the owner.
    assert [n.emission for n in neurons[2:]] == pytest.approx([4.1 * 11 / 15, 4.1 * 4 / 15], rel=1e-4)
    assert sum(n.emission for n in neurons[:2]) == pytest.approx(4.1)
    assert ledger.totals().owner_cut == pytest.approx(1.8)


def test_the_newest_weights_of_each_validator_are_shown(ledger: Ledger) -> None:
    assert ledger.weights() == {}
    weigh(ledger, ALICE, {2: 1, 3: 1})
    weigh(ledger, BOB, {3: 7})
    ledger.step(6)
    weigh(ledger, ALICE, {2: 3, 3: 1})
    assert {uid: pytest.approx(row, rel=1e-4) for uid, row in ledger.weights().items()} == {
        0: {2: 0.75, 3: 0.25}, 1: {3: 1.0},
    }  # fmt: skip


def test_missed_epochs_are_made_up_for_once(ledger: Ledger, path: Path, clock: Clock) -> None:
    weigh(ledger, ALICE, {2: 1})
    clock.now_s += 35
    first = ledger.totals()
    other = Ledger.open(path, clock)
    assert other.totals() == first == ledger.totals()
    other.close()
    assert first.epochs == 3
    assert first.earned[Hotkey(CAROL.ss58_address)] == pytest.approx(3 * 4.1)


def test_an_epoch_sees_the_weights_from_before_its_block(ledger: Ledger, clock: Clock) -> None:
    clock.now_s += 10
    weigh(ledger, ALICE, {2: 1})
    assert ledger.totals().epochs == 1
    assert ledger.totals().earned[Hotkey(CAROL.ss58_address)] == 0


def test_stepping_is_the_same_as_waiting(tmp_path: Path, clock: Clock) -> None:
    found = []
    for steps in ([40], [3, 17, 20]):
        ledger = Ledger.create(tmp_path / f"{len(steps)}.sqlite", RULES, clock)
        for keypair in (ALICE, CAROL, DAVE):
            ledger.submit(*extrinsic(keypair, "register", {"coldkey": "cold"}))
        ledger.add_stake(ALICE.ss58_address, 1)
        weigh(ledger, ALICE, {1: 2, 2: 1})
        for blocks in steps:
            ledger.step(blocks)
        found.append(ledger.totals())
        ledger.close()
    assert found[0].epochs == found[1].epochs == 4
    assert found[0].earned == pytest.approx(found[1].earned)


def test_a_long_sleep_is_made_up_for_within_bounds(ledger: Ledger) -> None:
    ledger.step(10 * (MAX_REPLAYED_EPOCHS + 500) + 3)
    assert ledger.totals().epochs == MAX_REPLAYED_EPOCHS
    assert ledger.blocks_until_next_epoch() == 7


def test_old_weights_no_longer_count(path: Path, clock: Clock) -> None:
    ledger = Ledger.create(path, Rules(tempo=10, activity_cutoff=25), clock)
    for keypair in (ALICE, CAROL):
        ledger.submit(*extrinsic(keypair, "register", {"coldkey": "cold"}))
    ledger.add_stake(ALICE.ss58_address, 1)
    weigh(ledger, ALICE, {1: 1})
    ledger.step(20)
    assert ledger.metagraph().neurons[1].incentive == 1
    ledger.step(10)
    assert ledger.metagraph().neurons[1].incentive == 0
    ledger.close()


def test_what_the_owner_earns_as_a_miner_is_burned(path: Path, clock: Clock) -> None:
    ledger = Ledger.create(path, Rules(tempo=10, owner_hotkey=OWNER.ss58_address), clock)
    for keypair in (OWNER, ALICE, CAROL):
        ledger.submit(*extrinsic(keypair, "register", {"coldkey": "cold"}))
    ledger.add_stake(ALICE.ss58_address, 1)
    assert ledger.metagraph().owner_uid == 0
    weigh(ledger, ALICE, {0: 3, 2: 1})
    ledger.step(10)
    assert ledger.totals().burned == pytest.approx(4.1 * 3 / 4, rel=1e-4)
    ledger.close()


def test_the_rate_limit_says_how_long_to_wait(ledger: Ledger) -> None:
    ledger.step(3)
    weigh(ledger, ALICE, {2: 1})
    ledger.step(2)
    with pytest.raises(WeightsTooSoonError) as refused:
        weigh(ledger, ALICE, {3: 1})
    assert refused.value.blocks_to_wait == 3
    ledger.step(3)
    weigh(ledger, ALICE, {3: 1})


@pytest.mark.parametrize(
    ("weights", "more", "reason"),
    [
        pytest.param({2: 1.0}, {"uids": [2, 3]}, "2 uids for 1", id="lengths"),
        pytest.param({2: 1.0}, {"uids": [2, 2], "weights": [1, 1]}, "twice", id="repeated"),
        pytest.param({9: 1.0}, {}, "not below 4", id="no-such-uid"),
        pytest.param({2: 1.0}, {"uids": ["2"]}, "not below 4", id="uid-is-text"),
        pytest.param({2: -1.0, 3: 2.0}, {}, "negative", id="negative"),
        pytest.param({2: 0.0}, {}, "all weights are 0", id="zero"),
        pytest.param({}, {}, "all weights are 0", id="none"),
        pytest.param({2: 1.0}, {"weights": "x"}, "impossible arguments", id="weights-are-text"),
        pytest.param({2: 1.0}, {"extra": 1}, "impossible arguments", id="unknown-argument"),
    ],
)
def test_impossible_weights_are_refused(
    ledger: Ledger, weights: dict[int, float], more: dict[str, object], reason: str
) -> None:
    with pytest.raises(ChainError, match=reason):
        weigh(ledger, ALICE, weights, more)
    assert ledger.metagraph().neurons[0].last_update == 0


@pytest.mark.parametrize(
    ("rules", "weights", "reason"),
    [
        pytest.param(Rules(min_allowed_weights=2), {2: 1.0}, "fewer than 2", id="too-few"),
        pytest.param(Rules(max_weight_limit=0.6), {2: 3.0, 3: 1.0}, "above 0.6", id="too-much-for-one"),
        pytest.param(Rules(version_key=5), {2: 1.0}, "version key 0 is below 5", id="old-version"),
    ],
)
def test_the_rules_bound_weights(
    path: Path, clock: Clock, rules: Rules, weights: dict[int, float], reason: str
) -> None:
    ledger = Ledger.create(path, rules, clock)
    for keypair in (ALICE, BOB, CAROL, DAVE):
        ledger.submit(*extrinsic(keypair, "register", {"coldkey": "cold"}))
    ledger.add_stake(ALICE.ss58_address, 1)
    with pytest.raises(ChainError, match=reason):
        weigh(ledger, ALICE, weights)
    ledger.close()


def test_weights_need_a_permit_and_a_registration(ledger: Ledger) -> None:
    with pytest.raises(NoPermitError):
        weigh(ledger, CAROL, {2: 1})
    with pytest.raises(NotRegisteredError):
        weigh(ledger, OWNER, {2: 1})


def test_nobody_acts_for_another(ledger: Ledger) -> None:
    payload, _ = extrinsic(ALICE, "set_weights", {"uids": [2], "weights": [1], "version_key": 0})
    _, signature = extrinsic(CAROL, "set_weights", {"uids": [2], "weights": [1], "version_key": 0})
    with pytest.raises(ChainError, match="not signed"):
        ledger.submit(payload, signature)


def test_a_changed_call_is_not_signed(ledger: Ledger) -> None:
    payload, signature = extrinsic(ALICE, "serve", {"ip": "10.0.0.1", "port": 8091})
    with pytest.raises(ChainError, match="not signed"):
        ledger.submit(payload.replace("10.0.0.1", "10.0.0.2"), signature)


def test_a_call_counts_once(ledger: Ledger) -> None:
    call = extrinsic(ALICE, "serve", {"ip": "10.0.0.1", "port": 8091})
    ledger.submit(*call)
    with pytest.raises(ChainError, match="used before"):
        ledger.submit(*call)


def test_a_refused_call_changes_nothing_and_keeps_its_nonce(ledger: Ledger) -> None:
    call = extrinsic(ALICE, "serve", {"ip": "nowhere", "port": 8091}, nonce=MAX_NONCE)
    with pytest.raises(ChainError):
        ledger.submit(*call)
    ledger.submit(*extrinsic(ALICE, "serve", {"ip": "10.0.0.1", "port": 8091}))
    assert ledger.metagraph().neurons[0].ip == "10.0.0.1"


@pytest.mark.parametrize("payload", ["", "{}", "[]", "null", '{"call": 1}', "\ud800"])
def test_garbage_is_refused(ledger: Ledger, payload: str) -> None:
    with pytest.raises(ChainError):
        ledger.submit(payload, "0x00")


@pytest.mark.parametrize("amount", [math.nan, math.inf])
def test_stake_is_finite(ledger: Ledger, amount: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        ledger.add_stake(ALICE.ss58_address, amount)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rules(tempo=0),
        lambda: Rules(block_time_s=0),
        lambda: Rules(emission_per_block=math.nan),
        lambda: Rules(max_weight_limit=0),
        lambda: Rules(netuid=-1),
    ],
)
def test_rules_that_cannot_work_are_refused(make: Callable[[], Rules]) -> None:
    with pytest.raises(ValueError, match="of a localnet cannot be"):
        make()


def test_a_chain_that_does_not_exist_says_how_to_make_one(path: Path) -> None:
    with pytest.raises(ChainUnreachableError, match="violet localnet create"):
        Ledger.open(path)
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(ChainUnreachableError, match="no localnet at"):
        Ledger.open(path)


def test_a_chain_is_never_made_over_another(ledger: Ledger, path: Path) -> None:
    with pytest.raises(FileExistsError):
        Ledger.create(path, RULES)
    assert len(ledger.metagraph().neurons) == 4


def test_the_chain_as_a_neuron_sees_it(ledger: Ledger, path: Path, clock: Clock) -> None:
    chain = LocalChain.open(path, 1, ALICE, clock=clock)
    assert (chain.network, chain.netuid, chain.block_time_s) == ("localnet", 1, 1.0)
    assert chain.epoch().blocks_until_weights == 0
    ledger.step(3)
    chain.set_weights([2, 3], [0.75, 0.25])
    ledger.step(2)
    epoch = chain.epoch()
    assert (epoch.block, epoch.tempo, epoch.blocks_until_next_epoch) == (5, 10, 5)
    assert (epoch.blocks_since_last_update, epoch.weights_rate_limit, epoch.blocks_until_weights) == (2, 5, 4)
    chain.serve("10.0.0.1", 8091)
    me = chain.metagraph().by_hotkey[Hotkey(ALICE.ss58_address)]
    assert (me.ip, me.port, me.is_serving, me.last_update) == ("10.0.0.1", 8091, True, 3)
    with pytest.raises(ChainError, match="weights refused"):
        chain.set_weights([2], [math.nan])
    chain.close()


def test_a_stranger_is_told_to_register(ledger: Ledger, path: Path, clock: Clock) -> None:
    chain = LocalChain.open(path, 1, OWNER, clock=clock)
    with pytest.raises(NotRegisteredError, match="violet localnet register"):
        chain.epoch()
    with pytest.raises(NotRegisteredError):
        chain.serve("10.0.0.1", 8091)
    assert chain.register("cold").uid == 4
    chain.close()


def test_connect_finds_the_file_and_checks_the_subnet(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIOLET_LOCALNET", str(path))
    connect("localnet", 1, None).close()
    with pytest.raises(ChainError, match="use --netuid 1"):
        connect("localnet", 2, None)


def test_the_commands_of_violet_localnet(path: Path) -> None:
    localnet.create(path, Rules(tempo=10, block_time_s=1e6))
    assert localnet.register(path, ALICE, "cold").uid == 0
    assert localnet.register(path, CAROL, "cold").uid == 1
    assert localnet.add_stake(path, ALICE.ss58_address, 5).validator_permit
    chain = LocalChain.open(path, 1, ALICE)
    chain.set_weights([1], [1.0])
    chain.close()
    assert localnet.step(path, 10) == 10
    rules, metagraph, totals = localnet.show(path)
    assert (rules.tempo, metagraph.neurons[1].incentive, totals.epochs) == (10, 1.0, 1)


def test_the_metagraph_file_is_the_protocols(ledger: Ledger, tmp_path: Path) -> None:
    metagraph = ledger.metagraph()
    file = tmp_path / "deep" / "metagraph.json"
    metagraph.write_atomic(file)
    value = json.loads(file.read_text())
    assert set(value) == {"netuid", "network", "block", "synced_at_ms", "tempo", "neurons"}
    assert set(value["neurons"][0]) == {
        "uid", "hotkey", "coldkey", "stake", "validator_permit", "ip", "port", "incentive", "dividends", "emission",
        "consensus",
    }  # fmt: skip
    assert Metagraph.from_json(file.read_text()) == metagraph
    assert [entry.name for entry in file.parent.iterdir()] == ["metagraph.json"]
    with pytest.raises(ProtocolError):
        Metagraph.from_json('{"neurons": 1}')


WORKER = """
import sys
from pathlib import Path
from bittensor_wallet import Keypair
from violet.chain.ledger import Ledger
from violet.chain.rules import extrinsic
ledger = Ledger.open(Path(sys.argv[1]))
me = Keypair.create_from_uri(f"//worker{sys.argv[2]}")
ledger.submit(*extrinsic(me, "register", {"coldkey": "cold"}))
for i in range(25):
    ledger.add_stake(me.ss58_address, 1)
    ledger.step(1)
    ledger.submit(*extrinsic(me, "serve", {"ip": "10.0.0.1", "port": 1 + i}))
"""


def test_processes_share_one_chain(path: Path) -> None:
    """Four processes at once: every change counts, every epoch runs once."""
    Ledger.create(path, Rules(tempo=10, block_time_s=1e9)).close()
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(i)]) for i in range(4)]
    assert [worker.wait(timeout=60) for worker in workers] == [0, 0, 0, 0]
    ledger = Ledger.open(path)
    metagraph = ledger.metagraph()
    assert sorted(neuron.uid for neuron in metagraph.neurons) == [0, 1, 2, 3]
    assert [neuron.stake for neuron in metagraph.neurons] == [25, 25, 25, 25]
    assert metagraph.block == 100
    totals = ledger.totals()
    assert totals.epochs == 10
    assert sum(totals.earned.values()) + totals.owner_cut + totals.burned == pytest.approx(100)
    ledger.close()


def test_importing_the_chain_does_not_import_the_sdk() -> None:
    program = "import sys, violet.chain, violet.chain.localnet, violet.config; print('bittensor' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def small(path: Path, clock: Clock, **rules: object) -> Ledger:
    """Alice validates; Bob and Carol mine; no room for more."""
    made = Rules(tempo=10, weights_rate_limit=0, max_uids=3, immunity_period=50, **rules)  # type: ignore[arg-type]
    ledger = Ledger.create(path, made, clock)
    for keypair in (ALICE, BOB, CAROL):
        ledger.submit(*extrinsic(keypair, "register", {"coldkey": "cold"}))
        clock.now_s += 1
    ledger.add_stake(ALICE.ss58_address, 30)
    return ledger


def test_who_earns_least_gives_its_place_to_a_newcomer_and_nothing_of_it_stays(path: Path, clock: Clock) -> None:
    ledger = small(path, clock)
    weigh(ledger, ALICE, {1: 1.0, 2: 3.0})
    ledger.step(60)
    ledger.submit(*extrinsic(DAVE, "register", {"coldkey": "cold"}))
    hotkeys = [neuron.hotkey for neuron in ledger.metagraph().neurons]
    assert hotkeys == [ALICE.ss58_address, DAVE.ss58_address, CAROL.ss58_address]
    assert ledger.weights() == {0: {2: 1.0}}, "what was said of the old one is not said of the new one"
    assert ledger.metagraph().neurons[1].emission == 0.0
    ledger.step(10)
    with pytest.raises(NotRegisteredError):
        ledger.submit(*extrinsic(BOB, "serve", {"ip": "127.0.0.1", "port": 2000}))
    ledger.close()


def test_a_newcomer_is_immune_for_a_while(path: Path, clock: Clock) -> None:
    ledger = small(path, clock)
    weigh(ledger, ALICE, {1: 1.0, 2: 3.0})
    ledger.step(60)
    ledger.submit(*extrinsic(DAVE, "register", {"coldkey": "cold"}))
    earnings = {neuron.hotkey: neuron.emission for neuron in ledger.metagraph().neurons}
    assert earnings[Hotkey(DAVE.ss58_address)] == 0.0
    ledger.submit(*extrinsic(OWNER, "register", {"coldkey": "cold"}))
    left = {neuron.hotkey for neuron in ledger.metagraph().neurons}
    assert DAVE.ss58_address in left
    gone = {ALICE.ss58_address, CAROL.ss58_address} - left
    assert earnings[Hotkey(gone.pop())] == min(earnings[Hotkey(k.ss58_address)] for k in (ALICE, CAROL))
    ledger.close()


def test_where_all_are_immune_the_oldest_of_those_that_earn_nothing_goes_but_never_the_owner(
    path: Path, clock: Clock
) -> None:
    ledger = small(path, clock, owner_hotkey=ALICE.ss58_address)
    ledger.submit(*extrinsic(DAVE, "register", {"coldkey": "cold"}))
    hotkeys = [neuron.hotkey for neuron in ledger.metagraph().neurons]
    assert hotkeys == [ALICE.ss58_address, DAVE.ss58_address, CAROL.ss58_address]
    ledger.close()


def test_committed_weights_count_when_their_time_comes(path: Path, clock: Clock) -> None:
    ledger = small(path, clock, commit_reveal=True, reveal_period=2)
    weigh(ledger, ALICE, {1: 1.0})
    assert ledger.metagraph().neurons[0].last_update > 0
    for _ in range(2):
        ledger.step(10)
        assert ledger.weights() == {}, "nobody can copy them yet"
        assert ledger.metagraph().neurons[1].emission == 0.0
    weigh(ledger, ALICE, {2: 1.0})
    ledger.step(10)
    assert ledger.weights() == {0: {1: 1.0}}
    assert ledger.metagraph().neurons[1].emission > 0.0
    ledger.step(20)
    assert ledger.weights() == {0: {2: 1.0}}
    ledger.close()


def test_a_chain_that_was_away_reveals_in_order(path: Path, clock: Clock) -> None:
    ledger = small(path, clock, commit_reveal=True)
    weigh(ledger, ALICE, {1: 1.0})
    clock.now_s += 10
    weigh(ledger, ALICE, {2: 1.0})
    clock.now_s += 1000
    assert ledger.weights() == {0: {2: 1.0}}
    assert ledger.totals().earned[Hotkey(BOB.ss58_address)] > 0
    ledger.close()


def test_injected_faults_hit_the_next_calls_of_any_process(ledger: Ledger, path: Path, clock: Clock) -> None:
    other = Ledger.open(path, clock)
    ledger.inject("fail", 0, 2)
    with pytest.raises(ChainUnreachableError, match="injected"):
        other.block()
    with pytest.raises(ChainUnreachableError, match="injected"):
        ledger.metagraph()
    assert other.block() == ledger.block()
    ledger.inject("stall", 0.05)
    began = time.monotonic()
    other.block()
    assert time.monotonic() - began >= 0.05
    other.close()


def test_a_fork_forgets_blocks_but_no_epoch(ledger: Ledger) -> None:
    ledger.step(17)
    ledger.inject("fork", 3)
    assert ledger.block() == 14
    ledger.inject("fork", 10)
    assert ledger.block() == 10
    assert ledger.totals().epochs == 1


@pytest.mark.parametrize(
    ("kind", "value", "count"), [("burn", 0, 1), ("stall", -1, 1), ("fail", 0, 0), ("stall", 1e9, 1)]
)
def test_an_impossible_fault_is_refused(ledger: Ledger, kind: str, value: float, count: int) -> None:
    with pytest.raises(ValueError, match=f"cannot inject {kind}"):
        ledger.inject(kind, value, count)


def test_every_block_has_a_hash_of_its_own(ledger: Ledger, path: Path, clock: Clock) -> None:
    first = ledger.block_hash()
    other = Ledger.open(path, clock)
    assert first == other.block_hash()
    other.close()
    ledger.step(1)
    assert ledger.block_hash() != first
    assert len(bytes.fromhex(first.removeprefix("0x"))) == 32


def test_a_file_of_an_earlier_version_is_opened(ledger: Ledger, path: Path, clock: Clock) -> None:
    ledger._db.executescript("DROP TABLE commits; DROP TABLE faults;")
    old = Ledger.open(path, clock)
    assert old.block() == 0
    old.close()
