"""Reading a directory tree of the host that others may change meanwhile.

Directories are opened name by name from the root, never following a symbolic link, and at most
three descriptors are open at a time, however deep the tree. Order is that of the names' bytes.

Source: openat(2), lseek(2) (`SEEK_DATA`), xattr(7).
"""

import errno
import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from pyi_fs.errors import AccessDeniedError

READ_BYTES = 1 << 20
"""One read of a large file: cheap beside hashing it, small beside the memory of a mount."""
_NOT_KEPT = ("system.",)
_KEPT_BY_ANYBODY = ("user.",)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Bound to names of its own: these open what is imported, never a file of the store.
_open_on_host = os.open

Attributes = tuple[tuple[bytes, bytes], ...]


class HostEntry(NamedTuple):
    """One name in a directory and what `lstat` says of it."""

    name: bytes
    status: os.stat_result


class HostFile:
    """A regular file open for reading; use as a context manager."""

    def __init__(self, descriptor: int, path: bytes) -> None:
        """Takes the descriptor over."""
        self._descriptor = descriptor
        self._path = path
        self.status = os.fstat(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def regions(self) -> Iterator[tuple[int, int]]:
        """Yields the half-open ranges that hold data; what lies between them is a hole."""
        size = self.status.st_size
        if self.status.st_blocks * 512 >= size:
            if size:
                yield 0, size
            return
        end = 0
        while end < size:
            try:
                start = os.lseek(self._descriptor, end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            end = min(os.lseek(self._descriptor, start, os.SEEK_HOLE), size)
            if start < end:
                yield start, end

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Yields the bytes of `[start, end)` in parts of at most `READ_BYTES`.

        Ends early where the file does.
        """
        while start < end:
            try:
                part = os.pread(self._descriptor, min(READ_BYTES, end - start), start)
            except OSError as error:
                raise named(error, self._path) from None
            if not part:
                return
            yield part
            start += len(part)

    def has_changed(self) -> bool:
        """Returns whether the file was written since it was opened."""
        now = os.fstat(self._descriptor)
        return version(now) != version(self.status)

    def attributes(self, *, privileged: bool) -> Attributes:
        """Returns the extended attributes that an import keeps."""
        return _attributes(self._descriptor, privileged)


class HostDirectory:
    """An open directory; use as a context manager. `path` is relative to the root of the tree."""

    def __init__(self, descriptor: int, path: bytes) -> None:
        """Takes the descriptor over."""
        self._descriptor = descriptor
        self.path = path
        self.status = os.fstat(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)

    def path_of(self, name: bytes) -> bytes:
        """Returns the path of an entry, relative to the root of the tree."""
        return self.path + b"/" + name if self.path else name

    def names(self) -> list[bytes]:
        """Returns the names of all entries, sorted by their bytes."""
        return sorted(os.fsencode(name) for name in os.listdir(self._descriptor))

    def entry(self, name: bytes) -> HostEntry | None:
        """Returns what stands under a name now, or None.

        `OSError` for one that cannot be looked at (a dead mount).
        """
        try:
            return HostEntry(name, os.stat(name, dir_fd=self._descriptor, follow_symlinks=False))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise named(error, self.path_of(name)) from None

    def target(self, name: bytes) -> bytes | None:
        """Returns where a symbolic link points, or None if it is none any more."""
        try:
            return os.readlink(name, dir_fd=self._descriptor)
        except OSError:
            return None

    def file(self, entry: HostEntry) -> HostFile | None:
        """Opens a regular file, or returns None if it is none any more.

        `AccessDeniedError` if it may not be read.
        """
        flags = _FILE
        if os.geteuid() in (0, entry.status.st_uid):
            flags |= os.O_NOATIME
        path = self.path_of(entry.name)
        try:
            opened = HostFile(_open_on_host(entry.name, flags, dir_fd=self._descriptor), path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            raise _denied(path) from None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                return None
            raise named(error, path) from None
        if not stat.S_ISREG(opened.status.st_mode):
            with opened:
                return None
        return opened

    def attributes(self, *, privileged: bool) -> Attributes:
        """Returns the extended attributes of the directory itself."""
        return _attributes(self._descriptor, privileged)

    def attributes_of(self, name: bytes, *, privileged: bool) -> Attributes:
        """Returns those of a symbolic link or a special file, which only have privileged ones."""
        if not privileged:
            return ()
        path = b"/proc/self/fd/%d/%b" % (self._descriptor, name)
        return _attributes(path, privileged)

    def has_changed(self) -> bool:
        """Returns whether an entry came, went or was renamed since the directory was opened."""
        return os.fstat(self._descriptor).st_mtime_ns != self.status.st_mtime_ns


class HostTree:
    """A directory of the host and everything below it. Holds its descriptor until `close`."""

    def __init__(self, root: str) -> None:
        """Opens the root, through symbolic links if its path has some. `OSError`."""
        try:
            self._root = _open_on_host(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except PermissionError:
            raise AccessDeniedError(f"{root} cannot be read: permission denied") from None

    def directory(self, path: bytes) -> HostDirectory | None:
        """Opens a directory by its path from the root; None if it is not there any more.

        `AccessDeniedError`.
        """
        descriptor = os.dup(self._root)
        for name in path.split(b"/") if path else ():
            parent = descriptor
            try:
                descriptor = _open_on_host(name, _DIRECTORY, dir_fd=parent)
            except (FileNotFoundError, NotADirectoryError):
                return None
            except PermissionError:
                raise _denied(path) from None
            except OSError as error:
                if error.errno == errno.ELOOP:
                    return None
                raise named(error, path) from None
            finally:
                os.close(parent)
        return HostDirectory(descriptor, path)

    def close(self) -> None:
        """Closes the root."""
        os.close(self._root)


def version(status: os.stat_result) -> tuple[int, int, int]:
    """Returns what is different whenever a file's content is: size, mtime, ctime."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def printable(path: bytes) -> str:
    """Returns a path for people; bytes that are no text are escaped."""
    return path.decode(errors="backslashreplace")


def named(error: OSError, path: bytes) -> OSError:
    """Returns the error with the path it happened at."""
    return OSError(error.errno, os.strerror(error.errno or 0), printable(path))


def _denied(path: bytes) -> AccessDeniedError:
    return AccessDeniedError(
        f"'{printable(path)}' cannot be read: permission denied (nothing was imported)"
    )


def _attributes(where: int | bytes, privileged: bool) -> Attributes:
    """Returns the attributes that mean the same in a workspace.

    ACLs (`system.`) are not enforced there.
    """
    # A descriptor stands for itself; a path may be a symbolic link's.
    follow = isinstance(where, int)
    try:
        names = os.listxattr(where, follow_symlinks=follow)
    except OSError:
        return ()
    found = []
    for name in names:
        if name.startswith(_KEPT_BY_ANYBODY) or (privileged and not name.startswith(_NOT_KEPT)):
            try:
                value = os.getxattr(where, name, follow_symlinks=follow)
            except OSError:
                continue
            found.append((os.fsencode(name), value))
    return tuple(sorted(found))
