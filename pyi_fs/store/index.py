"""The chunk index is shared by many processes: an SQLite database that says where each chunk is.

A cache of what the packs say of themselves, but for leases and condemnations: it may be deleted and
is built again from the packs. A pack is published before it is told to the index, so what the index
names exists, and what a crash kept from the index is found again by `reconcile`.

Invariants:
- A chunk has one row, though several packs may hold it.
- One connection per process, never carried across a process fork (sqlite.org, "How To Corrupt An
  SQLite Database File", 2.6); calls of several threads take turns.
- Commits survive the process at once; power loss only after a durable one (`durable`, `sync`).

The only file that talks to SQLite. `store/index_schema.py` is the reference of the schema.
"""

import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from sqlite3 import connect
from typing import NamedTuple, Protocol

from pyi_fs.errors import (
    BusyError,
    CorruptPackError,
    ForeignFileError,
    FormatTooNewError,
    FormatUnknownError,
)
from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import ChunkId, PackId
from pyi_fs.store import index_schema, layout
from pyi_fs.store.index_guard import BUSY_TIMEOUT_SECONDS, Guard, Transaction
from pyi_fs.store.index_schema import SCHEMA_VERSION, ChunkLocation, location_of
from pyi_fs.store.storage import Storage

LOCK_PATH = f"{layout.INDEX}.lock"
CACHE_KIB = 2048
"""SQLite's own page cache, per process; what it misses is in the kernel's."""
QUERY_IDS_MAX = 500
"""Ids in one statement: enough to amortise it, and far from SQLite's limit of 32,766 variables."""

AT_HAND_SECONDS = 2.0
"""What is all in memory is not gone a moment later: looking takes some 25 us a mebibyte."""

_FILES = tuple(layout.INDEX + suffix for suffix in ("", "-wal", "-shm", "-journal"))
_READ_FILES = _FILES[:2]
_COLUMNS = "id, pack, offset, raw_length, stored_length, method"
_ANY_TABLE = "SELECT 1 FROM sqlite_schema WHERE tbl_name <> '_sqlite_migrations' LIMIT 1"
_LOCATE = f"SELECT {_COLUMNS} FROM chunk WHERE id = ?"
_ADD_CHUNK = f"""
    INSERT INTO chunk ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET
        pack = excluded.pack, offset = excluded.offset, raw_length = excluded.raw_length,
        stored_length = excluded.stored_length, method = excluded.method, condemned = NULL
    WHERE condemned IS NOT NULL
"""
_ADD_PACK = """
    INSERT INTO pack (id, size_bytes, entry_count) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING
"""


class PackSource(Protocol):
    """What the index is built from: the packs that exist and what they say of themselves."""

    def list_packs(self) -> Iterable[PackId]:
        """Returns the ids of all packs."""

    def read_index(self, pack: PackId) -> Sequence[PackEntry]:
        """Returns a pack's entries; `FileNotFoundError` if it is gone."""


class PacksFound(NamedTuple):
    """What `reconcile` and `rebuild` found.

    `added` packs are in the index now that were not; `gone` ones were in it and no longer exist;
    the `damaged` ones exist, but their own index cannot be read, so their chunks are not known.
    """

    added: int
    gone: int
    damaged: tuple[PackId, ...]


