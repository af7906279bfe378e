"""Packs are shared by many processes: written once by one, then read by all, never changed.

A pack is written under a temporary name that its writer holds locked, read back and compared,
renamed to the name its content gives it, and only then told to the index. Whoever finds an unlocked
temporary file may remove it.

Invariants:
- A name in `packs/xx/` stands for a whole, verified, durable pack, or the disk has failed.
- A directory `packs/xx/` that holds a pack is durable itself, and so is `packs`; one that is empty
  may have been made by a process that died before it synced the name.
- No byte of a chunk leaves this file before its BLAKE3 was compared with its id.

The bytes are those of `format/pack.py`.
"""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import zstandard
from blake3 import blake3

from pyi_fs.errors import CorruptPackError, FormatUnknownError
from pyi_fs.format import pack as form
from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import Buffer, ChunkId, PackId
from pyi_fs.store.open_files import OpenFiles
from pyi_fs.store.storage import TEMPORARY_SUFFIX, AppendFile, LockFile, ReadFile, Storage

PACKS = "packs"

ZSTD_LEVEL = 1
"""385 MB/s at ratio 3.5 on source text; level 3 saves little more and takes twice as long."""
STORED_SHARE_MAX = 0.95
"""A chunk is stored compressed if that saves 5 %: below it every read would pay for nothing."""
OPEN_PACKS_MAX = 64
"""Descriptors kept for reading; a process has 1,024, and most belong to open files and segments."""
TEMPORARY_NAME_TRIES = 8
"""A random name is lost only to a cleaner that looked at it in its first microsecond."""


def pack_path(pack: PackId) -> str:
    """Returns the name of a pack's file."""
    name = pack.hex()
    return f"{PACKS}/{name[:2]}/{name}.pack"


def list_packs(storage: Storage) -> Iterator[PackId]:
    """Yields the ids of all packs, in the order of their names; other names are passed over."""
    for directory in storage.list(PACKS):
        if len(directory) != 2:
            continue
        for name in storage.list(f"{PACKS}/{directory}"):
            digits = name.removesuffix(".pack")
            if len(digits) == 64 and digits != name and digits.startswith(directory):
                with suppress(ValueError):
                    yield PackId(bytes.fromhex(digits))


def read_pack_index(storage: Storage, pack: PackId) -> list[PackEntry]:
    """Returns the entries of a pack, read from its end alone.

    Raises `FileNotFoundError`, `CorruptPackError` or `FormatTooNewError`.
    """
    return read_index_of(storage, pack_path(pack))


def read_index_of(storage: Storage, path: str) -> list[PackEntry]:
    """Returns the entries of a pack whatever it is called now; raises as `read_pack_index`."""
    file = storage.open_read(path)
    try:
        return _read_index(file.read_at, file.size_bytes(), path)
    finally:
        file.close()


def verify_pack(storage: Storage, pack: PackId) -> list[PackEntry]:
    """Returns the entries of a pack after reading all of it; raises as `read_pack_index` does.

    Every byte is covered: header and entries by the pack's id, the rest by the footer's checksum,
    and each chunk by its own id. Takes the memory of one entry.
    """
    path = pack_path(pack)
    file = storage.open_read(path)
    try:
        return _verify(file.read_at, file.size_bytes(), pack, path)
    finally:
        file.close()


def remove_abandoned(storage: Storage) -> list[str]:
    """Removes the temporary files of writers that are dead; returns their names."""
    removed = []
    for name in storage.list(PACKS):
        if not name.endswith(TEMPORARY_SUFFIX):
            continue
        path = f"{PACKS}/{name}"
        # If its writer has just renamed it, this makes an empty file of that name and removes it.
        lock = storage.lock(path, wait=False)
        if lock is not None:
            storage.remove(path)
            lock.release()
            removed.append(path)
    return removed


