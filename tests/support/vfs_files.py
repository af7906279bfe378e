"""Open files as Linux keeps them: who may open what, positions, appends, mappings, copies.

The other half of the kernel that `vfs_paths.py` begins. Source: fs/namei.c (`do_open`, `may_open`),
fs/open.c, fs/read_write.c, mm/filemap.c of Linux 6.18. What is behind the descriptor of a FIFO is
the kernel's alone: such a call answers `OfTheHost`.
"""

import errno
import mmap
import os
import stat
from dataclasses import dataclass

from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.handles import FileHandle, HandleId
from pyi_fs.fuse.metadata import Wanted
from pyi_fs.ids import NodeId
from pyi_fs.limits import FILE_BYTES_MAX
from pyi_fs.model.inode import Inode
from tests.support.posix_actor import User
from tests.support.vfs_paths import (
    EXECUTE,
    READ,
    WRITE,
    Found,
    Walker,
    fail,
    is_group_or_root,
    is_owner,
    may,
    setting,
)

_PAGE = 4096
_OF_A_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class OfTheHost(Exception):  # noqa: N818 - no error: an answer that is not ours to know
    """The kernel answers this alone, whatever the filesystem is: take the host's answer."""


@dataclass
class Opened:
    """An open file description. `handle` None: `O_PATH`, or no regular file."""

    node: NodeId
    flags: int
    handle: HandleId | None
    position: int = 0

    @property
    def is_path(self) -> bool:
        """Returns whether it only stands for a path."""
        return bool(self.flags & os.O_PATH)

    @property
    def is_readable(self) -> bool:
        """Returns whether it was opened for reading."""
        return not self.is_path and self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def is_writable(self) -> bool:
        """Returns whether it was opened for writing."""
        return not self.is_path and self.flags & os.O_ACCMODE != os.O_RDONLY