class ChunkIndex:
    """A process's connection to the index of its store."""

    def __init__(self, storage: Storage, *, read_only: bool = False) -> None:
        """Opens the index, and makes or migrates it if need be; not if it is only to be read.

        Raises `FormatTooNewError` if a later version wrote it, `FormatUnknownError` if that is not
        our database, `CorruptError` if it is damaged (see `discard_index`).
        """
        self._guard = Guard()
        self._looked_again, self._was_at_hand = 0.0, False
        self._storage = storage
        self._read_only = read_only
        with self._guard:
            self._connect()

    def _connect(self) -> None:
        # First by us, so that the mode is 0600; SQLite gives its other files the same.
        if not self._read_only:
            with suppress(FileExistsError):
                self._storage.open_append(layout.INDEX, create=True).close()
        # SQLite would follow links; this refuses them.
        host_path, *_ = [self._storage.host_path(name) for name in _FILES]
        if os.path.isdir(host_path):
            raise ForeignFileError(layout.INDEX, "a file")
        self._connection = connect(
            index_schema.read_only_uri(host_path) if self._read_only else host_path,
            uri=self._read_only,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._prepare(self._storage)
        except BaseException as error:
            self._connection.close()
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CANTOPEN:
                self._storage.open_append(layout.INDEX).close()  # The kernel says why not.
            raise
        self._file = self._named_file()

    def _named_file(self) -> tuple[int, int] | None:
        """Returns which file has the index's name."""
        with suppress(FileNotFoundError):
            status = os.stat(self._storage.host_path(layout.INDEX))
            return status.st_dev, status.st_ino
        return None

    def find(self, chunks: Iterable[ChunkId]) -> dict[ChunkId, ChunkLocation]:
        """Returns where those of the chunks are that the index knows."""
        found = {}
        with self._guard:
            for batch in _batches(chunks):
                query = f"SELECT {_COLUMNS} FROM chunk WHERE id IN ({_marks(batch)})"
                for row in self._connection.execute(query, batch):
                    found[ChunkId(row[0])] = location_of(row)
        return found

    def locate(self, chunk: ChunkId) -> ChunkLocation | None:
        """Returns where a chunk is, or None."""
        with self._guard:
            row = self._connection.execute(_LOCATE, (chunk,)).fetchone()
            if row is None and self._named_file() not in (None, self._file):
                # Another process made it anew: ours has no name any more.
                self._connection.close()
                self._connect()
                row = self._connection.execute(_LOCATE, (chunk,)).fetchone()
        return None if row is None else location_of(row)

    def locate_nowait(self, chunk: ChunkId) -> ChunkLocation | None:
        """Returns what `locate` would if that waits for no disk and no other thread, else None."""
        try:
            if not self._is_at_hand() or not self._guard.try_enter():
                return None
        except OSError:
            # No descriptor left, say: who waits for it is told, or finds it.
            return None
        try:
            row = self._connection.execute(_LOCATE, (chunk,)).fetchone()
        except sqlite3.Error:
            # Who waits for it is told why.
            return None
        finally:
            self._guard.leave()
        return None if row is None else location_of(row)

    def _is_at_hand(self) -> bool:
        """Returns whether all of the index was in the kernel's memory a moment ago."""
        now = time.monotonic()
        if now >= self._looked_again:
            self._looked_again = now + AT_HAND_SECONDS
            self._was_at_hand = all(map(self._storage.is_in_memory, _READ_FILES))
        return self._was_at_hand

    def known(self, chunks: Iterable[ChunkId]) -> set[ChunkId]:
        """Returns those of the chunks that the index knows, condemned ones included."""
        return set(self.find(chunks))

    def claim(self, chunks: Iterable[ChunkId]) -> set[ChunkId]:
        """Returns those of the chunks that need not be stored again, and keeps them from deletion.

        A condemned one is un-condemned in a transaction that sees it still there. One that was not
        condemned is safe as long as the caller's lease is not newer than this call.
        """
        claimed: set[ChunkId] = set()
        with self._guard:
            for batch in _batches(chunks):
                where = f"WHERE id IN ({_marks(batch)})"
                query = f"SELECT id, condemned FROM chunk {where}"
                rows = self._connection.execute(query, batch).fetchall()
                if any(condemned is not None for _, condemned in rows):
                    with Transaction(self._connection):
                        self._connection.execute(
                            f"UPDATE chunk SET condemned = NULL {where} AND condemned IS NOT NULL",
                            batch,
                        )
                        rows = self._connection.execute(query, batch).fetchall()
                claimed.update(ChunkId(chunk) for chunk, _ in rows)
        return claimed

    def add_pack(
        self, pack: PackId, entries: Sequence[PackEntry], *, durable: bool = False
    ) -> None:
        """Makes a published pack and its chunks known, in one transaction; again is no error.

        A chunk that is known already stays where it is, unless it is condemned: then it is the new
        one from now on. With `durable` this and all earlier commits survive power loss on return.
        """
        with self._guard, Transaction(self._connection, durable=durable):
            self._insert(pack, entries)

    def packs(self) -> set[PackId]:
        """Returns the packs that the index knows."""
        with self._guard:
            return {PackId(row[0]) for row in self._connection.execute("SELECT id FROM pack")}

    def sync(self) -> None:
        """Returns when all earlier commits, of any process, survive power loss."""
        with self._guard, Transaction(self._connection, durable=True):
            self._connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'syncs'")

    def rebuild(self, source: PackSource) -> PacksFound:
        """Fills the index anew from the packs and makes that durable; returns what there is.

        One transaction: other processes see the old rows or the new. Condemnations are forgotten.
        """
        with self._guard, Transaction(self._connection, durable=True):
            self._connection.execute("DELETE FROM chunk")
            self._connection.execute("DELETE FROM pack")
            return self._add_all(source, source.list_packs())

    def reconcile(self, source: PackSource) -> PacksFound:
        """Adds the packs that a crash kept from the index; builds it anew if packs are gone.

        A row for a pack that is gone would be worse than no row: its chunk would not be stored
        again by who has it at hand.
        """
        existing = set(source.list_packs())
        indexed = self.packs()
        gone = indexed - existing
        if gone:
            # Look again: one may have been published after the listing, or collected since.
            gone = (gone - set(source.list_packs())) & self.packs()
        if gone:
            return self.rebuild(source)._replace(gone=len(gone))
        added = sorted(existing - indexed)
        if not added:
            return PacksFound(0, 0, ())
        with self._guard, Transaction(self._connection, durable=True):
            return self._add_all(source, added)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Gives the connection for one write transaction: for the collector (`store/sweep.py`)."""
        with self._guard, Transaction(self._connection, durable=durable):
            yield self._connection

    def compact(self) -> None:
        """Writes the database anew without what was deleted, and empties its write-ahead log.

        `BusyError` if another process is in the middle of something for long.
        """
        with self._guard:
            self._connection.execute("VACUUM")
            busy, _, _ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise BusyError(f"{layout.INDEX}: read by another process, its log could not be cut")

    def close(self) -> None:
        """Closes the connection."""
        with self._guard:
            self._connection.close()

    def _insert(self, pack: PackId, entries: Sequence[PackEntry]) -> None:
        size_bytes = sum(entry.length for entry in entries)
        self._connection.execute(_ADD_PACK, (pack, size_bytes, len(entries)))
        self._connection.executemany(
            _ADD_CHUNK, ((entry[0], pack, *entry[1:]) for entry in entries)
        )

    def _add_all(self, source: PackSource, packs: Iterable[PackId]) -> PacksFound:
        added = 0
        damaged = []
        for pack in packs:
            try:
                entries = source.read_index(pack)
            except FileNotFoundError:
                # Collected by another process after it was listed.
                continue
            except CorruptPackError:
                # One bad pack must not keep a store from opening; whoever asked is told.
                damaged.append(pack)
                continue
            self._insert(pack, entries)
            added += 1
        return PacksFound(added, 0, tuple(damaged))

    def _prepare(self, storage: Storage) -> None:
        version = self._version()
        if version < SCHEMA_VERSION:
            # Two processes that switch to WAL at once get "locked" without waiting for each other.
            lock = storage.lock(LOCK_PATH)
            assert lock is not None, "BUG: waited and did not get the lock"
            try:
                if self._version() < SCHEMA_VERSION:
                    index_schema.migrate(self._connection)
            finally:
                lock.release()
            version = self._version()
        if version > SCHEMA_VERSION:
            raise FormatTooNewError(
                f"{layout.INDEX}: schema {version}, this knows {SCHEMA_VERSION}"
            )
        for question in index_schema.QUESTIONS_1:
            self._connection.execute(question)  # 10 us: only compiled, it asks for no row.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    def _version(self) -> int:
        # Emptiness first: another process may be making the tables, and what it makes in one
        # transaction is seen by later reads, but not by earlier ones. Before that it makes the
        # table of migrations, and may die there.
        is_empty = self._connection.execute(_ANY_TABLE).fetchone() is None
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        application = int(self._connection.execute("PRAGMA application_id").fetchone()[0])
        if application != index_schema.APPLICATION_ID and not is_empty:
            raise FormatUnknownError(f"{layout.INDEX}: a database of something else")
        return version


def discard_index(storage: Storage) -> None:
    """Removes a damaged index, to be opened and rebuilt; no process may have it open."""
    for name in _FILES:
        storage.remove(name)
    storage.sync_directory("")


def _batches(chunks: Iterable[ChunkId]) -> Iterator[list[ChunkId]]:
    rest = iter(chunks)
    while batch := list(islice(rest, QUERY_IDS_MAX)):
        yield batch


def _marks(batch: Sequence[ChunkId]) -> str:
    return ",".join("?" * len(batch))
