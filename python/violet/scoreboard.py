"""What one validator knows about each miner, kept across restarts, and the weights that follow from it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from violet import _core
from violet.chain import Hotkey, Metagraph
from violet.errors import VioletError
from violet.files import write_atomic

VERSION = 1
"""Version of the state file; another one is refused rather than misread."""

MAX_COUNT = 200
"""Counts are halved when they pass this: old outages fade, and a new one is noticed."""

KIND_WEIGHTS = {"transcription": 0.5, "synthesis": 0.3, "analysis": 0.2}
"""Share of the reward of each kind of task; among the kinds that the network trades, see `Scoreboard.score`."""


class StateError(VioletError, ValueError):
    """The state file cannot be read."""


@dataclass(slots=True)
class Quality:
    """A time-weighted mean (`violet::subnet::weights::Ema`)."""

    value: float = 0.0
    mass: float = 0.0
    updated_s: float = 0.0

    @property
    def confidence(self) -> float:
        """How sure the mean is, in [0, 1): one fresh measurement counts half."""
        return self.mass / (self.mass + 1.0)


@dataclass(slots=True)
class Record:
    """One miner."""

    qualities: dict[str, Quality] = field(default_factory=dict)
    """By kind of task."""
    asked: int = 0
    answered: int = 0
    passed: int = 0
    failed: int = 0


class Scoreboard:
    """Records by hotkey, in memory and in one file."""

    def __init__(self, path: Path, records: dict[Hotkey, Record]) -> None:
        self._path = path
        self._records = records

    @classmethod
    def open(cls, path: Path) -> Self:
        """The scoreboard in the file `path`; an empty one if there is no file.

        Raises:
            StateError: The file is damaged or of another version.
            OSError: It cannot be read.
        """
        try:
            value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path, {})
        except ValueError as error:
            message = f"{path} is not a scoreboard: {error}; move it away to start anew"
            raise StateError(message) from error
        if not isinstance(value, dict) or value.get("version") != VERSION:
            message = f"{path} is not a scoreboard of version {VERSION}; move it away to start anew"
            raise StateError(message)
        try:
            records = {
                Hotkey(hotkey): Record(
                    **{**record, "qualities": {kind: Quality(**q) for kind, q in record["qualities"].items()}}
                )
                for hotkey, record in value["miners"].items()
            }
        except (KeyError, TypeError, AttributeError) as error:
            message = f"{path} is damaged: {error}; move it away to start anew"
            raise StateError(message) from error
        return cls(path, records)

    def save(self) -> None:
        """Writes the file so that a crash leaves the old one or the new one.

        Raises:
            OSError: It cannot be written.
        """
        value = {"version": VERSION, "miners": {hotkey: asdict(record) for hotkey, record in self._records.items()}}
        write_atomic(self._path, json.dumps(value))

    def add_quality(self, hotkey: Hotkey, kind: str, score: float, now_s: float) -> None:
        """Counts the score of one response, in [0, 1]."""
        old = self._record(hotkey).qualities.get(kind, Quality())
        new = _core.ema_update((old.value, old.mass, old.updated_s), score, now_s)
        self._record(hotkey).qualities[kind] = Quality(*new)

    def add_probe(self, hotkey: Hotkey, *, answered: bool) -> None:
        """Counts whether a miner answered when asked directly."""
        record = self._record(hotkey)
        record.asked += 1
        record.answered += answered
        if record.asked > MAX_COUNT:
            record.asked //= 2
            record.answered //= 2

    def add_challenge(self, hotkey: Hotkey, *, passed: bool) -> None:
        """Counts whether a miner knew words that the validator knows."""
        record = self._record(hotkey)
        record.passed += passed
        record.failed += not passed
        if record.passed + record.failed > MAX_COUNT:
            record.passed //= 2
            record.failed //= 2

    def score(self, hotkey: Hotkey) -> float:
        """The miner's score in [0, 1]; 0 for one that is not known yet.

        A kind that no miner was measured in has no share: the others' shares are scaled to 1.
        """
        record = self._records.get(hotkey)
        if record is None:
            return 0.0
        traded = {kind for known in self._records.values() for kind in known.qualities}
        whole = sum(weight for kind, weight in KIND_WEIGHTS.items() if kind in traded)
        kinds = [
            (weight / whole, record.qualities[kind].confidence, record.qualities[kind].value)
            for kind, weight in KIND_WEIGHTS.items()
            if kind in record.qualities
        ]
        return _core.miner_score(
            kinds,
            _core.availability(record.answered, record.asked),
            _core.credibility(record.passed, record.failed),
        )

    def weights(self, metagraph: Metagraph) -> dict[int, float]:
        """Weights by uid for everybody registered; empty when nobody has earned any.

        Miners that are no longer registered are forgotten: who registers again starts anew.
        """
        self._records = {hotkey: r for hotkey, r in self._records.items() if hotkey in metagraph.by_hotkey}
        known = [(neuron, self.score(neuron.hotkey)) for neuron in metagraph.neurons if neuron.hotkey in self._records]
        if not any(score > 0 for _, score in known):
            return {}
        miners = [(neuron.uid, score, neuron.coldkey, None) for neuron, score in known]
        return dict(_core.miner_weights(miners, metagraph.owner_uid))

    def _record(self, hotkey: Hotkey) -> Record:
        return self._records.setdefault(hotkey, Record())
