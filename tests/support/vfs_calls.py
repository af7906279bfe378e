"""The calls of `posix_calls.py`, made on the handlers of a mount by users who are no processes.

What a kernel decides is decided here and in the other `vfs_*.py`; what a filesystem decides is
asked of the handlers, as a FUSE mount would. Locks are the kernel's alone and answer `OfTheHost`.
Source: fs/namei.c of Linux 6.18.
"""

import errno
import os
import stat
from typing import Any

from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.metadata import Wanted
from pyi_fs.ids import NodeId
from pyi_fs.model.inode import Inode
from tests.support.posix_actor import User
from tests.support.vfs_attributes import AttributeCalls, shown
from tests.support.vfs_files import Files, OfTheHost, Opened, without_group_bit
from tests.support.vfs_paths import (
    EXECUTE,
    READ,
    WRITE,
    Last,
    Walker,
    fail,
    is_owner,
    may,
    setting,
)

_NOREPLACE, _EXCHANGE = 1, 2
_NODES = (stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK, 0)


class UserCalls(AttributeCalls):
    """What one user can do: methods named and answering as those of `posix_calls.Calls`."""

    def __init__(self, handlers: Handlers, walker: Walker, files: Files, user: User) -> None:
        super().__init__(handlers, walker, user)
        self._names = handlers.names
        self._listings = handlers.listings
        self._reaper = handlers.reaper
        self._files = files
        self._protects_hard_links = setting("protected_hardlinks")
        self._umask = 0o022
        self._slots: dict[int, Opened] = {}

    def close_all(self) -> None:
        for slot in list(self._slots):
            self.close(slot)

    def open(self, slot: int, path: str, flags: int, mode: int) -> None:
        mode = mode & 0o7777 & ~self._umask
        self.keep(slot, self._files.open(self._user, path, flags, mode))

    def keep(self, slot: int, opened: Opened) -> None:
        """Puts an open file into a slot; what was there is closed."""
        self.close(slot)
        self._slots[slot] = opened

    def close(self, slot: int) -> None:
        opened = self._slots.pop(slot, None)
        if opened is not None:
            self._files.close(opened)

    def _at(self, slot: int) -> Opened:
        if slot not in self._slots:
            raise fail(errno.EBADF)
        return self._slots[slot]

    def read(self, slot: int, length: int) -> bytes:
        return self._files.read(self._at(slot), length)

    def pread(self, slot: int, length: int, offset: int) -> bytes:
        return self._files.pread(self._at(slot), length, offset)

    def write(self, slot: int, data: bytes) -> int:
        return self._files.write(self._user, self._at(slot), data)

    def pwrite(self, slot: int, data: bytes, offset: int) -> int:
        return self._files.pwrite(self._user, self._at(slot), data, offset)

    def lseek(self, slot: int, offset: int, whence: int) -> int:
        return self._files.seek(self._at(slot), offset, whence)

    def ftruncate(self, slot: int, size: int) -> None:
        self._files.truncate(self._user, self._at(slot), size)

    def fstat(self, slot: int) -> tuple[int, ...]:
        return shown(self._walker.inode(self._at(slot).node))

    def fsync(self, slot: int) -> None:
        self._files.sync(self._at(slot))

    def fchmod(self, slot: int, mode: int) -> None:
        self.set_mode(self._not_a_path(slot), mode)

    def fchown(self, slot: int, uid: int, gid: int) -> None:
        self.set_owner(self._not_a_path(slot), uid, gid)

    def _not_a_path(self, slot: int) -> NodeId:
        opened = self._at(slot)
        if opened.is_path:
            raise fail(errno.EBADF)
        return opened.node

    def copy_range(self, source: int, target: int, length: int, start: int, end: int) -> int:
        opened = self._at(source), self._at(target)
        return self._files.copy(self._user, *opened, length, start, end)

    def map_write(self, slot: int, data: bytes, offset: int, flags: int) -> bytes:
        return self._files.map_write(self._at(slot), data, offset, flags)

    def flock(self, *_: Any) -> None:
        raise OfTheHost

    lockf = ofd_lock = flock

    def truncate(self, path: str, size: int) -> None:
        node = self._walker.node(self._user, path)
        inode = self._walker.inode(node)
        if inode.is_directory:
            raise fail(errno.EISDIR)
        if not inode.is_file:
            raise fail(errno.EINVAL)
        self._walker.need(self._user, node, WRITE)
        self._metadata.setattr(node, Wanted(size=size), self._user)

    def _free(self, path: str, *, is_directory: bool = False) -> Last:
        """Returns a name that is free, in a directory that may be written."""
        last = self._walker.last(self._user, path)
        is_there = self._walker.child(self._user, last.parent, last.name) is not None
        if not last.is_name or is_there:
            raise fail(errno.EEXIST)
        if last.is_slashed and not is_directory:
            raise fail(errno.ENOENT)
        return last

    def _make(self, last: Last, mode: int, *, target: bytes = b"", device: int = 0) -> None:
        self._walker.need(self._user, last.parent, WRITE | EXECUTE)
        entry = self._names.make(
            last.parent, last.name, mode, self._user, target=target, rdev=device
        )
        self._walker.looked_up[entry.node] += 1

    def mkdir(self, path: str, mode: int) -> None:
        last = self._free(path, is_directory=True)
        self._make(last, stat.S_IFDIR | (mode & 0o1777 & ~self._umask))

    def mknod(self, path: str, mode: int, device: int) -> None:
        kind = stat.S_IFMT(mode)
        if kind not in _NODES:
            raise fail(errno.EPERM if kind == stat.S_IFDIR else errno.EINVAL)
        last = self._free(path)
        is_device = kind in (stat.S_IFCHR, stat.S_IFBLK)
        self._walker.need(self._user, last.parent, WRITE | EXECUTE)
        if is_device and self._user.uid != 0:
            raise fail(errno.EPERM)
        mode = (kind or stat.S_IFREG) | (mode & 0o7777 & ~self._umask)
        mode = without_group_bit(self._user, self._walker.inode(last.parent), mode)
        self._make(last, mode, device=device if is_device else 0)

    def symlink(self, target: str, path: str) -> None:
        if not target:
            raise fail(errno.ENOENT)
        self._make(self._free(path), stat.S_IFLNK | 0o777, target=os.fsencode(target))

    def link(self, source: str, path: str) -> None:
        node = self._walker.node(self._user, source, follow=False)
        last = self._free(path)
        inode = self._walker.inode(node)
        if self._protects_hard_links and not self._is_safe(inode):
            raise fail(errno.EPERM)
        self._walker.need(self._user, last.parent, WRITE | EXECUTE)
        if inode.is_directory:
            raise fail(errno.EPERM)
        entry = self._names.link(node, last.parent, last.name, self._user)
        self._walker.looked_up[entry.node] += 1

    def _is_safe(self, inode: Inode) -> bool:
        """Returns whether a stranger may give a file another name (proc(5))."""
        both = stat.S_ISGID | stat.S_IXGRP
        is_privileged = inode.mode & stat.S_ISUID or inode.mode & both == both
        is_plain = inode.is_file and not is_privileged
        can_use = may(self._user, inode, READ | WRITE)
        return is_owner(self._user, inode) or bool(is_plain and can_use)

    def unlink(self, path: str) -> None:
        last = self._walker.last(self._user, path)
        if not last.is_name:
            raise fail(errno.EISDIR)
        inode = self._inode_at(last)
        if last.is_slashed:
            raise fail(errno.EISDIR if inode.is_directory else errno.ENOTDIR)
        self._may_delete(last.parent, inode, is_directory=False)
        self._names.remove(last.parent, last.name, self._user, directory=False)

    def rmdir(self, path: str) -> None:
        last = self._walker.last(self._user, path)
        if not last.is_name:
            raise fail(errno.ENOTEMPTY if last.name == b".." else errno.EINVAL)
        self._may_delete(last.parent, self._inode_at(last), is_directory=True)
        self._names.remove(last.parent, last.name, self._user, directory=True)

    def _inode_at(self, last: Last) -> Inode:
        node = self._walker.child(self._user, last.parent, last.name)
        if node is None:
            raise fail(errno.ENOENT)
        return self._walker.inode(node)

    def _may_delete(self, directory: NodeId, inode: Inode, *, is_directory: bool) -> None:
        """`may_delete` of the kernel, for what goes or is moved away."""
        self._walker.need(self._user, directory, WRITE | EXECUTE)
        above = self._walker.inode(directory)
        is_ours = self._user.uid in (0, above.uid, inode.uid)
        if above.mode & stat.S_ISVTX and not is_ours:
            raise fail(errno.EPERM)
        if is_directory and not inode.is_directory:
            raise fail(errno.ENOTDIR)
        if not is_directory and inode.is_directory:
            raise fail(errno.EISDIR)

    def rename(self, old: str, new: str, flags: int) -> None:
        if flags == _NOREPLACE | _EXCHANGE:
            raise fail(errno.EINVAL)
        source, target = (self._walker.last(self._user, path) for path in (old, new))
        if not source.is_name:
            raise fail(errno.EBUSY)
        if not target.is_name:
            raise fail(errno.EEXIST if flags == _NOREPLACE else errno.EBUSY)
        moved = self._walker.child(self._user, source.parent, source.name)
        if moved is None:
            raise fail(errno.ENOENT)
        over = self._walker.child(self._user, target.parent, target.name)
        self._check_rename(source, moved, target, over, flags)
        if moved == over:
            return
        self._may_rename(source, moved, target, over, is_exchange=flags == _EXCHANGE)
        self._names.rename(
            source.parent, source.name, target.parent, target.name, flags, self._user
        )

    def _check_rename(
        self, source: Last, moved: NodeId, target: Last, over: NodeId | None, flags: int
    ) -> None:
        is_exchange = flags == _EXCHANGE
        if flags == _NOREPLACE and over is not None:
            raise fail(errno.EEXIST)
        if is_exchange:
            if over is None:
                raise fail(errno.ENOENT)
            if target.is_slashed and not self._walker.inode(over).is_directory:
                raise fail(errno.ENOTDIR)
        if not self._walker.inode(moved).is_directory and (
            source.is_slashed or (target.is_slashed and not is_exchange)
        ):
            raise fail(errno.ENOTDIR)
        if source.parent == target.parent:
            return
        if self._walker.is_above(moved, target.parent):
            raise fail(errno.EINVAL)
        if over is not None and self._walker.is_above(over, source.parent):
            raise fail(errno.EINVAL if is_exchange else errno.ENOTEMPTY)

    def _may_rename(
        self, source: Last, moved: NodeId, target: Last, over: NodeId | None, *, is_exchange: bool
    ) -> None:
        inode = self._walker.inode(moved)
        other = None if over is None else self._walker.inode(over)
        self._may_delete(source.parent, inode, is_directory=inode.is_directory)
        if other is None:
            self._walker.need(self._user, target.parent, WRITE | EXECUTE)
        else:
            goes = other if is_exchange else inode
            self._may_delete(target.parent, other, is_directory=goes.is_directory)
        if source.parent == target.parent:
            return
        # Their `..` changes.
        if inode.is_directory:
            self._walker.need(self._user, moved, WRITE)
        if is_exchange and over is not None and other is not None and other.is_directory:
            self._walker.need(self._user, over, WRITE)

    def readlink(self, path: str) -> str:
        node = self._walker.node(self._user, path, follow=False)
        if not self._walker.inode(node).is_symlink:
            raise fail(errno.EINVAL)
        return os.fsdecode(self._names.readlink(node))

    def listdir(self, path: str) -> list[str]:
        node = self._walker.node(self._user, path)
        if not self._walker.inode(node).is_directory:
            raise fail(errno.ENOTDIR)
        self._walker.need(self._user, node, READ)
        return self.names_in(node)

    def names_in(self, node: NodeId) -> list[str]:
        """Returns the names in a directory, sorted."""
        handle = self._listings.opendir(node, self._user)
        listed = [item for item in self._listings.readdir(handle, 0) if item.next_offset > 2]
        self._listings.listed(item.entry.node for item in listed)
        for item in listed:
            self._walker.looked_up[item.entry.node] += 1
        self._reaper.release(handle)
        return sorted(os.fsdecode(item.name) for item in listed)

    def umask(self, mask: int) -> int:
        before, self._umask = self._umask, mask & 0o777
        return before
