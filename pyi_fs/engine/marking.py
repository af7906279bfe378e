"""Which chunks are wanted, and which bytes of sealed segments. Reads only.

Wanted are the chunks that the files of a layer name that stays, and the tree objects of kept
snapshots with the chunks these name. Of a sealed segment only those bytes are wanted that some
root's tree reaches: the others were reached by what is gone by now, and leave the map.
"""

import stat
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from pyi_fs.engine.history import History
from pyi_fs.engine.references import LayerGraph, all_layers
from pyi_fs.engine.roots import NOTHING, Without, kept_positions
from pyi_fs.engine.sealing import trees_reaching
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError, StoreError
from pyi_fs.format.treeobject import FileContent, decode_tree_object
from pyi_fs.ids import ChunkId, LayerId, SegmentId, TreeObjectId, segment_id
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.store import layout, sealmap
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES


class Trim(NamedTuple):
    """A seal map that can become smaller."""

    segment: SegmentId
    pieces: tuple[Extent, ...]
    old_bytes: int
    new_bytes: int
    frees_bytes: int

    def __str__(self) -> str:
        """Returns one line for people."""
        path = layout.seal_map(self.segment)
        return f"trim {path}: {self.old_bytes - self.new_bytes} of {self.old_bytes} kept bytes"


def trims(
    store: Store, positions: dict[LayerId, set[int]], without_layers: Collection[LayerId]
) -> tuple[Trim, ...]:
    """Returns the maps of sealed segments that hold bytes no tree of the positions reaches.

    O(trees of the positions). Layers that go anyway are passed over, and segments whose sealing has
    not finished.
    """
    maps: dict[SegmentId, ExtentList] = {}
    for layer in all_layers(store.storage):
        if layer in without_layers:
            continue
        names = store.storage.list(layout.layer_directory(layer))
        for name in names:
            index = layout.segment_of(name, "map-")
            if index is not None and f"scratch-{index:06d}" not in names:
                path = layout.seal_map(segment_id(layer, index))
                maps[segment_id(layer, index)] = sealmap.decode(store.storage.read(path), path)
    if not maps:
        return ()
    reached = _reached(store, set(maps), positions)
    found = (_trimmed(store, segment, maps[segment], reached[segment]) for segment in sorted(maps))
    return tuple(trim for trim in found if trim is not None)


def _reached(
    store: Store, segments: set[SegmentId], positions: dict[LayerId, set[int]]
) -> dict[SegmentId, set[tuple[int, int]]]:
    """Returns the half-open ranges of segments that trees reach; they may overlap."""
    found: dict[SegmentId, set[tuple[int, int]]] = defaultdict(set)
    for tree, candidates in trees_reaching(store, History(store.layers), segments, positions):
        for number in candidates:
            inode = tree.inode(number)
            if inode is None or not inode.extents:
                continue
            for item in extent.iterate(inode.extents):
                if item.kind == extent.SCRATCH and item.segment in segments:
                    found[item.segment].add((item.source_offset, item.source_offset + item.length))
    return found


def _trimmed(
    store: Store, segment: SegmentId, pieces: ExtentList, reached: Iterable[tuple[int, int]]
) -> Trim | None:
    kept = [
        _cut(piece, start, end)
        for start, end in _merged(reached)
        for piece in extent.overlapping(pieces, start, end)
    ]
    old_bytes = sum(piece.length for piece in extent.iterate(pieces))
    new_bytes = sum(piece.length for piece in kept)
    if new_bytes == old_bytes:
        return None
    occupied = store.storage.allocated_bytes(layout.seal_map(segment))
    size_bytes = len(sealmap.encode(kept))
    needed = -(-size_bytes // PUNCH_BLOCK_BYTES) * PUNCH_BLOCK_BYTES
    return Trim(segment, tuple(kept), old_bytes, new_bytes, occupied - needed)


def _merged(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields ranges sorted, overlapping and touching ones joined."""
    start = end = -1
    for first, last in sorted(ranges):
        if first > end:
            if end > start:
                yield start, end
            start, end = first, last
        end = max(end, last)
    if end > start:
        yield start, end


def _cut(piece: Extent, start: int, end: int) -> Extent:
    first, last = max(piece.file_offset, start), min(piece.end, end)
    return piece._replace(
        file_offset=first,
        length=last - first,
        source_offset=piece.source_offset + first - piece.file_offset,
    )


def live_chunks(
    store: Store,
    *,
    without_layers: Collection[LayerId] = (),
    trimmed: Iterable[Trim] = (),
    without: Without = NOTHING,
) -> set[ChunkId]:
    """Returns every chunk that is wanted.

    As it will be without some layers and snapshots, and with maps trimmed. `StoreError` if damage
    hides what is wanted.
    """
    live: set[ChunkId] = set()
    smaller = {trim.segment: trim for trim in trimmed}
    graph = LayerGraph(store, without_maps=smaller)
    is_readable = True
    for layer in set(all_layers(store.storage)).difference(without_layers):
        try:
            found = graph.references(layer)
        except StoreError:
            is_readable = False
            continue
        live |= found.chunks if found is not None else set()
    if not is_readable:
        # A layer that is being made names nothing yet. One that a root needs: this raises.
        graph.reach(kept_positions(store, without=without))
    for trim in smaller.values():
        live.update(piece.chunk for piece in trim.pieces)
    for root in _content_roots(store, without):
        _mark_object(store, root, live)
    return live


def _content_roots(store: Store, without: Without) -> set[TreeObjectId]:
    roots = set()
    for name in store.workspace_names():
        try:
            log = OperationsLog(store.storage, name)
        except NotFoundError:
            continue
        log.close()
        for snapshot in log.refs.snapshots.values():
            if snapshot.root is not None and snapshot.id not in without.get(name, ()):
                roots.add(snapshot.root)
    return roots


def _mark_object(store: Store, root: TreeObjectId, live: set[ChunkId]) -> None:
    # An object is marked only here and with all below it; a file that holds the bytes of an object
    # has the same chunk, so what was marked before tells nothing: each object is looked into once.
    seen: set[TreeObjectId] = set()
    waiting = [root]
    while waiting:
        object_id = waiting.pop()
        if object_id in seen:
            continue
        seen.add(object_id)
        live.add(ChunkId(object_id))
        for entry in decode_tree_object(store.chunks.get(ChunkId(object_id)), object_id):
            if isinstance(entry.content, FileContent):
                live.update(chunk for chunk, _ in entry.content.pieces if chunk is not None)
            elif stat.S_ISDIR(entry.mode):
                waiting.append(TreeObjectId(entry.content))
