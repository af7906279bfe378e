"""The comparison with the host finds mistakes: each one planted here, in the time of a short run.

What is proved is `test_against_host.py`: the same sequences, fixed here, on a mount that has one
mistake in its rules, in its permissions or in what it tells the kernel.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pyi_fs.fuse.transports import DIRECT
from tests.support import seeded_bugs
from tests.support.mounting import Mount
from tests.support.posix_steps import sequences
from tests.support.posix_twin import Twin

pytestmark = [pytest.mark.mount, pytest.mark.slow]

TRANSPORTS = (DIRECT,)
"""The mistakes are in what both transports share."""

EXAMPLES_MAX = 1000
"""`test_against_host.py` does 300 in CI; the first that finds the mistake is the last. The rest is
for drawings that come to it late: they change with the strategies."""


@pytest.fixture
def broken(request: pytest.FixtureRequest, place: Path, host: Path):
    """Gives a mount with a mistake beside a directory of the host."""
    number = seeded_bugs.NAMES.index(request.param)
    mountpoint, beside = place / f"broken-{number}", host / f"beside-{number}"
    beside.mkdir()
    beside.chmod(0o755)
    options = {"allow_other": True, "bug": request.param}
    mount = Mount(mountpoint.with_suffix(".store"), mountpoint, options)
    try:
        mount.path.chmod(0o755)
        twin = Twin(mount, beside)
        try:
            yield twin
        finally:
            twin.close()
    finally:
        # What is wrong may be found by the mount itself at its end: that is not the question.
        mount.kill()


class Found(BaseException):
    """Something differed: that is what was wanted."""


def look(twin: Twin) -> None:
    """Makes the calls of random sequences; `Found` at the first difference."""

    @settings(
        max_examples=EXAMPLES_MAX,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(parts=st.lists(sequences(5, 25), min_size=1, max_size=3), lost=sequences(0, 8))
    def do(parts, lost) -> None:
        try:
            twin.begin()
            for index, steps in enumerate(parts):
                if index:
                    twin.restore(lost)
                for user, call in steps:
                    twin.step(user, call)
        except AssertionError as error:
            raise Found(str(error)) from error

    do()


@pytest.mark.parametrize("broken", seeded_bugs.NAMES, indirect=True)
def test_a_mistake_is_found(broken: Twin) -> None:
    with pytest.raises(Found):
        look(broken)
