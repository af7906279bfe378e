"""`kill -9` at random moments of mixed work; the full run is `tools/crash-test`."""

import sys
import time

import pytest

from tests.support.acceptance_crash import CrashTest

pytestmark = [pytest.mark.mount, pytest.mark.crash, pytest.mark.slow]


def test_killed_mounts_lose_nothing_acknowledged(place, is_long):
    """Branches, snapshots, restores, sealing, checkpoints: compared with notes made outside."""
    seed = time.time_ns() % 10**9
    try:
        CrashTest(place, seed, lambda line: None).run(30 if is_long else 4)
    except BaseException:
        sys.stderr.write(f"tools/crash-test --seed {seed}\n")
        raise
