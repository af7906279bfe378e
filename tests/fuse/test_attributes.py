"""What stat is told about records."""

import os

from pyi_fs.fuse.attributes import blocks_of, data_bytes, space_of
from pyi_fs.ids import ROOT_INODE, SegmentId
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode


def scattered(count):
    """Returns a list of `count` extents of 100 bytes with holes between them."""
    source = extent.scratch_source(SegmentId(1))
    return extent.from_extents(
        [Extent(index * 1000, 100, extent.SCRATCH, source, index * 500) for index in range(count)]
    )


def file_of(extents, size):
    return Inode(0o100644, 1, 0, 0, size, 0, 0, 0, 0, ROOT_INODE, b"f", extents)


def test_holes_are_not_counted():
    assert blocks_of(file_of(b"", 1 << 30)) == 0
    assert blocks_of(file_of(scattered(1), 1 << 30)) == 1
    assert blocks_of(file_of(scattered(3), 1 << 30)) == 1
    assert blocks_of(file_of(scattered(6), 1 << 30)) == 2
    assert data_bytes(scattered(5000), 5_000_000) == 500_000


def test_a_file_in_very_many_pieces_counts_as_whole():
    extents = scattered(20_000)
    assert data_bytes(extents, 20_000_000) == 20_000_000


def test_a_directory_has_a_page_and_a_symlink_nothing():
    assert blocks_of(Inode(0o040755, 2, 0, 0, 0, 0, 0, 0, 0, ROOT_INODE, b"d")) == 8
    assert blocks_of(Inode(0o120777, 1, 0, 0, 3, 0, 0, 0, 0, ROOT_INODE, b"l", b"", b"abc")) == 0


def test_space_is_that_of_the_disk_in_blocks_of_4_kib(tmp_path):
    space = space_of(tmp_path)
    disk = os.statvfs(tmp_path)
    assert space.block_bytes == 4096
    assert space.name_bytes_max == 255
    assert space.blocks * 4096 == disk.f_blocks * disk.f_frsize
