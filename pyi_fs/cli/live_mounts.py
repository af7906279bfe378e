"""The mounts of a store that are being served: one file each in `mounts/`, locked by its process.

The kernel gives the lock up when the process ends, however it ends; who lists takes away what
nobody holds. Mounts of snapshots hold no branch, so the locks of branches do not tell of them.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from pyi_fs.store.storage import Storage

DIRECTORY = "mounts"


@dataclass(frozen=True)
class LiveMount:
    """A mount and its process. `at`: the snapshot it shows, None for a branch."""

    pid: int
    workspace: str
    branch: str | None
    at: str | None
    mountpoint: str
    read_only: bool
    since_ns: int


@contextmanager
def announced(
    storage: Storage,
    workspace: str,
    branch: str | None,
    at: str | None,
    mountpoint: str,
    *,
    read_only: bool,
) -> Iterator[None]:
    """Tells others of a mount that this process serves."""
    storage.make_directory(DIRECTORY, parents=True)
    mount = LiveMount(os.getpid(), workspace, branch, at, mountpoint, read_only, time.time_ns())
    while True:
        path = f"{DIRECTORY}/{mount.pid}-{os.urandom(4).hex()}"
        lock = storage.lock(path)
        assert lock is not None
        if storage.exists(path):
            break
        # Who lists had the lock first, in the moment between the file and its lock.
        lock.release()
    lock.write_text(json.dumps(asdict(mount)) + "\n")
    try:
        yield
    finally:
        storage.remove(path)
        lock.release()


def live_mounts(storage: Storage) -> list[LiveMount]:
    """Returns the mounts that are being served now, by mountpoint."""
    return sorted((mount for _, mount in _entries(storage)), key=lambda mount: mount.mountpoint)


def wait_for_end(storage: Storage, mountpoint: str) -> None:
    """Returns when the processes that serve a mountpoint have ended."""
    for path, mount in list(_entries(storage)):
        if mount.mountpoint == mountpoint:
            lock = storage.lock(path)
            assert lock is not None
            storage.remove(path)
            lock.release()


def _entries(storage: Storage) -> Iterator[tuple[str, LiveMount]]:
    for name in storage.list(DIRECTORY):
        path = f"{DIRECTORY}/{name}"
        lock = storage.lock(path, wait=False)
        if lock is not None:
            storage.remove(path)
            lock.release()
            continue
        try:
            yield path, LiveMount(**json.loads(storage.read(path)))
        except (OSError, ValueError, TypeError):
            # It has only just begun, or has ended since.
            continue
