"""SQLite in WAL mode on a mount: several writers, snapshots meanwhile, restore while open."""

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.acceptance import finish, start, stop

pytestmark = [pytest.mark.mount, pytest.mark.slow]

WRITERS = 4


def make_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE t (writer INTEGER, number INTEGER)")
        database.commit()


def counts_of(database: sqlite3.Connection) -> dict[int, int]:
    """Returns rows per writer; the database has to be sound, each writer's rows without a gap."""
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = database.execute("SELECT writer, number FROM t").fetchall()
    counts = Counter(writer for writer, _ in rows)
    for writer, count in counts.items():
        assert sorted(number for w, number in rows if w == writer) == list(range(count))
    return dict(counts)


def copied(source: Path, target: Path) -> dict[int, int]:
    """Returns `counts_of` a database in a read-only view, from a copy: opening one writes."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for name in ("db", "db-wal"):
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)
    with closing(sqlite3.connect(target / "db")) as database:
        return counts_of(database)


def write_at_once(path: Path, count: int, snapshot: Callable[[], str]) -> list[str]:
    """Lets all writers insert, and returns the snapshots taken meanwhile."""
    writers = [start("rows", path, number, count) for number in range(WRITERS)]
    ids = []
    try:
        while any(writer.poll() is None for writer in writers):
            ids.append(snapshot())
            # The pace of the snapshots, not a wait for something.
            time.sleep(0.02)
        for writer in writers:
            finish(writer)
    finally:
        stop(*writers)
    return list(dict.fromkeys(ids))


def test_four_writers_and_every_snapshot_are_sound(served, place, is_long):
    count = 1000 if is_long else 150
    root = served.path
    make_database(root / "db")
    ids = write_at_once(root / "db", count, served.snapshot)
    full = dict.fromkeys(range(WRITERS), count)
    with closing(sqlite3.connect(root / "db")) as database:
        assert counts_of(database) == full
    assert len(ids) > 10
    chosen = ids[:: max(1, len(ids) // (200 if is_long else 40))]
    totals = [
        sum(copied(root / ".pyi" / "snapshots" / snapshot, place / "copy").values())
        for snapshot in chosen
    ]
    assert totals == sorted(totals)
    assert totals[0] < totals[-1]

    # Each of them restored: SQLite recovers from a cut in the middle of anything.
    for snapshot in ids[:: max(1, len(ids) // (20 if is_long else 5))]:
        wanted = copied(root / ".pyi" / "snapshots" / snapshot, place / "copy")
        served.control("restore", snapshot)
        with closing(sqlite3.connect(root / "db")) as database:
            assert counts_of(database) == wanted
            with database:
                database.execute("DELETE FROM t WHERE writer = 0")
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("is_idle", [False, True], ids=["in use", "checkpointed"])
def test_restore_and_undo_under_an_open_database_corrupt_nothing(served, is_idle):
    """The holder goes on in its orphans; who opens anew sees the restored, then the undone state.

    With a checkpointed log the main file is the same in both states and only the log differs: the
    case in which keeping the unchanged file for the holder corrupted the restored database.
    """
    root = served.path
    make_database(root / "db")
    holder = sqlite3.connect(root / "db")
    with closing(holder):

        def insert(database: sqlite3.Connection, *numbers: int) -> None:
            with database:
                database.executemany("INSERT INTO t VALUES (1, ?)", [(n,) for n in numbers])

        insert(holder, 0, 1)
        if is_idle:
            holder.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = served.snapshot()
        insert(holder, 2, 3)
        served.control("restore", before)
        insert(holder, 4)
        holder.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        insert(holder, 5)
        assert counts_of(holder) == {1: 6}
        with closing(sqlite3.connect(root / "db")) as fresh:
            assert counts_of(fresh) == {1: 2}
            insert(fresh, 2)
            assert counts_of(fresh) == {1: 3}
            assert counts_of(holder) == {1: 6}
            served.control("undo")
            assert counts_of(fresh) == {1: 3}
        with closing(sqlite3.connect(root / "db")) as again:
            assert counts_of(again) == {1: 4}
            insert(again, 4, 5, 6)
        insert(holder, 6)
        assert counts_of(holder) == {1: 7}
    # The holder's last close checkpoints and removes its log: its own, not the one of that name.
    with closing(sqlite3.connect(root / "db")) as last:
        assert counts_of(last) == {1: 7}
    served.control("redo")
    with closing(sqlite3.connect(root / "db")) as last:
        assert counts_of(last) == {1: 3}
