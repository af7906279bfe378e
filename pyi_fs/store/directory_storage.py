"""The real `Storage`: a directory of the host, one system call per operation where there is one.

Invariants:
- Files are made with mode 0600, directories with 0700, whatever the umask; descriptors are not
  inherited by programs.
- An append goes to the end that its one writer knows, with a single `pwritev`: no `lseek`, and no
  `O_APPEND`, with which Linux ignores the offset (pwrite(2), BUGS) and a writer could not overwrite
  what a failed append left behind.
- A file that is read only is read with `pread`, so descriptors may be shared by threads.
- Nothing outside the root is read or changed, whatever stands in it: a store may come from an
  archive of somebody else's. Links are not followed below the root, and what is no regular file is
  not used (`ForeignFileError`). Who can change the store meanwhile is its owner.

Source: pwrite(2), preadv2(2), fallocate(2), flock(2), open(2) on `O_NOFOLLOW` and `O_NONBLOCK`.
"""

import builtins
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from pyi_fs import limits
from pyi_fs.errors import CorruptError, ForeignFileError
from pyi_fs.ids import Buffer
from pyi_fs.store.directory_files import (
    DirectoryAppendFile,
    DirectoryLockFile,
    DirectoryReadFile,
    DirectorySharedFile,
    MemoryReadFile,
    sync_all,
)
from pyi_fs.store.residency import is_resident
from pyi_fs.store.storage import (
    TEMPORARY_SUFFIX,
    AppendFile,
    LockFile,
    ReadFile,
    SharedFile,
    write_atomically,
)

_FILE_MODE, _DIRECTORY_MODE = 0o600, 0o700
# O_NONBLOCK: a FIFO would be waited for, for ever; to regular files it means nothing.
_SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_READ_FLAGS = os.O_RDONLY | _SAFELY
_WRITE_FLAGS = os.O_RDWR | _SAFELY
_DIRECTORIES_MAX = 1 << 16
"""Directories remembered as such; some 10 MB of names. A store has a few for each layer."""


