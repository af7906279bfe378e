"""The only door to the disk: every file of a store is written, renamed and removed through here.

Paths are `str`, relative to the store, separated by `/`; `""` is the store itself. `Storage` is the
interface; `directory_storage.py` has the real one, `tests/support/storage.py` an in-memory, a
crashing and a failing one that pass the same conformance suite.

Invariants:
- A file opened with `open_append` is only ever written at its end, or has ranges punched.
- Nothing is durable before `sync` of the file *and*, for a new name, `sync_directory` of its
  directory.
- `OSError` passes through unchanged: `ENOSPC` and `EDQUOT` are for the caller.
- What is no regular file, or behind a link, is not used: `ForeignFileError`.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from pyi_fs.ids import Buffer

PUNCH_BLOCK_BYTES = 4096
"""Holes are punched in whole blocks: zeroing the edges of others is a write that frees nothing."""
LOOKED_THROUGH_BYTES_MAX = 64 << 20
TEMPORARY_SUFFIX = ".tmp"
"""Ends every name that `write_atomic` may leave behind in a crash; such a file means nothing."""


class AppendFile(Protocol):
    """A file open for appending by its one writer, and for reading."""

    @property
    def size_bytes(self) -> int:
        """Returns the end of the file as this writer knows it: where the next append goes."""

    def append(self, *parts: Buffer) -> int:
        """Writes the parts at the end, in one system call where it can; returns the first's offset.

        All or nothing for the caller: after an error the file is cut back to where it was and the
        error is raised. Survives the death of this process; not power loss.
        """

    def extend(self, length: int) -> None:
        """Appends zeros that take up room on the disk, if it can without writing them.

        All or nothing, as `append`.
        """

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns up to `length` bytes from `offset`; fewer only at the end of the file."""

    def sync(self) -> None:
        """Returns when all appended bytes are durable (`fdatasync`); any thread may call it."""

    def write_again(self, offset: int, data: Buffer) -> None:
        """Writes bytes once more where they are, so that the next `sync` is about them again.

        After a `sync` that failed the kernel may hold pages for clean that no disk has (fsync(2),
        NOTES): another `sync` would then succeed and prove nothing.
        """

    def punch(self, offset: int, length: int) -> None:
        """Gives back the blocks wholly inside `[offset, offset + length)`.

        They read as zeros afterwards, or as before on a filesystem that has no holes.
        """

    def truncate(self, size_bytes: int) -> None:
        """Cuts the file to `size_bytes` (recovery of a torn tail)."""

    def close(self) -> None:
        """Closes the descriptor; syncs nothing."""


class ReadFile(Protocol):
    """A file open for reading."""

    def size_bytes(self) -> int:
        """Returns the file's size now (somebody else may be appending)."""

    def read_at(self, offset: int, length: int) -> bytes:
        """Returns up to `length` bytes from `offset`; fewer only at the end of the file."""

    def read_at_nowait(self, offset: int, length: int) -> bytes | None:
        """Returns what `read_at` would if that waits for no disk (`RWF_NOWAIT`), else None."""

    def map(self) -> Buffer:
        """Returns the whole file mapped read-only and shared; stays valid after `close`."""

    def close(self) -> None:
        """Closes the descriptor."""


class SharedFile(AppendFile, Protocol):
    """A file that several processes append to, one at a time: each in its turn."""

    def begin_turn(self) -> None:
        """Takes the file's `flock`, waiting for it; from now on `size_bytes` is its size.

        `FileNotFoundError` if the file was removed since it was opened; then it is nobody's turn.
        """

    def end_turn(self) -> None:
        """Gives the `flock` up; another process may append."""


class LockFile(Protocol):
    """A held `flock`; the kernel gives it up when the process dies."""

    def read_text(self) -> str:
        """Returns the text of the lock file (who holds it)."""

    def write_text(self, text: str) -> None:
        """Replaces the text of the lock file."""

    def release(self) -> None:
        """Gives the lock up and closes the file; the file stays."""


