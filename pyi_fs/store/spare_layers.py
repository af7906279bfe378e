"""Layers made ahead of their use: a directory with an empty journal and an empty first segment.

Making those three is most of what the first write after a restore or into a new branch costs, and
what a restore costs while files are open for writing: 150 us on an ext4 at rest, some ms on a busy
one. So a process that opens layers has a few in hand, made by a thread after the first one.

A spare is a layer nobody names, as one that is being made: it means nothing to readers. What a
killed process leaves is collected like any other such layer, a day later; so one that was in hand
for long is not used any more, nor is any after the clock was set or the machine slept: collection
goes by the clock.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from pyi_fs import limits
from pyi_fs.errors import StoreError
from pyi_fs.ids import LayerId, segment_id
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage


class SpareLayers:
    """The spares of one process. `take` is for the owner, the others for one thread at a time."""

    def __init__(
        self,
        storage: Storage,
        make: Callable[[], LayerId],
        abandon: Callable[[LayerId], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`make` makes the directory of a new layer, `abandon` removes one that nobody names."""
        self._storage = storage
        self._make = make
        self._abandon = abandon
        self._clock = clock
        self._ready: deque[tuple[LayerId, float]] = deque()
        self._old: deque[LayerId] = deque()
        self.on_taken: Callable[[], None] = lambda: None
        """Called when one was asked for, there or not: it is time for `refill`."""

    def take(self) -> LayerId | None:
        """Returns a layer that has its files, or None; nobody else gets it."""
        now, found = self._clock(), None
        while found is None and self._ready:
            layer, made = self._ready.popleft()
            if 0 <= now - made <= limits.SPARE_LAYER_SECONDS_MAX:
                found = layer
            else:
                self._old.append(layer)
        self.on_taken()
        return found

    def refill(self) -> None:
        """Makes as many as should be there, and removes what got too old. BLOCKS."""
        while self._old:
            self._abandon(self._old.popleft())
        with suppress(OSError, StoreError):
            # On a full or failing disk there is none, and who needs a layer finds out.
            while len(self._ready) < limits.SPARE_LAYERS:
                self._ready.append((self._made(), self._clock()))

    def _made(self) -> LayerId:
        layer = self._make()
        try:
            for path in (layout.journal(layer), layout.scratch(segment_id(layer, 0))):
                self._storage.open_append(path, create=True).close()
        except BaseException:
            self._abandon(layer)
            raise
        return layer

    def close(self) -> None:
        """Removes them all."""
        self._old.extend(layer for layer, _ in self._ready)
        self._ready.clear()
        while self._old:
            self._abandon(self._old.popleft())
