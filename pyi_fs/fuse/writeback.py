"""The writeback cache's other rule: before a snapshot, files open for writing are flushed.

With the cache the kernel holds written data back. `syncfs(2)` is never delivered and is no barrier
(21 of 60 cuts after it had a later write without an earlier one), so each file is fsynced by its
path; by a process that does not hold the device, since a thread of this one must not wait for its
own mount. Files that are closed are written already: `close` waits for it.
"""

import errno
import logging
import os
from pathlib import Path

import trio

from pyi_fs.fuse.handles import FileHandle
from pyi_fs.fuse.state import MountState

log = logging.getLogger(__name__)

# Paths on one command line: far below the kernel's limit with paths of PATH_MAX.
_PATHS_MAX = 250
# In words that are known.
_SYNC = (b"env", b"LC_ALL=C", b"sync", b"--data", b"--")
# What `sync` says of a disk. Anything else is about a name: one that went meanwhile is in no
# snapshot either.
_DISK_ERRORS = {
    os.strerror(number).encode(): number
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
}


class KernelFlush:
    """Has the kernel write out what it holds of files that are open for writing."""

    def __init__(self, state: MountState, mountpoint: Path) -> None:
        """Flushes files below a mountpoint."""
        self._state = state
        self._mountpoint = mountpoint

    async def __call__(self) -> None:
        """Returns when everything written before the call has arrived here.

        `OSError` if the disk did not take some of it: the kernel forgets that (fsync(2), NOTES).
        """
        paths = self.paths()
        failed = 0
        for start in range(0, len(paths), _PATHS_MAX):
            command = [*_SYNC, *paths[start : start + _PATHS_MAX]]
            done = await trio.run_process(command, check=False, capture_stderr=True, stdin=b"")
            if done.returncode:
                log.warning("flush: %s", done.stderr.decode(errors="replace").strip())
                failed = failed or _disk_error(done.stderr)
        if failed:
            raise OSError(failed, os.strerror(failed))

    def paths(self) -> list[bytes]:
        """Returns a path of every file that is open for writing and has one."""
        found = []
        for _, handles in self._state.handles.open_files():
            if any(handle.writable for handle in handles):
                path = self._path_of(handles[0])
                if path is not None:
                    found.append(path)
        return found

    def _path_of(self, handle: FileHandle) -> bytes | None:
        view = handle.view
        paths = view.tree.paths(handle.number)
        if not paths or view.is_gone:
            return None
        root = os.fsencode(self._mountpoint)
        if view.number:
            root = os.path.join(root, b".pyi", view.label.encode())
        return os.path.join(root, paths[0])


def _disk_error(complaints: bytes) -> int:
    """Returns the errno of the first complaint that is about the disk, 0 if none is."""
    for line in complaints.splitlines():
        number = _DISK_ERRORS.get(line.rpartition(b": ")[2])
        if number is not None:
            return number
    return 0
