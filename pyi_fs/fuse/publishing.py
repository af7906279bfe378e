"""What another tree under a view means for the nodes the kernel knows (design.md, section 6).

- A directory that is in both trees keeps its node. One that is gone behaves as after rmdir, and
  comes back under its node. One that was removed *by the kernel's own rmdir* and is back gets a new
  node: the kernel marked its inode dead.
- A file that is the same and not open for writing keeps its node, and the kernel its pages.
- Every other file that is open lives on: adopted by the engine under a fresh number, to which its
  node is turned; or, when a branch leaves the root, in the view its branch has now; or in a frozen
  copy of a view that is gone.
- Every other known file: its node keeps the last attributes until it is forgotten, and the file
  gets a new node; under its own number as `st_ino` where the transport can say so.

The cost follows what was touched; only a publish that cannot say (`touched` None) looks at every
known node of the view.
"""

from collections.abc import Callable, Iterable

from pyi_fs.control.session import Session
from pyi_fs.control.view import View, ViewChange
from pyi_fs.engine.branch import Branch
from pyi_fs.fuse.handles import FileHandle, Handles
from pyi_fs.fuse.invalidation import Invalidation
from pyi_fs.fuse.nodes import VIEW_BITS, Gone, NodeTable, Place
from pyi_fs.ids import InodeNumber, NodeId, Position
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree

# Numbers for new nodes of a view that has no branch to take fresh inode numbers from: above all
# inode numbers.
_UNUSED_NUMBERS = 1 << 32


