"""From what a validator knows about miners to their weights, with every step on the way."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from violet import _core, reward
from violet.chain import Coldkey, Hotkey, Metagraph, Neuron

KIND_WEIGHTS = {"transcription": 0.5, "synthesis": 0.3, "analysis": 0.2}
"""Share of the reward of each kind of task; among the kinds that the network trades, see `scores`."""


@dataclass(slots=True)
class Quality:
    """A time-weighted mean (`violet::subnet::weights::Ema`)."""

    value: float = 0.0
    mass: float = 0.0
    updated_s: float = 0.0

    @property
    def known(self) -> tuple[float, float]:
        """The mean and its mass."""
        return self.value, self.mass


@dataclass(slots=True)
class Record:
    """What is known of one miner."""

    qualities: dict[str, Quality] = field(default_factory=dict)
    """By kind of task: what came through the proxy."""
    direct: dict[str, Quality] = field(default_factory=dict)
    """By kind of task: challenges that the validator sent itself."""
    asked: int = 0
    answered: int = 0
    passed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class KindScore:
    """What one kind of task adds to a miner's score."""

    kind: str
    share: float
    """Of the reward, among the kinds that anybody was measured in."""
    quality: float
    """The lesser of the two means, 0 to 1."""
    confidence: float
    """How sure the validator is, 0 to 1."""
    through_proxy: float | None
    """Mean reward of what came through the proxy; None before the first."""
    direct: float | None
    """Mean reward of the validator's own direct challenges."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """One miner's weight and how it came about."""

    uid: int
    hotkey: Hotkey
    coldkey: Coldkey
    address: str | None
    """The public address that groups it with others; None for a private one."""
    kinds: tuple[KindScore, ...]
    availability: float
    credibility: float
    score: float
    group_uids: tuple[int, ...]
    """Miners that earn together as one of their mean, itself among them."""
    weight: float
    """What the chain is told, of a sum of 1."""
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weighing:
    """All weights, and how they came about."""

    miners: tuple[Weighed, ...]
    weights: Mapping[int, float]
    """By uid; with what is burned, at the owner's uid. Empty when nobody has earned any."""
    burned: float
    """Share that the owner's uid gets, which the chain burns."""

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can write it."""
        return {**asdict(self), "weights": {str(uid): weight for uid, weight in self.weights.items()}}


def kind_scores(record: Record, traded: Sequence[str]) -> list[KindScore]:
    """What each kind adds; a kind that no miner was measured in has no share, the others' shares are scaled to 1."""
    whole = sum(weight for kind, weight in KIND_WEIGHTS.items() if kind in traded)
    found = []
    for kind, weight in KIND_WEIGHTS.items():
        work, direct = record.qualities.get(kind), record.direct.get(kind)
        if work is None and direct is None:
            continue
        share, confidence, quality = _core.proven(
            weight / whole, (work or Quality()).known, (direct or Quality()).known
        )
        means = (None if mean is None or mean.mass <= 0 else mean.value for mean in (work, direct))
        found.append(KindScore(kind, share, quality, confidence, *means))
    return found


def score(record: Record, traded: Sequence[str]) -> reward.Reward:
    """A miner's score in [0, 1], with its parts and reasons."""
    kinds = [(kind.share, kind.confidence, kind.quality) for kind in kind_scores(record, traded)]
    return reward.miner(
        kinds,
        _core.availability(record.answered, record.asked),
        _core.credibility(record.passed, record.failed),
    )


def traded_kinds(records: Mapping[Hotkey, Record]) -> tuple[str, ...]:
    """The kinds that any miner was measured in."""
    found = {kind for record in records.values() for kind in (*record.qualities, *record.direct)}
    return tuple(kind for kind in KIND_WEIGHTS if kind in found)


def weigh(records: Mapping[Hotkey, Record], metagraph: Metagraph) -> Weighing:
    """Weights of everybody registered.

    Miners of one coldkey, or of one public address, are one group; who publishes another's address does not answer
    there, so has no score.
    """
    neurons = [neuron for neuron in metagraph.neurons if neuron.hotkey in records]
    traded = traded_kinds(records)
    scores = [score(records[neuron.hotkey], traded) for neuron in neurons]
    rows = [
        (neuron.uid, reward.value, neuron.coldkey, public_address(neuron.ip), None)
        for neuron, reward in zip(neurons, scores, strict=True)
    ]
    is_known = any(reward.value > 0 for reward in scores)
    weights = dict(_core.miner_weights(rows, metagraph.owner_uid)) if is_known else {}
    miners = [
        _weighed(neuron, records[neuron.hotkey], traded, found, _group(neuron, neurons), weights.get(neuron.uid, 0.0))
        for neuron, found in zip(neurons, scores, strict=True)
    ]
    burned = 0.0 if metagraph.owner_uid is None else weights.get(metagraph.owner_uid, 0.0)
    return Weighing(tuple(miners), weights, burned)


def _weighed(
    neuron: Neuron, record: Record, traded: Sequence[str], found: reward.Reward, group: Sequence[Neuron], weight: float
) -> Weighed:
    return Weighed(
        neuron.uid,
        neuron.hotkey,
        neuron.coldkey,
        public_address(neuron.ip),
        tuple(kind_scores(record, traded)),
        _core.availability(record.answered, record.asked),
        _core.credibility(record.passed, record.failed),
        found.value,
        tuple(other.uid for other in group),
        weight,
        (*found.reasons, *_reasons(weight), *_links(neuron, group)),
    )


def _group(neuron: Neuron, neurons: Sequence[Neuron]) -> list[Neuron]:
    """Everybody that is linked with a miner, over any number of steps; itself among them."""
    group, fresh = {neuron.uid}, [neuron]
    while fresh:
        one = fresh.pop()
        linked = [other for other in neurons if other.uid not in group and _is_linked(one, other)]
        group.update(other.uid for other in linked)
        fresh += linked
    return [other for other in neurons if other.uid in group]


def _is_linked(one: Neuron, other: Neuron) -> bool:
    address = public_address(one.ip)
    return one.coldkey == other.coldkey or (address is not None and address == public_address(other.ip))


def _reasons(weight: float) -> list[str]:
    return [] if weight > 0 else ["the score is too low to earn anything"]


def _links(neuron: Neuron, group: Sequence[Neuron]) -> list[str]:
    """Why it shares a group with others."""
    others = [other for other in group if other.uid != neuron.uid]
    address = public_address(neuron.ip)
    links = (
        ("one coldkey", [n.uid for n in others if n.coldkey == neuron.coldkey]),
        ("one address", [n.uid for n in others if address is not None and public_address(n.ip) == address]),
    )
    found = [f"{why} with uid {', '.join(map(str, uids))}" for why, uids in links if uids]
    return [f"earns together with others as one miner of their mean: {'; '.join(found)}"] if found else []


def public_address(ip: str) -> str | None:
    """The address that groups miners: a public one, for private networks number their machines alike."""
    try:
        return ip if ipaddress.ip_address(ip).is_global else None
    except ValueError:
        return None
