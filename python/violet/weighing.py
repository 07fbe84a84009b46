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
    proxy_answered: int = 0
    """Leases that it answered by the proxy's account, and those that ended without a word of it."""
    proxy_silent: int = 0
    proofs: list[int] = field(default_factory=list)
    """Requests at once that it answered in time, at its last tries."""


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
    earning: float
    """What the score earns before it is shared: its square above the floor."""
    group: int
    group_uids: tuple[int, ...]
    group_share: float
    """Of what all groups earn, before the cap."""
    share: float
    weight: float
    """What the chain is told, of a sum of 1."""
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Weighing:
    """All weights, and how they came about."""

    miners: tuple[Weighed, ...]
    weights: Mapping[int, float]
    """By uid; with what is burned, at the owner's uid. Empty when nobody has earned any."""
    group_cap: float
    withheld: float
    """Share that is burned because even the best score is low."""
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


def clusters(rounds: Sequence[Mapping[Hotkey, float]], hotkeys: Sequence[Hotkey]) -> list[int | None]:
    """Which miners are one machine, by their answering times in rounds (`violet::subnet::fingerprint`)."""
    return _core.latency_clusters([[round_.get(hotkey) for round_ in rounds] for hotkey in hotkeys])


def weigh(records: Mapping[Hotkey, Record], rounds: Sequence[Mapping[Hotkey, float]], metagraph: Metagraph) -> Weighing:
    """Weights of everybody registered.

    Miners of one coldkey, of one public address, or whose answering times rise and fall together are one group; who
    publishes another's address does not answer there, so has no score.
    """
    neurons = [neuron for neuron in metagraph.neurons if neuron.hotkey in records]
    traded = traded_kinds(records)
    scores = [score(records[neuron.hotkey], traded) for neuron in neurons]
    found = clusters(rounds, [neuron.hotkey for neuron in neurons])
    is_known = any(reward.value > 0 for reward in scores)
    weights, shares, cap, withheld = _core.miner_weights(
        [
            (neuron.uid, reward.value, neuron.coldkey, public_address(neuron.ip), cluster)
            for neuron, reward, cluster in zip(neurons, scores, found, strict=True)
        ],
        metagraph.owner_uid if is_known else None,
    )
    by_uid = dict(weights) if is_known else {}
    members: dict[int, list[int]] = {}
    for neuron, (_, group, _, _) in zip(neurons, shares, strict=True):
        members.setdefault(group, []).append(neuron.uid)
    miners = []
    for neuron, reward_, cluster, (earning, group, group_share, share) in zip(
        neurons, scores, found, shares, strict=True
    ):
        record = records[neuron.hotkey]
        others = [other for other in neurons if other.uid in members[group] and other.uid != neuron.uid]
        same_machine = {other.uid for other, c in zip(neurons, found, strict=True) if c is not None and c == cluster}
        reasons = (
            *reward_.reasons,
            *_reasons(reward_.value, group_share > cap, withheld),
            *_links(neuron, others, same_machine),
        )
        miners.append(
            Weighed(
                neuron.uid,
                neuron.hotkey,
                neuron.coldkey,
                public_address(neuron.ip),
                tuple(kind_scores(record, traded)),
                _core.availability(record.answered, record.asked),
                _core.credibility(record.passed, record.failed),
                reward_.value,
                earning,
                group,
                tuple(sorted(members[group])),
                group_share,
                share,
                by_uid.get(neuron.uid, 0.0) if neuron.uid != metagraph.owner_uid else share,
                tuple(reasons),
            )
        )
    burned = by_uid.get(metagraph.owner_uid, 0.0) if metagraph.owner_uid is not None else 0.0
    return Weighing(tuple(miners), by_uid, cap, withheld if is_known else 0.0, burned)


def _reasons(value: float, is_capped: bool, withheld: float) -> list[str]:
    found = []
    if value <= _core.SCORE_FLOOR:
        found.append(f"a score of {value:.2f} is not above {_core.SCORE_FLOOR:g}: it earns nothing")
    if is_capped:
        found.append("its group is at the cap; the rest is burned, or shared out where nobody owns the subnet")
    if withheld > 0:
        found.append(f"{withheld:.0%} is burned for everybody, because even the best score is low")
    return found


def _links(neuron: Neuron, others: Sequence[Neuron], same_machine: set[int]) -> list[str]:
    """Why it shares a group with others."""
    links = (
        ("one coldkey", [n.uid for n in others if n.coldkey == neuron.coldkey]),
        ("one address", [n.uid for n in others if public_address(n.ip) and n.ip == neuron.ip]),
        ("answering times that rise and fall together", [n.uid for n in others if n.uid in same_machine]),
    )
    found = [f"{why} with uid {', '.join(map(str, uids))}" for why, uids in links if uids]
    return [f"earns together with others as one miner of their mean: {'; '.join(found)}"] if found else []


def public_address(ip: str) -> str | None:
    """The address that groups miners: a public one, for private networks number their machines alike."""
    try:
        return ip if ipaddress.ip_address(ip).is_global else None
    except ValueError:
        return None
