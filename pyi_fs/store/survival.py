"""What a power loss left of layers.

Found out once for each layer of an earlier boot, and made final.

Data of unsynced records may be missing under records that are there. Such a record and all after it
are cut off (a consistent prefix, not older than the last sync), so that no position beyond the cut
can ever come to mean something. A layer whose parent position is lost is lost as a whole: its
records were made for a tree that nobody has.

Invariants:
- Layers of this boot are not looked at: `kill -9` loses nothing. A layer in memory is of this boot,
  a copy of one on disk never is (decision 0004).
- A layer of an earlier boot is never appended to again, so any process may cut it, and all find the
  same end.
- Where a layer was synced once, its parents are durable: who syncs does parents first.
"""

from pyi_fs.errors import (
    CorruptRecordError,
    FormatUnknownError,
    NotFoundError,
    StoreError,
)
from pyi_fs.format.record import LayerHeader
from pyi_fs.ids import LayerId, Position
from pyi_fs.model.extent import SCRATCH, iterate
from pyi_fs.model.mutation import Mutation, Write
from pyi_fs.store import layout
from pyi_fs.store.journal import note_elsewhere, read_synced
from pyi_fs.store.layer_sync import pass_once
from pyi_fs.store.layers import Layers
from pyi_fs.store.lenders import extents_of
from pyi_fs.store.promotion import SPILLED_BOOT, is_of_boot


class Survival:
    """Answers which positions are still there."""

    def __init__(self, layers: Layers) -> None:
        """Looks at nothing yet."""
        self._layers = layers
        self.storage = layers.storage
        self._ends: dict[LayerId, int] = {}

    def end(self, layer: LayerId) -> int | None:
        """Returns where a layer of an earlier boot ends now (0.

        It is lost), None for a layer of this boot.
        """
        found = self._ends.get(layer)
        if found is not None:
            return found
        lineage = self._lineage(layer)
        if lineage is None:
            return None
        for step, header in reversed(lineage):
            if header is None:
                self._ends[step] = 0
                continue
            parent = Position(*header.parent) if header.parent is not None else None
            lost = (
                parent is not None and self._ends.get(parent.layer, parent.offset) < parent.offset
            )
            self._ends[step] = 0 if lost else self._settle(step)
        return self._ends[layer]

    def is_lost(self, position: Position) -> bool:
        """Returns whether a power loss took a position."""
        end = self.end(position.layer)
        return end is not None and position.offset > end

    def parent(self, layer: LayerId) -> Position | None:
        """Returns what a layer begins with, or None if its header is lost or it has no parent."""
        header = self._header(layer)
        return Position(*header.parent) if header is not None and header.parent else None

    def _header(self, layer: LayerId) -> LayerHeader | None:
        try:
            return self._layers.header(layer)
        except (NotFoundError, FormatUnknownError):
            synced = read_synced(self.storage, layer)
            if synced:
                # No power loss does that to what was durable: going back to what was before would
                # lose it in silence.
                path = layout.journal(layer)
                raise CorruptRecordError(
                    path, 0, f"a header (synced to {synced})", "damage"
                ) from None
            return None

    def _lineage(self, layer: LayerId) -> list[tuple[LayerId, LayerHeader | None]] | None:
        """Returns the layer and those of its parents that decide about it.

        None for a layer of this boot.
        """
        found: list[tuple[LayerId, LayerHeader | None]] = []
        step, passed = layer, {layer}
        while step not in self._ends:
            header = self._header(step)
            if header is not None and self._is_of_this_boot(step, header):
                break
            found.append((step, header))
            if header is None or header.parent is None or self._stands_alone(step):
                break
            step = header.parent[0]
            pass_once(passed, step)
        return found or None

    def _is_of_this_boot(self, layer: LayerId, header: LayerHeader) -> bool:
        if not is_of_boot(self.storage, layer, header, self._layers.boot):
            return False
        if not header.boot.startswith(SPILLED_BOOT) or header.parent is None:
            return True
        # What it stands on may have been lost without a boot: memory can be cleared.
        return not self.is_lost(Position(*header.parent))

    def _stands_alone(self, layer: LayerId) -> bool:
        return self.storage.exists(layout.base(layer)) or (
            read_synced(self.storage, layer) >= self._layers.start(layer)
        )

    def _settle(self, layer: LayerId) -> int:
        """Cuts a layer where its records, or the data they name, stop being there.

        Returns that offset.
        """
        path = layout.journal(layer)
        synced, size = read_synced(self.storage, layer), self.storage.size_bytes(path) or 0
        if synced >= size:
            return size
        end = self._layers.start(layer)
        for stop, mutation in self._layers.records(layer):
            if stop > synced and not self._has_data(mutation):
                break
            end = stop
        if end < size:
            file = self.storage.open_append(path)
            try:
                file.truncate(end)
                file.sync()
            finally:
                file.close()
        note_elsewhere(self.storage, layer, end)
        return end

    def _has_data(self, mutation: Mutation) -> bool:
        """Returns whether the bytes a mutation names are there, whatever layer they are in."""
        if type(mutation) is Write:
            wanted = [(mutation.segment, mutation.source_offset, mutation.length)]
        else:
            wanted = [
                (item.segment, item.source_offset, item.length)
                for extents in extents_of(mutation)
                for item in iterate(extents)
                if item.kind == SCRATCH
            ]
        try:
            for segment, offset, length in wanted:
                self._layers.read_scratch(segment, offset, length)
        except StoreError:
            return False
        return True
