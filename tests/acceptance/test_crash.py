"""Mounts that die in the midst of mixed work, in every way; the full run is `tools/crash-test`."""

import sys
import time

import pytest

from tests.support.acceptance import disk_directory
from tests.support.acceptance_crash import ENDINGS, CrashTest

pytestmark = [pytest.mark.mount, pytest.mark.crash, pytest.mark.slow]


def test_mounts_that_die_lose_nothing_acknowledged(is_long):
    """Branches, snapshots, restores, sealing, collection: compared with notes made outside.

    Killed at any moment, in a flush, in an invalidation; out of memory; terminated; detached.
    """
    seed = time.time_ns() % 10**9
    try:
        # Not the fixture's: what is checked there waits a day before it is collected.
        with disk_directory() as place:
            test = CrashTest(place, seed, lambda line: None)
            counts = test.run(100) if is_long else test.run(len(ENDINGS), tuple(ENDINGS))
    except BaseException:
        sys.stderr.write(f"tools/crash-test --seed {seed}\n")
        raise
    assert sum(counts.values()) == (100 if is_long else len(ENDINGS))
