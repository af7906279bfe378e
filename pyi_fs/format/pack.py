"""Packs in bytes: header, entries, index, footer.

    pack    header entry* index footer
    header  magic[8] version:u32 zero:u32
    entry   chunk[32] raw_length:u32 stored_length:u32 method:u8 zero[3] stored[stored_length]
    index   (chunk[32] offset:u64 raw_length:u32 stored_length:u32 method:u8 zero[7])*
    footer  index_offset:u64 entry_count:u32 version:u32 checksum[16] magic[8]

All numbers are little-endian. The index says where each entry begins, in the order of the entries,
which lie side by side from the header to the index. The footer's checksum is the XXH3-128 of the
index and of the footer's fields before it, so the end of a pack is enough to know all that is in
it. A pack's id is the BLAKE3 of its header and entries; its name is the id.

Pure. The document is `docs/on-disk-format.md`, section *Packs*; its example is read by the tests.
"""

from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

import xxhash

from pyi_fs.errors import CorruptPackError, FormatTooNewError, FormatUnknownError
from pyi_fs.ids import Buffer, ChunkId

PACK_MAGIC = b"pyi-pack"
PACK_FOOTER_MAGIC = b"kcap-iyp"
PACK_VERSION = 1

PACK_BYTES_TARGET = 16 << 20
"""A pack is finished when it has grown to this: 100 GB are 6,400 files, each quickly rewritten."""
PACK_ENTRIES_MAX = 16_384
"""Bounds index and memory of a writer when chunks are tiny: a full pack of 1 KiB entries."""
CHUNK_RAW_BYTES_MAX = 64 << 20
"""No chunk is larger; a length above it in a pack is damage, not a reason to allocate."""

CUT_BYTES_MIN = 16 << 10
CUT_BYTES_AVERAGE = 64 << 10
CUT_BYTES_MAX = 256 << 10
"""Where file contents are cut. Part of the format although any cut can be read: with other numbers
the same content would be stored a second time."""

METHOD_RAW = 0
METHOD_ZSTD = 1
_METHODS = frozenset((METHOD_RAW, METHOD_ZSTD))

_HEADER = Struct("<8sII")
_ENTRY = Struct("<32sIIB3s")
_INDEX_RECORD = Struct("<32sQIIB7s")
_FOOTER_FIELDS = Struct("<QII")
_FOOTER = Struct("<QII16s8s")

HEADER_BYTES = _HEADER.size
ENTRY_HEADER_BYTES = _ENTRY.size
INDEX_RECORD_BYTES = _INDEX_RECORD.size
FOOTER_BYTES = _FOOTER.size


class PackEntry(NamedTuple):
    """A chunk in a pack: the entry begins `offset` bytes into the pack, with its header."""

    chunk: ChunkId
    offset: int
    raw_length: int
    stored_length: int
    method: int

    @property
    def length(self) -> int:
        """Returns the bytes the entry occupies, its header included."""
        return ENTRY_HEADER_BYTES + self.stored_length

    @property
    def end(self) -> int:
        """Returns the offset of the first byte after the entry."""
        return self.offset + ENTRY_HEADER_BYTES + self.stored_length


def encode_header() -> bytes:
    """Returns the bytes every pack begins with."""
    return _HEADER.pack(PACK_MAGIC, PACK_VERSION, 0)


def check_header(data: bytes, file: str) -> None:
    """Checks the first `HEADER_BYTES` of a pack.

    Raises `FormatTooNewError` for a later version and `CorruptPackError` for anything else that
    `encode_header` does not write; `file` is for the message.
    """
    if data == _HEADER.pack(PACK_MAGIC, PACK_VERSION, 0):
        return
    if len(data) == HEADER_BYTES and data.startswith(PACK_MAGIC):
        _, version, zero = _HEADER.unpack(data)
        if zero == 0 and version > PACK_VERSION:
            raise FormatTooNewError(f"{file}: pack version {version}, this reads {PACK_VERSION}")
    raise CorruptPackError(file, 0, encode_header().hex(), data.hex())


def encode_entry_header(entry: PackEntry) -> bytes:
    """Returns what stands before an entry's stored bytes."""
    assert len(entry.chunk) == 32, f"BUG: a chunk id of {len(entry.chunk)} bytes"
    assert entry.raw_length <= CHUNK_RAW_BYTES_MAX, f"BUG: a chunk of {entry.raw_length} bytes"
    assert entry.stored_length <= entry.raw_length, "BUG: an entry larger than its chunk"
    assert entry.method in _METHODS, f"BUG: method {entry.method}"
    return _ENTRY.pack(entry.chunk, entry.raw_length, entry.stored_length, entry.method, bytes(3))


