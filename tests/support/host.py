"""The same mutations as real system calls in a real directory: what Linux itself says.

A descriptor is held for every inode (`O_PATH` for all but directories), so a mutation's inode
numbers can be used as they are, also for unlinked files and removed directories. Needs root for
owners, devices and set-id bits.
"""

import ctypes
import os
import stat

from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model import mutation
from pyi_fs.model.mutation import Mutation
from tests.support.oracle import Content

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_EMPTY_PATH = 0x1000


def _checked(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Host:
    """A directory of the host, driven by mutations."""

    def __init__(self, directory: str, content: Content) -> None:
        self.content = content
        flags = os.O_RDONLY | os.O_DIRECTORY
        self.descriptors: dict[InodeNumber, int] = {ROOT_INODE: os.open(directory, flags)}
        os.fchmod(self.descriptors[ROOT_INODE], 0o755)

    def close(self) -> None:
        """Closes all descriptors."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)
        self.descriptors.clear()

    def stat(self, number: InodeNumber) -> os.stat_result:
        """Returns fstat of an inode."""
        return os.fstat(self.descriptors[number])

    def magic(self, number: InodeNumber) -> str:
        """Returns a path that reaches an inode whatever its name is."""
        return f"/proc/self/fd/{self.descriptors[number]}"

    def apply(self, change: Mutation) -> None:
        """Makes the system calls of a mutation; `OSError` if they fail."""
        getattr(self, "_" + type(change).__name__.lower())(change)

    def _create(self, change: mutation.Create) -> None:
        above = self.descriptors[change.parent]
        if stat.S_ISDIR(change.mode):
            os.mkdir(change.name, stat.S_IMODE(change.mode), dir_fd=above)
        elif stat.S_ISLNK(change.mode):
            os.symlink(change.target, change.name, dir_fd=above)
        else:
            os.mknod(change.name, change.mode, change.rdev, dir_fd=above)
        flags = os.O_RDONLY | os.O_DIRECTORY if stat.S_ISDIR(change.mode) else os.O_PATH
        opened = os.open(change.name, flags | os.O_NOFOLLOW, dir_fd=above)
        self.descriptors[change.number] = opened

    def _adopt(self, change: mutation.Adopt) -> None:
        flags = os.O_TMPFILE | os.O_RDWR
        mode = stat.S_IMODE(change.inode.mode)
        opened = os.open(".", flags, mode, dir_fd=self.descriptors[ROOT_INODE])
        self.descriptors[change.number] = opened

    def _link(self, change: mutation.Link) -> None:
        descriptor, above = self.descriptors[change.number], self.descriptors[change.parent]
        _checked(_LIBC.linkat(descriptor, b"", above, change.name, _AT_EMPTY_PATH))

    def _remove(self, change: mutation.Remove) -> None:
        above = self.descriptors[change.parent]
        if change.directory:
            os.rmdir(change.name, dir_fd=above)
        else:
            os.unlink(change.name, dir_fd=above)

    def _rename(self, change: mutation.Rename) -> None:
        old, new = self.descriptors[change.parent], self.descriptors[change.new_parent]
        _checked(_LIBC.renameat2(old, change.name, new, change.new_name, change.flags))

    def _open(self, number: InodeNumber) -> int:
        return os.open(self.magic(number), os.O_WRONLY)

    def _write(self, change: mutation.Write) -> None:
        source = self.content.segments[change.segment]
        data = source[change.source_offset : change.source_offset + change.length]
        descriptor = self._open(change.number)
        try:
            os.pwrite(descriptor, bytes(data), change.offset)
        finally:
            os.close(descriptor)

    def _share(self, change: mutation.Share) -> None:
        descriptor = self._open(change.number)
        try:
            data = self.content.bytes_of(change.extents, change.length)
            os.pwrite(descriptor, data, change.offset)
        finally:
            os.close(descriptor)

    def _setattributes(self, change: mutation.SetAttributes) -> None:
        path = self.magic(change.number)
        if change.mode is not None:
            os.chmod(path, change.mode)
        elif change.size is not None:
            os.truncate(path, change.size)
        elif change.uid is not None or change.gid is not None:
            uid, gid = (-1 if each is None else each for each in (change.uid, change.gid))
            os.chown(path, uid, gid)
        elif change.atime_ns is not None and change.mtime_ns is not None:
            os.utime(path, ns=(change.atime_ns, change.mtime_ns))

    def _allocate(self, change: mutation.Allocate) -> None:
        descriptor = self._open(change.number)
        try:
            offset, length = ctypes.c_int64(change.offset), ctypes.c_int64(change.length)
            _checked(_LIBC.fallocate(descriptor, change.flags, offset, length))
        finally:
            os.close(descriptor)

    def _setxattr(self, change: mutation.SetXattr) -> None:
        os.setxattr(self.magic(change.number), change.name, change.value)

    def _removexattr(self, change: mutation.RemoveXattr) -> None:
        os.removexattr(self.magic(change.number), change.name)

    def names(self, number: InodeNumber) -> dict[bytes, int]:
        """Returns the names in a directory with the host's inode numbers."""
        descriptor = self.descriptors[number]
        return {
            os.fsencode(name): os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_ino
            for name in os.listdir(descriptor)
        }

    def content_of(self, number: InodeNumber) -> bytes:
        """Returns the bytes of a regular file; its atime stays."""
        descriptor = os.open(self.magic(number), os.O_RDONLY | os.O_NOATIME)
        try:
            return os.pread(descriptor, 1 << 20, 0)
        finally:
            os.close(descriptor)

    def xattrs(self, number: InodeNumber) -> list[tuple[bytes, bytes]]:
        """Returns the extended attributes, sorted."""
        path = self.magic(number)
        return sorted((os.fsencode(name), os.getxattr(path, name)) for name in os.listxattr(path))
