"""Plain files: whole files as files of the store, for the kernel to read; shared by many processes.

A cache. Each is made once, under a temporary name, and never changed; it may be removed at any
time, and who has it open reads on. What is in one is said by its name (`format/plain.py`).

Invariants:
- A name that is no temporary one stands for whole bytes, durable before the name was given.
- Who makes a file holds the `flock` of its directory's `lock` from before it reads the first byte
  of what it copies until the file has its name. So who holds it finds no writer, and what lies
  there under a temporary name is nobody's.
- `clear` leaves nothing that was copied from before the call.
"""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from blake3 import blake3

from pyi_fs import limits
from pyi_fs.format.plain import parsed_name, plain_name
from pyi_fs.ids import Buffer, ContentDigest, PlainKey
from pyi_fs.store.storage import TEMPORARY_SUFFIX, Storage

PLAIN = "plain"
LOCK = "lock"
_READ_BYTES = 1 << 20


class PlainFile(NamedTuple):
    """A plain file, by its name."""

    key: PlainKey
    content: ContentDigest

    @property
    def path(self) -> str:
        """Returns where it is in the store."""
        return f"{_directory(self.key)}/{plain_name(self.key, self.content)}"


def _directory(key: PlainKey) -> str:
    return f"{PLAIN}/{key.hex()[:2]}"


def list_plain(storage: Storage) -> Iterator[PlainFile]:
    """Yields all plain files, in the order of their names; other names are passed over."""
    for prefix in storage.list(PLAIN):
        if len(prefix) != 2:
            continue
        # A file in the place of a directory.
        with suppress(NotADirectoryError):
            for name in storage.list(f"{PLAIN}/{prefix}"):
                found = parsed_name(name)
                if found is not None and name.startswith(prefix):
                    yield PlainFile(*found)


class PlainFiles:
    """A process's way to the plain files of its store. Any thread may use it."""

    def __init__(self, storage: Storage) -> None:
        """Touches nothing."""
        self._storage = storage

    def find(self, key: PlainKey) -> PlainFile | None:
        """Returns the plain file of that key, or None. What is in it was not looked at."""
        start = key.hex() + "-"
        for name in self._storage.list(_directory(key)):
            found = parsed_name(name) if name.startswith(start) else None
            if found is not None:
                return PlainFile(*found)
        return None

    @contextmanager
    def alone(self, key: PlainKey) -> Iterator[None]:
        """Keeps everybody else from making the file of a key while the body runs. BLOCKS.

        What somebody else made is there then; what somebody who died left is removed.
        """
        directory = _directory(key)
        self._storage.make_directory(directory, parents=True)
        lock = self._storage.lock(f"{directory}/{LOCK}")
        assert lock is not None, "BUG: waited and did not get the lock"
        try:
            for name in self._storage.list(directory):
                if name.endswith(TEMPORARY_SUFFIX):
                    self._storage.remove(f"{directory}/{name}")
            yield
        finally:
            lock.release()

    def make(self, key: PlainKey, parts: Iterable[Buffer]) -> PlainFile:
        """Makes the file of a key from its bytes; the caller is `alone` with it.

        `OSError`, and what reading the parts raises: then there is no file.
        """
        temporary = f"{_directory(key)}/{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        digest = blake3()
        file = self._storage.open_append(temporary, create=True)
        try:
            try:
                for part in parts:
                    file.append(part)
                    digest.update(part)
                # Else a power loss could leave the name without the bytes.
                file.sync()
            finally:
                file.close()
            made = PlainFile(key, ContentDigest(digest.digest()))
            self._storage.rename(temporary, made.path)
        except Exception:
            with suppress(OSError):
                self._storage.remove(temporary)
            raise
        return made

    def is_whole(self, file: PlainFile, size_bytes: int | None = None) -> bool:
        """Returns whether a file has the bytes that its name says; reads all of them.

        `size_bytes`: how many there should be. `FileNotFoundError`, `OSError`.
        """
        reading = self._storage.open_read(file.path)
        try:
            found_bytes = reading.size_bytes()
            # Larger ones are never made; reading a terabyte of nothing takes an hour.
            if found_bytes > limits.PLAIN_FILE_BYTES_MAX or size_bytes not in (None, found_bytes):
                return False
            digest, offset = blake3(), 0
            while part := reading.read_at(offset, _READ_BYTES):
                digest.update(part)
                offset += len(part)
        finally:
            reading.close()
        return digest.digest() == file.content

    def clear(self) -> int:
        """Removes all plain files, durably; returns how many there were. BLOCKS for who makes one.

        What is copied from the store afterwards, by whomever, is read from the store of then.
        """
        count = 0
        for prefix in self._storage.list(PLAIN):
            directory = f"{PLAIN}/{prefix}"
            try:
                lock = self._storage.lock(f"{directory}/{LOCK}")
            except NotADirectoryError:
                self._storage.remove(directory)
                continue
            assert lock is not None, "BUG: waited and did not get the lock"
            try:
                for name in self._storage.list(directory):
                    if name != LOCK:
                        self._storage.remove(f"{directory}/{name}")
                        count += 1
                self._storage.sync_directory(directory)
            finally:
                lock.release()
        return count

    def remove_abandoned(self) -> None:
        """Removes what processes that died while they made a file have left."""
        for prefix in self._storage.list(PLAIN):
            directory = f"{PLAIN}/{prefix}"
            with suppress(NotADirectoryError):
                names = self._storage.list(directory)
                temporary = [name for name in names if name.endswith(TEMPORARY_SUFFIX)]
                lock = self._storage.lock(f"{directory}/{LOCK}", wait=False) if temporary else None
                if lock is None:
                    continue
                for name in temporary:
                    self._storage.remove(f"{directory}/{name}")
                lock.release()
