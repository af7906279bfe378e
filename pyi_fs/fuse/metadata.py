"""Requests about attributes: stat, chmod and its kin, extended attributes, statfs."""

import stat
from typing import NamedTuple

from pyi_fs.engine.branch import Branch
from pyi_fs.errors import InvalidArgumentError, NotPermittedError, UnsupportedError
from pyi_fs.fuse.attributes import Entry, Space, space_of
from pyi_fs.fuse.controls import ControlHandlers
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.state import Caller, MountState
from pyi_fs.ids import InodeNumber, NodeId
from pyi_fs.model.edit_file import nearest_time
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import RemoveXattr, SetAttributes, SetXattr

CAPABILITY = b"security.capability"
SETID_BITS = stat.S_ISUID | stat.S_ISGID
_NAMESPACES = (b"user.", b"security.", b"trusted.")


class Wanted(NamedTuple):
    """What a setattr request changes; None stays.

    `ctime_ns`: only with the writeback cache, where the kernel made the change and tells when.
    """

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime_ns: int | None = None
    mtime_ns: int | None = None
    ctime_ns: int | None = None


_NOTHING_WANTED = Wanted()


def drop_capability(branch: Branch, number: InodeNumber, inode: Inode, time_ns: int) -> None:
    """Takes a file's capabilities away: its content or owner changes (FUSE_HANDLE_KILLPRIV_V2)."""
    if inode.xattrs and inode.xattr(CAPABILITY) is not None:
        branch.commit(RemoveXattr(number, CAPABILITY, time_ns))


def _check_xattr_name(name: bytes) -> None:
    """Refuses names that ext4 would not take: of another namespace, or nothing but one."""
    if not name.startswith(_NAMESPACES):
        raise UnsupportedError(f"no such attributes here: {name!r}")
    if name in _NAMESPACES:
        raise InvalidArgumentError(f"not the name of an attribute: {name!r}")


class MetadataHandlers:
    """One method for each request about attributes."""

    def __init__(self, state: MountState, controls: ControlHandlers) -> None:
        """Works on a mount's state."""
        self._state = state
        self._nodes = state.nodes
        self._controls = controls

    def getattr(self, node: NodeId) -> Entry:
        """Returns what stat says."""
        if node & CONTROL_BIT:
            return self._controls.entry(node)
        return Entry(node, self._nodes.inode(node))

    def setattr(self, node: NodeId, wanted: Wanted, caller: Caller) -> Entry:
        """Changes attributes.

        Set-id bits go with an owner's change, and with a user's truncation.
        """
        if node & CONTROL_BIT:
            return self._control_setattr(node, wanted)
        view, number = self._nodes.place(node)
        branch = self._state.branch_of(view)
        inode = branch.tree.existing(number)
        # With FUSE_HANDLE_KILLPRIV_V2 a write that shall take privileges away sends a request for
        # nothing at all first, and so does chown(path, -1, -1): but for the time of it, which the
        # kernel tells with the writeback cache.
        is_owner_change = (
            wanted.uid is not None
            or wanted.gid is not None
            or wanted._replace(ctime_ns=None) == _NOTHING_WANTED
        )
        is_user_truncation = wanted.size is not None and caller.uid != 0
        clear = bool(inode.mode & SETID_BITS) and (is_owner_change or is_user_truncation)
        now = self._state.clock()
        if is_owner_change or wanted.size is not None:
            drop_capability(branch, number, inode, now)
        says_times = wanted.mtime_ns is not None or wanted.ctime_ns is not None
        if wanted.size is not None and not says_times and self._state.is_write_cached:
            # Of a path, to the size it has: the kernel, which has the times then, says them with
            # every other truncation. It goes on showing these, and so do we when it forgets them.
            wanted = wanted._replace(mtime_ns=inode.mtime_ns, ctime_ns=inode.ctime_ns)
        mode, uid, gid, size, atime_ns, mtime_ns, ctime_ns = wanted
        times = (nearest_time(atime_ns), nearest_time(mtime_ns))
        changed = nearest_time(now if ctime_ns is None else ctime_ns)
        assert changed is not None, "BUG: a time became none"
        branch.commit(SetAttributes(number, mode, uid, gid, size, *times, changed, clear))
        return Entry(node, branch.tree.existing(number))

    def getxattr(self, node: NodeId, name: bytes) -> bytes | None:
        """Returns the value of an attribute.

        None if there is none, the answer to nearly all questions.
        """
        if node & CONTROL_BIT:
            return None
        _check_xattr_name(name)
        xattrs = self._nodes.inode(node).xattrs
        return dict(xattrs).get(name) if xattrs else None

    def listxattr(self, node: NodeId, caller: Caller) -> list[bytes]:
        """Returns the names of the attributes this caller may know of."""
        if node & CONTROL_BIT:
            return []
        names = [name for name, _ in self._nodes.inode(node).xattrs]
        if caller.uid != 0:
            names = [name for name in names if not name.startswith(b"trusted.")]
        return names

    def setxattr(self, node: NodeId, name: bytes, value: bytes) -> None:
        """Sets an attribute; whether it must or must not exist is the transport's question."""
        branch, number = self._for_xattr(node, name)
        branch.commit(SetXattr(number, name, value, self._state.clock()))
        self._ctime_changed(node)

    def removexattr(self, node: NodeId, name: bytes) -> None:
        """Removes an attribute; `AttributeNotFoundError`."""
        branch, number = self._for_xattr(node, name)
        branch.commit(RemoveXattr(number, name, self._state.clock()))
        self._ctime_changed(node)

    def _ctime_changed(self, node: NodeId) -> None:
        view, number = self._nodes.place(node)
        above = self._nodes.node_of(view, view.tree.existing(number).parent)
        self._state.has_changed(node, listed_in=above)

    def statfs(self) -> Space:
        """Returns the room on the store's disk."""
        return space_of(self._state.store_path)

    def _for_xattr(self, node: NodeId, name: bytes) -> tuple[Branch, InodeNumber]:
        if node & CONTROL_BIT:
            raise UnsupportedError("control files have no attributes")
        _check_xattr_name(name)
        view, number = self._nodes.place(node)
        return self._state.branch_of(view), number

    def _control_setattr(self, node: NodeId, wanted: Wanted) -> Entry:
        if wanted.mode is not None or wanted.uid is not None or wanted.gid is not None:
            raise NotPermittedError("control files belong to the mounting user")
        # `echo name > .pyi/restore` truncates first, `touch` sets times: neither means anything
        # here.
        return self._controls.entry(node)
