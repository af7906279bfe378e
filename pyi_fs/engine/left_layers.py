"""Layers that a branch left by a publish: open for a while, then closed, then sealed.

A restore does not wait for closing them: that is for the next `tidy`, and what is beyond `OPEN_MAX`
is closed when the restore was answered.
"""

from threading import Lock
from typing import Protocol

from pyi_fs.engine.afterwards import Afterwards
from pyi_fs.engine.leftovers import Leftovers
from pyi_fs.ids import LayerId, Position
from pyi_fs.store.layer_writer import LayerWriter

# So many stay open until the next `tidy` (3 descriptors each).
OPEN_MAX = 64


class Closing(Protocol):
    """How a layer's writing ends."""

    afterwards: Afterwards

    def close_writer(self, writer: LayerWriter) -> None:
        """Ends the writing of a layer here."""

    def is_gone(self, layer: LayerId) -> bool:
        """Returns whether a layer was collected."""


class LeftLayers:
    """The layers one branch left."""

    def __init__(self, services: Closing, leftovers: Leftovers, sync_lock: Lock) -> None:
        """`sync_lock` is held by a sync: it may have these layers in hand, in a thread."""
        self.open: list[LayerWriter] = []
        self.closed: set[LayerId] = set()
        """Written by this branch; they wait for a sealer."""
        self._services = services
        self._leftovers = leftovers
        self._sync_lock = sync_lock

    def add(self, writer: LayerWriter) -> None:
        """Takes a layer over that was just left."""
        self.open.append(writer)
        if len(self.open) > OPEN_MAX:
            self._services.afterwards.add(self._close_oldest)

    def tidy(self) -> None:
        """Closes those that are durable."""
        self._close_unless_syncing([writer for writer in self.open if writer.is_synced])

    def give_up_gone(self) -> None:
        """Gives up syncing what was collected: nobody can come back to what was left there."""
        for writer in self.open:
            if not writer.is_synced and self._services.is_gone(writer.layer):
                writer.give_up()

    def close_all(self) -> None:
        """Closes all; waits for a sync in another thread."""
        with self._sync_lock:
            for writer in list(self.open):
                self._close(writer)

    def _close_oldest(self) -> None:
        if len(self.open) > OPEN_MAX:
            self._close_unless_syncing(self.open[:1])

    def _close_unless_syncing(self, writers: list[LayerWriter]) -> None:
        """Closes layers, or leaves them to the next time: a sync in a thread has them in hand."""
        if self._sync_lock.acquire(blocking=False):
            try:
                for writer in writers:
                    self._close(writer)
            finally:
                self._sync_lock.release()

    def _close(self, writer: LayerWriter) -> None:
        self.open.remove(writer)
        if not writer.is_synced:
            self._leftovers.add_closed(Position(writer.layer, writer.end))
        self._services.close_writer(writer)
        self.closed.add(writer.layer)