class PackWriter:
    """Writes one pack. For one thread at a time; touches nothing before the first `add`.

    Keeps in memory one record per entry, at most `PACK_ENTRIES_MAX`, and no chunk.
    """

    def __init__(self, storage: Storage) -> None:
        """Begins a pack in that storage."""
        self.entries: dict[ChunkId, PackEntry] = {}
        self._storage = storage
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._hash = blake3()
        self._path = ""
        self._file: AppendFile | None = None
        self._lock: LockFile | None = None

    def __contains__(self, chunk: ChunkId) -> bool:
        """Returns whether a chunk was added."""
        return chunk in self.entries

    @property
    def size_bytes(self) -> int:
        """Returns the bytes written so far."""
        return 0 if self._file is None else self._file.size_bytes

    @property
    def is_full(self) -> bool:
        """Returns whether the pack should be finished before another chunk is added."""
        return (
            self.size_bytes >= form.PACK_BYTES_TARGET or len(self.entries) >= form.PACK_ENTRIES_MAX
        )

    def add(self, chunk: ChunkId, raw: Buffer) -> None:
        """Writes a chunk, whose id is the BLAKE3 of `raw`, compressed if that pays; once only.

        Survives nothing before `finish`. After an `OSError` the chunk is not in the pack and the
        writer may be used on.
        """
        assert chunk not in self.entries, f"BUG: chunk {chunk.hex()} added twice"
        assert len(self.entries) < form.PACK_ENTRIES_MAX, "BUG: too many entries in a pack"
        file = self._file if self._file is not None else self._begin()
        method, stored = self._compress(raw)
        entry = PackEntry(chunk, file.size_bytes, len(raw), len(stored), method)
        header = form.encode_entry_header(entry)
        file.append(header, stored)
        self._hash.update(header)
        self._hash.update(stored)
        self.entries[chunk] = entry

    def read(self, chunk: ChunkId) -> bytes:
        """Returns the bytes of a chunk that was added, verified."""
        assert self._file is not None, "BUG: nothing was added"
        entry = self.entries[chunk]
        return decode_entry(entry, self._file.read_at(entry.offset, entry.length), self._path)

    def finish(self) -> PackId:
        """Publishes the pack: durable under its name on return. The writer is used up.

        Raises `OSError`, or `CorruptPackError` if what was read back is not what was added; nothing
        is published then, and `abandon` is the only call left.
        """
        file = self._file
        assert file is not None, "BUG: an empty pack"
        pack = PackId(self._hash.digest())
        entries = list(self.entries.values())
        index = form.encode_index(entries)
        file.append(index, form.encode_footer(file.size_bytes, index))
        file.sync()
        if _verify(file.read_at, file.size_bytes, pack, self._path) != entries:
            raise CorruptPackError(self._path, 0, f"{len(entries)} entries", "others")
        self._publish(pack)
        self._close()
        return pack

    def abandon(self) -> None:
        """Removes what was written; the chunks are lost. Does nothing after `finish`."""
        if self._file is not None:
            with suppress(OSError):
                self._storage.remove(self._path)
        self._close()

    def _begin(self) -> AppendFile:
        if not self._storage.list(PACKS):
            self._storage.make_directory(PACKS, parents=True)
            self._storage.sync_directory("")
        for _ in range(TEMPORARY_NAME_TRIES):
            self._path = f"{PACKS}/{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
            # The lock makes the file. A cleaner that took it first removes it: look for another.
            lock = self._storage.lock(self._path, wait=False)
            if lock is None:
                continue
            try:
                file = self._storage.open_append(self._path)
            except FileNotFoundError:
                lock.release()
                continue
            self._lock = lock
            self._file = file
            header = form.encode_header()
            try:
                file.append(header)
            except OSError:
                self.abandon()
                raise
            self._hash.update(header)
            return file
        raise FileExistsError(f"no free temporary name in {PACKS}")

    def _compress(self, raw: Buffer) -> tuple[int, Buffer]:
        stored = self._compressor.compress(raw)
        if len(stored) <= len(raw) * STORED_SHARE_MAX:
            return form.METHOD_ZSTD, stored
        return form.METHOD_RAW, raw

    def _publish(self, pack: PackId) -> None:
        path = pack_path(pack)
        directory = path.rpartition("/")[0]
        if not self._storage.list(directory):
            self._storage.make_directory(directory, parents=True)
            self._storage.sync_directory(PACKS)
        self._storage.rename(self._path, path)
        self._storage.sync_directory(directory)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            self._lock.release()
        self._file = self._lock = None


