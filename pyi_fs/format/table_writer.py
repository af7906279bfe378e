"""Writing a base table (`format/table.py`) as a stream of bytes.

The bytes come out in file order and are never changed afterwards, so they can go to a pipe or an
append-only file. Records leave as they are added; what stays until the end is 12 bytes an inode and
about 50 bytes and the name for each dentry, then the three indexes: 150 MB for a million files
(2026-11, CPython 3.11).

Source: `docs/on-disk-format.md`, section *Base table*.
"""

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator

import msgspec
from xxhash import xxh3_64_intdigest

from pyi_fs import limits
from pyi_fs.format.table import (
    BLOCK_BYTES,
    FOOTER,
    FOOTER_MAGIC,
    HEAD,
    MULTIPLIER,
    OFFSET_BITS,
    OFFSET_MASK,
    SLOT_BYTES,
    Footer,
    header_bytes,
    number_shift,
    slot_count,
)
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.extent import ExtentList
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.tree import Base

# Large enough that a write system call costs nothing beside it, small enough to be no memory.
PART_BYTES = 1 << 20

_TAG_MASK = ~OFFSET_MASK
_MASK_32 = (1 << 32) - 1
_MASK_24 = (1 << 24) - 1
_TAIL_BYTES = 6
_encode = msgspec.msgpack.Encoder().encode


def encode_table(
    base: Base, translate: Callable[[ExtentList], ExtentList] | None = None
) -> Iterator[bytes]:
    """Yields the bytes of the table that equals a base, in parts of about 1 MiB.

    `translate` gives each non-empty extent list its form in the table (scratch resolved to chunks).
    """
    writer = TableWriter()
    for number in base.numbers():
        inode = base.inode(number)
        assert inode is not None, f"BUG: no record of inode {number}, which its base lists"
        if translate is not None and inode.extents:
            inode = with_fields(inode, extents=translate(inode.extents))
        writer.add(number, inode)
        if writer.pending_bytes >= PART_BYTES:
            yield writer.take()
    yield from writer.finish()


class TableWriter:
    """Makes a table of inodes that come in any order; dentries follow from the records.

    Use: `add` for each inode, `take` now and then if memory matters, `finish` once. What `take` and
    `finish` return, in that order, is the file. The same inodes in the same order make the same
    bytes, whenever `take` is called.
    """

    def __init__(self) -> None:
        """Starts an empty table."""
        self._output = _Output()
        self._output.pending += header_bytes()
        self._numbers = array("I")
        self._offsets = array("Q")
        self._unlinked = array("I")
        # Directory -> its dentries as `name, NUL, number u32, length u8`: these bytes sort as the
        # names do, because no name has a NUL; one object a dentry is half the memory of a tuple.
        self._names: dict[InodeNumber, list[bytes]] = {}

    @property
    def pending_bytes(self) -> int:
        """Returns how many bytes wait for `take` or `finish`."""
        return len(self._output.pending)

    def add(self, number: InodeNumber, inode: Inode) -> None:
        """Adds an inode; each number once. Its directories may come before or after it."""
        assert 0 < number <= limits.INODE_NUMBER_MAX, f"BUG: inode number {number}"
        output = self._output
        record = _encode(inode)
        assert len(record) <= _MASK_32, f"BUG: record of inode {number} has {len(record)} bytes"
        self._numbers.append(number)
        self._offsets.append(output.taken_bytes + len(output.pending))
        output.pending += HEAD.pack(number, len(record))
        output.pending += record
        if inode.nlink == 0:
            self._unlinked.append(number)
        elif number != ROOT_INODE:
            self._add_name(inode.parent, inode.name, number)
            for parent, name in inode.links:
                self._add_name(parent, name, number)

    def take(self) -> bytes:
        """Returns the bytes that are ready to be written, perhaps none, and forgets them."""
        return self._output.take()

    def finish(self) -> Iterator[bytes]:
        """Yields the rest of the file. The writer is used up afterwards."""
        self._check_numbers()
        output = self._output
        yield from output.parts()
        salt = output.salt()
        entries_offset = output.align()
        directories, places = array("I"), array("Q")
        digests, name_places = array("Q"), array("Q")
        for directory in sorted(self._names):
            directories.append(directory)
            places.append(output.taken_bytes + len(output.pending))
            self._write_entries(directory, salt, digests, name_places)
            yield from output.parts(PART_BYTES)
        inode_index = output.align()
        directory_index = output.write(_number_index(self._numbers, self._offsets))
        yield from output.parts()
        name_index = output.write(_number_index(directories, places))
        unlinked = output.write(_index(digests, name_places, slot_count(len(digests))))
        yield from output.parts()
        footer = Footer(
            magic=FOOTER_MAGIC,
            inode_count=len(self._numbers),
            dentry_count=len(digests),
            directory_count=len(directories),
            unlinked_count=len(self._unlinked),
            last_inode=max(self._numbers, default=0),
            entries_offset=entries_offset,
            inode_index_offset=inode_index,
            directory_index_offset=directory_index,
            name_index_offset=name_index,
            unlinked_offset=unlinked,
            checksums_offset=output.write(self._unlinked),
            salt=salt,
            checksum=0,
        )
        yield from output.rest()
        start = FOOTER.pack(*footer)[:-SLOT_BYTES]
        yield start + xxh3_64_intdigest(start).to_bytes(SLOT_BYTES, "little")

    def _check_numbers(self) -> None:
        known = set(self._numbers)
        assert len(known) == len(self._numbers), "BUG: an inode was added twice"
        assert self._names.keys() <= known, "BUG: a directory was not added"

    def _add_name(self, parent: InodeNumber, name: bytes, number: InodeNumber) -> None:
        length = len(name)
        assert 0 < length <= limits.NAME_BYTES_MAX, f"BUG: a name of {length} bytes"
        assert b"\0" not in name, f"BUG: inode {number} has a name with a NUL"
        key = b"%b\0%b%c" % (name, number.to_bytes(4, "little"), length)
        names = self._names.get(parent)
        if names is None:
            self._names[parent] = [key]
        else:
            names.append(key)

    def _write_entries(
        self, directory: InodeNumber, salt: int, digests: "array[int]", places: "array[int]"
    ) -> None:
        """Writes and forgets one directory's dentries; notes the digest and the place of each."""
        output = self._output
        keys = self._names.pop(directory)
        keys.sort()
        output.pending += HEAD.pack(directory, len(keys))
        place = output.taken_bytes + len(output.pending)
        seed = directory ^ salt
        start = directory.to_bytes(4, "little")
        previous = b""
        parts = []
        for key in keys:
            name = key[:-_TAIL_BYTES]
            assert name != previous, f"BUG: two inodes are {name!r} in directory {directory}"
            previous = name
            entry = start + key[-5:] + name
            parts.append(entry)
            digests.append(xxh3_64_intdigest(name, seed))
            places.append(place)
            place += len(entry)
        output.pending += b"".join(parts)


