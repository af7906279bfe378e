"""Journals: appended, synced, replayed; a torn end is cut, damage before the last sync is told."""

import pytest

from pyi_fs.errors import CorruptRecordError, FormatUnknownError
from pyi_fs.format.record import FORMAT_VERSION, LayerHeader, encode_mutation
from pyi_fs.ids import ROOT_INODE, LayerId
from pyi_fs.model.mutation import Mutation, Remove
from pyi_fs.store import journal, layout
from pyi_fs.store.journal import (
    JournalWriter,
    last_boundary,
    note_elsewhere,
    read_header,
    read_synced,
    replay,
)
from tests.support.storage import MemoryStorage

LAYER = LayerId(0x0102030405)
HEADER = LayerHeader(FORMAT_VERSION, LAYER, None, (0o40755, 1, 2, 3), 4, "boot", "ws", "main")
PATH = layout.journal(LAYER)


def record(number: int) -> Mutation:
    return Remove(ROOT_INODE, b"name-%d" % number, False, number)


@pytest.fixture
def storage() -> MemoryStorage:
    storage = MemoryStorage()
    storage.make_directory(layout.layer_directory(LAYER), parents=True)
    return storage


@pytest.fixture
def writer(storage: MemoryStorage) -> JournalWriter:
    return JournalWriter.create(storage, HEADER)


def with_names(storage: MemoryStorage, writer: JournalWriter) -> None:
    """Makes the names durable, of the note too: it has none before that or the first sync."""
    writer.make_note()
    for directory in (layout.layer_directory(LAYER), "layers/01", "layers", ""):
        storage.sync_directory(directory)


def append(writer: JournalWriter, *numbers: int) -> list[int]:
    return [writer.append(encode_mutation(record(number))) for number in numbers]


def replayed(storage: MemoryStorage, start: int = 0, stop: int | None = None) -> list[Mutation]:
    return [mutation for _, mutation in replay(storage, LAYER, start, stop)]


def overwrite(storage: MemoryStorage, offset: int, data: bytes) -> None:
    """Puts bytes in the midst of the journal, as a bad disk does."""
    whole = bytearray(storage.read(PATH))
    whole[offset : offset + len(data)] = data
    storage.write_atomic(PATH, [bytes(whole)])