class DirectoryStorage:
    """A store in a directory of the host.

    The root has to exist, or is made by `make_directory("", parents=True)`. Holds no descriptor
    between calls, so it may be made before a process fork.
    """

    memory = None

    def __init__(self, root: Path | str, *, is_memory: bool = False) -> None:
        """Remembers where the store is; touches nothing. `is_memory`: in a tmpfs."""
        self._root = os.path.abspath(os.fspath(root)).rstrip("/") + "/"
        self._read_file = MemoryReadFile if is_memory else DirectoryReadFile
        self._locks: dict[str, DirectoryLockFile] = {}
        self._inherited: dict[str, int] = {}
        self._has_inherited = False
        self.on_lock: Callable[[str], object] | None = None
        """Told the path of each lock that was taken exclusively, or given up; in any thread."""
        self._directories = {""}

    @property
    def disk(self) -> "DirectoryStorage":
        """Returns itself."""
        return self

    def make_volatile_directory(self, path: str) -> bool:  # noqa: ARG002
        """Makes nothing: see `store/tiers.py`."""
        return False

    def open_append(self, path: str, *, create: bool = False) -> AppendFile:
        """Opens a file for appending; see `Storage.open_append`."""
        flags = _WRITE_FLAGS | os.O_CREAT | os.O_EXCL if create else _WRITE_FLAGS
        descriptor = self._open(path, flags)
        size_bytes = 0 if create else os.fstat(descriptor).st_size
        if create:
            _give_to_owner(descriptor)
        return DirectoryAppendFile(descriptor, size_bytes)

    def open_shared(self, path: str) -> SharedFile:
        """Opens a file for appending in turns; see `Storage.open_shared`."""
        return DirectorySharedFile(self._open(path, _WRITE_FLAGS), 0)

    def open_read(self, path: str) -> ReadFile:
        """Opens a file for reading; see `Storage.open_read`."""
        return self._read_file(self._open(path, _READ_FLAGS))

    def read(self, path: str) -> bytes:
        """Returns a whole small file; see `Storage.read`."""
        with open(self._open(path, _READ_FLAGS), "rb", buffering=0) as file:
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > limits.WHOLE_FILE_BYTES_MAX:
                raise CorruptError(path, limits.WHOLE_FILE_BYTES_MAX, "its end", "more of it")
            return file.readall()

    def write_atomic(self, path: str, parts: Sequence[Buffer], *, durable: bool = True) -> None:
        """Replaces a file; see `Storage.write_atomic`."""
        # Random, not the process id: containers with process ids of their own may share a store.
        temporary = f"{path}.{os.urandom(8).hex()}{TEMPORARY_SUFFIX}"
        write_atomically(self, path, parts, temporary=temporary, durable=durable)

    def sync_files(self, files: Sequence[AppendFile]) -> builtins.list[OSError | None]:
        """Makes files durable, at once; see `Storage.sync_files`."""
        return sync_all(files)

    def rename(self, old: str, new: str) -> None:
        """Renames a file, replacing `new`."""
        os.rename(self._at(old), self._at(new))

    def remove(self, path: str) -> None:
        """Removes a file if it is there."""
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._at(path))
        except IsADirectoryError as error:
            raise ForeignFileError(path, "a file") from error

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        """Makes a directory, and with `parents` those above it; mode 0700."""
        if not parents:
            _make_directory(self._at(path))
            return
        # Not os.makedirs: it gives the mode to the last one only; the others would be open to all.
        names = self._directory(path).rstrip("/").split("/")
        for depth in range(2, len(names) + 1):
            name = "/".join(names[:depth])
            if not os.path.isdir(name):
                with suppress(FileExistsError):
                    _make_directory(name)

    def remove_directory(self, path: str) -> None:
        """Removes an empty directory if it is there."""
        with suppress(FileNotFoundError):
            os.rmdir(self._at(path))

    def sync_directory(self, path: str) -> None:
        """Returns when the names in a directory are durable."""
        descriptor = os.open(self._directory(path), _READ_FLAGS | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def list(self, path: str) -> builtins.list[str]:
        """Returns the names in a directory, sorted."""
        try:
            return sorted(os.listdir(self._directory(path)))
        except FileNotFoundError:
            return []

    def exists(self, path: str) -> bool:
        """Returns whether something has that name."""
        return os.path.lexists(self._at(path))

    def size_bytes(self, path: str) -> int | None:
        """Returns a file's size, or None if it is not there."""
        try:
            return os.lstat(self._at(path)).st_size
        except FileNotFoundError:
            return None

    def allocated_bytes(self, path: str) -> int:
        """Returns the bytes of disk a file occupies."""
        try:
            return os.lstat(self._at(path)).st_blocks * 512
        except FileNotFoundError:
            return 0

    def touch(self, path: str) -> None:
        """Notes that a file is used now."""
        with suppress(FileNotFoundError):
            os.utime(self._at(path), follow_symlinks=False)

    def touched_ns(self, path: str) -> int | None:
        """Returns when a file was last written or touched, or None if it is not there."""
        try:
            return os.lstat(self._at(path)).st_mtime_ns
        except FileNotFoundError:
            return None

    def is_in_memory(self, path: str) -> bool:
        """Returns whether reading a file waits for no disk; see `Storage.is_in_memory`."""
        try:
            return is_resident(self.host_path(path))
        except FileNotFoundError:
            return True

    def free_bytes(self) -> int:
        """Returns how much more the disk takes of this user."""
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    def lock(self, path: str, *, exclusive: bool = True, wait: bool = True) -> LockFile | None:
        """Takes the `flock` of a file; see `Storage.lock`."""
        descriptor = self._inherited_descriptor(path) if self._inherited else None
        if descriptor is None:
            descriptor = self._open(path, _WRITE_FLAGS | os.O_CREAT)
        operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            _give_to_owner(descriptor)
            fcntl.flock(descriptor, operation if wait else operation | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if not exclusive:
            return DirectoryLockFile(descriptor)
        lock = DirectoryLockFile(descriptor, partial(self._given_up, path))
        self._locks[path] = lock
        if self.on_lock is not None:
            self.on_lock(path)
        return lock

    def _given_up(self, path: str) -> None:
        self._locks.pop(path, None)
        if self.on_lock is not None:
            self.on_lock(path)

    def held_locks(self) -> dict[str, int]:
        """Returns the descriptors of the locks held exclusively, by path; the inherited ones, too.

        A process that has one open keeps the lock when this process dies.
        """
        # Copied at once: another thread may take one meanwhile, or give it up.
        held = {path: lock.descriptor for path, lock in dict(self._locks).items()}
        return self._inherited | {path: file for path, file in held.items() if file >= 0}

    def inherit_locks(self, descriptors: Mapping[str, int]) -> None:
        """Takes over descriptors of locks that a dead process held; `lock` uses each once."""
        self._inherited = dict(descriptors)
        self._has_inherited = bool(descriptors)

    def may_have_inherited(self, path: str) -> bool:
        """Returns whether a dead process may have held a lock that nobody has used here yet."""
        return not self._has_inherited or path in self._inherited

    def forget_inherited(self) -> None:
        """Gives up the locks whose descriptors `lock` did not use, whoever else has them open."""
        while self._inherited:
            path, descriptor = self._inherited.popitem()
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)
            if self.on_lock is not None:
                self.on_lock(path)

    def _inherited_descriptor(self, path: str) -> int | None:
        """Returns the descriptor inherited for a path, unless another file is there now."""
        descriptor = self._inherited.pop(path, None)
        if descriptor is None:
            return None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(self._root + path)):
                return descriptor
        os.close(descriptor)
        return None

    def host_path(self, path: str) -> str:
        """Returns the path on the host; see `Storage.host_path`."""
        where = self._at(path).rstrip("/")
        with suppress(FileNotFoundError, NotADirectoryError):
            mode = os.lstat(where).st_mode if path else stat.S_IFDIR
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise ForeignFileError(path, "a file")
        return where

    def _open(self, path: str, flags: int) -> int:
        """Returns a descriptor of a regular file."""
        try:
            descriptor = os.open(self._at(path), flags, _FILE_MODE)
        except OSError as error:
            # A link; a socket; a directory.
            if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
                raise ForeignFileError(path, "a file") from error
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ForeignFileError(path, "a file")
        return descriptor

    def _at(self, path: str) -> str:
        """Returns where a file is on the host; no directory above it is a link."""
        directory = path.rpartition("/")[0]
        if directory not in self._directories:
            self._directory(directory)
        return self._root + path

    def _directory(self, path: str) -> str:
        """Returns where a directory is on the host; neither it nor one above it is a link."""
        names = path.rstrip("/").split("/")
        for depth in range(1, len(names) + 1):
            above = "/".join(names[:depth])
            if above in self._directories:
                continue
            try:
                mode = os.lstat(self._root + above).st_mode
            except (FileNotFoundError, NotADirectoryError):
                break
            if stat.S_ISLNK(mode):
                raise ForeignFileError(above, "a directory")
            if stat.S_ISDIR(mode):
                if len(self._directories) >= _DIRECTORIES_MAX:
                    self._directories = {""}
                self._directories.add(above)
        return self._root + path


def _give_to_owner(descriptor: int) -> None:
    """A umask may take a new file's permissions from its owner, too (`umask 0777`)."""
    if stat.S_IMODE(os.fstat(descriptor).st_mode) & _FILE_MODE != _FILE_MODE:
        os.fchmod(descriptor, _FILE_MODE)


def _make_directory(path: str) -> None:
    os.mkdir(path, _DIRECTORY_MODE)
    if stat.S_IMODE(os.stat(path).st_mode) & _DIRECTORY_MODE != _DIRECTORY_MODE:
        os.chmod(path, _DIRECTORY_MODE)
