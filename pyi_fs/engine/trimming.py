"""Trimming seal maps to what roots reach: carrying out what `engine/marking.py` found.

Invariant: what gives bytes up that records name is preceded by a durable note of how far its layer
is whole, and by durable roots: what was given back never looks like a loss.

The order matters: maps and segments are listed before the roots are read (`marking.sealed_maps`).
"""

from collections.abc import Callable, Collection

from pyi_fs.engine.marking import occupied_bytes, sealed_maps, trims
from pyi_fs.engine.sealing import note_whole, sync_roots
from pyi_fs.engine.store import Store
from pyi_fs.engine.unwritten import unwritten_segments
from pyi_fs.ids import LayerId, segment_layer
from pyi_fs.store import layout, sealmap

Reach = Callable[[], tuple[dict[LayerId, set[int]], Collection[LayerId]]]
"""Reads the roots: their positions, and the layers that are to stay as they are."""


def trim(store: Store, reach: Reach) -> tuple[int, int]:
    """Trims all maps that can be; returns how many, and the bytes given back.

    To what trees of the roots reach, which are read after what there is was listed. The caller
    holds `gc.lock`.
    """
    unwritten, maps = unwritten_segments(store), sealed_maps(store)
    positions, blocked = reach()
    found = trims(store, positions, maps, passed=blocked, unwritten=unwritten)
    if not found:
        return 0, 0
    sync_roots(store, positions)
    layers = {segment_layer(one.segment) for one in found}
    notes = [layout.noted(layer) for layer in layers]
    count, freed_bytes = 0, sum(map(store.storage.allocated_bytes, notes))
    note_whole(store, layers)
    freed_bytes -= sum(map(store.storage.allocated_bytes, notes))
    for one in found:
        before = occupied_bytes(store, one.segment)
        path = layout.seal_map(one.segment)
        try:
            store.storage.write_atomic(path, [sealmap.encode(list(one.pieces))])
        except FileNotFoundError:
            # Its layer was removed with its workspace.
            continue
        if one.is_scratch:
            store.layers.forget_segment(one.segment)
            store.storage.remove(layout.scratch(one.segment))
            store.storage.remove(layout.runs(one.segment))
        count += 1
        freed_bytes += before - occupied_bytes(store, one.segment)
    return count, freed_bytes
