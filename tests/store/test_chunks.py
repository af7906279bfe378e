"""The chunk store: what is put is got, what is flushed survives, what is damaged is never data."""

import errno
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import CorruptPackError, MissingChunkError
from pyi_fs.format import pack as form
from pyi_fs.ids import ChunkId
from pyi_fs.store import layout
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex
from pyi_fs.store.packs import list_packs, pack_path, read_pack_index, verify_pack
from pyi_fs.store.storage import Storage
from tests.support.storage import Crash, CrashingStorage, FailingStorage, MemoryStorage


def chunk_id(data: bytes) -> ChunkId:
    return ChunkId(blake3(data).digest())


def noise(number: int, length: int = 1000) -> bytes:
    return random.Random(number).randbytes(length)


@contextmanager
def opened(storage: Storage, **options: int) -> Iterator[ChunkStore]:
    """A process that opens the store, and leaves it without a flush."""
    index = ChunkIndex(storage)
    store = ChunkStore(storage, index, **options)
    try:
        store.reconcile()
        yield store
    finally:
        index.close()


@pytest.fixture(scope="session")
def empty_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with its tables: making them takes longer than the tests."""
    root = tmp_path_factory.mktemp("index")
    ChunkIndex(DirectoryStorage(root)).close()
    return root / layout.INDEX


@pytest.fixture
def fresh(empty_index: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes the index of the test empty, as if it had been lost; returns where it is."""

    def make() -> Path:
        for suffix in ("-wal", "-shm"):
            (tmp_path / (layout.INDEX + suffix)).unlink(missing_ok=True)
        shutil.copy(empty_index, tmp_path / layout.INDEX)
        return tmp_path

    return make


@pytest.fixture
def storage(fresh: Callable[[], Path]) -> MemoryStorage:
    return MemoryStorage(fresh())


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "PACK_BYTES_TARGET", 3000)


# --- putting and getting -------------------------------------------------------------------------


def test_chunks_come_back_before_and_after_the_flush(storage: MemoryStorage) -> None:
    chunks = [b"", b"a", b"text " * 1000, noise(1), noise(2, 100_000)]
    with opened(storage) as store:
        ids = [store.put(chunk) for chunk in chunks]
        assert ids == [chunk_id(chunk) for chunk in chunks]
        assert [store.get(chunk) for chunk in ids] == chunks
        store.flush()
    with opened(storage) as store:
        assert [store.get(chunk) for chunk in ids] == chunks