class Publication:
    """Implements `engine.branch.PublishListener`, and what a session tells about its views."""

    def __init__(
        self,
        session: Session,
        nodes: NodeTable,
        handles: Handles,
        invalidation: Invalidation,
        keep_view: Callable[[View], None],
    ) -> None:
        """Keeps the parts of the mount that a publish changes.

        `keep_view` notes a view that is not among the session's, for as long as it is used.
        """
        self._keep_view = keep_view
        self._session = session
        self._nodes = nodes
        self._handles = handles
        self._invalidation = invalidation
        self._last_unused = _UNUSED_NUMBERS
        # Nodes that came with a branch to the view that shows it now, before that view said so.
        self._arrived: set[NodeId] = set()
        # The numbers that open files show, found once in a publish that asks.
        self._held: set[int] | None = None

    def restore(self) -> None:
        """Goes on with the nodes of a dead server: its numbers for new ones are used."""
        self._last_unused = max(self._last_unused, self._nodes.number_last)

    def orphans(
        self,
        branch: Branch,
        old: Tree,
        new: Tree,
        touched: Touched | None,  # noqa: ARG002
    ) -> list[InodeNumber]:
        """Returns the open inodes that differ, are unlinked, or are open for writing.

        Of those open for writing the unchanged ones, too: a database and its log are two files.
        With the unchanged one kept and the changed one orphaned, a process that held both corrupted
        the restored database (design.md, section 6).
        """
        found = []
        for handles in self._open_in(branch).values():
            number = handles[0].number
            was = old.inode(number)
            if was is not None and (
                was.nlink == 0
                or any(handle.writable for handle in handles)
                or was != new.inode(number)
            ):
                found.append(number)
        return found

    def published(
        self,
        branch: Branch,
        old: Tree,
        new: Tree,
        touched: Touched | None,
        adopted: dict[InodeNumber, InodeNumber],
    ) -> None:
        """Turns nodes, and tells the kernel what to forget.

        Names that are told one by one wait for `Invalidation.settled`.
        """
        view = self._view_of(branch)
        if view is None:
            return
        self._held = None
        for node, handles in self._open_in(branch).items():
            fresh = adopted.get(handles[0].number)
            if fresh is not None:
                self._adopt(view, node, handles, fresh)
        if touched is None:
            numbers: Iterable[InodeNumber] = {number for _, number in self._nodes.known_of(view)}
        else:
            numbers = _numbers(touched, old, new)
        for number in numbers:
            if number not in adopted:
                self._settle(view, number, old.inode(number), new.inode(number))
        self._forget_names(view, old, new, touched, adopted)

    def orphan_count(self) -> int:
        """Returns how many open files left their view by a publish."""
        return sum(
            self._nodes.node_of(handles[0].view, handles[0].number) != node
            for node, handles in self._handles.open_files()
        )

    def view_changed(self, change: ViewChange) -> None:
        """A view is gone, or shows another branch or snapshot."""
        view = change.view
        self._held = None
        if view.is_gone:
            self._view_gone(change)
            # Nothing is left to be told one by one: the root of a view is looked up each time.
            if not self._invalidation.wants_names:
                self._invalidation.all_names()
        else:
            old = change.old_tree or view.tree
            self._view_replaced(change, old)
            self._forget_names(view, old, view.tree, None, {})

    def _view_gone(self, change: ViewChange) -> None:
        view, branch = change.view, change.old_branch
        self._nodes.forget_view(view)
        target = change.moved_to or _frozen(view, branch.tree if branch is not None else None)
        files = [one for one in self._handles.open_files() if one[1][0].view is view]
        listings = [one for one in self._handles.open_listings() if one.view is view]
        is_read = bool(files or listings)
        if is_read and branch is not None and target.is_gone and target.reads is None:
            # Dropped: its layers are kept for undo, and longer for who has files open.
            target.reads = self._session.workspace.lease_dropped(branch.name)
        for node, handles in files:
            self._move(node, handles, target, bind=change.moved_to is not None)
            if change.moved_to is not None:
                self._arrived.add(node)
        for listing in listings:
            if target.is_gone:
                self._keep_view(target)
            listing.view = target
            self._handles.moved(listing)

    def _view_replaced(self, change: ViewChange, old: Tree) -> None:
        view, new = change.view, change.view.tree
        target = change.moved_to or _frozen(view, old, change.old_reads)
        arrived, self._arrived = self._arrived, set()
        for node, number in list(self._nodes.known_of(view)):
            if node in arrived:
                continue
            is_displaced = self._nodes.node_of(view, number) != node
            was, now = old.inode(number), new.inode(number)
            handles = self._handles.files(node)
            if not handles:
                if not is_displaced:
                    self._settle(view, number, was, now)
                elif was is not None:
                    self._nodes.redirect(node, Gone(view, number, was))
            elif is_displaced or was != now or any(handle.writable for handle in handles):
                self._move(node, handles, target, bind=change.moved_to is not None)
                if not is_displaced:
                    self._nodes.renumber(view, number, self._fresh(view))

    def _move(self, node: NodeId, handles: list[FileHandle], target: View, *, bind: bool) -> None:
        number = handles[0].number
        if target.is_gone:
            self._keep_view(target)
        for handle in handles:
            handle.view = target
            self._handles.moved(handle)
        if bind:
            self._nodes.bind(target, number, node)
        else:
            self._nodes.redirect(node, Place(target, number))

    def _adopt(
        self, view: View, node: NodeId, handles: list[FileHandle], fresh: InodeNumber
    ) -> None:
        number = handles[0].number
        is_current = self._nodes.node_of(view, number) == node
        for handle in handles:
            handle.number = fresh
            self._handles.moved(handle)
        self._nodes.redirect(node, Place(view, fresh))
        if is_current:
            self._nodes.renumber(view, number, self._fresh(view))
        self._invalidation.attributes(node)

    def _settle(
        self, view: View, number: InodeNumber, was: Inode | None, now: Inode | None
    ) -> None:
        node = self._nodes.known_node(view, number)
        if node is None:
            return
        gone = self._nodes.gone(node)
        if gone is not None:
            if now is None or now.nlink == 0:
                return
            if now.is_directory or with_fields(now, nlink=0) == gone.inode:
                self._nodes.revive(view, number, node)
                self._forget(node, now)
            else:
                self._renumber(view, number)
        elif was != now:
            self._part(view, number, node, was, now)

    def _part(
        self, view: View, number: InodeNumber, node: NodeId, was: Inode | None, now: Inode | None
    ) -> None:
        """Gives a known file that differs what it needs.

        At least one of the two records is there.
        """
        if was is not None and now is not None and now.nlink > 0 and not was.is_directory:
            # The node goes on saying what it said: there is nothing the kernel has to forget of it,
            # and the name leads to another one.
            self._nodes.redirect(node, Gone(view, number, was))
            self._renumber(view, number)
            return
        before = was if was is not None else now
        assert before is not None, "BUG: a file that is in neither tree differs"
        self._forget(node, before)
        is_there = now is not None and now.nlink > 0
        # The kernel's own rmdir: its inode is dead, and a directory that comes back needs another.
        is_dead = before.is_directory and (was is None or was.nlink == 0)
        if not is_there and not is_dead:
            # It may come back as it was, by an undo, and then has its node again.
            self._nodes.redirect(node, Gone(view, number, with_fields(before, nlink=0)))
        elif not before.is_directory:
            self._nodes.redirect(node, Gone(view, number, before))
            self._renumber(view, number)
        elif is_dead:
            self._nodes.redirect(node, Gone(view, number, with_fields(before, nlink=0)))
            self._renumber(view, number)

    def _renumber(self, view: View, number: InodeNumber) -> None:
        """Gives a file that nobody has open a new node under its own number.

        Unless an orphan that showed this number is open still.
        """
        if self._held is None:
            self._held = {self._nodes.ino_of(node) for node, _ in self._handles.open_files()}
        is_shown = view.number << VIEW_BITS | number not in self._held
        self._nodes.renumber(view, number, self._fresh(view), is_shown=is_shown)

    def _forget(self, node: NodeId, inode: Inode) -> None:
        if inode.is_directory:
            self._invalidation.listing(node)
        else:
            self._invalidation.attributes(node)

    def _forget_names(
        self,
        view: View,
        old: Tree,
        new: Tree,
        touched: Touched | None,
        adopted: dict[InodeNumber, InodeNumber],
    ) -> None:
        if not self._invalidation.wants_names:
            self._invalidation.all_names()
            return
        names = self._all_names(view, old, new) if touched is None else set(touched.names)
        numbers = () if touched is None else touched.inodes
        for number in (*numbers, *adopted):
            for tree in (old, new):
                inode = tree.inode(number)
                names.update(inode.dentries() if inode is not None else ())
        told = []
        for directory, name in names:
            parent = self._nodes.node_of(view, directory)
            is_kept = not name or _is_same_directory(old, new, directory, name)
            if self._nodes.is_known(parent) and not is_kept:
                told.append((parent, name))
        self._invalidation.names(told)

    def _all_names(self, view: View, old: Tree, new: Tree) -> set[tuple[InodeNumber, bytes]]:
        return {
            (number, name)
            for _, number in self._nodes.known_of(view)
            for tree in (old, new)
            for name, _ in tree.entries(number)
        }

    def _open_in(self, branch: Branch) -> dict[NodeId, list[FileHandle]]:
        return {
            node: handles
            for node, handles in self._handles.open_files()
            if handles[0].view.branch is branch
        }

    def _view_of(self, branch: Branch) -> View | None:
        return next((view for view in self._session.views.values() if view.branch is branch), None)

    def _fresh(self, view: View) -> InodeNumber:
        if view.branch is not None and not view.branch.read_only:
            return view.branch.next_inode()
        self._last_unused += 1
        return InodeNumber(self._last_unused)


def _numbers(touched: Touched, old: Tree, new: Tree) -> set[InodeNumber]:
    """Returns the inodes that may differ: a removed file is found through the name it had."""
    numbers = set(touched.inodes)
    for directory, name in touched.names:
        for tree in (old, new):
            child = tree.lookup(directory, name)
            if child is not None:
                numbers.add(child)
    return numbers


def _is_same_directory(old: Tree, new: Tree, directory: InodeNumber, name: bytes) -> bool:
    """Returns whether a name is one directory in both trees, whatever changed in it.

    It keeps its node, so the kernel may keep the name, and with it what is mounted below.
    """
    was, now = old.lookup(directory, name), new.lookup(directory, name)
    return was is not None and was == now and old.existing(was).is_directory


def _frozen(view: View, tree: Tree | None, reads: Position | None = None) -> View:
    """Returns a read-only view for who has files open of a tree that no view shows now."""
    if tree is None:
        return view
    return View(
        view.number, view.name, view.snapshot, True, lambda: tree, reads=reads, is_gone=True
    )
