"""Where the bytes of files are: ranges of segments and of chunks, and who else holds them.

Two passes over everything that names bytes. The first collects what the files name, with what is
named where the first finds it: maps of sealed segments, and extents that were shared. The second
collects what others name of the same segments and chunks. Reads only. Part of `engine/purge.py`.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pyi_fs.engine.purge_files import FileKey, Files
from pyi_fs.engine.references import open_base
from pyi_fs.engine.store import Store
from pyi_fs.ids import ChunkId, InodeNumber, LayerId, SegmentId, segment_id, segment_layer
from pyi_fs.model import extent, ranges
from pyi_fs.model.extent import CHUNK, Extent, ExtentList
from pyi_fs.model.mutation import Adopt, Graft, Mutation, Share, Write
from pyi_fs.model.ranges import Ranges
from pyi_fs.store import layout, sealmap
from pyi_fs.store.journal import replay

_Source = SegmentId | ChunkId
_Named = dict[_Source, list[tuple[int, int]]]


class Holder(NamedTuple):
    """Another file that has some of the bytes: a layer that names it, and its number there."""

    layer: LayerId
    number: InodeNumber


class Found(NamedTuple):
    """Bytes of files, and what others hold of them.

    `files`: those asked for, and the orphans they became.
    """

    files: set[FileKey]
    own: dict[_Source, Ranges]
    others: dict[_Source, Ranges]
    holders: dict[Holder, int]


class Search:
    """Looks for the bytes of some files in a store."""

    def __init__(
        self,
        store: Store,
        files: Files,
        wanted: set[FileKey],
        progress: Callable[[str], None],
    ) -> None:
        """Reads nothing yet."""
        self._store = store
        self._files = files
        self._wanted = set(wanted)
        self._numbers = {key.number for key in wanted}
        self._progress = progress
        self._own: _Named = defaultdict(list)
        # By layer: segment, end, start, inode of each write, in this order.
        self._writes: dict[LayerId, list[tuple[SegmentId, int, int, InodeNumber]]] = {}

    def is_wanted(self, layer: LayerId, number: InodeNumber) -> bool:
        """Returns whether a number of a layer is one of the files."""
        return number in self._numbers and self._files.key(layer, number) in self._wanted

    def run(self) -> Found:
        """Returns what there is. O(store); `StoreError` if damage hides something."""
        count = -1
        while count != len(self._wanted):
            # An orphan that was adopted is a file more, and may have been written since.
            count = len(self._wanted)
            self._own = defaultdict(list)
            for layer in self._files.headers:
                self._progress(layout.journal(layer))
                self._collect(layer)
            self._follow_maps(self._own)
            self._adopt_orphans()
        own = {source: ranges.union(named) for source, named in self._own.items()}
        others: _Named = defaultdict(list)
        holders: dict[Holder, int] = defaultdict(int)
        for holder, source, start, end in self._held_by_others(own):
            shared = ranges.common(own[source], ((start, end),))
            others[source].append((start, end))
            if shared:
                holders[holder] += ranges.size(shared)
        # Who names a segment that is sealed has its chunks: what both named is in no other map.
        self._follow_maps(others)
        merged = {source: ranges.union(named) for source, named in others.items()}
        return Found(self._wanted, own, merged, dict(holders))

    def _collect(self, layer: LayerId) -> None:
        for _, mutation in replay(self._store.storage, layer, 0):
            if type(mutation) is Write and self.is_wanted(layer, mutation.number):
                start = mutation.source_offset
                self._own[mutation.segment].append((start, start + mutation.length))
                continue
            for number, extents in _brought_along(mutation):
                if self.is_wanted(layer, number):
                    self._add(extents)
        table = open_base(self._store.storage, layer)
        for number in self._numbers if table is not None else ():
            inode = table.inode(number) if table is not None else None
            if inode is not None and inode.extents and self.is_wanted(layer, number):
                self._add(inode.extents)

    def _add(self, extents: ExtentList) -> None:
        for item in extent.iterate(extents):
            self._own[_source(item)].append((item.source_offset, item.source_offset + item.length))

    def _follow_maps(self, named: _Named) -> None:
        """Adds the parts of chunks that named parts of sealed segments are."""
        for source in [source for source in named if isinstance(source, int)]:
            parts = ranges.union(named[source])
            for piece in _pieces(self._store, source):
                inside = ranges.common(parts, ((piece.file_offset, piece.end),))
                shift = piece.source_offset - piece.file_offset
                for start, end in inside:
                    named[piece.chunk].append((start + shift, end + shift))

    def _adopt_orphans(self) -> None:
        for layer in self._files.headers:
            for _, mutation in replay(self._store.storage, layer, 0):
                if type(mutation) is not Adopt:
                    continue
                named = (
                    (_source(item), item.source_offset, item.source_offset + item.length)
                    for item in extent.iterate(mutation.inode.extents)
                )
                if any(
                    ranges.common(ranges.union(self._own[source]), ((start, end),))
                    for source, start, end in named
                    if source in self._own
                ):
                    self._wanted.add(self._files.key(layer, mutation.number))
                    self._numbers.add(mutation.number)

    def _held_by_others(
        self, own: dict[_Source, Ranges]
    ) -> Iterator[tuple[Holder, _Source, int, int]]:
        """Yields what others name of the sources that the files have something in."""
        for layer in self._files.headers:
            self._progress(layout.journal(layer))
            for number, items in self._of_others(layer, own):
                for item in items:
                    source = _source(item)
                    if source in own:
                        end = item.source_offset + item.length
                        yield Holder(layer, number), source, item.source_offset, end
            yield from self._mapped_for_others(layer, own)

    def _of_others(
        self, layer: LayerId, own: dict[_Source, Ranges]
    ) -> Iterator[tuple[InodeNumber, Iterable[Extent]]]:
        for _, mutation in replay(self._store.storage, layer, 0):
            if type(mutation) is Write:
                if mutation.segment in own and not self.is_wanted(layer, mutation.number):
                    source = extent.scratch_source(mutation.segment)
                    start, length = mutation.source_offset, mutation.length
                    yield mutation.number, [Extent(0, length, extent.SCRATCH, source, start)]
                continue
            for number, extents in _brought_along(mutation):
                if extents and type(mutation) is not Adopt and not self.is_wanted(layer, number):
                    yield number, extent.iterate(extents)
        table = open_base(self._store.storage, layer)
        for number in table.numbers() if table is not None else ():
            inode = table.inode(number) if table is not None else None
            if inode is not None and inode.extents and not self.is_wanted(layer, number):
                yield number, extent.iterate(inode.extents)

    def _mapped_for_others(
        self, layer: LayerId, own: dict[_Source, Ranges]
    ) -> Iterator[tuple[Holder, _Source, int, int]]:
        """Yields what is named through maps: by no record as a chunk, but by somebody."""
        for name in self._store.storage.list(layout.layer_directory(layer)):
            index = layout.segment_of(name, "map-")
            if index is None:
                continue
            segment = segment_id(layer, index)
            mine = own.get(segment, ranges.NOTHING)
            for piece in _pieces(self._store, segment):
                if piece.chunk not in own:
                    continue
                shift = piece.source_offset - piece.file_offset
                for start, end in ranges.without(((piece.file_offset, piece.end),), mine):
                    number = self._writer_of(segment, start)
                    # Bytes that no record names can be read by nobody.
                    if number is not None:
                        yield Holder(layer, number), piece.chunk, start + shift, end + shift

    def _writer_of(self, segment: SegmentId, offset: int) -> InodeNumber | None:
        """Returns whose record wrote a byte of a segment."""
        layer = segment_layer(segment)
        if layer not in self._writes:
            writes = self._writes[layer] = []
            for _, mutation in replay(self._store.storage, layer, 0):
                if type(mutation) is Write and mutation.length:
                    end = mutation.source_offset + mutation.length
                    writes.append((mutation.segment, end, mutation.source_offset, mutation.number))
            writes.sort()
        writes = self._writes[layer]
        index = bisect_right(writes, (segment, offset, 1 << 64, InodeNumber(0)))
        if index == len(writes) or writes[index][0] != segment or writes[index][2] > offset:
            return None
        return writes[index][3]


def _source(item: Extent) -> _Source:
    return item.chunk if item.kind == CHUNK else item.segment


def _pieces(store: Store, segment: SegmentId) -> Iterator[Extent]:
    """Yields the pieces of a segment's map, if it has one."""
    path = layout.seal_map(segment)
    try:
        data = store.storage.read(path)
    except FileNotFoundError:
        return
    yield from extent.iterate(sealmap.decode(data, path))


def _brought_along(mutation: Mutation) -> Iterator[tuple[InodeNumber, ExtentList]]:
    match mutation:
        case Share():
            yield mutation.number, mutation.extents
        case Adopt():
            yield mutation.number, mutation.inode.extents
        case Graft():
            for number, inode in mutation.inodes:
                if inode is not None:
                    yield number, inode.extents
        case _:
            return