def test_random_chunks_round_trip(
    fresh: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(form, "PACK_BYTES_TARGET", 3000)

    @given(st.lists(st.lists(st.binary(max_size=2000), max_size=8), max_size=4))
    def round_trip(flushes: list[list[bytes]]) -> None:
        storage = MemoryStorage(fresh())
        with opened(storage) as store:
            for chunks in flushes:
                assert store.put_many(chunks) == [chunk_id(chunk) for chunk in chunks]
                store.flush()
        with opened(storage, cache_bytes_max=0) as store:
            for chunk in (chunk for chunks in flushes for chunk in chunks):
                assert store.get(chunk_id(chunk)) == chunk
        stored = [entry for pack in list_packs(storage) for entry in verify_pack(storage, pack)]
        assert len(stored) == len({chunk for chunks in flushes for chunk in chunks})

    round_trip()


def test_views_and_bytearrays_are_chunks_too(storage: MemoryStorage) -> None:
    with opened(storage) as store:
        data = noise(1)
        assert store.put(memoryview(data)[100:]) == chunk_id(data[100:])
        assert store.put(bytearray(data)) == chunk_id(data)
        store.flush()
        assert store.get(chunk_id(data[100:])) == data[100:]


def test_chunk_is_stored_once(storage: MemoryStorage) -> None:
    with opened(storage) as store:
        store.put_many([noise(1), noise(2), noise(1)])
        store.put(noise(2))
        store.flush()
        store.put(noise(1))
        store.flush()
    with opened(storage) as other:
        other.put(noise(2))
        other.put(noise(3))
        other.flush()
    stored = [entry.chunk for pack in list_packs(storage) for entry in verify_pack(storage, pack)]
    assert sorted(stored) == sorted(map(chunk_id, map(noise, (1, 2, 3))))


@pytest.mark.usefixtures("small_packs")
def test_chunk_is_stored_once_though_its_pack_was_finished_in_between(
    storage: MemoryStorage,
) -> None:
    with opened(storage) as store:
        store.put_many([noise(1), noise(2), noise(3), noise(4), noise(1), noise(4)])
        store.flush()
    stored = [entry.chunk for pack in list_packs(storage) for entry in verify_pack(storage, pack)]
    assert len(list(list_packs(storage))) == 2
    assert sorted(stored) == sorted(map(chunk_id, map(noise, (1, 2, 3, 4))))


def test_flush_of_nothing_writes_nothing(storage: MemoryStorage) -> None:
    with opened(storage) as store:
        store.flush()
        store.put(noise(1))
        store.flush()
        packs = list(list_packs(storage))
        store.flush()
        store.put(noise(1))
        store.flush()
        assert list(list_packs(storage)) == packs


def test_two_processes_that_store_the_same_agree(storage: MemoryStorage) -> None:
    with opened(storage) as first, opened(storage) as second:
        first.put_many([noise(1), noise(2)])
        second.put_many([noise(2), noise(1)])
        first.flush()
        second.flush()
        assert first.get(chunk_id(noise(1))) == second.get(chunk_id(noise(1))) == noise(1)
    assert len(list(list_packs(storage))) == 2


def test_one_process_reads_what_another_flushed(storage: MemoryStorage) -> None:
    with opened(storage) as writer, opened(storage) as reader:
        with pytest.raises(MissingChunkError):
            reader.get(chunk_id(noise(1)))
        writer.put(noise(1))
        writer.flush()
        assert reader.get(chunk_id(noise(1))) == noise(1)


def test_range_of_a_chunk_ends_where_the_chunk_ends(storage: MemoryStorage) -> None:
    with opened(storage) as store:
        chunk = store.put(noise(1))
        assert store.read_range(chunk, 10, 20) == noise(1)[10:30]
        assert store.read_range(chunk, 990, 20) == noise(1)[990:]
        assert store.read_range(chunk, 1000, 1) == b""


def test_condemned_chunk_that_is_put_again_is_kept(storage: MemoryStorage, tmp_path: Path) -> None:
    with opened(storage) as store:
        store.put(noise(1))
        store.flush()
        database = sqlite3.connect(tmp_path / layout.INDEX, isolation_level=None)
        database.execute("UPDATE chunk SET condemned = 1")
        store.put(noise(1))
        store.flush()
        assert database.execute("SELECT condemned FROM chunk").fetchall() == [(None,)]
        database.close()


# --- cache ---------------------------------------------------------------------------------------


def test_nowait_answers_from_the_cache_only(storage: MemoryStorage) -> None:
    with opened(storage) as store:
        chunk = store.put(noise(1))
        assert store.get_nowait(chunk) is None
        store.get(chunk)
        assert store.get_nowait(chunk) == noise(1)


def test_cache_is_bounded_in_bytes_and_keeps_what_was_used_last(storage: MemoryStorage) -> None:
    with opened(storage, cache_bytes_max=3500) as store:
        ids = store.put_many([noise(number) for number in range(5)])
        for chunk in ids:
            store.get(chunk)
            assert store.get_nowait(ids[0]) == noise(0)
        cached = [number for number in range(5) if store.get_nowait(ids[number]) is not None]
        assert cached == [0, 3, 4]
        store.get(store.put(noise(9, 3501)))
        assert store.get_nowait(ids[0]) is not None
        assert store.get_nowait(chunk_id(noise(9, 3501))) is None


# --- damage --------------------------------------------------------------------------------------


def test_absent_chunk_is_an_error_that_names_it(storage: MemoryStorage) -> None:
    with opened(storage) as store, pytest.raises(MissingChunkError, match=chunk_id(b"x").hex()):
        store.get(chunk_id(b"x"))


def test_flipped_byte_of_an_entry_is_an_error_for_its_chunk_only(storage: MemoryStorage) -> None:
    with opened(storage) as store:
        ids = store.put_many([noise(1), b"text " * 300, noise(2)])
        store.flush()
    [pack] = list_packs(storage)
    data = storage.read(pack_path(pack))
    for entry in read_pack_index(storage, pack):
        for offset in (entry.offset, entry.offset + 40, entry.offset + 50, entry.end - 1):
            bad = bytearray(data)
            bad[offset] ^= 0x20
            storage.write_atomic(pack_path(pack), [bad], durable=False)
            with opened(storage) as store:
                with pytest.raises(CorruptPackError) as caught:
                    store.get(entry.chunk)
                assert caught.value.file == pack_path(pack)
                assert store.get_nowait(entry.chunk) is None
                for chunk in set(ids) - {entry.chunk}:
                    store.get(chunk)


def test_pack_that_is_gone_makes_its_chunks_missing_and_storable_again(
    storage: MemoryStorage,
) -> None:
    with opened(storage) as store:
        chunk = store.put(noise(1))
        store.flush()
        [pack] = list_packs(storage)
        data = storage.read(pack_path(pack))
        storage.remove(pack_path(pack))
        with pytest.raises(MissingChunkError):
            store.get(chunk)
    with opened(storage) as store:
        store.put(noise(1))
        store.flush()
        assert store.get(chunk) == noise(1)
    assert storage.read(pack_path(pack)) == data


def test_chunk_that_moves_while_it_is_read_is_found_at_its_new_place(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector writes the chunk to another pack between the two steps of a read."""
    with opened(storage) as writer, opened(storage) as reader:
        chunk = writer.put(noise(1))
        writer.put(noise(2))
        writer.flush()
        [old] = list_packs(storage)
        index: ChunkIndex = vars(reader)["_index"]
        locate = index.locate
        moved: list[bool] = []

        def locate_then_move(chunk: ChunkId) -> object:
            location = locate(chunk)
            if not moved:
                moved.append(True)
                storage.remove(pack_path(old))
                with opened(storage) as collector:
                    collector.put(noise(1))
                    collector.flush()
            return location

        monkeypatch.setattr(index, "locate", locate_then_move)
        assert reader.get(chunk) == noise(1)


# --- failures and crashes ------------------------------------------------------------------------


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
def test_what_was_flushed_survives_a_crash_before_any_call(fresh: Callable[[], Path]) -> None:
    """A kill leaves the index as it is, a power loss at worst an old one: here an empty one."""
    counting = CrashingStorage(None, host_root=fresh())
    with opened(counting) as store:
        scenario(store, [])
    promises = set()
    for number in range(len(counting.calls)):
        storage = CrashingStorage(number, seed=number, host_root=fresh())
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
            fresh()
            found = storage.after_power_loss(seed)
    assert promises == {0, 7}


@pytest.mark.usefixtures("small_packs")
@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_what_a_flush_returned_for_is_there_whatever_failed(
    fresh: Callable[[], Path], error: int
) -> None:
    """The caller does as told: after an error it puts again what it put since the last flush."""
    counting = FailingStorage(None, host_root=fresh())
    with opened(counting) as store:
        scenario(store, [])
    first = next(number for number, call in enumerate(counting.calls) if "packs" in call[1])
    for number in range(first, len(counting.calls)):
        storage = FailingStorage(number, error=error, host_root=fresh())
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
def test_flush_does_not_hide_that_a_full_pack_was_lost(fresh: Callable[[], Path]) -> None:
    counting = CrashingStorage(None, host_root=fresh())
    with opened(counting) as store:
        store.put_many(CHUNKS[:4])
    sync = [call for call, _ in counting.calls].index("sync")
    storage = FailingStorage(sync, host_root=fresh())
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
    fresh: Callable[[], Path],
) -> None:
    """A sync that failed may have dropped the pages: nothing goes on with the pack it was for."""
    counting = CrashingStorage(None, host_root=fresh())
    with opened(counting) as store:
        store.put(noise(1))
        store.flush()
    sync = [call for call, _ in counting.calls].index("sync")
    storage = FailingStorage(sync, host_root=fresh())
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


def test_lost_index_is_rebuilt(storage: MemoryStorage, fresh: Callable[[], Path]) -> None:
    with opened(storage) as store:
        ids = store.put_many(CHUNKS)
        store.flush()
    fresh()
    index = ChunkIndex(storage)
    store = ChunkStore(storage, index)
    with pytest.raises(MissingChunkError):
        store.get(ids[0])
    assert store.rebuild().added == 1
    assert [store.get(chunk) for chunk in ids] == CHUNKS
    index.close()


def test_real_directory_holds_chunks(fresh: Callable[[], Path]) -> None:
    storage = DirectoryStorage(fresh())
    with opened(storage) as store:
        ids = store.put_many([b"text " * 1000, noise(1)])
        store.flush()
        store.close()
    with opened(storage) as store:
        assert [store.get(chunk) for chunk in ids] == [b"text " * 1000, noise(1)]
        store.close()
