"""Scratch: appended, rolled over, given back only when nothing can reach it any more."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.ids import LayerId, SegmentId, segment_id, segment_index
from pyi_fs.store import layout, runs, scratch
from pyi_fs.store.layer_writer import sync_names
from pyi_fs.store.scratch import ScratchWriter
from pyi_fs.store.segment_files import next_segment_index
from tests.support.memory_file import MemoryAppendFile
from tests.support.storage import FailingStorage, MemoryStorage

LAYER = LayerId(0x0102030405)
BLOCK = 4096


def made(storage: MemoryStorage) -> ScratchWriter:
    storage.make_directory(layout.layer_directory(LAYER), parents=True)
    return ScratchWriter(storage, LAYER)


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage()


@pytest.fixture
def writer(storage: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> ScratchWriter:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 4 * BLOCK)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", BLOCK)
    return made(storage)


def fill(writer: ScratchWriter, count: int) -> list[tuple[SegmentId, int]]:
    """Appends blocks of different bytes; returns where they are."""
    places = []
    for number in range(count):
        where = writer.append(bytes([number + 1]) * BLOCK)
        places.append((where.segment, where.offset))
    return places


def give_back(writer: ScratchWriter) -> None:
    writer.reclaim(writer.plan_reclaim())


def sync(writer: ScratchWriter) -> None:
    waited = writer.take_waiting()
    writer.sync()
    writer.release(waited)


def held(storage: MemoryStorage, place: tuple[SegmentId, int]) -> bool:
    """Returns whether a block still has its bytes."""
    path = layout.scratch(place[0])
    return storage.exists(path) and any(storage.read(path)[place[1] : place[1] + BLOCK])


def test_data_is_where_it_was_said_to_be(writer: ScratchWriter, storage: MemoryStorage) -> None:
    where = writer.append(b"hello")
    assert storage.read(layout.scratch(where.segment)) == b"hello"
    assert where.checksums == runs.checksums_of(b"hello")
    assert writer.append(b"!").offset == 5
    table = writer.runs(where.segment)
    assert table is not None
    assert table.covering(0, 6) is not None


def test_a_full_segment_is_followed_by_another(writer: ScratchWriter) -> None:
    segments = [segment_index(segment) for segment, _ in fill(writer, 9)]
    assert segments == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert [segment for segment, _ in writer.closed_segments()] == [
        segment_id(LAYER, 0),
        segment_id(LAYER, 1),
    ]


def test_one_append_longer_than_a_segment_has_its_own(writer: ScratchWriter) -> None:
    assert segment_index(writer.append(bytes(10 * BLOCK)).segment) == 0
    assert segment_index(writer.append(b"x").segment) == 1


def test_garbage_that_was_never_synced_goes_at_once(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    first, second, *_ = fill(writer, 2)
    writer.supersede(*first, BLOCK)
    assert writer.garbage_bytes == BLOCK
    give_back(writer)
    assert not held(storage, first)
    assert held(storage, second)
    assert (writer.returned_bytes, writer.garbage_bytes) == (BLOCK, 0)


def test_garbage_that_was_synced_waits_for_what_superseded_it(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    (place,) = fill(writer, 1)
    sync(writer)
    writer.supersede(*place, BLOCK)
    give_back(writer)
    assert held(storage, place)
    sync(writer)
    give_back(writer)
    assert not held(storage, place)


def test_garbage_made_while_a_sync_is_under_way_waits_for_the_next(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    """The sync covers its record, and not the one that superseded it."""
    (place,) = fill(writer, 1)
    waited = writer.take_waiting()
    writer.supersede(*place, BLOCK)
    give_back(writer)
    writer.sync()
    writer.release(waited)
    give_back(writer)
    assert held(storage, place)
    sync(writer)
    give_back(writer)
    assert not held(storage, place)


@pytest.mark.parametrize("look", ["take_waiting", "begin_sync", "closed_segments", "mark_refs"])
def test_a_segment_may_begin_while_a_thread_looks_at_all(
    writer: ScratchWriter, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """The owner appends between two of them; it takes no lock for that."""
    fill(writer, 8)
    known = writer.segments()
    with monkeypatch.context() as patch:

        def appending(file: MemoryAppendFile) -> int:
            patch.undo()
            fill(writer, 4)
            return file.size_bytes

        patch.setattr(MemoryAppendFile, "size_bytes", property(appending))
        getattr(writer, look)()
    assert len(writer.segments()) > len(known)


def test_garbage_waits_on_when_the_sync_failed(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    (place,) = fill(writer, 1)
    sync(writer)
    writer.supersede(*place, BLOCK)
    writer.keep_waiting(writer.take_waiting())
    give_back(writer)
    assert held(storage, place)
    sync(writer)
    give_back(writer)
    assert not held(storage, place)


def test_what_a_ref_may_reach_is_never_garbage(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    first, second = fill(writer, 2)
    writer.supersede(*first, BLOCK)
    writer.mark_refs()
    writer.supersede(*second, BLOCK)
    (third,) = fill(writer, 1)
    writer.supersede(*third, BLOCK)
    give_back(writer)
    assert [held(storage, place) for place in (first, second, third)] == [True, True, False]


def test_a_ref_made_between_plan_and_reclaim_saves_the_range(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    """Reclaiming runs in a thread: a snapshot may come in between."""
    places = fill(writer, 5)
    for place in places[:4]:
        writer.supersede(*place, BLOCK)
    plan = writer.plan_reclaim()
    assert plan
    writer.mark_refs()
    writer.reclaim(plan)
    assert all(held(storage, place) for place in places)


def test_a_pin_seen_at_reclaim_saves_what_is_there(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    first, second = fill(writer, 2)
    writer.supersede(*first, BLOCK)
    lock = storage.lock(layout.pins(LAYER))
    assert lock is not None
    lock.write_text("fork 99\n")
    lock.release()
    give_back(writer)
    writer.supersede(*second, BLOCK)
    give_back(writer)
    assert held(storage, first)
    assert held(storage, second)
    (third,) = fill(writer, 1)
    writer.supersede(*third, BLOCK)
    give_back(writer)
    assert not held(storage, third)


def test_a_segment_that_is_all_garbage_is_removed(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    places = fill(writer, 5)
    for place in places:
        writer.supersede(*place, BLOCK)
    give_back(writer)
    assert not storage.exists(layout.scratch(places[0][0]))
    assert storage.exists(layout.scratch(places[4][0]))
    assert writer.file(places[0][0]) is None
    assert segment_index(writer.append(bytes(4 * BLOCK)).segment) == 2


def test_short_garbage_is_left_until_it_has_grown(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    for _ in range(4):
        writer.append(bytes(1000))
    segment = segment_id(LAYER, 0)
    writer.supersede(segment, 0, 2000)
    assert writer.plan_reclaim() == []
    writer.supersede(segment, 2000, 2000)
    writer.append(bytes(2000))
    writer.supersede(segment, 4000, 2000)
    assert writer.plan_reclaim() == [(segment, 0, 6000)]


def test_segments_of_others_are_left_alone(writer: ScratchWriter) -> None:
    writer.supersede(segment_id(LayerId(9), 0), 0, BLOCK)
    assert writer.garbage_bytes == 0


def test_a_closed_writer_leaves_the_runs_of_its_segments(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    fill(writer, 5)
    tables = [writer.runs(segment_id(LAYER, index)) for index in (0, 1)]
    writer.close()
    for index, table in enumerate(tables):
        assert table is not None
        path = layout.runs(segment_id(LAYER, index))
        assert runs.decode(storage.read(path), path).encode() == table.encode()


def test_a_full_disk_does_not_keep_a_writer_from_closing() -> None:
    """The journal has the checksums too; a restore closes layers and must not fail by it."""
    counting = FailingStorage(None)
    made(counting).append(b"x")
    calls = len(counting.calls)
    failing = FailingStorage(calls, times=100)
    writer = made(failing)
    writer.append(b"x")
    writer.close()
    assert not failing.exists(layout.runs(segment_id(LAYER, 0)))


def test_a_later_writer_begins_a_new_segment_and_syncs_the_old_ones(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    (old,) = fill(writer, 1)
    again = ScratchWriter(storage, LAYER, next_segment_index(storage, LAYER))
    (new,) = fill(again, 1)
    assert segment_index(new[0]) == 1
    again.supersede(*old, BLOCK)
    give_back(again)
    sync(again)
    for directory in ("layers/01", "layers", ""):
        storage.sync_directory(directory)
    for seed in range(10):
        left = storage.after_power_loss(seed)
        assert left.read(layout.scratch(old[0])) == bytes([1]) * BLOCK
        assert left.read(layout.scratch(new[0])) == bytes([1]) * BLOCK
    assert again.has_given_back


def test_a_segment_handed_to_a_sealer_is_left_alone_and_forgotten(
    writer: ScratchWriter, storage: MemoryStorage
) -> None:
    places = fill(writer, 5)
    segment = places[0][0]
    writer.supersede(*places[0], BLOCK)
    writer.hand_over([segment, places[4][0]])
    writer.supersede(*places[1], BLOCK)
    give_back(writer)
    assert all(held(storage, place) for place in places)
    assert storage.exists(layout.runs(segment))
    assert not storage.exists(layout.runs(places[4][0]))
    writer.forget(segment)
    assert writer.segments() == [places[4][0]]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)), max_size=30))
def test_ranges_are_joined_sorted_and_disjoint(pairs: list[tuple[int, int]]) -> None:
    ranges: list[tuple[int, int]] = []
    covered: set[int] = set()
    for start, length in pairs:
        scratch._add_range(ranges, start, start + length)  # noqa: SLF001 - its algebra
        covered.update(range(start, start + length))
    assert {n for a, b in ranges for n in range(a, b)} == covered
    assert all(b < c for (_, b), (c, _) in pairwise(ranges))


def test_a_segment_that_is_sealed_beside_a_sync_needs_none(
    storage: MemoryStorage, writer: ScratchWriter
) -> None:
    (first, _), (second, _) = fill(writer, 5)[0], fill(writer, 5)[-1]
    assert first != second
    sealed = writer.file(first)
    assert sealed is not None
    before = sealed.sync

    def forgotten() -> None:
        writer.forget(first)
        before()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealed, "sync", forgotten)
        writer.sync()
    assert writer.file(first) is None
    left = writer.file(second)
    assert left is not None
    sync_names(storage, LAYER)
    storage.sync_directory("")
    path = layout.scratch(second)
    assert storage.after_power_loss(1).read(path) == storage.read(path)
