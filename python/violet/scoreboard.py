"""What one validator knows about each miner, kept across restarts, and the weights that follow from it."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from violet import _core
from violet.chain import Hotkey, Metagraph
from violet.errors import VioletError
from violet.files import write_atomic
from violet.weighing import Quality, Record, Weighing, score, traded_kinds, weigh

log = logging.getLogger("violet")

VERSION = 1
"""Version of the state file; another one is refused rather than misread."""


class StateError(VioletError, ValueError):
    """The state file cannot be read."""


class Scoreboard:
    """Records by hotkey, in memory and in one file."""

    def __init__(self, path: Path, records: dict[Hotkey, Record]) -> None:
        self._path = path
        self._records = records

    @classmethod
    def open(cls, path: Path) -> Self:
        """The scoreboard in the file `path`; an empty one if there is no file.

        A file that is damaged is passed over for its backup, the file as it was before the last writing.

        Raises:
            StateError: The file is of a newer version, or damaged and so is its backup.
            OSError: It cannot be read.
        """
        backup = _backup(path)
        if not path.exists() and not backup.exists():
            return cls(path, {})
        try:
            return cls(path, _read(path))
        except (StateError, FileNotFoundError) as error:
            try:
                board = cls(path, _read(backup))
            except (VioletError, OSError):
                raise error from None
            log.warning("%s; going on with its backup %s", error, backup)
            return board

    def save(self) -> None:
        """Writes the file so that a crash leaves the old one or the new one; the old one stays as a backup.

        Raises:
            OSError: It cannot be written.
        """
        value = {
            "version": VERSION,
            "miners": {hotkey: asdict(record) for hotkey, record in self._records.items()},
        }
        backup = _backup(self._path)
        if self._path.exists():
            # A second name for the old text; the first is then given to the new one.
            backup.unlink(missing_ok=True)
            backup.hardlink_to(self._path)
        write_atomic(self._path, json.dumps(value))

    def __contains__(self, hotkey: Hotkey) -> bool:
        """Whether anything is known of a miner."""
        return hotkey in self._records

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
        """The miner's score in [0, 1]; 0 for one that is not known yet."""
        record = self._records.get(hotkey)
        return 0.0 if record is None else score(record, traded_kinds(self._records)).value

    def weigh(self, metagraph: Metagraph) -> Weighing:
        """The weights of everybody registered, and how they came about."""
        return weigh(self._records, metagraph)

    def weights(self, metagraph: Metagraph) -> dict[int, float]:
        """Weights by uid for everybody registered; empty when nobody has earned any.

        Miners that are no longer registered are forgotten: who registers again starts anew.
        """
        self._records = {hotkey: r for hotkey, r in self._records.items() if hotkey in metagraph.by_hotkey}
        return dict(self.weigh(metagraph).weights)

    def _record(self, hotkey: Hotkey) -> Record:
        return self._records.setdefault(hotkey, Record())


def _backup(path: Path) -> Path:
    return path.with_name(f"{path.name}.backup")


def _read(path: Path) -> dict[Hotkey, Record]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{path} is not a scoreboard: {error}; move it away to start anew"
        raise StateError(message) from error
    if not isinstance(value, dict) or value.get("version") != VERSION:
        message = f"{path} is not a scoreboard of version {VERSION}; move it away to start anew"
        raise StateError(message)
    try:
        return {
            Hotkey(hotkey): Record(
                **{
                    **record,
                    "qualities": _qualities(record["qualities"]),
                    "direct": _qualities(record.get("direct", {})),
                }
            )
            for hotkey, record in value["miners"].items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = f"{path} is damaged: {error}; move it away to start anew"
        raise StateError(message) from error


def _qualities(values: dict[str, dict[str, float]]) -> dict[str, Quality]:
    return {kind: Quality(**value) for kind, value in values.items()}
