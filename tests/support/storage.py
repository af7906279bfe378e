"""Storages for tests: in memory, crashing, failing. All pass the conformance suite of the real one.

`MemoryStorage` keeps beside what a running machine sees also what a disk has been promised: the
content of each file at its last sync and the names in each directory at its last sync. From the two
it makes the storage a machine would find after a kill (`after_kill`) or a power loss
(`after_power_loss`), the latter as hard on its user as a legal disk may be, chosen by a seed.

Every call that changes something passes through `MemoryStorage._before`, where the crashing and the
failing one step in. Single-threaded; a lock that would wait for ever is an error.
"""

import builtins
import copy
import errno
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from pyi_fs.ids import Buffer
from pyi_fs.store.storage import (
    LOOKED_THROUGH_BYTES_MAX,
    PUNCH_BLOCK_BYTES,
    TEMPORARY_SUFFIX,
    AppendFile,
    LockFile,
    ReadFile,
    SharedFile,
    write_atomically,
)
from tests.support.memory_file import (
    MemoryAppendFile,
    MemoryFile,
    MemoryLockFile,
    MemoryReadFile,
    MemorySharedFile,
    os_error,
    sync_outcome,
)


class Crash(BaseException):
    """The process died here; not an `Exception`, so nothing that handles errors survives it."""


_DIRECTORY = "directory"
_Node = MemoryFile | str


@dataclass
class _Names:
    """What a running machine sees, what the disk has been promised, and the difference."""

    seen: dict[str, _Node] = field(default_factory=lambda: {"": _DIRECTORY})
    durable: dict[str, _Node] = field(default_factory=lambda: {"": _DIRECTORY})
    unsynced: builtins.list[dict[str, _Node | None]] = field(default_factory=builtins.list)
    """Each is one change that happens as a whole; None means absent afterwards."""


