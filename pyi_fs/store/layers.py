"""The pool of layers: making, opening and reading them.

Invariants:
- A layer's directory, header and parent never change; only its branch's writer appends.
- Reads of scratch are checked against the runs of the segment. A segment that is no longer a file
  was sealed: its map says which chunk each kept byte is in.
- A layer may be in memory, which only outlives processes: making it durable copies it to disk.
- Open descriptors are bounded by `limits.OPEN_SEGMENTS_MAX`.
"""

import os
from collections.abc import Iterator
from contextlib import suppress

from pyi_fs.errors import NotFoundError
from pyi_fs.format.record import LayerHeader
from pyi_fs.format.table import Table
from pyi_fs.ids import LayerId, Position, SegmentId, layer_name, segment_layer
from pyi_fs.model.extent import ExtentList
from pyi_fs.model.mutation import Mutation
from pyi_fs.store import layout
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.journal import (
    JournalWriter,
    read_header,
    replay,
)
from pyi_fs.store.layer_sync import LayerSync
from pyi_fs.store.layer_writer import LayerWriter
from pyi_fs.store.memory_bound import MemoryBound
from pyi_fs.store.promotion import clear, is_ephemeral, is_in_memory, leave_memory
from pyi_fs.store.scratch import ScratchWriter
from pyi_fs.store.segment_files import next_segment_index, segments_of
from pyi_fs.store.segments import SegmentReader
from pyi_fs.store.spare_layers import SpareLayers
from pyi_fs.store.storage import Storage


