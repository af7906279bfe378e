"""The chunk store: what was flushed survives failures of any call, crashes and lost indexes."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pyi_fs.errors import MissingChunkError
from pyi_fs.store import layout
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex
from pyi_fs.store.packs import list_packs, verify_pack
from tests.support.chunk_store import chunk_id, noise, opened
from tests.support.storage import Crash, CrashingStorage, FailingStorage, MemoryStorage


@pytest.fixture
def storage(fresh_index: Callable[[], Path]) -> MemoryStorage:
    return MemoryStorage(fresh_index())


CHUNKS = [noise(number, 900) for number in range(12)]


def scenario(store: ChunkStore, promised: list[bytes]) -> None:
    """Several packs before and in each flush; chunks of the first flush are put again."""
    for chunks in (CHUNKS[:7], [*CHUNKS[5:], CHUNKS[0]]):
        store.put_many(chunks)
        store.flush()
        promised += chunks


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.usefixtures("small_packs")
def test_what_was_flushed_survives_a_crash_before_any_call(fresh_index: Callable[[], Path]) -> None:
    """A kill leaves the index as it is, a power loss at worst an old one: here an empty one."""
    counting = CrashingStorage(None, host_root=fresh_index())
    with opened(counting) as store:
        scenario(store, [])
    promises = set()
    for number in range(len(counting.calls)):
        storage = CrashingStorage(number, seed=number, host_root=fresh_index())
        promised: list[bytes] = []
        with pytest.raises(Crash), opened(storage) as store:
            scenario(store, promised)
        promises.add(len(promised))
        found = storage.after_kill()
        for seed in range(4):
            with opened(found) as store:
                for chunk in promised:
                    assert store.get(chunk_id(chunk)) == chunk
                if seed == 0:
                    scenario(store, [])
            fresh_index()
            found = storage.after_power_loss(seed)
    assert promises == {0, 7}


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_what_a_flush_returned_for_is_there_whatever_failed(
    fresh_index: Callable[[], Path], error: int
) -> None:
    """The caller does as told: after an error it puts again what it put since the last flush."""
    counting = FailingStorage(None, host_root=fresh_index())
    with opened(counting) as store:
        scenario(store, [])
    first = next(number for number, call in enumerate(counting.calls) if "packs" in call[1])
    for number in range(first, len(counting.calls)):
        storage = FailingStorage(number, error=error, host_root=fresh_index())
        with opened(storage) as store:
            with pytest.raises(OSError, match=r"Input/output|No space"):
                scenario(store, [])
            store.abandon()
            scenario(store, [])
        with opened(storage) as store:
            for chunk in CHUNKS:
                assert store.get(chunk_id(chunk)) == chunk
        assert not [name for name in storage.list("packs") if name.endswith(".tmp")]


@pytest.mark.usefixtures("small_packs")
def test_flush_does_not_hide_that_a_full_pack_was_lost(fresh_index: Callable[[], Path]) -> None:
    counting = CrashingStorage(None, host_root=fresh_index())
    with opened(counting) as store:
        store.put_many(CHUNKS[:4])
    sync = [call for call, _ in counting.calls].index("sync")
    storage = FailingStorage(sync, host_root=fresh_index())
    with opened(storage) as store:
        store.put_many(CHUNKS[:3])
        with pytest.raises(OSError, match="Input/output"):
            store.put(CHUNKS[3])
        with pytest.raises(OSError, match="Input/output"):
            store.flush()
        with pytest.raises(MissingChunkError):
            store.get(chunk_id(CHUNKS[0]))
        store.put_many(CHUNKS[:4])
        store.flush()
        assert store.get(chunk_id(CHUNKS[0])) == CHUNKS[0]


def test_flush_that_failed_has_kept_nothing_and_can_be_done_again(
    fresh_index: Callable[[], Path],
) -> None:
    """A sync that failed may have dropped the pages: nothing goes on with the pack it was for."""
    counting = CrashingStorage(None, host_root=fresh_index())
    with opened(counting) as store:
        store.put(noise(1))
        store.flush()
    sync = [call for call, _ in counting.calls].index("sync")
    storage = FailingStorage(sync, host_root=fresh_index())
    with opened(storage) as store:
        chunk = store.put(noise(1))
        with pytest.raises(OSError, match="Input/output"):
            store.flush()
        assert storage.list("packs") == []
        with pytest.raises(MissingChunkError):
            store.get(chunk)
        store.put(noise(1))
        store.flush()
    [pack] = list_packs(storage)
    assert [entry.chunk for entry in verify_pack(storage, pack)] == [chunk]


def test_flush_makes_durable_what_another_process_had_put(
    storage: MemoryStorage, tmp_path: Path
) -> None:
    """Its commit may not have been: the row that made a put needless has to survive, too."""
    with opened(storage) as first, opened(storage) as second:
        first.put(noise(1))
        first.flush()
        second.put(noise(1))
        second.flush()
        second.flush()
    database = sqlite3.connect(tmp_path / layout.INDEX)
    assert database.execute("SELECT value FROM meta WHERE key = 'syncs'").fetchone() == (1,)
    database.close()


def test_closed_store_has_dropped_what_was_not_flushed(storage: MemoryStorage) -> None:
    with opened(storage) as store:
        store.put(noise(1))
        store.close()
    assert storage.list("packs") == []


def test_lost_index_is_rebuilt(storage: MemoryStorage, fresh_index: Callable[[], Path]) -> None:
    with opened(storage) as store:
        ids = store.put_many(CHUNKS)
        store.flush()
    fresh_index()
    index = ChunkIndex(storage)
    store = ChunkStore(storage, index)
    with pytest.raises(MissingChunkError):
        store.get(ids[0])
    assert store.rebuild().added == 1
    assert [store.get(chunk) for chunk in ids] == CHUNKS
    index.close()


def test_real_directory_holds_chunks(fresh_index: Callable[[], Path]) -> None:
    storage = DirectoryStorage(fresh_index())
    with opened(storage) as store:
        ids = store.put_many([b"text " * 1000, noise(1)])
        store.flush()
        store.close()
    with opened(storage) as store:
        assert [store.get(chunk) for chunk in ids] == [b"text " * 1000, noise(1)]
        store.close()
