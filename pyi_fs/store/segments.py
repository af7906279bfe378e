"""Bytes of segments, wherever they are now: with their writer, in a file, or sealed.

Any thread may read. Everything that is returned was checked against the runs of its segment.
"""

import errno
from contextlib import suppress

from pyi_fs import limits
from pyi_fs.errors import CorruptSegmentError
from pyi_fs.ids import LayerId, SegmentId, segment_layer
from pyi_fs.model.extent import ExtentList, overlapping
from pyi_fs.model.mutation import Write
from pyi_fs.store import layout, runs, sealmap
from pyi_fs.store.chunks import ChunkStore, part_of
from pyi_fs.store.journal import replay
from pyi_fs.store.layer_writer import LayerWriter
from pyi_fs.store.open_files import OpenFiles
from pyi_fs.store.runs import RunTable
from pyi_fs.store.storage import Storage

# A writer closes a segment once in its life; so often in a row is a bug.
_CLOSED_MAX = 100


class SegmentReader:
    """Reads the segments of all layers of a store."""

    def __init__(
        self, storage: Storage, chunks: ChunkStore, writers: dict[LayerId, LayerWriter]
    ) -> None:
        """`writers`: those of the layers that this process writes now."""
        self._storage = storage
        self._chunks = chunks
        self._writers = writers
        self._files = OpenFiles[SegmentId](
            lambda segment: storage.open_read(layout.scratch(segment)), limits.OPEN_SEGMENTS_MAX
        )
        self._runs: dict[SegmentId, RunTable] = {}
        self._maps: dict[SegmentId, ExtentList] = {}

    def read(
        self, segment: SegmentId, offset: int, length: int, *, nowait: bool = False
    ) -> bytes | None:
        """Returns verified bytes of a segment, wherever they are now.

        `CorruptSegmentError` if they are not what was written.

        With `nowait`, None if that would have to wait for a disk or decode a chunk.
        """
        for tries_left in range(_CLOSED_MAX, -1, -1):
            try:
                return self._read(segment, offset, length, nowait=nowait)
            except OSError as error:
                # Its writer closed it between our look and the read: the next look goes elsewhere.
                if error.errno != errno.EBADF or not tries_left:
                    raise
        raise AssertionError("BUG: reading ended without an end")

    def _read(self, segment: SegmentId, offset: int, length: int, *, nowait: bool) -> bytes | None:
        writer = self._writers.get(segment_layer(segment))
        file = writer.scratch.file(segment) if writer is not None else None
        if file is not None:
            start, end, table = self._covering(segment, offset, length)
            return self._checked(segment, offset, length, file.read_at(start, end - start), table)
        try:
            opened = self._files.acquire(segment)
        except FileNotFoundError:
            return self._read_sealed(segment, offset, length, nowait=nowait)
        try:
            start, end, table = self._covering(segment, offset, length)
            read = opened.file.read_at_nowait if nowait else opened.file.read_at
            data = read(start, end - start)
        finally:
            self._files.release(opened)
        return None if data is None else self._checked(segment, offset, length, data, table)

    def _covering(
        self, segment: SegmentId, offset: int, length: int
    ) -> tuple[int, int, list[tuple[int, int, int]]]:
        """Returns what to read for a range, from where to where, and its runs."""
        table = self._runs_of(segment, offset, offset + length)
        if table is None:
            raise CorruptSegmentError(
                layout.scratch(segment), offset, "bytes named by a record", "no run"
            )
        return table[0][0], table[-1][0] + table[-1][1], table

    def _checked(
        self,
        segment: SegmentId,
        offset: int,
        length: int,
        data: bytes,
        table: list[tuple[int, int, int]],
    ) -> bytes:
        """Returns the bytes of a range out of those of its runs, verified."""
        start = table[0][0]
        self._verify(segment, data, start, table)
        if start == offset and len(data) == length:
            return data
        return data[offset - start : offset - start + length]

    def sealed_map(self, segment: SegmentId) -> ExtentList | None:
        """Returns where a sealed segment's bytes are, or None.

        Extents whose file offsets are offsets in the segment.
        """
        found = self._maps.get(segment)
        if found is None:
            try:
                data = self._storage.read(layout.seal_map(segment))
            except FileNotFoundError:
                return None
            found = self._maps[segment] = sealmap.decode(data, layout.seal_map(segment))
        return found

    def forget(self, segment: SegmentId) -> None:
        """Closes a segment that was sealed or removed."""
        self._runs.pop(segment, None)
        self._files.forget(segment)

    def forget_layer(self, layer: LayerId) -> None:
        """Forgets what was read of a layer whose files were replaced."""
        for segment in {*self._maps, *self._runs, *self._files.keys()}:
            if segment_layer(segment) == layer:
                self._maps.pop(segment, None)
                self.forget(segment)

    def close(self) -> None:
        """Closes every file."""
        self._files.close()

    def _read_sealed(
        self, segment: SegmentId, offset: int, length: int, *, nowait: bool
    ) -> bytes | None:
        pieces = self.sealed_map(segment)
        if pieces is None:
            raise CorruptSegmentError(
                layout.scratch(segment), offset, "a segment or its map", "neither"
            )
        found = overlapping(pieces, offset, offset + length)
        if sum(piece.length for piece in found) != length:
            raise CorruptSegmentError(
                layout.seal_map(segment), offset, f"{length} kept bytes", "a gap"
            )
        parts = []
        for piece in found:
            chunk = (
                self._chunks.get_nowait(piece.chunk) if nowait else self._chunks.get(piece.chunk)
            )
            if chunk is None:
                return None
            parts.append(part_of(chunk, piece))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _runs_of(
        self, segment: SegmentId, start: int, end: int
    ) -> list[tuple[int, int, int]] | None:
        writer = self._writers.get(segment_layer(segment))
        table = writer.scratch.runs(segment) if writer is not None else None
        if table is not None:
            return table.covering(start, end)
        table = self._runs.get(segment)
        found = table.covering(start, end) if table is not None else None
        if found is None:
            self._load_runs(segment)
            table = self._runs.get(segment)
            found = table.covering(start, end) if table is not None else None
        return found

    def _load_runs(self, segment: SegmentId) -> None:
        """Reads the runs of a closed segment, or those of its whole layer from the journal.

        The journal where its writer died or lives elsewhere.
        """
        try:
            self._runs[segment] = runs.decode(
                self._storage.read(layout.runs(segment)), layout.runs(segment)
            )
            return
        except (FileNotFoundError, CorruptSegmentError):
            # Damaged is normal too: the file was not synced, and a power loss may have torn it.
            pass
        tables: dict[SegmentId, RunTable] = {}
        layer = segment_layer(segment)
        # A power loss may have left the segment without the journal.
        with suppress(FileNotFoundError):
            for _, mutation in replay(self._storage, layer, 0):
                if type(mutation) is Write and segment_layer(mutation.segment) == layer:
                    table = tables.setdefault(mutation.segment, RunTable())
                    table.append(mutation.source_offset, mutation.length, mutation.checksums)
        self._runs.update(tables)

    def _verify(
        self, segment: SegmentId, data: bytes, start: int, table: list[tuple[int, int, int]]
    ) -> None:
        view = memoryview(data)
        for run_start, length, checksum in table:
            run = view[run_start - start : run_start - start + length]
            runs.check_run(layout.scratch(segment), run_start, length, checksum, run)
