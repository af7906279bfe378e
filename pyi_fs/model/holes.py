"""Where the data and the holes of a file are: lseek(2) with `SEEK_DATA` and `SEEK_HOLE`."""

from pyi_fs.model import extent
from pyi_fs.model.inode import Inode

# Looked at at a time: a file of 100,000 extents is not unpacked to find the first hole.
_STEP_BYTES = 1 << 30


def next_data(inode: Inode, offset: int) -> int | None:
    """Returns the first byte at or after `offset` that is not in a hole; None if there is none."""
    start = offset
    while start < inode.size:
        end = min(start + _STEP_BYTES, inode.size)
        found = extent.overlapping(inode.extents, start, end)
        if found:
            return found[0].file_offset
        start = end
    return None


def next_hole(inode: Inode, offset: int) -> int | None:
    """Returns the first byte at or after `offset` that is in a hole.

    The end of the file counts as one; None at or beyond it.
    """
    if offset >= inode.size:
        return None
    position = offset
    while position < inode.size:
        end = min(position + _STEP_BYTES, inode.size)
        for item in extent.overlapping(inode.extents, position, end):
            if item.file_offset > position:
                return position
            position = item.end
        if position < end:
            return position
    return inode.size
