"""Which holders need what: layers, bytes of sealed segments, chunks. Reads only.

Found as collection finds it (`engine/marking.py`, `engine/collector.py`), for all holders at once:
every journal is folded once, and an inode is looked at again only where a record touched it.
"""

import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce
from graphlib import TopologicalSorter
from operator import or_
from typing import NamedTuple

from pyi_fs.engine.history import History
from pyi_fs.engine.holders import Held, Holders
from pyi_fs.engine.marking import sealed_maps
from pyi_fs.engine.references import LayerGraph, all_layers, table_chunks
from pyi_fs.engine.store import Store
from pyi_fs.engine.tables import Beginnings, Folds
from pyi_fs.engine.unwritten import unwritten_segments
from pyi_fs.format.treeobject import decode_tree_object
from pyi_fs.ids import ChunkId, InodeNumber, LayerId, SegmentId, TreeObjectId
from pyi_fs.model import extent
from pyi_fs.model.extent import SCRATCH, Extent, ExtentList
from pyi_fs.model.mutation import Adopt, Graft, Share, Write
from pyi_fs.model.ranges import Ranges, union
from pyi_fs.model.tree import Tree
from pyi_fs.store import layout

Progress = Callable[[str], None]


class Piece(NamedTuple):
    """Bytes `[start, end)` of a sealed segment, and who needs them."""

    start: int
    end: int
    holders: Holders


class Needs(NamedTuple):
    """What a store has and who needs it (0: nobody).

    `tables`: base tables that can go while their layers stay. `maps`, `segments`: sealed ones;
    `scratch`: those that mounts left behind without sealing them.
    """

    layers: dict[LayerId, Holders]
    tables: dict[LayerId, Holders]
    maps: dict[SegmentId, ExtentList]
    segments: dict[SegmentId, list[Piece]]
    scratch: dict[SegmentId, Holders]
    chunks: dict[ChunkId, Holders]


def needs_of(store: Store, held: Held, progress: Progress = lambda _: None) -> Needs:
    """Returns who needs what. O(store), without file data; `StoreError` if damage hides it."""
    positions = held.by_position()
    maps = sealed_maps(store)
    unwritten = unwritten_segments(store) - maps.keys()
    layers: dict[LayerId, Holders] = dict.fromkeys(all_layers(store.storage), 0)
    beginnings = Beginnings(store)
    tables: dict[LayerId, Holders] = {one: 0 for one in layers if beginnings.can_go(one)}
    graph = LayerGraph(store, without_maps=maps, without_tables=tables)
    reached: dict[LayerId, set[LayerId]] = {}
    for root, offsets in positions.items():
        progress(layout.journal(root))
        reached[root] = graph.reach([root])
        holders = 0
        for bits in offsets.values():
            holders |= bits
        for layer in reached[root]:
            layers[layer] = layers.get(layer, 0) | holders
        for layer in tables.keys() & beginnings.of(root):
            tables[layer] |= holders
    ranges = _reached_ranges(store, positions, reached, {*maps, *unwritten}, progress)
    segments = {segment: list(_pieces(ranges[segment])) for segment in maps}
    scratch = {one: reduce(or_, ranges[one].values(), 0) for one in unwritten}
    chunks = _chunks_of_layers(store, graph, layers, tables)
    for segment, pieces in segments.items():
        for start, end, holders in pieces:
            for item in extent.overlapping(maps[segment], start, end):
                chunks[item.chunk] |= holders
    progress("sealed snapshots")
    _add_objects(store, held, chunks)
    return Needs(layers, tables, maps, segments, scratch, dict(chunks))


def _chunks_of_layers(
    store: Store,
    graph: LayerGraph,
    layers: Mapping[LayerId, Holders],
    tables: Mapping[LayerId, Holders],
) -> dict[ChunkId, Holders]:
    """Returns who needs the chunks that journals and base tables name."""
    chunks: dict[ChunkId, Holders] = defaultdict(int)
    for layer, holders in layers.items():
        found = graph.references(layer) if holders else None
        for chunk in found.chunks if found is not None else ():
            chunks[chunk] |= holders
    for layer, holders in tables.items():
        for chunk in table_chunks(store.storage, layer) if holders else ():
            chunks[chunk] |= holders
    return chunks


_Ranges = dict[SegmentId, dict[tuple[int, int], Holders]]


def _reached_ranges(
    store: Store,
    positions: Mapping[LayerId, Mapping[int, Holders]],
    reached: Mapping[LayerId, set[LayerId]],
    segments: set[SegmentId],
    progress: Progress,
) -> "_Ranges":
    """Returns the ranges of sealed segments that trees of the positions reach; they may overlap."""
    ranges: _Ranges = defaultdict(lambda: defaultdict(int))
    candidates = _Candidates(store, segments)
    folds = Folds(store)
    for root, offsets in positions.items():
        progress(layout.journal(root))
        numbers = candidates.of(reached[root])
        for history in folds.of(root) if numbers else ():
            _collect(history, root, offsets, numbers, ranges)
    return ranges


