"""A base table is a cache of a fold: due when opening costs much, and never seen in any tree."""

import pytest

from pyi_fs import limits
from pyi_fs.engine.checkpointing import is_due, put_under, write_base
from pyi_fs.engine.history import History
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import LayerId, Position
from pyi_fs.model import extent
from pyi_fs.model.tree import Tree
from pyi_fs.store import layout
from tests.support.engine_rig import noise
from tests.support.garbage_rig import fsck_of_tomorrow
from tests.support.storage import MemoryStorage
from tests.support.table_rig import collect, grow
from tests.support.workspaces import Rig, assert_sound, picture_of

__all__ = ["fsck_of_tomorrow"]


def grown(rig: Rig) -> None:
    rig.mkdir("d")
    rig.make("d/a", b"data")
    rig.link("d/a", "hard link")
    rig.symlink("s", b"d/a")
    rig.make("open and gone", b"kept while open")
    rig.remove("open and gone")


def test_a_checkpoint_is_due_after_so_many_records(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOLD_RECORDS_MIN", 3)
    workspace.make("a")
    workspace.make("b")
    assert not is_due(workspace.main)
    workspace.make("c")
    assert is_due(workspace.main)
    workspace.checkpoint()
    assert not is_due(workspace.main)


def test_a_checkpoint_is_due_when_the_overlay_is_large_beside_its_base(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_INODES_MIN", 4)
    for number in range(20):
        workspace.make(f"f{number}")
    assert is_due(workspace.main)
    workspace.checkpoint()
    assert workspace.main.tree.base.inode_count == 21
    due = []
    for number in range(6):
        workspace.write(f"f{number}", b"x")
        due.append(is_due(workspace.main))
    # A quarter of 21 is 5.25.
    assert due == [False] * 5 + [True]


def test_on_a_large_base_more_records_may_gather(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "FOLD_RECORDS_MIN", 1)
    monkeypatch.setattr(limits, "FOLD_RECORD_INODES", 2)
    for number in range(20):
        workspace.make(f"f{number}")
    workspace.checkpoint()
    due = []
    for bound in (10, 7):
        monkeypatch.setattr(limits, "FOLD_RECORDS_MAX", bound)
        while workspace.main.records_since_base < bound - 1:
            workspace.write("f1", b"x")
        due.append(is_due(workspace.main))
        workspace.write("f1", b"x")
        due.append(is_due(workspace.main))
        workspace.checkpoint()
    assert due == [False, True] * 2


def test_many_records_about_few_files_are_no_large_overlay(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_INODES_MIN", 4)
    workspace.make("a")
    for _ in range(10):
        workspace.write("a", b"x")
    assert not is_due(workspace.main)


def test_the_table_holds_the_tree_that_it_was_made_of(workspace: Rig) -> None:
    grown(workspace)
    picture, unlinked = workspace.picture(), set(workspace.main.tree.unlinked)
    workspace.checkpoint()
    base = workspace.main.tree.base
    assert not isinstance(base, Tree)
    assert workspace.picture() == picture
    assert set(workspace.main.tree.unlinked) == unlinked
    assert len(unlinked) == 1
    assert workspace.main.records_since_base == 0


def test_what_was_written_meanwhile_stays_on_top(workspace: Rig) -> None:
    assert isinstance(workspace.storage, MemoryStorage)
    grown(workspace)
    position, frozen = workspace.main.roll()
    workspace.write("d/a", b"DATA")
    workspace.make("meanwhile")
    picture = workspace.picture()
    workspace.main.sync()
    layer = workspace.main.position.layer
    write_base(workspace.store, layer, position)
    base = workspace.store.layers.base(layer)
    assert base is not None
    workspace.main.rebase(frozen, base)
    assert workspace.picture() == picture
    assert workspace.main.records_since_base == 2
    assert Rig(workspace.storage.after_kill()).main.records_since_base == 2 + 1  # The reaping.


def test_the_next_process_opens_with_the_table_and_can_do_without(workspace: Rig) -> None:
    grown(workspace)
    workspace.checkpoint()
    workspace.make("b", b"after")
    layer, picture = workspace.main.position.layer, workspace.picture()
    assert isinstance(workspace.storage, MemoryStorage)
    for is_there in (True, False):
        again = Rig(workspace.storage.after_kill(), clock=workspace.clock)
        if not is_there:
            again.storage.remove(layout.base(layer))
        assert again.picture() == picture

        # The two records of `b`, and the reaping of what was open.
        assert again.main.records_since_base == 3
        assert_sound(again)


def test_files_that_are_sealed_are_in_the_table_as_chunks(workspace: Rig) -> None:
    content = noise(20_000)
    number = workspace.make("f", content)
    workspace.snapshot()
    workspace.seal_all()
    workspace.checkpoint()
    inode = workspace.main.tree.existing(number)
    assert {piece.kind for piece in extent.iterate(inode.extents)} == {extent.CHUNK}
    assert workspace.read("f") == content


def test_a_table_of_a_position_that_is_not_there_is_refused(workspace: Rig) -> None:
    workspace.make("a")
    layer = workspace.main.position.layer
    with pytest.raises(NotFoundError):
        write_base(workspace.store, layer, Position(LayerId(6), 100))
    assert workspace.store.layers.base(layer) is None


def test_the_parents_of_a_table_need_not_be_folded(workspace: Rig) -> None:
    grown(workspace)
    workspace.checkpoint()
    picture, position = workspace.picture(), workspace.main.position
    parent = workspace.store.layers.header(position.layer).parent
    assert parent is not None
    path = layout.journal(parent[0])
    workspace.storage.rename(path, "aside")
    tree = History(workspace.store.layers).tree(position)
    assert picture_of(workspace.workspace.reader, tree) == picture
    workspace.storage.rename("aside", path)


@pytest.mark.usefixtures("fsck_of_tomorrow")
def test_a_table_that_comes_after_the_death_of_its_server_leaves_nobody_two_behind(
    workspace: Rig,
) -> None:
    """Its worker goes on; the next server folds without it, and has the next table written."""
    grow(workspace, 2)
    workspace.make("a", noise(9_000, "a"))
    workspace.seal_all()
    late, _ = workspace.main.roll()
    of_late = workspace.main.position.layer
    workspace.make("b", b"in the new layer")
    workspace.main.sync()
    workspace.restart()
    position, frozen = workspace.main.roll()
    layer = workspace.main.position.layer
    workspace.workspace.make_branch("side", workspace.main)
    workspace.make("of the side", b"y", on="side")
    workspace.branch("side").sync()
    kept = workspace.workspace.find_snapshot(workspace.snapshot("meanwhile"))
    workspace.remove("a")
    workspace.main.sync()
    other = Rig(workspace.storage, workspace.workspace.name, clock=workspace.clock)
    write_base(other.store, of_late, late)
    write_base(other.store, layer, position)
    base = workspace.store.layers.base(layer)
    assert base is not None
    put_under(workspace.workspace, frozen, base)
    collect(other)
    other.close()
    for tree in (workspace.branch("side").tree, workspace.workspace.snapshot_tree(kept)):
        inode = tree.existing(tree.resolve(b"a"))
        assert workspace.workspace.reader.read_all(inode) == noise(9_000, "a")
