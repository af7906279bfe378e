"""Copying a layer from memory to disk: what is copied, when it counts, when memory is left."""

import pytest

from pyi_fs.format.record import FORMAT_VERSION, LayerHeader
from pyi_fs.ids import InodeNumber, LayerId, SegmentId
from pyi_fs.model.mutation import Reap, Write
from pyi_fs.store import layout, promotion
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.journal import read_synced, replay
from pyi_fs.store.layer_writer import LayerWriter
from pyi_fs.store.layers import Layers
from pyi_fs.store.memory_bound import MemoryBound
from pyi_fs.store.promotion import (
    MEMORY_BOOT,
    SPILLED_BOOT,
    is_ephemeral,
    is_in_memory,
    is_of_boot,
    leave_memory,
    promote,
)
from pyi_fs.store.storage import Storage
from tests.support.storage import MemoryStorage
from tests.support.tiers import Tiers, new_tiers

BLOCK = 4096


@pytest.fixture
def machine(tmp_path) -> Tiers:
    tiers = new_tiers(tmp_path)
    tiers.make_directory(layout.LAYERS)
    tiers.sync_directory("")
    return tiers


def begun(machine: Tiers) -> LayerWriter:
    bound = MemoryBound(machine, lambda: 1 << 40, 1 << 30)
    layers = Layers(machine, ChunkStore.__new__(ChunkStore), "boot", bound)
    layer = layers.new_volatile_directory()
    assert layer is not None
    root = (0o40755, 1, 2, 3)
    header = LayerHeader(FORMAT_VERSION, layer, None, root, 4, MEMORY_BOOT, "ws", "try")
    return layers.create(header)


def copy(storage: Storage, layer: LayerId, end: int, newest: int = 0) -> None:
    promote(storage, layer, end, lambda: newest)


def write(writer: LayerWriter, data: bytes) -> SegmentId:
    where = writer.append_data(data)
    writer.append(
        Write(InodeNumber(2), 0, len(data), where.segment, where.offset, where.checksums, 1)
    )
    return where.segment


def after_power_loss(machine: Tiers) -> MemoryStorage:
    return machine.disk_tier.after_power_loss(0)


def test_a_copy_survives_a_power_loss_and_is_hidden_until_then(machine: Tiers) -> None:
    writer = begun(machine)
    segment = write(writer, b"a" * 5000)
    end = writer.end
    copy(machine, writer.layer, end)
    later = write(writer, b"b" * 100)
    assert machine.read(layout.scratch(segment)) == b"a" * 5000 + b"b" * 100
    assert later == segment
    assert read_synced(machine, writer.layer) == end
    for seed in range(5):
        disk = machine.disk_tier.after_power_loss(seed)
        assert disk.read(layout.scratch(segment)) == b"a" * 5000
        assert [stop for stop, _ in replay(disk, writer.layer, 0)] == [end]
        assert read_synced(disk, writer.layer) == end
    writer.close()


def test_only_what_records_up_to_the_position_name_is_copied(machine: Tiers) -> None:
    writer = begun(machine)
    segment = write(writer, b"a" * 100)
    end = writer.end
    writer.append_data(b"no record names this yet")
    write(writer, b"later")
    copy(machine, writer.layer, end)
    assert machine.disk_tier.read(layout.scratch(segment)) == b"a" * 100
    writer.close()


def test_a_copy_is_made_longer_when_the_layer_has_grown(machine: Tiers) -> None:
    writer = begun(machine)
    segment = write(writer, b"a" * 100)
    copy(machine, writer.layer, writer.end)
    calls: list[str] = []
    append = machine.disk_tier.open_append

    def counted(path: str, *, create: bool = False) -> object:
        calls.append(path)
        return append(path, create=create)

    machine.disk_tier.open_append = counted  # type: ignore[assignment]
    copy(machine, writer.layer, writer.end)
    assert calls == []
    write(writer, b"b" * 50)
    copy(machine, writer.layer, writer.end)
    disk = after_power_loss(machine)
    assert disk.read(layout.scratch(segment)) == b"a" * 100 + b"b" * 50
    assert read_synced(disk, writer.layer) == writer.end
    writer.close()


def test_what_was_given_back_takes_no_room_on_disk(machine: Tiers) -> None:
    writer = begun(machine)
    segment = write(writer, b"a" * 4 * BLOCK)
    file = writer.scratch.file(segment)
    assert file is not None
    file.punch(0, 4 * BLOCK)
    write(writer, b"b" * BLOCK)
    # So that the zeros are a part of their own.
    promotion_bytes, promotion._COPY_BYTES = promotion._COPY_BYTES, 2 * BLOCK  # noqa: SLF001
    try:
        copy(machine, writer.layer, writer.end)
    finally:
        promotion._COPY_BYTES = promotion_bytes  # noqa: SLF001
    assert machine.disk_tier.size_bytes(layout.scratch(segment)) == 5 * BLOCK
    assert machine.disk_tier.allocated_bytes(layout.scratch(segment)) == BLOCK
    writer.close()


def test_a_segment_given_back_as_a_whole_is_left_out(machine: Tiers) -> None:
    writer = begun(machine)
    segment = write(writer, b"a")
    machine.remove(layout.scratch(segment))
    copy(machine, writer.layer, writer.end)
    assert layout.segment_of("scratch-000000") is not None
    assert not machine.disk_tier.exists(layout.scratch(segment))
    writer.close()