class Files:
    """The open files of all processes."""

    def __init__(self, handlers: Handlers, walker: Walker) -> None:
        self._files = handlers.files
        self._handles = handlers.state.handles
        self._metadata = handlers.metadata
        self._ranges = handlers.ranges
        self._reaper = handlers.reaper
        self._walker = walker
        self._protects = {stat.S_IFREG: setting("protected_regular")}
        self._protects[stat.S_IFIFO] = setting("protected_fifos")

    def open(self, user: User, path: str, flags: int, mode: int) -> Opened:
        """Returns an open file; `mode` has been cut by the umask."""
        if flags & os.O_PATH:
            return self._opened_path(user, path, flags & _OF_A_PATH)
        if flags & os.O_CREAT and flags & os.O_DIRECTORY:
            raise fail(errno.EINVAL)
        is_new = bool(flags & os.O_CREAT)
        is_followed = not flags & os.O_NOFOLLOW and not (is_new and flags & os.O_EXCL)
        if is_new and self._walker.last(user, path).is_slashed:
            raise fail(errno.EISDIR)
        found = self._walker.find(user, path, follow=is_followed)
        if found.node is None:
            if not is_new:
                raise fail(errno.ENOENT)
            return self._created(user, found, flags, mode)
        if is_new:
            self._may_be_there(user, found, flags)
        inode = self._walker.inode(found.node)
        is_directory_wanted = found.is_slashed or flags & os.O_DIRECTORY
        if is_directory_wanted and not inode.is_directory:
            raise fail(errno.ENOTDIR)
        self._may_open(user, inode, flags)
        if not inode.is_file:
            return self._opened_special(found.node, inode, flags)
        handle = self._files.open(found.node, flags, user)
        return self.kept(Opened(found.node, flags, handle))

    def close(self, opened: Opened) -> None:
        """Closes a file."""
        if opened.handle is not None:
            self._reaper.release(opened.handle)
        self._reaper.forget([(opened.node, 1)])

    def _opened_path(self, user: User, path: str, flags: int) -> Opened:
        node = self._walker.node(user, path, follow=not flags & os.O_NOFOLLOW)
        if flags & os.O_DIRECTORY and not self._walker.inode(node).is_directory:
            raise fail(errno.ENOTDIR)
        return self.kept(Opened(node, flags, None))

    def kept(self, opened: Opened) -> Opened:
        """Returns an open file whose node the kernel knows from now on."""
        self._walker.hold(opened.node)
        return opened

    def _created(self, user: User, found: Found, flags: int, mode: int) -> Opened:
        self._walker.need(user, found.parent, WRITE | EXECUTE)
        above = self._walker.inode(found.parent)
        mode = without_group_bit(user, above, stat.S_IFREG | mode)
        handle, entry = self._files.create(found.parent, found.name, mode, flags, user)
        self._walker.looked_up[entry.node] += 1  # The answer of a create counts as one.
        return self.kept(Opened(entry.node, flags, handle))

    def _may_be_there(self, user: User, found: Found, flags: int) -> None:
        if flags & os.O_EXCL:
            raise fail(errno.EEXIST)
        assert found.node is not None, "BUG: nothing is there"
        inode, above = self._walker.inode(found.node), self._walker.inode(found.parent)
        if inode.is_directory:
            raise fail(errno.EISDIR)
        level = self._protects.get(stat.S_IFMT(inode.mode), 1)
        if level and above.mode & stat.S_ISVTX and inode.uid not in (above.uid, user.uid):
            is_strict = level >= 2 and above.mode & stat.S_IWGRP
            if above.mode & stat.S_IWOTH or is_strict:
                raise fail(errno.EACCES)

    def _may_open(self, user: User, inode: Inode, flags: int) -> None:
        access = (READ, WRITE, READ | WRITE)[flags & os.O_ACCMODE]
        if flags & os.O_TRUNC:
            access |= WRITE
        if inode.is_symlink:
            raise fail(errno.ELOOP)
        if inode.is_directory and access & WRITE:
            raise fail(errno.EISDIR)
        if not may(user, inode, access):
            raise fail(errno.EACCES)
        if flags & os.O_NOATIME and not is_owner(user, inode):
            raise fail(errno.EPERM)

    def _opened_special(self, node: NodeId, inode: Inode, flags: int) -> Opened:
        opened = Opened(node, flags, None)
        if stat.S_ISFIFO(inode.mode):
            raise OfTheHost(opened)
        if not inode.is_directory:
            raise fail(errno.ENXIO if stat.S_ISSOCK(inode.mode) else errno.EACCES)
        return self.kept(opened)

    def read(self, opened: Opened, length: int) -> bytes:
        """Returns bytes from the position on, which moves."""
        data = self.pread(opened, length, opened.position)
        opened.position += len(data)
        return data

    def pread(self, opened: Opened, length: int, offset: int) -> bytes:
        """Returns bytes from an offset on."""
        if not opened.is_readable:
            raise fail(errno.EBADF)
        return self._content(opened, length, offset)

    def write(self, user: User, opened: Opened, data: bytes) -> int:
        """Writes at the position, or at the end with `O_APPEND`; the position is after it."""
        count, end = self._write(user, opened, data, opened.position)
        opened.position = end
        return count

    def pwrite(self, user: User, opened: Opened, data: bytes, offset: int) -> int:
        """Writes at an offset, or at the end with `O_APPEND`."""
        return self._write(user, opened, data, offset)[0]

    def _write(self, user: User, opened: Opened, data: bytes, offset: int) -> tuple[int, int]:
        if not opened.is_writable:
            raise fail(errno.EBADF)
        handle = self._regular(opened)
        if not data:
            return 0, opened.position
        if opened.flags & os.O_APPEND:
            offset = self._walker.inode(opened.node).size
        if offset + len(data) > FILE_BYTES_MAX:
            raise fail(errno.EFBIG)
        self._without_privileges(user, opened.node)
        count = self._files.write_now(handle, offset, data, kill_setid=user.uid != 0)
        assert count is not None, "BUG: a write to a regular file had to wait"
        return count, offset + count

    def seek(self, opened: Opened, offset: int, whence: int) -> int:
        """Moves the position."""
        inode = self._walker.inode(opened.node)
        if opened.is_path:
            raise fail(errno.EBADF)
        if stat.S_ISFIFO(inode.mode):
            raise fail(errno.ESPIPE)
        if whence == os.SEEK_END and inode.is_directory:
            return opened.position  # As in `Calls.lseek`.
        position = (0, opened.position, inode.size)[whence] + offset
        if position < 0:
            raise fail(errno.EINVAL)
        opened.position = position
        return position

    def truncate(self, user: User, opened: Opened, size: int) -> None:
        """ftruncate(2)."""
        if opened.is_path:
            raise fail(errno.EBADF)
        if opened.handle is None or not opened.is_writable:
            raise fail(errno.EINVAL)
        self._metadata.setattr(opened.node, Wanted(size=size), user)

    def sync(self, opened: Opened) -> None:
        """fsync(2), which shows nothing."""
        if opened.is_path:
            raise fail(errno.EBADF)
        if stat.S_ISFIFO(self._walker.inode(opened.node).mode):
            raise fail(errno.EINVAL)

    def copy(
        self, user: User, source: Opened, target: Opened, length: int, start: int, end: int
    ) -> int:
        """copy_file_range(2) of one filesystem."""
        if source.is_path or target.is_path:
            raise fail(errno.EBADF)
        lent, changed = (self._walker.inode(opened.node) for opened in (source, target))
        if lent.is_directory or changed.is_directory:
            raise fail(errno.EISDIR)
        if not lent.is_file or not changed.is_file:
            raise fail(errno.EINVAL)
        if not source.is_readable or not target.is_writable or target.flags & os.O_APPEND:
            raise fail(errno.EBADF)
        length = min(length, max(lent.size - start, 0))
        is_same = source.node == target.node
        if is_same and end + length > start and end < start + length:
            raise fail(errno.EINVAL)
        if not length:
            return 0
        self._without_privileges(user, target.node)
        assert source.handle is not None, "BUG: a regular file has a handle"
        assert target.handle is not None, "BUG: a regular file has a handle"
        return self._ranges.copy(source.handle, start, target.handle, end, length)

    def map_write(self, opened: Opened, data: bytes, offset: int, flags: int) -> bytes:
        """What `Calls.map_write` does: stores through a mapping, has it written, reads again."""
        inode = self._walker.inode(opened.node)
        if inode.is_file and inode.size < 2 * _PAGE:
            raise ValueError("mmap length is greater than file size")
        if opened.is_path:
            raise fail(errno.EBADF)
        is_shared = flags == mmap.MAP_SHARED
        if (is_shared and not opened.is_writable) or not opened.is_readable:
            raise fail(errno.EACCES)
        if inode.is_directory:
            raise fail(errno.ENODEV)
        if offset + len(data) > inode.size:
            return b""
        if is_shared:
            first = offset // _PAGE * _PAGE
            last = min(-(-(offset + len(data)) // _PAGE) * _PAGE, inode.size)
            pages = bytearray(self._content(opened, last - first, first))
            pages[offset - first : offset - first + len(data)] = data
            self._files.write_now(self._regular(opened), first, pages, kill_setid=False)
        return self._content(opened, 2 * _PAGE, 0)

    def _regular(self, opened: Opened) -> HandleId:
        if opened.handle is not None:
            return opened.handle
        if self._walker.inode(opened.node).is_directory:
            raise fail(errno.EISDIR)
        raise OfTheHost

    def _content(self, opened: Opened, length: int, offset: int) -> bytes:
        handle = self._regular(opened)
        data = self._files.read_now(handle, offset, length)
        if data is None:
            # What the handler does in a thread.
            file = self._handles.file(handle)
            assert isinstance(file, FileHandle), "BUG: a control file"
            assert file.view.branch is not None, "BUG: a snapshot's file"
            data = file.view.branch.read(file.number, offset, length)
        return bytes(data)

    def _without_privileges(self, user: User, node: NodeId) -> None:
        """What the kernel asks for before a write that takes set-id bits away."""
        inode = self._walker.inode(node)
        drops = inode.mode & stat.S_ISUID
        if inode.mode & stat.S_ISGID:
            drops |= inode.mode & stat.S_IXGRP or not is_group_or_root(user, inode)
        if drops and user.uid != 0:
            self._metadata.setattr(node, Wanted(), user)


def without_group_bit(user: User, above: Inode, mode: int) -> int:
    """Returns the mode of a new file: in a set-group-id directory only members make such."""
    both = stat.S_ISGID | stat.S_IXGRP
    is_cut = mode & both == both and above.mode & stat.S_ISGID
    if is_cut and not stat.S_ISDIR(mode) and not is_group_or_root(user, above):
        return mode & ~stat.S_ISGID
    return mode
