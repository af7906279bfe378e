"""Several files made durable at once: one `fdatasync` each, all under way at the same time.

They wait for the same commit of the disk's own journal, so three take some 1.3 times as long as
one. By the kernel's asynchronous I/O, which needs no thread of ours; where that cannot be had (a
container that forbids the calls, too many of them on the machine) one after the other.

Source: io_submit(2), aio_fsync() in fs/aio.c (Linux 4.18), include/uapi/linux/aio_abi.h.
"""

import errno
import os
import platform
import struct
import threading
from collections.abc import Sequence
from functools import cache

_FILES_MAX = 16
_FDSYNC = 3
# struct iocb: data, key and rw_flags, opcode, priority, file, buffer, bytes, offset, reserved,
# flags, resfd
_IOCB = struct.Struct("<QIIHhIQQqQII")
# struct io_event: data, object, result, result2
_EVENT = struct.Struct("<QQqq")
_CALLS = {
    "x86_64": (206, 208, 209),
    "aarch64": (0, 4, 2),
    "riscv64": (0, 4, 2),
    "loongarch64": (0, 4, 2),
}
"""Numbers of io_setup, io_getevents and io_submit; on other machines nothing is done at once."""


def sync_descriptors(descriptors: Sequence[int]) -> list[OSError | None]:
    """Returns what became of the `fdatasync` of each; BLOCKS until all are done."""
    if 1 < len(descriptors) <= _FILES_MAX:
        together = at_once()
        results = None if together is None else together.sync(descriptors)
        if results is not None:
            return [_outcome(*pair) for pair in zip(descriptors, results, strict=True)]
    return [_synced(descriptor) for descriptor in descriptors]


def _synced(descriptor: int) -> OSError | None:
    try:
        os.fdatasync(descriptor)
    except OSError as error:
        return error
    return None


def _outcome(descriptor: int, result: int) -> OSError | None:
    if result == -errno.EINVAL:
        # A filesystem that does not know it; or what has no fdatasync at all, which then says so.
        return _synced(descriptor)
    return None if result == 0 else OSError(-result, os.strerror(-result))


@cache
def at_once() -> "AtOnce | None":
    """Returns the way to do it at once, or None on a machine where that is not known."""
    numbers = _CALLS.get(platform.machine())
    if numbers is None or struct.calcsize("P") != struct.calcsize("Q"):
        return None
    return AtOnce(*numbers)


class AtOnce:
    """The three system calls, and contexts that nobody uses: threads come and go, none has one."""

    def __init__(self, setup: int, get_events: int, submit: int) -> None:
        # Imported here because most processes never sync, and the import takes 3 ms.
        import ctypes

        self._ctypes = ctypes
        self._setup, self._get_events, self._submit = setup, get_events, submit
        self._syscall = ctypes.CDLL(None, use_errno=True).syscall
        self._syscall.restype = ctypes.c_long
        self._free: list[int] = []
        self._lock = threading.Lock()
        self._is_refused = False

    def sync(self, descriptors: Sequence[int]) -> list[int] | None:
        """Returns the result of each, or None if nothing was begun."""
        context = self._context()
        if context is None:
            return None
        ctypes = self._ctypes
        blocks = [
            ctypes.create_string_buffer(
                _IOCB.pack(index, 0, 0, _FDSYNC, 0, descriptor, 0, 0, 0, 0, 0, 0)
            )
            for index, descriptor in enumerate(descriptors)
        ]
        pointers = (ctypes.c_void_p * len(blocks))(*map(ctypes.addressof, blocks))
        count = ctypes.c_long(len(blocks))
        begun = self._syscall(self._submit, ctypes.c_ulong(context), count, pointers)
        results = self._ended(context, max(begun, 0))
        with self._lock:
            self._free.append(context)
        # What was not begun has nothing to say.
        return [results.get(index, -errno.EINVAL) for index in range(len(blocks))]

    def _context(self) -> int | None:
        with self._lock:
            if self._free:
                return self._free.pop()
        made = self._ctypes.c_ulong(0)
        entries = self._ctypes.c_long(_FILES_MAX)
        if self._is_refused or self._syscall(self._setup, entries, self._ctypes.byref(made)) != 0:
            self._is_refused = True
            return None
        return made.value

    def _ended(self, context: int, count: int) -> dict[int, int]:
        """Returns results by place, when all are there."""
        ctypes, found = self._ctypes, dict[int, int]()
        events = ctypes.create_string_buffer(_EVENT.size * _FILES_MAX)
        while len(found) < count:
            left = ctypes.c_long(count - len(found))
            got = self._syscall(self._get_events, ctypes.c_ulong(context), left, left, events, None)
            if got < 0 and ctypes.get_errno() != errno.EINTR:
                # It is not known what was done: nothing counts, and the context is not used again.
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            for index in range(max(got, 0)):
                data, _, result, _ = _EVENT.unpack_from(events, index * _EVENT.size)
                found[data] = result
        return found