class PackReader:
    """Reads packs, keeping a bounded number of them open. Any thread may call it."""

    def __init__(self, storage: Storage, *, open_packs_max: int = OPEN_PACKS_MAX) -> None:
        """Opens nothing yet."""
        self._storage = storage
        self._open = OpenFiles(self._open_pack, open_packs_max)

    def read_entry(self, pack: PackId, entry: PackEntry) -> bytes:
        """Returns the bytes of the chunk that an entry of a pack holds, verified.

        Raises `FileNotFoundError` if there is no such pack, `CorruptPackError`.
        """
        opened = self._open.acquire(pack)
        try:
            data = opened.file.read_at(entry.offset, entry.length)
        finally:
            self._open.release(opened)
        return decode_entry(entry, data, pack_path(pack))

    def read_entry_nowait(self, pack: PackId, entry: PackEntry) -> bytes | None:
        """Returns what `read_entry` does if nothing has to be waited for, else None.

        None also for what is damaged: who waits for it is told.
        """
        opened = self._open.acquire_nowait(pack)
        if opened is None:
            return None
        try:
            data = opened.file.read_at_nowait(entry.offset, entry.length)
            return None if data is None else decode_entry(entry, data, pack_path(pack))
        except (OSError, CorruptPackError):
            return None
        finally:
            self._open.release(opened)

    def list_packs(self) -> list[PackId]:
        """Returns the ids of all packs."""
        return list(list_packs(self._storage))

    def read_index(self, pack: PackId) -> list[PackEntry]:
        """Returns the entries of a pack; see `read_pack_index`."""
        return read_pack_index(self._storage, pack)

    def close(self) -> None:
        """Closes what is open; nobody may be reading."""
        self._open.close()

    def _open_pack(self, pack: PackId) -> ReadFile:
        path = pack_path(pack)
        file = self._storage.open_read(path)
        try:
            form.check_header(file.read_at(0, form.HEADER_BYTES), path)
        except BaseException:
            file.close()
            raise
        return file


def decode_entry(entry: PackEntry, data: bytes, file: str) -> bytes:
    """Returns the chunk in an entry's bytes, its header included; `file` is for the message.

    Raises `CorruptPackError` unless header, lengths and BLAKE3 are those of `entry`.
    """
    form.check_entry_header(data, entry, file)
    raw = data[form.ENTRY_HEADER_BYTES :]
    if entry.method == form.METHOD_ZSTD:
        raw = _decompress(raw, entry, file)
    found = blake3(raw).digest()
    if found != entry.chunk:
        raise CorruptPackError(file, entry.offset, entry.chunk.hex(), found.hex())
    return raw


_thread = threading.local()


def _decompress(stored: bytes, entry: PackEntry, file: str) -> bytes:
    # Made once per thread: 12 us each, and not to be shared by threads (python-zstandard's manual).
    decompressor: zstandard.ZstdDecompressor | None = getattr(_thread, "decompressor", None)
    if decompressor is None:
        decompressor = _thread.decompressor = zstandard.ZstdDecompressor()
    try:
        # The frame says how much memory it wants; ask before believing it.
        length = zstandard.frame_content_size(stored)
        if length == entry.raw_length:
            return decompressor.decompress(stored)
    except zstandard.ZstdError as error:
        raise CorruptPackError(file, entry.offset, "a zstd frame", str(error)) from error
    raise CorruptPackError(file, entry.offset, entry.raw_length, length)


def _read_index(
    read_at: Callable[[int, int], bytes], size_bytes: int, path: str
) -> list[PackEntry]:
    footer = read_at(max(0, size_bytes - form.FOOTER_BYTES), form.FOOTER_BYTES)
    try:
        where = form.index_range(footer, size_bytes, path)
    except FormatUnknownError as error:
        # The name says it is a pack, so this is damage.
        raise CorruptPackError(path, size_bytes, "a footer", footer.hex()) from error
    return form.decode_index(read_at(where.start, len(where)), footer, path)


def _verify(
    read_at: Callable[[int, int], bytes], size_bytes: int, pack: PackId, path: str
) -> list[PackEntry]:
    header = read_at(0, form.HEADER_BYTES)
    form.check_header(header, path)
    entries = _read_index(read_at, size_bytes, path)
    content = blake3(header)
    for entry in entries:
        data = read_at(entry.offset, entry.length)
        content.update(data)
        decode_entry(entry, data, path)
    if content.digest() != pack:
        raise CorruptPackError(path, 0, pack.hex(), content.hexdigest())
    return entries
