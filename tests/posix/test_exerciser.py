"""One file, two descriptors, random operations: always what bytes in memory would hold.

In between snapshots, restores, dropped caches, and a background that seals, gives back and
checkpoints all the time.
"""

import os
from pathlib import Path

import pytest

from tests.support import transports
from tests.support.acceptance import Served, assert_sound
from tests.support.posix_exerciser import Exerciser

pytestmark = [pytest.mark.mount, pytest.mark.slow]

HURRIED = {
    "pyi_fs.limits.SEGMENT_BYTES_MAX": 1 << 20,
    "pyi_fs.limits.SEAL_PRESSURE_BYTES": 1 << 20,
    "pyi_fs.limits.GARBAGE_BYTES_MAX": 4 << 20,
    "pyi_fs.engine.background._TICK_SECONDS": 0.05,
    "pyi_fs.engine.background._LOOK_SECONDS": 0.2,
    "pyi_fs.engine.background._RECLAIM_BYTES_MIN": 1 << 20,
}
"""Background work in a second that otherwise takes an hour."""


def operations(is_long: bool) -> int:
    """Returns how many operations to make; `PYI_EXERCISER_OPERATIONS` says it otherwise."""
    return int(os.environ.get("PYI_EXERCISER_OPERATIONS", 1_000_000 if is_long else 4_000))


def test_a_file_is_what_was_written_whatever_happens_in_between(
    place: Path, writeback: bool, is_long: bool
) -> None:
    count = operations(is_long)
    store = place / f"exercised-{transports.current()}-{writeback}"
    seconds = 100 + count // 50
    options = {"settings": HURRIED, "seconds": seconds, "writeback": writeback}
    with Served(store, "w", place / "exercise", **options) as mount:
        exerciser = Exerciser(mount, "file", seed=20261121)
        try:
            exerciser.run(count)
        finally:
            exerciser.close()
        packs = list(store.glob("**/packs/**/*.pack")) + list(store.glob("packs/**/*"))
    for operation in ("read", "write", "map-write", "truncate", "snapshot", "restore", "look-back"):
        assert exerciser.counts.get(operation, 0) > 0, operation
    assert any(path.is_file() for path in packs), "nothing was sealed in between"
    # A snapshot for every 300 operations, each of which is looked at.
    assert_sound(store, seconds=seconds)
