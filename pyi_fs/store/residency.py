"""Whether a file is in the kernel's page cache, so that reading it waits for no disk.

To close a file gives up every POSIX lock that this process has on it, whoever took it (fcntl(2)),
and SQLite has some on the index, without which it is overwritten under its feet: so what was opened
here is never closed. It is one descriptor for each file that was ever asked about.

Source: mincore(2), posix_fadvise(2); sqlite.org, "How To Corrupt An SQLite Database File", 2.2.
"""

import mmap
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache

from pyi_fs.store.storage import LOOKED_THROUGH_BYTES_MAX

_PROT_READ, _MAP_SHARED = 1, 1
# The lowest bit of a byte says it, the others are reserved.
_LOWEST_BIT = bytes(byte & 1 for byte in range(256))


_opened: dict[tuple[int, int], int] = {}
_opening = threading.Lock()


def is_resident(path: str) -> bool:
    """Returns whether all of a file is in memory; if not, the kernel begins to read it.

    False for a file that is too large to be looked through, and where nobody says. `OSError`.
    """
    descriptor = _descriptor(path)
    size = os.fstat(descriptor).st_size
    if size > LOOKED_THROUGH_BYTES_MAX:
        return False
    if size == 0 or 0 not in _pages()(descriptor, size):
        return True
    with suppress(OSError):
        os.posix_fadvise(descriptor, 0, size, os.POSIX_FADV_WILLNEED)
    return False


def _descriptor(path: str) -> int:
    """Returns a descriptor of a file, the same one as long as it is the same file."""
    status = os.stat(path)
    key = status.st_dev, status.st_ino
    with _opening:
        if key not in _opened:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            status = os.fstat(descriptor)
            key = status.st_dev, status.st_ino
            # Not closed either if it was replaced in between, or another path led to it.
            _opened.setdefault(key, descriptor)
        return _opened[key]


@cache
def _pages() -> Callable[[int, int], bytes]:
    # Imported here because most processes never ask, and the import takes 3 ms.
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    map_file = getattr(library, "mmap64", None) or library.mmap
    map_file.restype = ctypes.c_void_p
    number = ctypes.c_int
    map_file.argtypes = (ctypes.c_void_p, ctypes.c_size_t, number, number, number, ctypes.c_int64)
    library.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    library.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)
    failed = ctypes.c_void_p(-1).value

    def pages(descriptor: int, size: int) -> bytes:
        """Returns a byte for each page, 0 where it is not in memory; all 0 if nobody says."""
        found = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
        address = map_file(None, size, _PROT_READ, _MAP_SHARED, descriptor, 0)
        if address != failed:
            library.mincore(address, size, found)
            library.munmap(address, size)
        return found.raw.translate(_LOWEST_BIT)

    return pages
