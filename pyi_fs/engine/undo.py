"""What `undo` and `redo` would do.

A plan made from the operations log, carried out by the workspace.

Undone can be: restore (of a tree or a path), undo's own inverse, making a branch, dropping one. A
second undo goes further back; an operation after an undo forgets what could be redone on that
branch.

What it would come back to is kept for `limits.UNDO_WINDOW_SECONDS`, or until space is short
(`CloseUndo`); after that it is refused.

Branches that had one name, one after the other, are taken back in the order in which they came: a
making or a drop that is not the newest of its name is refused. Taken back by its number it would
otherwise be about the branch that has the name now.
"""

import time
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.errors import AlreadyExistsError, NotFoundError
from pyi_fs.ids import NO_OPERATION, BranchName, OperationId, Position, SnapshotId
from pyi_fs.model.done import Done, Stack
from pyi_fs.model.operation import DropBranch, MakeBranch, MoveBranch, RestorePath, UndropBranch
from pyi_fs.store.oplog import OperationsLog


class MovePlan(NamedTuple):
    """The branch goes to another position."""

    after: Position
    parent: SnapshotId | None
    undoes: OperationId
    redoes: OperationId
    sentence: str


class DropPlan(NamedTuple):
    """A branch is dropped."""

    branch: BranchName
    undoes: OperationId
    redoes: OperationId
    sentence: str


class UndropPlan(NamedTuple):
    """A dropped branch comes back."""

    branch: BranchName
    undoes: OperationId
    redoes: OperationId
    sentence: str


Plan = MovePlan | DropPlan | UndropPlan


def plan_undo(
    log: OperationsLog,
    branch: BranchName,
    operation: OperationId | None = None,
    *,
    now_ns: int | None = None,
) -> Plan:
    """Returns how to take back the newest operation of a branch, or of branches as such.

    With `operation`: that one and what followed it there.

    `NotFoundError` if there is nothing to undo, the operation cannot be undone, or it is older than
    the undo window; `AlreadyExistsError` if it dropped a branch whose name another has now.
    `now_ns`: the moment, if it is not now.
    """
    done = _newest(log.refs.undoable, branch, operation)
    if done is None and operation is not None:
        raise NotFoundError(f"operation {operation} is not one of '{branch}' that can be undone")
    if done is None:
        raise NotFoundError("nothing to undo")
    if not done.is_move:
        _check_newest_of_name(log, done)
        _check_memory(log, done, now_ns)
    return _inverse(log, done, now_ns, redo=False)


def plan_redo(log: OperationsLog, branch: BranchName, *, now_ns: int | None = None) -> Plan:
    """Returns how to do again what the last `undo` took back.

    `NotFoundError` if there is nothing.
    """
    done = _newest(log.refs.redoable, branch)
    if done is None:
        raise NotFoundError("nothing to redo")
    return _inverse(log, done, now_ns, redo=True)


def _newest(stack: Stack, branch: BranchName, operation: OperationId | None = None) -> Done | None:
    """Returns the newest of a branch's moves and of what was done to other branches as such."""
    for done in reversed(stack):
        if done.is_move == (done.branch == branch) and operation in (None, done.operation):
            return done
    return None


def _check_newest_of_name(log: OperationsLog, done: Done) -> None:
    of_name = (
        other
        for other in reversed(log.refs.undoable)
        if other.branch == done.branch and not other.is_move
    )
    newest = next(of_name)
    if newest is done:
        return
    if isinstance(done.record, DropBranch) and done.branch in log.refs.live:
        raise AlreadyExistsError(
            f"there is a branch '{done.branch}' again (operation {newest.operation}): "
            "undo that or drop it first"
        )
    raise NotFoundError(
        f"operation {done.operation} cannot be undone before operation {newest.operation}, "
        f"the newest of branch '{done.branch}'"
    )


def _check_open(done: Done, closed_ns: int, now_ns: int | None) -> None:
    """Refuses what may be collected; `engine/roots.py` keeps it a little longer than the window."""
    operation, found = done
    if not isinstance(found, MoveBranch | RestorePath | DropBranch):
        return
    if found.time_ns <= closed_ns:
        raise NotFoundError(
            f"operation {operation}: what it left behind was given up early, as space was short "
            "(restore a snapshot instead)"
        )
    age_ns = (time.time_ns() if now_ns is None else now_ns) - found.time_ns
    if age_ns > limits.UNDO_WINDOW_SECONDS * 1_000_000_000:
        hours = limits.UNDO_WINDOW_SECONDS // 3600
        raise NotFoundError(
            f"operation {operation} is older than {hours} hours: what it left behind was collected "
            "(restore a snapshot instead)"
        )


def _check_memory(log: OperationsLog, done: Done, now_ns: int | None) -> None:
    """Refuses to bring back an ephemeral branch whose memory may have been given back."""
    ref = log.refs.branches.get(done.branch)
    if not isinstance(done.record, DropBranch) or ref is None or not ref.ephemeral:
        return
    age_ns = (time.time_ns() if now_ns is None else now_ns) - done.record.time_ns
    if age_ns > limits.EPHEMERAL_UNDO_SECONDS * 1_000_000_000:
        raise NotFoundError(
            f"operation {done.operation} dropped the ephemeral branch '{done.branch}' more than "
            f"{limits.EPHEMERAL_UNDO_SECONDS} seconds ago: its memory was given back (name an "
            "older operation to undo that)"
        )


def _inverse(log: OperationsLog, done: Done, now_ns: int | None, *, redo: bool) -> Plan:
    _check_open(done, log.refs.undo_closed_ns, now_ns)
    operation, found = done
    undoes, redoes = (NO_OPERATION, operation) if redo else (operation, NO_OPERATION)
    verb = "redo" if redo else "undo"
    match found:
        case MoveBranch():
            what = (
                f"restore of {found.snapshot}"
                if found.snapshot
                else "undo"
                if found.undoes
                else "redo"
            )
            sentence = f"{verb} operation {operation} ({what}) of '{found.branch}'"
            return MovePlan(Position(*found.before), found.parent_before, undoes, redoes, sentence)
        case RestorePath():
            path = found.path.decode(errors="backslashreplace")
            what = f"restore of {path} from {found.snapshot}"
            sentence = f"{verb} operation {operation} ({what}) of '{found.branch}'"
            return MovePlan(Position(*found.before), found.parent_before, undoes, redoes, sentence)
        case MakeBranch() | UndropBranch():
            return DropPlan(
                found.branch,
                undoes,
                redoes,
                f"{verb} operation {operation}: drop branch '{found.branch}'",
            )
        case DropBranch():
            return UndropPlan(
                found.branch,
                undoes,
                redoes,
                f"{verb} operation {operation}: bring branch '{found.branch}' back",
            )
