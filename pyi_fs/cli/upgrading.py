"""Another server for a live mount: the program as it is installed now.

The server that is there makes room between two requests, and its holder starts the next one, as
after a death. Programs that use the mount see a pause.
"""

import os
import time

from pyi_fs.cli.arguments import parsed_label
from pyi_fs.cli.holder import HAND_OVER_SIGNAL
from pyi_fs.cli.live_mounts import LiveMount, live_mounts
from pyi_fs.cli.mountinfo import absolute, our_mount_at
from pyi_fs.errors import BusyError, NotFoundError, UnsupportedError
from pyi_fs.fuse.ledger import VERSION
from pyi_fs.store.directory_storage import DirectoryStorage

_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.02


def upgrade(path: str) -> str:
    """Has a live mount served by the program that is installed now; returns a line about it.

    `NotFoundError` if nothing of ours is mounted there, `UnsupportedError` if it cannot be gone on
    with, or not by that program, `BusyError` if no other server came in time.
    """
    mountpoint = absolute(path)
    mount = our_mount_at(mountpoint)
    store, _ = parsed_label(mount.source)
    if store is None:
        raise NotFoundError(f"the store of {mountpoint} is not known: unmount it and mount anew")
    storage = DirectoryStorage(store)
    old = _server(storage, mountpoint)
    if old is None:
        raise NotFoundError(f"no server of {mountpoint} is known in {store}")
    if old.notes_version != VERSION:
        reason = "it has no holder" if not old.notes_version else "its version notes other things"
        raise UnsupportedError(f"{mountpoint} cannot be upgraded, {reason}: mount it anew")
    os.kill(old.pid, HAND_OVER_SIGNAL)
    new = _awaited(storage, mountpoint, old)
    return f"{mountpoint}: {old.program} to {new.program}, process {old.pid} to {new.pid}"


def _server(storage: DirectoryStorage, mountpoint: str) -> LiveMount | None:
    """Returns the newest server of a mountpoint: others are below it."""
    found = [mount for mount in live_mounts(storage) if mount.mountpoint == mountpoint]
    return max(found, key=lambda mount: mount.since_ns, default=None)


def _awaited(storage: DirectoryStorage, mountpoint: str, old: LiveMount) -> LiveMount:
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        new = _server(storage, mountpoint)
        if new is not None and new.pid != old.pid and new.notes_version:
            return new
        if new is not None and new.refusal and new.since_ns > old.since_ns:
            raise UnsupportedError(f"{mountpoint} stays as it is: {new.refusal}")
        time.sleep(_LOOK_SECONDS)
    raise BusyError(f"no other server of {mountpoint} has come: its log tells why")
