"""The reserve: what gives room back finds some on a full disk, and nothing else does."""

import errno

import pytest

from pyi_fs import limits
from pyi_fs.store import layout, reserve
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.small_storage import SmallStorage
from tests.support.storage import FailingStorage

PIECE = 64 * 1024


@pytest.fixture(autouse=True)
def small_reserve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RESERVE_BYTES", 4 * PIECE)


@pytest.fixture
def disk() -> SmallStorage:
    """A disk that is full but for the reserve."""
    storage = SmallStorage(5 * PIECE)
    reserve.make(storage)
    file = storage.open_append("data", create=True)
    file.append(bytes(PIECE))
    file.close()
    return storage


def held(storage: SmallStorage) -> int:
    return storage.size_bytes(layout.RESERVE) or 0


def append(storage: SmallStorage, length: int) -> int:
    file = storage.open_append("data")
    try:
        return file.append(bytes(length))
    finally:
        file.close()


def test_a_call_that_finds_no_room_gets_as_much_of_the_reserve_as_it_needs(disk) -> None:
    with pytest.raises(OSError, match="No space"):
        append(disk, 1)
    assert reserve.with_reserve(disk, lambda: append(disk, 10)) == PIECE
    assert held(disk) == 3 * PIECE
    reserve.with_reserve(disk, lambda: append(disk, 2 * PIECE))
    assert held(disk) == PIECE


def test_a_call_that_is_expensive_gets_all_of_it(disk) -> None:
    reserve.with_reserve(disk, lambda: append(disk, 10), at_once=True)
    assert held(disk) == 0


def test_when_nothing_is_left_the_error_is_the_callers(disk) -> None:
    with pytest.raises(OSError, match="No space"):
        reserve.with_reserve(disk, lambda: append(disk, 5 * PIECE))
    assert held(disk) == 0


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
def test_other_errors_draw_on_nothing(disk, number: int) -> None:
    calls = []

    def fail() -> None:
        calls.append(1)
        raise OSError(number, "no")

    with pytest.raises(OSError, match="no"):
        reserve.with_reserve(disk, fail)
    assert len(calls) == 1
    assert held(disk) == 4 * PIECE


def test_a_quota_draws_as_a_full_disk_does(disk) -> None:
    errors = [OSError(errno.EDQUOT, "quota")]

    def once() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert reserve.with_reserve(disk, once) == "done"
    assert held(disk) == 3 * PIECE


def test_it_is_filled_again_as_far_as_there_is_room(disk) -> None:
    reserve.with_reserve(disk, lambda: append(disk, 2 * PIECE))
    reserve.refill(disk)
    assert held(disk) == 2 * PIECE
    disk.remove("data")
    reserve.refill(disk)
    assert held(disk) == 4 * PIECE
    assert disk.free_bytes() == PIECE


def test_a_store_without_one_gets_none_by_refilling() -> None:
    storage = SmallStorage(100 * PIECE)
    reserve.refill(storage)
    assert not storage.exists(layout.RESERVE)


def test_a_disk_that_fails_has_no_reserve_and_nobody_is_told() -> None:
    storage = FailingStorage(0, error=errno.EIO, times=100)
    reserve.make(storage)
    assert not storage.size_bytes(layout.RESERVE)
    storage = FailingStorage(2, error=errno.ENOSPC, times=100)
    reserve.make(storage)


def test_filling_does_not_wait_for_who_draws(disk) -> None:
    reserve.with_reserve(disk, lambda: append(disk, 10))
    disk.remove("data")
    lock = disk.lock(layout.RESERVE)
    assert lock is not None
    reserve.refill(disk)
    assert held(disk) == 3 * PIECE
    lock.release()
    reserve.refill(disk)
    assert held(disk) == 4 * PIECE


def test_room_is_made_as_far_as_the_disk_lacks_it(tmp_path, monkeypatch):
    storage = DirectoryStorage(tmp_path)
    reserve.make(storage)
    free = iter([0, 1 << 16, 1 << 20])
    monkeypatch.setattr(storage, "free_bytes", lambda: next(free))
    reserve.make_room(storage, 1 << 20)
    assert storage.size_bytes(layout.RESERVE) == limits.RESERVE_BYTES - 2 * (1 << 16)
    monkeypatch.setattr(storage, "free_bytes", lambda: 0)
    reserve.make_room(storage, 1 << 20)
    assert storage.size_bytes(layout.RESERVE) == 0
