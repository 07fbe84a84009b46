"""The capacity that a miner declares, tried by as many small requests at once."""

import asyncio
import random
from typing import Any, cast

import pytest

from violet.analysis import analyze
from violet.audio import decode
from violet.chain import Coldkey, Hotkey, Neuron
from violet.challenge import Maker
from violet.challenger import Challenger
from violet.corpus import packaged_clips
from violet.protocol import canonical_json
from violet.transport import Answer, AudioRequest, Capabilities, MinerCaller

NEURON = Neuron(1, Hotkey("m"), Coldkey("c"), 0.0)


class Machine:
    """Answers with what it really measures, `in_time` requests soon, the others late or (`is_busy`) not."""

    def __init__(self, in_time: int, *, is_busy: bool = False) -> None:
        self.in_time = in_time
        self.is_busy = is_busy
        self.asked: list[bytes] = []

    async def analyze(self, _: Neuron, request: AudioRequest) -> Answer[str]:
        assert request.inline is not None
        self.asked.append(request.inline)
        is_late = len(self.asked) > self.in_time
        if is_late and self.is_busy:
            return Answer(False, True, None, 0.01, "busy")
        # Whoever is asked at once has all requests before it answers one.
        await asyncio.sleep(0)
        samples, sample_rate = decode(request.inline)
        found = canonical_json(analyze(samples, request.options.fields, sample_rate=sample_rate).to_dict())
        return Answer(True, False, found, 60.0 if is_late else 0.1, None)


async def proven(
    machine: Machine, capacity: int, free: int, kinds: tuple[str, ...] = ("analysis",), leases: int | None = None
) -> int | None:
    challenger = Challenger(cast(MinerCaller, machine), Maker(packaged_clips(), None))
    able = Capabilities(kinds=kinds, model="", capacity=capacity, free=free, version="1")
    return await challenger.prove(NEURON, able, leases, random.Random(6))


@pytest.mark.parametrize(
    ("machine", "capacity", "free", "expected"),
    [
        pytest.param(Machine(4), 4, 4, 4, id="as declared"),
        pytest.param(Machine(1), 4, 4, 1, id="late from the second on"),
        pytest.param(Machine(2, is_busy=True), 4, 4, 2, id="busy from the third on"),
        pytest.param(Machine(9), 5, 2, 5, id="busy with users' work, which is not held against it"),
        pytest.param(Machine(0), 5, 2, 3, id="the free places are not what they seem"),
        pytest.param(Machine(16), 500, 500, 16, id="no more than the proxy lends"),
    ],
)
async def test_a_capacity_is_what_is_answered_in_time(
    machine: Machine, capacity: int, free: int, expected: int
) -> None:
    assert await proven(machine, capacity, free) == expected
    assert len(set(machine.asked)) == min(free, 16), "each is asked something else"


@pytest.mark.parametrize(
    ("free", "leases", "asked", "expected"),
    [
        pytest.param(1, 0, 4, 3, id="all but one are taken, it says, and by nobody"),
        pytest.param(2, 3, 2, 5, id="most are taken, and by users"),
        pytest.param(0, 5, 0, None, id="all are taken, and by users"),
        pytest.param(1, None, 1, 5, id="the proxy says nothing"),
    ],
)
async def test_places_are_free_that_nobody_holds(
    free: int, leases: int | None, asked: int, expected: int | None
) -> None:
    machine = Machine(2, is_busy=True)
    assert await proven(machine, 5, free, leases=leases) == expected
    assert len(machine.asked) == asked


@pytest.mark.parametrize(
    ("capacity", "free", "kinds"), [(1, 1, ("analysis",)), (4, 0, ("analysis",)), (4, 4, ("synthesis",))]
)
async def test_where_nothing_can_be_proven_nothing_is_asked(capacity: int, free: int, kinds: tuple[str, ...]) -> None:
    machine = Machine(9)
    assert await proven(machine, capacity, free, kinds) is None
    assert machine.asked == []


async def test_wrong_answers_in_time_prove_nothing() -> None:
    class Liar(Machine):
        async def analyze(self, _: Neuron, request: AudioRequest) -> Answer[str]:
            made_up: dict[str, Any] = {}
            self.asked.append(request.inline or b"")
            return Answer(True, False, canonical_json(made_up), 0.1, None)

    assert await proven(Liar(4), 4, 4) == 0
