"""Extents to bytes: from scratch, from chunks, holes as zeros."""

from pyi_fs.errors import CorruptTreeError
from pyi_fs.model.extent import CHUNK, Extent, ExtentList, overlapping
from pyi_fs.model.inode import Inode
from pyi_fs.store.chunks import ChunkStore, part_of
from pyi_fs.store.layers import Layers


class Reader:
    """Reads file contents of any tree of a store."""

    def __init__(self, layers: Layers, chunks: ChunkStore) -> None:
        """Reads through the given parts."""
        self._layers = layers
        self._chunks = chunks

    def read(self, inode: Inode, offset: int, length: int) -> bytes:
        """Returns the bytes `[offset, offset + length)` of a file, fewer at its end.

        May wait for a disk; `StoreError`.
        """
        data = self._read(inode.extents, offset, min(offset + length, inode.size), nowait=False)
        assert data is not None
        return data

    def read_nowait(self, inode: Inode, offset: int, length: int) -> bytes | None:
        """Returns what `read` would if nothing has to be waited for or decoded, else None."""
        return self._read(inode.extents, offset, min(offset + length, inode.size), nowait=True)

    def read_all(self, inode: Inode) -> bytes:
        """Returns a whole file."""
        return self.read(inode, 0, inode.size)

    def _read(self, extents: ExtentList, start: int, end: int, *, nowait: bool) -> bytes | None:
        if start >= end:
            return b""
        found = overlapping(extents, start, end)
        if len(found) == 1 and found[0].length == end - start:
            return self._extent(found[0].kind, found[0], nowait=nowait)
        parts = []
        position = start
        for extent in found:
            if extent.file_offset > position:
                parts.append(bytes(extent.file_offset - position))
            elif extent.file_offset < position:
                raise CorruptTreeError(f"two extents at offset {extent.file_offset} of a file")
            data = self._extent(extent.kind, extent, nowait=nowait)
            if data is None:
                return None
            parts.append(data)
            position = extent.end
        if position < end:
            parts.append(bytes(end - position))
        return b"".join(parts)

    def _extent(self, kind: int, extent: Extent, *, nowait: bool) -> bytes | None:
        if kind == CHUNK:
            chunk = (
                self._chunks.get_nowait(extent.chunk) if nowait else self._chunks.get(extent.chunk)
            )
            if chunk is None:
                return None
            return part_of(chunk, extent)
        return self._layers.read_scratch(
            extent.segment, extent.source_offset, extent.length, nowait=nowait
        )
