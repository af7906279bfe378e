"""The locks of a workspace's branches: one writer each, and who it is.

A lock is a `flock` held exclusively; the kernel gives it up when its process dies. Its text says
who holds it.

Invariant: the file of a lock is made before its branch is opened for the first time, and while it
is the maker's turn to append to the log. So whoever has that turn and finds no file knows that the
branch is open nowhere. The file stays: removing it would let two hold the lock.
"""

import json
import os
from functools import partial

from pyi_fs.errors import BusyError
from pyi_fs.ids import BranchName, WorkspaceName
from pyi_fs.store import layout
from pyi_fs.store.reserve import with_reserve
from pyi_fs.store.storage import LockFile, Storage

# Asking who holds a branch takes its lock for some microseconds, shared; nobody is asked after so
# often that this many tries in a row meet somebody asking.
_TRIES_MAX = 100


class BranchLocks:
    """The locks one process holds of a workspace's branches."""

    def __init__(self, storage: Storage, workspace: WorkspaceName) -> None:
        """Holds none."""
        self._storage = storage
        self._workspace = workspace
        self._held: dict[BranchName, LockFile] = {}

    def exists(self, name: BranchName) -> bool:
        """Returns whether a branch was ever opened."""
        return self._storage.exists(layout.branch_lock(self._workspace, name))

    def make(self, name: BranchName) -> None:
        """Makes the file of a lock; it is the caller's turn to append to the log."""
        path = layout.branch_lock(self._workspace, name)
        try:
            lock = self._storage.lock(path, exclusive=False, wait=False)
        except FileNotFoundError:
            # A power loss while the workspace was made may leave its log without their directory.
            self._storage.make_directory(path.rpartition("/")[0], parents=True)
            lock = self._storage.lock(path, exclusive=False, wait=False)
        if lock is not None:
            lock.release()

    def take(self, name: BranchName, holder: str | None) -> None:
        """Takes a branch's lock and writes down who has it; with None, for an instant, it does not.

        `BusyError` naming who has it already.
        """
        path = layout.branch_lock(self._workspace, name)
        for _ in range(_TRIES_MAX):
            lock = self._storage.lock(path, wait=False)
            if lock is not None:
                if holder is not None:
                    text = json.dumps({"pid": os.getpid(), "holder": holder}) + "\n"
                    # Dropping a branch takes its lock; so does who opens one to remove files.
                    with_reserve(self._storage, partial(lock.write_text, text))
                self._held[name] = lock
                return
            other = self.holder(name)
            if other is not None:
                break
        else:
            other = "another process"
        raise BusyError(f"branch '{name}' of '{self._workspace}' is in use: {other}")

    def release(self, name: BranchName) -> None:
        """Gives a lock up."""
        self._held.pop(name).release()

    def holder(self, name: BranchName) -> str | None:
        """Returns who holds a branch, or None.

        Does not keep two processes from asking, nor, for long, one from taking.
        """
        if not self.exists(name):
            return None
        path = layout.branch_lock(self._workspace, name)
        lock = self._storage.lock(path, exclusive=False, wait=False)
        if lock is not None:
            lock.release()
            return None
        process = self._process(path)
        return "another process" if process is None else f"{process[1]} (process {process[0]})"

    def holding_process(self, name: BranchName) -> int | None:
        """Returns the number of the process that holds a branch, None if none is known to."""
        path = layout.branch_lock(self._workspace, name)
        process = self._process(path) if self.holder(name) is not None else None
        return None if process is None else process[0]

    def _process(self, path: str) -> tuple[int, str] | None:
        try:
            fields = json.loads(self._storage.read(path))
            return int(fields["pid"]), fields["holder"] or "a program"
        except (OSError, ValueError, KeyError, TypeError):
            return None
