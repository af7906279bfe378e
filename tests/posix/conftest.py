"""Fixtures of the tests through a real mount."""

import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from pyi_fs.fuse.transports import PYFUSE3
from tests.support import transports
from tests.support.acceptance import disk_directory
from tests.support.mounting import Mount
from tests.support.posix_both import Both
from tests.support.posix_worlds import comparable_directory

_NUMBERS = count()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs what has a `spot` on the host, too."""
    if "spot" in metafunc.fixturenames:
        kinds = transports.kinds(metafunc.config.getoption("--long"))
        metafunc.parametrize(
            "side, transport, writeback",
            [("host", PYFUSE3, False), *(("mount", *kind) for kind in kinds.values())],
            ids=["host", *kinds],
            indirect=True,
            scope="module",
        )


@pytest.fixture(scope="module")
def side(request: pytest.FixtureRequest) -> str:
    """Returns where a `spot` is: on the `host` or the `mount`."""
    return str(request.param)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """Gives a directory on a disk, which every user can reach."""
    with disk_directory() as directory:
        directory.chmod(0o755)
        yield directory


@pytest.fixture(scope="module")
def mount(place: Path, transport: str, writeback: bool) -> Iterator[Mount]:
    """Gives one mount for a module, transport and mode; needs root, who alone lets others in."""
    if os.geteuid() != 0:
        pytest.skip("needs root: users, owners and devices are compared")
    options = {"allow_other": True, "writeback": writeback}
    with Mount(place / "store", place / "mount", options) as mounted:
        mounted.path.chmod(0o755)
        yield mounted


@pytest.fixture(scope="module")
def host(place: Path) -> Path:
    """Gives a directory of the host to compare with: ext4, with times as fine as ours."""
    return comparable_directory(place / "host")


@pytest.fixture
def both(mount: Mount, host: Path) -> Iterator[Both]:
    """Gives a fresh directory on each side, with a file `f` of 10,000 bytes."""
    name = f"differ-{next(_NUMBERS)}"
    places = [host / name, mount.path / name]
    for place in places:
        place.mkdir()
        place.chmod(0o777)
        (place / "f").write_bytes(b"x" * 10_000)
    yield Both(*places)
    for place in places:
        shutil.rmtree(place)
