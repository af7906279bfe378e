"""System calls by name on a directory, with descriptors kept by slot: what an actor can do.

Each method makes one call and returns something that is equal on every filesystem that did the
same, or raises `OSError`. Paths are relative to the working directory.
"""

import ctypes
import fcntl
import mmap
import os
import stat
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

_LIBC = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD = -100
_OFD_SETLK = 37
_FLOCK = struct.Struct("hhqqi4x")
_PAGE = 4096

Call = tuple[str, tuple[Any, ...]]


class Failed(NamedTuple):
    """The errno of a call, by name."""

    errno: str


def checked(result: int) -> int:
    """Returns what a function of the C library returned; `OSError` if it was -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Calls:
    """Calls and the descriptors they share."""

    def __init__(self) -> None:
        self._slots: dict[int, int] = {}

    def do(self, name: str, arguments: tuple[Any, ...]) -> object:
        """Returns what a call returned."""
        method: Callable[..., object] = getattr(self, name)
        return method(*arguments)

    def close_all(self) -> None:
        """Closes every slot."""
        for slot in list(self._slots):
            self.close(slot)

    def open(self, slot: int, path: str, flags: int, mode: int) -> None:
        descriptor = os.open(path, flags | os.O_NONBLOCK, mode)
        self.close(slot)
        self._slots[slot] = descriptor

    def close(self, slot: int) -> None:
        descriptor = self._slots.pop(slot, None)
        if descriptor is not None:
            os.close(descriptor)

    def _fd(self, slot: int) -> int:
        # An unused slot is a bad descriptor: EBADF on both sides.
        return self._slots.get(slot, 1 << 20)

    def read(self, slot: int, length: int) -> bytes:
        return os.read(self._fd(slot), length)

    def pread(self, slot: int, length: int, offset: int) -> bytes:
        return os.pread(self._fd(slot), length, offset)

    def write(self, slot: int, data: bytes) -> int:
        return os.write(self._fd(slot), data)

    def pwrite(self, slot: int, data: bytes, offset: int) -> int:
        return os.pwrite(self._fd(slot), data, offset)

    def lseek(self, slot: int, offset: int, whence: int) -> int:
        descriptor = self._fd(slot)
        if whence == os.SEEK_END and stat.S_ISDIR(os.fstat(descriptor).st_mode):
            # Where a directory ends is the filesystem's own affair (docs/posix.md).
            return os.lseek(descriptor, 0, os.SEEK_CUR)
        return os.lseek(descriptor, offset, whence)

    def ftruncate(self, slot: int, size: int) -> None:
        os.ftruncate(self._fd(slot), size)

    def fstat(self, slot: int) -> tuple[int, ...]:
        found = os.fstat(self._fd(slot))
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        return (found.st_mode, found.st_nlink, found.st_uid, found.st_gid, size)

    def fsync(self, slot: int) -> None:
        os.fsync(self._fd(slot))

    def fchmod(self, slot: int, mode: int) -> None:
        os.fchmod(self._fd(slot), mode)

    def fchown(self, slot: int, uid: int, gid: int) -> None:
        os.fchown(self._fd(slot), uid, gid)

    def copy_range(self, source: int, target: int, length: int, start: int, end: int) -> int:
        return os.copy_file_range(self._fd(source), self._fd(target), length, start, end)

    def map_write(self, slot: int, data: bytes, offset: int, flags: int) -> bytes:
        """Writes through a mapping of the first pages, and reads them back through the call."""
        descriptor = self._fd(slot)
        size = os.fstat(descriptor).st_size
        with mmap.mmap(descriptor, 2 * _PAGE, flags=flags) as mapping:
            if offset + len(data) > size:
                # Beyond the last page of the file it would be SIGBUS, and is on both sides.
                return b""
            mapping[offset : offset + len(data)] = data
            mapping.flush()
            return os.pread(descriptor, 2 * _PAGE, 0)

    def flock(self, slot: int, operation: int) -> None:
        fcntl.flock(self._fd(slot), operation | fcntl.LOCK_NB)

    def lockf(self, slot: int, operation: int, length: int, start: int) -> None:
        wait = 0 if operation == fcntl.LOCK_UN else fcntl.LOCK_NB
        fcntl.lockf(self._fd(slot), operation | wait, length, start)

    def ofd_lock(self, slot: int, kind: int, start: int, length: int) -> None:
        fcntl.fcntl(self._fd(slot), _OFD_SETLK, _FLOCK.pack(kind, 0, start, length, 0))

    def truncate(self, path: str, size: int) -> None:
        os.truncate(path, size)

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(path, mode)

    def mknod(self, path: str, mode: int, device: int) -> None:
        os.mknod(path, mode, device)

    def symlink(self, target: str, path: str) -> None:
        os.symlink(target, path)

    def link(self, source: str, path: str, *, follow: bool = False) -> None:
        os.link(source, path, follow_symlinks=follow)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def rmdir(self, path: str) -> None:
        os.rmdir(path)

    def rename(self, old: str, new: str, flags: int) -> None:
        old_name, new_name = os.fsencode(old), os.fsencode(new)
        checked(_LIBC.renameat2(_AT_FDCWD, old_name, _AT_FDCWD, new_name, flags))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(path, mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.chown(path, uid, gid)

    def lchown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(path, uid, gid)

    def utimens(self, path: str, atime: tuple[int, int], mtime: tuple[int, int]) -> object:
        """Sets times as given: seconds and nanoseconds, or UTIME_NOW or UTIME_OMIT there."""
        both = struct.pack("qqqq", *atime, *mtime)
        checked(_LIBC.utimensat(_AT_FDCWD, os.fsencode(path), both, 0))
        found = os.stat(path)
        given = ((atime, found.st_atime_ns), (mtime, found.st_mtime_ns))
        return [is_set for (_, part), is_set in given if part < 10**9]

    def stat(self, path: str) -> tuple[int, ...]:
        found = os.stat(path)
        size = 0 if stat.S_ISDIR(found.st_mode) else found.st_size
        return (found.st_mode, found.st_nlink, found.st_uid, found.st_gid, size)

    def access(self, path: str, mode: int) -> bool:
        return os.access(path, mode)

    def readlink(self, path: str) -> str:
        return os.readlink(path)

    def listdir(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        os.setxattr(path, name, value, flags, follow_symlinks=False)

    def getxattr(self, path: str, name: str) -> bytes:
        return os.getxattr(path, name, follow_symlinks=False)

    def listxattr(self, path: str) -> list[str]:
        return sorted(os.listxattr(path, follow_symlinks=False))

    def removexattr(self, path: str, name: str) -> None:
        os.removexattr(path, name, follow_symlinks=False)

    def umask(self, mask: int) -> int:
        return os.umask(mask)

    def picture(self) -> dict[str, tuple[Any, ...]]:
        """Returns the whole tree: path -> identity, times, and what has to be equal."""
        found: dict[str, tuple[Any, ...]] = {}
        queue = ["."]
        while queue:
            path = queue.pop()
            status = os.lstat(path)
            mode = status.st_mode
            content: object = None
            xattrs: dict[str, bytes] = {}
            if stat.S_ISLNK(mode):
                content = os.readlink(path)
            elif stat.S_ISREG(mode):
                content = _content(path, status.st_size)
            elif stat.S_ISDIR(mode):
                names = os.listdir(path)
                queue += [f"{path}/{name}" for name in names]
            else:
                content = status.st_rdev
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                xattrs = {name: os.getxattr(path, name) for name in os.listxattr(path)}
            size = 0 if stat.S_ISDIR(mode) else status.st_size
            same = (mode, status.st_nlink, status.st_uid, status.st_gid, size, content, xattrs)
            times = (status.st_mtime_ns, status.st_ctime_ns)
            found[path] = (status.st_ino, times, same)
        return found


def _content(path: str, size: int) -> tuple[bytes, bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOATIME)
    try:
        # A sparse file may be a terabyte long.
        return os.pread(descriptor, 1 << 16, 0), os.pread(descriptor, 64, max(0, size - 64))
    finally:
        os.close(descriptor)
