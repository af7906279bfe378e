"""Room kept back on the store's disk, so that what gives room back can be done when it is full.

`rm` on a full disk needs a record in a journal, `drop` and the deletion of a snapshot one in a log,
collection smaller maps and a change of the index. Each of those draws on a file that only takes up
room: a piece of it is given to the disk and the call made again (decision 0007).

Invariants:
- Only calls that lead to less being held draw on it, and a server that goes on with a mount whose
  server died; nobody writes data with it.
- It is filled again, as far as there is room, when a store is opened and after a sync.
"""

import errno
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from pyi_fs import limits
from pyi_fs.errors import ForeignFileError
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage

_PIECE_BYTES = 64 * 1024
_Answer = TypeVar("_Answer")


def is_full(error: OSError) -> bool:
    """Returns whether an error says that the disk, or its owner's share of it, is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def with_reserve(
    storage: Storage, call: Callable[[], _Answer], *, at_once: bool = False
) -> _Answer:
    """Returns what a call does, if need be with room from the reserve.

    The call has to leave everything as it was when it raises. `at_once`: it is expensive to make
    again, so it gets the whole reserve the first time. Raises what the call raises when nothing is
    left.
    """
    while True:
        try:
            return call()
        except OSError as error:
            if not is_full(error) or not _draw(storage, at_once=at_once):
                raise


def make_room(storage: Storage, room_bytes: int) -> None:
    """Gives of the reserve what the disk lacks to so many free bytes, as far as there is any."""
    with suppress(OSError):
        while storage.free_bytes() < room_bytes and _draw(storage, at_once=False):
            continue


def make(storage: Storage) -> None:
    """Makes the reserve of a store, or fills it, as far as there is room."""
    # A store without a reserve is one on a disk that had no room for it.
    with suppress(OSError, ForeignFileError):
        _fill(storage)


def refill(storage: Storage) -> None:
    """Fills a reserve that something was drawn from. One `stat` when there is nothing to do."""
    size_bytes = storage.size_bytes(layout.RESERVE)
    if size_bytes is not None and size_bytes < limits.RESERVE_BYTES:
        make(storage)


def _fill(storage: Storage) -> None:
    if (storage.size_bytes(layout.RESERVE) or 0) >= limits.RESERVE_BYTES:
        return
    # Made by the lock, if need be. Who has it fills or draws: neither is worth waiting for.
    lock = storage.lock(layout.RESERVE, wait=False)
    if lock is None:
        return
    try:
        file = storage.open_append(layout.RESERVE)
        try:
            while file.size_bytes < limits.RESERVE_BYTES:
                file.extend(min(_PIECE_BYTES, limits.RESERVE_BYTES - file.size_bytes))
        finally:
            file.close()
    finally:
        lock.release()


def _draw(storage: Storage, *, at_once: bool) -> bool:
    """Gives a piece of the reserve, or all, to the disk; returns whether there was one."""
    if not storage.size_bytes(layout.RESERVE):
        return False
    try:
        lock = storage.lock(layout.RESERVE)
    except ForeignFileError:
        return False
    assert lock is not None, "BUG: waited and did not get the lock"
    try:
        file = storage.open_append(layout.RESERVE)
        try:
            before = file.size_bytes
            file.truncate(0 if at_once else max(0, before - _PIECE_BYTES))
        finally:
            file.close()
    finally:
        lock.release()
    return before > 0
