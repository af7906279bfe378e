"""Entries and opened files as pyfuse3 takes them."""

from pyfuse3 import EntryAttributes, FileInfo

from pyi_fs.fuse.attributes import (
    BLOCK_SIZE,
    DIRECTORY_BYTES,
    LASTING_SECONDS,
    Entry,
    blocks_of,
)
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.told import Told


class Entries:
    """Encodes entries of a mount."""

    def __init__(self, told: Told) -> None:
        """Notes in `told` who is told of what."""
        self._told = told

    def entry(self, entry: Entry) -> EntryAttributes:
        """Returns what the kernel is told of a file, and for how long it may keep that."""
        node, inode, lasting = entry
        attributes = EntryAttributes()
        attributes.st_ino = node
        mode = attributes.st_mode = inode.mode
        attributes.st_nlink = inode.nlink
        attributes.st_uid = inode.uid
        attributes.st_gid = inode.gid
        attributes.st_rdev = inode.rdev
        attributes.st_size = inode.size
        if mode & 0o170000 == 0o040000:
            attributes.st_size = DIRECTORY_BYTES
        if lasting:
            self._told.note(node)
        attributes.st_blksize = BLOCK_SIZE
        attributes.st_blocks = blocks_of(inode)
        attributes.st_atime_ns = inode.atime_ns
        attributes.st_mtime_ns = inode.mtime_ns
        attributes.st_ctime_ns = inode.ctime_ns
        attributes.entry_timeout = LASTING_SECONDS if lasting else 0
        attributes.attr_timeout = attributes.entry_timeout
        return attributes


def _nothing() -> EntryAttributes:
    attributes = EntryAttributes()
    attributes.st_ino = 0
    attributes.entry_timeout = LASTING_SECONDS
    return attributes


NOTHING = _nothing()
"""The answer that there is nothing at a name, which the kernel may remember."""


def opened(node: int, handle: HandleId) -> FileInfo:
    """Returns the answer to an open."""
    if node & CONTROL_BIT:
        # Each read of a control file is a request of its own, whatever its size.
        return FileInfo(fh=handle, direct_io=True, keep_cache=False)
    # Only this mount changes a node's bytes, through the same pages; a publish gives changed files
    # new nodes.
    return FileInfo(fh=handle, keep_cache=True)
