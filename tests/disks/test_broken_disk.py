"""A disk that goes away or becomes read-only under a live mount; really, on an ext4 of its own.

What comes back after it was pulled out is what a power loss leaves: everything that was synced, and
of the rest a consistent prefix.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks.test_full_disk import content, disk_of, errno_of, served, until_killed
from tests.support import small_disks
from tests.support.acceptance import Served, assert_sound, disk_directory

pytestmark = [pytest.mark.mount, pytest.mark.slow]


@pytest.fixture
def place() -> Iterator[Path]:
    with disk_directory() as directory:
        yield directory


@pytest.fixture
def disk(place: Path) -> Iterator[Path]:
    with disk_of("ext4", place) as made:
        yield made


def synced_and_more(mount: Served) -> str:
    """Writes what is synced and then what is not; returns a snapshot that is."""
    root = mount.path
    for number in range(5):
        (root / f"synced{number}").write_bytes(content(number))
    snapshot = mount.snapshot()
    descriptor = os.open(root / ".pyi" / "snapshot", os.O_RDWR)
    os.fsync(descriptor)
    os.close(descriptor)
    for number in range(5):
        (root / f"later{number}").write_bytes(content(100 + number))
    return snapshot


def assert_refuses_and_answers(mount: Served, wanted: set[int]) -> None:
    root = mount.path
    seen = {
        errno_of(lambda: (root / "new").write_bytes(content(1))),
        errno_of(lambda: (root / "dir").mkdir()),
        errno_of(lambda: os.unlink(root / "synced0")),
        errno_of(lambda: mount.control("branch", "other")),
        errno_of(lambda: (mount.path / ".pyi" / "snapshot").write_text("named")),
    }
    assert seen <= wanted, [errno.errorcode.get(number, number) for number in seen]
    assert len(os.listdir(root)) == 10
    assert os.stat(root / "synced1").st_size == len(content(1))
    assert mount.status()["workspace"] == "w"


def test_what_was_synced_is_there_when_a_disk_that_was_pulled_out_comes_back(
    place: Path, disk: Path
) -> None:
    with until_killed(place, disk) as mount:
        # Nothing but what is asked for is synced.
        snapshot = synced_and_more(mount)
        small_disks.pull_out(disk)
        assert_refuses_and_answers(mount, {errno.EIO})
        descriptor = os.open(mount.path / "later0", os.O_RDONLY)
        assert errno_of(lambda: os.fsync(descriptor)) == errno.EIO
        os.close(descriptor)
    small_disks.plug_in(place, disk)
    # What it had to say of the broken disk.
    (place / "mount.log").unlink()
    with served(place, disk) as mount:
        for number in range(5):
            assert (mount.path / f"synced{number}").read_bytes() == content(number)
            kept = mount.path / ".pyi" / "snapshots" / snapshot / f"synced{number}"
            assert kept.read_bytes() == content(number)
        later = sorted(path.name for path in mount.path.glob("later*"))
        assert later == [f"later{number}" for number in range(len(later))]
        for name in later[:-1]:
            assert (mount.path / name).read_bytes() == content(100 + int(name[-1]))
        (mount.path / "after").write_bytes(content(7))
    assert_sound(disk / "store")


def test_a_disk_that_became_read_only_is_told_and_read_on(place: Path, disk: Path) -> None:
    with until_killed(place, disk) as mount:
        synced_and_more(mount)
        small_disks.make_read_only(disk)
        assert_refuses_and_answers(mount, {errno.EROFS, errno.EIO})
        for number in range(5):
            assert (mount.path / f"synced{number}").read_bytes() == content(number)
            assert (mount.path / f"later{number}").read_bytes() == content(100 + number)
    small_disks.plug_in(place, disk)
    # What it had to say of the broken disk.
    (place / "mount.log").unlink()
    with served(place, disk) as mount:
        assert (mount.path / "synced0").read_bytes() == content(0)
        (mount.path / "after").write_bytes(content(7))
    assert_sound(disk / "store")
