"""Base tables to test with, and a forger's hand."""

import stat
import struct
from collections.abc import Iterable
from typing import Any

from xxhash import xxh3_64_intdigest

from pyi_fs.format.table import BLOCK_BYTES, FOOTER, Footer
from pyi_fs.format.table_writer import TableWriter
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode, with_fields

TIME = 1_700_000_000_123_456_789
ROOT = Inode(0o40755, 2, 0, 0, 0, TIME, TIME, TIME, TIME, ROOT_INODE, b"")
BIG = InodeNumber(50_000)


def footer_of(data: bytes) -> Footer:
    """Returns a table's footer."""
    return Footer._make(FOOTER.unpack(data[-FOOTER.size :]))


def regular(parent: int, name: bytes, *links: tuple[int, bytes], nlink: int | None = None) -> Inode:
    """Returns the record of an empty file with these dentries."""
    return Inode(
        stat.S_IFREG | 0o644,
        1 + len(links) if nlink is None else nlink,
        *(1000, 1000, 0, TIME, TIME, TIME, TIME),
        InodeNumber(parent),
        name,
        links=tuple((InodeNumber(number), other) for number, other in links),
    )


def written(inodes: Iterable[tuple[int, Inode]]) -> bytes:
    """Returns the table of these inodes."""
    writer = TableWriter()
    for number, inode in inodes:
        writer.add(InodeNumber(number), inode)
    return b"".join(writer.finish())


def small_table() -> bytes:
    """Returns one block with a directory, a hard link, a symlink and an unlinked file."""
    return written(
        [
            (1, with_fields(ROOT, nlink=3)),
            (2, with_fields(ROOT, name=b"d")),
            (3, regular(2, b"f\xff", (1, b"g"))),
            (9, regular(2, b"gone", nlink=0)),
            (70_000, with_fields(regular(1, b"s"), mode=0o120777, target=b"d/f")),
        ]
    )


def large_tree(files: int = 400) -> dict[int, Inode]:
    """Returns inodes that fill several blocks, one record alone more than two."""
    inodes = {1: ROOT}
    for i in range(files):
        inodes[2 + i] = regular(1, b"file-%d" % i)
    extents = [Extent(i * 8192, 4096, extent.SCRATCH, bytes(32), i * 4096) for i in range(900)]
    big = regular(1, b"big")
    inodes[BIG] = with_fields(big, extents=extent.from_extents(extents), size=900 * 8192)
    return inodes


def resigned(data: bytes, **changes: Any) -> bytes:
    """Returns the table with footer fields changed and every checksum made right."""
    footer = footer_of(data)
    end = footer.checksums_offset
    blocks = (data[start : min(start + BLOCK_BYTES, end)] for start in range(0, end, BLOCK_BYTES))
    sums = b"".join(struct.pack("<Q", xxh3_64_intdigest(block)) for block in blocks)
    start = FOOTER.pack(*footer._replace(**changes))[:-8]
    return data[:end] + sums + start + struct.pack("<Q", xxh3_64_intdigest(start))
