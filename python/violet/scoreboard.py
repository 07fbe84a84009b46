"""What one validator knows about each miner, kept across restarts, and the weights that follow from it."""

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from violet import _core
from violet.chain import Hotkey, Metagraph
from violet.errors import VioletError
from violet.files import write_atomic
from violet.weighing import Quality, Record, Weighing, score, traded_kinds, weigh

log = logging.getLogger("violet")

VERSION = 2
"""Version of the state file; a newer one is refused rather than misread."""

READ_VERSIONS = frozenset({1, VERSION})
"""Versions that are read; what an older one lacks is not known yet."""


KEPT_PROOFS = 2
"""Tries of a miner's capacity that are kept."""


class StateError(VioletError, ValueError):
    """The state file cannot be read."""


@dataclass(frozen=True, slots=True)
class Audit:
    """How far the proxy's account of miners is from what this validator sees itself (`violet::subnet::audit`)."""

    disagreement: float
    """Standard deviations by which miners answer less by the proxy's account, over all miners."""
    by_miner: Mapping[Hotkey, float]
    is_flagged: bool


@dataclass(frozen=True, slots=True)
class Health:
    """What a validator saw of a miner that it asked itself."""

    asked: int
    answered: int
    capacity: int | None
    """Requests at once that it answers in time, by the better of its last tries: users' work may have come between.
    None before the first."""


class Scoreboard:
    """Records by hotkey, in memory and in one file."""

    def __init__(
        self, path: Path, records: dict[Hotkey, Record], rounds: list[dict[Hotkey, float]] | None = None
    ) -> None:
        self._path = path
        self._records = records
        self._rounds = deque(rounds or [], maxlen=_core.MAX_ROUNDS)
        self._writing = threading.Lock()
        self._texts = 0
        """Texts that were made."""

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
            return cls(path, *_read(path))
        except (StateError, FileNotFoundError) as error:
            try:
                board = cls(path, *_read(backup))
            except (VioletError, OSError):
                raise error from None
            log.warning("%s; going on with its backup %s", error, backup)
            return board

    def save(self) -> None:
        """Writes the file so that a crash leaves the old one or the new one; the old one stays as a backup.

        Raises:
            OSError: It cannot be written.
        """
        self._write(*self._text())

    async def save_in_background(self) -> None:
        """As `save`, without holding the event loop up while the disk writes. Only from the loop that adds.

        Raises:
            OSError: It cannot be written.
        """
        await asyncio.to_thread(self._write, *self._text())

    def _text(self) -> tuple[str, int]:
        """What is to be written, with its number; made where nothing is added meanwhile."""
        value = {
            "version": VERSION,
            "miners": {hotkey: asdict(record) for hotkey, record in self._records.items()},
            "rounds": list(self._rounds),
        }
        self._texts += 1
        return json.dumps(value), self._texts

    def _write(self, text: str, number: int) -> None:
        # Several evaluations end at one moment: their threads would make the backup under each other's hands.
        with self._writing:
            if number < self._texts:
                return  # a newer one is on its way
            backup = _backup(self._path)
            if self._path.exists():
                # A second name for the old text; the first is then given to the new one.
                backup.unlink(missing_ok=True)
                backup.hardlink_to(self._path)
            write_atomic(self._path, text)

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

    def add_account(self, hotkey: Hotkey, *, answered: int, silent: int) -> None:
        """Counts what the proxy says of a miner since the last time: leases answered, and ended without a word."""
        record = self._record(hotkey)
        tally = (record.proxy_answered, record.proxy_silent)
        # More than a tally holds would only push out what it has.
        for is_good, count in ((True, answered), (False, silent)):
            for _ in range(min(count, _core.MAX_TALLY)):
                tally = _core.tally_add(tally, is_good)
        record.proxy_answered, record.proxy_silent = tally

    def add_proof(self, hotkey: Hotkey, in_time: int) -> None:
        """Keeps how many requests at once a miner answered in time."""
        record = self._record(hotkey)
        record.proofs = [*record.proofs, in_time][-KEPT_PROOFS:]

    def health(self, hotkeys: Iterable[Hotkey]) -> dict[Hotkey, Health]:
        """What this validator itself saw of miners that it has asked."""
        known = ((hotkey, self._records.get(hotkey)) for hotkey in hotkeys)
        return {
            hotkey: Health(record.asked, record.answered, max(record.proofs, default=None))
            for hotkey, record in known
            if record is not None and record.asked > 0
        }

    def add_round(self, paces: Mapping[Hotkey, float]) -> None:
        """Keeps how long miners took that were asked at one moment, as shares of the time that counts in full."""
        self._rounds.append({hotkey: pace for hotkey, pace in paces.items() if pace > 0})

    def score(self, hotkey: Hotkey) -> float:
        """The miner's score in [0, 1]; 0 for one that is not known yet."""
        record = self._records.get(hotkey)
        return 0.0 if record is None else score(record, traded_kinds(self._records)).value

    def audit(self) -> Audit:
        """Compares the proxy's account with this validator's own direct questions."""
        hotkeys = list(self._records)
        accounts = [
            ((record.proxy_answered, record.proxy_silent), (record.answered, record.asked - record.answered))
            for record in self._records.values()
        ]
        each, together, is_flagged = _core.audit_proxy(accounts)
        return Audit(together, dict(zip(hotkeys, each, strict=True)), is_flagged)

    def weigh(self, metagraph: Metagraph) -> Weighing:
        """The weights of everybody registered, and how they came about."""
        return weigh(self._records, list(self._rounds), metagraph)

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


def _read(path: Path) -> tuple[dict[Hotkey, Record], list[dict[Hotkey, float]]]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{path} is not a scoreboard: {error}; move it away to start anew"
        raise StateError(message) from error
    if not isinstance(value, dict) or value.get("version") not in READ_VERSIONS:
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
        rounds = [{Hotkey(hotkey): float(pace) for hotkey, pace in row.items()} for row in value.get("rounds", [])]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        message = f"{path} is damaged: {error}; move it away to start anew"
        raise StateError(message) from error
    return records, rounds


def _qualities(values: dict[str, dict[str, float]]) -> dict[str, Quality]:
    return {kind: Quality(**value) for kind, value in values.items()}