class Layers:
    """All layers of a store, as one process sees them."""

    def __init__(
        self,
        storage: Storage,
        chunks: ChunkStore,
        boot: str = "",
        bound: MemoryBound | None = None,
    ) -> None:
        """Opens nothing yet.

        `boot` is the kernel's boot id: layers of another one may have lost their unsynced end.
        `bound`: how much may be in memory; None: nothing.
        """
        self.boot = boot
        self.bound = bound
        self.storage = storage
        self._storage = storage
        self._writers: dict[LayerId, LayerWriter] = {}
        self._segments = SegmentReader(storage, chunks, self._writers)
        self._tables: dict[LayerId, Table] = {}
        self._headers: dict[LayerId, tuple[LayerHeader, int]] = {}
        self.clears_memory_later = False
        """Whether `leave_memory` leaves giving memory back to who calls `clear_memory`."""
        self._left_memory: list[str] = []
        self._sync = LayerSync(storage, boot, self._header, self._writers.get)
        self.spares = SpareLayers(storage, self.new_directory, self.abandon)

    def new_directory(self) -> LayerId:
        """Makes the directory of a new layer and returns its id.

        Random, and not used by any other.
        """
        while True:
            layer = _drawn()
            directory = layout.layer_directory(layer)
            self._storage.make_directory(directory.rpartition("/")[0], parents=True)
            try:
                self._storage.make_directory(directory)
            except FileExistsError:
                continue
            return layer

    def new_volatile_directory(self) -> LayerId | None:
        """Makes the directory of a new layer in memory and returns its id.

        None if nothing can be put there; `OSError` if it is full.
        """
        while self.bound is not None and self.bound.has_room():
            layer = _drawn()
            try:
                is_made = self._storage.make_volatile_directory(layout.layer_directory(layer))
            except FileExistsError:
                continue
            return layer if is_made else None
        return None

    def create(self, header: LayerHeader, *, is_spare: bool = False) -> LayerWriter:
        """Makes the journal of a layer whose directory `new_directory` made.

        `is_spare`: it is one of `spares`, with a journal and a segment; `FileNotFoundError` if
        somebody removed it. Nothing is durable before its `sync`.
        """
        journal = JournalWriter.create(self._storage, header, is_made=is_spare)
        scratch = ScratchWriter(self._storage, header.layer, is_first_made=is_spare)
        writer = self._writer(header.layer, journal, scratch)
        self._headers[header.layer] = header, writer.end
        return writer

    def resume(self, layer: LayerId, valid_bytes: int) -> LayerWriter:
        """Opens a layer for more writing after `valid_bytes` of its journal, with new segments."""
        journal = JournalWriter.resume(self._storage, layer, valid_bytes)
        scratch = ScratchWriter(self._storage, layer, next_segment_index(self._storage, layer))
        return self._writer(layer, journal, scratch)

    def _writer(
        self, layer: LayerId, journal: JournalWriter, scratch: ScratchWriter
    ) -> LayerWriter:
        bound = self.bound if self.is_in_memory(layer) else None
        writer = self._writers[layer] = LayerWriter(self._storage, layer, journal, scratch, bound)
        return writer

    def is_in_memory(self, layer: LayerId) -> bool:
        """Returns whether a layer is in memory, where a power loss takes it."""
        return is_in_memory(self._storage, layer)

    def is_ephemeral(self, layer: LayerId) -> bool:
        """Returns whether an ephemeral branch wrote a layer, which is there."""
        return is_ephemeral(self.header(layer))

    def sync(self, position: Position) -> None:
        """Makes everything that a position needs of its layer durable; see `LayerSync.sync`."""
        self._sync.sync(position)

    def sync_whole(self, layer: LayerId) -> None:
        """Makes all that is in a layer now durable, whoever writes it, with its parents. BLOCKS."""
        self._sync.sync_whole(layer)

    def sync_lineage(self, position: Position) -> None:
        """Makes a position durable: its layer up to there and the parents of that. BLOCKS."""
        self._sync.sync_lineage(position)

    def leave_memory(self, layer: LayerId) -> None:
        """Takes a layer that nobody writes any more out of memory, if disk has all of it."""
        if leave_memory(self._storage, layer, self._left_memory.append):
            self.forget_layer(layer)
        if not self.clears_memory_later:
            self.clear_memory()

    @property
    def has_left_memory(self) -> bool:
        """Returns whether there is something for `clear_memory` to do."""
        return bool(self._left_memory)

    def clear_memory(self) -> None:
        """Gives back the memory of layers that left it. BLOCKS. May run in a thread."""
        while self._left_memory:
            memory = self._storage.memory
            directory = self._left_memory.pop()
            if memory is not None:
                clear(memory, directory)

    def close_writer(self, writer: LayerWriter) -> None:
        """Ends the writing of a layer here."""
        writer.close()
        self._writers.pop(writer.layer, None)

    def abandon(self, layer: LayerId) -> None:
        """Removes a layer that nothing names yet, as far as it was made."""
        writer = self._writers.pop(layer, None)
        if writer is not None:
            writer.close()
        self._headers.pop(layer, None)
        directory = layout.layer_directory(layer)
        with suppress(OSError):
            for name in self._storage.list(directory):
                self._storage.remove(f"{directory}/{name}")
            self._storage.remove_directory(directory)

    def header(self, layer: LayerId) -> LayerHeader:
        """Returns a layer's header; `NotFoundError` if there is no such layer."""
        return self._header(layer)[0]

    def is_gone(self, layer: LayerId) -> bool:
        """Returns whether a layer is not in the pool (any more); its header may still be known."""
        return not self._storage.exists(layout.journal(layer))

    def start(self, layer: LayerId) -> int:
        """Returns the offset of a layer's first mutation: the first position in it."""
        return self._header(layer)[1]

    def _header(self, layer: LayerId) -> tuple[LayerHeader, int]:
        found = self._headers.get(layer)
        if found is None:
            try:
                found = read_header(self._storage, layer)
            except FileNotFoundError as error:
                raise NotFoundError(f"layer {layer_name(layer)} is gone from the store") from error
            self._headers[layer] = found
        return found

    def records(
        self, layer: LayerId, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, Mutation]]:
        """Yields (end offset, mutation) of a layer's journal; see `journal.replay`.

        `NotFoundError` if the layer is gone, also where its header is still known here.
        """
        try:
            yield from replay(self._storage, layer, start, stop)
        except FileNotFoundError as error:
            raise NotFoundError(f"layer {layer_name(layer)} is gone from the store") from error

    def base(self, layer: LayerId) -> Table | None:
        """Returns the base table of a layer, mapped, or None if it has none (yet)."""
        found = self._tables.get(layer)
        if found is None:
            try:
                file = self._storage.open_read(layout.base(layer))
            except FileNotFoundError:
                return None
            try:
                found = self._tables[layer] = Table(file.map())
            finally:
                file.close()
        return found

    def forget_table(self, layer: LayerId) -> None:
        """Forgets the base table of a layer, which was removed: who uses it keeps it."""
        self._tables.pop(layer, None)

    def forget_removed_tables(self) -> list[Table]:
        """Forgets the base tables that were removed from the store, and returns them.

        Their blocks are free when nobody uses them any more. O(tables opened here).
        """
        removed = [one for one in list(self._tables) if not self._storage.exists(layout.base(one))]
        return [self._tables.pop(layer) for layer in removed]

    def pin(self, layer: LayerId, text: str) -> None:
        """Notes durably that something starts from a layer.

        From now on its writer gives nothing back that is there now.
        """
        lock = self._storage.lock(layout.pins(layer))
        assert lock is not None
        try:
            lock.write_text(lock.read_text() + text + "\n")
        finally:
            lock.release()
        self._storage.sync_directory(layout.layer_directory(layer))

    def read_scratch(
        self, segment: SegmentId, offset: int, length: int, *, nowait: bool = False
    ) -> bytes | None:
        """Returns verified bytes of a segment, wherever they are now.

        `CorruptSegmentError` if they are not what was written.

        With `nowait`, None if that would have to wait for a disk or decode a chunk.
        """
        return self._segments.read(segment, offset, length, nowait=nowait)

    def sealed_map(self, segment: SegmentId) -> ExtentList | None:
        """Returns where a sealed segment's bytes are, or None.

        Extents whose file offsets are offsets in the segment.
        """
        return self._segments.sealed_map(segment)

    def forget_segment(self, segment: SegmentId) -> None:
        """Closes a segment that was sealed or removed, so that its blocks are free."""
        writer = self._writers.get(segment_layer(segment))
        if writer is not None:
            writer.scratch.forget(segment)
        self._segments.forget(segment)

    def forget_layer(self, layer: LayerId) -> None:
        """Forgets what was read of a layer whose files were replaced; nobody here writes it."""
        assert layer not in self._writers, "BUG: a layer replaced while it is written"
        self._segments.forget_layer(layer)
        self._tables.pop(layer, None)
        self._headers.pop(layer, None)

    def writer_of(self, layer: LayerId) -> LayerWriter | None:
        """Returns the writer of a layer if this process writes it."""
        return self._writers.get(layer)

    def segments(self, layer: LayerId) -> list[SegmentId]:
        """Returns the segments of a layer that are files."""
        return segments_of(self._storage, layer)

    def segment_sizes(self, layer: LayerId) -> dict[SegmentId, int]:
        """Returns the segments of a layer that are files, with their sizes in bytes."""
        sizes = {key: self.storage.size_bytes(layout.scratch(key)) for key in self.segments(layer)}
        return {segment: size for segment, size in sizes.items() if size is not None}

    def close(self) -> None:
        """Closes every file this process has open in the pool, and removes its spare layers."""
        self.spares.close()
        for writer in list(self._writers.values()):
            self.close_writer(writer)
        self._segments.close()
        self._tables.clear()


def _drawn() -> LayerId:
    return LayerId(int.from_bytes(os.urandom(5), "little"))
