"""The file of a local chain that goes away and comes back, as a chain's node does."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from bittensor_wallet import Keypair

from violet.chain.ledger import Ledger
from violet.chain.rules import Rules, extrinsic
from violet.errors import ChainUnreachableError

ALICE, BOB = Keypair.create_from_uri("//A"), Keypair.create_from_uri("//B")


def copied(path: Path) -> Path:
    """A copy of the chain, as of now."""
    copy = path.with_name("copy.sqlite")
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(copy)) as target:
        db.backup(target)
    return copy


def removed(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "chain.sqlite"


@pytest.fixture
def ledgers(path: Path) -> Iterator[list[Ledger]]:
    """Two connections, as of two processes."""
    opened = [Ledger.create(path, Rules()), Ledger.open(path)]
    opened[0].submit(*extrinsic(ALICE, "register", {"coldkey": "cold"}))
    yield opened
    for ledger in opened:
        ledger.close()


def test_a_chain_without_its_file_is_unreachable_and_comes_back(path: Path, ledgers: list[Ledger]) -> None:
    copy = copied(path)
    removed(path)
    for ledger in ledgers:
        for _ in range(2):
            with pytest.raises(ChainUnreachableError, match=r"localnet at .*: No such file"):
                ledger.metagraph()
    shutil.move(copy, path)
    ledgers[1].submit(*extrinsic(BOB, "register", {"coldkey": "cold"}))
    for ledger in ledgers:
        assert [neuron.hotkey for neuron in ledger.metagraph().neurons] == [ALICE.ss58_address, BOB.ss58_address]
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_new_chain_in_the_place_of_an_old_one_is_seen(path: Path, ledgers: list[Ledger]) -> None:
    removed(path)
    Ledger.create(path, Rules(tempo=7)).close()
    for ledger in ledgers:
        assert ledger.metagraph().neurons == ()
        assert ledger.rules.tempo == 7


def test_a_file_that_is_no_chain_is_unreachable_until_it_is_one(path: Path, ledgers: list[Ledger]) -> None:
    copy = copied(path)
    removed(path)
    path.write_text("not a database, but long enough to be read as one" * 100)
    for _ in range(2):
        with pytest.raises(ChainUnreachableError):
            ledgers[0].block()
    shutil.move(copy, path)
    assert len(ledgers[0].metagraph().neurons) == 1
