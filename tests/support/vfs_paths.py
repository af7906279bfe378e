"""What Linux decides before it asks a filesystem: where a path leads, and who may do what there.

A few hundred lines in the place of a kernel, so that calls of several users can be made on the
handlers of a mount without a mount. Source: fs/namei.c of Linux 6.18. No ACLs, mounts, absolute
symlinks, capabilities other than root's.
"""

import errno
import os
import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.nodes import ROOT_NODE
from pyi_fs.ids import NodeId
from pyi_fs.model.inode import Inode
from tests.support.posix_actor import User

READ, WRITE, EXECUTE = 4, 2, 1
_PATH_MAX, _LINKS_FOLLOWED_MAX = 4096, 40
_STICKY_FOR_ALL = stat.S_ISVTX | stat.S_IWOTH


def fail(number: int) -> OSError:
    """Returns an error to raise."""
    return OSError(number, os.strerror(number))


def setting(name: str) -> int:
    """Returns a setting of this kernel for links and files in sticky directories."""
    return int(Path("/proc/sys/fs", name).read_text())


class Last(NamedTuple):
    """The end of a path: a name in a directory. `is_slashed`: nothing but a directory will do."""

    parent: NodeId
    name: bytes
    is_slashed: bool

    @property
    def is_name(self) -> bool:
        """Returns whether it is a name, not `.` or `..`."""
        return self.name not in (b".", b"..")


class Found(NamedTuple):
    """Where a path leads: None where nothing is. `is_slashed`: only a directory will do."""

    node: NodeId | None
    parent: NodeId
    name: bytes
    is_slashed: bool


class Walker:
    """Paths of one mount's handlers, from one working directory on.

    What was looked up is counted in `looked_up`, for who forgets it again.
    """

    def __init__(self, handlers: Handlers) -> None:
        """Begins at the root."""
        self._names = handlers.names
        self._nodes = handlers.state.nodes
        self._metadata = handlers.metadata
        self._protects_links = setting("protected_symlinks")
        self.top = ROOT_NODE
        self.looked_up: Counter[NodeId] = Counter()

    def inode(self, node: NodeId) -> Inode:
        """Returns what stat says of a node."""
        return self._metadata.getattr(node).inode

    def need(self, user: User, node: NodeId, mask: int) -> None:
        """Raises EACCES unless a user has these permissions."""
        if not may(user, self.inode(node), mask):
            raise fail(errno.EACCES)

    def child(self, user: User, parent: NodeId, name: bytes) -> NodeId | None:
        """Returns the node of a name, or None."""
        if name == b".":
            return parent
        if name == b"..":
            return self.above(parent)
        entry = self._names.lookup(parent, name, user)
        if entry is None:
            return None
        self.looked_up[entry.node] += 1
        return entry.node

    def above(self, directory: NodeId) -> NodeId:
        """Returns the directory that a directory is in; the root is in itself."""
        return self._names.parent_of(*self._nodes.place(directory))

    def hold(self, node: NodeId) -> None:
        """Takes a lookup over for who keeps the node; or counts one (`.` was not looked up)."""
        if self.looked_up[node] > 0:
            self.looked_up[node] -= 1
        else:
            self._nodes.counts.add(node)

    def last(self, user: User, path: str) -> Last:
        """Returns the end of a path that is made, removed or renamed: it is not followed."""
        return self._walk(user, self.top, _checked(path), [0])

    def find(self, user: User, path: str, *, follow: bool = True) -> Found:
        """Returns where a path leads, if a symbolic link at its end is followed or not."""
        followed = [0]
        last = self._walk(user, self.top, _checked(path), followed)
        return self._found(user, last, followed, follow=follow)

    def node(self, user: User, path: str, *, follow: bool = True) -> NodeId:
        """Returns the node at a path; ENOENT, ENOTDIR."""
        found = self.find(user, path, follow=follow)
        if found.node is None:
            raise fail(errno.ENOENT)
        if found.is_slashed and not self.inode(found.node).is_directory:
            raise fail(errno.ENOTDIR)
        return found.node

    def is_above(self, node: NodeId, directory: NodeId) -> bool:
        """Returns whether a node is a directory, or one of those above it."""
        while node != directory:
            if directory == ROOT_NODE:
                return False
            directory = self.above(directory)
        return True

    def _walk(self, user: User, directory: NodeId, path: bytes, followed: list[int]) -> Last:
        words = [word for word in path.split(b"/") if word]
        for word in words[:-1]:
            self.need(user, directory, EXECUTE)
            node = self.child(user, directory, word)
            if node is not None and self.inode(node).is_symlink:
                node = self._followed(user, directory, node, followed, is_at_end=False).node
            if node is None:
                raise fail(errno.ENOENT)
            if not self.inode(node).is_directory:
                raise fail(errno.ENOTDIR)
            directory = node
        self.need(user, directory, EXECUTE)
        return Last(directory, words[-1], path.endswith(b"/"))

    def _found(
        self,
        user: User,
        last: Last,
        followed: list[int],
        *,
        follow: bool = True,
        is_at_end: bool = True,
    ) -> Found:
        node = self.child(user, last.parent, last.name)
        is_link = node is not None and self.inode(node).is_symlink
        if node is None or not is_link or not (follow or last.is_slashed):
            return Found(node, *last)
        if is_at_end:
            self._may_follow(user, last.parent, node)
        found = self._followed(user, last.parent, node, followed, is_at_end=is_at_end)
        return found._replace(is_slashed=last.is_slashed or found.is_slashed)

    def _followed(
        self, user: User, parent: NodeId, link: NodeId, followed: list[int], *, is_at_end: bool
    ) -> Found:
        followed[0] += 1
        if followed[0] > _LINKS_FOLLOWED_MAX:
            raise fail(errno.ELOOP)
        last = self._walk(user, parent, self._names.readlink(link), followed)
        return self._found(user, last, followed, is_at_end=is_at_end)

    def _may_follow(self, user: User, parent: NodeId, link: NodeId) -> None:
        """A link at the end of a path, in a directory like /tmp: only its owner's or theirs."""
        above, owner = self.inode(parent), self.inode(link).uid
        is_shared = above.mode & _STICKY_FOR_ALL == _STICKY_FOR_ALL
        if self._protects_links and is_shared and owner not in (user.uid, above.uid):
            raise fail(errno.EACCES)


def _checked(path: str) -> bytes:
    text = os.fsencode(path)
    if not text:
        raise fail(errno.ENOENT)
    if len(text) >= _PATH_MAX:
        raise fail(errno.ENAMETOOLONG)
    return text


def is_member(user: User, gid: int) -> bool:
    """Returns whether a group is the user's or one of the supplementary ones."""
    return gid == user.gid or gid in user.groups


def may(user: User, inode: Inode, mask: int) -> bool:
    """Returns whether the mode bits, or being root, give these permissions."""
    if user.uid == 0:
        return inode.is_directory or not mask & EXECUTE or bool(inode.mode & 0o111)
    shift = 6 if user.uid == inode.uid else 3 if is_member(user, inode.gid) else 0
    return inode.mode >> shift & mask == mask


def is_owner(user: User, inode: Inode) -> bool:
    """Returns whether a user may do what only owners may."""
    return user.uid in (0, inode.uid)


def is_group_or_root(user: User, inode: Inode) -> bool:
    """Returns whether a user may give a file of this group its set-group-id bit."""
    return user.uid == 0 or is_member(user, inode.gid)
