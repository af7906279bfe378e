"""Undo goes back step by step and redo forward again, one branch at a time, within the window."""

import time

import pytest

from pyi_fs import limits
from pyi_fs.engine.undo import DropPlan, MovePlan, UndropPlan, plan_redo, plan_undo
from pyi_fs.errors import AlreadyExistsError, NotFoundError
from pyi_fs.ids import NO_OPERATION, BranchName, OperationId
from tests.support.workspaces import Rig

MAIN = BranchName("main")
SIDE = BranchName("side")
WINDOW_NS = limits.UNDO_WINDOW_SECONDS * 1_000_000_000


def names(rig: Rig, branch: str = "main") -> set[bytes]:
    return {path for path, _, _ in rig.branch(branch).tree.walk()}


def restored_twice(rig: Rig) -> None:
    """Restores the first of three states, then the second: `c` is at the end, `b` is shown."""
    snapshots = []
    for name in ("a", "b", "c"):
        rig.make(name)
        snapshots.append(rig.snapshot())
    for snapshot in snapshots[:2]:
        rig.workspace.restore(rig.main, snapshot)


def with_side(rig: Rig) -> None:
    rig.make("a")
    rig.workspace.make_branch("side", rig.main)


def test_undo_goes_further_back_each_time_and_redo_comes_forward(workspace: Rig) -> None:
    restored_twice(workspace)
    seen = [names(workspace)]
    for step in ("undo", "undo", "redo", "redo"):
        getattr(workspace.workspace, step)(workspace.main)
        seen.append(names(workspace))
    assert seen == [
        {b"a", b"b"},
        {b"a"},
        {b"a", b"b", b"c"},
        {b"a"},
        {b"a", b"b"},
    ]
    with pytest.raises(NotFoundError, match="nothing to redo"):
        workspace.workspace.redo(workspace.main)


def test_what_was_undone_and_redone_can_be_undone_again(workspace: Rig) -> None:
    restored_twice(workspace)
    for step in ("undo", "redo", "undo"):
        getattr(workspace.workspace, step)(workspace.main)
    assert names(workspace) == {b"a"}


def test_there_is_nothing_to_undo_or_redo_in_the_beginning(workspace: Rig) -> None:
    workspace.make("a")
    workspace.snapshot()
    with pytest.raises(NotFoundError, match="nothing to undo"):
        plan_undo(workspace.workspace.log, MAIN)
    with pytest.raises(NotFoundError, match="nothing to redo"):
        plan_redo(workspace.workspace.log, MAIN)


def test_an_operation_after_an_undo_forgets_redo_of_that_branch_only(workspace: Rig) -> None:
    with_side(workspace)
    start = workspace.snapshot()
    for branch in ("main", "side"):
        workspace.make("new", on=branch)
        workspace.workspace.restore(workspace.branch(branch), start)
        workspace.workspace.undo(workspace.branch(branch))
    workspace.workspace.restore(workspace.main, start)
    with pytest.raises(NotFoundError, match="nothing to redo"):
        plan_redo(workspace.workspace.log, MAIN)
    plan = plan_redo(workspace.workspace.log, SIDE)
    assert isinstance(plan, MovePlan)
    assert b"new" in names(workspace, "side")
    workspace.workspace.redo(workspace.branch("side"))
    assert b"new" not in names(workspace, "side")


def test_by_its_number_an_operation_goes_with_what_followed(workspace: Rig) -> None:
    restored_twice(workspace)
    first, second = (done.operation for done in workspace.workspace.refs.undoable)
    workspace.workspace.undo(workspace.main, first)
    assert names(workspace) == {b"a", b"b", b"c"}
    for operation in (first, second):
        with pytest.raises(NotFoundError, match=f"operation {operation} is not one of 'main'"):
            plan_undo(workspace.workspace.log, MAIN, operation)


def test_a_number_of_another_branch_or_kind_is_refused(workspace: Rig) -> None:
    restored_twice(workspace)
    workspace.workspace.make_branch("side", workspace.main)
    log = workspace.workspace.log
    move = next(done.operation for done in log.refs.undoable if done.branch == MAIN)
    for branch, operation in ((SIDE, move), (MAIN, OperationId(1)), (MAIN, OperationId(999))):
        with pytest.raises(NotFoundError, match="can be undone"):
            plan_undo(log, branch, operation)


