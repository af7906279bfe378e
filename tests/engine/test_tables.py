"""Base tables go when no fold needs them; what roots are folded to is the same to the extent."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.marking import live_chunks
from pyi_fs.engine.references import LayerGraph, table_chunks
from pyi_fs.engine.repair import repair
from pyi_fs.engine.roots import roots_of
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.engine.tables import Beginnings, Folds, unneeded_tables
from pyi_fs.engine.undo import plan_undo
from pyi_fs.format.table import Table
from pyi_fs.ids import LayerId
from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.engine_rig import noise
from tests.support.garbage_rig import NOTHING_KEPT, fsck_of_tomorrow, soon, tomorrow
from tests.support.storage import MemoryStorage
from tests.support.table_rig import collect, folds, grow, remove, tables_of
from tests.support.workspaces import Boot, Rig, new_workspace

pytestmark = pytest.mark.usefixtures("fsck_of_tomorrow")
__all__ = ["fsck_of_tomorrow"]


def unneeded(rig: Rig) -> set[LayerId]:
    graph = LayerGraph(rig.store)
    positions = roots_of(rig.store).all_positions()
    return {step.layer for step in unneeded_tables(rig.store, positions, graph)}


def create_store(path: Path) -> None:
    Store.open(path).close()


def in_another_process(rig: Rig) -> Rig:
    return Rig(rig.storage, rig.workspace.name, clock=rig.clock)


def test_of_the_tables_of_a_lineage_the_last_two_stay(workspace: Rig) -> None:
    made = grow(workspace, 5)
    before, shown = folds(workspace), workspace.picture()
    assert unneeded(workspace) == set(made[:3])
    assert remove(workspace) == 3
    assert tables_of(workspace) == set(made[3:])
    assert [workspace.store.layers.base(layer) for layer in made[:3]] == [None] * 3
    assert folds(workspace) == before
    assert (remove(workspace), workspace.picture()) == (0, shown)
    workspace.restart()
    assert workspace.picture() == shown


def test_a_collection_removes_them_and_frees_what_it_said(workspace: Rig) -> None:
    made = grow(workspace, 5)
    shown = workspace.branch_pictures()
    planned = garbage.plan(workspace.store, policy=NOTHING_KEPT, clock_ns=tomorrow)
    lines = [line for line in planned.lines() if line.startswith("remove table ")]
    assert sorted(lines) == sorted(
        f"remove table {layout.base(layer)}: "
        f"{workspace.storage.allocated_bytes(layout.base(layer))} bytes, no fold needs it"
        for layer in made[:3]
    )
    done = collect(workspace)
    assert (done.tables, done.freed_bytes) == (3, planned.frees_bytes)
    assert done.notes == ()
    again = in_another_process(workspace)
    assert collect(again).freed_bytes == 0
    again.close()
    workspace.restart()
    assert workspace.branch_pictures() == shown
    assert workspace.findings() == []


def test_chunks_that_only_a_removed_table_names_go_in_the_same_run(workspace: Rig) -> None:
    """And until then they stay: the table is a file that may be read."""
    made = grow(workspace, 5)
    only = set.difference(
        table_chunks(workspace.storage, made[0]), table_chunks(workspace.storage, made[-1])
    )
    # The map of the layer that wrote them has them as well until it is trimmed.
    assert only <= live_chunks(workspace.store).live
    done = collect(workspace)
    assert done.packs
    assert only
    assert not only & live_chunks(workspace.store).live


@pytest.mark.parametrize("kind", ["snapshot", "branch", "fork"])
def test_what_begins_beside_the_chain_keeps_its_tables(workspace: Rig, kind: str) -> None:
    """Its maps are trimmed to what it is folded to from these: from others it could not be read."""
    first = grow(workspace, 3)
    if kind == "branch":
        workspace.workspace.make_branch("side", workspace.main)
        workspace.write("changes", b"of the side", on="side")
    else:
        workspace.snapshot("kept")
    if kind == "fork":
        fork_workspace(workspace.store, "ws", "kept", "fork")
        workspace.workspace.delete_snapshot("kept")
    second = grow(workspace, 4, seed="again")
    before = folds(workspace)
    fork = Rig(workspace.storage, "fork", clock=workspace.clock) if kind == "fork" else workspace
    shown = [*fork.branch_pictures().values(), *fork.snapshot_pictures().values()]
    assert collect(workspace).tables == 3
    assert tables_of(workspace) == {*first[1:], *second[2:]}
    after = folds(workspace)
    assert {place: after[place] for place in after} == {place: before[place] for place in after}
    fork.restart()
    assert [*fork.branch_pictures().values(), *fork.snapshot_pictures().values()] == shown
    if fork is not workspace:
        fork.close()


def test_what_undo_comes_back_to_keeps_its_tables_until_it_cannot(workspace: Rig) -> None:
    grow(workspace, 1)
    start = workspace.snapshot("start")
    first = grow(workspace, 3, seed="undone")
    undone = workspace.picture()
    workspace.workspace.restore(workspace.main, start)
    grow(workspace, 3, seed="again")
    workspace.workspace.leases.close()
    planned = garbage.plan(workspace.store, policy=NOTHING_KEPT, clock_ns=soon)
    done = garbage.carry_out(workspace.store, planned, clock_ns=soon)
    assert done.tables == 2
    assert set(first[1:]) <= tables_of(workspace)
    workspace.restart()
    assert plan_undo(workspace.workspace.log, workspace.main.name) is not None
    before = workspace.picture()
    workspace.workspace.undo(workspace.main)
    assert workspace.picture() == undone
    workspace.workspace.redo(workspace.main)
    assert workspace.picture() == before
    workspace.snapshot("again")
    # What it deletes is in use until the next one.
    collect(workspace)
    collect(workspace)
    assert not tables_of(workspace) & set(first)


def test_what_a_process_reads_keeps_its_tables_whoever_deletes_it(workspace: Rig) -> None:
    first = grow(workspace, 3)
    workspace.snapshot("read")
    reader = in_another_process(workspace)
    shown = reader.picture_at("read")
    snapshot = reader.workspace.find_snapshot("read")
    workspace.workspace.delete_snapshot("read")
    grow(workspace, 3, seed="again")
    assert collect(workspace).tables == 2
    assert set(first[1:]) <= tables_of(workspace)
    # Another one reads what it has leased, with nothing in memory.
    later = in_another_process(workspace)
    tree = later.workspace.history.tree(snapshot.position)
    inode = tree.existing(tree.resolve(b"changes"))
    assert later.workspace.reader.read_all(inode) == shown[b"changes"][-1]
    later.close()
    reader.close()
    assert collect(workspace).tables == 2


def test_a_table_that_is_no_fold_of_anything_stays(workspace: Rig) -> None:
    """As that of an import, whose layer has no parent."""
    layer = workspace.store.layers
    first = workspace.workspace.history.lineage(workspace.main.position)[-1].layer
    assert layer.header(first).parent is None
    grow(workspace, 3)
    write_base(workspace.store, first, workspace.main.position)
    assert not Beginnings(workspace.store).can_go(first)
    assert first not in unneeded(workspace)


@pytest.mark.parametrize("damaged", ["log", "table"])
def test_nothing_of_a_workspace_that_is_held_goes(workspace: Rig, damaged: str) -> None:
    made = grow(workspace, 5)
    path = layout.operations_log(workspace.workspace.name)
    workspace.workspace.log.sync()
    if damaged == "table":
        path = layout.base(made[-1])
    whole = workspace.storage.read(path)
    middle = len(whole) // 2
    workspace.storage.write_atomic(
        path,
        [
            whole[:middle],
            bytes(255 - one for one in whole[middle : middle + 9]),
            whole[middle + 9 :],
        ],
    )
    done = collect(workspace)
    assert (done.tables, tables_of(workspace)) == (0, set(made))
    workspace.storage.write_atomic(path, [whole])
    assert collect(workspace).tables == 3


def test_a_fork_that_is_on_its_way_keeps_what_it_pinned(tmp_path: Path) -> None:
    create_store(tmp_path / "store")
    rig = new_workspace(DirectoryStorage(tmp_path / "store"))
    made = grow(rig, 5)
    layer = rig.main.position.layer
    rig.store.layers.pin(layer, f"fork {rig.main.position.offset}")
    planned = garbage.plan(rig.store, policy=NOTHING_KEPT)
    assert not planned.tables
    assert garbage.carry_out(rig.store, planned).tables == 0
    assert tables_of(rig) == set(made)
    # Pinned longer ago than any fork takes.
    assert collect(rig).tables == 3
    rig.close()
    assert check_directory(tmp_path / "store", verify_data=True) == []


def test_a_layer_that_nobody_knows_yet_keeps_its_tables(workspace: Rig) -> None:
    """Of a branch that is made beside: it is in no log."""
    made = grow(workspace, 3)
    layers = workspace.store.layers
    header = layers.header(workspace.main.position.layer)
    layer = layers.new_directory()
    parent = workspace.main.position
    writer = layers.create(msgspec.structs.replace(header, layer=layer, parent=parent))
    writer.sync()
    layers.close_writer(writer)
    later = grow(workspace, 3, seed="again")
    assert unneeded(workspace) == {made[0], later[0]}


def test_a_damaged_table_is_made_again_of_the_one_before_it(tmp_path: Path) -> None:
    """That is what the second one is for."""
    create_store(tmp_path / "store")
    rig = new_workspace(DirectoryStorage(tmp_path / "store"))
    made = grow(rig, 5)
    collect(rig)
    shown = rig.picture()
    rig.close()
    path = tmp_path / "store" / layout.base(made[-1])
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert layout.base(made[-1]) in {step.file for step in repair(tmp_path / "store")}
    rig = Rig(DirectoryStorage(tmp_path / "store"))
    assert rig.picture() == shown
    rig.close()
    assert check_directory(tmp_path / "store", verify_data=True) == []


def test_positions_are_folded_from_the_first_table_and_from_what_comes_after_it(
    workspace: Rig,
) -> None:
    made = grow(workspace, 4)
    layers, folds_of = workspace.store.layers, Folds(workspace.store).of
    found = {layer: [one.start_tree(layer) for one in folds_of(layer)] for layer in made}
    for older, layer in pairwise(made):
        assert [tree.base for tree in found[layer]] == [layers.base(layer), layers.base(older)]
    assert not isinstance(found[made[0]][1].base, Table)
    # What has no table on its way up is folded in one way.
    first = workspace.workspace.history.lineage(workspace.main.position)[-1].layer
    assert len(list(folds_of(first))) == 1


@pytest.mark.parametrize("kind", ["branch", "snapshot"])
def test_what_was_folded_while_a_table_was_written_is_readable_ever_after(
    workspace: Rig, kind: str
) -> None:
    """A process keeps that tree, which names segments where the table has chunks."""
    grow(workspace, 2)
    workspace.make("a", noise(9_000, "a"))
    workspace.seal_all()
    position, frozen = workspace.main.roll()
    layer = workspace.main.position.layer
    workspace.make("b", b"in the new layer")
    workspace.main.sync()
    workspace.snapshot("meanwhile")
    other = in_another_process(workspace)
    if kind == "branch":
        other.workspace.make_branch("side", other.workspace.find_snapshot("meanwhile"))
        other.make("of the side", b"y", on="side")
        other.branch("side").sync()
        tree = other.branch("side").tree
    else:
        snapshot = other.workspace.find_snapshot("meanwhile")
        tree = other.workspace.snapshot_tree(snapshot)
    write_base(workspace.store, layer, position)
    base = workspace.store.layers.base(layer)
    assert base is not None
    workspace.main.rebase(frozen, base)
    collect(workspace)
    inode = tree.existing(tree.resolve(b"a"))
    assert other.workspace.reader.read_all(inode) == noise(9_000, "a")
    other.close()


def test_an_unsealed_segment_is_sealed_with_all_that_roots_reach(workspace: Rig) -> None:
    """After a removal as before it: what they are folded from did not change."""
    grow(workspace, 4)
    workspace.make("not sealed", noise(5_000, "not sealed"))
    workspace.main.sync()
    shown = workspace.picture()
    remove(workspace)
    layer = workspace.main.position.layer
    workspace.restart()
    assert seal(workspace.store, workspace.store.layers.segments(layer))
    assert workspace.picture() == shown


def test_a_power_loss_that_takes_a_new_table_takes_no_older_one(
    memory: MemoryStorage, boot: Boot
) -> None:
    """A collector sees a table as soon as it has its name, and its writer has yet to sync that."""
    rig = new_workspace(memory)
    made = grow(rig, 4)
    position, _ = rig.main.roll()
    rig.write("changes", b"at last")
    rig.main.sync()
    write_base(rig.store, rig.main.position.layer, position)
    path = layout.base(rig.main.position.layer)
    data = memory.read(path)
    memory.remove(path)
    memory.sync_directory(path.rpartition("/")[0])
    file = memory.open_append(path + ".new", create=True)
    file.append(data)
    file.sync()
    file.close()
    memory.rename(path + ".new", path)
    assert remove(rig) == 3
    for seed in range(20):
        left = memory.after_power_loss(seed)
        assert not any(left.exists(layout.base(layer)) for layer in made[:3])
        assert left.read(path) == data
    rig.close()


def test_roots_are_durable_before_a_table_goes(memory: MemoryStorage, boot: Boot) -> None:
    """Else a power loss would bring back a position that was folded from it."""
    rig = new_workspace(memory)
    grow(rig, 2)
    rig.main.sync()
    for number in range(3):
        position, _ = rig.main.roll()
        rig.write("changes", noise(9_000, f"not synced {number}"))
        # Not as the background does it: nothing is synced.
        write_base(rig.store, rig.main.position.layer, position)
    shown = rig.picture()
    assert remove(rig) == 3
    for seed in range(20):
        boot.again()
        left = Rig(memory.after_power_loss(seed))
        assert left.picture() == shown
        left.close()
    rig.close()


def test_after_a_power_loss_what_was_synced_is_folded_from_what_is_left(
    workspace: Rig, boot: Boot
) -> None:
    grow(workspace, 5)
    shown = workspace.picture()
    collect(workspace)
    boot.again()
    workspace.restart()
    assert workspace.picture() == shown
