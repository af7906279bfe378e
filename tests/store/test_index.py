"""The chunk index: what it finds, what it keeps alive, and how it is made again from the packs."""

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pyi_fs.errors import (
    BusyError,
    CorruptError,
    CorruptPackError,
    FormatTooNewError,
    FormatUnknownError,
)
from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import PackId
from pyi_fs.store import index as index_module
from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex, PacksFound, discard_index
from pyi_fs.store.index_schema import ChunkLocation
from tests.support.index_entries import chunk_id, entry, pack_id


class Packs:
    """A source of packs that are made up; `None` for one that is damaged."""

    def __init__(self, packs: dict[PackId, Sequence[PackEntry] | None]) -> None:
        self.packs = packs

    def list_packs(self) -> list[PackId]:
        return sorted(self.packs)

    def read_index(self, pack: PackId) -> Sequence[PackEntry]:
        if pack not in self.packs:
            raise FileNotFoundError(pack.hex())
        if (entries := self.packs[pack]) is None:
            raise CorruptPackError(pack.hex(), 0)
        return entries


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path)


@pytest.fixture
def index(storage: DirectoryStorage) -> Iterator[ChunkIndex]:
    index = ChunkIndex(storage)
    yield index
    index.close()


@pytest.fixture
def database(index: ChunkIndex, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A second connection, as another process would have it."""
    connection = sqlite3.connect(tmp_path / layout.INDEX, isolation_level=None)
    yield connection
    connection.close()


def condemn(database: sqlite3.Connection, number: int) -> None:
    database.execute("UPDATE chunk SET condemned = 3 WHERE id = ?", (chunk_id(number),))


def condemned(database: sqlite3.Connection) -> set[bytes]:
    query = "SELECT id FROM chunk WHERE condemned IS NOT NULL"
    return {row[0] for row in database.execute(query)}


# --- finding -------------------------------------------------------------------------------------


def test_what_was_added_is_found(index: ChunkIndex) -> None:
    index.add_pack(pack_id(1), [entry(1), entry(2, 110)])
    location = ChunkLocation(pack_id(1), entry(2, 110))
    assert index.find([chunk_id(2), chunk_id(3)]) == {chunk_id(2): location}
    assert index.locate(chunk_id(2)) == location
    assert index.locate(chunk_id(3)) is None
    assert index.known([chunk_id(1), chunk_id(3)]) == {chunk_id(1)}
    assert index.packs() == {pack_id(1)}


def test_many_ids_are_found_at_once(index: ChunkIndex) -> None:
    entries = [entry(number, number) for number in range(1200)]
    index.add_pack(pack_id(1), entries)
    ids = [chunk_id(number) for number in range(1300)]
    assert index.known(ids) == set(ids[:1200])
    assert index.claim(iter(ids)) == set(ids[:1200])
    assert index.find([]) == {}


def test_chunk_stays_in_the_pack_that_was_first(index: ChunkIndex) -> None:
    index.add_pack(pack_id(1), [entry(1)])
    index.add_pack(pack_id(2), [entry(1, 999), entry(2)])
    index.add_pack(pack_id(2), [entry(1, 999), entry(2)])
    assert index.locate(chunk_id(1)) == ChunkLocation(pack_id(1), entry(1))
    assert index.packs() == {pack_id(1), pack_id(2)}


def test_another_process_sees_a_commit_at_once(
    index: ChunkIndex, storage: DirectoryStorage
) -> None:
    other = ChunkIndex(storage)
    index.add_pack(pack_id(1), [entry(1)])
    assert other.known([chunk_id(1)]) == {chunk_id(1)}
    other.close()


def test_index_outlives_its_process(storage: DirectoryStorage) -> None:
    index = ChunkIndex(storage)
    index.add_pack(pack_id(1), [entry(1)])
    index.close()
    again = ChunkIndex(storage)
    assert again.locate(chunk_id(1)) == ChunkLocation(pack_id(1), entry(1))
    again.close()


# --- condemned chunks ----------------------------------------------------------------------------


def test_claim_saves_a_condemned_chunk(index: ChunkIndex, database: sqlite3.Connection) -> None:
    index.add_pack(pack_id(1), [entry(1), entry(2)])
    condemn(database, 1)
    condemn(database, 2)
    assert index.claim([chunk_id(1), chunk_id(3)]) == {chunk_id(1)}
    assert condemned(database) == {chunk_id(2)}


def test_looking_does_not_save_a_condemned_chunk(
    index: ChunkIndex, database: sqlite3.Connection
) -> None:
    index.add_pack(pack_id(1), [entry(1)])
    condemn(database, 1)
    assert index.known([chunk_id(1)]) == {chunk_id(1)}
    assert index.locate(chunk_id(1)) is not None
    assert condemned(database) == {chunk_id(1)}


def test_condemned_chunk_that_is_stored_again_moves_to_the_new_pack(
    index: ChunkIndex, database: sqlite3.Connection
) -> None:
    index.add_pack(pack_id(1), [entry(1)])
    condemn(database, 1)
    index.add_pack(pack_id(2), [entry(1, 77)])
    assert index.locate(chunk_id(1)) == ChunkLocation(pack_id(2), entry(1, 77))
    assert condemned(database) == set()


# --- durability and failures ---------------------------------------------------------------------


def traced(index: ChunkIndex) -> list[str]:
    statements: list[str] = []
    connection: sqlite3.Connection = vars(index)["_connection"]
    connection.set_trace_callback(statements.append)
    return statements


def test_only_a_durable_commit_waits_for_the_disk(index: ChunkIndex) -> None:
    """In WAL mode FULL syncs the log at each commit, NORMAL only before a WAL checkpoint."""
    statements = traced(index)
    index.add_pack(pack_id(1), [entry(1)])
    assert (statements[0], statements[-1]) == ("BEGIN IMMEDIATE", "COMMIT")
    for durable in (
        lambda: index.add_pack(pack_id(2), [entry(2)], durable=True),
        index.sync,
        lambda: index.rebuild(Packs({})),
    ):
        statements.clear()
        durable()
        assert statements[:2] == ["PRAGMA synchronous = FULL", "BEGIN IMMEDIATE"]
        assert statements[-2:] == ["COMMIT", "PRAGMA synchronous = NORMAL"]


def test_transaction_that_fails_leaves_nothing(index: ChunkIndex) -> None:
    with pytest.raises(OSError, match="NOT NULL"):
        index.add_pack(pack_id(1), [entry(1), entry(2)._replace(offset=None)])  # type: ignore[arg-type]
    assert index.packs() == set()
    assert index.known([chunk_id(1)]) == set()
    index.add_pack(pack_id(1), [entry(1)])
    assert index.packs() == {pack_id(1)}


def test_other_writer_that_does_not_end_makes_it_busy(
    storage: DirectoryStorage, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "BUSY_TIMEOUT_SECONDS", 0.01)
    impatient = ChunkIndex(storage)
    database.execute("BEGIN IMMEDIATE")
    for durable in (False, True):
        with pytest.raises(BusyError):
            impatient.add_pack(pack_id(1), [entry(1)], durable=durable)
    assert impatient.packs() == set()
    database.execute("ROLLBACK")
    impatient.add_pack(pack_id(1), [entry(1)])
    impatient.close()


def test_full_disk_is_no_space(index: ChunkIndex, database: sqlite3.Connection) -> None:
    connection: sqlite3.Connection = vars(index)["_connection"]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OSError, match="No space") as caught:
        index.add_pack(pack_id(1), [entry(number) for number in range(1000)])
    assert caught.value.errno == errno.ENOSPC
    assert index.packs() == set()


def test_connection_is_not_used_after_a_process_fork(
    index: ChunkIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    with pytest.raises(AssertionError, match="process fork"):
        index.locate(chunk_id(1))
    monkeypatch.undo()
    assert index.locate(chunk_id(1)) is None


# --- opening -------------------------------------------------------------------------------------


def test_database_is_for_its_owner_only(index: ChunkIndex, tmp_path: Path) -> None:
    index.add_pack(pack_id(1), [entry(1)])
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["index.sqlite", "index.sqlite-shm", "index.sqlite-wal", "index.sqlite.lock"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_opening_a_ready_index_imports_no_migrations(index: ChunkIndex, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pyi_fs.store.directory_storage import DirectoryStorage\n"
        "from pyi_fs.store.index import ChunkIndex\n"
        "ChunkIndex(DirectoryStorage(sys.argv[1])).close()\n"
        "print('sqlite_utils' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.check_output(command, env=environment) == b"False\n"


def test_index_of_a_later_version_is_refused(
    index: ChunkIndex, storage: DirectoryStorage, database: sqlite3.Connection
) -> None:
    database.execute("PRAGMA user_version = 99")
    with pytest.raises(FormatTooNewError, match="schema 99"):
        ChunkIndex(storage)


def test_database_of_something_else_is_refused(storage: DirectoryStorage, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / layout.INDEX)
    connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(FormatUnknownError):
        ChunkIndex(storage)


def test_index_whose_making_stopped_halfway_is_finished(
    storage: DirectoryStorage, tmp_path: Path
) -> None:
    """The table of migrations is made first; another process may see just that, or it died."""
    connection = sqlite3.connect(tmp_path / layout.INDEX)
    connection.execute(
        "CREATE TABLE _sqlite_migrations"
        " (id INTEGER PRIMARY KEY, migration_set TEXT, name TEXT, applied_at TEXT)"
    )
    connection.close()
    index = ChunkIndex(storage)
    assert index.packs() == set()
    index.close()


def test_damaged_index_is_refused_and_can_be_discarded(
    storage: DirectoryStorage, tmp_path: Path
) -> None:
    (tmp_path / layout.INDEX).write_bytes(b"this is no database" * 1000)
    with pytest.raises(CorruptError):
        ChunkIndex(storage)
    discard_index(storage)
    index = ChunkIndex(storage)
    assert index.rebuild(Packs({pack_id(1): [entry(1)]})) == PacksFound(1, 0, ())
    assert index.known([chunk_id(1)]) == {chunk_id(1)}
    index.close()


# --- made again from the packs -------------------------------------------------------------------


def test_packs_that_a_crash_kept_out_are_added(index: ChunkIndex) -> None:
    index.add_pack(pack_id(1), [entry(1)])
    packs = Packs({pack_id(1): [entry(1)], pack_id(2): [entry(2)], pack_id(3): [entry(3)]})
    assert index.reconcile(packs) == PacksFound(2, 0, ())
    assert index.known(map(chunk_id, range(5))) == {chunk_id(1), chunk_id(2), chunk_id(3)}
    assert index.reconcile(packs) == PacksFound(0, 0, ())


def test_chunk_of_a_pack_that_is_gone_is_forgotten_or_found_in_another(index: ChunkIndex) -> None:
    """A row that leads nowhere would keep the chunk from being stored again."""
    index.add_pack(pack_id(1), [entry(1), entry(2)])
    index.add_pack(pack_id(2), [entry(2, 55)])
    assert index.reconcile(Packs({pack_id(2): [entry(2, 55)]})) == PacksFound(1, 1, ())
    assert index.locate(chunk_id(1)) is None
    assert index.locate(chunk_id(2)) == ChunkLocation(pack_id(2), entry(2, 55))


def test_pack_published_while_reconciling_is_not_taken_for_gone(index: ChunkIndex) -> None:
    index.add_pack(pack_id(1), [entry(1)])

    class Growing(Packs):
        def list_packs(self) -> list[PackId]:
            listed = super().list_packs()
            self.packs[pack_id(2)] = [entry(2)]
            index.add_pack(pack_id(2), [entry(2)])
            return listed

    found = index.reconcile(Growing({pack_id(1): [entry(1)]}))
    assert found == PacksFound(0, 0, ())
    assert index.known([chunk_id(1), chunk_id(2)]) == {chunk_id(1), chunk_id(2)}


def test_pack_collected_while_reconciling_is_passed_over(index: ChunkIndex) -> None:
    class Shrinking(Packs):
        def list_packs(self) -> list[PackId]:
            listed = super().list_packs()
            self.packs.pop(pack_id(1), None)
            return listed

    found = index.reconcile(Shrinking({pack_id(1): [entry(1)], pack_id(2): [entry(2)]}))
    assert found == PacksFound(1, 0, ())
    assert index.packs() == {pack_id(2)}


def test_damaged_pack_is_reported_and_keeps_nothing_else_out(index: ChunkIndex) -> None:
    packs = Packs({pack_id(1): None, pack_id(2): [entry(2)]})
    assert index.reconcile(packs) == PacksFound(1, 0, (pack_id(1),))
    assert index.known([chunk_id(2)]) == {chunk_id(2)}
    assert index.rebuild(packs) == PacksFound(1, 0, (pack_id(1),))


def test_rebuilt_index_holds_what_the_packs_hold(
    index: ChunkIndex, database: sqlite3.Connection
) -> None:
    index.add_pack(pack_id(9), [entry(9)])
    condemn(database, 9)
    packs = Packs({pack_id(1): [entry(1), entry(2)], pack_id(2): [entry(2), entry(3)]})
    assert index.rebuild(packs) == PacksFound(2, 0, ())
    assert index.packs() == {pack_id(1), pack_id(2)}
    assert index.known(map(chunk_id, range(10))) == {chunk_id(1), chunk_id(2), chunk_id(3)}
    assert condemned(database) == set()


def test_a_compacted_index_has_no_trace_of_what_was_deleted(
    index: ChunkIndex, tmp_path: Path
) -> None:
    def traces() -> list[str]:
        files = (layout.INDEX, f"{layout.INDEX}-wal")
        return [name for name in files if bytes(chunk_id(7)) in (tmp_path / name).read_bytes()]

    index.add_pack(pack_id(1), [entry(number) for number in range(2000)])
    with index.transaction() as connection:
        connection.execute("DELETE FROM chunk WHERE id = ?", (chunk_id(7),))
    assert traces()
    index.compact()
    assert traces() == []
    assert index.known([chunk_id(7), chunk_id(8)]) == {chunk_id(8)}


def test_compacting_beside_a_long_read_says_that_it_is_not_done(
    index: ChunkIndex, database: sqlite3.Connection
) -> None:
    with index.transaction() as connection:
        connection.execute("INSERT INTO pack VALUES (?, 1, 1)", (pack_id(1),))
    database.execute("BEGIN")
    database.execute("SELECT count(*) FROM pack").fetchone()
    with index.transaction() as connection:
        connection.execute("DELETE FROM pack")
    index._connection.execute("PRAGMA busy_timeout = 0")  # noqa: SLF001 - nobody to wait for
    with pytest.raises(BusyError):
        index.compact()
    database.execute("COMMIT")
    index.compact()
