"""Which chunks are wanted, and which bytes of sealed segments. Reads only.

Wanted are the chunks that the files of a layer name that stays, and the tree objects of kept
snapshots. (What these say of files are names, no references: the bytes are where the snapshot's
tree has them; `docs/decisions/0014-small-edits.md`.) Of a sealed segment only those bytes are
wanted that some root's tree reaches, folded in any of the ways of `engine/tables.py`: the others
were reached by what is gone by now, and leave the map.
"""

import stat
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from pyi_fs.engine.held import frozen
from pyi_fs.engine.references import LayerGraph, all_layers
from pyi_fs.engine.roots import NOTHING, Without, logged_names, roots_of
from pyi_fs.engine.salvage import salvaged
from pyi_fs.engine.sealing import trees_reaching
from pyi_fs.engine.store import Store
from pyi_fs.engine.tables import Folds
from pyi_fs.errors import NotFoundError, StoreError
from pyi_fs.format.treeobject import decode_tree_object
from pyi_fs.ids import (
    ChunkId,
    LayerId,
    SegmentId,
    TreeObjectId,
    WorkspaceName,
    layer_name,
    segment_id,
    segment_layer,
)
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.operation import SealSnapshot
from pyi_fs.model.ranges import union
from pyi_fs.store import layout, sealmap
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES


class Trim(NamedTuple):
    """A seal map that can become smaller.

    Or (`is_scratch`) a segment that is not sealed and can go: nothing of it is wanted, and an empty
    map takes its place.
    """

    segment: SegmentId
    pieces: tuple[Extent, ...]
    old_bytes: int
    new_bytes: int
    frees_bytes: int
    is_scratch: bool = False

    def __str__(self) -> str:
        """Returns one line for people."""
        if self.is_scratch:
            path = layout.scratch(self.segment)
            return f"remove {path}: nothing of its {self.old_bytes} bytes is wanted"
        path = layout.seal_map(self.segment)
        return f"trim {path}: {self.old_bytes - self.new_bytes} of {self.old_bytes} kept bytes"


class Marked(NamedTuple):
    """The chunks that are wanted. `missing`: why there may be more of them; empty: there are none.

    With something missing no chunk may be removed.
    """

    live: set[ChunkId]
    missing: tuple[str, ...] = ()


def sealed_maps(store: Store) -> dict[SegmentId, ExtentList]:
    """Returns the maps of segments whose sealing has finished, but for damaged ones.

    To be listed before the roots are read: what is sealed by now belongs to a layer that is in a
    log by now. A layer that is made, written and sealed after the roots were read is none of
    theirs, and nothing of it would be found to be reached.
    """
    maps: dict[SegmentId, ExtentList] = {}
    for layer in all_layers(store.storage):
        names = store.storage.list(layout.layer_directory(layer))
        for name in names:
            index = layout.segment_of(name, "map-")
            if index is not None and f"scratch-{index:06d}" not in names:
                path = layout.seal_map(segment_id(layer, index))
                with suppress(FileNotFoundError, StoreError):
                    # Gone meanwhile, or damaged: then it stays as it is.
                    pieces = sealmap.decode(store.storage.read(path), path)
                    maps[segment_id(layer, index)] = pieces
    return maps


def trims(
    store: Store,
    positions: dict[LayerId, set[int]],
    maps: Mapping[SegmentId, ExtentList],
    *,
    passed: Collection[LayerId] = (),
    unwritten: Collection[SegmentId] = (),
) -> tuple[Trim, ...]:
    """Returns those of `maps` that hold bytes no tree of the positions reaches.

    And those of `unwritten` segments, which are not sealed, of which none reaches anything. Both
    were listed before the positions were read.

    O(trees of the positions). Layers that go anyway, or are to stay as they are (`passed`), are
    passed over.
    """
    maps = {one: maps[one] for one in maps if segment_layer(one) not in passed}
    scratch = {segment for segment in unwritten if segment_layer(segment) not in passed}
    if not maps and not scratch:
        return ()
    reached, unknown = _reached(store, {*maps, *scratch}, positions)
    known = [segment for segment in sorted(maps) if segment_layer(segment) not in unknown]
    found = [_trimmed(store, segment, maps[segment], reached[segment]) for segment in known]
    noted: set[LayerId] = set()
    found += [
        scratch_trim(store, segment, noted)
        for segment in sorted(scratch - reached.keys())
        if segment_layer(segment) not in unknown
    ]
    return tuple(trim for trim in found if trim is not None)


class Trims:
    """As `trims`, for one question after the other: the same one again costs nothing.

    For plans only: of what has changed on disk since then, the answer knows nothing.
    """

    def __init__(self, store: Store) -> None:
        """Looks at nothing yet."""
        self._store = store
        self._last: tuple[_Question, tuple[Trim, ...]] | None = None

    def of(
        self,
        positions: dict[LayerId, set[int]],
        maps: Mapping[SegmentId, ExtentList],
        passed: set[LayerId],
        unwritten: set[SegmentId],
    ) -> tuple[Trim, ...]:
        """Returns the trims: those of the question before, if this is the same."""
        question = _Question(positions, maps, passed, unwritten)
        if self._last is None or self._last[0] != question:
            found = trims(self._store, positions, maps, passed=passed, unwritten=unwritten)
            self._last = question, found
        return self._last[1]


