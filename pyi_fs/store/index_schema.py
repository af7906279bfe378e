"""The schema of the chunk index: what each table and column means.

The reference documentation of `index.sqlite`. What is released is never edited: a change is a new
tuple of statements, a migration in `store/index.py`, and `SCHEMA_VERSION` counted up. The database
holds the version as `PRAGMA user_version`; `QUESTIONS_1` is how a process looks that the tables are
there, and `location_of` that a row is one.
"""

import os
import sqlite3
from typing import NamedTuple
from urllib.parse import quote

from pyi_fs.errors import CorruptError
from pyi_fs.format.pack import CHUNK_RAW_BYTES_MAX, METHOD_RAW, METHOD_ZSTD, PackEntry
from pyi_fs.ids import ChunkId, PackId
from pyi_fs.store import layout

SCHEMA_VERSION = 1
APPLICATION_ID = 0x70796966
"""`pyif`, in the header of the database: sqlite.org/pragma.html#pragma_application_id."""

TABLES_1 = (
    """
    -- Where each chunk is. Without rowid: the ids are a key already, one tree is enough.
    CREATE TABLE chunk (
        id            BLOB    NOT NULL PRIMARY KEY,  -- BLAKE3 of the chunk's bytes, 32 bytes
        pack          BLOB    NOT NULL,              -- the pack that holds it: pack.id
        offset        INTEGER NOT NULL,              -- bytes into the pack: its entry's header
        raw_length    INTEGER NOT NULL,              -- bytes of the chunk
        stored_length INTEGER NOT NULL,              -- bytes in the pack after the entry's header
        method        INTEGER NOT NULL,              -- 0 raw, 1 zstd
        condemned     INTEGER                        -- the generation that found no reference;
                                                     -- NULL: wanted
    ) WITHOUT ROWID
    """,
    """
    -- The packs that were published. Those a crash kept out are found by listing the directory.
    CREATE TABLE pack (
        id          BLOB    NOT NULL PRIMARY KEY,    -- its name, 32 bytes
        size_bytes  INTEGER NOT NULL,                -- of its entries
        entry_count INTEGER NOT NULL                 -- some may have their row in another pack
    ) WITHOUT ROWID
    """,
    """
    -- Who may still refer to chunks that were unreferenced when a generation ended.
    CREATE TABLE lease (
        holder     TEXT    NOT NULL PRIMARY KEY,     -- path of the lock that the holder has taken;
                                                     -- who breaks the lease takes it first
        generation INTEGER NOT NULL                  -- the oldest generation it may refer to
    ) WITHOUT ROWID
    """,
    """
    -- generation: of the garbage collection, counts from 0. syncs: counts durable commits.
    CREATE TABLE meta (
        key   TEXT NOT NULL PRIMARY KEY,
        value INTEGER NOT NULL
    ) WITHOUT ROWID
    """,
    "INSERT INTO meta (key, value) VALUES ('generation', 0), ('syncs', 0)",
)

QUESTIONS_1 = (
    "SELECT id, pack, offset, raw_length, stored_length, method, condemned FROM chunk LIMIT 0",
    "SELECT id, size_bytes, entry_count FROM pack LIMIT 0",
    "SELECT holder, generation FROM lease LIMIT 0",
    "SELECT key, value FROM meta LIMIT 0",
)
"""What the tables of version 1 answer; another database of that version does not."""


def migrate(connection: sqlite3.Connection) -> None:
    """Makes the tables that are missing, and the database one with a write-ahead log."""
    # Each migration is a transaction and recorded with it, so a crash between two is no harm.
    # Imported here: 64 ms, for what happens once in the life of a store.
    from sqlite_utils import Database, Migrations

    migrations = Migrations("pyi-fs")

    @migrations()
    def tables_1(database: Database) -> None:
        for statement in TABLES_1:
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute("PRAGMA user_version = 1")

    connection.execute("PRAGMA journal_mode = WAL")
    migrations.apply(Database(connection))


def read_only_uri(host_path: str) -> str:
    """Returns the name under which SQLite reads the database and writes nothing.

    Also on a disk that is read-only: there a log of another process is read with it as long as its
    shared memory is there, too (sqlite.org/wal.html, "Read-Only Databases"); where there is no log
    the file is all there is, and SQLite is told that it does not change.
    """
    is_alone = not os.path.lexists(f"{host_path}-wal")
    return f"file:{quote(host_path)}?mode=ro{'&immutable=1' if is_alone else ''}"


class ChunkLocation(NamedTuple):
    """Where a chunk is: an entry of a pack."""

    pack: PackId
    entry: PackEntry


def location_of(row: tuple[bytes, bytes, int, int, int, int]) -> ChunkLocation:
    """Returns what a row (id, pack, offset, raw length, stored length, method) says.

    Any process that has the store may have written it, and SQLite takes any type in any column: it
    is asked before it is believed. `CorruptError`.
    """
    chunk, pack, offset, raw_length, stored_length, method = row
    if (
        all(type(value) is int for value in row[2:])
        and all(type(digest) is bytes and len(digest) == 32 for digest in row[:2])
        and 0 <= offset < 1 << 62
        and 0 <= stored_length <= raw_length <= CHUNK_RAW_BYTES_MAX
        and method in (METHOD_RAW, METHOD_ZSTD)
    ):
        entry = PackEntry(ChunkId(chunk), offset, raw_length, stored_length, method)
        return ChunkLocation(PackId(pack), entry)
    raise CorruptError(layout.INDEX, 0, "a row of an entry", row)
