"""What one validator knows about each miner, kept across restarts, and the weights that follow from it."""

import ipaddress
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
    def known(self) -> tuple[float, float]:
        """The mean and its mass."""
        return self.value, self.mass


@dataclass(slots=True)
class Record:
    """One miner."""

    qualities: dict[str, Quality] = field(default_factory=dict)
    """By kind of task: what came through the proxy."""
    direct: dict[str, Quality] = field(default_factory=dict)
    """By kind of task: challenges that the validator sent itself."""
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
                    **{
                        **record,
                        "qualities": _qualities(record["qualities"]),
                        "direct": _qualities(record.get("direct", {})),
                    }
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

    def add_quality(self, hotkey: Hotkey, kind: str, score: float, now_s: float, *, direct: bool = False) -> None:
        """Counts the score of one response, in [0, 1]; `direct` when the validator asked the miner itself."""
        record = self._record(hotkey)
        qualities = record.direct if direct else record.qualities
        old = qualities.get(kind, Quality())
        qualities[kind] = Quality(*_core.ema_update((old.value, old.mass, old.updated_s), score, now_s))

    def add_probe(self, hotkey: Hotkey, *, answered: bool) -> None:
        """Counts whether a miner answered when asked directly."""
        record = self._record(hotkey)
        record.answered, silent = _core.tally_add((record.answered, record.asked - record.answered), answered)
        record.asked = record.answered + silent

    def add_challenge(self, hotkey: Hotkey, *, passed: bool) -> None:
        """Counts whether a miner knew words that the validator knows."""
        record = self._record(hotkey)
        record.passed, record.failed = _core.tally_add((record.passed, record.failed), passed)

    def score(self, hotkey: Hotkey) -> float:
        """The miner's score in [0, 1]; 0 for one that is not known yet.

        A kind that no miner was measured in has no share: the others' shares are scaled to 1.
        """
        record = self._records.get(hotkey)
        if record is None:
            return 0.0
        traded = {kind for known in self._records.values() for kind in (*known.qualities, *known.direct)}
        whole = sum(weight for kind, weight in KIND_WEIGHTS.items() if kind in traded)
        kinds = [
            _core.proven(
                weight / whole,
                *(by_kind.get(kind, Quality()).known for by_kind in (record.qualities, record.direct)),
            )
            for kind, weight in KIND_WEIGHTS.items()
            if kind in record.qualities or kind in record.direct
        ]
        return _core.miner_score(
            kinds,
            _core.availability(record.answered, record.asked),
            _core.credibility(record.passed, record.failed),
        )

    def weights(self, metagraph: Metagraph) -> dict[int, float]:
        """Weights by uid for everybody registered; empty when nobody has earned any.

        Miners that are no longer registered are forgotten: who registers again starts anew. Miners of one coldkey or
        one public address are one group; who publishes another's address does not answer there, so has no score.
        """
        self._records = {hotkey: r for hotkey, r in self._records.items() if hotkey in metagraph.by_hotkey}
        known = [(neuron, self.score(neuron.hotkey)) for neuron in metagraph.neurons if neuron.hotkey in self._records]
        if not any(score > 0 for _, score in known):
            return {}
        miners = [(neuron.uid, score, neuron.coldkey, _address(neuron.ip), None) for neuron, score in known]
        return dict(_core.miner_weights(miners, metagraph.owner_uid))

    def _record(self, hotkey: Hotkey) -> Record:
        return self._records.setdefault(hotkey, Record())


def _qualities(values: dict[str, dict[str, float]]) -> dict[str, Quality]:
    return {kind: Quality(**value) for kind, value in values.items()}


def _address(ip: str) -> str | None:
    """The address that groups miners: a public one, for private networks number their machines alike."""
    try:
        return ip if ipaddress.ip_address(ip).is_global else None
    except ValueError:
        return None
