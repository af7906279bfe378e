"""Random calls of several users have the same results in the pure model and on the host's ext4.

The sequences are those of `posix/test_against_host.py`, compared in the same way after every call,
but no kernel and no mount is between: `tests/support/vfs_*.py` do what Linux does before it asks a
filesystem, the handlers of a mount describe the mutations, and `apply` carries them out.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.support.posix_search import LOST, PARTS, make_calls
from tests.support.posix_twin import Twin
from tests.support.posix_worlds import HostWorld, ModelWorld

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def twin(host: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    """Gives the model and a directory of the host."""
    both = Twin(HostWorld(host), ModelWorld(tmp_path_factory.mktemp("model")))
    yield both
    both.close()


def test_calls_do_in_the_model_what_they_do_on_the_host(twin: Twin) -> None:
    """Sequences of calls, with a restore between each two parts of them."""

    @example(parts=[[(0, ("rename", ("d", "d/d", 0))), (0, ("rename", ("e/d", "e", 0)))]], lost=[])
    @settings(
        max_examples=3 * settings().max_examples, suppress_health_check=[HealthCheck.too_slow]
    )
    @given(parts=PARTS, lost=LOST)
    def do(parts, lost) -> None:
        make_calls(twin, parts, lost)

    do()


def test_what_a_link_led_out_of_the_directory_is_gone_for_the_next_sequence(twin: Twin) -> None:
    """What root made above the directory must not be there for others in one world only."""
    made = [(0, ("symlink", ("../b", "c"))), (0, ("open", (0, "c", os.O_CREAT, 0o644)))]
    make_calls(twin, [made], [])
    made[1] = (1, made[1][1])
    make_calls(twin, [made], [])
