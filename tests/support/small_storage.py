"""A simulated disk that can be full; `tests/support/small_disks.py` makes real ones."""

import errno
import os

from tests.support.memory_file import MemoryFile, os_error
from tests.support.storage import MemoryStorage


class SmallStorage(MemoryStorage):
    """A disk of so many bytes: `ENOSPC` beyond. Names take none."""

    def __init__(
        self, capacity_bytes: int, *, host_root: str | os.PathLike[str] | None = None
    ) -> None:
        super().__init__(host_root)
        self.capacity_bytes = capacity_bytes

    def free_bytes(self) -> int:
        files = (node for node in self._names.seen.values() if isinstance(node, MemoryFile))
        return self.capacity_bytes - sum(len(file.content) for file in files)

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        if data and len(data) > self.free_bytes():
            raise os_error(errno.ENOSPC, path)
