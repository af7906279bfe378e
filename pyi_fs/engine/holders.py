"""Who holds positions: branches, snapshots, and what can still be undone.

As `engine/roots.py`, with names. A set of holders is an `int` with a bit for each, so that who
needs what of a store with thousands of snapshots fits in memory.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from pyi_fs.engine.history import History
from pyi_fs.engine.recovery import nearest, present
from pyi_fs.engine.retention import Policy, thin
from pyi_fs.engine.roots import positions_of
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import BranchName, LayerId, Position, SnapshotId, TreeObjectId, WorkspaceName
from pyi_fs.model.operation import DropBranch
from pyi_fs.model.refs import BranchRef, Refs, with_operation
from pyi_fs.store.oplog import OperationsLog

Holders = int
"""A set of holders: bit n is the n-th of `Held.holders`."""

_KEEP_ALL = Policy(1 << 62, ())
_LATER_NS = 10 * 365 * 86400 * 1_000_000_000


class Holder(NamedTuple):
    """A branch, a snapshot, or (no name) what a workspace can undo. `root`: its content root."""

    workspace: WorkspaceName
    branch: BranchName | None
    snapshot: SnapshotId | None
    positions: frozenset[Position]
    root: TreeObjectId | None = None

    @property
    def is_undo(self) -> bool:
        """Returns whether this goes by itself when the undo window closes."""
        return self.branch is None and self.snapshot is None


class Held(NamedTuple):
    """All holders of a store, and what goes with a branch that is dropped."""

    holders: tuple[Holder, ...]
    with_branch: dict[tuple[WorkspaceName, BranchName], Holders]

    def of(self, workspace: WorkspaceName) -> Holders:
        """Returns the holders of a workspace."""
        return self._bits(holder.workspace == workspace for holder in self.holders)

    def undo(self) -> Holders:
        """Returns all that goes by itself."""
        return self._bits(holder.is_undo for holder in self.holders)

    def by_position(self) -> dict[LayerId, dict[int, Holders]]:
        """Returns who holds each offset of each layer."""
        found: dict[LayerId, dict[int, Holders]] = defaultdict(lambda: defaultdict(int))
        for number, holder in enumerate(self.holders):
            for position in holder.positions:
                found[position.layer][position.offset] |= 1 << number
        return found

    def _bits(self, wanted: Iterable[bool]) -> Holders:
        return sum(1 << number for number, is_wanted in enumerate(wanted) if is_wanted)


def holders_of(store: Store) -> Held:
    """Returns everybody who holds something now. O(logs); takes branch locks for an instant."""
    found: list[Holder] = []
    with_branch: dict[tuple[WorkspaceName, BranchName], Holders] = {}
    for name in store.workspace_names():
        try:
            own = list(_of_workspace(store, name))
            refs = _refs(store, name)
            everything = set(positions_of(store, name))
        except NotFoundError:
            # Removed meanwhile.
            continue
        named = set().union(*(holder.positions for holder in own))
        own.append(Holder(name, None, None, frozenset(everything - named)))
        numbers = {(one.branch, one.snapshot): len(found) + n for n, one in enumerate(own)}
        for branch in refs.branch_names():
            gone = [(branch, None), *((None, one) for one in _gone_with(refs, branch))]
            with_branch[name, branch] = sum(1 << numbers[key] for key in gone if key in numbers)
        found += own
    return Held(tuple(found), with_branch)


def _refs(store: Store, name: WorkspaceName) -> Refs:
    log = OperationsLog(store.storage, name)
    log.close()
    return log.refs


def _of_workspace(store: Store, name: WorkspaceName) -> Iterator[Holder]:
    history = History(store.layers)
    log = OperationsLog(store.storage, name)
    try:
        for branch in log.refs.branch_names():
            positions = frozenset(_of_branch(history, log, log.refs.branches[branch]))
            yield Holder(name, branch, None, positions)
        for snapshot in log.refs.ordered():
            is_lost = history.survival.is_lost(snapshot.position)
            positions = frozenset() if is_lost else frozenset([snapshot.position])
            yield Holder(name, None, snapshot.id, positions, snapshot.root)
    finally:
        log.close()


def _of_branch(history: History, log: OperationsLog, ref: BranchRef) -> Iterator[Position]:
    with suppress(NotFoundError):
        yield nearest(history, log, ref.position)
    with suppress(NotFoundError, FileNotFoundError):
        yield present(history, log, ref)


def _gone_with(refs: Refs, branch: BranchName) -> set[SnapshotId]:
    """Returns the snapshots that go when a branch is dropped and cannot be brought back."""
    moment = max((ref.dropped_ns for ref in refs.branches.values()), default=0)
    moment = max(moment, refs.made_ns, *(one.time_ns for one in refs.snapshots.values()))
    later = moment + _LATER_NS
    dropped = with_operation(refs, DropBranch(moment, branch))
    before = {removal.snapshot.id for removal in thin(refs, later, _KEEP_ALL)}
    return {removal.snapshot.id for removal in thin(dropped, later, _KEEP_ALL)} - before
