"""Taking a snapshot: a record in the operations log, with counts of what changed.

Nothing is walked, hashed or copied: what was touched since the last snapshot is compared.
"""

import os
import time
from collections.abc import Callable
from functools import partial

from pyi_fs.engine.answer import Answer
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.history import History
from pyi_fs.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from pyi_fs.ids import BranchName, SnapshotId
from pyi_fs.limits import MESSAGE_BYTES_MAX
from pyi_fs.model.diff import Change, Counts, count, counts, diff, everything
from pyi_fs.model.operation import NameSnapshot, Operation, TakeSnapshot
from pyi_fs.model.refs import Refs, Snapshot, check_ref_name, snapshot_of
from pyi_fs.store.oplog import OperationsLog


def _now(act: Callable[[], None]) -> None:
    act()


def take_snapshot(
    log: OperationsLog,
    history: History,
    branch: Branch,
    *,
    name: str | None = None,
    message: str = "",
    automatic: str = "",
    later: Callable[[Callable[[], None]], None] = _now,
) -> Answer:
    """Takes a snapshot of a branch's present. Nothing changed: no write, the same id again.

    `later` is given what is only to be remembered, and calls it some time. A name makes durable
    what an ephemeral branch has in memory. `AlreadyExistsError` for a taken one.
    """
    refs = log.refresh()
    if name is not None:
        check_ref_name(name)
        if len(message.encode()) > MESSAGE_BYTES_MAX:
            raise InvalidArgumentError(f"a message has at most {MESSAGE_BYTES_MAX} bytes")
        _check_free(refs, name)
        branch.promote()
    last = refs.nearest(branch.last)
    is_deleted = last is not None and last.id != branch.last
    if last is not None and not is_deleted and not branch.is_changed:
        if name is None:
            return Answer(last, unchanged=True)
        if last.name is None:
            log.append(lambda refs: _named(refs, branch.name, last.id, name, message))
            return Answer(log.refs.snapshots[last.id], unchanged=True)
    counts = _counts(history, branch, last if is_deleted else None)
    parent = last.id if last is not None else None
    token, position = os.urandom(3).hex(), branch.position

    def decide(refs: Refs) -> Operation:
        if name is not None:
            _check_free(refs, name)
        snapshot_id = SnapshotId(f"{refs.snapshot_count + 1}-{token}")
        return TakeSnapshot(
            time.time_ns(),
            branch.name,
            snapshot_id,
            position,
            *counts,
            parent,
            name or "",
            message,
            automatic,
        )

    branch.mark_ref()
    taken = log.append(decide)
    assert isinstance(taken, TakeSnapshot)
    known = branch.since_last.known_touched if not is_deleted else None
    if last is not None and known is not None:
        later(partial(history.note_touched, last.position, position, known))
    later(partial(history.remember, position, branch.tree))
    branch.mark_snapshot(taken.id)
    return Answer(snapshot_of(taken), unchanged=False)


def changes(history: History, a: Snapshot, b: Snapshot | Branch) -> list[Change]:
    """Returns what changed from a snapshot to another one or to a branch's present."""
    old = history.tree(a.position)
    new = b.tree if isinstance(b, Branch) else history.tree(b.position)
    touched = history.touched(a.position, b.position)
    return diff(old, new, everything(old, new) if touched is None else touched)


def _counts(history: History, branch: Branch, since: Snapshot | None) -> Counts:
    """Returns how much changed since the last snapshot of a branch, or since another one."""
    if since is not None:
        return count(changes(history, since, branch))
    old, new, known = branch.since_last.tree, branch.tree, branch.since_last
    touched = known.touched if known.is_complete else everything(old, new)
    return counts(old, new, touched)


def _check_free(refs: Refs, name: str) -> None:
    taken = refs.names.get(name)
    if taken is not None:
        raise AlreadyExistsError(f"snapshot '{name}' exists ({taken})")


def _named(
    refs: Refs, branch: BranchName, snapshot: SnapshotId, name: str, message: str
) -> Operation:
    _check_free(refs, name)
    if snapshot not in refs.snapshots:
        raise NotFoundError(f"snapshot {snapshot} is gone")
    return NameSnapshot(time.time_ns(), branch, snapshot, name, message)
