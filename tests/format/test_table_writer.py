"""`TableWriter` makes the same bytes however it is fed, and refuses our own mistakes."""

import stat

import pytest

from pyi_fs.format.table import BLOCK_BYTES, Table
from pyi_fs.format.table_parts import PART_BYTES
from pyi_fs.format.table_writer import TableWriter, encode_table
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.inode import Inode
from tests.support.tables import written

TIME = 1_700_000_000_123_456_789
ROOT = Inode(stat.S_IFDIR | 0o755, 2, 0, 0, 0, TIME, TIME, TIME, TIME, ROOT_INODE, b"")


def regular(parent: int, name: bytes, extents: ExtentList = b"") -> Inode:
    """Returns the record of a file."""
    times = (TIME, TIME, TIME, TIME)
    return Inode(0o100644, 1, 0, 0, 4096, *times, InodeNumber(parent), name, extents)


def inodes(count: int) -> list[tuple[InodeNumber, Inode]]:
    """Returns the root and files in it."""
    files = [(InodeNumber(n), regular(1, b"name %d" % n)) for n in range(2, count + 2)]
    return [(ROOT_INODE, ROOT), *files]


def test_the_bytes_do_not_depend_on_when_they_are_taken() -> None:
    """Taken after every inode, and only at the end."""
    at_once, in_steps = TableWriter(), TableWriter()
    parts = []
    for number, inode in inodes(1000):
        at_once.add(number, inode)
        in_steps.add(number, inode)
        parts.append(in_steps.take())
        assert in_steps.pending_bytes < BLOCK_BYTES
    assert b"".join((*parts, *in_steps.finish())) == b"".join(at_once.finish())


def test_inodes_may_come_in_any_order() -> None:
    """Children before their directories: the same answers."""
    writer = TableWriter()
    for number, inode in reversed(inodes(300)):
        writer.add(number, inode)
    table = Table(b"".join(writer.finish()))
    assert dict(inodes(300)) == {number: table.inode(number) for number in table.numbers()}
    assert list(table.entries(ROOT_INODE)) == sorted((i.name, n) for n, i in inodes(300)[1:])


def test_encoding_a_table_gives_the_same_bytes() -> None:
    """A table is a base like any other."""
    writer = TableWriter()
    for number, inode in inodes(500):
        writer.add(number, inode)
    data = b"".join(writer.finish())
    assert b"".join(encode_table(Table(data))) == data


def test_records_leave_while_the_base_is_read() -> None:
    """What waits in the writer is bounded by a part and one record, however large the table."""
    block = b"".join(extent.pack(Extent(i * 2, 1, 1, bytes(32), i)) for i in range(128))
    writer = TableWriter()
    writer.add(ROOT_INODE, ROOT)
    for number in range(2, 1000):
        writer.add(InodeNumber(number), regular(1, b"%d" % number, block))
    parts = list(encode_table(Table(b"".join(writer.finish()))))
    assert sum(map(len, parts)) > 5 * PART_BYTES
    assert max(map(len, parts)) < PART_BYTES + 2 * BLOCK_BYTES


def test_extents_are_translated_on_the_way() -> None:
    """Only lists that are not empty are asked about."""
    scratch = extent.pack(Extent(0, 4096, extent.SCRATCH, bytes(32), 0))
    chunk = extent.pack(Extent(0, 4096, extent.CHUNK, b"c" * 32, 9))
    asked = []

    def translate(extents: ExtentList) -> ExtentList:
        asked.append(extents)
        return chunk

    writer = TableWriter()
    writer.add(ROOT_INODE, ROOT)
    writer.add(InodeNumber(2), regular(1, b"a", scratch))
    writer.add(InodeNumber(3), regular(1, b"b"))
    base = Table(b"".join(writer.finish()))
    table = Table(b"".join(encode_table(base, translate)))
    assert asked == [scratch]
    assert table.inode(InodeNumber(2)) == regular(1, b"a", chunk)
    assert table.inode(InodeNumber(3)) == regular(1, b"b")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([(2, regular(1, b"a")), (2, regular(1, b"b"))], "added twice"),
        ([(2, regular(1, b"a")), (3, regular(1, b"a"))], "two inodes are b'a'"),
        ([(2, regular(7, b"a"))], "directory was not added"),
        ([(2, regular(1, b"a" * 256))], "name of 256 bytes"),
        ([(2, regular(1, b""))], "name of 0 bytes"),
        ([(2, regular(1, b"a\0b"))], "with a NUL"),
        ([(0, regular(1, b"a"))], "inode number 0"),
        ([(2**32, regular(1, b"a"))], "inode number 4294967296"),
    ],
)
def test_our_own_mistakes_are_refused(wrong: list[tuple[int, Inode]], message: str) -> None:
    """Each is an assertion that says what is wrong."""
    with pytest.raises(AssertionError, match=message):
        written([(1, ROOT), *wrong])
