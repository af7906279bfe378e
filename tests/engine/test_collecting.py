"""A collection is made when it is due, by whoever is first, and says what it did."""

import os
import time
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.cli.worker import worker_command
from pyi_fs.engine import collecting
from pyi_fs.engine.collecting import collect_if_due, is_due, why_due
from pyi_fs.engine.disk import Disk, disk_of
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.gc_record import Record, read_record, write_record
from pyi_fs.engine.gc_settings import DEFAULT, Settings, write_settings
from pyi_fs.engine.store import Store
from pyi_fs.store import layout
from tests.support.commands import run_command
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import rewritten_often
from tests.support.plain_rig import materialised, plain_paths, sealed

GB = 10**9
MINUTE = 60 * 1_000_000_000
DISK = Disk(100 * GB, 50 * GB)
NOW = 10_000 * MINUTE


def record(minutes_ago: int, *, held: int = 0, free: int = 50 * GB, took: int = 0) -> Record:
    ended = NOW - minutes_ago * MINUTE
    return Record(ended - took * MINUTE, ended, "", 0, 0, 0, 0, held, free)


def why(last: Record | None, disk: Disk = DISK, settings: Settings = DEFAULT) -> str | None:
    return why_due(settings, last, disk, made_ns=NOW - 30 * MINUTE, now_ns=NOW)


def test_once_an_hour_and_a_new_store_after_an_hour() -> None:
    assert why(None) is None
    assert why_due(DEFAULT, None, DISK, NOW - 61 * MINUTE, NOW) == "time has passed"
    assert why(record(59)) is None
    assert why(record(61)) == "time has passed"
    assert why(record(61), settings=Settings(automatic=False)) is None
    # The clock was set back.
    assert why(record(-500)) == "time has passed"


def test_sooner_when_the_disk_is_short_or_has_filled() -> None:
    short = Disk(100 * GB, 4 * GB)
    assert why(record(11), short) == "the disk is short of space"
    assert why(None, short) == "the disk is short of space"
    assert why(record(9), short) is None
    assert why(record(11), short, Settings(free_percent=None)) == "the disk has filled"
    filled = Disk(100 * GB, 50 * GB - limits.COLLECT_GROWTH_BYTES)
    assert why(record(11), filled) == "the disk has filled"
    assert why(record(9), filled) is None


def test_a_budget_that_cannot_be_reached_is_no_reason_to_try_all_the_time() -> None:
    assert why(record(11, held=81 * GB)) is None
    grown = Disk(100 * GB, 49 * GB)
    assert why(record(11, held=81 * GB), grown) == "the byte budget is used up"
    assert why(record(11, held=79 * GB + GB // 2), grown) == "the byte budget is used up"
    assert why(record(61, held=81 * GB)) == "the byte budget is used up"


def test_a_long_collection_is_followed_by_a_long_pause() -> None:
    assert why(record(61, took=7)) is None
    assert why(record(71, took=7)) == "time has passed"


def age(store: Store, minutes: int) -> None:
    moment = time.time_ns() - minutes * MINUTE
    os.utime(store.storage.host_path(layout.FORMAT), ns=(moment, moment))


def test_one_collects_and_the_others_find_nothing_to_do(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        assert is_due(store.storage) is None
        assert collect_if_due(store) is None
        age(store, 61)
        assert is_due(store.storage) == "time has passed"
        lock = store.storage.lock(layout.COLLECTOR_LOCK)
        assert lock is not None
        assert is_due(store.storage) is None
        assert collect_if_due(store) is None
        lock.release()
        write_settings(store.storage, Settings(all_seconds=0, hourly_seconds=0, daily_seconds=0))
        later = time.time_ns() + 60 * MINUTE
        done = collect_if_due(store, clock_ns=lambda: later)
        assert done is not None
        assert (done.snapshots, done.maps) == (3, 1)
        last = read_record(store.storage)
        assert last is not None
        assert (last.snapshots, last.freed_bytes) == (3, done.freed_bytes)
        assert (last.began_ns, last.reason) == (later, "time has passed")
        assert collect_if_due(store, clock_ns=lambda: later) is None
        assert check_store(store, verify_data=True) == []


def test_a_disk_that_is_short_of_space_gets_what_can_be_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            first = workspace.snapshot(branch, name="first").snapshot
            workspace.make_branch("side", first)
            put(workspace.open_branch("side"), b"f", noise(200_000))
            workspace.open_branch("side").sync()
            workspace.drop_branch("side")
        assert disk_of(store.storage).free_bytes > 0
        monkeypatch.setattr(collecting, "disk_of", lambda _: Disk(GB, 10**7))
        later = time.time_ns() + 11 * MINUTE
        done = collect_if_due(store, clock_ns=lambda: later)
        assert done is not None
        assert done.freed_bytes > 200_000
        last = read_record(store.storage)
        assert last is not None
        assert last.reason == "the disk is short of space"
        assert last.missing_bytes > 0
        workspace_log = (tmp_path / "store" / "workspaces" / "a" / "log").read_bytes()
        assert b"byte budget" in workspace_log


@pytest.mark.slow
def test_the_worker_program_collects(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        age(store, 61)
        done = run_command([*worker_command(tmp_path / "store"), "gc"])
        assert (done.code, done.errors) == (0, "")
        last = read_record(store.storage)
        assert last is not None
        assert last.reason == "time has passed"
        write_record(store.storage, last)


def test_a_disk_that_is_short_gets_plain_files_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And if that is enough, nothing that undo could come back to goes."""
    with opened(tmp_path / "store") as store:
        (inode,) = sealed(store, (b"f", noise(300_000)))
        materialised(store, inode)
        write_settings(store.storage, Settings(free_bytes=GB // 10, plain_percent=None))
        disks = [Disk(GB, 10**7), Disk(GB, 10**7), Disk(GB, GB), Disk(GB, GB)]
        monkeypatch.setattr(collecting, "disk_of", lambda _: disks.pop(0))
        later = time.time_ns() + 11 * MINUTE
        done = collect_if_due(store, clock_ns=lambda: later)
        assert done is not None
        assert done.freed_bytes >= 300_000
        assert plain_paths(tmp_path / "store") == []
        last = read_record(store.storage)
        assert last is not None
        assert (last.reason, last.missing_bytes) == ("the disk is short of space", 0)
        assert last.freed_bytes == done.freed_bytes
        assert disks == []
