"""Open files of the real storage: descriptors of the host, one system call per operation.

Invariant: a descriptor is closed by whoever uses it last. A thread may read or sync while the owner
closes, and its number must not become another file's under that thread.

Source: pwrite(2), preadv2(2), fallocate(2), flock(2).
"""

import errno
import fcntl
import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache

from pyi_fs.ids import Buffer
from pyi_fs.store.storage import AppendFile, punchable
from pyi_fs.store.sync_together import sync_descriptors

IOVEC_PARTS_MAX = 1024
"""More buffers in one `pwritev` are refused by the kernel (`UIO_MAXIOV`); they are joined first."""

_FALLOC_FL_KEEP_SIZE = 0x01
_FALLOC_FL_PUNCH_HOLE = 0x02


class DirectoryAppendFile:
    """The real `AppendFile`."""

    # A thread may read or sync while the owner closes: the descriptor is closed by whoever is last,
    # or its number could be another file's under that thread.
    __slots__ = ("_closing", "_descriptor", "_lock", "_size_bytes", "_users")

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._users = 0
        self._closing = -1

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def append(self, *parts: Buffer) -> int:
        offset = self._size_bytes
        try:
            if len(parts) == 1:
                length = len(parts[0])
                written = os.pwrite(self._descriptor, parts[0], offset)
            else:
                if len(parts) > IOVEC_PARTS_MAX:
                    parts = (b"".join(parts),)
                length = sum(map(len, parts))
                written = os.pwritev(self._descriptor, parts, offset) if parts else 0
            if written != length:
                self._append_rest(b"".join(parts), offset, written)
        except OSError:
            # Should this fail too, the next append overwrites from the same end.
            with suppress(OSError):
                os.ftruncate(self._descriptor, offset)
            raise
        self._size_bytes = offset + length
        return offset

    def _append_rest(self, data: bytes, offset: int, written: int) -> None:
        # A short write has no errno: a disk that is full says so at the next call.
        rest = memoryview(data)
        while written < len(data):
            count = os.pwrite(self._descriptor, rest[written:], offset + written)
            if count == 0:
                raise OSError(errno.EIO, "write of a regular file made no progress")
            written += count

    def extend(self, length: int) -> None:
        offset = self._size_bytes
        try:
            # glibc writes where a filesystem cannot allocate.
            os.posix_fallocate(self._descriptor, offset, length)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, offset)
            raise
        self._size_bytes = offset + length

    @contextmanager
    def held(self) -> Iterator[int]:
        """Gives the descriptor, which stays open for the body; `EBADF` after `close`."""
        with self._lock:
            descriptor = self._descriptor
            if descriptor < 0:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            self._users += 1
        try:
            yield descriptor
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_unused()

    def read_at(self, offset: int, length: int) -> bytes:
        # As `held`, without the microsecond that it costs.
        with self._lock:
            # -1 after `close`: the kernel says EBADF.
            descriptor = self._descriptor
            self._users += 1
        try:
            return _read_at(descriptor, offset, length)
        finally:
            with self._lock:
                self._users -= 1
                self._close_if_unused()

    def sync(self) -> None:
        with self.held() as descriptor:
            os.fdatasync(descriptor)

    def write_again(self, offset: int, data: Buffer) -> None:
        assert offset + len(data) <= self._size_bytes, "BUG: writes what was never there"
        view = memoryview(data)
        written = 0
        with self.held() as descriptor:
            while written < len(view):
                written += os.pwrite(descriptor, view[written:], offset + written)

    def punch(self, offset: int, length: int) -> None:
        start, end = punchable(offset, length)
        if start < end:
            with self.held() as descriptor:
                _punch_hole(descriptor, start, end - start)

    def truncate(self, size_bytes: int) -> None:
        os.ftruncate(self._descriptor, size_bytes)
        self._size_bytes = size_bytes

    def close(self) -> None:
        with self._lock:
            if self._descriptor >= 0:
                self._closing, self._descriptor = self._descriptor, -1
            self._close_if_unused()

    def _close_if_unused(self) -> None:
        if self._closing >= 0 and not self._users:
            descriptor, self._closing = self._closing, -1
            os.close(descriptor)


