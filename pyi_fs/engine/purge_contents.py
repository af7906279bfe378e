"""What files will hold once bytes are taken out of a store. Reads only; part of `engine/purge.py`.

Before the bytes go and after it the answer is the same: what is gone reads as zeros already.
"""

from collections.abc import Mapping

from pyi_fs.engine.cutting import content_of
from pyi_fs.engine.reader import Reader
from pyi_fs.engine.sealing import resolved
from pyi_fs.engine.store import Store
from pyi_fs.format.treeobject import FileContent
from pyi_fs.ids import ChunkId, SegmentId
from pyi_fs.model import extent, ranges
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.inode import Inode
from pyi_fs.model.ranges import Ranges


class NewContents:
    """Says of a file what a tree object will say of it."""

    def __init__(
        self, store: Store, gone: Mapping[SegmentId, Ranges], kept: Mapping[ChunkId, Ranges]
    ) -> None:
        """`gone`: what becomes zeros of segments; `kept`: what does not, of chunks that change."""
        self._store = store
        self._reader = Reader(store.layers, store.chunks)
        self._gone = gone
        self._kept = kept
        # Most snapshots of a file show the same version of it.
        self._found: dict[tuple[int, ExtentList], FileContent] = {}

    def of(self, inode: Inode) -> FileContent:
        """Returns the pieces of a regular file as it will be; reads all of it; `StoreError`."""
        key = inode.size, inode.extents
        if key not in self._found:
            extents = resolved(self._store, inode.extents)

            def read(offset: int, length: int) -> bytes:
                data = bytearray(self._reader.read(inode, offset, length))
                for item in extent.overlapping(extents, offset, offset + length):
                    for start, end in self._gone_of(item):
                        place = item.file_offset - offset + start - item.source_offset
                        data[place : place + end - start] = bytes(end - start)
                return bytes(data)

            self._found[key] = content_of(inode, read)
        return self._found[key]

    def _gone_of(self, item: Extent) -> Ranges:
        """Returns what becomes zeros of the bytes that an extent names, by their source."""
        named = ((item.source_offset, item.source_offset + item.length),)
        if item.kind == extent.SCRATCH:
            return ranges.common(named, self._gone.get(item.segment, ranges.NOTHING))
        kept = self._kept.get(item.chunk)
        return ranges.NOTHING if kept is None else ranges.without(named, kept)