def test_a_layer_leaves_memory_once_disk_has_all_of_it(machine: Tiers) -> None:
    writer = begun(machine)
    segment = write(writer, b"a" * 100)
    layer, end = writer.layer, writer.end
    copy(machine, layer, end)
    write(writer, b"b")
    writer.close()
    assert not leave_memory(machine, layer)
    assert is_in_memory(machine, layer)
    copy(machine, layer, machine.size_bytes(layout.journal(layer)) or 0)
    lock = machine.memory_tier.lock(layout.pins(layer))
    assert lock is not None
    lock.write_text("fork 100\n")
    lock.release()
    assert leave_memory(machine, layer)
    assert not is_in_memory(machine, layer)
    assert machine.memory_tier.list(f"layers/{layer:010x}"[:9]) == []
    assert machine.read(layout.scratch(segment)) == b"a" * 100 + b"b"
    assert machine.read(layout.pins(layer)) == b"fork 100\n"
    assert leave_memory(machine, layer)
    copy(machine, layer, 1 << 20)


def test_a_torn_record_does_not_keep_a_layer_in_memory(machine: Tiers) -> None:
    writer = begun(machine)
    writer.append(Reap((InodeNumber(2),)))
    end = writer.end
    writer.close()
    file = machine.open_append(layout.journal(writer.layer))
    file.append(b"\x50\x00")
    copy(machine, writer.layer, end)
    assert leave_memory(machine, writer.layer)
    assert machine.size_bytes(layout.journal(writer.layer)) == end


def test_pins_made_before_the_copy_are_in_it(machine: Tiers) -> None:
    writer = begun(machine)
    lock = machine.lock(layout.pins(writer.layer))
    assert lock is not None
    lock.write_text("fork 10\n")
    lock.release()
    copy(machine, writer.layer, writer.end)
    assert machine.disk_tier.read(layout.pins(writer.layer)) == b"fork 10\n"
    writer.close()


def test_without_memory_there_is_nothing_to_do() -> None:
    copy(MemoryStorage(), LayerId(1), 100)
    assert leave_memory(MemoryStorage(), LayerId(1))
    assert not is_in_memory(MemoryStorage(), LayerId(1))


def test_the_boot_of_a_layer_says_where_it_counts(machine: Tiers) -> None:
    writer = begun(machine)

    def header(boot: str) -> LayerHeader:
        return LayerHeader(FORMAT_VERSION, writer.layer, None, None, 4, boot, "ws", "try")

    assert is_of_boot(machine, writer.layer, header(MEMORY_BOOT), "now")
    assert not is_of_boot(machine, LayerId(7), header(MEMORY_BOOT), "now")
    assert is_of_boot(machine, LayerId(7), header(SPILLED_BOOT + "now"), "now")
    assert not is_of_boot(machine, LayerId(7), header(SPILLED_BOOT + "then"), "now")
    assert is_of_boot(machine, LayerId(7), header("now"), "now")
    kinds = (MEMORY_BOOT, SPILLED_BOOT + "now", "now")
    assert [is_ephemeral(header(boot)) for boot in kinds] == [True, True, False]
    writer.close()


def test_a_copy_goes_as_far_as_the_layer_goes_by_then(machine: Tiers) -> None:
    writer = begun(machine)
    write(writer, b"a")
    end = writer.end
    segment = write(writer, b"b")
    copy(machine, writer.layer, end, writer.end)
    disk = after_power_loss(machine)
    assert disk.read(layout.scratch(segment)) == b"ab"
    assert read_synced(disk, writer.layer) == writer.end
    writer.close()


def test_what_a_writer_took_back_leaves_the_copy(machine: Tiers) -> None:
    writer = begun(machine)
    write(writer, b"a")
    writer.hold()
    writer.append(Reap((InodeNumber(2),)))
    copy(machine, writer.layer, writer.end)
    writer.take_back()
    write(writer, b"b" * 100)
    copy(machine, writer.layer, writer.end)
    disk = after_power_loss(machine)
    path = layout.journal(writer.layer)
    assert disk.read(path) == machine.memory_tier.read(path)
    writer.close()


def test_what_was_copied_before_is_not_looked_through_again(
    machine: Tiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = begun(machine)
    segment = write(writer, b"a" * 100)
    copied = writer.end
    copy(machine, writer.layer, copied)
    write(writer, b"b" * 50)
    seen: list[int] = []

    def replayed(*arguments: object) -> object:
        for end, mutation in replay(*arguments):  # type: ignore[arg-type]
            seen.append(end)
            yield end, mutation

    monkeypatch.setattr(promotion, "replay", replayed)
    promote(machine, writer.layer, writer.end, lambda: 0, copied=copied)
    assert seen == [writer.end]
    disk = after_power_loss(machine)
    assert disk.read(layout.scratch(segment)) == b"a" * 100 + b"b" * 50
    assert disk.read(layout.journal(writer.layer)) == machine.read(layout.journal(writer.layer))
    writer.close()


def test_what_a_layer_leaves_in_memory_may_be_removed_later(machine: Tiers) -> None:
    writer = begun(machine)
    write(writer, b"a")
    copy(machine, writer.layer, writer.end)
    writer.close()
    left: list[str] = []
    assert leave_memory(machine, writer.layer, left.append)
    assert not is_in_memory(machine, writer.layer)
    (directory,) = left
    assert machine.memory_tier.list(directory) != []
    promotion.clear(machine.memory_tier, directory)
    assert machine.memory_tier.list(directory) == []
