"""The chunk store: puts chunks and gets them back, verified, by their BLAKE3.

`put` hashes, looks whether the chunk is known, compresses what pays and appends to the pack being
written; `flush` publishes that pack. `get` goes through a cache of chunks that were verified.

Invariants:
- What `flush` returned after is durable: pack, its directory, then index (design, "Storage").
- Wrong bytes are an error, never data.
- The cache is bounded in bytes, the pack in writing in bytes and entries, descriptors in number.

Any thread may call it; puts take turns, reads of packs do not. Not to be carried across a process
fork. Several processes have a store of their own on the same storage.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from blake3 import blake3

from pyi_fs.errors import CorruptTreeError, MissingChunkError
from pyi_fs.ids import Buffer, ChunkId
from pyi_fs.model.extent import Extent
from pyi_fs.store import layout
from pyi_fs.store.index import LOCK_PATH, ChunkIndex, PacksFound
from pyi_fs.store.packs import OPEN_PACKS_MAX, PackReader, PackWriter
from pyi_fs.store.storage import Storage

CACHE_BYTES_MAX = 32 << 20
"""Decoded chunks kept: a hundred mounts hold 3 GB at worst; 500 chunks of the average size."""
NOWAIT_BYTES_MAX = 32 << 10
"""A chunk of so many bytes is decoded and verified in some 40 us."""
PUT_BATCH_CHUNKS = 32
"""Chunks of `put_many` looked up at once, and held until then: 8 MiB if all are of the largest."""


class ChunkStore:
    """A process's way to the chunks of its store. Holds what `put` was given until `flush`."""

    def __init__(
        self,
        storage: Storage,
        index: ChunkIndex,
        *,
        cache_bytes_max: int = CACHE_BYTES_MAX,
        open_packs_max: int = OPEN_PACKS_MAX,
    ) -> None:
        """Reads nothing; whoever opens a store after a crash calls `reconcile`."""
        self._storage = storage
        self._index = index
        self._reader = PackReader(storage, open_packs_max=open_packs_max)
        self._cache = _ChunkCache(cache_bytes_max)
        self._writer = PackWriter(storage)
        # Since the last flush something was put that the index may not durably know.
        self._is_dirty = False
        # Why chunks whose put had succeeded are gone, until `flush` or `abandon`.
        self._loss: Exception | None = None
        self._write_lock = threading.RLock()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keeps the collector from removing packs while the body runs; may wait for its end.

        For who puts chunks, until what names them is durable, and for who copies references to
        chunks from one file to another. Any number of processes at once.
        """
        lock = self._storage.lock(layout.CHUNKS_LOCK, exclusive=False)
        assert lock is not None, "BUG: waited and did not get the lock"
        try:
            yield
        finally:
            lock.release()

    def put(self, data: Buffer) -> ChunkId:
        """Returns the id of a chunk that is kept from the next `flush` on.

        It can be read at once. After an `OSError` this chunk is not stored, while those before it
        are; unless it was a full pack that could not be published: then the next `flush` fails too.
        """
        return self._put_batch([data])[0]

    def claim(self, data: Buffer) -> ChunkId | None:
        """Returns the id of a chunk that is there already, and kept from the next `flush` on.

        None if it would have to be stored.
        """
        chunk = ChunkId(blake3(data).digest())
        with self._write_lock:
            self._is_dirty = True
            if chunk in self._writer or self._index.claim({chunk}):
                return chunk
        return None

    def put_many(self, chunks: Iterable[Buffer]) -> list[ChunkId]:
        """Returns the ids of chunks in their order; as `put`, with fewer queries."""
        ids: list[ChunkId] = []
        rest = iter(chunks)
        while batch := list(islice(rest, PUT_BATCH_CHUNKS)):
            ids += self._put_batch(batch)
        return ids

    def flush(self) -> None:
        """Returns when everything that was put is durable, in packs and in the index.

        After an `OSError` or `CorruptPackError` nothing put since the last flush is promised: put
        it again. What a full pack has already published is then found, not stored twice.
        """
        with self._write_lock:
            if self._loss is not None:
                loss, self._loss = self._loss, None
                self._abandon_pack()
                raise loss
            if self._writer.entries:
                self._finish_pack(durable=True)
            elif self._is_dirty:
                self._index.sync()
            self._is_dirty = False

    def abandon(self) -> None:
        """Drops what was put since the last flush, and the error that `flush` would raise."""
        with self._write_lock:
            self._loss = None
            self._abandon_pack()

    def get(self, chunk: ChunkId) -> bytes:
        """Returns the bytes of a chunk.

        Raises `MissingChunkError`, or `CorruptPackError` if its pack has other bytes than were put.
        """
        data = self._cache.get(chunk)
        if data is None:
            data = self._read(chunk)
            self._cache.add(chunk, data)
        return data

    def get_once(self, chunk: ChunkId) -> bytes:
        """Returns and raises what `get` does; what is read goes past the cache."""
        data = self._cache.get(chunk)
        return self._read(chunk) if data is None else data

    def get_nowait(self, chunk: ChunkId) -> bytes | None:
        """Returns the bytes of a chunk that are at hand, else None.

        In the cache, or of a small chunk in the kernel's memory: nothing waits, neither for a disk
        nor for another thread, and decoding takes less than handing it over to one (95 us).
        """
        data = self._cache.get(chunk)
        if data is None:
            location = self._index.locate_nowait(chunk)
            if location is not None and location.entry.raw_length <= NOWAIT_BYTES_MAX:
                data = self._reader.read_entry_nowait(location.pack, location.entry)
                if data is not None:
                    self._cache.add(chunk, data)
        return data

    def read_range(self, chunk: ChunkId, offset: int, length: int) -> bytes:
        """Returns `[offset, offset + length)` of a chunk, less at its end; raises as `get` does.

        All of the chunk is read and verified, and cached for the next range.
        """
        return self.get(chunk)[offset : offset + length]

    def reconcile(self) -> PacksFound:
        """Makes known the packs that a crash kept from the index; see `ChunkIndex.reconcile`."""
        with self._no_removal():
            return self._index.reconcile(self._reader)

    def rebuild(self) -> PacksFound:
        """Fills the index anew from the packs; see `ChunkIndex.rebuild`."""
        with self._no_removal():
            return self._index.rebuild(self._reader)

    @contextmanager
    def _no_removal(self) -> Iterator[None]:
        """A pack that leaves the index and then the disk must not be added in between."""
        lock = self._storage.lock(LOCK_PATH)
        assert lock is not None, "BUG: waited and did not get the lock"
        try:
            yield
        finally:
            lock.release()

    def close(self) -> None:
        """Drops what was not flushed and closes the packs; the index belongs to the caller."""
        self.abandon()
        self._reader.close()

    def _put_batch(self, batch: Sequence[Buffer]) -> list[ChunkId]:
        ids = [ChunkId(blake3(data).digest()) for data in batch]
        with self._write_lock:
            self._is_dirty = True
            known = self._index.claim({chunk for chunk in ids if chunk not in self._writer})
            for chunk, data in zip(ids, batch, strict=True):
                # The writer of the batch's first chunk may have been published since.
                if chunk in known or chunk in self._writer:
                    continue
                self._writer.add(chunk, data)
                if self._writer.is_full:
                    known.update(self._writer.entries)
                    self._finish_full_pack()
        return ids

    def _finish_full_pack(self) -> None:
        try:
            self._finish_pack(durable=False)
        except Exception as error:
            self._loss = error
            raise

    def _finish_pack(self, *, durable: bool) -> None:
        writer = self._writer
        entries = list(writer.entries.values())
        try:
            pack = writer.finish()
        except Exception:
            # A sync that failed may have dropped the pages: trying it again would prove nothing.
            self._abandon_pack()
            raise
        # From here the pack exists; should the index refuse, `reconcile` will tell it.
        self._writer = PackWriter(self._storage)
        self._index.add_pack(pack, entries, durable=durable)

    def _abandon_pack(self) -> None:
        writer, self._writer = self._writer, PackWriter(self._storage)
        writer.abandon()

    def _read(self, chunk: ChunkId) -> bytes:
        if chunk in self._writer:
            with self._write_lock:
                # It may have been published while this waited.
                if chunk in self._writer:
                    return self._writer.read(chunk)
        for _ in range(2):
            location = self._index.locate(chunk)
            if location is None:
                break
            try:
                return self._reader.read_entry(location.pack, location.entry)
            except FileNotFoundError:
                # A collector may have moved the chunk between the two steps: ask once more.
                continue
        raise MissingChunkError(chunk)


def part_of(chunk: bytes, extent: Extent) -> bytes:
    """Returns the bytes of a chunk that an extent names; `CorruptTreeError` if they end before."""
    start, length = extent.source_offset, extent.length
    if start == 0 and length == len(chunk):
        return chunk
    part = chunk[start : start + length]
    if len(part) != length:
        # Fewer bytes would move all that stands behind them.
        raise CorruptTreeError(
            f"an extent of {length} bytes at {start} of chunk {extent.chunk.hex()}, "
            f"which has {len(chunk)}"
        )
    return part


class _ChunkCache:
    """The chunks read last, verified; bounded by their bytes. Any thread may call it."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._chunks: OrderedDict[ChunkId, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, chunk: ChunkId) -> bytes | None:
        with self._lock:
            data = self._chunks.get(chunk)
            if data is not None:
                self._chunks.move_to_end(chunk)
            return data

    def add(self, chunk: ChunkId, data: bytes) -> None:
        with self._lock:
            if chunk in self._chunks or len(data) > self._bytes_max:
                return
            self._chunks[chunk] = data
            self._bytes += len(data)
            while self._bytes > self._bytes_max:
                _, evicted = self._chunks.popitem(last=False)
                self._bytes -= len(evicted)
