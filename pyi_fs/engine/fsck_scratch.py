"""Checks that the bytes an extent names are there. Part of `engine/fsck.py`.

With `verify_data` it reads them, too, and compares them with the checksums of their runs.
Runs that no tree names are not looked at: what was superseded may have been given back, and reads
as zeros.
"""

from collections.abc import Iterator
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from pyi_fs.engine.fsck_layers import ChunkProblem
from pyi_fs.errors import CorruptError, CorruptSegmentError, StoreError
from pyi_fs.ids import LayerId, SegmentId, segment_layer
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.mutation import Write
from pyi_fs.store import layout, runs, sealmap
from pyi_fs.store.journal import replay
from pyi_fs.store.runs import RunTable
from pyi_fs.store.storage import Storage


class Problem(NamedTuple):
    """Why bytes cannot be read, and the file whose fault that is."""

    file: str
    message: str


class ScratchCheck:
    """What is known about the segments of a store; each run is read once."""

    def __init__(self, storage: Storage, chunk_problem: ChunkProblem, *, verify_data: bool) -> None:
        """Reads nothing yet."""
        self._storage = storage
        self._chunk_problem = chunk_problem
        self._verify_data = verify_data
        self._runs: dict[SegmentId, RunTable] = {}
        self._maps: dict[SegmentId, ExtentList] = {}
        self._verified: dict[SegmentId, dict[int, str | None]] = {}

    def problems(self, piece: Extent) -> list[Problem]:
        """Returns why bytes of an extent cannot be read; empty if they can."""
        path = "packs" if piece.kind == extent.CHUNK else layout.scratch(piece.segment)
        try:
            try:
                return list(self._look(piece, path))
            except FileNotFoundError:
                # Sealed between two looks: now its map is asked.
                return list(self._look(piece, path))
        except CorruptError as error:
            return [Problem(error.file, str(error))]
        except (StoreError, OSError) as error:
            return [Problem(path, str(error))]

    def _look(self, piece: Extent, path: str) -> Iterator[Problem]:
        if piece.kind == extent.CHUNK:
            problem = self._chunk_problem(piece)
            if problem is not None:
                yield Problem(path, problem)
            return
        segment = piece.segment
        size = self._storage.size_bytes(path)
        if size is None and (pieces := self._map(segment)) is not None:
            yield from self._sealed(segment, pieces, piece)
        elif size is None:
            yield Problem(path, "the segment is gone, and there is no map of it")
        elif piece.source_offset + piece.length > size:
            yield Problem(path, f"it has {size} bytes, and a file more of them")
        else:
            yield from self._stored(segment, piece)

    def forget(self, layer: LayerId) -> None:
        """Forgets what is known about the segments of a layer that may have changed."""
        for known in (self._runs, self._maps, self._verified):
            for segment in [one for one in known if segment_layer(one) == layer]:
                del known[segment]

    def _sealed(self, segment: SegmentId, pieces: ExtentList, piece: Extent) -> Iterator[Problem]:
        start, end = piece.source_offset, piece.source_offset + piece.length
        found = extent.overlapping(pieces, start, end)
        if sum(part.length for part in found) != piece.length:
            text = f"bytes {start} to {end} are not in it, and a file names them"
            yield Problem(layout.seal_map(segment), text)
        for part in found:
            problem = self._chunk_problem(part)
            if problem is not None:
                yield Problem(layout.seal_map(segment), problem)

    def _stored(self, segment: SegmentId, piece: Extent) -> Iterator[Problem]:
        start, end = piece.source_offset, piece.source_offset + piece.length
        path = layout.scratch(segment)
        covering = self._table(segment).covering(start, end)
        if covering is None:
            # The table may be older than the extent.
            self._runs.pop(segment, None)
            covering = self._table(segment).covering(start, end)
        if covering is None:
            yield Problem(path, f"no checksums for bytes {start} to {end}")
        elif self._verify_data:
            verified = self._verified.setdefault(segment, {})
            for run in covering:
                if run[0] not in verified:
                    verified[run[0]] = self._read(path, *run)
                problem = verified[run[0]]
                if problem is not None:
                    yield Problem(path, problem)

    def _read(self, path: str, start: int, length: int, checksum: int) -> str | None:
        file = self._storage.open_read(path)
        try:
            data = file.read_at(start, length)
        finally:
            file.close()
        if len(data) == length and xxh3_64_intdigest(data) == checksum:
            return None
        return f"wrong bytes at {start}, in a run of {length}"

    def _map(self, segment: SegmentId) -> ExtentList | None:
        found = self._maps.get(segment)
        if found is None:
            path = layout.seal_map(segment)
            try:
                found = self._maps[segment] = sealmap.decode(self._storage.read(path), path)
            except FileNotFoundError:
                return None
        return found

    def _table(self, segment: SegmentId) -> RunTable:
        if segment not in self._runs:
            path = layout.runs(segment)
            try:
                self._runs[segment] = runs.decode(self._storage.read(path), path)
            except (FileNotFoundError, CorruptSegmentError):
                self._runs[segment] = RunTable()
                self._read_journal(segment_layer(segment))
        return self._runs[segment]

    def _read_journal(self, layer: LayerId) -> None:
        """Takes the runs of the segments being written from the records that name them."""
        tables: dict[SegmentId, RunTable] = {}
        for _, mutation in replay(self._storage, layer, 0):
            if type(mutation) is Write and segment_layer(mutation.segment) == layer:
                table = tables.setdefault(mutation.segment, RunTable())
                table.append(mutation.source_offset, mutation.length, mutation.checksums)
        self._runs.update(tables)
