"""Random calls of several users have the same results on a mount and on the host's ext4.

Compared after every call: its result or errno, the whole tree (modes, owners, link counts, sizes,
contents, targets, devices, xattrs), and *which* files got another mtime or ctime. One mount serves
all; every now and then it is taken back to a snapshot, which must be seen by nobody afterwards.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.mounting import Mount
from tests.support.posix_steps import sequences
from tests.support.posix_twin import Twin

pytestmark = [pytest.mark.mount, pytest.mark.slow]


@pytest.fixture(scope="module")
def twin(mount: Mount, host: Path, writeback: bool) -> Iterator[Twin]:
    """Gives the mount and the host's directory, and ends their processes."""
    both = Twin(mount, host, is_coarse=writeback)
    yield both
    both.close()


def test_calls_do_what_they_do_on_the_host(twin: Twin, writeback: bool) -> None:
    """Sequences of calls, with a restore between each two of them.

    An example takes 0.1 s; `test_seeded_bugs.py` says what three times as many as elsewhere find.
    With the writeback cache it takes longer: times are compared, and there they are those
    of the kernel's clock, whose ticks are waited for.
    """

    @example(
        # chown that changes nothing takes set-id bits away all the same.
        parts=[[(0, ("chmod", ("a", 0o6777))), (0, ("chown", ("a", -1, -1)))]],
        lost=[],
    )
    @settings(
        max_examples=(1 if writeback else 3) * settings().max_examples,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        parts=st.lists(sequences(5, 25), min_size=1, max_size=3),
        lost=sequences(0, 8),
    )
    def do(parts, lost) -> None:
        twin.begin()
        for index, steps in enumerate(parts):
            if index:
                twin.restore(lost)
            for user, call in steps:
                twin.step(user, call)

    do()