def sync_all(files: Sequence[AppendFile]) -> list[OSError | None]:
    """Makes files durable at once; returns what the sync of each raised."""
    outcomes: list[OSError | None] = [None] * len(files)
    with ExitStack() as stack:
        held: dict[int, int] = {}
        for index, file in enumerate(files):
            assert isinstance(file, DirectoryAppendFile), "BUG: a file of another storage"
            try:
                held[index] = stack.enter_context(file.held())
            except OSError as error:
                outcomes[index] = error
        for index, outcome in zip(held, sync_descriptors(list(held.values())), strict=True):
            outcomes[index] = outcome
    return outcomes


class DirectorySharedFile(DirectoryAppendFile):
    """The real `SharedFile`."""

    __slots__ = ()

    def begin_turn(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        status = os.fstat(self._descriptor)
        if status.st_nlink == 0:
            self.end_turn()
            raise FileNotFoundError(errno.ENOENT, "removed since it was opened")
        self._size_bytes = status.st_size

    def end_turn(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)


class DirectoryReadFile:
    """The real `ReadFile`."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def size_bytes(self) -> int:
        return os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, length: int) -> bytes:
        return _read_at(self._descriptor, offset, length)

    def read_at_nowait(self, offset: int, length: int) -> bytes | None:
        buffer = bytearray(length)
        try:
            count = os.preadv(self._descriptor, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EOPNOTSUPP):
                return None
            raise
        # Short is either the end of the file or the end of what is in memory: only the size tells.
        if count < length and offset + count < self.size_bytes():
            return None
        return bytes(buffer) if count == length else bytes(memoryview(buffer)[:count])

    def map(self) -> Buffer:
        if self.size_bytes() == 0:
            return b""
        if sys.version_info >= (3, 13):
            # Without it the mapping keeps a duplicate of the descriptor for as long as it lives.
            return memoryview(mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ, trackfd=False))
        return memoryview(mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ))

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class MemoryReadFile(DirectoryReadFile):
    """The same in a tmpfs."""

    __slots__ = ()

    def read_at_nowait(self, offset: int, length: int) -> bytes | None:
        # A tmpfs knows no RWF_NOWAIT (EOPNOTSUPP on 6.18), and has no disk to wait for.
        return self.read_at(offset, length)


class DirectoryLockFile:
    """The real `LockFile`."""

    __slots__ = ("_descriptor", "_on_release")

    def __init__(self, descriptor: int, on_release: Callable[[], object] = bool) -> None:
        self._descriptor = descriptor
        self._on_release = on_release

    @property
    def descriptor(self) -> int:
        return self._descriptor

    def read_text(self) -> str:
        size_bytes = os.fstat(self._descriptor).st_size
        return _read_at(self._descriptor, 0, size_bytes).decode(errors="replace")

    def write_text(self, text: str) -> None:
        # Not cut first: on a full disk the old text has to stay.
        data = text.encode()
        written = os.pwrite(self._descriptor, data, 0) if data else 0
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.ftruncate(self._descriptor, len(data))

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._on_release()
            # Closing alone would not do: a process that was given the descriptor has it open too.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _read_at(descriptor: int, offset: int, length: int) -> bytes:
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def _punch_hole(descriptor: int, offset: int, length: int) -> None:
    number = _fallocate()(descriptor, _FALLOC_FL_PUNCH_HOLE | _FALLOC_FL_KEEP_SIZE, offset, length)
    # A filesystem without holes keeps the blocks: punching is a courtesy, never a promise.
    if number not in (0, errno.EOPNOTSUPP):
        raise OSError(number, os.strerror(number))


@cache
def _fallocate() -> Callable[[int, int, int, int], int]:
    # Python's os.posix_fallocate cannot punch. Imported here because most processes never punch,
    # and the import takes 3 ms.
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "fallocate64", None) or library.fallocate
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)

    def fallocate(descriptor: int, mode: int, offset: int, length: int) -> int:
        while function(descriptor, mode, offset, length) != 0:
            number = ctypes.get_errno()
            if number != errno.EINTR:
                return number
        return 0

    return fallocate
