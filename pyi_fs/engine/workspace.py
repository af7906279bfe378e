"""A workspace as one process has it open: branches, snapshots, forks, restores.

Everything here is a plain `def` that moves refs; none of it walks a tree. Undo and redo are in
`engine/undo.py`, making and forking workspaces in `engine/founding.py`, answers about sizes in
`engine/usage.py`.

Invariants:
- Log first, then memory: a ref that another process or a later one can see is in the log before it
  is acted on.
- A branch is open in at most one process; its lock's text names the holder.
"""

import time
from collections.abc import Callable
from functools import partial

from pyi_fs.engine.answer import Answer
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.branch_locks import BranchLocks
from pyi_fs.engine.commits import Commits
from pyi_fs.engine.history import History
from pyi_fs.engine.leftovers import Leftovers
from pyi_fs.engine.moves import Confirm, Moves
from pyi_fs.engine.opening import Opening
from pyi_fs.engine.reader import Reader
from pyi_fs.engine.recovery import nearest, present
from pyi_fs.engine.services import LayerServices
from pyi_fs.engine.snapshotting import changes, take_snapshot
from pyi_fs.engine.status import branch_status
from pyi_fs.engine.store import Store, boot_id
from pyi_fs.engine.undo import Plan, plan_redo, plan_undo
from pyi_fs.errors import AlreadyExistsError, BusyError, NotFoundError
from pyi_fs.ids import NO_OPERATION, BranchName, OperationId, Position, WorkspaceName
from pyi_fs.model.diff import Change
from pyi_fs.model.operation import (
    DeleteSnapshot,
    DropBranch,
    KeepBranch,
    MakeBranch,
    Operation,
    SwitchHead,
)
from pyi_fs.model.refs import Refs, Snapshot, check_ref_name
from pyi_fs.model.tree import Tree
from pyi_fs.store.leases import Leases
from pyi_fs.store.oplog import OperationsLog


def _allow(_: Plan) -> None:
    """Refuses no plan."""


