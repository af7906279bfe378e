"""Restoring moves a branch and loses nothing: changes are snapshotted first, and only changes."""

import errno
from collections.abc import Callable
from itertools import count

import pytest

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.moves import Moves
from pyi_fs.engine.undo import DropPlan, Plan, UndropPlan
from pyi_fs.errors import BusyError, NotFoundError
from pyi_fs.ids import NO_OPERATION, BranchName, InodeNumber, OperationId
from pyi_fs.model.mutation import Graft
from pyi_fs.model.operation import (
    MoveBranch,
    Operation,
    RestorePath,
    TakeSnapshot,
    UndropBranch,
)
from pyi_fs.model.refs import Refs
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree
from tests.support.engine_rig import opened, put, written
from tests.support.storage import MemoryStorage
from tests.support.workspaces import Rig, assert_touched_covers

MAIN = BranchName("main")


def operations(rig: Rig, kind: type[Operation]) -> list[Operation]:
    return [found for _, found in rig.workspace.log.operations() if isinstance(found, kind)]


def test_restore_shows_the_snapshot_and_keeps_what_was_there(workspace: Rig) -> None:
    workspace.make("a", b"old")
    first = workspace.snapshot()
    workspace.write("a", b"new")
    changed = workspace.picture()
    workspace.workspace.restore(workspace.main, first)
    assert workspace.picture() == workspace.picture_at(first)
    *_, before = workspace.workspace.refs.ordered()
    assert before.automatic == f"before restore of {first}"
    assert workspace.picture_at(before.id) == changed


def test_without_a_change_no_snapshot_is_taken_first(workspace: Rig) -> None:
    workspace.make("a")
    first = workspace.snapshot()
    workspace.make("b")
    workspace.snapshot()
    workspace.workspace.restore(workspace.main, first)
    workspace.workspace.undo(workspace.main)
    workspace.workspace.redo(workspace.main)
    assert len(operations(workspace, TakeSnapshot)) == 2


def test_undo_takes_a_snapshot_of_changes_first_and_says_of_what(workspace: Rig) -> None:
    workspace.make("a")
    first = workspace.snapshot()
    workspace.workspace.restore(workspace.main, first)
    workspace.make("made later", b"kept")
    sentence = workspace.workspace.undo(workspace.main)
    *_, before = workspace.workspace.refs.ordered()
    assert before.automatic == f"before {sentence}"
    assert b"made later" in workspace.picture_at(before.id)
    assert b"made later" not in workspace.picture()


def test_a_move_notes_where_from_where_to_and_what_came_last(workspace: Rig) -> None:
    workspace.make("a")
    first = workspace.snapshot()
    workspace.make("b")
    second = workspace.snapshot()
    before, after = workspace.main.position, workspace.workspace.refs.snapshots[first].position
    workspace.workspace.restore(workspace.main, first)
    (move,) = operations(workspace, MoveBranch)
    assert isinstance(move, MoveBranch)
    assert (move.before, move.after) == (before, after)
    assert (move.parent, move.parent_before, move.snapshot) == (first, second, first)
    assert (move.undoes, move.redoes) == (NO_OPERATION, NO_OPERATION)
    assert (workspace.main.position, workspace.main.last) == (after, first)
    assert not workspace.main.is_changed


def test_what_is_written_after_a_restore_leaves_the_snapshots_as_they_are(workspace: Rig) -> None:
    workspace.make("a", b"old")
    first = workspace.snapshot()
    workspace.write("a", b"new")
    second = workspace.snapshot()
    pictures = workspace.snapshot_pictures()
    workspace.workspace.restore(workspace.main, first)
    workspace.write("a", b"third")
    assert workspace.main.position.layer != workspace.workspace.refs.snapshots[first].position.layer
    assert workspace.snapshot_pictures() == pictures
    workspace.workspace.restore(workspace.main, second)
    assert workspace.read("a") == b"new"


def test_a_restored_path_is_one_record_and_leaves_the_rest(workspace: Rig) -> None:
    workspace.mkdir("d")
    workspace.make("d/a", b"old")
    workspace.make("d/b", b"old")
    workspace.make("other", b"old")
    first = workspace.snapshot()
    workspace.write("d/a", b"new")
    workspace.remove("d/b")
    workspace.make("d/c")
    workspace.write("other", b"new")
    layer, start = workspace.main.position
    workspace.workspace.restore(workspace.main, first, b"d")
    assert [path for path in workspace.picture() if path.startswith(b"d/")] == [b"d/a", b"d/b"]
    assert (workspace.read("d/a"), workspace.read("d/b")) == (b"old", b"old")
    assert workspace.read("other") == b"new"
    records = [found for _, found in workspace.store.layers.records(layer, start)]
    assert [type(record) for record in records] == [Graft]
    (noted,) = operations(workspace, RestorePath)
    assert isinstance(noted, RestorePath)
    assert (noted.before, noted.path, noted.snapshot) == ((layer, start), b"d", first)
    workspace.workspace.undo(workspace.main)
    assert workspace.read("d/a") == b"new"
    assert b"d/c" in workspace.picture()


