"""Several processes on one storage in memory, of which one dies while the others go on."""

import os

from pyi_fs.store.storage import LockFile
from tests.support.memory_file import MemoryFile
from tests.support.storage import Crash, CrashingStorage, MemoryStorage
from tests.support.storage import _Names as Names


class Process(CrashingStorage):
    """One process's door to a disk that others use too; it dies before its n-th changing call.

    The kernel then gives up its locks and nothing else.
    """

    def __init__(self, disk: "Disk", crash_at: int | None, root: str | os.PathLike[str]) -> None:
        super().__init__(crash_at, host_root=root)
        self._disk = disk
        self._names = disk.names
        self._lock_holders = disk.lock_holders
        self._held: list[LockFile] = []

    def lock(self, path: str, *, exclusive: bool = True, wait: bool = True) -> LockFile | None:
        taken = super().lock(path, exclusive=exclusive, wait=wait)
        if taken is not None:
            self._held.append(taken)
        return taken

    def _before(
        self, call: str, path: str, file: MemoryFile | None = None, data: bytes = b""
    ) -> None:
        try:
            super()._before(call, path, file, data)
        except Crash:
            held, self._held = self._held, []
            for lock in held:
                lock.release()
            raise


class Disk(MemoryStorage):
    """What the processes share."""

    @property
    def names(self) -> Names:
        return self._names

    @property
    def lock_holders(self) -> dict[str, list[bool]]:
        return self._lock_holders