class Workspace:
    """One process's open workspace; one log, one set of locks."""

    def __init__(self, store: Store, name: WorkspaceName, *, holder: str = "") -> None:
        """Opens a workspace; `NotFoundError`.

        `holder` is what others are told who has a branch that is opened here.
        """
        self.store = store
        self.name = name
        self.holder_text = holder
        self.log = OperationsLog(store.storage, name)
        self.history = History(store.layers)
        self.leases = Leases(store.storage)
        self.reader = Reader(store.layers, store.chunks)
        self.leftovers = Leftovers()
        """What branches left that were closed here unsynced; see `sync_leftovers`."""
        self._branches: dict[BranchName, Branch] = {}
        self.commits = Commits(self.opened_branches)
        self.log.on_append = self.commits.happened
        self._locks = BranchLocks(store.storage, name)
        self._boot = boot_id()
        self._services = LayerServices(store.layers, self.log, name, self._boot)
        self.afterwards = self._services.afterwards
        self._moves = Moves(self, self.log, self.history)
        self._opening = Opening(name, self._services, self.log, self.history, self.reader)

    @property
    def refs(self) -> Refs:
        """Returns the refs as last seen; `refresh` looks again."""
        return self.log.refs

    def refresh(self) -> Refs:
        """Returns the refs with what other processes did; one `fstat` when that is nothing."""
        return self.log.refresh()

    # Branches.

    def open_branch(self, name: str, *, reaps: bool = True) -> Branch:
        """Opens a branch for writing: takes its lock, recovers its tree.

        The same object when it is open here already. `reaps`: removes unlinked files, which nobody
        can hold any more.

        `NotFoundError`; `BusyError` naming the process that has it.
        """
        branch_name = BranchName(name)
        found = self._branches.get(branch_name)
        if found is not None:
            return found
        self.refresh().branch(name)
        if not self._locks.exists(branch_name):
            self.log.in_turn(partial(self._locks.make, branch_name))
        self._locks.take(branch_name, self.holder_text)
        try:
            branch = self._opening.branch(self.refresh().branch(name), reaps=reaps)
        except BaseException:
            self._locks.release(branch_name)
            raise
        branch.wake = self.commits.happened
        self._branches[branch_name] = branch
        return branch

    def opened(self, name: BranchName) -> Branch | None:
        """Returns a branch if it is open here."""
        return self._branches.get(name)

    def opened_branches(self) -> list[Branch]:
        """Returns all branches open here."""
        return list(self._branches.values())

    def close_branch(self, branch: Branch) -> None:
        """Closes a branch and gives its lock up; syncs nothing.

        Not `afterwards`: who sees a branch dropped or left opens it in another process at once. The
        lock goes last, since who has it next writes where this one wrote.

        What is not synced is noted for `sync_leftovers`, but for an ephemeral one's.
        """
        if self._branches.get(branch.name) is branch:
            del self._branches[branch.name]
            branch.close()
            if not branch.is_ephemeral:
                branch.layers.leftovers.hand_over(self.leftovers)
            self._locks.release(branch.name)

    def holder(self, name: BranchName) -> str | None:
        """Returns who has a branch open in another process, or None."""
        return None if name in self._branches else self._locks.holder(name)

    def make_branch(self, name: str, start: Branch | Snapshot, *, ephemeral: bool = False) -> None:
        """Makes a branch at a snapshot or at the present of a branch open here.

        O(1), no walk, no copy; but a durable one copies what is in memory there to disk. BLOCKS
        then. `AlreadyExistsError`.
        """
        check_ref_name(name)
        if isinstance(start, Branch):
            if not ephemeral:
                start.promote()
            position, parent = start.position, start.last
            start.mark_ref()
            self.history.remember(position, start.tree)
        else:
            position, parent = start.position, start.id
            if not ephemeral:
                self._services.promote(position)

        def decide(refs: Refs) -> Operation:
            taken = refs.branches.get(BranchName(name))
            if taken is not None and not taken.dropped:
                raise AlreadyExistsError(f"branch '{name}' exists")
            return MakeBranch(time.time_ns(), BranchName(name), position, parent, ephemeral)

        self.log.append(decide)

    def drop_branch(
        self,
        name: str,
        *,
        undoes: OperationId = NO_OPERATION,
        redoes: OperationId = NO_OPERATION,
        confirm: Confirm | None = None,
    ) -> None:
        """Abandons a branch: it is closed here; only the ref moves, `undo` brings it back.

        `NotFoundError`; `BusyError` if held elsewhere.
        """
        ref = self.refresh().branch(name)
        branch = self._branches.get(ref.name)

        def decide(refs: Refs) -> Operation:
            if confirm is not None:
                confirm()
            if len(refs.live) == 1:
                raise BusyError(f"'{name}' is the only branch of '{self.name}'")
            # By its record: another process may have dropped it, and made one of that name.
            if refs.branches[ref.name].made_ns != ref.made_ns or refs.branches[ref.name].dropped:
                raise NotFoundError(f"branch '{name}' was dropped meanwhile")
            return DropBranch(time.time_ns(), ref.name, undoes, redoes)

        def decide_unopened(refs: Refs) -> Operation:
            if self._locks.exists(ref.name):
                raise BusyError(f"branch '{name}' is being opened by another process")
            return decide(refs)

        if branch is not None:
            self.log.append(decide)
            self.close_branch(branch)
            return
        if not self._locks.exists(ref.name):
            # Making its lock for an instant would take longer than all else.
            self.log.append(decide_unopened)
            return
        # Held until the log says so: nobody begins to write to what is being dropped.
        self._locks.take(ref.name, None)
        try:
            self.log.append(decide)
        finally:
            self._locks.release(ref.name)

    def switch_head(self, old: BranchName, new: BranchName) -> None:
        """Notes in the log that a mount shows another branch, which is durable from then on."""
        branch = self.open_branch(new)
        if branch.is_ephemeral:
            self.keep_branch(branch)
        self.log.append(lambda _: SwitchHead(time.time_ns(), old, new))

    def keep_branch(self, branch: Branch) -> None:
        """Makes an ephemeral branch durable for good, with its snapshots. BLOCKS."""
        for snapshot in self.refs.snapshots.values():
            if snapshot.branch == branch.name and not self.history.survival.is_lost(
                snapshot.position
            ):
                self._services.promote(snapshot.position)
        branch.layers.keep()
        self.log.append(lambda _: KeepBranch(time.time_ns(), branch.name))

    def newest_tree(self, name: str) -> tuple[Tree, Position]:
        """Returns the newest snapshot's tree of a branch, with its position.

        Another process may hold it. Without a snapshot: the tree it started from. It is leased, as
        by `snapshot_tree`.
        """
        refs = self.refresh()
        while True:
            ref = refs.branch(name)
            snapshot = refs.nearest(ref.last)
            position = snapshot.position if snapshot is not None else ref.position
            position = nearest(self.history, self.log, position)
            before, is_new = refs, self.leases.hold(position)
            refs = self.refresh()
            if not is_new or refs is before:
                return self.history.tree(position), position

    def present(self, name: str) -> Position:
        """Returns the position of a branch's present, also while another process writes it.

        A cut at a whole record.
        """
        ref = self.refresh().branch(name)
        branch = self._branches.get(ref.name)
        if branch is not None:
            branch.mark_ref()
            return branch.position
        return present(self.history, self.log, ref)

    # Snapshots.

    def snapshot(
        self, branch: Branch, *, name: str | None = None, message: str = "", automatic: str = ""
    ) -> Answer:
        """Takes a snapshot of a branch's present; see `take_snapshot`."""
        take = partial(take_snapshot, self.log, self.history, branch, name=name, message=message)
        # What follows one that nobody asked for wants to know what it has to remember.
        return take(automatic=automatic) if automatic else take(later=self.afterwards.add)

    def last(self, branch: Branch) -> Snapshot | None:
        """Returns the last snapshot in the lineage of a branch."""
        return self.refs.nearest(branch.last)

    def find_snapshot(self, text: str) -> Snapshot:
        """Returns the snapshot with that name, id or number; `NotFoundError`."""
        return self.refresh().find_snapshot(text)

    def delete_snapshot(self, text: str, *, reason: str = "asked for") -> None:
        """Deletes a snapshot; what only it held is collected later. `NotFoundError`."""
        snapshot = self.find_snapshot(text)
        self.log.append(lambda _: DeleteSnapshot(time.time_ns(), snapshot.id, reason))

    def snapshot_tree(self, snapshot: Snapshot) -> Tree:
        """Returns the tree of a snapshot, folding it when it was not looked at lately.

        It is leased from now on: its bytes stay, whoever deletes it, until that is let go of
        (`leases`) or this workspace is closed. `NotFoundError` if it was deleted before.
        """
        if self.leases.hold(snapshot.position) and snapshot.id not in self.refresh().snapshots:
            self.leases.let_go(snapshot.position)
            raise NotFoundError(f"no snapshot '{snapshot.id}': it was deleted")
        return self.history.tree(snapshot.position)

    def still_leased(self, snapshot: Snapshot) -> Snapshot:
        """Returns a snapshot as it is now, or as it was if it was deleted since.

        For a process that goes on with a lease of a dead one, which is still held.
        """
        found = self.refresh().snapshots.get(snapshot.id)
        if found is None:
            self.leases.hold(snapshot.position)
        return snapshot if found is None else found

    def lease_dropped(self, name: BranchName) -> Position | None:
        """Leases what a branch that was dropped had; None if nothing of it is there."""
        ref = self.refs.branches.get(name)
        if ref is None:
            return None
        try:
            position = present(self.history, self.log, ref)
        except (NotFoundError, FileNotFoundError):
            return None
        self.leases.hold(position)
        return position

    def diff(self, a: Snapshot, b: Snapshot | Branch) -> list[Change]:
        """Returns what changed from a snapshot to another one or to a branch's present."""
        return changes(self.history, a, b)

    def status(self, branch: Branch) -> dict[str, object]:
        """Returns what `.pyi/status` shows of a branch; the caller adds what a mount knows."""
        return {"workspace": self.name, **branch_status(self.refresh(), self.log.is_synced, branch)}

    # Restore and undo; see `engine/moves.py`.

    def restore(self, branch: Branch, text: str, path: bytes | None = None) -> Snapshot:
        """Makes a branch's tree (or one path of it) that of a snapshot again.

        See `Moves.restore`.
        """
        return self._moves.restore(branch, self.find_snapshot(text), path)

    def would_undo(self, branch: Branch) -> str:
        """Returns a sentence that says what `undo` would do; `NotFoundError` if nothing."""
        self.refresh()
        return plan_undo(self.log, branch.name).sentence

    def would_redo(self, branch: Branch) -> str:
        """Returns a sentence that says what `redo` would do; `NotFoundError` if nothing."""
        self.refresh()
        return plan_redo(self.log, branch.name).sentence

    def undo(
        self,
        branch: Branch,
        operation: OperationId | None = None,
        check: Callable[[Plan], None] = _allow,
    ) -> str:
        """Takes back the newest operation (or the one named); returns what it did.

        Changes are snapshotted first. `check` may refuse the plan.
        """
        self.refresh()
        plan = partial(plan_undo, self.log, branch.name, operation)
        return self._moves.carry_out(branch, plan, check)

    def redo(self, branch: Branch, check: Callable[[Plan], None] = _allow) -> str:
        """Does again what the last undo took back; returns what it did."""
        self.refresh()
        return self._moves.carry_out(branch, partial(plan_redo, self.log, branch.name), check)

    def sync(self, branch: Branch) -> None:
        """Makes everything a branch and the log acknowledged durable.

        BLOCKS: call it in a thread.
        """
        branch.sync()

    def make_durable(self, branch: Branch) -> None:
        """Makes everything a branch and the log acknowledged durable, also an ephemeral one's.

        BLOCKS: call it in a thread.
        """
        branch.layers.copy_out()

    def sync_leftovers(self) -> None:
        """Makes durable what closed branches left, and the log.

        BLOCKS: call it in a thread, one at a time.
        """
        if self.leftovers.has_closed:
            done = self.leftovers.sync(self._services)
            self._services.sync_log()
            self.leftovers.forget(done)
        elif not self.log.is_synced:
            # Where only an ephemeral branch is open, nobody else does.
            self._services.sync_log()

    def close(self) -> None:
        """Closes every branch and the log; syncs nothing."""
        for branch in list(self._branches.values()):
            self.close_branch(branch)
        self.afterwards.run()
        self.leases.close()
        self.log.close()