def test_a_path_in_neither_tree_is_refused_and_nothing_is_noted(workspace: Rig) -> None:
    workspace.make("a")
    first = workspace.snapshot()
    workspace.make("b")
    before = workspace.workspace.refs.operation_count
    with pytest.raises(NotFoundError):
        workspace.workspace.restore(workspace.main, first, b"nothing")
    with pytest.raises(NotFoundError):
        workspace.workspace.restore(workspace.main, "99")
    assert workspace.workspace.refs.operation_count == before
    assert b"b" in workspace.picture()


def test_undo_leads_to_a_snapshot_so_the_next_one_is_no_other(workspace: Rig) -> None:
    workspace.make("a", b"1")
    first = workspace.snapshot()
    workspace.write("a", b"2")
    workspace.workspace.restore(workspace.main, first)
    workspace.workspace.undo(workspace.main)
    *_, before = workspace.workspace.refs.ordered()
    answer = workspace.workspace.snapshot(workspace.main)
    assert (answer.unchanged, answer.snapshot.id) == (True, before.id)
    workspace.make("b")
    taken = workspace.workspace.snapshot(workspace.main).snapshot
    assert (taken.parent, taken.added, taken.modified, taken.deleted) == (before.id, 1, 0, 0)


def test_what_was_touched_since_a_snapshot_covers_the_difference(workspace: Rig) -> None:
    workspace.make("a", b"1")
    first = workspace.workspace.find_snapshot(workspace.snapshot())
    workspace.make("b")
    workspace.remove("a")
    touched = workspace.workspace.history.touched(first.position, workspace.main.position)
    assert touched is not None
    old = workspace.workspace.snapshot_tree(first)
    assert_touched_covers(old, workspace.main.tree, touched)


class Told:
    """A listener that nobody has files open with."""

    def __init__(self) -> None:
        self.touched: list[Touched | None] = []

    def orphans(self, *_: object) -> list[InodeNumber]:
        return []

    def published(
        self, branch: Branch, old: Tree, new: Tree, touched: Touched | None, adopted: object
    ) -> None:
        self.touched.append(touched)
        if touched is not None:
            assert_touched_covers(old, new, touched)


def test_what_a_restore_of_the_last_snapshot_touches_is_not_looked_for(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.make("a", b"1")
    first, told = workspace.snapshot(), Told()
    workspace.main.listener = told
    workspace.make("b")
    number = workspace.main.tree.resolve(b"b")

    def reads(*_: object) -> None:
        raise AssertionError("a journal is read")

    monkeypatch.setattr(workspace.workspace.store.layers, "records", reads)
    workspace.workspace.restore(workspace.main, first)
    workspace.workspace.restore(workspace.main, first)
    changed, nothing = told.touched
    assert changed is not None
    assert number in changed.inodes
    assert nothing is not None
    assert not nothing


def test_changes_since_the_last_snapshot_count_again_after_an_undo_to_between_snapshots(tmp_path):
    with opened(tmp_path / "store") as store, written(store, "w") as (workspace, branch):
        put(branch, b"a", b"1")
        first = workspace.snapshot(branch).snapshot
        put(branch, b"b", b"2")
        workspace.restore(branch, first.id)
        automatic = workspace.refs.ordered()[-1]
        workspace.delete_snapshot(automatic.id)
        workspace.undo(branch)
        assert workspace.snapshot(branch).line().partition("\t")[2] == "+1 ~0 -0"


def test_a_deleted_last_snapshot_is_not_answered_and_the_one_before_counts(tmp_path):
    with opened(tmp_path / "store") as store, written(store, "w") as (workspace, branch):
        put(branch, b"a", b"1")
        first = workspace.snapshot(branch).snapshot
        put(branch, b"b", b"2")
        second = workspace.snapshot(branch).snapshot
        workspace.delete_snapshot(second.id)
        answer = workspace.snapshot(branch)
        assert not answer.unchanged
        assert answer.line().partition("\t")[2] == "+1 ~0 -0"
        assert answer.snapshot.parent == first.id
        assert workspace.snapshot(branch).unchanged


def test_a_snapshot_after_a_deleted_one_has_the_one_before_as_parent(tmp_path):
    with opened(tmp_path / "store") as store, written(store, "w") as (workspace, branch):
        for index in range(3):
            put(branch, b"f%d" % index, b"x")
            workspace.snapshot(branch)
        first, second, third = workspace.refs.ordered()
        workspace.delete_snapshot(second.id)
        assert workspace.refs.snapshots[third.id].parent == first.id
        assert workspace.refs.nearest(second.id) == first


def do_first(rig: Rig, monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]) -> None:
    """Lets something happen between the next plan of a process and its record."""
    log = rig.workspace.log
    append = log.append

    def appended(decide: Callable[[Refs], Operation]) -> Operation:
        monkeypatch.setattr(log, "append", append)
        what()
        return append(decide)

    monkeypatch.setattr(log, "append", appended)


