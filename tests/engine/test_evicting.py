"""Which plain files go: the unused, and those beyond the bound, longest unused first."""

import os
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.engine.disk import Disk
from pyi_fs.engine.evicting import (
    Held,
    NoRoomError,
    evict,
    held_files,
    plan_evictions,
    plan_room,
    remove_planned,
)
from pyi_fs.engine.gc_settings import Settings
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.plain_files import PlainFile
from tests.store.test_plain_files import made
from tests.support.plain_rig import content, key

GB = 10**9
MINUTE = 60 * 1_000_000_000
NOW = 1_000_000 * MINUTE
DISK = Disk(100 * GB, 50 * GB)


def held(number: int, *, minutes_ago: float, size: int = GB) -> Held:
    return Held(PlainFile(key(number), content(number)), size, int(NOW - minutes_ago * MINUTE))


FILES = [held(number, minutes_ago=100 - number) for number in range(5)]


def gone(files: list[Held], settings: Settings, disk: Disk = DISK) -> list[tuple[int, str]]:
    planned = plan_evictions(files, settings, disk, NOW)
    return [(one.held.file.key[0], one.reason) for one in planned]


def test_what_is_used_and_within_the_bound_stays() -> None:
    assert gone(FILES, Settings(plain_bytes=5 * GB)) == []
    assert gone([], Settings(plain_bytes=0)) == []


def test_beyond_the_bound_the_longest_unused_go() -> None:
    why = "more than `plain` allows"
    assert gone(FILES, Settings(plain_bytes=3 * GB)) == [(0, why), (1, why)]
    assert gone(FILES, Settings(plain_bytes=0)) == [(number, why) for number in range(5)]


def test_what_nobody_used_for_a_week_goes() -> None:
    minutes = limits.PLAIN_UNUSED_SECONDS // 60
    files = [held(0, minutes_ago=minutes + 1), held(1, minutes_ago=minutes - 1)]
    assert gone(files, Settings()) == [(0, "not used for 7 days")]
    # What goes anyway counts for the bound.
    assert gone(files, Settings(plain_bytes=GB)) == [(0, "not used for 7 days")]


def test_where_the_disk_is_short_as_many_go_as_it_takes() -> None:
    short = Disk(100 * GB, 3 * GB)
    why = "the disk is short of space"
    assert gone(FILES, Settings(), short) == [(0, why), (1, why)]
    assert gone(FILES, Settings(free_percent=None), short) == []


def test_room_is_made_by_what_nobody_used_a_moment_ago() -> None:
    settings = Settings(plain_bytes=5 * GB)
    assert plan_room(FILES[:4], settings, DISK, NOW, GB) == []
    assert [one.held for one in plan_room(FILES, settings, DISK, NOW, 2 * GB)] == FILES[:2]
    busy = [held(number, minutes_ago=9 - number) for number in range(5)]
    with pytest.raises(NoRoomError, match="plain"):
        plan_room(busy, settings, DISK, NOW, GB)
    with pytest.raises(NoRoomError, match="plain"):
        plan_room(FILES, settings, DISK, NOW, 6 * GB)
    with pytest.raises(NoRoomError, match="short"):
        plan_room([], settings, Disk(100 * GB, 6 * GB), NOW, 2 * GB)


def test_the_bound_is_a_share_of_the_disk_and_of_a_large_one_less() -> None:
    assert Settings().plain(100 * GB) == 10 * GB
    assert Settings().plain(10_000 * GB) == limits.PLAIN_BYTES_DEFAULT_MAX
    assert Settings(plain_bytes=0).plain(100 * GB) == 0
    assert Settings(plain_percent=None).plain(100 * GB) == 100 * GB


def test_a_plan_is_carried_out_but_for_what_was_used_since(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    files = [made(storage, number) for number in range(3)]
    for age, file in enumerate(files):
        os.utime(tmp_path / file.path, ns=(age, age))
    before = held_files(storage)
    assert [one.file for one in before] == files
    planned = plan_evictions(before, Settings(plain_bytes=0), DISK, NOW)
    storage.touch(files[1].path)
    assert remove_planned(storage, planned) == before[0].size_bytes + before[2].size_bytes > 0
    assert [one.file for one in held_files(storage)] == [files[1]]
    assert remove_planned(storage, planned) == 0
    assert files[0].path in str(planned[0])


def test_evicting_takes_what_the_dead_left_along(tmp_path: Path) -> None:
    made(DirectoryStorage(tmp_path))
    (tmp_path / "plain/01/0123.tmp").write_text("half")
    assert evict(DirectoryStorage(tmp_path), []) == 0
    assert not list(tmp_path.rglob("*.tmp"))
