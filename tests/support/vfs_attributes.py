"""Attributes as users see and change them: stat, chmod, chown, times, extended attributes.

What a kernel decides before it asks a filesystem; see `vfs_calls.py`. Source: fs/attr.c,
fs/utimes.c, fs/xattr.c of Linux 6.18, security/commoncap.c.
"""

import errno
import os
import stat

from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.metadata import Wanted
from pyi_fs.ids import NodeId
from pyi_fs.model.inode import Inode
from tests.support.posix_actor import User
from tests.support.vfs_paths import (
    READ,
    WRITE,
    Walker,
    fail,
    is_group_or_root,
    is_member,
    is_owner,
    may,
)

_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_XATTR_CREATE, _XATTR_REPLACE, _XATTR_NAME_MAX = 1, 2, 255


class AttributeCalls:
    """The calls of one user on attributes."""

    def __init__(self, handlers: Handlers, walker: Walker, user: User) -> None:
        self._clock = handlers.state.clock
        self._metadata = handlers.metadata
        self._walker = walker
        self._user = user

    def chmod(self, path: str, mode: int) -> None:
        self.set_mode(self._walker.node(self._user, path), mode)

    def set_mode(self, node: NodeId, mode: int) -> None:
        """chmod(2) of a file that was found."""
        inode = self._walker.inode(node)
        if not is_owner(self._user, inode):
            raise fail(errno.EPERM)
        if not is_group_or_root(self._user, inode):
            mode &= ~stat.S_ISGID
        mode = stat.S_IFMT(inode.mode) | (mode & 0o7777)
        self._metadata.setattr(node, Wanted(mode=mode), self._user)

    def chown(self, path: str, uid: int, gid: int) -> None:
        self.set_owner(self._walker.node(self._user, path), uid, gid)

    def lchown(self, path: str, uid: int, gid: int) -> None:
        self.set_owner(self._walker.node(self._user, path, follow=False), uid, gid)

    def set_owner(self, node: NodeId, uid: int, gid: int) -> None:
        """chown(2) of a file that was found."""
        user, inode = self._user, self._walker.inode(node)
        is_own = user.uid == inode.uid
        may_uid = uid in (-1, inode.uid) and (uid == -1 or is_own)
        may_gid = gid == -1 or (is_own and (gid == inode.gid or is_member(user, gid)))
        if user.uid != 0 and not (may_uid and may_gid):
            raise fail(errno.EPERM)
        wanted = Wanted(uid=None if uid == -1 else uid, gid=None if gid == -1 else gid)
        self._metadata.setattr(node, wanted, user)

    def utimens(self, path: str, atime: tuple[int, int], mtime: tuple[int, int]) -> object:
        parts = (atime[1], mtime[1])
        node = self._walker.node(self._user, path)
        if any(part >= 10**9 and part not in (_UTIME_NOW, _UTIME_OMIT) for part in parts):
            raise fail(errno.EINVAL)
        if parts != (_UTIME_OMIT, _UTIME_OMIT):
            self._set_times(node, atime, mtime)
        inode = self._walker.inode(node)
        given = ((atime, inode.atime_ns), (mtime, inode.mtime_ns))
        return [is_set for (_, part), is_set in given if part < 10**9]

    def _set_times(self, node: NodeId, atime: tuple[int, int], mtime: tuple[int, int]) -> None:
        inode = self._walker.inode(node)
        if (atime[1], mtime[1]) == (_UTIME_NOW, _UTIME_NOW):
            if not is_owner(self._user, inode):
                self._walker.need(self._user, node, WRITE)
        elif not is_owner(self._user, inode):
            raise fail(errno.EPERM)
        now = self._clock()

        def time_of(given: tuple[int, int]) -> int | None:
            seconds, part = given
            if part == _UTIME_OMIT:
                return None
            return now if part == _UTIME_NOW else seconds * 10**9 + part

        wanted = Wanted(atime_ns=time_of(atime), mtime_ns=time_of(mtime))
        self._metadata.setattr(node, wanted, self._user)

    def stat(self, path: str) -> tuple[int, ...]:
        return shown(self._walker.inode(self._walker.node(self._user, path)))

    def access(self, path: str, mode: int) -> bool:
        try:
            inode = self._walker.inode(self._walker.node(self._user, path))
        except Exception as error:
            if getattr(error, "errno", None) is None:
                raise
            return False
        return may(self._user, inode, mode)

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        text, node = self._attribute(path, name)
        self._may_change_attribute(node, text)
        is_there = self._metadata.getxattr(node, text) is not None
        if flags & _XATTR_CREATE and is_there:
            raise fail(errno.EEXIST)
        if flags & _XATTR_REPLACE and not is_there:
            raise fail(errno.ENODATA)
        self._metadata.setxattr(node, text, value)

    def removexattr(self, path: str, name: str) -> None:
        text, node = self._attribute(path, name)
        self._may_change_attribute(node, text)
        self._metadata.removexattr(node, text)

    def getxattr(self, path: str, name: str) -> bytes:
        text, node = self._attribute(path, name)
        inode = self._walker.inode(node)
        if text.startswith(b"trusted."):
            if self._user.uid != 0:
                raise fail(errno.ENODATA)
        elif not text.startswith(b"security."):
            if text.startswith(b"user.") and not (inode.is_file or inode.is_directory):
                raise fail(errno.ENODATA)
            self._walker.need(self._user, node, READ)
        value = self._metadata.getxattr(node, text)
        if value is None:
            raise fail(errno.ENODATA)
        return value

    def listxattr(self, path: str) -> list[str]:
        node = self._walker.node(self._user, path, follow=False)
        return sorted(os.fsdecode(name) for name in self._metadata.listxattr(node, self._user))

    def _attribute(self, path: str, name: str) -> tuple[bytes, NodeId]:
        text = os.fsencode(name)
        if len(text) > _XATTR_NAME_MAX:
            raise fail(errno.ERANGE)
        return text, self._walker.node(self._user, path, follow=False)

    def _may_change_attribute(self, node: NodeId, name: bytes) -> None:
        inode = self._walker.inode(node)
        if name.startswith((b"trusted.", b"security.")):
            if self._user.uid != 0:
                raise fail(errno.EPERM)
            return
        if name.startswith(b"user."):
            if not (inode.is_file or inode.is_directory):
                raise fail(errno.EPERM)
            is_shared = inode.is_directory and inode.mode & stat.S_ISVTX
            if is_shared and not is_owner(self._user, inode):
                raise fail(errno.EPERM)
        self._walker.need(self._user, node, WRITE)


def shown(inode: Inode) -> tuple[int, ...]:
    """Returns what `Calls.stat` does."""
    size = 0 if inode.is_directory else inode.size
    return (inode.mode, inode.nlink, inode.uid, inode.gid, size)
