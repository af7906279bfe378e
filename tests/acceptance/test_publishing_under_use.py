"""Publishing while files are held in every way: what each holder sees is what the design says."""

import sys
import time

import pytest

from tests.support.acceptance import Served
from tests.support.publishing_machine import PublishingMachine

pytestmark = [pytest.mark.mount, pytest.mark.slow]


def run(place, seed: int, steps: int) -> dict[str, int]:
    with Served(place / "store", "w", place / "mount", seconds=100 + steps) as mount:
        machine = PublishingMachine(mount, seed)
        try:
            machine.run(steps)
        finally:
            machine.close()
    return machine.counts


def test_holders_see_what_the_design_says_whatever_is_published(place, is_long: bool) -> None:
    """The same steps on every run: every kind of publish with every kind of holder."""
    counts = run(place, 20261121, 20_000 if is_long else 1500)
    for kind in ("restore", "undo", "switch", "drop", "hold", "use", "stand"):
        assert counts.get(kind, 0) > 3, kind


def test_holders_see_what_the_design_says_in_other_orders(place, is_long: bool) -> None:
    seed = time.time_ns() % 10**9
    try:
        run(place, seed, 5_000 if is_long else 500)
    except BaseException:
        sys.stderr.write(f"seed {seed}\n")
        raise
