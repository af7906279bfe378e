"""Making layers durable, whoever writes them, wherever they are.

Invariants:
- Parents before children, lenders of bytes before borrowers: what is synced never stands on what a
  power loss can take away.
- A layer in memory is made durable by copying it to disk (`store/promotion.py`).
"""

from collections.abc import Callable
from functools import partial

from pyi_fs.errors import CorruptRecordError
from pyi_fs.format.record import LayerHeader
from pyi_fs.ids import LayerId, Position
from pyi_fs.store import layout
from pyi_fs.store.journal import last_boundary, note_elsewhere, read_synced, replay
from pyi_fs.store.layer_writer import LayerWriter, sync_names
from pyi_fs.store.lenders import layers_of
from pyi_fs.store.promotion import is_ephemeral, is_in_memory, is_of_boot, promote
from pyi_fs.store.segment_files import segments_of, sync_file
from pyi_fs.store.storage import Storage

_NONE: frozenset[LayerId] = frozenset()


class LayerSync:
    """Syncs the layers of one process's pool, and those that others write."""

    def __init__(
        self,
        storage: Storage,
        boot: str,
        header: Callable[[LayerId], tuple[LayerHeader, int]],
        writer_of: Callable[[LayerId], LayerWriter | None],
    ) -> None:
        """`header` returns a layer's header and where its first mutation is."""
        self._storage = storage
        self._boot = boot
        self._header = header
        self._writer_of = writer_of
        self._doubtful: set[str] = set()
        # How far layers in memory that are written here were copied here: a record that is settled
        # is not taken back, so what was looked through once need not be again.
        self._copied: dict[LayerId, int] = {}

    def sync(self, position: Position, within: frozenset[LayerId] = _NONE) -> None:
        """Makes everything that a position needs of its layer durable, whoever writes it.

        Segments, the journal, names; and notes it. What an ephemeral branch has bytes of comes
        first, and what is in memory is copied to disk. `within`: whose lenders are being synced,
        since two layers may have bytes of each other. BLOCKS.
        """
        layer, end = position
        writer = self._writer_of(layer)
        if writer is not None:
            # Whoever asks from a thread may have met a record that is going to be taken back.
            end = min(end, writer.settled_end)
        if read_synced(self._storage, layer) >= end or layer in within:
            return
        is_of_memory = is_ephemeral(self._header(layer)[0])
        # What its writer syncs first, the lenders of bytes, comes first here, too: the writer may
        # not have come to it, and an ephemeral one never does.
        looked = self._copied.get(layer, 0) if is_of_memory else read_synced(self._storage, layer)
        for lender in self._lenders(layer, looked, end):
            self.sync_whole(lender, within | {layer})
        if is_of_memory:
            copied = looked
            if is_in_memory(self._storage, layer):
                promote(self._storage, layer, end, partial(self._newest, layer), copied=copied)
                if writer is not None:
                    self._copied[layer] = max(end, copied)
                return
            self._copied.pop(layer, None)
        # An open writer knows what an earlier sync failed to write; one that another thread has
        # just closed is synced by its files.
        if writer is not None and writer.sync(end):
            return
        for segment in segments_of(self._storage, layer):
            sync_file(self._storage, layout.scratch(segment), self._doubtful)
        sync_names(self._storage, layer)
        sync_file(self._storage, layout.journal(layer), self._doubtful)
        note_elsewhere(self._storage, layer, end)

    def sync_whole(self, layer: LayerId, within: frozenset[LayerId] = _NONE) -> None:
        """Makes all that is in a layer now durable, with its parents. BLOCKS."""
        self.sync_lineage(Position(layer, last_boundary(self._storage, layer)), within)

    def sync_lineage(self, position: Position, within: frozenset[LayerId] = _NONE) -> None:
        """Makes a position durable: its layer up to there and the parents of that. BLOCKS.

        What was synced once has parents that are durable, and what another boot wrote and is still
        there is on the disk.
        """
        steps, passed = [position], {position.layer}
        while True:
            layer = steps[-1].layer
            header, start = self._header(layer)
            if not is_of_boot(self._storage, layer, header, self._boot):
                steps.pop()
                break
            if header.parent is None or read_synced(self._storage, layer) >= start:
                break
            steps.append(Position(*header.parent))
            pass_once(passed, steps[-1].layer)
        for step in reversed(steps):
            self.sync(step, within)

    def _newest(self, layer: LayerId) -> int:
        writer = self._writer_of(layer)
        return writer.settled_end if writer is not None else last_boundary(self._storage, layer)

    def _lenders(self, layer: LayerId, start: int, end: int) -> set[LayerId]:
        found: set[LayerId] = set()
        for _, mutation in replay(self._storage, layer, start, end):
            found |= layers_of(mutation)
        return found - {layer}


def pass_once(passed: set[LayerId], layer: LayerId) -> None:
    """Notes a layer that a way from parent to parent comes through.

    `CorruptRecordError` if it was there before: layers that begin with each other have no tree.
    """
    if layer in passed:
        raise CorruptRecordError(layout.journal(layer), 0, "a parent made before it", "a circle")
    passed.add(layer)
