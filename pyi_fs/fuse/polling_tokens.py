"""Who may poll: over all mounts of a machine no more than cores can be spared.

A token is a lock on one byte of a file that all share, held by an open file description
(`F_OFD_SETLK`): the kernel gives it back when its holder dies, however that happens. It is taken
without waiting. Nothing is ever written to the file or read from it.

Source: fcntl_locking(2), *open file description locks*.
"""

import fcntl
import logging
import os
import stat
import struct
from collections.abc import Sequence

log = logging.getLogger(__name__)

_FILE = "pyi-fs.polling"
# Where every user of a machine can make a file and keep it; containers have their own.
_PLACES = ("/dev/shm", "/tmp")
# Tokens looked at before a mount sleeps instead: each is a system call, and on a machine with many
# cores the first one is free nearly always.
_TRIES_MAX = 4
_LOCK = struct.Struct("hhqqi4x")


class PollingTokens:
    """One mount's share in the tokens: it has one, or none."""

    def __init__(self, count: int, *, places: Sequence[str] = _PLACES) -> None:
        """`count`: how many there are, as far as this process is concerned; opens nothing yet."""
        self._count = count
        self._places = places
        self._descriptor = -1
        # A mount that had a token looks there first. The others are spread.
        self._next = os.getpid() % count if count else 0
        self.is_held = False
        """Whether this mount may poll now."""

    def take(self) -> bool:
        """Returns whether this mount may poll from now until `give_back`; never waits."""
        if self.is_held:
            return True
        if self._descriptor < 0 and not self._open():
            return False
        for _ in range(min(self._count, _TRIES_MAX)):
            if self._lock(fcntl.F_WRLCK):
                self.is_held = True
                return True
            self._next = (self._next + 1) % self._count
        return False

    def give_back(self) -> None:
        """Lets another mount poll; nothing if this one holds no token."""
        if self.is_held:
            self.is_held = False
            self._lock(fcntl.F_UNLCK)

    def close(self) -> None:
        """Gives everything back, for good."""
        self.is_held, self._count = False, 0
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self, kind: int) -> bool:
        try:
            fcntl.fcntl(
                self._descriptor,
                fcntl.F_OFD_SETLK,
                _LOCK.pack(kind, os.SEEK_SET, self._next, 1, 0),
            )
        except OSError:
            return False
        return True

    def _open(self) -> bool:
        """Opens the file, which is made by who comes first; without one nobody here polls."""
        for place in self._places if self._count else ():
            try:
                self._descriptor = _opened(os.path.join(place, _FILE))
            except OSError as error:
                log.debug("polling: %s", error)
            else:
                return True
        if self._count:
            log.info("no file for locks in %s: this mount does not poll", ", ".join(self._places))
            self._count = 0
        return False


def _opened(path: str) -> int:
    """Opens a file that may be anybody's: no link, and nothing but a plain file."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        # Without O_CREAT: in a directory of everybody's the kernel refuses that for another's file.
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return _made(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileExistsError(f"{path} is no plain file")
    return descriptor


def _made(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        # Another mount was faster.
        return os.open(path, flags)
    # Whatever the umask: other users' mounts share it.
    os.fchmod(descriptor, 0o666)
    return descriptor
