"""The base table: a sealed tree as mapped bytes, read in place.

`Table` answers the protocol of a base (`model/tree.py`) out of one buffer that the caller mapped.
Nothing is loaded: opening looks at the header and the footer, and of the files that were looked at
only the last few leave a Python object behind. The writer is `format/table_writer.py`.

    header | records | entries | inode index | directory index | name index | unlinked
    | checksums | footer

Invariants:
- Every byte is checked before its meaning is used: header and footer at opening, the rest in blocks
  of 16 KiB at their first touch. So an answer is the one that was written, or `CorruptTableError`.
- An index is an open-addressing hash table without wrap-around that ends with an empty slot, so
  probing ends even in a forged file.
- Offsets are 40 bits: a table is smaller than 1 TiB.

Source: `docs/on-disk-format.md`, section *Base table*.
"""

import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import msgspec
from xxhash import xxh3_64_intdigest

from pyi_fs.errors import CorruptTableError, FormatTooNewError, FormatUnknownError
from pyi_fs.format.record import UNDECODABLE, are_blocks
from pyi_fs.ids import Buffer, InodeNumber
from pyi_fs.model.inode import Inode

MAGIC = b"PYITABLE"
FOOTER_MAGIC = b"PYITBEND"
VERSION = 1

# The unit of checking: hashing it costs 1-2 us, once, and its checksums are 0.05 % of the file.
BLOCK_SHIFT = 14
BLOCK_BYTES = 1 << BLOCK_SHIFT

HEADER = struct.Struct("<8sII")
"""Magic, version, the low half of the XXH3-64 of what stands before."""
HEAD = struct.Struct("<II")
"""Before a record: inode number, bytes. Before a directory's entries: its inode number, count."""
ENTRY = struct.Struct("<IIB")
"""Before a name: the directory's inode number, the number it points at, bytes of the name."""
SLOT = struct.Struct("<Q")
"""Offset of a head or entry (40 bits) under a tag (24 bits); 0 is an empty slot."""
FOOTER = struct.Struct("<8s13Q")

OFFSET_BITS = 40
OFFSET_MASK = (1 << OFFSET_BITS) - 1
SLOT_BYTES = SLOT.size
NUMBER_BYTES = 4
# 2**32 over the golden ratio, odd: spreads runs of consecutive numbers evenly (Knuth, TAOCP 6.4).
MULTIPLIER = 0x9E3779B1

RECORDS_KEPT_MAX = 128
"""Who edits a file asks for its record five times, and the next snapshot once more."""
RECORD_BYTES_KEPT_MAX = 512
"""Records of longer ones are mostly extents; together 100 KB of memory at most."""

_MASK_32 = (1 << 32) - 1
_MASK_24 = (1 << 24) - 1
_DOTS = (b".", b"..")
_CHECKED = 1
_CHECKED_WITH_NEXT = 2


class Footer(NamedTuple):
    """The last bytes of a table: counts, offsets of sections, and the XXH3-64 of all that."""

    magic: bytes
    inode_count: int
    dentry_count: int
    directory_count: int
    unlinked_count: int
    last_inode: int
    entries_offset: int
    inode_index_offset: int
    directory_index_offset: int
    name_index_offset: int
    unlinked_offset: int
    checksums_offset: int
    salt: int
    checksum: int


def slot_count(key_count: int) -> int:
    """Returns how many home slots an index has: a power of two, at most half of them used."""
    return max(2, 1 << (2 * key_count - 1).bit_length()) if key_count else 2


def number_shift(slots: int) -> int:
    """Returns how far right `number * MULTIPLIER mod 2**32` is shifted to give a home slot."""
    return 33 - slots.bit_length()


def header_bytes() -> bytes:
    """Returns the first bytes of every table."""
    start = HEADER.pack(MAGIC, VERSION, 0)[:-4]
    return start + (xxh3_64_intdigest(start) & _MASK_32).to_bytes(4, "little")