def test_records_come_back_in_order_with_their_ends(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    ends = append(writer, 1, 2, 3)
    assert list(replay(storage, LAYER, 0)) == [
        (end, record(number)) for number, end in enumerate(ends, 1)
    ]
    assert writer.end == ends[-1] == storage.size_bytes(PATH)


def test_a_replay_may_begin_and_end_at_any_record(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    first, second, third = append(writer, 1, 2, 3)
    assert replayed(storage, first) == [record(2), record(3)]
    assert replayed(storage, 0, second) == [record(1), record(2)]
    assert replayed(storage, first, second) == [record(2)]
    assert replayed(storage, third) == []


def test_the_header_is_the_first_frame(storage: MemoryStorage, writer: JournalWriter) -> None:
    header_end = writer.end
    append(writer, 1)
    assert read_header(storage, LAYER) == (HEADER, header_end)


def test_a_journal_without_a_whole_header_is_refused(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    overwrite(storage, 9, b"\xff")
    with pytest.raises(FormatUnknownError, match="no valid header"):
        read_header(storage, LAYER)


def test_the_same_frames_count_in_no_other_layer(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    append(writer, 1)
    other = LayerId(LAYER + 1)
    storage.make_directory(layout.layer_directory(other), parents=True)
    storage.write_atomic(layout.journal(other), [storage.read(PATH)])
    with pytest.raises(FormatUnknownError):
        read_header(storage, other)


def test_a_torn_end_is_normal_and_cut_by_the_next_writer(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    _, second = append(writer, 1, 2)
    storage.write_atomic(PATH, [storage.read(PATH)[:-3]])
    assert replayed(storage) == [record(1)]
    first = list(replay(storage, LAYER, 0))[-1][0]
    again = JournalWriter.resume(storage, LAYER, first)
    append(again, 3)
    assert replayed(storage) == [record(1), record(3)]
    assert storage.size_bytes(PATH) == again.end
    assert again.end == second


def test_damage_before_the_last_sync_is_an_alarm(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    first, second = append(writer, 1, 2)
    writer.sync()
    append(writer, 3)
    overwrite(storage, first + 9, b"\xff")
    with pytest.raises(CorruptRecordError, match="synced"):
        replayed(storage)
    with pytest.raises(CorruptRecordError):
        replayed(storage, 0, second)
    assert replayed(storage, 0, first) == [record(1)]


def test_damage_after_the_last_sync_is_a_torn_end(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    append(writer, 1)
    writer.sync()
    end = writer.end
    append(writer, 2, 3)
    overwrite(storage, end + 9, b"\xff")
    assert replayed(storage) == [record(1)]


def test_a_sync_notes_no_more_than_it_was_told(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    """A record appended while the data was being synced may name data that is not durable."""
    first, second = append(writer, 1, 2)
    assert writer.sync(first) == first
    assert read_synced(storage, LAYER) == writer.synced_bytes == first
    assert writer.sync() == second
    assert read_synced(storage, LAYER) == second


def test_a_sync_of_nothing_new_costs_nothing(storage: MemoryStorage, writer: JournalWriter) -> None:
    append(writer, 1)
    writer.sync()
    size = storage.size_bytes(layout.synced(LAYER))
    writer.sync()
    assert storage.size_bytes(layout.synced(LAYER)) == size


def test_what_was_synced_survives_power_loss(storage: MemoryStorage, writer: JournalWriter) -> None:
    end = append(writer, 1)[0]
    writer.sync()
    with_names(storage, writer)
    append(writer, 2)
    for seed in range(20):
        left = storage.after_power_loss(seed)
        records = list(replay(left, LAYER, 0))
        assert records[0] == (end, record(1))


@pytest.mark.parametrize("damage", [b"", b"\0" * 16, b"\xff" * 16, b"12345"])
def test_a_damaged_note_counts_for_nothing(
    storage: MemoryStorage, writer: JournalWriter, damage: bytes
) -> None:
    end = append(writer, 1)[0]
    writer.sync()
    note = storage.read(layout.synced(LAYER))
    storage.write_atomic(layout.synced(LAYER), [note + damage])
    assert read_synced(storage, LAYER) == end
    storage.write_atomic(layout.synced(LAYER), [damage])
    assert read_synced(storage, LAYER) == 0
    storage.remove(layout.synced(LAYER))
    assert read_synced(storage, LAYER) == 0


def test_the_note_is_durable_when_asked_for(storage: MemoryStorage, writer: JournalWriter) -> None:
    with_names(storage, writer)
    append(writer, 1)
    writer.sync()
    assert any(read_synced(storage.after_power_loss(seed), LAYER) == 0 for seed in range(20))
    writer.sync_note()
    assert all(
        read_synced(storage.after_power_loss(seed), LAYER) == writer.end for seed in range(20)
    )


def test_a_resumed_writer_makes_the_note_of_the_dead_one_durable(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    with_names(storage, writer)
    append(writer, 1)
    writer.sync()
    again = JournalWriter.resume(storage, LAYER, writer.end)
    again.sync_note()
    assert all(
        read_synced(storage.after_power_loss(seed), LAYER) == writer.end for seed in range(20)
    )


def test_a_long_note_is_written_anew_and_never_missing(
    storage: MemoryStorage, writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_SYNCED_BYTES_MAX", 32)
    with_names(storage, writer)
    before = 0
    for number in range(10):
        append(writer, number)
        writer.sync()
        writer.sync_note()
        for seed in range(5):
            assert read_synced(storage.after_power_loss(seed), LAYER) >= before
        before = writer.end
        assert read_synced(storage, LAYER) == before
        assert (storage.size_bytes(layout.synced(LAYER)) or 0) <= 48


def test_who_is_not_the_writer_notes_beside_it(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    first, second = append(writer, 1, 2)
    note_elsewhere(storage, LAYER, second)
    note_elsewhere(storage, LAYER, first)
    assert read_synced(storage, LAYER) == second
    writer.sync(first)
    assert read_synced(storage, LAYER) == second


def test_a_cut_made_beside_a_writer_is_at_a_whole_record(
    storage: MemoryStorage, writer: JournalWriter
) -> None:
    ends = [writer.end, *append(writer, 1, 2)]
    whole = storage.read(PATH)
    for size in range(ends[0], len(whole) + 1):
        storage.write_atomic(PATH, [whole[:size]])
        assert last_boundary(storage, LAYER) == max(end for end in ends if end <= size)
    storage.write_atomic(PATH, [whole + bytes(100)])
    assert last_boundary(storage, LAYER) == ends[-1]
