"""Inode records as the kernel wants them: entries, block counts, cache timeouts, statfs.

Knows no transport.
"""

import os
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.ids import NodeId
from pyi_fs.model.extent import ENTRY_BYTES, ExtentList
from pyi_fs.model.inode import Inode

# Nobody but this mount changes its trees, and a publish says what it changed: the kernel may keep
# what it knows for ever.
LASTING_SECONDS = 10 * 365 * 86400.0
# Python, cp and many others size their buffers by it; a WRITE costs 34 us for 4 KiB and 99 us for
# 64 KiB (design.md 3).
BLOCK_SIZE = 131_072
DIRECTORY_BYTES = 4096
DIRECTORY_BLOCKS = DIRECTORY_BYTES // 512
# Lengths of up to 64 blocks of extents are added up (0.2 ms); a file with more counts as one
# without holes.
_EXACT_BLOCKS_MAX = 64
_WORDS = ENTRY_BYTES // 4


class Entry(NamedTuple):
    """What a name, or a node, is: `lasting` if the kernel may remember it until told otherwise."""

    node: NodeId
    inode: Inode
    lasting: bool = True


class Space(NamedTuple):
    """What statfs(2) answers, in blocks of `block_bytes`."""

    block_bytes: int
    blocks: int
    free: int
    available: int
    files: int
    files_free: int
    name_bytes_max: int


def data_bytes(extents: ExtentList, size: int) -> int:
    """Returns how many bytes of a file are not in holes."""
    if isinstance(extents, bytes):
        return _lengths(extents)
    if len(extents) > _EXACT_BLOCKS_MAX:
        return size
    return sum(map(_lengths, extents))


def _lengths(block: bytes) -> int:
    # An entry is fourteen words; the third is its length.
    return sum(memoryview(block).cast("I")[2::_WORDS]) if block else 0


def blocks_of(inode: Inode) -> int:
    """Returns st_blocks: units of 512 bytes that hold data; a directory has one page."""
    extents = inode.extents
    if extents:
        if len(extents) == ENTRY_BYTES and isinstance(extents, bytes):
            # Nearly every file there is.
            return (int.from_bytes(extents[8:12], "little") + 511) // 512
        return (data_bytes(extents, inode.size) + 511) // 512
    return DIRECTORY_BLOCKS if inode.is_directory else 0


def space_of(path: str | os.PathLike[str]) -> Space:
    """Returns the room on the disk that holds the store."""
    disk = os.statvfs(path)
    unit = 4096
    scale = disk.f_frsize / unit
    return Space(
        unit,
        int(disk.f_blocks * scale),
        int(disk.f_bfree * scale),
        int(disk.f_bavail * scale),
        disk.f_files,
        disk.f_ffree,
        limits.NAME_BYTES_MAX,
    )
