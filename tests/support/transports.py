"""Which transport and mode of writing the mounts of a test have: one place, for every way to mount.

Tests of `FOLDERS` that are marked `mount` run once for each of `NAMES`, those that ask for
`writeback` (most fixtures of mounts do) once for each of `kinds` (`tests/conftest.py`).
"""

from collections.abc import Sequence

from pyi_fs.fuse.transports import DIRECT, PYFUSE3

NAMES = (DIRECT, PYFUSE3)
FOLDERS = ("fuse", "posix", "acceptance", "disks")

WRITE_MODES = {"write-through": False, "writeback": True}
"""With and without `--writeback`."""

_current = [DIRECT]


def current() -> str:
    """Returns the transport of mounts that are made now."""
    return _current[0]


def use(name: str) -> None:
    """Makes mounts from now on have this transport."""
    _current[0] = name


def kinds(
    is_long: bool, names: Sequence[str] = NAMES, *, folder: str = "posix", is_seldom: bool = False
) -> dict[str, tuple[str, bool]]:
    """Returns what to run a test on: id -> transport and whether with the writeback cache.

    With the cache on the first transport only, but with `--long` and in the lowest folder; and not
    at all where that is wanted seldom.
    """
    every = {
        f"{name}-{mode}": (name, writeback)
        for mode, writeback in WRITE_MODES.items()
        for name in names
    }
    if is_long:
        return every
    return {
        text: (name, writeback)
        for text, (name, writeback) in every.items()
        if not writeback or (not is_seldom and (folder == "fuse" or name == names[0]))
    }