class _Output:
    """Bytes on their way out, and the checksums of their blocks."""

    def __init__(self) -> None:
        self.pending = bytearray()
        self.taken_bytes = 0
        self._checksums = array("Q")

    def take(self) -> bytes:
        """Returns the whole blocks that are pending."""
        return self._cut(len(self.pending) // BLOCK_BYTES * BLOCK_BYTES)

    def parts(self, least_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Yields whole pending blocks, up to 1 MiB each, while so much is pending."""
        while len(self.pending) >= least_bytes:
            yield self._cut(min(len(self.pending) // BLOCK_BYTES * BLOCK_BYTES, PART_BYTES))

    def rest(self) -> Iterator[bytes]:
        """Yields all that is pending and then the checksums."""
        yield from self.parts()
        yield self._cut(len(self.pending))
        yield _little_endian(self._checksums)

    def align(self) -> int:
        """Pads to a multiple of 8 bytes and returns the offset reached."""
        self.pending += bytes(-len(self.pending) % SLOT_BYTES)
        return self.taken_bytes + len(self.pending)

    def write(self, numbers: "array[int]") -> int:
        """Appends numbers, pads, and returns the offset reached."""
        self.pending += _little_endian(numbers)
        return self.align()

    def salt(self) -> int:
        """Returns a number that depends on everything so far; call after `parts`.

        Seeded with it, the digests of names cannot be foreseen by who chooses the names (to make
        them collide): another name is another salt.
        """
        return xxh3_64_intdigest(self.pending, xxh3_64_intdigest(self._checksums))

    def _cut(self, length: int) -> bytes:
        part = bytes(memoryview(self.pending)[:length])
        view = memoryview(part)
        self._checksums.extend(
            xxh3_64_intdigest(view[start : start + BLOCK_BYTES])
            for start in range(0, length, BLOCK_BYTES)
        )
        self.taken_bytes += length
        del self.pending[:length]
        assert self.taken_bytes <= OFFSET_MASK, "BUG: a table of more than 1 TiB"
        return part


def _number_index(numbers: "array[int]", places: "array[int]") -> "array[int]":
    """Returns an index by inode number: its low 24 bits are the tag."""
    slots = slot_count(len(numbers))
    assert slots <= 1 << 32, f"BUG: {len(numbers)} inode numbers"
    shift = number_shift(slots)
    digests = (
        (number & _MASK_24) << OFFSET_BITS | (number * MULTIPLIER & _MASK_32) >> shift
        for number in numbers
    )
    return _index(digests, places, slots)


def _index(digests: Iterable[int], places: "array[int]", slots: int) -> "array[int]":
    """Returns an index: the home slot is a digest's low bits, the tag its high 24."""
    mask = slots - 1
    # No wrap-around: at worst all keys overflow behind the last home slot.
    table = array("Q", bytes((slots + len(places) + 1) * SLOT_BYTES))
    for digest, place in zip(digests, places, strict=True):
        slot = digest & mask
        while table[slot]:
            slot += 1
        table[slot] = digest & _TAG_MASK | place
    end = slots
    while table[end]:
        end += 1
    del table[end + 1 :]
    return table


def _little_endian(numbers: "array[int]") -> bytes:
    if sys.byteorder == "big":
        numbers = array(numbers.typecode, numbers)
        numbers.byteswap()
    return numbers.tobytes()
