"""Files kept open for reading: a bounded number, the least recently used closed first.

Any thread may read. A file that a thread is reading is not closed under it: its descriptor's number
could be another file's by then.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from pyi_fs.store.storage import ReadFile

K = TypeVar("K", bound=Hashable)


class OpenFile:
    """An open file and how many are reading it."""

    __slots__ = ("file", "is_forgotten", "users")

    def __init__(self, file: ReadFile) -> None:
        """Nobody reads it yet."""
        self.file = file
        self.users = 0
        self.is_forgotten = False


class OpenFiles(Generic[K]):
    """Open files by key; `open_file` opens one, and what it raises is the answer."""

    def __init__(self, open_file: Callable[[K], ReadFile], count_max: int) -> None:
        """Opens nothing yet."""
        self._open_file = open_file
        self._count_max = count_max
        self._open: OrderedDict[K, OpenFile] = OrderedDict()
        self._lock = threading.Lock()

    def acquire(self, key: K) -> OpenFile:
        """Returns the file of a key, opened if need be; `release` is owed."""
        with self._lock:
            found = self._open.get(key)
            if found is None:
                found = self._open[key] = OpenFile(self._open_file(key))
            self._open.move_to_end(key)
            found.users += 1
            if len(self._open) > self._count_max:
                self._evict()
            return found

    def acquire_nowait(self, key: K) -> OpenFile | None:
        """Returns the file of a key if it is open and no other thread is here, else None.

        `release` is owed.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            found = self._open.get(key)
            if found is not None:
                self._open.move_to_end(key)
                found.users += 1
            return found
        finally:
            self._lock.release()

    def release(self, found: OpenFile) -> None:
        """Gives back what `acquire` returned."""
        with self._lock:
            found.users -= 1
            if found.is_forgotten and found.users == 0:
                found.file.close()

    def forget(self, key: K) -> None:
        """Closes the file of a key, if it is open, once nobody reads it."""
        with self._lock:
            found = self._open.pop(key, None)
            if found is not None:
                found.is_forgotten = True
                if found.users == 0:
                    found.file.close()

    def keys(self) -> Iterable[K]:
        """Returns the keys whose files are open."""
        with self._lock:
            return list(self._open)

    def close(self) -> None:
        """Closes all, those that are being read afterwards."""
        for key in self.keys():
            self.forget(key)

    def _evict(self) -> None:
        # One that a thread is reading stays: at worst there are as many more as threads.
        idle = [key for key, found in self._open.items() if found.users == 0]
        for key in idle[: len(self._open) - self._count_max]:
            self._open.pop(key).file.close()
