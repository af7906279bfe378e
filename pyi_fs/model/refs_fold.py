"""`fold_operation(refs, operation)`: `with_operation` for records that were read and not made.

As `model/fold.py` for trees: a record in a log has only a right checksum. Names and ids in it
become keys, lines on a terminal and ways from one snapshot to the one before, so they have to be
what a writer makes: every id is taken once, and whatever is named was there before.
"""

import re
from collections.abc import Callable
from typing import Any

from pyi_fs.errors import CorruptTreeError, RequestError
from pyi_fs.ids import BranchName, SnapshotId
from pyi_fs.model.operation import (
    Begin,
    Continue,
    DropBranch,
    MakeBranch,
    MoveBranch,
    NameSnapshot,
    Operation,
    RestorePath,
    SwitchHead,
    TakeSnapshot,
    UndropBranch,
)
from pyi_fs.model.refs import Refs, check_ref_name, with_operation

_ID = re.compile(r"[0-9]{1,18}-[0-9a-f]{1,40}", re.ASCII)


def fold_operation(refs: Refs, operation: Operation) -> Refs:
    """Returns the refs after one more operation that a log holds.

    `CorruptTreeError` if no writer can have written it after these.
    """
    check_operation(refs, operation)
    return with_operation(refs, operation)


def check_operation(refs: Refs, operation: Operation) -> None:
    """Raises `CorruptTreeError` if no writer can have written an operation after these refs."""
    if (type(operation) is Begin) != (refs.operation_count == 0):
        raise CorruptTreeError("a workspace begins once, with its first record")
    check = _CHECKS.get(type(operation))
    if check is not None:
        check(refs, operation)


def _check_name(text: str) -> None:
    try:
        check_ref_name(text)
    except RequestError as error:
        raise CorruptTreeError(str(error)) from error


def _check_branch(refs: Refs, name: BranchName) -> None:
    if name not in refs.branches:
        raise CorruptTreeError(f"a record of branch {name!r}, which was never made")


def _check_known(refs: Refs, snapshot: SnapshotId | None) -> None:
    if snapshot is not None and snapshot not in refs.snapshots and snapshot not in refs.deleted:
        raise CorruptTreeError(f"a record of snapshot {snapshot!r}, which was never taken")


def _begun(_: Refs, op: Begin) -> None:
    _check_name(op.branch)


def _of_branch(refs: Refs, op: Continue | DropBranch | UndropBranch) -> None:
    _check_branch(refs, op.branch)


def _taken(refs: Refs, op: TakeSnapshot) -> None:
    _check_branch(refs, op.branch)
    _check_known(refs, op.parent)
    is_taken = op.id in refs.deleted or op.id.partition("-")[0] in refs.numbers
    if is_taken or not _ID.fullmatch(op.id):
        raise CorruptTreeError(f"snapshot id {op.id!r} is taken or none")
    if op.name:
        _check_name(op.name)
        _check_free(refs, op.name, op.id)


def _check_free(refs: Refs, name: str, snapshot: SnapshotId) -> None:
    """A name is nobody's, or this snapshot's already: then it gets a longer message."""
    if refs.names.get(name, snapshot) != snapshot:
        raise CorruptTreeError(f"the name {name!r} is taken")


def _named(refs: Refs, op: NameSnapshot) -> None:
    if op.id not in refs.snapshots:
        raise CorruptTreeError(f"a name for snapshot {op.id!r}, which is not there")
    _check_name(op.name)
    _check_free(refs, op.name, op.id)


def _branch_made(refs: Refs, op: MakeBranch) -> None:
    _check_name(op.branch)
    _check_known(refs, op.parent)
    before = refs.branches.get(op.branch)
    if before is not None and not before.dropped:
        raise CorruptTreeError(f"branch {op.branch!r} is made twice")


def _moved(refs: Refs, op: MoveBranch) -> None:
    _check_branch(refs, op.branch)
    for snapshot in (op.parent, op.parent_before):
        _check_known(refs, snapshot)


def _path_restored(refs: Refs, op: RestorePath) -> None:
    _check_branch(refs, op.branch)
    _check_known(refs, op.parent_before)


def _switched(_: Refs, op: SwitchHead) -> None:
    _check_name(op.old)
    _check_name(op.new)


_CHECKS: dict[type, Callable[[Refs, Any], None]] = {
    Begin: _begun,
    Continue: _of_branch,
    TakeSnapshot: _taken,
    NameSnapshot: _named,
    MakeBranch: _branch_made,
    DropBranch: _of_branch,
    UndropBranch: _of_branch,
    MoveBranch: _moved,
    RestorePath: _path_restored,
    SwitchHead: _switched,
}
IS_FOLDED_IF_CHECKED = frozenset((TakeSnapshot, MakeBranch, DropBranch, MoveBranch))
"""What can be folded whenever it passed `check_operation`: all that their rules ask is checked."""
