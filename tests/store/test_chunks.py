"""The chunk store: what is put is got, once; what is damaged is never data."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import CorruptPackError, MissingChunkError
from pyi_fs.format import pack as form
from pyi_fs.ids import ChunkId
from pyi_fs.store import layout
from pyi_fs.store.chunks import NOWAIT_BYTES_MAX
from pyi_fs.store.index import ChunkIndex
from pyi_fs.store.packs import list_packs, pack_path, read_pack_index, verify_pack
from tests.support.chunk_store import chunk_id, noise, opened
from tests.support.memory_file import MemoryReadFile
from tests.support.storage import MemoryStorage


@pytest.fixture
def storage(fresh_index: Callable[[], Path]) -> MemoryStorage:
    return MemoryStorage(fresh_index())


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
    fresh_index: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(form, "PACK_BYTES_TARGET", 3000)

    @given(st.lists(st.lists(st.binary(max_size=2000), max_size=8), max_size=4))
    def round_trip(flushes: list[list[bytes]]) -> None:
        storage = MemoryStorage(fresh_index())
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


def test_chunk_is_claimed_if_it_is_there_and_kept_from_then_on(
    storage: MemoryStorage, tmp_path: Path
) -> None:
    with opened(storage) as store:
        assert store.claim(noise(1)) is None
        store.put(noise(1))
        assert store.claim(noise(1)) == chunk_id(noise(1))
        store.flush()
        database = sqlite3.connect(tmp_path / layout.INDEX, isolation_level=None)
        database.execute("UPDATE chunk SET condemned = 1")
        assert store.claim(noise(1)) == chunk_id(noise(1))
        store.flush()
        assert database.execute("SELECT condemned FROM chunk").fetchall() == [(None,)]
        assert store.claim(noise(2)) is None
        database.close()


# --- cache ---------------------------------------------------------------------------------------


def test_nowait_answers_from_the_cache_and_from_packs_at_hand(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = noise(3, NOWAIT_BYTES_MAX + 1)
    with opened(storage) as store:
        written = store.put(noise(1))
        assert store.get_nowait(written) is None
        store.get(written)
        assert store.get_nowait(written) == noise(1)
        store.put_many([noise(2), large, noise(4)])
        store.flush()
    with opened(storage) as store:
        assert store.get_nowait(chunk_id(noise(1))) is None, "the pack is not open"
        store.get_once(chunk_id(noise(4)))
        assert store.get_nowait(chunk_id(noise(1))) == noise(1)
        assert store.get_nowait(chunk_id(large)) is None
        assert store.get_nowait(chunk_id(noise(5))) is None
        # From the cache: what the pack has is not looked at again.
        monkeypatch.setattr(MemoryReadFile, "read_at_nowait", lambda *_: None)
        assert store.get_nowait(chunk_id(noise(1))) == noise(1)
        assert store.get_nowait(chunk_id(noise(2))) is None, "not in the kernel's memory"


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


def test_what_is_got_once_is_not_kept(
    storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(storage) as store:
        chunk = store.put(noise(1))
        store.flush()
        assert store.get_once(chunk) == noise(1)
        with monkeypatch.context() as patched:
            patched.setattr(MemoryReadFile, "read_at_nowait", lambda *_: None)
            assert store.get_nowait(chunk) is None
        assert store.get(chunk) == store.get_once(chunk)
