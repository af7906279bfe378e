"""The mounts of a store that are being served: one file each in `mounts/`, locked by its process.

The kernel gives the lock up when the process ends, however it ends; who lists takes away what
nobody holds. Mounts of snapshots hold no branch, so the locks of branches do not tell of them.
"""

import errno
import fcntl
import json
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Protocol

from pyi_fs import __version__
from pyi_fs.engine.branch_locks import BranchLocks
from pyi_fs.ids import BranchName, WorkspaceName
from pyi_fs.store import layout
from pyi_fs.store.directory_files import DirectoryLockFile
from pyi_fs.store.storage import LockFile, Storage

DIRECTORY = "mounts"
_EXIT_SECONDS_MAX = 10.0
# A server takes ten times as long to start.
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class LiveMount:
    """A mount and its process. `at`: the snapshot it shows, None for a branch.

    `writeback`: the kernel holds back what is written to it. `notes_version`: how it notes what a
    successor needs, 0 if it has no holder; `program`: the version of what serves it; `refusal`: why
    it has not made room for another one, when that was asked for last.
    """

    pid: int
    workspace: str
    branch: str | None
    at: str | None
    mountpoint: str
    read_only: bool
    since_ns: int
    writeback: bool = False
    notes_version: int = 0
    program: str = ""
    refusal: str = ""


class Announce(Protocol):
    """Tells others of a mount."""

    def __call__(
        self,
        workspace: str,
        branch: str | None,
        at: str | None,
        mountpoint: str,
        read_only: bool,
        *,
        writeback: bool = False,
        notes_version: int = 0,
        refusal: str = "",
    ) -> None:
        """`at`: the snapshot that is shown."""


@contextmanager
def announcement(storage: Storage) -> Iterator[Announce]:
    """Gives the body the way to tell others of the mount that this process serves.

    What is told holds until the end of the body, which should be about the end of the process.
    """
    storage.make_directory(DIRECTORY, parents=True)
    while True:
        path = f"{DIRECTORY}/{os.getpid()}-{os.urandom(4).hex()}"
        lock = storage.lock(path)
        assert lock is not None
        if storage.exists(path):
            break
        # Who lists had the lock first, in the moment between the file and its lock.
        lock.release()

    def announce(
        workspace: str,
        branch: str | None,
        at: str | None,
        mountpoint: str,
        read_only: bool,
        *,
        writeback: bool = False,
        notes_version: int = 0,
        refusal: str = "",
    ) -> None:
        mount = LiveMount(
            os.getpid(),
            workspace,
            branch,
            at,
            mountpoint,
            read_only,
            time.time_ns(),
            writeback,
            notes_version,
            __version__,
            refusal,
        )
        lock.write_text(json.dumps(asdict(mount)) + "\n")

    try:
        yield announce
    finally:
        _remove(storage, path)
        lock.release()


def live_mounts(storage: Storage) -> list[LiveMount]:
    """Returns the mounts that are being served now, by mountpoint."""
    return sorted((mount for _, mount in _entries(storage)), key=lambda mount: mount.mountpoint)


def wait_for_end(storage: Storage, mountpoint: str, workspace: str, at: str | None) -> None:
    """Returns when the process that served a mount has ended, or has nothing left but to end.

    And if it died in that, when the next one has. `at`: the snapshot it showed.
    """
    while True:
        found = _newest(storage, mountpoint, workspace, at)
        if found is not None:
            _wait_for_server(storage, *found)
        elif _is_kept(storage, mountpoint, workspace):
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _newest(
    storage: Storage, mountpoint: str, workspace: str, at: str | None
) -> tuple[str, int] | None:
    """Returns file and process of the newest mount at a place.

    Others are below it, and still there.
    """
    found = [
        (mount.since_ns, path, mount.pid)
        for path, mount in _entries(storage)
        if (mount.mountpoint, mount.workspace, mount.at) == (mountpoint, workspace, at)
    ]
    return max(found)[1:] if found else None


def _wait_for_server(storage: Storage, path: str, pid: int) -> None:
    process = _process(pid)
    lock = _locked(storage, path)
    assert lock is not None
    _remove(storage, path)
    lock.release()
    if process is not None and any(mount.pid == pid for _, mount in _entries(storage)):
        # It serves others, and goes on.
        os.close(process)
    elif process is not None:
        # All is durable; what is left is the exit itself.
        select.select([process], [], [], _EXIT_SECONDS_MAX)
        os.close(process)


def _is_kept(storage: Storage, mountpoint: str, workspace: str) -> bool:
    """Returns whether a mount whose server is dead has a holder, which starts the next one.

    Then that keeps the locks of its branches, in whose text it stands. So does one at the same
    place that is below it, and is served.
    """
    locks = BranchLocks(storage, WorkspaceName(workspace))
    below = {mount.pid for _, mount in _entries(storage) if mount.mountpoint == mountpoint}
    with suppress(OSError):
        directory = layout.workspace_directory(WorkspaceName(workspace)) + "/locks"
        for name in map(BranchName, storage.list(directory)):
            holder = locks.holder(name) or ""
            if holder.startswith(f"{mountpoint} (") and locks.holding_process(name) not in below:
                return True
    return False


def _locked(storage: Storage, path: str, *, wait: bool = True) -> LockFile | None:
    """Takes a lock as `Storage.lock` does, also on a disk that has become read-only.

    Mounts are ended there, too: flock(2) asks for no right to write.
    """
    try:
        return storage.lock(path, wait=wait)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    descriptor = os.open(storage.host_path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return DirectoryLockFile(descriptor)


def _remove(storage: Storage, path: str) -> None:
    """Takes away what nobody holds, or is about to give up; on a read-only disk it stays."""
    try:
        storage.remove(path)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise


def _process(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        # It has ended, or its number means nothing in this container.
        return None


def _entries(storage: Storage) -> Iterator[tuple[str, LiveMount]]:
    for name in storage.list(DIRECTORY):
        path = f"{DIRECTORY}/{name}"
        lock = _locked(storage, path, wait=False)
        if lock is not None:
            _remove(storage, path)
            lock.release()
            continue
        try:
            yield path, LiveMount(**json.loads(storage.read(path)))
        except (OSError, ValueError, TypeError):
            # It has only just begun, or has ended since.
            continue
