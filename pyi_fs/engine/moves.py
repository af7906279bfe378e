"""Moving a branch to another position: restore, undo, redo.

Log first, then publish; what was there stays reachable. Only a restored path is in the journal
before it is in the log, and is taken back if the log cannot have it.
"""

import time
from collections.abc import Callable
from typing import Protocol

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.history import History
from pyi_fs.engine.undo import DropPlan, MovePlan, Plan, UndropPlan
from pyi_fs.errors import BusyError
from pyi_fs.ids import NO_OPERATION, OperationId, Position, SnapshotId
from pyi_fs.model.diff import everything
from pyi_fs.model.operation import MoveBranch, Operation, RestorePath, UndropBranch
from pyi_fs.model.refs import Refs, Snapshot
from pyi_fs.model.regraft import graft_of
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree
from pyi_fs.store.oplog import OperationsLog

# Each time some other process has done something in between: so often in a row that is no chance.
_PLANS_MAX = 100

Confirm = Callable[[], None]
"""Called under the log's lock before a record is written; what it raises keeps it from being so."""


class PlanMovedError(Exception):
    """Another process has changed what a plan was made from; it is made anew."""


class MoveServices(Protocol):
    """What moving needs from the workspace."""

    def snapshot(self, branch: Branch, *, automatic: str) -> object:
        """Takes a snapshot nobody asked for."""

    def drop_branch(
        self, name: str, *, undoes: OperationId, redoes: OperationId, confirm: Confirm
    ) -> None:
        """Abandons a branch."""


class Moves:
    """The moves of one workspace's branches."""

    def __init__(self, services: MoveServices, log: OperationsLog, history: History) -> None:
        """Works through the given parts."""
        self._services = services
        self._log = log
        self._history = history

    def restore(self, branch: Branch, snapshot: Snapshot, path: bytes | None) -> Snapshot:
        """Makes a branch's tree (or one path of it) that of a snapshot again.

        What was there stays reachable: `undo`.

        A snapshot is taken first if anything changed. `NotFoundError` for a path that is in neither
        tree.
        """
        tree = self._history.tree(snapshot.position)
        layers = self._history.layers
        if not branch.is_ephemeral and layers.is_ephemeral(snapshot.position.layer):
            # Nothing durable stands on what is only in memory, nor has bytes of it.
            layers.sync_lineage(snapshot.position)
        if path is not None:
            self._restore_path(branch, snapshot, tree, path)
            return snapshot
        touched = branch.since_last.known_touched if branch.last == snapshot.id else None
        if branch.is_changed:
            self._services.snapshot(branch, automatic=f"before restore of {snapshot.id}")
        self._move(
            branch, snapshot.position, snapshot.id, tree, snapshot=snapshot.id, touched=touched
        )
        return snapshot

    def carry_out(
        self, branch: Branch, make_plan: Callable[[], Plan], check: Callable[[Plan], None]
    ) -> str:
        """Does what a plan of undo or redo says; returns its sentence.

        The plan is made again under the log's lock. If another process changed it meanwhile, what
        it says then is done, as if that process had been first. What `check` or `make_plan` raises
        is the refusal.
        """
        for _ in range(_PLANS_MAX):
            plan = make_plan()
            check(plan)

            def confirm(made: Plan = plan) -> None:
                if make_plan() != made:
                    raise PlanMovedError

            try:
                self._do(branch, plan, confirm)
            except PlanMovedError:
                continue
            return plan.sentence
        raise BusyError("other processes change this workspace all the time: try again")

    def _do(self, branch: Branch, plan: Plan, confirm: Confirm) -> None:
        match plan:
            case MovePlan():
                if branch.is_changed:
                    self._services.snapshot(branch, automatic=f"before {plan.sentence}")
                self._move(
                    branch,
                    plan.after,
                    plan.parent,
                    self._history.tree(plan.after),
                    undoes=plan.undoes,
                    redoes=plan.redoes,
                    confirm=confirm,
                )
            case DropPlan():
                self._services.drop_branch(
                    plan.branch, undoes=plan.undoes, redoes=plan.redoes, confirm=confirm
                )
            case UndropPlan():
                back = UndropBranch(
                    time.time_ns(), plan.branch, undoes=plan.undoes, redoes=plan.redoes
                )
                self._log.append(_confirmed(back, confirm))

    def _move(
        self,
        branch: Branch,
        after: Position,
        parent: SnapshotId | None,
        tree: Tree,
        *,
        snapshot: SnapshotId | None = None,
        touched: Touched | None = None,
        undoes: OperationId = NO_OPERATION,
        redoes: OperationId = NO_OPERATION,
        confirm: Confirm | None = None,
    ) -> None:
        """Notes in the log that a branch goes to another position, then publishes its tree.

        Restore, undo and redo are this. `touched` covers the difference, if that is known already.
        """
        before = branch.position
        if touched is None:
            touched = self._history.touched(before, after)
        branch.mark_ref()
        self._history.remember(before, branch.tree)
        move = MoveBranch(
            time.time_ns(),
            branch.name,
            before,
            after,
            parent,
            branch.last,
            snapshot,
            undoes,
            redoes,
        )
        branch.prepare(tree, touched)
        last: Snapshot | None = None

        def decide(refs: Refs) -> Operation:
            nonlocal last
            if confirm is not None:
                confirm()
            last = refs.nearest(parent)
            return move

        self._log.append(decide)
        last_tree = self._history.tree(last.position) if last is not None else None
        since = self._history.touched(last.position, after) if last is not None else None
        branch.publish(tree, after, touched, last.id if last else None, since, last_tree)

    def _restore_path(self, branch: Branch, snapshot: Snapshot, tree: Tree, path: bytes) -> None:
        touched = self._history.touched(branch.position, snapshot.position)
        if touched is None:
            touched = everything(branch.tree, tree)
        graft = graft_of(branch.tree, tree, path, touched, time.time_ns(), branch.next_inode)
        if branch.is_changed:
            self._services.snapshot(branch, automatic=f"before restore of {snapshot.id}")
        before, parent_before, old = branch.position, branch.last, branch.tree
        branch.mark_ref()
        self._history.remember(before, old)
        noted = RestorePath(time.time_ns(), branch.name, before, snapshot.id, path, parent_before)
        # Before it is in the journal: who finds it there without a record can add that.
        self._log.on_intent(noted)
        branch.graft(graft, lambda: self._log.append(lambda _: noted))


def _confirmed(operation: Operation, confirm: Confirm | None) -> Callable[[Refs], Operation]:
    def decide(_: Refs) -> Operation:
        if confirm is not None:
            confirm()
        return operation

    return decide
