"""Making a position durable, whoever wrote it, wherever it is."""

import pytest

from pyi_fs.ids import Position
from pyi_fs.store.journal import read_synced
from tests.support.crashes import RecordingStorage
from tests.support.fixtures import boot, empty_chunk_index, memory, shelf, tiered, workspace
from tests.support.storage import MemoryStorage
from tests.support.tiers import Tiers
from tests.support.workspaces import Boot, Rig

__all__ = ["boot", "empty_chunk_index", "memory", "shelf", "tiered", "workspace"]


@pytest.fixture
def rig(tiered: Rig) -> Rig:
    """An unsynced branch, an ephemeral one from it, another from that."""
    tiered.make("a", b"a" * 100)
    for name, start in (("one", "main"), ("two", "one")):
        tiered.workspace.make_branch(name, tiered.branch(start), ephemeral=True)
        tiered.make(name, name.encode() * 100, on=name)
    return tiered


def disk_of(rig: Rig) -> RecordingStorage:
    assert isinstance(rig.storage, Tiers)
    return rig.storage.disk_tier


def test_a_lineage_is_copied_from_memory_parents_first(rig: Rig) -> None:
    position = rig.branch("two").position
    steps = rig.workspace.history.lineage(position)[:3]
    assert [rig.store.layers.is_in_memory(step.layer) for step in steps] == [True, True, False]
    assert [read_synced(disk_of(rig), step.layer) for step in steps] == [0, 0, 0]
    rig.store.layers.sync_lineage(position)
    for step in steps:
        assert read_synced(disk_of(rig), step.layer) >= step.offset
    assert [rig.store.layers.is_in_memory(step.layer) for step in steps] == [True, True, False]


def test_another_process_copies_what_is_being_written(rig: Rig) -> None:
    position = rig.branch("two").position
    other = Rig(rig.storage)
    other.store.layers.sync_lineage(position)
    assert read_synced(disk_of(rig), position.layer) == position.offset
    rig.write("two", b"more", on="two")
    other.close()


def test_lenders_come_first_also_where_two_have_bytes_of_each_other(rig: Rig) -> None:
    rig.workspace.make_branch("three", rig.main, ephemeral=True)
    rig.make("three", b"three" * 100, on="three")
    two = rig.snapshot(on="two")
    three = rig.snapshot(on="three")
    rig.workspace.restore(rig.branch("three"), two, b"two")
    rig.workspace.restore(rig.branch("two"), three, b"three")
    position = rig.branch("three").position
    rig.store.layers.sync_lineage(position)
    for name in ("two", "three"):
        layer = rig.branch(name).position.layer
        assert read_synced(disk_of(rig), layer) > rig.store.layers.start(layer)


def test_what_was_copied_and_left_memory_is_durable_as_it_is(rig: Rig) -> None:
    branch = rig.branch("one")
    branch.promote()
    position = branch.position
    assert not rig.store.layers.is_in_memory(position.layer)
    assert isinstance(rig.storage, Tiers)
    rig.storage.moments = []
    rig.store.layers.sync_lineage(position)
    rig.store.layers.sync_lineage(Position(position.layer, rig.store.layers.start(position.layer)))
    assert rig.storage.moments == []
    rig.storage.moments = None


@pytest.mark.parametrize("seed", range(8))
def test_what_a_branch_begins_at_is_durable_with_the_bytes_it_borrowed(
    workspace: Rig, boot: Boot, seed: int
) -> None:
    """The branch they were borrowed by has not been synced itself: zeros came back."""
    storage = workspace.storage
    assert isinstance(storage, MemoryStorage)
    workspace.workspace.make_branch("lender", workspace.main)
    workspace.make("b", b"borrowed" * 100, on="lender")
    taken = workspace.snapshot(on="lender")
    workspace.workspace.make_branch("borrower", workspace.main)
    workspace.workspace.restore(workspace.branch("borrower"), taken, b"b")
    workspace.workspace.make_branch("later", workspace.branch("borrower"))
    workspace.make("mine", b"mine", on="later")
    workspace.branch("later").sync()
    boot.again()
    again = Rig(storage.after_power_loss(seed), clock=workspace.clock)
    try:
        assert again.read("b", on="later") == b"borrowed" * 100
        assert again.read("mine", on="later") == b"mine"
    finally:
        again.close()