class Storage(Protocol):
    """A directory that holds a store."""

    @property
    def disk(self) -> "Storage":
        """Returns the part that power loss leaves: itself, but for a storage of two tiers."""

    @property
    def memory(self) -> "Storage | None":
        """Returns the part that only outlives processes, or None if nothing is there."""

    def make_volatile_directory(self, path: str) -> bool:
        """Makes the directory of a layer in memory; False if nothing can be made there.

        `FileExistsError` if it is there, in memory or on disk. `OSError` if memory is full.
        """

    def open_append(self, path: str, *, create: bool = False) -> AppendFile:
        """Opens a file for appending, which has to exist.

        With `create` it must not exist (`FileExistsError`) and is made with mode 0600.
        """

    def open_shared(self, path: str) -> SharedFile:
        """Opens a file, which has to exist, for appending in turns with other processes."""

    def open_read(self, path: str) -> ReadFile:
        """Opens a file for reading; `FileNotFoundError` if there is none."""

    def read(self, path: str) -> bytes:
        """Returns a whole file; `CorruptError` if it has more than `WHOLE_FILE_BYTES_MAX`."""

    def write_atomic(self, path: str, parts: Sequence[Buffer], *, durable: bool = True) -> None:
        """Makes `path` hold the parts: temporary name, write, sync, rename, sync of the directory.

        A reader sees the old or the new content, never a mix. With `durable=False` the two syncs
        are left out.
        """

    def sync_files(self, files: Sequence[AppendFile]) -> list[OSError | None]:
        """Makes files durable as `sync` of each does, in no order; returns what each raised.

        At once where the kernel can. BLOCKS until all are done.
        """

    def rename(self, old: str, new: str) -> None:
        """Renames a file, replacing `new`; durable after `sync_directory`."""

    def remove(self, path: str) -> None:
        """Removes a file; one that is not there is no error (removal is repeated after a crash)."""

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        """Makes a directory, mode 0700; `FileExistsError` if it is there, unless `parents`."""

    def remove_directory(self, path: str) -> None:
        """Removes an empty directory; one that is not there is no error."""

    def sync_directory(self, path: str) -> None:
        """Returns when the names in a directory are durable."""

    def list(self, path: str) -> list[str]:
        """Returns the names in a directory, sorted; an absent directory is empty."""

    def exists(self, path: str) -> bool:
        """Returns whether something has that name."""

    def size_bytes(self, path: str) -> int | None:
        """Returns a file's size, or None if it is not there."""

    def allocated_bytes(self, path: str) -> int:
        """Returns the bytes of disk a file occupies, holes not counted; 0 if it is not there."""

    def touch(self, path: str) -> None:
        """Notes that a file is used now; one that is not there is no error. Never durable."""

    def touched_ns(self, path: str) -> int | None:
        """Returns when a file was last written or touched, or None if it is not there."""

    def is_in_memory(self, path: str) -> bool:
        """Returns whether all of a file is in the kernel's memory: reading it waits for no disk.

        True also of one that is not there. If False, the kernel begins to read it.

        Such a file stays open for as long as this process lives (`store/residency.py`). Looking
        takes some 25 us a mebibyte, so a file of more than `LOOKED_THROUGH_BYTES_MAX` is
        not looked through: False.
        """

    def free_bytes(self) -> int:
        """Returns how much more the disk takes of this user."""

    def lock(self, path: str, *, exclusive: bool = True, wait: bool = True) -> LockFile | None:
        """Takes the `flock` of a file, made if missing; None if it is held and `wait` is false."""

    def host_path(self, path: str) -> str:
        """Returns the path for other libraries (SQLite) and for messages.

        `ForeignFileError` if they would be led elsewhere by it.
        """


def write_atomically(
    storage: Storage, path: str, parts: Sequence[Buffer], *, temporary: str, durable: bool
) -> None:
    """Does `Storage.write_atomic` in terms of a storage's other calls.

    `temporary` is a free name in the directory of `path`. Every implementation uses this function,
    so a crash between two of its steps can be tested with the fakes.
    """
    file = storage.open_append(temporary, create=True)
    try:
        try:
            file.append(*parts)
            if durable:
                file.sync()
        finally:
            file.close()
        storage.rename(temporary, path)
    except OSError:
        with suppress(OSError):
            storage.remove(temporary)
        raise
    if durable:
        storage.sync_directory(path.rpartition("/")[0])


def punchable(offset: int, length: int) -> tuple[int, int]:
    """Returns the half-open range of whole blocks inside a range; it may be empty."""
    start = -(-offset // PUNCH_BLOCK_BYTES) * PUNCH_BLOCK_BYTES
    end = (offset + length) // PUNCH_BLOCK_BYTES * PUNCH_BLOCK_BYTES
    return start, max(start, end)
