"""How much of a store may be in memory.

The bound is of all layers that the store has there, whoever wrote them. They are counted when the
first bytes are taken and every 64 MiB; in between only what this process takes is.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pyi_fs.store import layout
from pyi_fs.store.storage import Storage

# Counting takes 2 us a file; a segment has as many bytes.
_LOOK_BYTES = 64 << 20
# A layer of less would be left again at once.
_ROOM_BYTES_MIN = 64 << 10


class MemoryBound:
    """How much of a store may be in memory, whoever puts it there; counted as it is taken."""

    def __init__(
        self, storage: Storage, free_bytes: Callable[[], int], bytes_max: int | None = None
    ) -> None:
        """`free_bytes`: what memory has room for. `bytes_max` may be changed any time."""
        self._storage = storage
        self._free_bytes = free_bytes
        self._bytes_max = default_bytes_max() if bytes_max is None else bytes_max
        self._left = 0

    @property
    def bytes_max(self) -> int:
        """Returns the bound."""
        return self._bytes_max

    @bytes_max.setter
    def bytes_max(self, value: int) -> None:
        self._bytes_max = value
        self._left = 0

    def takes(self, size_bytes: int) -> bool:
        """Counts bytes that are about to be put there; False, and nothing counted, if too many."""
        self._left -= size_bytes
        if self._left >= 0:
            return True
        left = self._room_bytes() - size_bytes
        # What others put there is seen at the next look.
        self._left = max(0, min(left, _LOOK_BYTES))
        return left >= 0

    def has_room(self) -> bool:
        """Returns whether it is worth while to begin a layer there."""
        left = self._room_bytes()
        self._left = max(0, min(left, _LOOK_BYTES))
        return left >= _ROOM_BYTES_MIN

    def _room_bytes(self) -> int:
        return min(self._bytes_max - self.used_bytes(), self._free_bytes())

    def gave_back(self, size_bytes: int) -> None:
        """Counts bytes that are free again."""
        self._left = min(self._left + size_bytes, _LOOK_BYTES)

    def used_bytes(self) -> int:
        """Returns what all layers of the store occupy in memory. O(files there)."""
        memory = self._storage.memory
        if memory is None:
            return 0
        return sum(memory.allocated_bytes(path) for path in files_of_layers(memory))


def files_of_layers(storage: Storage) -> Iterator[str]:
    """Yields the path of every file of a layer in a storage."""
    for prefix in storage.list(layout.LAYERS):
        for layer in storage.list(f"{layout.LAYERS}/{prefix}"):
            directory = f"{layout.LAYERS}/{prefix}/{layer}"
            yield from (f"{directory}/{name}" for name in storage.list(directory))


def default_bytes_max() -> int:
    """Returns a quarter of the memory that this process may use."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        # In a container that has a control group of its own; `max` is no number.
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory // 4
