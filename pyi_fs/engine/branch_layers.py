"""The layers that one branch writes: opened, left, made durable, given back.

Invariants:
- A layer is opened at the first write after the branch was opened, made or moved.
- The layers of an ephemeral branch are in memory while there is room; what does not fit goes to a
  layer on disk, and so does the rest.
- An ephemeral branch is not synced: it is promoted, or it is lost with the power.
"""

import errno
import threading

from pyi_fs.engine.left_layers import LeftLayers
from pyi_fs.engine.leftovers import Leftovers
from pyi_fs.engine.services import LayerServices
from pyi_fs.ids import BranchName, LayerId, Position
from pyi_fs.model.mutation import Adopt, Graft, Mutation, Share
from pyi_fs.store.layer_writer import LayerWriter
from pyi_fs.store.lenders import layers_of

# Giving back less than this is not worth staying in memory for: the next append would ask again.
_RECLAIM_BYTES_MIN = 1 << 20


class BranchLayers:
    """Where a branch writes, and what of it is not durable yet."""

    def __init__(
        self,
        services: LayerServices,
        name: BranchName,
        start: Position,
        *,
        resumable: bool,
        is_ephemeral: bool,
    ) -> None:
        """Opens nothing yet. `resumable`: the start is the end of a layer that may go on."""
        self.writer: LayerWriter | None = None
        self.is_ephemeral = is_ephemeral
        self.leftovers = Leftovers()
        """Layers closed before they were synced, and those that bytes came from."""
        self._services = services
        self._name = name
        self._start = start
        self._resumable = resumable
        self._durable_start: Position | None = None
        self._sync_lock = threading.Lock()
        self._left = LeftLayers(services, self.leftovers, self._sync_lock)

    @property
    def position(self) -> Position:
        """Returns the end of what was written."""
        writer = self.writer
        return Position(writer.layer, writer.end) if writer is not None else self._start

    @property
    def is_synced(self) -> bool:
        """Returns whether everything written is durable."""
        return not self.leftovers.has_closed and all(writer.is_synced for writer in self.writers())

    @property
    def closed(self) -> set[LayerId]:
        """Returns the layers written by this branch that are closed; they wait for a sealer."""
        return self._left.closed

    def writers(self) -> list[LayerWriter]:
        """Returns the layers open here: those left by a publish, then the current one."""
        return [*self._left.open, *([self.writer] if self.writer is not None else [])]

    def open(self, *, on_disk: bool = False) -> LayerWriter:
        """Opens the layer that the next mutation goes to. `on_disk`: also of an ephemeral one."""
        writer = self.writer = self._services.open_layer(
            self._name,
            self._start,
            resumable=self._resumable,
            is_ephemeral=self.is_ephemeral,
            on_disk=on_disk,
        )
        self._resumable = False
        return writer

    def move(self, position: Position) -> None:
        """Leaves the layer; the next write opens one that begins at `position`."""
        if self.writer is not None:
            writer, self.writer = self.writer, None
            self._left.add(writer)
        self._start = position
        self._resumable = False

    def spill(self, error: OSError) -> None:
        """Makes room for what memory refused: the caller does it again.

        Garbage is given back, or a layer on disk opened. Raises the error if it is not about
        memory.
        """
        writer = self.writer
        if writer is None or writer.bound is None or error.errno != errno.ENOSPC:
            raise error
        before = writer.scratch.returned_bytes
        # Not if it is being copied to disk at this moment: everybody would wait for that.
        writer.reclaim(wait=False)
        if writer.scratch.returned_bytes - before >= _RECLAIM_BYTES_MIN:
            return
        self.move(self.position)
        self.open(on_disk=True)

    def secure(self, mutation: Mutation) -> None:
        """Makes bytes durable that only memory has, before a durable branch has them. BLOCKS."""
        if not self.is_ephemeral and (type(mutation) is Share or type(mutation) is Graft):
            for layer in layers_of(mutation):
                self._services.secure(layer)

    def note_borrowed(self, mutation: Mutation) -> None:
        """Notes from which layers a mutation brings bytes along: a sync makes them durable too."""
        if type(mutation) is Graft or type(mutation) is Share or type(mutation) is Adopt:
            self.leftovers.add_lenders(layers_of(mutation))

    def sync(self) -> None:
        """Makes everything acknowledged before the call durable: data, records, log.

        Nothing of an ephemeral branch. BLOCKS: call it in a thread. Syncs queue up.
        """
        with self._sync_lock:
            if not self.is_ephemeral:
                self._sync()

    def _sync(self) -> None:
        self._left.give_up_gone()
        start, writers = self._start, self.writers()
        # Parents and lenders first: see there.
        done = self.leftovers.sync(self._services)
        if start != self._durable_start:
            self._services.sync_position(start)
            self._durable_start = start
        for writer in writers:
            if not writer.is_synced:
                if not writer.are_parents_durable:
                    self._services.sync_parents(writer.layer)
                    writer.are_parents_durable = True
                writer.sync()
        self._services.sync_log()
        # Only now: what failed is tried again by the next sync.
        self.leftovers.forget(done)

    def promote(self) -> None:
        """Makes the present of an ephemeral branch durable, and takes it out of memory. BLOCKS.

        With what it left behind. The branch goes on in a new layer. Called between two commits,
        never beside one.
        """
        with self._sync_lock:
            position = self.position
            self._services.sync_position(position)
            self.move(position)
        self._left.close_all()
        with self._sync_lock:
            done = self.leftovers.sync(self._services)
            for layer, offset in done.ends.items():
                self._services.leave_memory(self._name, Position(layer, offset))
            self._services.leave_memory(self._name, position)
            self.leftovers.forget(done)
            self._durable_start = position

    def copy_ahead(self) -> None:
        """Copies what an ephemeral branch has in memory, so that little is left for `promote`.

        BLOCKS: call it in a thread; the branch may be written, promoted and dropped meanwhile.
        """
        for position in [*(Position(one.layer, one.end) for one in self.writers()), self.position]:
            self._services.promote(position)
        self.leftovers.sync(self._services)

    def copy_out(self) -> None:
        """Makes everything acknowledged before the call durable, whatever the branch is. BLOCKS.

        An ephemeral branch goes on in memory. May run in a thread.
        """
        if self.is_ephemeral:
            # Without the lock, for which a drop or the end of a layer would wait.
            self.copy_ahead()
        with self._sync_lock:
            if self.is_ephemeral:
                self._services.sync_position(self.position)
                self._services.sync_log()
            else:
                self._sync()

    def keep(self) -> None:
        """Makes the branch durable from now on. BLOCKS. Called as `promote`."""
        self.promote()
        self.is_ephemeral = False

    def reclaim(self) -> None:
        """Gives back scratch that nobody can reach. BLOCKS for some ms: call it in a thread."""
        writer = self.writer
        if writer is not None:
            writer.reclaim()

    def tidy(self) -> None:
        """Closes the layers that a publish left and that are durable, or never will be."""
        if self.is_ephemeral:
            self._left.close_all()
        else:
            self._left.tidy()

    def close(self) -> None:
        """Closes the layers; syncs nothing."""
        self.move(self.position)
        self._left.close_all()
