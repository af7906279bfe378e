"""Which chunks the content of a file is: where it is cut, and the id of each.

What a tree object says of a file. Names bytes, stores none: they are where the file's extents have
them (`docs/decisions/0014-small-edits.md`).

Invariant: the pieces depend on the content alone. What is known of an earlier version saves reading
what did not change, and nothing else: a cut depends on the bytes after the one before it.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import zip_longest

from blake3 import blake3

from pyi_fs.format.pack import CUT_BYTES_MAX
from pyi_fs.format.treeobject import FileContent
from pyi_fs.ids import ChunkId
from pyi_fs.model import extent
from pyi_fs.model.inode import Inode
from pyi_fs.model.ranges import Ranges, union
from pyi_fs.store.chunker import cut_points

Read = Callable[[int, int], bytes]
"""Returns bytes of the file: offset, length."""


class Earlier:
    """A version of a file whose pieces are known, and where another one differs from it."""

    def __init__(self, inode: Inode, content: FileContent, now: Inode) -> None:
        """`content`: the pieces of `inode`; `now`: the version that is to be cut."""
        changed = list(extent.differing(inode.extents, now.extents))
        self._starts = [start for start, _ in changed]
        self._ends = [end for _, end in changed]
        # By where they begin: id, end, and whether a hole or the end of the file comes next.
        self._chunks: dict[int, tuple[ChunkId, int, bool]] = {}
        position = 0
        for (chunk, length), after in zip_longest(content.pieces, content.pieces[1:]):
            if chunk is not None:
                is_last = after is None or after[0] is None
                self._chunks[position] = chunk, position + length, is_last
            position += length

    def chunk_at(self, start: int, end: int) -> tuple[ChunkId, int] | None:
        """Returns the chunk that begins at `start` in both versions, and its length, or None.

        `end`: where the data that `start` is in ends now.
        """
        found = self._chunks.get(start)
        if found is None:
            return None
        chunk, stop, is_last = found
        # What the end of the data cut off is a chunk only where the data ends now, too. (Where it
        # ends before, something has changed.)
        if (is_last and stop != end) or self._is_changed(start, stop):
            return None
        assert stop <= end, "BUG: data that ends earlier and did not change"
        return chunk, stop - start

    def _is_changed(self, start: int, end: int) -> bool:
        index = bisect_right(self._ends, start)
        return index < len(self._starts) and self._starts[index] < end


def content_of(inode: Inode, read: Read, earlier: Earlier | None = None) -> FileContent:
    """Returns the pieces of a regular file; reads it as far as `earlier` does not say them."""
    return FileContent(inode.size, tuple(_pieces(inode, read, earlier)))


def _pieces(
    inode: Inode, read: Read, earlier: Earlier | None
) -> Iterator[tuple[ChunkId | None, int]]:
    """Yields the chunks of a file, holes between extents apart.

    Each run of data is cut from its beginning.
    """
    position = 0
    for start, end in _runs(inode):
        if start > position:
            yield None, start - position
        window = _Window(read, end)
        position = start
        while position < end:
            known = earlier.chunk_at(position, end) if earlier is not None else None
            if known is None:
                data = window.chunk_at(position)
                known = ChunkId(blake3(data).digest()), len(data)
            yield known
            position += known[1]
    if position < inode.size:
        yield None, inode.size - position


class _Window:
    """The part of a run of data that is being cut: at most two of the largest chunks."""

    def __init__(self, read: Read, end: int) -> None:
        self._read = read
        self._end = end
        self._offset = 0
        self._data = b""

    def chunk_at(self, start: int) -> memoryview:
        """Returns the chunk that begins at `start`, where one does."""
        assert start >= self._offset, "BUG: cuts go forward"
        # Nothing may be left: chunks that were known were not read.
        self._data = self._data[start - self._offset :]
        self._offset = start
        if len(self._data) < min(CUT_BYTES_MAX, self._end - start):
            place = start + len(self._data)
            self._data += self._read(place, min(CUT_BYTES_MAX, self._end - place))
        # Certain when the largest possible chunk was there to be looked at.
        _, cut = next(cut_points(self._data))
        return memoryview(self._data)[:cut]


def _runs(inode: Inode) -> Ranges:
    """Returns the half-open ranges of a file that have data."""
    found = extent.overlapping(inode.extents, 0, inode.size)
    return union((item.file_offset, item.end) for item in found)
