"""How much of a store may be in memory: counted for all who write, refused in time."""

import os

from pyi_fs.store import memory_bound
from pyi_fs.store.memory_bound import MemoryBound, default_bytes_max, files_of_layers
from pyi_fs.store.tiers import TieredStorage
from tests.support.storage import MemoryStorage

MIB = 1 << 20


def machine() -> tuple[TieredStorage, MemoryStorage]:
    memory = MemoryStorage()
    return TieredStorage(MemoryStorage(), lambda _: memory), memory


def put(memory: MemoryStorage, name: str, size_bytes: int) -> None:
    memory.make_directory(f"layers/ab/{name}", parents=True)
    file = memory.open_append(f"layers/ab/{name}/scratch-000000", create=True)
    file.append(bytes(size_bytes))


def test_the_bound_is_of_all_that_is_there_whoever_put_it() -> None:
    storage, memory = machine()
    put(memory, "1", 3 * MIB)
    bound = MemoryBound(storage, lambda: 1 << 40, 4 * MIB)
    assert bound.used_bytes() == 3 * MIB
    assert bound.has_room()
    assert bound.takes(MIB)
    put(memory, "2", MIB)
    assert not bound.takes(1)
    bound.bytes_max = 5 * MIB
    assert bound.takes(MIB)


def test_what_others_put_there_is_seen_at_the_next_look() -> None:
    storage, memory = machine()
    bound = MemoryBound(storage, lambda: 1 << 40, 200 * MIB)
    assert bound.takes(1)
    put(memory, "1", 199 * MIB)
    assert bound.takes(63 * MIB)
    assert not bound.takes(2 * MIB)
    assert bound.has_room()
    put(memory, "2", MIB)
    assert not bound.has_room()


def test_it_is_never_above_what_the_tmpfs_has_free() -> None:
    storage, _ = machine()
    bound = MemoryBound(storage, lambda: MIB, 200 * MIB)
    assert not bound.takes(MIB + 1)
    assert bound.takes(MIB)
    assert MemoryBound(storage, lambda: 100, 200 * MIB).has_room() is False


def test_what_is_given_back_can_be_taken_again() -> None:
    storage, memory = machine()
    bound = MemoryBound(storage, lambda: 1 << 40, MIB)
    assert bound.takes(MIB)
    put(memory, "1", MIB)
    assert not bound.takes(1)
    bound.gave_back(1000)
    assert bound.takes(1000)


def test_without_memory_nothing_is_used() -> None:
    storage = TieredStorage(MemoryStorage(), lambda _: None)
    assert MemoryBound(storage, lambda: 0).used_bytes() == 0
    assert list(files_of_layers(MemoryStorage())) == []


def test_the_default_is_a_quarter_of_memory(monkeypatch) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < default_bytes_max() <= memory // 4

    class Limited:
        def __init__(self, path: str) -> None:
            assert path == "/sys/fs/cgroup/memory.max"

        def read_text(self) -> str:
            return "4096\n"

    monkeypatch.setattr(memory_bound, "Path", Limited)
    assert default_bytes_max() == 1024
