"""What processes read that is in no log, or may leave it: positions no collection takes meanwhile.

For who shows or reads a tree without writing it: a mount of a snapshot, a file that is open of one
that was deleted since. A lease is a file in `leases/`, locked by its process: the kernel gives the
lock up when that ends, however it ends, and who looks at leases takes away what nobody holds.

Whoever takes a lease looks at the log *afterwards*: either what it reads is still there, and every
collection that deletes it from then on finds the lease; or it is not, and is not read.

Invariant: lines are only added to a file, so that a reader of it never misses one that was there.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from threading import RLock

from pyi_fs.ids import LayerId, Position, layer_name
from pyi_fs.store import layout
from pyi_fs.store.storage import LockFile, Storage


class Leases:
    """What one process, or a part of it, reads."""

    def __init__(self, storage: Storage) -> None:
        """Holds nothing yet."""
        self._storage = storage
        self._held: set[Position] = set()
        self._file: tuple[str, LockFile] | None = None
        self._text = ""
        self._guard = RLock()

    def __len__(self) -> int:
        """Returns how many positions are held."""
        return len(self._held)

    def hold(self, position: Position) -> bool:
        """Holds a position; returns whether it was not held before.

        On a disk that takes no file nothing is held: what is in the log is safe, and so, for the
        grace, is what has just left it.
        """
        with self._guard:
            if position in self._held:
                return False
            with suppress(OSError):
                self._write([position])
                self._held.add(position)
            return True

    def keep_only(self, positions: Collection[Position]) -> None:
        """Lets go of all others."""
        with self._guard:
            kept = self._held.intersection(positions)
            if len(kept) == len(self._held):
                return
            old, self._file, self._text = self._file, None, ""
            self._held = kept
            try:
                if kept:
                    self._write(sorted(kept))
            finally:
                if old is not None:
                    self._end(*old)

    def let_go(self, position: Position) -> None:
        """Lets go of one position."""
        with self._guard:
            self.keep_only(self._held - {position})

    def close(self) -> None:
        """Lets go of everything."""
        self.keep_only(())

    def _write(self, positions: Collection[Position]) -> None:
        if self._file is None:
            self._file = self._begin()
        lines = (f"{layer_name(layer)} {offset}\n" for layer, offset in positions)
        text = self._text + "".join(lines)
        self._file[1].write_text(text)
        self._text = text

    def _begin(self) -> tuple[str, LockFile]:
        self._storage.make_directory(layout.LEASES, parents=True)
        while True:
            path = f"{layout.LEASES}/{os.urandom(8).hex()}"
            lock = self._storage.lock(path)
            assert lock is not None, "BUG: waited and did not get the lock"
            if self._storage.exists(path):
                return path, lock
            # Who looks at leases had the lock first, in the moment between the file and its lock.
            lock.release()

    def _end(self, path: str, lock: LockFile) -> None:
        with suppress(OSError):
            self._storage.remove(path)
        lock.release()


def leased(storage: Storage) -> Iterator[Position]:
    """Yields what living processes hold; takes away what dead ones left."""
    for name in storage.list(layout.LEASES):
        path = f"{layout.LEASES}/{name}"
        lock = storage.lock(path, wait=False)
        if lock is not None:
            storage.remove(path)
            lock.release()
            continue
        with suppress(FileNotFoundError):
            *lines, _ = storage.read(path).decode(errors="replace").split("\n")
            for line in lines:
                layer, _, offset = line.partition(" ")
                with suppress(ValueError):
                    yield Position(LayerId(int(layer, 16)), int(offset))