def check_entry_header(data: bytes, entry: PackEntry, file: str) -> None:
    """Checks that an entry begins, in `data`, with the header it should have.

    Raises `CorruptPackError` with both headers if not, or if `data` is short.
    """
    expected = _ENTRY.pack(
        entry.chunk, entry.raw_length, entry.stored_length, entry.method, bytes(3)
    )
    if data[:ENTRY_HEADER_BYTES] != expected:
        found = data[:ENTRY_HEADER_BYTES].hex()
        raise CorruptPackError(file, entry.offset, expected.hex(), found)
    if len(data) != entry.length:
        raise CorruptPackError(file, entry.offset, f"{entry.length} bytes", f"{len(data)} bytes")


def encode_index(entries: Iterable[PackEntry]) -> bytes:
    """Returns the index of a pack with these entries, which are in the order of their offsets."""
    return b"".join(
        _INDEX_RECORD.pack(
            entry.chunk, entry.offset, entry.raw_length, entry.stored_length, entry.method, bytes(7)
        )
        for entry in entries
    )


def encode_footer(index_offset: int, index: Buffer) -> bytes:
    """Returns the last `FOOTER_BYTES` of a pack whose index begins at that offset."""
    count, rest = divmod(len(index), INDEX_RECORD_BYTES)
    assert rest == 0, "BUG: half an index record"
    assert 0 < count <= PACK_ENTRIES_MAX, f"BUG: a pack of {count} entries"
    return _FOOTER.pack(
        index_offset,
        count,
        PACK_VERSION,
        _tail_checksum(index_offset, count, PACK_VERSION, index),
        PACK_FOOTER_MAGIC,
    )


def index_range(footer: bytes, pack_bytes: int, file: str) -> range:
    """Returns the offsets that the index occupies in a pack of `pack_bytes`, from its footer.

    Raises `FormatUnknownError` if that is no footer at all, `FormatTooNewError`, or
    `CorruptPackError` if the index would not end where the footer begins.
    """
    if len(footer) != FOOTER_BYTES or not footer.endswith(PACK_FOOTER_MAGIC):
        raise FormatUnknownError(f"{file}: does not end as a pack does")
    index_offset, count, version, _, _ = _FOOTER.unpack(footer)
    footer_offset = pack_bytes - FOOTER_BYTES
    end = index_offset + count * INDEX_RECORD_BYTES
    if end == footer_offset and version > PACK_VERSION:
        raise FormatTooNewError(f"{file}: pack version {version}, this reads {PACK_VERSION}")
    if version != PACK_VERSION or not 0 < count <= PACK_ENTRIES_MAX or end != footer_offset:
        raise CorruptPackError(file, footer_offset, "a footer", footer.hex())
    return range(index_offset, end)


def decode_index(index: bytes, footer: bytes, file: str) -> list[PackEntry]:
    """Returns the entries of a pack, in order, from the bytes that `index_range` named.

    Raises `CorruptPackError` if a byte of index or footer is wrong, or if the entries do not lie
    side by side from header to index.
    """
    index_offset, count, version, checksum, _ = _FOOTER.unpack(footer)
    found = _tail_checksum(index_offset, count, version, index)
    if found != checksum:
        raise CorruptPackError(file, index_offset, checksum.hex(), found.hex())
    entries = []
    offset = HEADER_BYTES
    for chunk, start, raw_length, stored_length, method, zero in _INDEX_RECORD.iter_unpack(index):
        entry = PackEntry(ChunkId(chunk), start, raw_length, stored_length, method)
        _check_entry(entry, offset, zero, file)
        entries.append(entry)
        offset = entry.end
    if offset != index_offset:
        raise CorruptPackError(file, index_offset, "the end of the last entry", offset)
    return entries


def _check_entry(entry: PackEntry, offset: int, zero: bytes, file: str) -> None:
    if entry.offset != offset:
        raise CorruptPackError(file, offset, "an entry", f"the next begins at {entry.offset}")
    if entry.method not in _METHODS or any(zero):
        raise CorruptPackError(file, offset, "method 0 or 1 and zeros", (entry.method, zero.hex()))
    if entry.raw_length > CHUNK_RAW_BYTES_MAX or entry.stored_length > entry.raw_length:
        raise CorruptPackError(file, offset, f"lengths up to {CHUNK_RAW_BYTES_MAX}", entry[2:4])
    if entry.method == METHOD_RAW and entry.stored_length != entry.raw_length:
        raise CorruptPackError(file, offset, entry.raw_length, entry.stored_length)


def _tail_checksum(index_offset: int, count: int, version: int, index: Buffer) -> bytes:
    checksum = xxhash.xxh3_128(index)
    checksum.update(_FOOTER_FIELDS.pack(index_offset, count, version))
    return checksum.digest()
