"""Leases: seen by others while their process lives, and by nobody afterwards."""

from pathlib import Path

import pytest

from pyi_fs.ids import LayerId, Position
from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.leases import Leases, leased

ONE, TWO, THREE = (Position(LayerId(number << 8), number) for number in (1, 2, 3))


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path)


def files(storage: DirectoryStorage) -> list[str]:
    return storage.list(layout.LEASES)


def test_what_is_held_is_seen_until_it_is_let_go_of(storage: DirectoryStorage) -> None:
    assert list(leased(storage)) == []
    leases, others = Leases(storage), Leases(storage)
    assert leases.hold(ONE)
    assert leases.hold(TWO)
    assert not leases.hold(ONE)
    assert others.hold(ONE)
    assert len(files(storage)) == 2
    assert sorted(leased(storage)) == [ONE, ONE, TWO]
    leases.let_go(ONE)
    assert sorted(leased(storage)) == [ONE, TWO]
    leases.keep_only([THREE])
    assert len(leases) == 0
    others.close()
    assert files(storage) == []
    assert leases.hold(THREE)
    assert list(leased(storage)) == [THREE]
    leases.close()


def test_what_a_dead_process_left_is_taken_away(storage: DirectoryStorage) -> None:
    storage.make_directory(layout.LEASES)
    storage.write_atomic(f"{layout.LEASES}/dead", [b"0000000001 7\n"])
    assert list(leased(storage)) == []
    assert files(storage) == []


def test_a_line_that_is_not_all_there_yet_is_no_lease(storage: DirectoryStorage) -> None:
    """Who writes it looks at the log afterwards, and finds that it came too late."""
    storage.make_directory(layout.LEASES)
    lock = storage.lock(f"{layout.LEASES}/one")
    assert lock is not None
    lock.write_text("0000000001 7\n0000000002 12")
    assert list(leased(storage)) == [Position(LayerId(1), 7)]
    lock.release()


def test_a_file_that_is_taken_away_before_it_is_locked_is_made_again(
    storage: DirectoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = storage.lock
    taken: list[str] = []

    def lock_late(path: str, *, exclusive: bool = True, wait: bool = True):
        found = lock(path, exclusive=exclusive, wait=wait)
        if not taken:
            taken.append(path)
            storage.remove(path)
        return found

    monkeypatch.setattr(storage, "lock", lock_late)
    leases = Leases(storage)
    leases.hold(ONE)
    monkeypatch.undo()
    assert list(leased(storage)) == [ONE]
    assert len(taken) == 1
    leases.close()


def test_a_disk_that_takes_nothing_is_no_reason_not_to_read(
    storage: DirectoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage, "make_directory", refused)
    leases = Leases(storage)
    assert leases.hold(ONE)
    assert len(leases) == 0
    monkeypatch.undo()
    assert leases.hold(ONE)
    assert len(leases) == 1
    leases.close()
