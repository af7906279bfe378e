"""The disk that a store is on, as its user sees it."""

import os
from typing import NamedTuple

from pyi_fs.store.storage import Storage


class Disk(NamedTuple):
    """The disk that a store is on."""

    size_bytes: int
    free_bytes: int


def disk_of(storage: Storage) -> Disk:
    """Returns the disk of a store, as its user sees it."""
    found = os.statvfs(storage.host_path(""))
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)
