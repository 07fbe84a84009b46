"""A validator's scoreboard: what is kept across restarts, and the weights that follow."""

import asyncio
import json
import random
from pathlib import Path

import pytest

from violet._core import MAX_TALLY
from violet.chain import Coldkey, Hotkey, Metagraph, Neuron
from violet.scoreboard import Health, Scoreboard, StateError

GOOD, BAD, NEW = Hotkey("good"), Hotkey("bad"), Hotkey("new")


def metagraph(*hotkeys: Hotkey) -> Metagraph:
    neurons = tuple(Neuron(uid, hotkey, Coldkey(f"cold-{hotkey}"), 0.0) for uid, hotkey in enumerate(hotkeys))
    return Metagraph(1, "localnet", 1, 20, neurons, 0)


def measured(path: Path) -> Scoreboard:
    board = Scoreboard.open(path)
    for now_s in range(10):
        for hotkey, score in ((GOOD, 1.0), (BAD, 0.1)):
            board.add_quality(hotkey, "transcription", score, float(now_s))
            board.add_probe(hotkey, answered=True)
            board.add_challenge(hotkey, passed=hotkey == GOOD)
    return board


def test_the_good_miner_gets_the_weight_and_the_unknown_one_none(tmp_path: Path) -> None:
    assert measured(tmp_path / "scores.json").weights(metagraph(GOOD, BAD, NEW)) == {0: 1.0}


@pytest.mark.parametrize(("ip", "share"), [("8.8.8.8", 1 / 4), ("10.0.0.1", 1 / 3), ("not an address", 1 / 3)])
def test_miners_at_one_public_address_share_what_one_would_get(tmp_path: Path, ip: str, share: float) -> None:
    board = Scoreboard.open(tmp_path / "scores.json")
    neurons = tuple(
        Neuron(uid, Hotkey(f"miner {uid}"), Coldkey(f"cold {uid}"), 0.0, ip="1.1.1.1" if uid == 2 else ip)
        for uid in range(3)
    )
    for now_s in range(50):
        for neuron in neurons:
            board.add_quality(neuron.hotkey, "transcription", 1.0, float(now_s))
            board.add_probe(neuron.hotkey, answered=True)
    weights = board.weights(Metagraph(1, "localnet", 1, 20, neurons, 0))
    assert [weights[0], weights[1]] == pytest.approx([share, share])


def test_who_works_well_only_when_asked_directly_is_worth_its_work(tmp_path: Path) -> None:
    board = measured(tmp_path / "scores.json")
    before = board.score(GOOD)
    for now_s in range(10, 20):
        board.add_quality(GOOD, "transcription", 0.2, float(now_s), direct=True)
        board.add_quality(BAD, "transcription", 1.0, float(now_s), direct=True)
    assert board.score(GOOD) == pytest.approx(before * 0.2, rel=0.1)
    assert board.score(BAD) < 0.1
    board.save()
    assert Scoreboard.open(tmp_path / "scores.json").score(GOOD) == board.score(GOOD)


def test_nothing_measured_gives_no_weights(tmp_path: Path) -> None:
    assert Scoreboard.open(tmp_path / "scores.json").weights(metagraph(GOOD, BAD)) == {}


def test_a_restart_changes_no_score(tmp_path: Path) -> None:
    board = measured(tmp_path / "scores.json")
    board.save()
    again = Scoreboard.open(tmp_path / "scores.json")
    assert [again.score(hotkey) for hotkey in (GOOD, BAD)] == [board.score(hotkey) for hotkey in (GOOD, BAD)]
    assert again.score(GOOD) > 0.3 > again.score(BAD)


def test_who_left_and_registers_again_starts_anew(tmp_path: Path) -> None:
    board = measured(tmp_path / "scores.json")
    board.weights(metagraph(BAD))
    assert board.score(GOOD) == 0.0


def test_an_outage_is_noticed_after_any_number_of_good_probes(tmp_path: Path) -> None:
    board = measured(tmp_path / "scores.json")
    for _ in range(10 * MAX_TALLY):
        board.add_probe(GOOD, answered=True)
    before = board.score(GOOD)
    for _ in range(2 * MAX_TALLY):
        board.add_probe(GOOD, answered=False)
    assert board.score(GOOD) < before / 2  # the cube root of the availability counts


@pytest.mark.parametrize("text", ["", "[]", '{"version": 3}', '{"version": 1, "miners": {"a": {}}}'])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(StateError, match=r"scores\.json"):
        Scoreboard.open(path)


