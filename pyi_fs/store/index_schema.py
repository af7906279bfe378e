"""The schema of the chunk index: what each table and column means.

The reference documentation of `index.sqlite`. What is released is never edited: a change is a new
tuple of statements, a migration in `store/index.py`, and `SCHEMA_VERSION` counted up. The database
holds the version as `PRAGMA user_version`: a process that finds it right needs nothing else.
"""

import sqlite3

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
