"""Entries, attributes and opened files as the direct transport answers them."""

import os

from pyi_fs.fuse import protocol_replies as replies
from pyi_fs.fuse.attributes import (
    BLOCK_SIZE,
    DIRECTORY_BLOCKS,
    DIRECTORY_BYTES,
    LASTING_SECONDS,
    Entry,
    blocks_of,
)
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.listings import Listed
from pyi_fs.fuse.nodes import CONTROL_BIT, NodeTable
from pyi_fs.fuse.protocol import OpenFlag
from pyi_fs.fuse.protocol_replies import AttributeWords, Timeouts
from pyi_fs.fuse.told import Told
from pyi_fs.ids import NodeId

_LASTING = int(LASTING_SECONDS)
_KEPT = Timeouts(_LASTING, _LASTING)
_NOT_KEPT = Timeouts(0, 0)
NO_ENTRY = replies.no_entry(_LASTING)
"""The answer that there is nothing at a name, which the kernel may remember."""
NO_NODE = replies.no_entry(0)
"""What stands in a listing where no node is told."""

_CONTROL_FILE = OpenFlag.DIRECT_IO.value
_FILE = OpenFlag.KEEP_CACHE.value
_PASSED = OpenFlag.PASSTHROUGH.value
# Only mappings go to the plain file.
_DIRECT = (OpenFlag.PASSTHROUGH | OpenFlag.DIRECT_IO).value
_DIRECTORY = (OpenFlag.KEEP_CACHE | OpenFlag.CACHE_DIR).value


def opened_file(node: NodeId, handle: HandleId, flags: int = 0, backing: int = 0) -> bytes:
    """Returns the answer to OPEN, and the second half of that to CREATE.

    Each read of a control file is a request of its own, whatever its size. Of other files only this
    mount changes the bytes, through the same pages; a publish gives changed files new nodes.

    `backing`: the id of a plain file that the kernel reads itself (`fuse/passthrough.py`); `flags`:
    those of open(2), which say whether reads come to us all the same.
    """
    if backing:
        return replies.opened(handle, _DIRECT if flags & os.O_DIRECT else _PASSED, backing)
    return replies.opened(handle, _CONTROL_FILE if node & CONTROL_BIT else _FILE)


def opened_directory(node: NodeId, handle: HandleId) -> bytes:
    """Returns the answer to OPENDIR: names below `.pyi` come and go without the kernel's doing."""
    return replies.opened(handle, 0 if node & CONTROL_BIT else _DIRECTORY)


class Entries:
    """Encodes entries of a mount."""

    def __init__(self, nodes: NodeTable, told: Told) -> None:
        """Looks numbers up in a mount's nodes, and notes who is told of them."""
        self._nodes = nodes
        self._told = told

    def entry(self, entry: Entry) -> bytes:
        """Returns the answer to what looked a file up."""
        timeouts, words = self._described(entry)
        return replies.entry(entry.node, timeouts, words)

    def listed(self, item: Listed) -> bytes:
        """Returns a name in the answer to READDIRPLUS."""
        name, node, inode, next_offset, is_lasting = item
        if inode.is_directory:
            timeouts, size, blocks = self._measured(item.entry)
        else:
            # As there, without a call for each file of a long listing.
            timeouts, size = _KEPT if is_lasting else _NOT_KEPT, inode.size
            blocks = blocks_of(inode) if inode.extents else 0
        ino = self._nodes.ino_of(node)
        return replies.listed_entry(
            node, timeouts, ino, inode, size, blocks, BLOCK_SIZE, next_offset, name
        )

    def attributes(self, entry: Entry) -> bytes:
        """Returns the answer to GETATTR and SETATTR."""
        timeouts, words = self._described(entry)
        return replies.attributes(timeouts.attributes, words)

    def statx(self, entry: Entry) -> bytes:
        """Returns the answer to STATX."""
        timeouts, words = self._described(entry)
        return replies.statx(timeouts.attributes, words, entry.inode.btime_ns)

    def _described(self, entry: Entry) -> tuple[Timeouts, AttributeWords]:
        timeouts, size, blocks = self._measured(entry)
        ino = self._nodes.ino_of(entry.node)
        return timeouts, replies.attribute_words(ino, entry.inode, size, blocks, BLOCK_SIZE)

    def _measured(self, entry: Entry) -> tuple[Timeouts, int, int]:
        """Returns how long the kernel may keep a file, and its size in bytes and in blocks."""
        node, inode, is_lasting = entry
        kept = _NOT_KEPT
        if is_lasting:
            kept = _KEPT
            self._told.note(node)
        if inode.is_directory:
            return kept, DIRECTORY_BYTES, DIRECTORY_BLOCKS
        return kept, inode.size, blocks_of(inode) if inode.extents else 0