def test_a_damaged_file_is_passed_over_for_its_backup(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "scores.json"
    board = measured(path)
    board.save()
    board.add_probe(NEW, answered=True)
    board.save()
    path.write_text(path.read_text()[:-20])
    again = Scoreboard.open(path)
    assert again.score(GOOD) == board.score(GOOD)
    assert "going on with its backup" in caplog.text
    path.unlink()
    assert Scoreboard.open(path).score(GOOD) == board.score(GOOD)


def test_the_file_of_the_version_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    board = measured(path)
    board.save()
    value = json.loads(path.read_text())
    for record in value["miners"].values():
        del record["proxy_answered"], record["proxy_silent"], record["proofs"]
    del value["rounds"]
    path.write_text(json.dumps({**value, "version": 1}))
    assert Scoreboard.open(path).score(GOOD) == board.score(GOOD)


def test_hotkeys_before_one_machine_are_found_by_their_times_and_earn_as_one(tmp_path: Path) -> None:
    board = Scoreboard.open(tmp_path / "scores.json")
    neurons = tuple(Neuron(uid, Hotkey(f"m{uid}"), Coldkey(f"c{uid}"), 0.0) for uid in range(4))
    for now_s in range(50):
        for neuron in neurons:
            board.add_quality(neuron.hotkey, "transcription", 0.9, float(now_s))
            board.add_probe(neuron.hotkey, answered=True)
    draw = random.Random(4)
    for _ in range(40):
        machine = draw.uniform(0.3, 3.0)
        paces = {Hotkey("m0"): machine, Hotkey("m1"): machine * draw.uniform(0.99, 1.01)}
        board.add_round(paces | {Hotkey("m2"): draw.uniform(0.3, 3.0), Hotkey("m3"): draw.uniform(0.3, 3.0)})
    board.save()
    board, metagraph = Scoreboard.open(tmp_path / "scores.json"), Metagraph(1, "localnet", 1, 20, neurons, 0)
    assert board.weights(metagraph) == pytest.approx({0: 1 / 6, 1: 1 / 6, 2: 1 / 3, 3: 1 / 3})
    first = board.weigh(metagraph).miners[0]
    assert first.group_uids == (0, 1)
    assert any("answering times that rise and fall together with uid 1" in reason for reason in first.reasons)


def test_a_proxy_that_denies_answers_is_flagged_and_one_that_does_not_is_not(tmp_path: Path) -> None:
    board = Scoreboard.open(tmp_path / "scores.json")
    for _ in range(60):
        for hotkey in (GOOD, BAD):
            board.add_probe(hotkey, answered=True)
            board.add_account(hotkey, answered=1, silent=0)
    assert not board.audit().is_flagged
    board.add_account(GOOD, answered=0, silent=30)
    audit = board.audit()
    assert audit.is_flagged
    assert audit.by_miner[GOOD] > 3.5 > audit.by_miner[BAD]
    board.save()
    assert Scoreboard.open(tmp_path / "scores.json").audit() == audit


def test_a_capacity_is_the_better_of_the_last_two_tries(tmp_path: Path) -> None:
    board = Scoreboard.open(tmp_path / "scores.json")
    board.add_probe(GOOD, answered=True)
    board.add_probe(GOOD, answered=False)
    assert board.health([GOOD, NEW]) == {GOOD: Health(2, 1, None)}
    for in_time, capacity in ((8, 8), (2, 8), (3, 3), (4, 4)):
        board.add_proof(GOOD, in_time)
        assert board.health([GOOD])[GOOD].capacity == capacity
    board.save()
    assert Scoreboard.open(tmp_path / "scores.json").health([GOOD])[GOOD].capacity == 4


def test_each_weight_is_explained_by_its_parts(tmp_path: Path) -> None:
    board = measured(tmp_path / "scores.json")
    weighing = board.weigh(metagraph(GOOD, BAD, NEW))
    good, bad = weighing.miners
    assert (good.hotkey, bad.hotkey) == (GOOD, BAD)
    assert good.weight == 1.0 == weighing.weights[0]
    assert good.score == board.score(GOOD)
    (kind,) = good.kinds
    # S = A^a C^2.5 sum w c s
    assert good.credibility == 1.0
    assert (kind.share, kind.quality, kind.through_proxy, kind.direct) == (1.0, 1.0, 1.0, None)
    assert good.earning == pytest.approx((good.score - 0.3) ** 2)
    assert (bad.weight, bad.earning) == (0.0, 0.0)
    assert any("is not above 0.3: it earns nothing" in reason for reason in bad.reasons)
    assert json.loads(json.dumps(weighing.to_dict()))["weights"] == {"0": 1.0}


def test_a_group_is_explained_by_what_links_it(tmp_path: Path) -> None:
    board = Scoreboard.open(tmp_path / "scores.json")
    places = (("a", "8.8.8.8"), ("a", "1.1.1.1"), ("b", "1.1.1.1"), ("c", "10.0.0.1"), ("d", "10.0.0.1"))
    neurons = tuple(
        Neuron(uid, Hotkey(f"m{uid}"), Coldkey(coldkey), 0.0, ip=ip) for uid, (coldkey, ip) in enumerate(places)
    )
    for neuron in neurons:
        board.add_quality(neuron.hotkey, "transcription", 0.9, 0.0)
    weighing = board.weigh(Metagraph(1, "localnet", 1, 20, neurons, 0))
    assert [miner.group_uids for miner in weighing.miners] == [(0, 1, 2), (0, 1, 2), (0, 1, 2), (3,), (4,)]
    assert any("one coldkey with uid 0; one address with uid 2" in reason for reason in weighing.miners[1].reasons)


async def test_evaluations_that_end_together_save_one_after_the_other(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    board = measured(path)
    saves = []
    for number in range(20):
        board.add_quality(Hotkey(f"miner {number}"), "analysis", 1.0, float(number))
        saves.append(asyncio.create_task(board.save_in_background()))
        await asyncio.sleep(0)
    await asyncio.gather(*saves)
    # The newest is what is kept, whichever thread came last.
    assert Scoreboard.open(path).score(Hotkey("miner 19")) == board.score(Hotkey("miner 19"))
    assert set(json.loads(path.read_text())["miners"]) >= {f"miner {number}" for number in range(20)}
    assert Scoreboard.open(path.with_name("scores.json.backup")).score(GOOD) == board.score(GOOD)
