"""The end of a layer: what a sync covers, and what may be given back after it."""

import pytest

from pyi_fs import limits
from pyi_fs.format.record import FORMAT_VERSION, LayerHeader
from pyi_fs.ids import InodeNumber, LayerId
from pyi_fs.model.mutation import Reap, Write
from pyi_fs.store import layer_writer, layout
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.journal import read_synced, replay
from pyi_fs.store.layer_writer import LayerWriter
from pyi_fs.store.layers import Layers
from tests.support.storage import FailingStorage, MemoryStorage

BLOCK = 4096
FILE = InodeNumber(2)


def layers_of(storage: MemoryStorage, boot: str = "boot") -> Layers:
    """The pool without a chunk store that works: nothing here is sealed."""
    return Layers(storage, ChunkStore.__new__(ChunkStore), boot)


def begun(storage: MemoryStorage) -> LayerWriter:
    storage.make_directory(layout.LAYERS, parents=True)
    storage.sync_directory("")
    layers = layers_of(storage)
    layer = layers.new_directory()
    root = (0o40755, 1, 2, 3)
    return layers.create(LayerHeader(FORMAT_VERSION, layer, None, root, 4, "boot", "ws", "main"))


def write(writer: LayerWriter, number: int) -> Write:
    data = bytes([number]) * BLOCK
    where = writer.append_data(data)
    mutation = Write(FILE, 0, BLOCK, where.segment, where.offset, where.checksums, number)
    writer.append(mutation)
    return mutation


def bytes_of(storage: MemoryStorage, mutation: Write) -> bytes:
    path = layout.scratch(mutation.segment)
    content = storage.read(path) if storage.exists(path) else b""
    return content[mutation.source_offset : mutation.source_offset + BLOCK]


def test_everything_appended_before_a_sync_survives_power_loss() -> None:
    storage = MemoryStorage()
    writer = begun(storage)
    written = [write(writer, number) for number in (1, 2)]
    assert not writer.is_synced
    writer.sync()
    write(writer, 3)
    assert not writer.is_synced
    for seed in range(20):
        left = storage.after_power_loss(seed)
        found = [mutation for _, mutation in replay(left, writer.layer, 0)]
        assert found[:2] == written
        assert all(bytes_of(left, mutation) == bytes([1 + i]) * BLOCK
                   for i, mutation in enumerate(written))  # fmt: skip


class Meanwhile(MemoryStorage):
    """Calls back in the midst of the first sync of a segment."""

    writer: LayerWriter | None = None

    def _before(self, call: str, path: str, file: object = None, data: bytes = b"") -> None:
        if call == "sync" and "scratch" in path and self.writer is not None:
            writer, self.writer = self.writer, None
            write(writer, 2)


def test_a_record_appended_during_a_sync_is_not_noted_as_synced() -> None:
    """Its data came after the data was synced: noted, it would not be checked after a loss."""
    storage = Meanwhile()
    writer = begun(storage)
    write(writer, 1)
    end = writer.end
    storage.writer = writer
    writer.sync()
    assert read_synced(storage, writer.layer) == end < writer.end
    writer.sync()
    assert read_synced(storage, writer.layer) == writer.end


def test_nothing_synced_is_noted_before_its_file_has_a_durable_name() -> None:
    storage = MemoryStorage()
    writer = begun(storage)
    write(writer, 1)
    noted = []

    def before(call: str, path: str, *_: object) -> None:
        if path == layout.synced(writer.layer) and call == "append":
            noted.append(all(
                left.exists(layout.journal(writer.layer))
                for left in map(storage.after_power_loss, range(10))
            ))  # fmt: skip

    storage._before = before  # type: ignore[method-assign, assignment] # noqa: SLF001
    # The handles that are open keep the door they were made with: a resumed writer has the new one.
    again = layers_of(storage).resume(writer.layer, writer.end)
    noted.clear()
    write(again, 2)
    again.sync()
    assert noted == [True]


