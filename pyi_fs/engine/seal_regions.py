"""Regions of files on their way from a segment into chunks. Part of `engine/sealing.py`.

A region is what lies side by side in a file and is not sealed yet. It is cut into chunks as if it
were a file; where each of its pieces went is noted in the maps that are being made. Of a chunk that
is new, and that an earlier version of the file has but for little, only the little is stored.
"""

from collections.abc import Iterator

from pyi_fs import limits
from pyi_fs.engine.patching import EarlierVersion
from pyi_fs.engine.store import Store
from pyi_fs.ids import ChunkId, SegmentId
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.inode import Inode
from pyi_fs.store.chunker import Chunker

_READ_BYTES = 1 << 20


class Kept:
    """Which ranges of one segment are in its map already."""

    def __init__(self, pieces: ExtentList = extent.EMPTY) -> None:
        """Begins with what is in the map anyway."""
        self.pieces: ExtentList = pieces

    def missing(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yields the parts of a half-open range that are not."""
        for piece in extent.overlapping(self.pieces, start, end):
            if piece.file_offset > start:
                yield start, piece.file_offset
            start = piece.end
        if start < end:
            yield start, end


def regions(extents: ExtentList, kept: dict[SegmentId, Kept]) -> Iterator[list[Extent]]:
    """Yields unsealed scratch pieces that lie side by side in a file, in file order."""
    region: list[Extent] = []
    for item in extent.iterate(extents):
        state = kept.get(item.segment) if item.kind == extent.SCRATCH else None
        if state is None:
            if region:
                yield region
            region = []
            continue
        for start, end in state.missing(item.source_offset, item.source_offset + item.length):
            offset = item.file_offset + start - item.source_offset
            if region and region[-1].end != offset:
                yield region
                region = []
            region.append(Extent(offset, end - start, item.kind, item.source, start))
    if region:
        yield region


def moved(item: Extent, pieces: ExtentList) -> list[Extent]:
    """Returns the pieces of a map that an extent of its segment means, at their file offsets."""
    start = item.source_offset
    return [
        piece._replace(file_offset=item.file_offset + piece.file_offset - start)
        for piece in extent.overlapping(pieces, start, start + item.length)
    ]


def earlier_version(
    store: Store, inode: Inode | None, kept: dict[SegmentId, Kept]
) -> EarlierVersion | None:
    """Returns a version of a file in which bytes may be found; None if it has none."""
    if inode is None or not inode.extents:
        return None

    def locate(item: Extent) -> list[Extent]:
        if item.kind == extent.CHUNK:
            return [item]
        state = kept.get(item.segment)
        pieces = state.pieces if state is not None else store.layers.sealed_map(item.segment)
        return moved(item, pieces) if pieces is not None else []

    return EarlierVersion(store, inode, locate)


class RegionSealer:
    """Puts the bytes of one region into chunks, and notes where they are."""

    def __init__(
        self,
        store: Store,
        region: list[Extent],
        kept: dict[SegmentId, Kept],
        earlier: EarlierVersion | None = None,
    ) -> None:
        """Reads nothing yet. `earlier`: a version of the file from before the region's bytes."""
        self._store = store
        self._region = region
        self._kept = kept
        # A region too small for a patch is not looked for: pages of a database.
        size_bytes = region[-1].end - region[0].file_offset
        self._earlier = earlier if size_bytes >= limits.PATCHED_BYTES_MIN else None
        # The next byte to be noted: a piece of the region, and how much of that is.
        self._index = 0
        self._within = 0
        # New chunks side by side, and where in the earlier version they would begin.
        self._span: list[bytes] = []
        self._span_start: int | None = region[0].file_offset

    def seal(self, size_bytes: int) -> int:
        """Returns how many bytes there were. `size_bytes`: of the file."""
        chunker = Chunker()
        for data in self._data():
            for chunk in chunker.feed(data):
                self._take(chunk)
        for chunk in chunker.finish():
            self._take(chunk)
        end = self._region[-1].end
        if self._earlier is not None:
            self._put_span(self._earlier.size_bytes if end == size_bytes else end)
        assert self._index == len(self._region), "BUG: bytes of a region that went nowhere"
        return end - self._region[0].file_offset

    def _data(self) -> Iterator[bytes]:
        for piece in self._region:
            for start in range(0, piece.length, _READ_BYTES):
                length = min(_READ_BYTES, piece.length - start)
                offset = piece.source_offset + start
                data = self._store.layers.read_scratch(piece.segment, offset, length)
                assert data is not None
                yield data

    def _take(self, chunk: bytes) -> None:
        """Stores a chunk, or lets it wait for what comes behind it."""
        if self._earlier is None:
            self._put(chunk)
            return
        known = self._store.chunks.claim(chunk)
        if known is None:
            self._span.append(chunk)
            if sum(map(len, self._span)) >= limits.PATCH_SPAN_BYTES_MAX:
                self._put_span(None)
                self._span_start = None
            return
        start = self._earlier.start_of(known)
        self._put_span(start)
        self._note(known, 0, len(chunk))
        self._span_start = start + len(chunk) if start is not None else None

    def _put_span(self, end: int | None) -> None:
        """Stores what waits. `end`: where in the earlier version it would end."""
        span, self._span = self._span, []
        if not span:
            return
        assert self._earlier is not None
        patch = self._earlier.patch(b"".join(span), self._span_start, end)
        if patch is None:
            for chunk in span:
                self._put(chunk)
            return
        for piece in patch.before:
            self._refer(piece)
        if patch.new:
            self._put(patch.new)
        for piece in patch.after:
            self._refer(piece)

    def _put(self, data: bytes) -> None:
        self._note(self._store.chunks.put(data), 0, len(data))

    def _refer(self, piece: Extent) -> None:
        # Put, like any other: so it is kept from now on, whatever was thought of it before.
        chunk = self._store.chunks.put(self._store.chunks.get(piece.chunk))
        assert chunk == piece.chunk, "BUG: another chunk than was read"
        self._note(chunk, piece.source_offset, piece.length)

    def _note(self, chunk: ChunkId, start: int, length: int) -> None:
        """Notes that the next bytes of the region are a part of a chunk."""
        while length:
            piece = self._region[self._index]
            part = min(piece.length - self._within, length)
            offset = piece.source_offset + self._within
            state = self._kept[piece.segment]
            state.pieces = extent.with_extent(
                state.pieces, Extent(offset, part, extent.CHUNK, chunk, start)
            )
            start += part
            length -= part
            self._within += part
            if self._within == piece.length:
                self._index += 1
                self._within = 0
