"""What a power loss leaves of layers, layer by layer."""

import pytest

from pyi_fs.errors import CorruptRecordError
from pyi_fs.ids import Position
from pyi_fs.store import layout
from pyi_fs.store.journal import read_synced
from pyi_fs.store.storage import Storage
from pyi_fs.store.survival import Survival
from tests.support.fixtures import boot, empty_chunk_index, memory, shelf
from tests.support.storage import MemoryStorage
from tests.support.workspaces import Boot, Rig, new_workspace

__all__ = ["boot", "empty_chunk_index", "memory", "shelf"]


@pytest.fixture
def rig(memory: MemoryStorage, boot: Boot) -> Rig:
    """A workspace whose branch has a layer with a synced and an unsynced part."""
    rig = new_workspace(memory)
    rig.make("synced", b"s" * 100)
    rig.main.sync()
    rig.make("a", b"a" * 100)
    rig.make("b", b"b" * 100)
    return rig


def end_of(rig: Rig) -> Position:
    return rig.main.position


def after_loss(rig: Rig, boot: Boot) -> Survival:
    """Lets the process die and the machine come up again."""
    rig.die()
    boot.again()
    return Survival(Rig(rig.storage).store.layers)


def damage(storage: Storage, path: str, content: bytes) -> None:
    storage.write_atomic(path, [content])


def test_layers_of_this_boot_are_not_looked_at(rig: Rig) -> None:
    position = end_of(rig)
    survival = rig.workspace.history.survival
    assert survival.end(position.layer) is None
    assert not survival.is_lost(Position(position.layer, position.offset + 1000))
    rig.close()


def test_a_layer_that_is_all_there_ends_where_it_ended(rig: Rig, boot: Boot) -> None:
    position = end_of(rig)
    survival = after_loss(rig, boot)
    assert survival.end(position.layer) == position.offset
    assert not survival.is_lost(position)
    assert survival.is_lost(Position(position.layer, position.offset + 1))


def test_a_record_whose_data_is_missing_ends_a_layer_and_is_cut_off(rig: Rig, boot: Boot) -> None:
    layer = end_of(rig).layer
    ends = [end for end, _ in rig.store.layers.records(layer)]
    writer = rig.main.writer
    assert writer is not None
    segment = writer.scratch.segments()[0]
    content = bytearray(rig.storage.read(layout.scratch(segment)))
    content[150] ^= 1
    damage(rig.storage, layout.scratch(segment), bytes(content))
    survival = after_loss(rig, boot)
    cut = survival.end(layer)
    assert cut == ends[2]
    assert rig.storage.size_bytes(layout.journal(layer)) == cut
    assert read_synced(rig.storage, layer) == cut
    damage(rig.storage, layout.scratch(segment), bytes(200))
    assert Survival(Rig(rig.storage).store.layers).end(layer) == cut


def test_data_missing_before_the_last_sync_is_left_to_be_told_when_read(
    rig: Rig, boot: Boot
) -> None:
    """It may have been given back by right; if it was not, reading it is an error."""
    position = end_of(rig)
    rig.main.sync()
    writer = rig.main.writer
    assert writer is not None
    damage(rig.storage, layout.scratch(writer.scratch.segments()[0]), b"")
    assert after_loss(rig, boot).end(position.layer) == position.offset


def test_a_layer_whose_parent_lost_its_end_is_lost(rig: Rig, boot: Boot) -> None:
    parent = end_of(rig)
    rig.main.roll()
    rig.make("c")
    child = end_of(rig)
    whole = rig.storage.read(layout.journal(parent.layer))
    damage(rig.storage, layout.journal(parent.layer), whole[:-1])
    survival = after_loss(rig, boot)
    assert survival.end(child.layer) == 0
    assert survival.is_lost(child)
    assert survival.is_lost(parent)
    assert survival.parent(child.layer) == parent


def test_a_layer_with_a_base_needs_no_parent(rig: Rig, boot: Boot) -> None:
    parent = end_of(rig)
    rig.checkpoint()
    rig.make("c")
    child = end_of(rig)
    rig.storage.remove(layout.journal(parent.layer))
    rig.storage.remove(layout.synced(parent.layer))
    survival = after_loss(rig, boot)
    assert survival.end(child.layer) == child.offset
    assert survival.end(parent.layer) == 0


@pytest.mark.parametrize("kept", [0, 5])
def test_a_layer_without_its_header_is_lost(rig: Rig, boot: Boot, kept: int) -> None:
    rig.main.roll()
    layer = end_of(rig).layer
    damage(rig.storage, layout.journal(layer), rig.storage.read(layout.journal(layer))[:kept])
    survival = after_loss(rig, boot)
    assert survival.end(layer) == 0
    assert survival.parent(layer) is None


def test_a_durable_layer_without_its_header_is_an_alarm(rig: Rig, boot: Boot) -> None:
    layer = end_of(rig).layer
    damage(rig.storage, layout.journal(layer), b"\xff" * 100)
    survival = after_loss(rig, boot)
    with pytest.raises(CorruptRecordError, match="synced"):
        survival.end(layer)
