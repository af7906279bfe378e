"""A disk that is full to the byte: what gives room back draws on the reserve, and nothing else.

On a disk in memory, so that every call is known; `test_full_disk.py` has real ones.
"""

import errno
from collections.abc import Callable

import pytest

from pyi_fs import limits
from pyi_fs.model.mutation import Reap, SetAttributes
from pyi_fs.store import layout, reserve
from tests.support.small_storage import SmallStorage
from tests.support.workspaces import Boot, IndexShelf, Rig, new_workspace


@pytest.fixture
def rig(shelf: IndexShelf, boot: Boot, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Two branches, two snapshots and a reserve, on a disk without a byte left."""
    monkeypatch.setattr(limits, "RESERVE_BYTES", 128 * 1024)
    storage = SmallStorage(1 << 30, host_root=shelf.directory())
    rig = new_workspace(storage)
    reserve.make(storage)
    rig.make("a", b"a" * 5000)
    rig.mkdir("d")
    rig.snapshot("one")
    rig.make("b", b"b" * 5000)
    rig.snapshot("two")
    rig.workspace.make_branch("side", rig.main)
    rig.restart()
    fill(storage)
    return rig


def fill(storage: SmallStorage) -> None:
    storage.capacity_bytes -= storage.free_bytes()


def held(rig: Rig) -> int:
    return rig.storage.size_bytes(layout.RESERVE) or 0


def truncate(rig: Rig) -> None:
    number = rig.number("a")
    rig.commit(SetAttributes(number, None, None, None, 0, None, None, rig.now()))


def remove(rig: Rig) -> None:
    rig.remove("b")
    rig.commit(Reap(tuple(rig.main.tree.unlinked)))


def sync(rig: Rig) -> None:
    truncate(rig)
    rig.main.sync()


GIVES_BACK: dict[str, Callable[[Rig], object]] = {
    "unlink, the first change of a mount": remove,
    "truncate": truncate,
    "rmdir": lambda rig: rig.remove("d", directory=True),
    "rmdir of a snapshot": lambda rig: rig.workspace.delete_snapshot("one"),
    "drop": lambda rig: rig.workspace.drop_branch("side"),
    "fsync": sync,
}
TAKES: dict[str, Callable[[Rig], object]] = {
    "make": lambda rig: rig.make("new"),
    "write": lambda rig: rig.write("a", b"more", 5000),
    "snapshot": lambda rig: rig.snapshot("three"),
    "branch": lambda rig: rig.workspace.make_branch("third", rig.main),
    "restore": lambda rig: rig.workspace.restore(rig.main, "one"),
    "restore of a path": lambda rig: rig.workspace.restore(rig.main, "one", b"b"),
}


@pytest.mark.parametrize("name", GIVES_BACK)
def test_what_gives_room_back_is_possible(rig: Rig, name: str) -> None:
    GIVES_BACK[name](rig)
    shown, names = rig.branch_pictures(), rig.workspace.refs.names
    assert rig.findings() == []
    rig.restart()
    assert rig.branch_pictures() == shown
    assert rig.workspace.refs.names == names
    rig.close()


@pytest.mark.parametrize("name", TAKES)
def test_what_takes_room_is_refused_and_changes_nothing(rig: Rig, name: str) -> None:
    # A layer to write to and inode numbers are had from the reserve.
    rig.remove("d", directory=True)
    rig.main.next_inode()
    assert isinstance(rig.storage, SmallStorage)
    fill(rig.storage)
    before, shown = held(rig), rig.branch_pictures()
    with pytest.raises(OSError, match="No space") as caught:
        TAKES[name](rig)
    assert caught.value.errno == errno.ENOSPC
    assert rig.branch_pictures() == shown
    assert held(rig) == before
    rig.remove("a")
    rig.close()


def test_thousands_of_files_can_be_removed_and_the_reserve_comes_back(rig: Rig) -> None:
    storage = rig.storage
    assert isinstance(storage, SmallStorage)
    storage.capacity_bytes += 1 << 20
    for number in range(1500):
        rig.make(f"d/f{number}")
    fill(storage)
    for number in range(1500):
        rig.remove(f"d/f{number}")
    assert 0 < held(rig) < limits.RESERVE_BYTES
    storage.capacity_bytes += 1 << 20
    rig.main.sync()
    assert held(rig) == limits.RESERVE_BYTES
    rig.close()
