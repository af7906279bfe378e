"""Descriptors of locks that outlive the process that took them: on their way through a socket.

A lock of flock(2) lasts as long as anybody has its open file, and a message that nobody has read
has the files open that were sent with it. So the holder of a mount keeps both ends of a pair of
sockets, and whoever serves the mount keeps in it one message with all locks it has: the holder need
know nothing of them, and a lock that is taken later is one system call or two. One that is given up
is unlocked, which holds for everybody who has its open file, and stays in the message for a while.

A message is never taken out before the next one is in. Who reads only peeks, so that a server that
dies in its first milliseconds leaves them, too.

Source: unix(7), SCM_RIGHTS; SO_PEEK_OFF in socket(7); unix_attach_fds() of Linux 6.18 for the
limit: RLIMIT_NOFILE descriptors of one user on their way, without CAP_SYS_RESOURCE.
"""

import array
import logging
import os
import socket
import weakref
from collections.abc import Mapping
from threading import Lock

import msgspec

log = logging.getLogger(__name__)

LOCKS_MAX = 250
"""Of one message (SCM_MAX_FD is 253). A mount that has more open branches keeps the oldest ones."""
_MESSAGE_BYTES_MAX = 1 << 17
_DESCRIPTOR_BYTES = array.array("i").itemsize
_SO_PEEK_OFF = 42


class KeptLocks:
    """The pair of sockets, and what is in it."""

    def __init__(self, descriptors: tuple[int, int] | None = None) -> None:
        """Makes a pair, or takes over that of a server that is dead."""
        if descriptors is None:
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        else:
            pair = (socket.socket(fileno=descriptors[0]), socket.socket(fileno=descriptors[1]))
        self._in, self._out = pair
        weakref.finalize(self, _close, pair)
        for end in pair:
            end.setblocking(False)
        self._turn = Lock()
        self._number = 0
        self._has_failed = False

    @property
    def descriptors(self) -> tuple[int, int]:
        """Returns the descriptors of both ends, for a holder."""
        return self._in.fileno(), self._out.fileno()

    def keep(self, locks: Mapping[str, int]) -> None:
        """Keeps these descriptors, by path, and no others. For any thread."""
        with self._turn:
            if self._send(dict(list(locks.items())[:LOCKS_MAX])):
                while (number := self._peek(0)[0]) is not None and number < self._number:
                    self._out.recv(1)

    def taken_over(self) -> dict[str, int]:
        """Returns the descriptors that were kept, each of which the caller has to close."""
        number, size, locks = self._peek(0, wants_files=True)
        if number is None:
            return {}
        # There are two if a server died between putting one in and taking one out.
        newer = self._peek(size, wants_files=True)
        if newer[0] is not None:
            for descriptor in locks.values():
                os.close(descriptor)
            number, locks = newer[0], newer[2]
        self._number = number
        return locks

    def _send(self, locks: Mapping[str, int]) -> bool:
        message = msgspec.msgpack.encode([self._number + 1, list(locks)])
        try:
            socket.send_fds(self._in, [message], list(locks.values()))
        except OSError as error:
            if not self._has_failed:
                log.warning("locks taken since are given up with this process: %s", error)
            self._has_failed = True
            return False
        self._number += 1
        self._has_failed = False
        return True

    def _peek(
        self, offset: int, *, wants_files: bool = False
    ) -> tuple[int | None, int, dict[str, int]]:
        """Returns number, size and descriptors of the message at an offset; None: there is none."""
        self._out.setsockopt(socket.SOL_SOCKET, _SO_PEEK_OFF, offset)
        room = socket.CMSG_SPACE(LOCKS_MAX * _DESCRIPTOR_BYTES) if wants_files else 0
        try:
            data, ancillary, _, _ = self._out.recvmsg(
                _MESSAGE_BYTES_MAX, room, socket.MSG_PEEK | socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None, 0, {}
        files = array.array("i")
        for _, kind, part in ancillary:
            if kind == socket.SCM_RIGHTS:
                files.frombytes(part[: len(part) - len(part) % _DESCRIPTOR_BYTES])
        number, paths = msgspec.msgpack.decode(data, type=tuple[int, list[str]])
        return number, len(data), dict(zip(paths, files, strict=False))


def _close(pair: tuple[socket.socket, socket.socket]) -> None:
    for end in pair:
        end.close()
