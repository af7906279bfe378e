"""How much of a file is in memory: cachestat(2), Linux 6.5, and who may see it."""

import ctypes
import os
from pathlib import Path

_CACHESTAT = 451


def cached_bytes(path: Path) -> int:
    """Returns how much of a file its own page cache holds: that of the inode behind the path."""
    library = ctypes.CDLL(None, use_errno=True)
    whole, found = (ctypes.c_uint64 * 2)(0, 0), (ctypes.c_uint64 * 5)()
    descriptor = os.open(path, os.O_RDONLY)
    try:
        failed = library.syscall(
            ctypes.c_long(_CACHESTAT),
            ctypes.c_uint(descriptor),
            ctypes.byref(whole),
            ctypes.byref(found),
            ctypes.c_uint(0),
        )
    finally:
        os.close(descriptor)
    if failed:
        raise OSError(ctypes.get_errno(), "cachestat", str(path))
    return found[0] * os.sysconf("SC_PAGE_SIZE")