class _Candidates:
    """The inodes whose extents may lie in some segments, by the layers that say so."""

    def __init__(self, store: Store, segments: set[SegmentId]) -> None:
        self._store = store
        self._segments = segments
        self._known: dict[LayerId, set[InodeNumber]] = {}

    def of(self, layers: Iterable[LayerId]) -> set[InodeNumber]:
        """Returns those that records of the layers name."""
        found: set[InodeNumber] = set()
        for layer in layers:
            if layer not in self._known:
                self._known[layer] = set(self._look(layer))
            found |= self._known[layer]
        return found

    def _look(self, layer: LayerId) -> Iterator[InodeNumber]:
        for _, mutation in self._store.layers.records(layer, 0, 1 << 62):
            match mutation:
                case Write() if mutation.segment in self._segments:
                    yield mutation.number
                case Share() | Adopt():
                    yield mutation.number
                case Graft():
                    yield from (number for number, inode in mutation.inodes if inode is not None)
                case _:
                    pass


def _collect(
    history: History,
    layer: LayerId,
    offsets: Mapping[int, Holders],
    candidates: set[InodeNumber],
    ranges: _Ranges,
) -> None:
    """Adds what the trees at some offsets of a layer reach, in one pass over its journal."""
    places = sorted(offsets)
    # Who holds one of the places from the n-th to the last: what is there from a place on and goes
    # at another is needed by who is in the first sum and what lies between.
    since: dict[InodeNumber, int] = dict.fromkeys(candidates, 0)
    between = _Between([offsets[place] for place in places])
    tree: Tree | None = None
    for index, step in enumerate(history.steps(layer, places)):
        if tree is not None and step.changed is not None:
            for number in candidates & step.changed:
                _add(tree, number, between.holders(since[number], index), ranges)
                since[number] = index
        tree = step.tree
    if tree is not None:
        for number in candidates:
            _add(tree, number, between.holders(since[number], len(places)), ranges)


class _Between:
    """Who holds the places from one to before another; each pair is worked out once."""

    def __init__(self, holders: list[Holders]) -> None:
        self._holders = holders
        self._known: dict[tuple[int, int], Holders] = {}

    def holders(self, first: int, last: int) -> Holders:
        key = first, last
        if key not in self._known:
            found = 0
            for bits in self._holders[first:last]:
                found |= bits
            self._known[key] = found
        return self._known[key]


def _add(tree: Tree, number: InodeNumber, holders: Holders, ranges: _Ranges) -> None:
    inode = tree.inode(number)
    if inode is None or not inode.extents:
        return
    for item in extent.iterate(inode.extents):
        if item.kind == SCRATCH:
            place = item.source_offset, item.source_offset + item.length
            ranges[item.segment][place] |= holders


def _pieces(ranges: Mapping[tuple[int, int], Holders]) -> Iterator[Piece]:
    """Yields the parts of ranges that may overlap, disjoint and in order."""
    begin: dict[int, list[Holders]] = defaultdict(list)
    end: dict[int, list[Holders]] = defaultdict(list)
    for (first, last), holders in ranges.items():
        begin[first].append(holders)
        end[last].append(holders)
    active: list[Holders] = []
    place = 0
    for edge in sorted(begin.keys() | end.keys()):
        if active:
            together = 0
            for holders in active:
                together |= holders
            yield Piece(place, edge, together)
        for holders in end[edge]:
            active.remove(holders)
        active += begin[edge]
        place = edge


def kept(pieces: Iterable[Piece], removed: Holders) -> Ranges:
    """Returns the ranges that somebody else than `removed` needs."""
    return union((one.start, one.end) for one in pieces if one.holders & ~removed)


def cut_map(pieces: ExtentList, ranges: Iterable[tuple[int, int]]) -> list[Extent]:
    """Returns the parts of a map inside some ranges."""
    return [item for start, end in ranges for item in extent.overlapping(pieces, start, end)]


def _add_objects(store: Store, held: Held, chunks: dict[ChunkId, Holders]) -> None:
    """Adds the tree objects of sealed snapshots; each is read once."""
    holders: dict[TreeObjectId, Holders] = defaultdict(int)
    for number, holder in enumerate(held.holders):
        if holder.root is not None:
            holders[holder.root] |= 1 << number
    below = _objects(store, holders)
    # What is below comes out first, so the other way round an object's holders are complete.
    for object_id in reversed(list(TopologicalSorter(below).static_order())):
        chunks[ChunkId(object_id)] |= holders[object_id]
        for child in below[object_id]:
            holders[child] |= holders[object_id]


def _objects(store: Store, roots: Iterable[TreeObjectId]) -> dict[TreeObjectId, set[TreeObjectId]]:
    """Returns all tree objects below roots, each with those in it."""
    found: dict[TreeObjectId, set[TreeObjectId]] = {}
    waiting = list(roots)
    while waiting:
        object_id = waiting.pop()
        if object_id in found:
            continue
        below = found[object_id] = set()
        for entry in decode_tree_object(store.chunks.get(ChunkId(object_id)), object_id):
            if stat.S_ISDIR(entry.mode):
                below.add(TreeObjectId(entry.content))
        waiting += below
    return found
