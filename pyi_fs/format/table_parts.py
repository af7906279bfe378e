"""What every writer of a base table needs: bytes on their way out, indexes, the end of the file.

Source: `docs/on-disk-format.md`, section *Base table*.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

from pyi_fs.format.table import (
    BLOCK_BYTES,
    FOOTER,
    FOOTER_MAGIC,
    MULTIPLIER,
    OFFSET_BITS,
    OFFSET_MASK,
    SLOT_BYTES,
    Footer,
    number_shift,
    slot_count,
)

# Large enough that a write system call costs nothing beside it, small enough to be no memory.
PART_BYTES = 1 << 20

_TAG_MASK = ~OFFSET_MASK
_MASK_32 = (1 << 32) - 1
_MASK_24 = (1 << 24) - 1


class Sections(NamedTuple):
    """What the indexes say of records and entries that are written; all in file order."""

    salt: int
    entries_offset: int
    numbers: "array[int]"
    offsets: "array[int]"
    """Of the record of each number."""
    directories: "array[int]"
    places: "array[int]"
    """Of the entries of each directory."""
    digests: "array[int]"
    name_places: "array[int]"
    """Of the entry with each digest."""
    unlinked: "array[int]"


def finished(output: "Output", sections: Sections) -> Iterator[bytes]:
    """Yields what follows the entries: indexes, unlinked, checksums, footer."""
    inode_index = output.align()
    directory_index = output.write(_number_index(sections.numbers, sections.offsets))
    yield from output.parts()
    name_index = output.write(_number_index(sections.directories, sections.places))
    slots = slot_count(len(sections.digests))
    unlinked = output.write(_index(sections.digests, sections.name_places, slots))
    yield from output.parts()
    footer = Footer(
        magic=FOOTER_MAGIC,
        inode_count=len(sections.numbers),
        dentry_count=len(sections.digests),
        directory_count=len(sections.directories),
        unlinked_count=len(sections.unlinked),
        last_inode=max(sections.numbers, default=0),
        entries_offset=sections.entries_offset,
        inode_index_offset=inode_index,
        directory_index_offset=directory_index,
        name_index_offset=name_index,
        unlinked_offset=unlinked,
        checksums_offset=output.write(sections.unlinked),
        salt=sections.salt,
        checksum=0,
    )
    yield from output.rest()
    start = FOOTER.pack(*footer)[:-SLOT_BYTES]
    yield start + xxh3_64_intdigest(start).to_bytes(SLOT_BYTES, "little")


class Output:
    """Bytes on their way out, and the checksums of their blocks."""

    def __init__(self) -> None:
        """Starts at the beginning of a file."""
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