class Table:
    """A tree read out of mapped bytes; implements `model.tree.Base`.

    Immutable but for its notes: of what was checked, and the records that were asked for last.
    """

    __slots__ = (
        "_block_count",
        "_data",
        "_file",
        "_footer",
        "_inode_index",
        "_inode_shift",
        "_name_index",
        "_name_mask",
        "_records",
        "_salt",
        "_seen",
        "inode_count",
        "last_inode",
    )

    def __init__(self, data: Buffer, file: str = "base") -> None:
        """Opens a table, O(1) in its files; `file` is what errors call it.

        `data` must not change while the table lives. Raises `CorruptTableError`,
        `FormatUnknownError`, `FormatTooNewError`; every later method only `CorruptTableError`.
        """
        self._data = memoryview(data).toreadonly()
        self._file = file
        self._footer = footer = self._opened()
        self._block_count = -(-footer.checksums_offset // BLOCK_BYTES)
        self._seen = bytearray(self._block_count)
        self._records: dict[int, Inode] = {}
        self._salt = footer.salt
        self._inode_index = footer.inode_index_offset
        self._inode_shift = number_shift(slot_count(footer.inode_count))
        self._name_index = footer.name_index_offset
        self._name_mask = slot_count(footer.dentry_count) - 1
        self.inode_count = footer.inode_count
        self.last_inode = InodeNumber(footer.last_inode)

    @property
    def dentry_count(self) -> int:
        """Returns how many names there are in all directories together."""
        return self._footer.dentry_count

    def inode(self, number: InodeNumber) -> Inode | None:
        """Returns the record, or None."""
        kept = self._records.get(number)
        if kept is not None:
            return kept
        try:
            place = self._find(self._inode_index, self._inode_shift, number)
            if not place:
                return None
            length = HEAD.unpack_from(self._data, place)[1]
            end = place + HEAD.size + length
            if length > BLOCK_BYTES - HEAD.size:
                self._check_range(place, end)
            inode: Inode = _DECODER.decode(self._data[place + HEAD.size : end])
        except _MALFORMED as error:
            raise self._corrupt(0, "a record", error) from error
        if inode.extents and not are_blocks(inode.extents):
            raise self._corrupt(place, "whole extents", f"{len(inode.extents)} of something")
        if length <= RECORD_BYTES_KEPT_MAX:
            # All at once: a walk passes by, and finding the oldest would cost it more than this.
            if len(self._records) >= RECORDS_KEPT_MAX:
                self._records.clear()
            self._records[number] = inode
        return inode

    def lookup(self, directory: InodeNumber, name: bytes) -> InodeNumber | None:
        """Returns the number a name of a directory points at, or None."""
        data, seen = self._data, self._seen
        digest = xxh3_64_intdigest(name, directory ^ self._salt)
        tag = digest >> OFFSET_BITS
        slot = self._name_index + (digest & self._name_mask) * SLOT_BYTES
        try:
            while True:
                if seen[slot >> BLOCK_SHIFT] != _CHECKED_WITH_NEXT:
                    self._check(slot >> BLOCK_SHIFT)
                (value,) = SLOT.unpack_from(data, slot)
                if not value:
                    return None
                if value >> OFFSET_BITS == tag:
                    place = value & OFFSET_MASK
                    if seen[place >> BLOCK_SHIFT] != _CHECKED_WITH_NEXT:
                        self._check(place >> BLOCK_SHIFT)
                    parent, number, length = ENTRY.unpack_from(data, place)
                    place += ENTRY.size
                    if parent == directory and data[place : place + length] == name:
                        return InodeNumber(number)
                slot += SLOT_BYTES
        except _MALFORMED as error:
            raise self._corrupt(slot, "a slot", error) from error

    def entries(self, directory: InodeNumber) -> Iterator[tuple[bytes, InodeNumber]]:
        """Yields the dentries of a directory, sorted by name."""
        data, seen, footer = self._data, self._seen, self._footer
        shift = number_shift(slot_count(footer.directory_count))
        place = 0
        try:
            place = self._find(footer.directory_index_offset, shift, directory)
            if not place:
                return
            count = HEAD.unpack_from(data, place)[1]
            place += HEAD.size
            for _ in range(count):
                if seen[place >> BLOCK_SHIFT] != _CHECKED_WITH_NEXT:
                    self._check(place >> BLOCK_SHIFT)
                parent, number, length = ENTRY.unpack_from(data, place)
                if parent != directory:
                    raise self._corrupt(place, directory, parent)
                place += ENTRY.size
                name = bytes(data[place : place + length])
                if not length or b"/" in name or b"\0" in name or name in _DOTS:
                    raise self._corrupt(place, "a name", name)
                yield name, InodeNumber(number)
                place += length
        except _MALFORMED as error:
            raise self._corrupt(place, "an entry", error) from error

    def numbers(self) -> Iterator[InodeNumber]:
        """Yields every inode number, unlinked ones included, in the order they were written."""
        data, seen = self._data, self._seen
        place = HEADER.size
        try:
            for _ in range(self.inode_count):
                if seen[place >> BLOCK_SHIFT] != _CHECKED_WITH_NEXT:
                    self._check(place >> BLOCK_SHIFT)
                number, length = HEAD.unpack_from(data, place)
                yield InodeNumber(number)
                place += HEAD.size + length
        except _MALFORMED as error:
            raise self._corrupt(place, "a record", error) from error

    def unlinked_numbers(self) -> Iterator[InodeNumber]:
        """Yields the inodes with no dentry."""
        start = self._footer.unlinked_offset
        end = start + self._footer.unlinked_count * NUMBER_BYTES
        try:
            self._check_range(start, end)
        except _MALFORMED as error:
            raise self._corrupt(start, "inode numbers", error) from error
        for (number,) in struct.iter_unpack("<I", self._data[start:end]):
            yield InodeNumber(number)

    def raw(self) -> tuple[memoryview, Footer]:
        """Returns all bytes and where what is, every block checked: for who writes the next one."""
        self.verify()
        return self._data, self._footer

    def verify(self) -> None:
        """Checks every block; `CorruptTableError` for the first that is not what was written."""
        self._check_range(0, self._footer.checksums_offset)

    def _opened(self) -> Footer:
        """Returns the footer after checking it and the header."""
        data, size = self._data, len(self._data)
        if size < HEADER.size + FOOTER.size:
            raise self._corrupt(0, f"at least {HEADER.size + FOOTER.size} bytes", size)
        footer = Footer._make(FOOTER.unpack_from(data, size - FOOTER.size))
        magic, version, check = HEADER.unpack_from(data)
        if magic != MAGIC and footer.magic != FOOTER_MAGIC:
            raise FormatUnknownError(f"{self._file} is not a base table")
        expected = xxh3_64_intdigest(data[: HEADER.size - 4]) & _MASK_32
        if magic != MAGIC or check != expected:
            raise self._corrupt(0, f"{expected:#x}", f"{check:#x}")
        if version > VERSION:
            raise FormatTooNewError(f"{self._file} has version {version}, known is {VERSION}")
        if version != VERSION:
            raise FormatUnknownError(f"{self._file} has version {version}")
        checksum = xxh3_64_intdigest(data[size - FOOTER.size : size - SLOT_BYTES])
        if footer.checksum != checksum or footer.magic != FOOTER_MAGIC:
            raise self._corrupt(size - FOOTER.size, f"{checksum:#x}", f"{footer.checksum:#x}")
        self._check_layout(footer)
        return footer

    def _check_layout(self, footer: Footer) -> None:
        """Checks that the sections follow each other and have room for what the footer counts."""
        directories, dentries = footer.directory_count, footer.dentry_count
        sections = (
            (HEADER.size, footer.inode_count * HEAD.size),
            (footer.entries_offset, dentries * ENTRY.size + directories * HEAD.size),
            (footer.inode_index_offset, (slot_count(footer.inode_count) + 1) * SLOT_BYTES),
            (footer.directory_index_offset, (slot_count(directories) + 1) * SLOT_BYTES),
            (footer.name_index_offset, (slot_count(dentries) + 1) * SLOT_BYTES),
            (footer.unlinked_offset, footer.unlinked_count * NUMBER_BYTES),
            (footer.checksums_offset, -(-footer.checksums_offset // BLOCK_BYTES) * SLOT_BYTES),
            (len(self._data) - FOOTER.size, 0),
        )
        for (offset, size), (following, _) in pairwise(sections):
            if offset % SLOT_BYTES or offset + size > following:
                raise self._corrupt(offset, f"{size} bytes in a section", following - offset)
        if sum(sections[-2]) != sections[-1][0] or footer.last_inode > _MASK_32:
            raise self._corrupt(len(self._data) - FOOTER.size, sum(sections[-2]), sections[-1][0])

    def _find(self, index: int, shift: int, number: int) -> int:
        """Returns the offset of the head with that number, its block checked, or 0."""
        data, seen = self._data, self._seen
        tag = number & _MASK_24
        slot = index + ((number * MULTIPLIER & _MASK_32) >> shift) * SLOT_BYTES
        while True:
            if seen[slot >> BLOCK_SHIFT] != _CHECKED_WITH_NEXT:
                self._check(slot >> BLOCK_SHIFT)
            (value,) = SLOT.unpack_from(data, slot)
            if not value:
                return 0
            if value >> OFFSET_BITS == tag:
                place: int = value & OFFSET_MASK
                if seen[place >> BLOCK_SHIFT] != _CHECKED_WITH_NEXT:
                    self._check(place >> BLOCK_SHIFT)
                if HEAD.unpack_from(data, place)[0] == number:
                    return place
            slot += SLOT_BYTES

    def _check(self, block: int) -> None:
        """Checks a block and the next, so that what begins here and is up to a block long is."""
        checksums = self._footer.checksums_offset
        for index in range(block, min(block + 2, self._block_count)):
            if self._seen[index] == 0:
                start = index * BLOCK_BYTES
                end = min(start + BLOCK_BYTES, checksums)
                found = xxh3_64_intdigest(self._data[start:end])
                (expected,) = SLOT.unpack_from(self._data, checksums + index * SLOT_BYTES)
                if found != expected:
                    raise self._corrupt(start, f"{expected:#x}", f"{found:#x}")
                self._seen[index] = _CHECKED
        self._seen[block] = _CHECKED_WITH_NEXT

    def _check_range(self, start: int, end: int) -> None:
        """Checks every block of `[start, end)`."""
        if end > self._footer.checksums_offset:
            raise self._corrupt(start, f"an end up to {self._footer.checksums_offset}", end)
        for block in range(start >> BLOCK_SHIFT, -(-end >> BLOCK_SHIFT)):
            self._check(block)

    def _corrupt(self, offset: int, expected: object, found: object) -> CorruptTableError:
        return CorruptTableError(self._file, offset, expected, found)


_DECODER = msgspec.msgpack.Decoder(Inode)
# What reading past the end or bytes of another shape raises; only a forged file gets this far.
_MALFORMED = (IndexError, struct.error, *UNDECODABLE)
