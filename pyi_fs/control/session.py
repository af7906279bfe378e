"""What one mount shows: its views, and which branches it holds for them.

Invariants:
- View numbers count from 1 (0 is the root) and are never used twice: a branch that comes back to
  `branches/` after it was at the root, or after it was dropped and made again, gets a fresh one, so
  that nothing the kernel kept of the old view can be taken for the new one.
- At most one view that is not gone shows a branch, and the root's own branch has no other: a
  directory has one path.
- A live branch is held by this process; a read-only mount holds no branch for its views.

Synchronous: called from the event loop between two yield points.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

from pyi_fs.control.beside import Beside
from pyi_fs.control.view import View, ViewChange
from pyi_fs.engine.branch import Branch, PublishListener
from pyi_fs.engine.undo import DropPlan, Plan
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import BusyError, NoSpaceError, NotFoundError, ReadOnlyError, StaleNodeError
from pyi_fs.ids import BranchName, OperationId, SnapshotId, ViewNumber
from pyi_fs.model.operation import NameSnapshot
from pyi_fs.model.refs import Refs, Snapshot, check_ref_name
from pyi_fs.model.tree import Tree

# A node id is (view number << 40) | inode number in 64 bits, and stays positive where it is read as
# signed.
VIEWS_MAX = (1 << 23) - 1


class Session:
    """The views of one mount. `control_uid` may use `.pyi/`; `mountpoint` is for messages."""

    def __init__(
        self,
        workspace: Workspace,
        root: Branch | Snapshot,
        *,
        read_only: bool,
        control_uid: int,
        mountpoint: str,
    ) -> None:
        """Makes the root view; the caller has opened `root` and closes it."""
        self.workspace = workspace
        self.read_only = read_only or isinstance(root, Snapshot)
        self.control_uid = control_uid
        self.mountpoint = mountpoint
        self.on_view_changed: Callable[[ViewChange], None] | None = None
        self.on_new_view: Callable[[View], None] | None = None
        self.publish_listener: PublishListener | None = None
        self.beside: Beside | None = None
        self.mount_status: Callable[[], Mapping[str, object]] = dict
        self.views: dict[ViewNumber, View] = {}
        self._view_count = 0
        self._of_branch: dict[BranchName, View] = {}
        self._of_snapshot: dict[SnapshotId, View] = {}
        if isinstance(root, Snapshot):
            source = partial(workspace.snapshot_tree, root)
            self.root = View(ViewNumber(0), None, root, True, source, reads=root.position)
        else:
            is_fixed = self.read_only or root.read_only
            self.root = View(ViewNumber(0), root.name, None, is_fixed, lambda: root.tree, root)
        self.views[self.root.number] = self.root

    def view_of_branch(self, name: BranchName) -> View | None:
        """Returns the view of a branch, ready for use; None for the root's own branch.

        Takes the branch's lock. If another process has it, the view is read-only and shows the
        newest snapshot; each call tries again. `NotFoundError` if there is no such branch.
        """
        view = self.listed_view(name)
        if view is not None and view.branch is None:
            self._enter(view)
        return view

    def listed_view(self, name: BranchName) -> View | None:
        """Returns the same view as `view_of_branch`, but opens nothing: for listings."""
        refs = self.workspace.refresh()
        view = self._of_branch.get(name)
        try:
            refs.branch(name)
        except NotFoundError:
            if view is not None:
                self._retire(view, None)
            raise
        if self.root.name == name:
            return None
        if view is None:
            view = self._new_view(name, None)
            self._of_branch[name] = view
        return view

    def view_of_snapshot(self, snapshot: Snapshot) -> View:
        """Returns the view of a snapshot; its tree is folded when it is looked at."""
        view = self._of_snapshot.get(snapshot.id)
        if view is None:
            view = self._new_view(None, snapshot)
            self._of_snapshot[snapshot.id] = view
        view.snapshot = snapshot
        return view

    def live_branch(self, view: View) -> Branch:
        """Returns the branch a command of this view acts on.

        `ReadOnlyError` in a read-only mount or a snapshot, `BusyError` while another process has
        the branch.
        """
        self.check_writable()
        if view.is_gone:
            raise StaleNodeError(f"{view.label} is not there any more")
        if view.branch is None:
            self._enter(view)
        if view.branch is None:
            raise BusyError(self._held_by(view))
        if view.branch.read_only:
            raise ReadOnlyError(f"branch '{view.name}' is open read-only")
        return view.branch

    def check_writable(self) -> None:
        """Raises `ReadOnlyError` if nothing can be changed through this mount."""
        if self.read_only:
            raise ReadOnlyError(f"{self.mountpoint} is mounted read-only")

    def switch_head(self, name: str) -> None:
        """Shows another branch at the root; the old one is below `branches/` from then on.

        Nothing happens if it is there already. `NotFoundError`; `BusyError` if another process has
        it.
        """
        self.workspace.refresh().branch(name)
        if self.root.name == name:
            return
        old, old_tree = self.live_branch(self.root), self.root.tree
        was_open = self.workspace.opened(BranchName(name)) is not None
        new = self._opened(BranchName(name))
        try:
            self.workspace.switch_head(old.name, new.name)
        except Exception:
            if not was_open:
                self.workspace.close_branch(new)
            raise
        self._show_at_root(new, old, old_tree)

    def show_at_root(self, name: BranchName) -> None:
        """Does what `switch_head` does once the log says so."""
        old = self.live_branch(self.root)
        self._show_at_root(self._opened(name), old, self.root.tree)

    def _show_at_root(self, new: Branch, old: Branch, old_tree: Tree) -> None:
        self.root.name, self.root.branch = new.name, new
        self.root.source = lambda: new.tree
        below = self._of_branch.get(new.name)
        if below is not None:
            self._retire(below, self.root)
        self._tell(ViewChange(self.root, old_tree, old, self.view_of_branch(old.name)))

    def drop(self, name: str) -> None:
        """Abandons a branch.

        `NotFoundError`; `BusyError` for the one at the root, or if another process has it.
        """
        by = self.live_branch(self.root)
        if name == by.name:
            raise BusyError(
                f"branch '{name}' is at the root of {self.mountpoint}: switch `head` first"
            )
        self.workspace.drop_branch(name)
        view = self._of_branch.get(BranchName(name))
        if view is not None:
            self._retire(view, None)

    def make_branch(self, name: str, view: View, start: str | None, *, ephemeral: bool) -> None:
        """Makes a branch that starts where `view` is, or at the snapshot or branch called `start`.

        `AlreadyExistsError`, `NotFoundError`, `BusyError` if another process has the branch to
        start from.
        """
        here = self.live_branch(view)
        check_ref_name(name)
        if start is None or BranchName(start) == here.name:
            self.workspace.make_branch(name, here, ephemeral=ephemeral)
        elif BranchName(start) not in self.workspace.refresh().live:
            self.workspace.make_branch(name, self._start_snapshot(start), ephemeral=ephemeral)
        else:
            self._branch_from_branch(name, BranchName(start), ephemeral)

    def undo(self, view: View, operation: OperationId | None) -> str:
        """Takes back the view's newest operation, or the one named; returns what that did.

        `NotFoundError` if there is none; `BusyError` if it made the branch at the root.
        """
        branch = self.live_branch(view)
        done = self.workspace.undo(branch, operation, self._check_plan)
        self._retire_dropped()
        return done

    def redo(self, view: View) -> str:
        """Does again what the last undo took back; returns what that did. Errors as of `undo`."""
        branch = self.live_branch(view)
        done = self.workspace.redo(branch, self._check_plan)
        self._retire_dropped()
        return done

    def delete_snapshot(self, text: str) -> None:
        """Deletes a snapshot by its id or name. `NotFoundError`, `BusyError`."""
        self.live_branch(self.root)
        snapshot = self.workspace.find_snapshot(text)
        self.workspace.delete_snapshot(snapshot.id)
        view = self._of_snapshot.get(snapshot.id)
        if view is not None:
            self._retire(view, None)

    def describe_snapshot(self, view: View, name: str, message: str) -> None:
        """Gives a named snapshot another message. `NotFoundError` if there is none of that name."""
        branch = self.live_branch(view)

        def decide(refs: Refs) -> NameSnapshot:
            snapshot = refs.find_snapshot(name)
            return NameSnapshot(time.time_ns(), branch.name, snapshot.id, name, message)

        self.workspace.log.append(decide)

    def let_go(self, view: View) -> None:
        """Gives up the branch of a view that nobody uses, so that another process can have it.

        For the mount, once the kernel has forgotten every node of the view. The next use opens it
        again.
        """
        branch = view.branch
        if view is self.root or branch is None:
            return
        view.branch = None
        self.workspace.close_branch(branch)

    def holders(self) -> dict[str, str]:
        """Returns who holds the branches that other processes have, by branch name."""
        found = {}
        for name in self.workspace.refresh().branch_names():
            holder = self.workspace.holder(name) if self.workspace.opened(name) is None else None
            if holder is not None:
                found[str(name)] = holder
        return found

    def close(self) -> None:
        """Gives up the branches that were opened for views; the root's stays with who opened it."""
        for view in list(self.views.values()):
            self.let_go(view)

    def _check_plan(self, plan: Plan) -> None:
        if isinstance(plan, DropPlan) and plan.branch == self.root.name:
            raise BusyError(f"branch '{plan.branch}' is at the root of {self.mountpoint}")

    def retire_missing(self) -> None:
        """Takes away the views of branches and snapshots that are not there any more.

        What a dropped branch had can still be read by who has files of it open.
        """
        refs = self.workspace.refresh()
        for name, view in self._of_branch.items():
            if name not in refs.live and view.branch is None:
                self._hold_dropped(view, name)
        self._retire_dropped()
        for snapshot, view in list(self._of_snapshot.items()):
            if snapshot not in refs.snapshots:
                self._retire(view, None)

    def _retire_dropped(self) -> None:
        refs = self.workspace.refs
        for name, view in list(self._of_branch.items()):
            if name not in refs.live:
                self._retire(view, None)

    def _new_view(self, name: BranchName | None, snapshot: Snapshot | None) -> View:
        if self._view_count >= VIEWS_MAX:
            raise NoSpaceError(f"{self.mountpoint} has shown {VIEWS_MAX} views: mount it again")
        self._view_count += 1
        number = ViewNumber(self._view_count)
        if name is not None:
            view = self._branch_view(number, name)
        else:
            assert snapshot is not None, "BUG: a view of nothing"
            source = partial(self.workspace.snapshot_tree, snapshot)
            view = View(number, None, snapshot, True, source, reads=snapshot.position)
        self.views[number] = view
        if self.on_new_view is not None:
            self.on_new_view(view)
        return view

    def restore_views(self, known: Mapping[ViewNumber, BranchName | Snapshot], last: int) -> None:
        """Shows again what a server showed whose mount this one goes on with.

        `last`: the highest number it had used. Also what is not there any more, as it was, until
        `retire_missing`: files of it may be open.
        """
        refs = self.workspace.refresh()
        for number, meant in known.items():
            if isinstance(meant, Snapshot):
                snapshot = self.workspace.still_leased(meant)
                source = partial(self.workspace.snapshot_tree, snapshot)
                view = View(number, None, snapshot, True, source, reads=snapshot.position)
                self._of_snapshot[snapshot.id] = view
            elif meant != self.root.name:
                view = self._branch_view(number, meant)
                if meant not in refs.live:
                    self._hold_dropped(view, meant)
                    if view.reads is None:
                        continue
                self._of_branch[meant] = view
            else:
                continue
            self.views[number] = view
        self._view_count = last

    def _hold_dropped(self, view: View, name: BranchName) -> None:
        """Lets a view show what a dropped branch had, if that is still there."""
        view.reads = self.workspace.lease_dropped(name)
        if view.reads is not None:
            view.held_tree = self.workspace.history.tree(view.reads)

    def _branch_view(self, number: ViewNumber, name: BranchName) -> View:
        view = View(number, name, None, True, lambda: self._first_tree(view))
        return view

    def _first_tree(self, view: View) -> Tree:
        """Returns what a branch's view shows, at its first use."""
        self._enter(view)
        if view.branch is not None:
            return view.branch.tree
        assert view.held_tree is not None, "BUG: a view that was entered shows nothing"
        return view.held_tree

    def _enter(self, view: View) -> None:
        """Makes a branch's view live if it can be, else lets it show the newest snapshot."""
        if view is self.root or view.name is None:
            return
        old_tree, old_reads = view.held_tree, view.reads
        view.branch = self._branch_for_view(view.name)
        view.read_only = self.read_only or view.branch is None
        view.held_tree = view.reads = None
        if view.branch is None:
            view.held_tree, view.reads = self.workspace.newest_tree(view.name)
        if old_tree is not None and view.tree is not old_tree:
            self._tell(ViewChange(view, old_tree, None, None, old_reads))

    def _branch_for_view(self, name: BranchName) -> Branch | None:
        if self.read_only:
            return self.workspace.opened(name)
        try:
            return self._opened(name)
        except BusyError:
            return None

    def _opened(self, name: BranchName) -> Branch:
        branch = self.workspace.open_branch(name)
        if self.publish_listener is not None:
            branch.listener = self.publish_listener
        return branch

    def _held_by(self, view: View) -> str:
        holder = self.workspace.holder(BranchName(str(view.name))) or "another process"
        return f"branch '{view.name}' is held by {holder}"

    def _retire(self, view: View, moved_to: View | None) -> None:
        """Takes a view's path away. Its branch was dropped, or is shown by another view now."""
        branch = view.branch
        view.is_gone = True
        del self.views[view.number]
        if view.snapshot is not None:
            del self._of_snapshot[view.snapshot.id]
        elif view.name is not None:
            del self._of_branch[view.name]
        self._tell(ViewChange(view, None, branch, moved_to))

    def _tell(self, change: ViewChange) -> None:
        if self.on_view_changed is not None:
            self.on_view_changed(change)

    def _start_snapshot(self, text: str) -> Snapshot:
        try:
            return self.workspace.find_snapshot(text)
        except NotFoundError:
            raise NotFoundError(f"no branch and no snapshot '{text}' to start from") from None

    def _branch_from_branch(self, name: str, start: BranchName, ephemeral: bool) -> None:
        was_open = self.workspace.opened(start)
        source = self.workspace.open_branch(start)
        try:
            self.workspace.make_branch(name, source, ephemeral=ephemeral)
        finally:
            if was_open is None:
                self.workspace.close_branch(source)
