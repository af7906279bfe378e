"""Gives the kernel the content of a small file when it is opened, so that it need not ask for it.

A file that is opened is mostly read, and most files are small: without this each costs a second
request to wait for. The pages are put there (`FUSE_NOTIFY_STORE`) before the open is answered, once
for as long as the kernel knows the node; what memory pressure takes it asks for as ever.

The kernel takes the lock of each page. One whose read waits for us is locked until that is
answered, and to wait for it would be for ever (design.md 3, *never wait on your own mount*). But
whoever reads a page has the file open, and RELEASE comes when the last read of an open file is
done: so nothing is put into a file that is open already. Nor with the writeback cache, whose pages
may be newer than what we have. Only what is at hand is given, nothing is waited for.

Source: `fuse_notify_store`, `fuse_send_readpages`, `fuse_release_common` in fs/fuse.
"""

import os
from collections.abc import Callable

from pyi_fs.errors import PyiError
from pyi_fs.fuse.handles import Handles
from pyi_fs.ids import Buffer, NodeId
from pyi_fs.model.inode import Inode

PREFILL_BYTES_MAX = 65_536
"""Copied in some 6 us, where a request takes 15 to 35; most of what is source code is smaller."""
_NOT_READ = os.O_ACCMODE | os.O_TRUNC | os.O_DIRECT
_BITS = 6
_MASK = (1 << _BITS) - 1
_PAGE_BYTES = 4096


class Prefill:
    """Knows which files were given since the kernel knows them: one bit each."""

    __slots__ = ("_given", "_handles", "_made", "_read", "_store")

    def __init__(
        self,
        handles: Handles,
        read: Callable[[Inode, int, int], Buffer | None],
        store: Callable[[NodeId, Buffer], None],
    ) -> None:
        """`read`: returns what is at hand of a file, or None; `store`: gives it to the kernel."""
        self._handles = handles
        self._read = read
        self._store = store
        # Node ids of a view are dense: 64 of them in a word.
        self._given: dict[int, int] = {}
        self._made: dict[int, int] = {}

    def opening(self, node: NodeId, inode: Inode, flags: int) -> None:
        """A file is about to be opened: what is in it is given to the kernel, if that may be."""
        size = inode.size
        if flags & _NOT_READ or not 0 < size <= PREFILL_BYTES_MAX or self._handles.is_open(node):
            return
        word, bit = node >> _BITS, 1 << (node & _MASK)
        given = self._given.get(word, 0)
        if given & bit or (self._made.get(word, 0) & bit and not size % _PAGE_BYTES):
            return
        try:
            data = self._read(inode, 0, size)
        except (OSError, PyiError):
            # A courtesy: whoever reads what is damaged is told, and what is sound can be read.
            return
        if data is not None and len(data) == size:
            self._given[word] = given | bit
            self._store(node, data)

    def made(self, node: NodeId) -> None:
        """A file is made here: whole pages that are written to it the kernel keeps by itself."""
        word = node >> _BITS
        self._made[word] = self._made.get(word, 0) | 1 << (node & _MASK)

    def forgotten(self, node: NodeId) -> None:
        """The kernel does not know a node any more, nor its pages."""
        word = node >> _BITS
        for known in (self._given, self._made):
            bits = known.get(word)
            if bits is not None:
                left = bits & ~(1 << (node & _MASK))
                if left:
                    known[word] = left
                else:
                    del known[word]

    @property
    def given_count(self) -> int:
        """Returns how many files the kernel was given and still knows."""
        return sum(word.bit_count() for word in self._given.values())

    @property
    def made_count(self) -> int:
        """Returns how many files were made here that the kernel still knows."""
        return sum(word.bit_count() for word in self._made.values())
