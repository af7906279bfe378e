"""Requests that nobody waits for, put aside until somebody's has been answered.

`close(2)` does not wait for its RELEASE, nor who lets go of a file for its FORGET, but the next
request is behind them in the queue: a client that opens one file after the other would wait for the
end of the last one each time. On a core of its own it has gone to sleep by then, and waking it
takes longer than all the rest (13 us here, docs/performance.md).

So one such request is put aside, and done

- once the next request has been answered, while its caller wakes up, or
- before the next request, if that is one whose answer may depend on it, or
- before the loop sleeps.

Where the client has the server's core, or there are many, requests are there one after the other
and nobody is asleep: nothing is put aside then, which would be work for nothing.

A server that dies has not answered a RELEASE that was put aside: the kernel sends it again. (A
FORGET it never does; a lookup too many is counted, as in every death between reading and counting.)
"""

import struct
from collections.abc import Callable

from pyi_fs.fuse.facade import Facade
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.protocol import RESENT, Opcode

_RELEASEDIR = Opcode.RELEASEDIR.value
_UNHURRIED = frozenset((Opcode.RELEASE.value, _RELEASEDIR, Opcode.FORGET.value))
# Requests whose answers say nothing of another node's handles or lookups. Commands do (a drop
# closes files, a snapshot has no file that nobody holds): all of `.pyi` waits, and every ioctl.
_MAY_OVERTAKE = frozenset(
    opcode.value
    for opcode in (
        Opcode.LOOKUP,
        Opcode.GETATTR,
        Opcode.STATX,
        Opcode.SETATTR,
        Opcode.GETXATTR,
        Opcode.OPEN,
        Opcode.OPENDIR,
        Opcode.CREATE,
        Opcode.READ,
        Opcode.WRITE,
        Opcode.READDIR,
        Opcode.READDIRPLUS,
        Opcode.READLINK,
        Opcode.MKDIR,
        Opcode.MKNOD,
        Opcode.SYMLINK,
        Opcode.LINK,
        Opcode.UNLINK,
        Opcode.RMDIR,
        Opcode.RENAME2,
    )
)
# A header and something behind it, at most the longest body of those above (struct
# fuse_release_in).
_BYTES_MIN, _BYTES_MAX = 41, 64
# Its length, opcode, number and node (struct fuse_in_header).
_HEADER = struct.Struct("<IIQQ")
_ANY_NODE = -1


Take = Callable[[bytearray, memoryview, int], None]
"""Answers the request of so many bytes in a buffer, which is given with a view of it."""


class Aside:
    """Has room for one request."""

    def __init__(self, answer: Take, facade: Facade) -> None:
        """`answer`: how each request is answered when its turn has come. `facade`: of the loop."""
        self._answer = answer
        self._facade = facade
        self._buffer = bytearray(_BYTES_MAX)
        self._view = memoryview(self._buffer)
        self._node = _ANY_NODE
        self._length = 0

    def take(self, buffer: bytearray, view: memoryview, length: int) -> None:
        """Has a request answered, and what was put aside behind it; or puts it aside."""
        if buffer[4] in _UNHURRIED and self._keeps(buffer, length):
            return
        if not self._length:
            self._answer(buffer, view, length)
            return
        if length < _HEADER.size or not self._may_be_overtaken_by(buffer):
            self.finish()
        self._answer(buffer, view, length)
        self.finish()

    def finish(self) -> None:
        """Does what is put aside, if anything is."""
        length, self._length = self._length, 0
        if length:
            self._answer(self._buffer, self._view, length)

    def _keeps(self, request: bytearray, length: int) -> bool:
        if self._facade.was_there or not _BYTES_MIN <= length <= _BYTES_MAX:
            return False
        _, opcode, unique, node = _HEADER.unpack_from(request)
        if opcode not in _UNHURRIED or unique >= RESENT or node & CONTROL_BIT:
            return False
        self.finish()
        self._buffer[:length] = request[:length]
        # Two listings of a directory know nothing of each other.
        self._node = _ANY_NODE if opcode == _RELEASEDIR else node
        self._length = length
        return True

    def _may_be_overtaken_by(self, request: bytearray) -> bool:
        _, opcode, unique, node = _HEADER.unpack_from(request)
        return (
            opcode in _MAY_OVERTAKE
            and unique < RESENT
            and node != self._node
            and not node & CONTROL_BIT
        )
