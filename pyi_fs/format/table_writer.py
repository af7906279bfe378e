"""Writing a base table (`format/table.py`) as a stream of bytes.

The bytes come out in file order and are never changed afterwards, so they can go to a pipe or an
append-only file. Records leave as they are added; what stays until the end is 12 bytes an inode and
about 50 bytes and the name for each dentry, then the three indexes: 150 MB for a million files
(2026-11, CPython 3.11).

Source: `docs/on-disk-format.md`, section *Base table*.
"""

from array import array
from collections.abc import Callable, Iterator

import msgspec
from xxhash import xxh3_64_intdigest

from pyi_fs import limits
from pyi_fs.format.table import HEAD, header_bytes
from pyi_fs.format.table_parts import PART_BYTES, Output, Sections, finished
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.extent import ExtentList
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.tree import Base

_MASK_32 = (1 << 32) - 1
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
        self._output = Output()
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
        yield from finished(
            output,
            Sections(
                salt,
                entries_offset,
                self._numbers,
                self._offsets,
                directories,
                places,
                digests,
                name_places,
                self._unlinked,
            ),
        )

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