def two_processes(rig: Rig) -> Rig:
    """Returns another process that has the branch `side`; two branches were dropped meanwhile."""
    rig.workspace.make_branch("side", rig.main)
    for name in ("x", "y"):
        rig.workspace.make_branch(name, rig.main)
    other = Rig(rig.storage)
    other.branch("side")
    rig.workspace.drop_branch("x")
    rig.workspace.drop_branch("y")
    return other


def test_what_another_process_has_undone_meanwhile_is_not_undone_again(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both mean the drop of `y`; who comes second takes back the one before it."""
    other = two_processes(workspace)
    try:
        do_first(workspace, monkeypatch, lambda: other.workspace.undo(other.branch("side")))
        sentence = workspace.workspace.undo(workspace.main)
        assert sentence.endswith("bring branch 'x' back")
        assert workspace.workspace.refs.branch_names() == ["main", "side", "x", "y"]
        kinds = operations(workspace, UndropBranch)
        assert [op.branch for op in kinds if isinstance(op, UndropBranch)] == ["y", "x"]
    finally:
        other.close()


def test_by_its_number_what_was_undone_meanwhile_is_refused(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = two_processes(workspace)
    try:
        newest = OperationId(workspace.workspace.refs.operation_count)
        do_first(workspace, monkeypatch, lambda: other.workspace.undo(other.branch("side")))
        with pytest.raises(NotFoundError, match=f"operation {newest} is not one of 'main'"):
            workspace.workspace.undo(workspace.main, newest)
        assert workspace.workspace.refs.branch_names() == ["main", "side", "y"]
    finally:
        other.close()


def test_what_was_done_meanwhile_is_what_is_undone_and_is_asked_about_again(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = two_processes(workspace)
    asked: list[Plan] = []
    try:
        start = other.branch("side")
        do_first(workspace, monkeypatch, lambda: other.workspace.make_branch("z", start))
        workspace.workspace.undo(workspace.main, check=asked.append)
        assert [type(plan) for plan in asked] == [UndropPlan, DropPlan]
        assert workspace.workspace.refs.branch_names() == ["main", "side"]
    finally:
        other.close()


def test_undo_gives_up_where_others_never_leave_off(workspace: Rig) -> None:
    plans = count()
    moves = Moves(workspace.workspace, workspace.workspace.log, workspace.workspace.history)
    with pytest.raises(BusyError, match="try again"):
        moves.carry_out(
            workspace.main,
            lambda: UndropPlan(MAIN, NO_OPERATION, NO_OPERATION, str(next(plans))),
            lambda _: None,
        )
    assert operations(workspace, UndropBranch) == []


def test_a_path_that_the_log_cannot_note_is_not_restored(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has it already, and a kill would bring it back."""
    storage = workspace.storage
    assert isinstance(storage, MemoryStorage)
    workspace.make("a", b"old")
    first = workspace.snapshot()
    workspace.write("a", b"new")
    workspace.snapshot()
    picture, position = workspace.picture(), workspace.main.position

    def full(_: object) -> Operation:
        workspace.main.sync()
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(workspace.workspace.log, "append", full)
    with pytest.raises(OSError, match="full"):
        workspace.workspace.restore(workspace.main, first, b"a")
    monkeypatch.undo()
    assert (workspace.picture(), workspace.main.position) == (picture, position)
    again = Rig(storage.after_kill())
    assert again.picture() == picture
    again.close()
    workspace.workspace.restore(workspace.main, first, b"a")
    assert workspace.read("a") == b"old"


def test_a_record_that_cannot_be_cut_off_is_left_behind(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.make("a", b"old")
    first = workspace.snapshot()
    workspace.write("a", b"new")
    workspace.snapshot()
    picture, position = workspace.picture(), workspace.main.position
    writer = workspace.main.writer
    assert writer is not None

    def broken(*_: object) -> Operation:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(workspace.workspace.log, "append", broken)
    monkeypatch.setattr(writer, "take_back", broken)
    with pytest.raises(OSError, match="broken"):
        workspace.workspace.restore(workspace.main, first, b"a")
    monkeypatch.undo()
    assert (workspace.picture(), workspace.main.position) == (picture, position)
    workspace.make("b")
    assert workspace.main.position.layer != position.layer
