"""The file of a local chain: one SQLite database in WAL mode, shared by the processes of this machine.

It keeps one subnet's registrations, stake, weights, bonds and epochs. Every change is one `BEGIN IMMEDIATE`
transaction, and every transaction first runs the epochs that are due, so each epoch runs exactly once, whoever comes
first after its block. Blocks follow the clock; `step` moves them on.

Faults can be injected (`inject`): calls that fail, calls that stall, and a chain that forgets its newest blocks.

Differs from subtensor: what is earned does not become stake, permits follow stake at once, and committed weights lie
in the file as plain text until they count.
"""

import ipaddress
import json
import math
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from violet._core import yuma_epoch, yuma_permits
from violet.chain.rules import U16_MAX, Rules, read_extrinsic
from violet.chain.types import Coldkey, Hotkey, Metagraph, Neuron
from violet.errors import ChainError, ChainUnreachableError, NoPermitError, NotRegisteredError, WeightsTooSoonError
from violet.protocol import sha256_hex

__all__ = ["Ledger", "Rules", "Totals"]

LOCK_WAIT_S = 10.0
"""Longest wait for another process's transaction."""

MAX_REPLAYED_EPOCHS = 10_000
"""Most missed epochs that are made up for; what older ones would have paid is forgone."""

MAX_STEP = 1_000_000_000
"""Most blocks that one step may pass."""

SCHEMA = """
CREATE TABLE chain (rules TEXT NOT NULL, genesis_s REAL NOT NULL, stepped INTEGER NOT NULL, last_epoch INTEGER NOT NULL,
                    epochs INTEGER NOT NULL, owner_cut REAL NOT NULL, burned REAL NOT NULL);
CREATE TABLE neurons (uid INTEGER PRIMARY KEY, hotkey TEXT NOT NULL UNIQUE, coldkey TEXT NOT NULL, stake REAL NOT NULL,
                      earned REAL NOT NULL, validator_permit INTEGER NOT NULL, ip TEXT NOT NULL, port INTEGER NOT NULL,
                      incentive REAL NOT NULL, dividends REAL NOT NULL, emission REAL NOT NULL, consensus REAL NOT NULL,
                      last_update INTEGER NOT NULL, registered_at INTEGER NOT NULL);
CREATE TABLE weights (uid INTEGER NOT NULL, miner INTEGER NOT NULL, weight INTEGER NOT NULL, PRIMARY KEY (uid, miner));
CREATE TABLE bonds (uid INTEGER NOT NULL, miner INTEGER NOT NULL, bond REAL NOT NULL, PRIMARY KEY (uid, miner));
CREATE TABLE nonces (hotkey TEXT PRIMARY KEY, nonce INTEGER NOT NULL);
"""

LATER_SCHEMA = """
CREATE TABLE IF NOT EXISTS commits (uid INTEGER NOT NULL, due INTEGER NOT NULL, weights TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, value REAL NOT NULL);
"""
"""What files of earlier versions lack; made when a file is opened."""

MAX_STALL_S = 3600.0
MAX_FAULTS = 1000
"""Bounds of what can be injected."""


@dataclass(frozen=True, slots=True)
class Totals:
    """What a local chain has paid since its genesis."""

    epochs: int
    owner_cut: float
    burned: float
    earned: dict[Hotkey, float]
    """Sum of all emission, by hotkey."""