def test_making_a_branch_is_undone_by_dropping_it_but_not_from_itself(workspace: Rig) -> None:
    with_side(workspace)
    log = workspace.workspace.log
    with pytest.raises(NotFoundError, match="nothing to undo"):
        plan_undo(log, SIDE)
    made = log.refs.undoable[-1].operation
    plan = plan_undo(log, MAIN)
    assert plan == DropPlan(SIDE, made, NO_OPERATION, f"undo operation {made}: drop branch 'side'")
    assert workspace.workspace.undo(workspace.main) == plan.sentence
    assert workspace.workspace.refs.branch_names() == [MAIN]
    workspace.workspace.redo(workspace.main)
    assert workspace.workspace.refs.branch_names() == [MAIN, SIDE]


def test_a_dropped_branch_comes_back_as_it_was(workspace: Rig) -> None:
    with_side(workspace)
    workspace.make("mine", b"kept", on="side")
    workspace.workspace.drop_branch("side")
    assert isinstance(plan_undo(workspace.workspace.log, MAIN), UndropPlan)
    workspace.workspace.undo(workspace.main)
    assert workspace.read("mine", on="side") == b"kept"
    workspace.workspace.redo(workspace.main)
    assert workspace.workspace.refs.branch_names() == [MAIN]


def test_a_restored_path_is_undone_without_the_rest(workspace: Rig) -> None:
    workspace.make("a", b"old")
    workspace.make("b", b"old")
    start = workspace.snapshot()
    workspace.write("a", b"new")
    workspace.write("b", b"new")
    workspace.workspace.restore(workspace.main, start, b"a")
    assert (workspace.read("a"), workspace.read("b")) == (b"old", b"new")
    sentence = workspace.workspace.would_undo(workspace.main)
    assert sentence.endswith(f"(restore of a from {start}) of 'main'")
    workspace.workspace.undo(workspace.main)
    assert (workspace.read("a"), workspace.read("b")) == (b"new", b"new")


def test_beyond_the_window_it_is_refused_except_dropping_what_was_made(workspace: Rig) -> None:
    restored_twice(workspace)
    log, now = workspace.workspace.log, time.time_ns()
    assert plan_undo(log, MAIN, now_ns=now + WINDOW_NS - 3_600_000_000_000)
    for later in (now + WINDOW_NS + 1, now + 2 * WINDOW_NS):
        with pytest.raises(NotFoundError, match="older than 24 hours"):
            plan_undo(log, MAIN, now_ns=later)
    workspace.workspace.undo(workspace.main)
    with pytest.raises(NotFoundError, match="older than 24 hours"):
        plan_redo(log, MAIN, now_ns=time.time_ns() + WINDOW_NS + 1)
    workspace.workspace.make_branch("side", workspace.main)
    assert isinstance(plan_undo(log, MAIN, now_ns=now + 2 * WINDOW_NS), DropPlan)


def operations(rig: Rig) -> int:
    return rig.workspace.refs.operation_count


def test_a_drop_is_not_undone_while_another_branch_has_the_name(workspace: Rig) -> None:
    """By its number; it would be about the branch that has the name now, and do nothing."""
    with_side(workspace)
    workspace.make("mine", b"first", on="side")
    workspace.workspace.drop_branch("side")
    dropped = OperationId(operations(workspace))
    workspace.workspace.make_branch("side", workspace.main)
    count = operations(workspace)
    with pytest.raises(AlreadyExistsError, match=f"'side' again .operation {count}.: undo that"):
        workspace.workspace.undo(workspace.main, dropped)
    assert operations(workspace) == count
    workspace.workspace.undo(workspace.main)
    workspace.workspace.undo(workspace.main, dropped)
    assert workspace.read("mine", on="side") == b"first"


def test_branches_of_one_name_are_taken_back_in_their_order(workspace: Rig) -> None:
    """The number of an older one would drop, or bring back, the newer branch of that name."""
    with_side(workspace)
    made = OperationId(operations(workspace))
    workspace.workspace.drop_branch("side")
    dropped = OperationId(operations(workspace))
    workspace.workspace.make_branch("side", workspace.main)
    with pytest.raises(NotFoundError, match="cannot be undone before"):
        workspace.workspace.undo(workspace.main, made)
    workspace.workspace.drop_branch("side")
    newest = operations(workspace)
    for operation in (made, dropped):
        with pytest.raises(NotFoundError, match=f"before operation {newest}, the newest of"):
            workspace.workspace.undo(workspace.main, operation)
    assert operations(workspace) == newest