class MemoryStorage:
    """A storage in memory; `host_root` is where `host_path` points, for a library's own files."""

    def __init__(
        self, host_root: str | os.PathLike[str] | None = None, *, names: _Names | None = None
    ) -> None:
        self._host_root = None if host_root is None else os.fspath(host_root)
        self._names = _Names() if names is None else names
        self._lock_holders: dict[str, builtins.list[bool]] = {}
        self._touched: dict[str, int] = {}
        self._temporary_names = count()

    memory = None

    @property
    def disk(self) -> "MemoryStorage":
        return self

    def make_volatile_directory(self, path: str) -> bool:
        return False

    def after_kill(self) -> "MemoryStorage":
        """Returns what the next process finds after a kill: all that was written, synced or not."""
        return MemoryStorage(self._host_root, names=copy.deepcopy(self._names))

    def after_power_loss(self, seed: int, *, holes: bool = False) -> "MemoryStorage":
        """Returns what may be found after a power loss, one possibility for each seed.

        What was not synced is kept or lost: changes of names each for itself (a rename as a whole),
        punches and truncates too, appended bytes as a prefix, perhaps with zeros at the end of the
        last block. With `holes`, also zeros in the midst of unsynced bytes (as XFS may leave).
        """
        chance = random.Random(seed)
        names: dict[str, _Node | None] = dict(self._names.durable)
        share = chance.choice((0.0, 0.5, 1.0))
        for change in self._names.unsynced:
            if chance.random() < share:
                names.update(change)
        seen: dict[str, _Node] = {}
        for path in sorted(names, key=lambda path: (path != "", path.count("/"), path)):
            node = names[path]
            if node is None or (path != "" and seen.get(_parent(path)) != _DIRECTORY):
                continue
            if isinstance(node, MemoryFile):
                node = node.after_power_loss(chance, holes)
            seen[path] = node
        return MemoryStorage(self._host_root, names=_Names(seen, dict(seen)))

    def open_append(self, path: str, *, create: bool = False) -> AppendFile:
        self._before("create" if create else "open", path)
        if create:
            self._make(path, MemoryFile())
        return MemoryAppendFile(self._before, path, self._file(path))

    def open_shared(self, path: str) -> SharedFile:
        self._before("open", path)
        file = self._file(path)

        def take_lock() -> MemoryLockFile:
            if self._names.seen.get(path) is not file:
                raise os_error(errno.ENOENT, path)
            lock = self.lock(path)
            assert isinstance(lock, MemoryLockFile)
            return lock

        return MemorySharedFile(self._before, path, file, take_lock)

    def open_read(self, path: str) -> ReadFile:
        self._before("open", path)
        return MemoryReadFile(self._before, path, self._file(path))

    def read(self, path: str) -> bytes:
        self._before("read", path)
        return bytes(self._file(path).content)

    def write_atomic(self, path: str, parts: Sequence[Buffer], *, durable: bool = True) -> None:
        used = (f"{path}.{number}{TEMPORARY_SUFFIX}" for number in self._temporary_names)
        temporary = next(name for name in used if name not in self._names.seen)
        write_atomically(self, path, parts, temporary=temporary, durable=durable)

    def sync_files(self, files: Sequence[AppendFile]) -> builtins.list[OSError | None]:
        # Last first: nobody may count on an order, and the first is what the others name.
        return [sync_outcome(file) for file in reversed(files)][::-1]

    def rename(self, old: str, new: str) -> None:
        self._before("rename", old)
        if self._names.seen.get(old) == _DIRECTORY:
            self._rename_directory(old, new)
            return
        file = self._file(old)
        self._require_directory(_parent(new), new)
        if self._names.seen.get(new) == _DIRECTORY:
            raise os_error(errno.EISDIR, new)
        self._change_names({old: None, new: file})

    def _rename_directory(self, old: str, new: str) -> None:
        self._require_directory(_parent(new), new)
        if new in self._names.seen:
            raise os_error(errno.EEXIST, new)
        change: dict[str, _Node | None] = {}
        for name, node in self._names.seen.items():
            if name == old or name.startswith(old + "/"):
                change[new + name.removeprefix(old)] = node
                change[name] = None
        self._change_names(change)

    def remove(self, path: str) -> None:
        self._before("remove", path)
        if path in self._names.seen:
            self._file(path)
            self._change_names({path: None})

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        if not parents:
            self._before("make_directory", path)
            self._make(path, _DIRECTORY)
            return
        names = path.split("/")
        for depth in range(1, len(names) + 1):
            name = "/".join(names[:depth])
            if name not in self._names.seen:
                self._before("make_directory", name)
                self._make(name, _DIRECTORY)

    def remove_directory(self, path: str) -> None:
        self._before("remove_directory", path)
        if path not in self._names.seen:
            return
        self._require_directory(path, path)
        if self.list(path):
            raise os_error(errno.ENOTEMPTY, path)
        self._change_names({path: None})

    def sync_directory(self, path: str) -> None:
        self._before("sync_directory", path)
        self._require_directory(path, path)
        unsynced: list[dict[str, _Node | None]] = []
        for change in self._names.unsynced:
            if not any(name != "" and _parent(name) == path for name in change):
                unsynced.append(change)
                continue
            # Durable as a whole, and whatever happened earlier to the same names is history.
            for earlier in unsynced:
                for name in change:
                    earlier.pop(name, None)
            for name, node in change.items():
                if node is None:
                    self._names.durable.pop(name, None)
                else:
                    self._names.durable[name] = node
        self._names.unsynced = [change for change in unsynced if change]

    def list(self, path: str) -> builtins.list[str]:
        self._before("read", path)
        if path not in self._names.seen:
            return []
        self._require_directory(path, path)
        return sorted(
            name.rpartition("/")[2] for name in self._names.seen if name and _parent(name) == path
        )

    def exists(self, path: str) -> bool:
        self._before("read", path)
        return path in self._names.seen

    def size_bytes(self, path: str) -> int | None:
        self._before("read", path)
        return len(self._file(path).content) if path in self._names.seen else None

    def allocated_bytes(self, path: str) -> int:
        self._before("read", path)
        if path not in self._names.seen:
            return 0
        if self._names.seen[path] == _DIRECTORY:
            return PUNCH_BLOCK_BYTES
        file = self._file(path)
        blocks = -(-len(file.content) // PUNCH_BLOCK_BYTES)
        return (blocks - len(file.hole_blocks)) * PUNCH_BLOCK_BYTES

    def touch(self, path: str) -> None:
        if path in self._names.seen:
            self._touched[path] = time.time_ns()

    def touched_ns(self, path: str) -> int | None:
        return self._touched.get(path, 0) if path in self._names.seen else None

    def is_in_memory(self, path: str) -> bool:
        return path not in self._names.seen or len(self._file(path).content) <= (
            LOOKED_THROUGH_BYTES_MAX
        )

    def free_bytes(self) -> int:
        return 1 << 40

    def lock(self, path: str, *, exclusive: bool = True, wait: bool = True) -> LockFile | None:
        self._before("lock", path)
        if path not in self._names.seen:
            self._make(path, MemoryFile())
        holders = self._lock_holders.setdefault(path, [])
        if any(holders) or (exclusive and holders):
            if wait:
                raise RuntimeError(f"BUG: waits for ever for the lock {path}")
            return None
        holders.append(exclusive)
        return MemoryLockFile(
            self._before, path, self._file(path), lambda: holders.remove(exclusive)
        )

    def host_path(self, path: str) -> str:
        if self._host_root is None:
            raise RuntimeError("this storage was made without a directory of the host")
        return f"{self._host_root}/{path}".rstrip("/")

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        """Called before each call takes effect; `file` and `data` come with an append."""

    def _file(self, path: str) -> MemoryFile:
        node = self._names.seen.get(path)
        if node is None:
            raise os_error(errno.ENOENT, path)
        if not isinstance(node, MemoryFile):
            raise os_error(errno.EISDIR, path)
        return node

    def _make(self, path: str, node: _Node) -> None:
        self._require_directory(_parent(path), path)
        if path in self._names.seen:
            raise os_error(errno.EEXIST, path)
        self._change_names({path: node})

    def _require_directory(self, directory: str, path: str) -> None:
        node = self._names.seen.get(directory)
        if node is None:
            raise os_error(errno.ENOENT, path)
        if node != _DIRECTORY:
            raise os_error(errno.ENOTDIR, path)

    def _change_names(self, change: dict[str, _Node | None]) -> None:
        for name, node in change.items():
            if node is None:
                del self._names.seen[name]
            else:
                self._names.seen[name] = node
        self._names.unsynced.append(change)


CHANGING_CALLS = frozenset(
    {
        *("create", "rename", "remove", "make_directory", "remove_directory", "sync_directory"),
        *("lock", "write_text", "append", "extend", "sync", "write_again", "punch", "truncate"),
    }
)
"""The calls that crashing and failing storages count."""


class CrashingStorage(MemoryStorage):
    """Dies before its n-th changing call (counted from 0), in the midst of it if it is an append.

    With `crash_at=None` it only counts, to learn how many calls a scenario has. Once dead, every
    call raises `Crash`, so no clean-up reaches the disk.
    """

    def __init__(
        self,
        crash_at: int | None,
        *,
        seed: int = 0,
        host_root: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(host_root)
        self.calls: builtins.list[tuple[str, str]] = []
        self._crash_at = crash_at
        self._chance = random.Random(seed)
        self._is_dead = False

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        if self._is_dead:
            raise Crash(f"{call} {path} after the crash")
        if call not in CHANGING_CALLS:
            return
        if len(self.calls) == self._crash_at:
            self._is_dead = True
            if file is not None and data:
                # A kill in the midst of a long write leaves the pages copied so far.
                written = self._chance.randrange(len(data))
                file.change("append", len(file.content), data[:written])
            raise Crash(f"call {self._crash_at}: {call} {path}")
        self.calls.append((call, path))


class FailingStorage(MemoryStorage):
    """Raises `OSError(error)` at its n-th changing call (counted from 0) and `times - 1` more.

    A sync that fails drops what it was about, as Linux may: it can be read until the power goes,
    and a later sync does not help it.
    """

    def __init__(
        self,
        fail_at: int | None,
        *,
        error: int = errno.EIO,
        times: int = 1,
        host_root: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(host_root)
        self.calls: builtins.list[tuple[str, str]] = []
        self._failing = range(0) if fail_at is None else range(fail_at, fail_at + times)
        self._errno = error

    def fail_after(self, count: int) -> None:
        """Has the changing call fail that comes after so many more.

        What came before need not be the same each time: of two layers whose random numbers begin
        alike the second needs no directory.
        """
        self._failing = range(len(self.calls) + count, len(self.calls) + count + 1)

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        if call not in CHANGING_CALLS:
            return
        self.calls.append((call, path))
        if len(self.calls) - 1 in self._failing:
            if call == "sync":
                self._file(path).lose()
            raise os_error(self._errno, path)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