class Ledger:
    """An open local chain; its methods may be called from any thread."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        try:
            uri = f"{self.path.absolute().as_uri()}?mode=rw"
            self._file = self._identity()
            self._db = sqlite3.connect(
                uri, uri=True, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
            )
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.row_factory = sqlite3.Row
            self._db.executescript(f"BEGIN IMMEDIATE; {LATER_SCHEMA} COMMIT;")
            self.rules = Rules(**json.loads(self._db.execute("SELECT rules FROM chain").fetchone()["rules"]))
        except (sqlite3.Error, OSError, TypeError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            message = f"no localnet at {self.path} ({why}); make one with: violet localnet create"
            raise ChainUnreachableError(message) from error

    def _identity(self) -> tuple[int, int]:
        found = self.path.stat()
        return found.st_dev, found.st_ino

    def _follow_file(self) -> None:
        """Opens the file again if another one is in its place; it would go on in one that nobody else has.

        Raises:
            ChainUnreachableError: There is none now, as if the node were away.
        """
        try:
            is_same = self._identity() == self._file
        except OSError as error:
            message = f"localnet at {self.path}: {error.strerror}"
            raise ChainUnreachableError(message) from error
        if not is_same:
            self._db.close()
            self._open()

    @classmethod
    def create(cls, path: Path, rules: Rules, clock: Callable[[], float] = time.time) -> Self:
        """Makes the file of a new chain, at block 0.

        Raises:
            FileExistsError: There is a file already.
            OSError: The file cannot be made.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        # Whoever finds the file finds it whole: it is made under another name.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as directory:
            whole = Path(directory) / "chain"
            db = sqlite3.connect(whole, isolation_level=None)
            try:
                db.execute("PRAGMA journal_mode = WAL")
                db.executescript(f"BEGIN; {SCHEMA} COMMIT;")
                db.execute("INSERT INTO chain VALUES (?, ?, 0, 0, 0, 0, 0)", (json.dumps(asdict(rules)), clock()))
            finally:
                db.close()
            try:
                path.hardlink_to(whole)
            except FileExistsError as error:
                message = f"there is a localnet at {path} already; delete it, or choose another path"
                raise FileExistsError(message) from error
        return cls(path, clock)

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float] = time.time) -> Self:
        """Opens the file of a chain.

        Raises:
            ChainUnreachableError: There is none.
        """
        return cls(path, clock)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._db.close()

    def block(self) -> int:
        """Number of the newest block."""
        with self._transaction(is_write=False):
            return self._block()

    def block_hash(self) -> str:
        """A hash of the chain's beginning and the newest block's number."""
        with self._transaction(is_write=False) as db:
            genesis_s: float = db.execute("SELECT genesis_s FROM chain").fetchone()[0]
            return "0x" + sha256_hex(f"violet/localnet/1\n{self.rules.netuid}\n{genesis_s!r}\n{self._block()}")

    def metagraph(self) -> Metagraph:
        """Everybody who is registered."""
        with self._transaction(is_write=False) as db:
            rows = db.execute("SELECT * FROM neurons ORDER BY uid").fetchall()
            block = self._block()
        neurons = tuple(
            Neuron(
                uid=row["uid"],
                hotkey=Hotkey(row["hotkey"]),
                coldkey=Coldkey(row["coldkey"]),
                stake=row["stake"],
                validator_permit=bool(row["validator_permit"]),
                ip=row["ip"],
                port=row["port"],
                incentive=row["incentive"],
                dividends=row["dividends"],
                emission=row["emission"],
                consensus=row["consensus"],
                last_update=row["last_update"],
            )
            for row in rows
        )
        return Metagraph(
            netuid=self.rules.netuid,
            network="localnet",
            block=block,
            tempo=self.rules.tempo,
            neurons=neurons,
            synced_at_ms=int(self._clock() * 1000),
            owner_uid=next((n.uid for n in neurons if n.hotkey == self.rules.owner_hotkey), None),
        )

    def totals(self) -> Totals:
        """What was paid since the genesis."""
        with self._transaction(is_write=False) as db:
            chain = db.execute("SELECT * FROM chain").fetchone()
            rows = db.execute("SELECT hotkey, earned FROM neurons ORDER BY uid").fetchall()
        earned = {Hotkey(row["hotkey"]): row["earned"] for row in rows}
        return Totals(chain["epochs"], chain["owner_cut"], chain["burned"], earned)

    def weights(self) -> dict[int, dict[int, float]]:
        """The weights that count now: each validator's, by uid, as shares of its whole by the miners' uids."""
        found: dict[int, dict[int, float]] = {}
        with self._transaction(is_write=False) as db:
            rows = db.execute("SELECT uid, miner, weight FROM weights ORDER BY uid, miner").fetchall()
        for uid, miner, weight in rows:
            found.setdefault(uid, {})[miner] = float(weight)
        return {uid: {m: w / sum(row.values()) for m, w in row.items()} for uid, row in found.items()}

    def blocks_until_next_epoch(self) -> int:
        """Blocks until weights are turned into emission again, at least 1."""
        with self._transaction(is_write=False) as db:
            last: int = db.execute("SELECT last_epoch FROM chain").fetchone()[0]
            return max(1, last + self.rules.tempo - self._block())

    def step(self, blocks: int) -> int:
        """Moves the chain on by `blocks` at once; returns the newest block's number.

        Raises:
            ValueError: `blocks` is negative or absurd.
        """
        if not 0 <= blocks <= MAX_STEP:
            message = f"cannot step by {blocks} blocks; expected 0 to {MAX_STEP}"
            raise ValueError(message)
        with self._transaction(is_write=True) as db:
            db.execute("UPDATE chain SET stepped = stepped + ?", (blocks,))
            self._run_due_epochs()
            return self._block()

    def add_stake(self, hotkey: str, amount: float) -> None:
        """Gives stake to a neuron (or takes it, down to 0): a local chain's faucet, signed by nobody.

        Raises:
            NotRegisteredError: The hotkey has no uid.
            ValueError: The amount is not finite.
        """
        if not math.isfinite(amount):
            message = f"stake of {amount} cannot be added; expected a finite number"
            raise ValueError(message)
        with self._transaction(is_write=True) as db:
            self._row(hotkey)
            db.execute("UPDATE neurons SET stake = max(0, stake + ?) WHERE hotkey = ?", (amount, hotkey))
            self._update_permits()

    def inject(self, kind: str, value: float, count: int = 1) -> None:
        """Lets the next `count` calls of any process go wrong, for tests.

        Args:
            kind: `fail` (the call fails as if the node were away), `stall` (it takes `value` seconds) or `fork` (the
                chain forgets its newest `value` blocks, but none before the last epoch; happens now).
            value: See there; nothing to `fail`.
            count: How many calls.

        Raises:
            ValueError: Another kind, or a value that cannot be.
        """
        limits = {"fail": math.inf, "stall": MAX_STALL_S, "fork": MAX_STEP}
        if kind not in limits or not 0 <= value <= limits[kind] or not 1 <= count <= MAX_FAULTS:
            message = (
                f"cannot inject {kind} {value:g} x {count}; expected fail, stall SECONDS or fork BLOCKS, and a count"
            )
            raise ValueError(message)
        with self._transaction(is_write=True, is_faulty=False) as db:
            if kind == "fork":
                db.execute("UPDATE chain SET stepped = stepped - ?", (int(value) * count,))
            else:
                db.executemany("INSERT INTO faults (kind, value) VALUES (?, ?)", [(kind, value)] * count)

    def submit(self, payload: str, signature: str) -> None:
        """Does a signed call (see `extrinsic`): all of it, or nothing.

        Raises:
            ChainError: The signature is not the hotkey's, the nonce was used, or the arguments are impossible.
            NotRegisteredError: The hotkey has no uid.
            NoPermitError: Weights from a hotkey without a permit.
            WeightsTooSoonError: Weights within the rate limit.
        """
        call = read_extrinsic(payload, signature)
        calls: dict[str, Callable[..., None]] = {
            "register": self._register,
            "serve": self._serve,
            "set_weights": self._set_weights,
        }
        if call.name not in calls:
            message = f"no such call: {call.name:.60}"
            raise ChainError(message)
        with self._transaction(is_write=True) as db:
            last = db.execute("SELECT nonce FROM nonces WHERE hotkey = ?", (call.hotkey,)).fetchone()
            if last is not None and call.nonce <= last["nonce"]:
                message = f"nonce {call.nonce} of {call.hotkey} was used before"
                raise ChainError(message)
            try:
                calls[call.name](call.hotkey, **call.arguments)
            except TypeError as error:
                message = f"{call.name} with impossible arguments: {error}"
                raise ChainError(message) from error
            db.execute("INSERT OR REPLACE INTO nonces VALUES (?, ?)", (call.hotkey, call.nonce))

    # What follows runs inside a transaction.

    @contextmanager
    def _transaction(self, *, is_write: bool, is_faulty: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, begun by running the epochs that are due.

        Raises:
            ChainUnreachableError: The file is gone, damaged or locked for too long.
        """
        with self._lock:
            self._follow_file()
            try:
                if is_faulty:
                    self._suffer()
                self._db.execute("BEGIN IMMEDIATE" if is_write else "BEGIN")
                if not is_write and self._due_epochs():
                    self._db.execute("COMMIT")
                    self._db.execute("BEGIN IMMEDIATE")
                self._run_due_epochs()
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                message = f"localnet at {self.path}: {error}"
                raise ChainUnreachableError(message) from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _suffer(self) -> None:
        """Goes wrong if that was injected."""
        if self._db.execute("SELECT 1 FROM faults LIMIT 1").fetchone() is None:
            return
        taken = "DELETE FROM faults WHERE id = (SELECT min(id) FROM faults) RETURNING kind, value"
        row = self._db.execute(taken).fetchone()
        if row is not None and row["kind"] == "fail":
            message = f"localnet at {self.path}: a failure that was injected"
            raise ChainUnreachableError(message)
        if row is not None:
            time.sleep(row["value"])

    def _block(self) -> int:
        chain = self._db.execute("SELECT genesis_s, stepped, last_epoch FROM chain").fetchone()
        passed = int((self._clock() - chain["genesis_s"]) / self.rules.block_time_s)
        # A clock that is set back stops the chain; it does not undo epochs.
        newest: int = max(chain["stepped"] + max(0, passed), chain["last_epoch"])
        return newest

    def _due_epochs(self) -> range:
        """The blocks of the epochs that were not run yet."""
        last: int = self._db.execute("SELECT last_epoch FROM chain").fetchone()[0]
        due = range(last + self.rules.tempo, self._block() + 1, self.rules.tempo)
        return due[-MAX_REPLAYED_EPOCHS:]

    def _row(self, hotkey: str) -> sqlite3.Row:
        row: sqlite3.Row | None = self._db.execute("SELECT * FROM neurons WHERE hotkey = ?", (hotkey,)).fetchone()
        if row is None:
            message = f"hotkey {hotkey} is not registered on localnet {self.rules.netuid}; register it first"
            raise NotRegisteredError(message)
        return row

    def _register(self, hotkey: str, *, coldkey: str) -> None:
        known = self._db.execute("SELECT coldkey FROM neurons WHERE hotkey = ?", (hotkey,)).fetchone()
        if known is not None:
            if known["coldkey"] == coldkey:
                return
            message = f"hotkey {hotkey} is registered already, by coldkey {known['coldkey']}"
            raise ChainError(message)
        uid = self._db.execute("SELECT count(*) FROM neurons").fetchone()[0]
        if uid >= self.rules.max_uids:
            uid = self._prune()
        insert = "INSERT INTO neurons VALUES (?, ?, ?, 0, 0, 0, '0.0.0.0', 0, 0, 0, 0, 0, 0, ?)"
        self._db.execute(insert, (uid, hotkey, coldkey, self._block()))

    def _prune(self) -> int:
        """Frees the uid of the neuron that earned least in the last epoch, of equals the one that came first.

        Source: subtensor's `get_neuron_to_prune`: neurons in their immunity period only where there is no other.
        """
        least = """SELECT uid FROM neurons WHERE hotkey IS NOT ?
                   ORDER BY registered_at + ? > ?, emission, registered_at, uid LIMIT 1"""
        arguments = (self.rules.owner_hotkey, self.rules.immunity_period, self._block())
        row = self._db.execute(least, arguments).fetchone()
        if row is None:
            message = f"all {self.rules.max_uids} uids are taken, by the owner"
            raise ChainError(message)
        uid: int = row["uid"]
        # What was said about the old one is not about the new one.
        for table in ("weights", "bonds"):
            self._db.execute(f"DELETE FROM {table} WHERE uid = ? OR miner = ?", (uid, uid))
        self._db.execute("DELETE FROM commits WHERE uid = ?", (uid,))
        self._db.execute("DELETE FROM neurons WHERE uid = ?", (uid,))
        return uid

    def _serve(self, hotkey: str, *, ip: str, port: int) -> None:
        self._row(hotkey)
        try:
            ipaddress.ip_address(ip)
        except ValueError as error:
            raise ChainError(str(error)) from error
        if not 0 < port <= U16_MAX:
            message = f"{port} is not a port"
            raise ChainError(message)
        self._db.execute("UPDATE neurons SET ip = ?, port = ? WHERE hotkey = ?", (ip, port, hotkey))

    def _set_weights(self, hotkey: str, *, uids: list[int], weights: list[float], version_key: int) -> None:
        row, block = self._row(hotkey), self._block()
        if not row["validator_permit"]:
            message = f"hotkey {hotkey} has no validator permit: its stake is {row['stake']:g}"
            raise NoPermitError(message)
        wait = row["last_update"] + self.rules.weights_rate_limit - block if row["last_update"] else 0
        if wait > 0:
            message = f"weights were set {block - row['last_update']} blocks ago; wait {wait} more"
            raise WeightsTooSoonError(message, blocks_to_wait=wait)
        count = self._db.execute("SELECT count(*) FROM neurons").fetchone()[0]
        self.rules.check_weights(uids, weights, version_key, count)
        greatest = max(weights)
        entries = [(uid, round(weight / greatest * U16_MAX)) for uid, weight in zip(uids, weights, strict=True)]
        if self.rules.commit_reveal:
            last: int = self._db.execute("SELECT last_epoch FROM chain").fetchone()[0]
            due = last + (1 + self.rules.reveal_period) * self.rules.tempo
            names = [self._hotkey(uid) for uid, _ in entries]
            text = json.dumps([(name, weight) for name, (_, weight) in zip(names, entries, strict=True)])
            self._db.execute("INSERT INTO commits VALUES (?, ?, ?)", (row["uid"], due, text))
        else:
            self._put_weights(row["uid"], entries)
        self._db.execute("UPDATE neurons SET last_update = ? WHERE hotkey = ?", (max(1, block), hotkey))

    def _hotkey(self, uid: int) -> str:
        return str(self._db.execute("SELECT hotkey FROM neurons WHERE uid = ?", (uid,)).fetchone()["hotkey"])

    def _put_weights(self, uid: int, entries: Iterable[tuple[int, int]]) -> None:
        self._db.execute("DELETE FROM weights WHERE uid = ?", (uid,))
        rows = [(uid, miner, weight) for miner, weight in entries if weight > 0]
        self._db.executemany("INSERT INTO weights VALUES (?, ?, ?)", rows)

    def _reveal(self, block: int) -> bool:
        """Lets the weights count whose time is an epoch up to this block; whether there are any.

        Who left since is left out.
        """
        query = "SELECT uid, weights FROM commits WHERE due <= ? ORDER BY due, rowid"
        due = self._db.execute(query, (block,)).fetchall()
        uids = {row["hotkey"]: row["uid"] for row in self._db.execute("SELECT uid, hotkey FROM neurons")}
        for row in due:
            said = [(uids[hotkey], weight) for hotkey, weight in json.loads(row["weights"]) if hotkey in uids]
            self._put_weights(row["uid"], said)
        self._db.execute("DELETE FROM commits WHERE due <= ?", (block,))
        return bool(due)

    def _update_permits(self) -> None:
        rows = self._db.execute("SELECT uid, stake FROM neurons ORDER BY uid").fetchall()
        permits = yuma_permits([row["stake"] for row in rows], self.rules.max_validators)
        changes = [(permit, row["uid"]) for permit, row in zip(permits, rows, strict=True)]
        self._db.executemany("UPDATE neurons SET validator_permit = ? WHERE uid = ?", changes)

    def _run_due_epochs(self) -> None:
        due = self._due_epochs()
        if not due:
            return
        neurons = self._db.execute("SELECT * FROM neurons ORDER BY uid").fetchall()
        found: dict[str, Any] | None = None
        earned, owner_cut, burned = [0.0] * len(neurons), 0.0, 0.0
        bonds = self._rows_of("SELECT uid, miner, bond FROM bonds", len(neurons))
        owner = next((row["uid"] for row in neurons if row["hotkey"] == self.rules.owner_hotkey), None)
        weights = self._rows_of("SELECT uid, miner, weight FROM weights", len(neurons))
        for block in due:
            if self._reveal(block):
                weights = self._rows_of("SELECT uid, miner, weight FROM weights", len(neurons))
            cutoff = block - self.rules.activity_cutoff
            found = yuma_epoch(
                stake=[row["stake"] for row in neurons],
                permits=[bool(row["validator_permit"]) for row in neurons],
                active=[max(row["last_update"], row["registered_at"]) >= cutoff for row in neurons],
                weights=weights,
                bonds=bonds,
                emission=self.rules.emission_per_block * self.rules.tempo,
                owner=owner,
            )
            bonds = found["bonds"]
            owner_cut, burned = owner_cut + found["owner_cut"], burned + found["burned"]
            earned = [sum_ + paid for sum_, paid in zip(earned, found["emission"], strict=True)]
        self._save_epochs(found or {}, bonds, earned)
        self._db.execute(
            "UPDATE chain SET last_epoch = ?, epochs = epochs + ?, owner_cut = owner_cut + ?, burned = burned + ?",
            (due[-1], len(due), owner_cut, burned),
        )

    def _save_epochs(self, found: dict[str, Any], bonds: list[list[tuple[int, float]]], earned: list[float]) -> None:
        """Writes what the newest epoch found, and what all of them paid."""
        names = ("incentive", "dividends", "emission", "consensus")
        columns = zip(*(found[name] for name in names), earned, range(len(earned)), strict=True)
        update = "UPDATE neurons SET incentive=?, dividends=?, emission=?, consensus=?, earned = earned + ? WHERE uid=?"
        self._db.executemany(update, list(columns))
        self._db.execute("DELETE FROM bonds")
        entries = [(uid, miner, bond) for uid, row in enumerate(bonds) for miner, bond in row]
        self._db.executemany("INSERT INTO bonds VALUES (?, ?, ?)", entries)

    def _rows_of(self, query: str, count: int) -> list[list[tuple[int, float]]]:
        """A sparse matrix with one row per uid."""
        rows: list[list[tuple[int, float]]] = [[] for _ in range(count)]
        for uid, miner, value in self._db.execute(query):
            rows[uid].append((miner, float(value)))
        return rows