def test_what_was_given_back_has_a_durable_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a check after a power loss would begin too early and cut at what is missing by right."""
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", BLOCK)
    storage = MemoryStorage()
    writer = begun(storage)
    old = write(writer, 1)
    writer.sync()
    write(writer, 2)
    writer.scratch.supersede(old.segment, old.source_offset, BLOCK)
    writer.sync()
    synced = writer.end
    writer.reclaim()
    assert not any(bytes_of(storage, old))
    for seed in range(20):
        assert read_synced(storage.after_power_loss(seed), writer.layer) == synced
    write(writer, 3)
    writer.sync()
    for seed in range(20):
        assert read_synced(storage.after_power_loss(seed), writer.layer) == writer.end


@pytest.mark.parametrize("call", range(8))
def test_a_sync_that_failed_is_made_good_by_the_next(call: int) -> None:
    counting = FailingStorage(None)
    writer = begun(counting)
    write(writer, 1)
    calls = len(counting.calls)
    writer.sync()
    if call >= len(counting.calls) - calls:
        return
    failing = FailingStorage(calls + call)
    writer = begun(failing)
    written = write(writer, 1)
    with pytest.raises(OSError, match="error"):
        writer.sync()
    writer.sync()
    assert writer.is_synced
    for seed in range(10):
        left = failing.after_power_loss(seed)
        assert [mutation for _, mutation in replay(left, writer.layer, 0)] == [written]
        assert bytes_of(left, written) == bytes([1]) * BLOCK


def test_a_closed_layer_can_be_resumed() -> None:
    storage = MemoryStorage()
    writer = begun(storage)
    first = write(writer, 1)
    end = writer.end
    writer.close()
    again = layers_of(storage).resume(writer.layer, end)
    again.append(Reap(()))
    second = write(again, 2)
    assert second.segment == first.segment + 1
    records = [mutation for _, mutation in replay(storage, LayerId(writer.layer), 0)]
    assert records == [first, Reap(()), second]


def test_what_is_held_is_not_synced_and_can_be_taken_back() -> None:
    storage = MemoryStorage()
    writer = begun(storage)
    write(writer, 1)
    kept = writer.end
    writer.hold()
    write(writer, 2)
    assert (writer.settled_end, writer.end > kept) == (kept, True)
    writer.sync()
    assert read_synced(storage, writer.layer) == kept
    assert not writer.is_synced
    writer.take_back()
    assert (writer.end, writer.settled_end) == (kept, kept)
    third = write(writer, 3)
    writer.sync()
    assert read_synced(storage, writer.layer) == writer.end
    assert [found for _, found in replay(storage, writer.layer, kept)] == [third]


def test_what_was_held_and_stays_is_synced() -> None:
    storage = MemoryStorage()
    writer = begun(storage)
    writer.hold()
    write(writer, 1)
    writer.settle()
    writer.sync()
    assert read_synced(storage, writer.layer) == writer.end


@pytest.mark.parametrize("length", [0, 1 << 30])
def test_the_runs_of_a_short_journal_are_left_to_it(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(layer_writer, "RUNS_JOURNAL_BYTES_MIN", length)
    storage = MemoryStorage()
    writer = begun(storage)
    written = write(writer, 1)
    writer.close()
    assert storage.exists(layout.runs(written.segment)) == (length == 0)
    assert layers_of(storage).read_scratch(written.segment, 0, BLOCK) == b"\1" * BLOCK


def test_a_sync_up_to_a_record_counts_no_later_one() -> None:
    """Who needs the layer up to there has not made durable what later records stand on."""
    storage = MemoryStorage()
    writer = begun(storage)
    write(writer, 1)
    first = writer.end
    write(writer, 2)
    assert writer.sync(first)
    assert read_synced(storage, writer.layer) == first
    assert writer.sync()
    assert read_synced(storage, writer.layer) == writer.end
    assert writer.is_synced
    writer.close()
