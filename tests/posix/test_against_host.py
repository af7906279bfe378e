"""Random calls of several users have the same results on a mount and on the host's ext4.

Compared after every call: its result or errno, the whole tree (modes, owners, link counts, sizes,
contents, targets, devices, xattrs), and *which* files got another mtime or ctime. One mount serves
all; every now and then it is taken back to a snapshot, which must be seen by nobody afterwards. The
same calls go through the pure model at the same time (`properties/test_model_against_host.py`).
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.support.mounting import Mount
from tests.support.posix_search import LOST, PARTS, make_calls
from tests.support.posix_twin import Twin
from tests.support.posix_worlds import HostWorld, ModelWorld, MountWorld

pytestmark = [pytest.mark.mount, pytest.mark.slow]


@pytest.fixture(scope="module")
def twin(
    mount: Mount, host: Path, writeback: bool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Twin]:
    """Gives the host's directory, the mount and the model, and ends their processes."""
    model = ModelWorld(tmp_path_factory.mktemp("model"))
    worlds = Twin(HostWorld(host), MountWorld(mount, is_coarse=writeback), model)
    yield worlds
    worlds.close()


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
    @example(
        # With the writeback cache the kernel shows the times of before, and so do we afterwards.
        parts=[[(0, ("truncate", ("a", 0)))], [(0, ("stat", ("a",)))]],
        lost=[],
    )
    @example(
        # In the first second that an inode can hold ext4 keeps no fraction.
        parts=[[(0, ("utimens", ("a", (0, (1 << 30) - 1), (-(1 << 31), 1))))]],
        lost=[],
    )
    @settings(
        max_examples=(1 if writeback else 3) * settings().max_examples,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(parts=PARTS, lost=LOST)
    def do(parts, lost) -> None:
        make_calls(twin, parts, lost)

    do()