class _Question(NamedTuple):
    positions: dict[LayerId, set[int]]
    maps: Mapping[SegmentId, ExtentList]
    passed: set[LayerId]
    unwritten: set[SegmentId]


def _reached(
    store: Store, segments: set[SegmentId], positions: dict[LayerId, set[int]]
) -> tuple[dict[SegmentId, set[tuple[int, int]]], set[LayerId]]:
    """Returns the half-open ranges of segments that trees reach; they may overlap.

    And the layers of which that is not all, since some tree cannot be made.
    """
    found: dict[SegmentId, set[tuple[int, int]]] = defaultdict(set)
    unknown: set[LayerId] = set()
    folds = Folds(store)
    for tree, candidates in trees_reaching(store, folds.of, segments, positions, unknown):
        for number in candidates:
            inode = tree.inode(number)
            if inode is None or not inode.extents:
                continue
            for item in extent.iterate(inode.extents):
                if item.kind == extent.SCRATCH and item.segment in segments:
                    found[item.segment].add((item.source_offset, item.source_offset + item.length))
    return found, unknown


def _trimmed(
    store: Store, segment: SegmentId, pieces: ExtentList, reached: Iterable[tuple[int, int]]
) -> Trim | None:
    kept = [
        _cut(piece, start, end)
        for start, end in union(reached)
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


def scratch_trim(store: Store, segment: SegmentId, noted: set[LayerId]) -> Trim | None:
    """Returns what removing a segment that is not sealed gives back, or None if it is gone.

    `noted`: layers of which another one was asked before; this one's is added.
    """
    size_bytes = store.storage.size_bytes(layout.scratch(segment))
    if size_bytes is None:
        return None
    frees_bytes = occupied_bytes(store, segment) - PUNCH_BLOCK_BYTES
    layer = segment_layer(segment)
    is_new = layer not in noted and not store.storage.exists(layout.noted(layer))
    if is_new and store.layers.header(layer).boot == store.layers.boot:
        # How far it is durable is noted first (`sealing.note_whole`), once for a layer.
        frees_bytes -= PUNCH_BLOCK_BYTES
    noted.add(layer)
    return Trim(segment, (), size_bytes, 0, frees_bytes, is_scratch=True)


def occupied_bytes(store: Store, segment: SegmentId) -> int:
    """Returns the disk that a segment occupies, sealed or not."""
    paths = (layout.seal_map(segment), layout.scratch(segment), layout.runs(segment))
    return sum(map(store.storage.allocated_bytes, paths))


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
    without_tables: Collection[LayerId] = (),
    trimmed: Iterable[Trim] = (),
    without: Without = NOTHING,
) -> Marked:
    """Returns every chunk that is wanted.

    As it will be without some layers, base tables and snapshots, and with maps trimmed.
    """
    live: set[ChunkId] = set()
    smaller = {trim.segment: trim for trim in trimmed}
    graph = LayerGraph(store, without_maps=smaller, without_tables=without_tables)
    partial: set[LayerId] = set()
    layers = all_layers(store.storage)
    for layer in set(layers).difference(without_layers):
        found = graph.readable(layer)
        if found is not None:
            live |= found.chunks
            if found.is_partial:
                partial.add(layer)
    for trim in smaller.values():
        live.update(piece.chunk for piece in trim.pieces)
    missing = [f"layer {layer_name(layer)} cannot be read" for layer in _needed(store, partial)]
    roots, hidden = _content_roots(store, without)
    missing += [f"the log of '{name}' cannot be read" for name in hidden]
    for root in roots:
        try:
            _mark_object(store, root, live)
        except StoreError as error:
            missing.append(str(error))
    return Marked(live, tuple(missing))


def _needed(store: Store, partial: set[LayerId]) -> list[LayerId]:
    """Returns those layers that a root needs: one that is being made names nothing yet."""
    if not partial:
        return []
    graph = LayerGraph(store)
    roots, layers = roots_of(store), all_layers(store.storage)
    needed = graph.reach(roots.all_positions(), partly=True)
    needed |= frozen(store, roots, graph, layers, time.time_ns())
    return sorted(partial & needed)


def _content_roots(store: Store, without: Without) -> tuple[set[TreeObjectId], list[WorkspaceName]]:
    """Returns the content roots of snapshots, and the workspaces whose log cannot be read at all.

    Of a log that is damaged, those of deleted snapshots too: what deleted them may be unreadable.
    """
    roots: set[TreeObjectId] = set()
    hidden: list[WorkspaceName] = []
    for name in logged_names(store):
        found = salvaged(store.storage, name)
        refs = None
        try:
            log = OperationsLog(store.storage, name)
            log.close()
            refs = log.refs
        except NotFoundError:
            continue
        except (StoreError, OSError):
            # Then every root in it counts.
            pass
        if refs is not None and found.is_whole:
            removed = without[name].snapshots if name in without else ()
            for snapshot in refs.snapshots.values():
                if snapshot.root is not None and snapshot.id not in removed:
                    roots.add(snapshot.root)
            continue
        if not found.is_readable:
            hidden.append(name)
        roots.update(one.root for one in found.operations if isinstance(one, SealSnapshot))
    return roots, hidden


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
        entries = decode_tree_object(store.chunks.get(ChunkId(object_id)), object_id)
        waiting += [TreeObjectId(one.content) for one in entries if stat.S_ISDIR(one.mode)]
