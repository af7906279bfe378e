"""What the request loop asks of the index: only what waits for no disk and no other thread."""

import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import AT_HAND_SECONDS, ChunkIndex
from pyi_fs.store.index_guard import Guard
from pyi_fs.store.index_schema import ChunkLocation
from tests.support.index_entries import chunk_id, entry, pack_id


@pytest.fixture
def storage(tmp_path: Path) -> DirectoryStorage:
    return DirectoryStorage(tmp_path)


@pytest.fixture
def index(storage: DirectoryStorage) -> Iterator[ChunkIndex]:
    index = ChunkIndex(storage)
    yield index
    index.close()


def test_nowait_looks_only_where_nothing_is_waited_for(
    storage: DirectoryStorage, index: ChunkIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    at_hand = [True]
    asked: list[str] = []

    def is_in_memory(path: str) -> bool:
        asked.append(path)
        return at_hand[0]

    monkeypatch.setattr("pyi_fs.store.index.time.monotonic", lambda: now[0])
    monkeypatch.setattr(storage, "is_in_memory", is_in_memory)
    index.add_pack(pack_id(1), [entry(1)])
    location = ChunkLocation(pack_id(1), entry(1))
    assert index.locate_nowait(chunk_id(1)) == location
    assert index.locate_nowait(chunk_id(2)) is None
    assert asked == [layout.INDEX, f"{layout.INDEX}-wal"], "once in a while"
    at_hand[0] = False
    assert index.locate_nowait(chunk_id(1)) == location
    now[0] += AT_HAND_SECONDS
    assert index.locate_nowait(chunk_id(1)) is None
    at_hand[0], now[0] = True, now[0] + AT_HAND_SECONDS
    assert index.locate_nowait(chunk_id(1)) == location


def test_nowait_has_nothing_to_say_where_the_kernel_cannot_be_asked(
    storage: DirectoryStorage, index: ChunkIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> bool:
        raise OSError(errno.EMFILE, "no descriptor left")

    index.add_pack(pack_id(1), [entry(1)])
    monkeypatch.setattr(storage, "is_in_memory", refuse)
    assert index.locate_nowait(chunk_id(1)) is None
    assert index.locate(chunk_id(1)) is not None


def test_nowait_waits_for_no_other_thread_and_leaves_errors_to_who_waits(
    index: ChunkIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.add_pack(pack_id(1), [entry(1)])
    guard: Guard = vars(index)["_guard"]
    with ThreadPoolExecutor(1) as pool:
        with guard:
            assert pool.submit(index.locate_nowait, chunk_id(1)).result() is None
        assert pool.submit(index.locate_nowait, chunk_id(1)).result() is not None
    monkeypatch.setattr("pyi_fs.store.index._LOCATE", "SELECT nonsense FROM nothing WHERE id = ?")
    assert index.locate_nowait(chunk_id(1)) is None

    def is_free() -> bool:
        is_in = guard.try_enter()
        guard.leave()
        return is_in

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(is_free).result()
