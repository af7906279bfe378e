"""Requests about names: look up, make, link, remove, rename."""

import stat

from pyi_fs import limits
from pyi_fs.control.view import View
from pyi_fs.errors import (
    BusyError,
    CrossViewError,
    NameTooLongError,
    NotPermittedError,
    StaleNodeError,
    UnsupportedError,
)
from pyi_fs.fuse.attributes import Entry
from pyi_fs.fuse.controls import CONTROL_NAME, ControlHandlers
from pyi_fs.fuse.nodes import CONTROL_BIT, VIEW_BITS
from pyi_fs.fuse.state import Caller, MountState
from pyi_fs.ids import ROOT_INODE, InodeNumber, NodeId
from pyi_fs.model.mutation import RENAME_EXCHANGE, Create, Link, Remove, Rename
from pyi_fs.model.temporary import temporary

_LINK_MODE = stat.S_IFLNK | 0o777


class NameHandlers:
    """One method for each request that names something."""

    def __init__(self, state: MountState, controls: ControlHandlers) -> None:
        """Works on a mount's state."""
        self._state = state
        self._nodes = state.nodes
        self._controls = controls

    def lookup(self, parent: NodeId, name: bytes, caller: Caller) -> Entry | None:
        """Returns what a name is, counted as looked up.

        None if it is nothing, which may be remembered.
        """
        if parent & CONTROL_BIT:
            return self._controls.lookup(parent, name, caller.uid)
        view, number = self._nodes.place(parent)
        if name == CONTROL_NAME and number == ROOT_INODE:
            control = self._controls.root(view)
            if control is not None:
                return control
        tree = view.tree
        child = tree.lookup(number, name)
        if child is None:
            return self._unusual(view, number, name)
        return self._looked_up(view, child)

    def make(
        self,
        parent: NodeId,
        name: bytes,
        mode: int,
        caller: Caller,
        *,
        target: bytes = b"",
        rdev: int = 0,
    ) -> Entry:
        """Makes a file of any type, owned by the caller: mknod, mkdir, symlink, half of create."""
        if parent & CONTROL_BIT:
            if stat.S_ISDIR(mode):
                return self._controls.mkdir(parent, name, caller.uid)
            self._controls.refuse(parent, name, caller.uid)
        view, directory = self._place_of_name(parent, name)
        branch = self._state.branch_of(view)
        number = branch.next_inode()
        now = self._state.clock()
        branch.commit(
            Create(directory, name, number, mode, caller.uid, caller.gid, now, target, rdev)
        )
        self._state.has_changed(parent)
        return self._looked_up(view, number)

    def make_unnamed(self, parent: NodeId, mode: int, caller: Caller) -> Entry:
        """Makes a regular file that has no name yet, as in a directory: `O_TMPFILE`."""
        if parent & CONTROL_BIT:
            raise UnsupportedError("nothing can be made here")
        view, directory = self._nodes.place(parent)
        branch = self._state.branch_of(view)
        number = branch.next_inode()
        owner = (caller.uid, caller.gid)
        branch.commit(temporary(branch.tree, directory, number, mode, owner, self._state.clock()))
        return self._looked_up(view, number)

    async def make_directory(self, parent: NodeId, name: bytes, mode: int, caller: Caller) -> Entry:
        """Makes a directory; below `.pyi` a snapshot or branch, of everything written before."""
        if parent & CONTROL_BIT:
            return await self._controls.make_directory(parent, name, caller.uid)
        return self.make(parent, name, mode, caller)

    async def remove_directory(self, parent: NodeId, name: bytes, caller: Caller) -> None:
        """Removes a directory; below `.pyi` answered when the kernel knows what that changed."""
        if not parent & CONTROL_BIT:
            self.remove(parent, name, caller, directory=True)
            return
        try:
            self._state.commands.do(
                self._controls.view(parent),
                lambda: self.remove(parent, name, caller, directory=True),
                lambda _: True,
            )
        finally:
            await self._state.invalidation.settled()

    def symlink(self, parent: NodeId, name: bytes, target: bytes, caller: Caller) -> Entry:
        """Makes a symbolic link."""
        return self.make(parent, name, _LINK_MODE, caller, target=target)

    def link(self, node: NodeId, parent: NodeId, name: bytes, caller: Caller) -> Entry:
        """Gives a file another name; `CrossViewError` between views."""
        if parent & CONTROL_BIT:
            self._controls.refuse(parent, name, caller.uid)
        if node & CONTROL_BIT:
            raise NotPermittedError("control files have one name")
        view, number = self._nodes.place(node)
        target_view, directory = self._place_of_name(parent, name)
        if view is not target_view:
            raise CrossViewError("a link cannot lead from one view to another")
        branch = self._state.branch_of(view)
        branch.commit(Link(number, directory, name, self._state.clock()))
        self._state.has_changed(parent)
        return self._looked_up(view, number)

    def remove(self, parent: NodeId, name: bytes, caller: Caller, *, directory: bool) -> None:
        """Takes a name away: unlink, or rmdir with `directory`."""
        if parent & CONTROL_BIT:
            if directory:
                self._controls.rmdir(parent, name, caller.uid)
                return
            raise NotPermittedError("control files cannot be removed")
        view, number = self._place_of_name(parent, name)
        branch = self._state.branch_of(view)
        branch.commit(Remove(number, name, directory, self._state.clock()))
        self._state.has_changed(parent)

    def rename(
        self,
        parent: NodeId,
        name: bytes,
        new_parent: NodeId,
        new_name: bytes,
        flags: int,
        caller: Caller,
    ) -> None:
        """Moves a name; `CrossViewError` between views."""
        if new_parent & CONTROL_BIT:
            self._controls.refuse(new_parent, new_name, caller.uid)
        if parent & CONTROL_BIT:
            raise NotPermittedError("control files cannot be renamed")
        view, directory = self._place_of_name(parent, name)
        new_view, new_directory = self._place_of_name(new_parent, new_name)
        if view is not new_view:
            raise CrossViewError("a file cannot move from one view to another")
        branch = self._state.branch_of(view)
        now = self._state.clock()
        moved = [(branch.tree.lookup(directory, name), parent)]
        if flags & RENAME_EXCHANGE:
            moved.append((branch.tree.lookup(new_directory, new_name), new_parent))
        branch.commit(Rename(directory, name, new_directory, new_name, flags, now))
        for number, listed_in in moved:
            if number is not None:
                # Its ctime has changed, and of a directory what is above it.
                self._state.has_changed(self._nodes.node_of(view, number), listed_in=listed_in)
        self._state.has_changed(parent)
        if new_parent != parent:
            self._state.has_changed(new_parent)

    def readlink(self, node: NodeId) -> bytes:
        """Returns a symlink's target."""
        if node & CONTROL_BIT:
            return self._controls.readlink(node)
        return self._nodes.inode(node).target

    def parent_of(self, view: View, number: InodeNumber) -> NodeId:
        """Returns the node of the directory above one.

        Above a view's root stands the root of the mount.
        """
        if number == ROOT_INODE:
            return NodeId(ROOT_INODE)
        inode = view.tree.inode(number)
        return self._nodes.node_of(view, inode.parent if inode is not None else number)

    def _unusual(self, view: View, number: InodeNumber, name: bytes) -> Entry | None:
        if len(name) > limits.NAME_BYTES_MAX:
            raise NameTooLongError(f"a name has at most {limits.NAME_BYTES_MAX} bytes")
        if name == b".":
            # By a file handle. An unlinked file that nobody holds is gone, reaped or not.
            node = self._nodes.known_node(view, number)
            if node is None and view.tree.existing(number).nlink == 0:
                raise StaleNodeError(f"inode {number} is unlinked, and nobody holds it")
            return self._looked_up(view, number)
        if name == b"..":
            above = self.parent_of(view, number)
            return self._looked_up(*self._nodes.place(above))
        return None

    def _looked_up(self, view: View, number: InodeNumber) -> Entry:
        node = self._nodes.node_of(view, number)
        entry = Entry(node, view.tree.existing(number))
        self._nodes.counts.add(node)
        return (
            entry
            if node != view.number << VIEW_BITS | ROOT_INODE
            else entry._replace(lasting=False)
        )

    def _place_of_name(self, parent: NodeId, name: bytes) -> tuple[View, InodeNumber]:
        """Returns where a name is made or removed.

        `BusyError` for `.pyi`, which is in use as a mount point would be.
        """
        view, number = self._nodes.place(parent)
        if number == ROOT_INODE and self._controls.is_root(view, name):
            raise BusyError("'.pyi' is the control directory")
        return view, number
