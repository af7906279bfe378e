"""After a kill a branch is as it was and goes on; after a power loss it is at what survived."""

import pytest

from pyi_fs.engine.history import History
from pyi_fs.engine.recovery import Recovered, nearest, present, recover
from pyi_fs.errors import CorruptRecordError, NotFoundError
from pyi_fs.ids import LayerId, Position
from pyi_fs.model.mutation import Graft
from pyi_fs.model.operation import Void
from pyi_fs.store import layout
from pyi_fs.store.oplog import OperationsLog
from tests.support.storage import MemoryStorage
from tests.support.workspaces import NAME, Boot, Rig, assert_sound, layers_read

TORN = b"\x40\x00\x00\x00torn"


def killed(rig: Rig) -> Rig:
    """Returns the next process after a `kill -9` of this one."""
    assert isinstance(rig.storage, MemoryStorage)
    return Rig(rig.storage.after_kill(), clock=rig.clock)


def cut(rig: Rig, position: Position) -> None:
    file = rig.storage.open_append(layout.journal(position.layer))
    file.truncate(position.offset)
    file.close()


def tear(rig: Rig, layer: LayerId) -> None:
    file = rig.storage.open_append(layout.journal(layer))
    file.append(TORN)
    file.close()


def recovered(rig: Rig, branch: str = "main") -> Recovered:
    log = OperationsLog(rig.storage, NAME)
    try:
        return recover(rig.store.layers, History(rig.store.layers), log, log.refs.branch(branch))
    finally:
        log.close()


def test_after_a_kill_everything_is_there_and_the_layer_goes_on(workspace: Rig) -> None:
    workspace.make("a", b"not synced")
    position, picture = workspace.main.position, workspace.picture()
    again = killed(workspace)
    found = recovered(again)
    assert (found.position, found.resumable, found.records) == (position, True, 2)
    assert again.picture() == picture
    again.make("b")
    assert again.main.position.layer == position.layer
    assert_sound(again)


def test_a_layer_is_read_once(workspace: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for the tree of the last snapshot, and for what was touched since."""
    workspace.make("a", b"before")
    taken = workspace.workspace.snapshot(workspace.main).snapshot
    workspace.make("b", b"after")
    expected = workspace.main.since_last.touched
    again = killed(workspace)
    reads = layers_read(again, monkeypatch)
    branch = again.main
    assert reads == [taken.position.layer]
    assert branch.last == taken.id
    assert set(branch.since_last.tree.numbers()) < set(branch.tree.numbers())
    found = branch.since_last.touched
    assert (found.inodes, found.names) == (expected.inodes, expected.names)
    assert again.workspace.diff(taken, branch)


def test_a_torn_last_record_is_cut_off_and_written_over(workspace: Rig) -> None:
    workspace.make("a", b"data")
    position, picture = workspace.main.position, workspace.picture()
    again = killed(workspace)
    tear(again, position.layer)
    assert again.main.position == position
    assert again.picture() == picture
    again.make("b")
    records = list(again.store.layers.records(position.layer))
    assert records[-1][0] == again.main.position.offset
    assert len(records) == 3
    assert_sound(again)


def test_damage_before_the_last_sync_is_an_alarm(workspace: Rig) -> None:
    workspace.make("a", b"data")
    position = workspace.main.position
    workspace.main.sync()
    again = killed(workspace)
    cut(again, Position(position.layer, position.offset - 1))
    with pytest.raises(CorruptRecordError, match="synced"):
        again.branch("main")
    assert again.workspace.opened_branches() == []
    again.close()


def test_unlinked_files_of_a_process_that_died_are_reaped(workspace: Rig) -> None:
    number = workspace.make("a", b"data")
    workspace.remove("a")
    assert set(workspace.main.tree.unlinked) == {number}
    again = killed(workspace)
    assert set(recovered(again).tree.unlinked) == {number}
    assert not again.main.tree.unlinked
    assert again.main.tree.inode(number) is None
    assert_sound(again)


def test_a_branch_that_was_never_written_begins_at_its_start(workspace: Rig) -> None:
    workspace.make("a")
    workspace.workspace.make_branch("side", workspace.main)
    found = recovered(workspace, "side")
    assert (found.position, found.resumable, found.records) == (workspace.main.position, False, 0)
    workspace.make("b", on="side")
    assert workspace.branch("side").position.layer != workspace.main.position.layer


def test_what_brought_bytes_along_is_named_until_it_is_synced(workspace: Rig) -> None:
    workspace.make("a", b"old")
    first = workspace.snapshot()
    workspace.write("a", b"new")
    workspace.workspace.restore(workspace.main, first, b"a")
    assert [type(mutation) for mutation in recovered(workspace).unsynced] == [Graft]
    workspace.main.sync()
    assert recovered(workspace).unsynced == ()


def test_after_a_power_loss_the_branch_goes_on_in_a_new_layer(workspace: Rig, boot: Boot) -> None:
    workspace.make("kept", b"data")
    workspace.main.sync()
    kept, picture = workspace.main.position, workspace.picture()
    workspace.make("lost")
    lost = workspace.snapshot("lost")
    boot.again()
    again = killed(workspace)
    cut(again, kept)
    found = recovered(again)
    assert (found.position, found.resumable, found.records) == (kept, False, 0)
    assert again.picture() == picture
    assert lost not in again.workspace.refresh().snapshots
    again.make("new")
    assert again.main.position.layer != kept.layer
    voids = [done for _, done in again.workspace.log.operations() if isinstance(done, Void)]
    assert [(void.layer, void.offset) for void in voids] == [kept]
    assert_sound(again)


def test_a_move_to_what_was_lost_did_not_happen(workspace: Rig, boot: Boot) -> None:
    workspace.make("a")
    kept = workspace.snapshot()
    workspace.main.sync()
    position = workspace.main.position
    workspace.make("b")
    lost = workspace.snapshot()
    workspace.workspace.restore(workspace.main, kept)
    workspace.workspace.restore(workspace.main, lost)
    boot.again()
    again = killed(workspace)
    cut(again, position)
    assert recovered(again).position == position
    assert again.picture() == workspace.picture_at(kept)
    assert_sound(again)


def test_the_present_is_a_cut_at_a_whole_record_while_another_writes(workspace: Rig) -> None:
    workspace.make("a")
    position = workspace.main.position
    other = killed(workspace)
    tear(other, position.layer)
    size = other.storage.size_bytes(layout.journal(position.layer))
    log = other.workspace.log
    assert present(other.workspace.history, log, log.refs.branch("main")) == position
    assert other.storage.size_bytes(layout.journal(position.layer)) == size
    other.close()


def test_the_nearest_of_a_lost_position_is_where_its_layer_ends(workspace: Rig, boot: Boot) -> None:
    workspace.make("a")
    workspace.main.sync()
    layer, end = workspace.main.position
    log = workspace.workspace.log
    beyond = Position(layer, end + 100)
    assert nearest(workspace.workspace.history, log, beyond) == beyond
    boot.again()
    again = killed(workspace)
    history = again.workspace.history
    assert nearest(history, again.workspace.log, beyond) == (layer, end)
    assert nearest(history, again.workspace.log, Position(layer, end)) == (layer, end)
    with pytest.raises(NotFoundError, match="lost to a power loss"):
        nearest(history, again.workspace.log, Position(LayerId(5), 100))
    again.close()
