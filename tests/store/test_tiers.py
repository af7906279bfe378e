"""Two tiers as one storage: which a path belongs to, also while a layer changes its place."""

import pytest

from pyi_fs.store.storage import LockFile, Storage
from pyi_fs.store.tiers import TieredStorage
from tests.support.storage import MemoryStorage

LAYER = "layers/ab/ab00000001"
OTHER = "layers/ab/ab00000002"
FILE = f"{LAYER}/journal"


class Pair:
    def __init__(self) -> None:
        self.disk = MemoryStorage("/disk")
        self.memory = MemoryStorage("/memory")
        self.is_made = False
        self.both = TieredStorage(self.disk, self._find)
        self.disk.make_directory("layers/ab", parents=True)

    def _find(self, create: bool) -> Storage | None:
        self.is_made |= create
        return self.memory if self.is_made else None


@pytest.fixture
def pair() -> Pair:
    """A layer on disk, and another in memory."""
    pair = Pair()
    pair.both.make_directory(OTHER)
    assert pair.both.make_volatile_directory(LAYER)
    return pair


def write(storage: Storage, path: str, data: bytes) -> None:
    file = storage.open_append(path, create=True)
    file.append(data)
    file.close()


def test_a_layer_in_memory_has_its_files_there_and_another_on_disk(pair: Pair) -> None:
    write(pair.both, FILE, b"one")
    write(pair.both, f"{OTHER}/journal", b"other")
    pair.both.write_atomic(f"{LAYER}/noted", [b"x"])
    assert pair.memory.read(FILE) == b"one"
    assert pair.memory.list(LAYER) == pair.both.list(LAYER) == ["journal", "noted"]
    assert not pair.disk.exists(LAYER)
    assert pair.disk.read(f"{OTHER}/journal") == pair.both.read(f"{OTHER}/journal") == b"other"
    assert pair.both.host_path(FILE) == f"/memory/{FILE}"
    assert pair.both.host_path(f"{OTHER}/journal") == f"/disk/{OTHER}/journal"
    assert pair.both.size_bytes(FILE) == 3
    assert pair.both.allocated_bytes(FILE) == 4096
    assert pair.both.memory is pair.memory
    assert pair.both.disk is pair.disk


def test_listings_above_layers_show_both(pair: Pair) -> None:
    pair.memory.make_directory("layers/cd", parents=True)
    assert pair.both.list("layers") == ["ab", "cd"]
    assert pair.both.list("layers/ab") == ["ab00000001", "ab00000002"]
    assert pair.both.list("") == ["layers"]


def test_what_is_no_layer_is_on_disk(pair: Pair) -> None:
    pair.memory.make_directory("workspaces", parents=True)
    pair.both.make_directory("workspaces", parents=True)
    write(pair.both, "workspaces/log", b"1")
    lock = pair.both.lock("workspaces/lock")
    assert lock is not None
    lock.release()
    assert pair.disk.list("workspaces") == ["lock", "log"]
    assert pair.memory.list("workspaces") == []


def test_an_id_is_taken_wherever_it_is(pair: Pair) -> None:
    with pytest.raises(FileExistsError):
        pair.both.make_directory(LAYER)
    for layer in (LAYER, OTHER):
        with pytest.raises(FileExistsError):
            pair.both.make_volatile_directory(layer)


def test_nothing_is_made_in_memory_where_there_is_none() -> None:
    both = TieredStorage(MemoryStorage(), lambda _: None)
    assert not both.make_volatile_directory(LAYER)
    assert both.memory is None
    assert not MemoryStorage().make_volatile_directory(LAYER)


def test_a_copy_on_disk_is_hidden_until_the_layer_leaves_memory(pair: Pair) -> None:
    write(pair.both, FILE, b"whole")
    pair.disk.make_directory(LAYER)
    write(pair.disk, FILE, b"wh")
    assert pair.both.read(FILE) == b"whole"
    pair.memory.rename(LAYER, LAYER + ".removed")
    assert pair.both.read(FILE) == b"wh"


def test_a_layer_is_removed_from_both(pair: Pair) -> None:
    write(pair.both, FILE, b"whole")
    pair.disk.make_directory(LAYER)
    write(pair.disk, FILE, b"wh")
    removed = LAYER + ".removed"
    pair.both.rename(LAYER, removed)
    assert not pair.both.exists(LAYER)
    assert pair.both.list(removed) == ["journal"]
    pair.both.remove(f"{removed}/journal")
    pair.both.remove_directory(removed)
    assert pair.disk.list("layers/ab") == ["ab00000002"]
    assert pair.memory.list("layers/ab") == []
    with pytest.raises(FileNotFoundError):
        pair.both.rename(LAYER, removed)


def test_a_layer_that_leaves_memory_during_a_call_is_found_on_disk(pair: Pair) -> None:
    write(pair.both, FILE, b"whole")
    pair.disk.make_directory(LAYER)
    write(pair.disk, FILE, b"whole")
    calls = [
        lambda: pair.both.open_read(FILE).read_at(0, 9),
        lambda: pair.both.read(FILE),
        lambda: pair.both.size_bytes(FILE),
        lambda: pair.both.exists(FILE),
        lambda: pair.both.list(LAYER),
        lambda: pair.both.allocated_bytes(FILE),
    ]
    for call in calls:
        expected = call()
        leaving = _Leaving(pair)
        assert call() == expected
        assert leaving.has_left
        leaving.come_back()


class _Leaving:
    """Lets the layer leave memory right after the storage has looked where it is."""

    def __init__(self, pair: Pair) -> None:
        self.has_left = False
        self._memory = pair.memory
        self._exists = pair.memory.exists
        pair.memory.exists = self._look  # type: ignore[method-assign]

    def _look(self, path: str) -> bool:
        found = self._exists(path)
        if not self.has_left and path == LAYER:
            self.has_left = True
            self._memory.rename(LAYER, LAYER + ".removed")
        return found

    def come_back(self) -> None:
        self._memory.exists = self._exists  # type: ignore[method-assign]
        self._memory.rename(LAYER + ".removed", LAYER)


def test_a_lock_of_a_file_that_has_left_memory_is_taken_again_on_disk(pair: Pair) -> None:
    pins = f"{LAYER}/pins"
    take = pair.memory.lock

    def lock_late(path: str, *, exclusive: bool = True, wait: bool = True) -> LockFile | None:
        lock = take(path, exclusive=exclusive, wait=wait)
        # Whoever held it before has copied the layer, and taken it out of memory.
        pair.memory.rename(LAYER, LAYER + ".removed")
        pair.disk.make_directory(LAYER)
        return lock

    pair.memory.lock = lock_late  # type: ignore[method-assign]
    lock = pair.both.lock(pins)
    assert lock is not None
    lock.write_text("somebody 1\n")
    lock.release()
    assert pair.disk.read(pins) == b"somebody 1\n"


def test_names_in_memory_are_synced_to_nowhere(pair: Pair) -> None:
    pair.both.sync_directory(LAYER)
    pair.both.sync_directory("layers/ab")
    with pytest.raises(FileNotFoundError):
        pair.both.sync_directory("layers/cd/cd00000000")
