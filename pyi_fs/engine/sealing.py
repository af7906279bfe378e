"""Sealing: what is kept of closed segments moves into chunks, and the segments go.

Runs in a worker process; touches no tree.

Plan: the segments to seal, and the positions of all workspaces whose lineage goes through their
layers. Then, tree by tree, the kept ranges are found, cut into chunks along the *files* they are
part of, put into packs (`engine/seal_regions.py`), and the map of each segment is written. Retire
order: packs and index (durable), map (durable), then the segment.

Invariants:
- Every byte of a segment that any root reaches is in its map before the segment goes; and the roots
  are durable by then, so that a power loss cannot bring back an older root that reaches bytes which
  were not kept.
- A live branch can only lose references to a closed segment, or gain them from a root: what the
  roots reach when the plan is made is enough.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress

from pyi_fs.engine.held import frozen, readable
from pyi_fs.engine.history import History
from pyi_fs.engine.references import LayerGraph, all_layers
from pyi_fs.engine.roots import roots_of
from pyi_fs.engine.seal_regions import Kept, RegionSealer, earlier_version, moved, regions
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError, StoreError
from pyi_fs.ids import InodeNumber, LayerId, Position, SegmentId, segment_layer
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.mutation import Adopt, Graft, Share, Write
from pyi_fs.model.tree import Tree
from pyi_fs.store import layout, sealmap
from pyi_fs.store.journal import last_boundary, note_elsewhere
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.storage import Storage
from pyi_fs.store.survival import Survival

NOTHING_GIVEN: Mapping[SegmentId, extent.ExtentList] = {}


def seal(
    store: Store, segments: Iterable[SegmentId], progress: Callable[[int], None] = lambda _: None
) -> list[SegmentId]:
    """Seals closed segments; returns those that are gone now.

    Everything kept is durable before its segment goes. Segments of which nobody can say what is
    kept (`engine/held.py`) are left as they are.

    The caller's process, or the one it works for, has the lock of the branch that wrote them, or
    nobody writes it any more.
    """
    wanted = {segment for segment in segments if store.storage.exists(layout.scratch(segment))}
    if not wanted:
        return []
    with store.chunks.in_use():
        return seal_held(store, wanted, progress)


def seal_held(
    store: Store,
    wanted: set[SegmentId],
    progress: Callable[[int], None] = lambda _: None,
    given: Mapping[SegmentId, extent.ExtentList] = NOTHING_GIVEN,
    remove: Callable[[Storage, str], None] = lambda storage, path: storage.remove(path),
    is_patching: bool = True,
) -> list[SegmentId]:
    """As `seal`, for a caller who keeps the collector away, of segments that are there.

    `given`: parts of maps that are known without reading. `remove`: how files go. `is_patching`:
    parts of chunks that there are already may be named.
    """
    history = History(store.layers)
    graph = LayerGraph(store)
    roots = readable(roots_of(store), graph)
    positions = roots.all_positions()
    blocked = frozen(store, roots, graph, all_layers(store.storage), time.time_ns())
    wanted = {segment for segment in wanted if segment_layer(segment) not in blocked}
    kept = {segment: Kept(given.get(segment, extent.EMPTY)) for segment in wanted}
    before: Tree | None = None
    for tree, candidates in trees_reaching(store, lambda _: [history], wanted, positions, blocked):
        for number in candidates:
            inode = tree.inode(number)
            if inode is not None and inode.extents:
                known = before.inode(number) if before is not None and is_patching else None
                earlier = earlier_version(store, known, kept)
                for region in regions(inode.extents, kept):
                    progress(RegionSealer(store, region, kept, earlier).seal(inode.size))
        before = tree
    store.chunks.flush()
    sync_roots(store, positions)
    wanted = {segment for segment in wanted if segment_layer(segment) not in blocked}
    note_whole(store, {segment_layer(segment) for segment in wanted})
    for segment in sorted(wanted):
        pieces = list(extent.iterate(kept[segment].pieces))
        store.storage.write_atomic(layout.seal_map(segment), [sealmap.encode(pieces)])
        store.layers.forget_segment(segment)
        remove(store.storage, layout.scratch(segment))
        remove(store.storage, layout.runs(segment))
    for layer in {segment_layer(segment) for segment in wanted}:
        store.storage.sync_directory(layout.layer_directory(layer))
    return sorted(wanted)


def sync_roots(store: Store, positions: dict[LayerId, set[int]]) -> None:
    """Makes positions and all logs durable, so that no power loss brings back an older root.

    What an ephemeral branch wrote comes back to no older root but the durable one it began at.
    """
    for layer, offsets in positions.items():
        if store.layers.is_ephemeral(layer):
            continue
        try:
            store.layers.sync_lineage(Position(layer, max(offsets)))
        except (FileNotFoundError, NotFoundError):
            # Collected meanwhile: it is no root's any more.
            if store.storage.exists(layout.journal(layer)):
                raise
    for workspace in store.workspace_names():
        # One that is damaged, or removed meanwhile, names nothing that is given back.
        with suppress(StoreError, NotFoundError):
            log = OperationsLog(store.storage, workspace)
            try:
                log.sync()
            finally:
                log.close()


def note_whole(store: Store, layers: Iterable[LayerId]) -> None:
    """Makes layers durable as they are, and durably notes it, before bytes of theirs go.

    After a power loss, records beyond the note are held against their data: what was given back
    must not look like a loss. The whole layer, roots or not: others may have borrowed bytes whose
    checksums are in any record of it.
    """
    survival = Survival(store.layers)
    for layer in sorted(set(layers)):
        # One of an earlier boot is noted by who finds out what is left of it.
        if survival.end(layer) is None:
            end = last_boundary(store.storage, layer)
            store.layers.sync_lineage(Position(layer, end))
            note_elsewhere(store.storage, layer, end)


def trees_reaching(
    store: Store,
    histories: Callable[[LayerId], Iterable[History]],
    wanted: set[SegmentId],
    positions: dict[LayerId, set[int]],
    blocked: set[LayerId],
) -> Iterator[tuple[Tree, set[InodeNumber]]]:
    """Yields every root's tree that may reach the segments, with the inodes that may.

    Without those that hold the same bytes as in the tree before: thousands of snapshots of a tree
    cost what has changed between them.

    `histories`: by whom the roots in a layer are folded, each in its turn. Of a root whose tree
    cannot be made, the layers it may reach are added to `blocked`.
    """
    layers = {segment_layer(segment) for segment in wanted}
    graph = LayerGraph(store)
    # Not the lineage alone: a restored path, shared extents and orphans bring segments of other
    # layers along (`engine/references.py`).
    reached = {root: graph.reach([root], partly=True) for root in positions}
    reaching = [root for root in positions if reached[root] & layers]
    needed = layers.union(*(reached[root] for root in reaching))
    candidates = _candidates(store, wanted, needed)
    for layer in reaching:
        try:
            for history in histories(layer):
                for step in history.steps(layer, positions[layer]):
                    changed = step.changed
                    yield step.tree, candidates if changed is None else candidates & changed
        except (NotFoundError, StoreError):
            # Damaged, or collected meanwhile.
            blocked |= reached[layer]


def _candidates(store: Store, wanted: set[SegmentId], layers: set[LayerId]) -> set[InodeNumber]:
    """Returns the inodes whose extents may lie in the segments.

    Written there, or given extents of others in one of the layers.
    """
    found: set[InodeNumber] = set()
    for layer in layers:
        for _, mutation in store.layers.records(layer):
            match mutation:
                case Write() if mutation.segment in wanted:
                    found.add(mutation.number)
                case Share() | Adopt():
                    found.add(mutation.number)
                case Graft():
                    found.update(number for number, inode in mutation.inodes if inode is not None)
                case _:
                    pass
    return found


def resolved(store: Store, extents: extent.ExtentList) -> extent.ExtentList:
    """Returns an extent list with sealed segments replaced by the chunks they are in.

    Where a map has not all of an extent (it was trimmed, since nobody could come back to it), that
    stays as it is: reading it is an error then, not zeros.
    """
    if not any(item.kind == extent.SCRATCH for item in extent.iterate(extents)):
        return extents
    pieces: list[Extent] = []
    for item in extent.iterate(extents):
        pieces_of = store.layers.sealed_map(item.segment) if item.kind == extent.SCRATCH else None
        if pieces_of is None:
            pieces.append(item)
            continue
        found = moved(item, pieces_of)
        if sum(piece.length for piece in found) != item.length:
            pieces.append(item)
            continue
        pieces += found
    return extent.from_extents(pieces)
