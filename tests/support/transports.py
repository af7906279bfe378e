"""Which transport the mounts of a test have: one place, for every way to mount.

Tests of `FOLDERS` that are marked `mount` run once for each of `NAMES` (`tests/conftest.py`).
"""

from pyi_fs.fuse.transports import DIRECT, PYFUSE3

NAMES = (PYFUSE3, DIRECT)
FOLDERS = ("fuse", "posix", "acceptance", "disks")

_current = [PYFUSE3]


def current() -> str:
    """Returns the transport of mounts that are made now."""
    return _current[0]


def use(name: str) -> None:
    """Makes mounts from now on have this transport."""
    _current[0] = name
