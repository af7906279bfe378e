"""Which plain files go: a plan that can be printed, and its execution.

Those that nobody used for a week; above the bound and where the disk is short, the longest unused
first. They are a cache, so nothing is lost; who has one open reads on (decision 0009).
"""

from collections.abc import Iterable
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.engine.disk import Disk
from pyi_fs.engine.gc_settings import Settings
from pyi_fs.store.plain_files import PlainFile, PlainFiles, list_plain
from pyi_fs.store.storage import Storage

_SECOND_NS = 1_000_000_000


class Held(NamedTuple):
    """A plain file with the blocks it has, in bytes, and when it was used last."""

    file: PlainFile
    size_bytes: int
    used_ns: int


class Eviction(NamedTuple):
    """One file to remove, and why."""

    held: Held
    reason: str

    def __str__(self) -> str:
        """Returns one line for people."""
        return f"remove {self.held.file.path}: {self.held.size_bytes} bytes ({self.reason})"


class NoRoomError(Exception):
    """A plain file cannot be made without removing some that are in use."""


def held_files(storage: Storage) -> list[Held]:
    """Returns the plain files of a store, the longest unused first."""
    found = []
    for file in list_plain(storage):
        used_ns = storage.touched_ns(file.path)
        if used_ns is not None:
            found.append(Held(file, storage.allocated_bytes(file.path), used_ns))
    return sorted(found, key=lambda one: (one.used_ns, one.file))


def plan_evictions(
    files: Iterable[Held], settings: Settings, disk: Disk, now_ns: int
) -> list[Eviction]:
    """Returns what should go now. Pure; `files` as `held_files` gives them."""
    files = list(files)
    unused_ns = now_ns - limits.PLAIN_UNUSED_SECONDS * _SECOND_NS
    excess_bytes = sum(one.size_bytes for one in files) - settings.plain(disk.size_bytes)
    missing_bytes = settings.free(disk.size_bytes) - disk.free_bytes
    found = []
    for one in files:
        if one.used_ns < unused_ns:
            reason = f"not used for {limits.PLAIN_UNUSED_SECONDS // 86400} days"
        elif excess_bytes > 0:
            reason = "more than `plain` allows"
        elif missing_bytes > 0:
            reason = "the disk is short of space"
        else:
            continue
        found.append(Eviction(one, reason))
        excess_bytes -= one.size_bytes
        missing_bytes -= one.size_bytes
    return found


def plan_room(
    files: Iterable[Held], settings: Settings, disk: Disk, now_ns: int, wanted_bytes: int
) -> list[Eviction]:
    """Returns what has to make room for a file that is to be made. Pure.

    `NoRoomError` if it is too large, the disk is short, or what is there is in use.
    """
    if disk.free_bytes - wanted_bytes < settings.free(disk.size_bytes):
        raise NoRoomError("the disk is short of space")
    files = list(files)
    excess_bytes = sum(one.size_bytes for one in files) + wanted_bytes
    excess_bytes -= settings.plain(disk.size_bytes)
    busy_ns = now_ns - limits.PLAIN_BUSY_SECONDS * _SECOND_NS
    found = []
    for one in files:
        if excess_bytes <= 0 or one.used_ns >= busy_ns:
            break
        found.append(Eviction(one, "makes room"))
        excess_bytes -= one.size_bytes
    if excess_bytes > 0:
        raise NoRoomError("`plain` does not allow more")
    return found


def remove_planned(storage: Storage, evictions: Iterable[Eviction]) -> int:
    """Removes what was not used since the plan; returns the bytes given back."""
    freed_bytes = 0
    for eviction in evictions:
        path = eviction.held.file.path
        if storage.touched_ns(path) == eviction.held.used_ns:
            storage.remove(path)
            freed_bytes += eviction.held.size_bytes
    return freed_bytes


def evict(storage: Storage, evictions: Iterable[Eviction]) -> int:
    """Removes what was not used since the plan; returns the bytes given back.

    Removes also what was never finished, by processes that are gone.
    """
    PlainFiles(storage).remove_abandoned()
    return remove_planned(storage, evictions)
