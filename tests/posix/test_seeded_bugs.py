"""The comparison with the host finds mistakes: each one planted here, in the time of a short run.

What is proved is `test_against_host.py`: the same sequences, fixed here, on a mount that has one
mistake in its rules, in its permissions or in what it tells the kernel.
"""

from pathlib import Path

import pytest

from pyi_fs.fuse.transports import DIRECT
from tests.support import seeded_bugs
from tests.support.mounting import Mount
from tests.support.posix_search import Found, look
from tests.support.posix_twin import Twin
from tests.support.posix_worlds import HostWorld, MountWorld

pytestmark = [pytest.mark.mount, pytest.mark.slow]

TRANSPORTS = (DIRECT,)
"""The mistakes are in what both transports share."""


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
        twin = Twin(HostWorld(beside), MountWorld(mount))
        try:
            yield twin
        finally:
            twin.close()
    finally:
        # What is wrong may be found by the mount itself at its end: that is not the question.
        mount.kill()


@pytest.mark.parametrize("broken", seeded_bugs.NAMES, indirect=True)
def test_a_mistake_is_found(broken: Twin) -> None:
    with pytest.raises(Found):
        look(broken)
