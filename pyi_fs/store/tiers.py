"""A storage of two tiers: layers in memory before layers on disk, everything else on disk.

A path of a layer belongs to memory while memory has that layer's directory, else to disk. So a
layer that is copied to disk (`store/promotion.py`) changes its place at the moment in which its
directory leaves memory, and a copy that is not finished is hidden until then.

Invariants:
- A layer's directory is made in one tier; only promotion makes it in the other.
- Removing a layer takes it from both, the hidden copy first: it must never come to light.
- A path that leaves memory between a look and a call is looked for once more, on disk.

Source: `docs/decisions/0004-ephemeral-branches.md`.
"""

import builtins
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from pyi_fs.ids import Buffer
from pyi_fs.store import layout
from pyi_fs.store.storage import AppendFile, LockFile, ReadFile, SharedFile, Storage

_T = TypeVar("_T")
_PREFIX = layout.LAYERS + "/"
# `layers/xx/LAYER`
_LAYER_PARTS = 3


class TieredStorage:
    """Memory over disk. `find_memory(create)` returns the storage in memory, or None."""

    def __init__(self, disk: Storage, find_memory: Callable[[bool], Storage | None]) -> None:
        """Looks for nothing yet."""
        self._disk = disk
        self._find_memory = find_memory

    @property
    def disk(self) -> Storage:
        """Returns the tier that power loss leaves."""
        return self._disk

    @property
    def memory(self) -> Storage | None:
        """Returns the tier that outlives processes only, or None if nothing is in it."""
        return self._find_memory(False)

    def make_volatile_directory(self, path: str) -> bool:
        """Makes a layer's directory in memory; see `Storage.make_volatile_directory`."""
        memory = self._find_memory(True)
        if memory is None:
            return False
        if self._disk.exists(path):
            raise FileExistsError(path)
        memory.make_directory(path.rpartition("/")[0], parents=True)
        memory.make_directory(path)
        return True

    def open_append(self, path: str, *, create: bool = False) -> AppendFile:
        """Opens a file for appending; see `Storage.open_append`."""
        return self._at(path, lambda tier: tier.open_append(path, create=create))

    def open_shared(self, path: str) -> SharedFile:
        """Opens a file for appending in turns; see `Storage.open_shared`."""
        return self._at(path, lambda tier: tier.open_shared(path))

    def open_read(self, path: str) -> ReadFile:
        """Opens a file for reading; see `Storage.open_read`."""
        return self._at(path, lambda tier: tier.open_read(path))

    def read(self, path: str) -> bytes:
        """Returns a whole small file."""
        return self._at(path, lambda tier: tier.read(path))

    def write_atomic(self, path: str, parts: Sequence[Buffer], *, durable: bool = True) -> None:
        """Replaces a file where its layer is; see `Storage.write_atomic`."""
        self._at(path, lambda tier: tier.write_atomic(path, parts, durable=durable))

    def sync_files(self, files: Sequence[AppendFile]) -> builtins.list[OSError | None]:
        """Makes files durable, at once; see `Storage.sync_files`."""
        return self._disk.sync_files(files)

    def rename(self, old: str, new: str) -> None:
        """Renames a file where its layer is, or a layer's directory wherever there is one."""
        if not _is_of_layer(old):
            self._at(old, lambda tier: tier.rename(old, new))
            return
        memory = self.memory
        tiers = [tier for tier in (self._disk, memory) if tier is not None and tier.exists(old)]
        for tier in tiers or [self._disk]:
            tier.rename(old, new)

    def remove(self, path: str) -> None:
        """Removes a file from both tiers."""
        self._in_both(path, lambda tier: tier.remove(path))

    def make_directory(self, path: str, *, parents: bool = False) -> None:
        """Makes a directory on disk; `FileExistsError` also for a layer that is in memory."""
        if not parents and _is_of_layer(path) and self._is_in_memory(path):
            raise FileExistsError(path)
        self._disk.make_directory(path, parents=parents)

    def remove_directory(self, path: str) -> None:
        """Removes an empty directory from both tiers."""
        self._in_both(path, lambda tier: tier.remove_directory(path))

    def sync_directory(self, path: str) -> None:
        """Returns when the names in a directory are durable; those in memory never are."""
        if not self._is_in_memory(path):
            self._disk.sync_directory(path)

    def list(self, path: str) -> builtins.list[str]:
        """Returns the names in a directory, sorted: above layers those of both tiers."""
        if path.count("/") < _LAYER_PARTS - 1:
            names = set(self._disk.list(path))
            memory = self.memory if path.partition("/")[0] == layout.LAYERS else None
            return sorted(names.union(memory.list(path)) if memory is not None else names)
        return self._at(path, lambda tier: tier.list(path))

    def exists(self, path: str) -> bool:
        """Returns whether something has that name."""
        return self._at(path, lambda tier: tier.exists(path))

    def size_bytes(self, path: str) -> int | None:
        """Returns a file's size, or None if it is not there."""
        return self._at(path, lambda tier: tier.size_bytes(path))

    def allocated_bytes(self, path: str) -> int:
        """Returns the bytes of disk or memory a file occupies."""
        return self._at(path, lambda tier: tier.allocated_bytes(path))

    def touch(self, path: str) -> None:
        """Notes that a file is used now."""
        self._at(path, lambda tier: tier.touch(path))

    def touched_ns(self, path: str) -> int | None:
        """Returns when a file was last written or touched, or None if it is not there."""
        return self._at(path, lambda tier: tier.touched_ns(path))

    def lock(self, path: str, *, exclusive: bool = True, wait: bool = True) -> LockFile | None:
        """Takes the `flock` of a file; see `Storage.lock`."""
        while True:
            is_in_memory = self._is_in_memory(path)
            lock = self._at(path, lambda tier: tier.lock(path, exclusive=exclusive, wait=wait))
            # Who waited for a file in memory may hold one that has left it: that keeps nobody out.
            if lock is None or is_in_memory == self._is_in_memory(path):
                return lock
            lock.release()

    def is_in_memory(self, path: str) -> bool:
        """Returns whether reading a file waits for no disk."""
        return self._at(path, lambda tier: tier.is_in_memory(path))

    def free_bytes(self) -> int:
        """Returns how much more the disk takes of this user."""
        return self._disk.free_bytes()

    def host_path(self, path: str) -> str:
        """Returns the path on the host."""
        return self._at(path, lambda tier: tier.host_path(path))

    def _is_in_memory(self, path: str) -> bool:
        if not path.startswith(_PREFIX):
            return False
        memory = self.memory
        return memory is not None and memory.exists(_layer_directory(path))

    def _at(self, path: str, call: Callable[[Storage], _T]) -> _T:
        """Makes a call where a path is."""
        memory = self.memory if path.startswith(_PREFIX) else None
        if memory is None or not memory.exists(_layer_directory(path)):
            return call(self._disk)
        try:
            found = call(memory)
        except FileNotFoundError:
            if memory.exists(_layer_directory(path)):
                raise
            return call(self._disk)
        if not found and not memory.exists(_layer_directory(path)):
            return call(self._disk)
        return found

    def _in_both(self, path: str, call: Callable[[Storage], None]) -> None:
        call(self._disk)
        memory = self.memory if path.startswith(_PREFIX) else None
        if memory is not None:
            with suppress(FileNotFoundError):
                call(memory)


def _layer_directory(path: str) -> str:
    return "/".join(path.split("/", _LAYER_PARTS)[:_LAYER_PARTS])


def _is_of_layer(path: str) -> bool:
    """Returns whether a path is that of a layer's directory."""
    return path.startswith(_PREFIX) and path.count("/") == _LAYER_PARTS - 1
