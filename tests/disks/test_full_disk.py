"""Stores on disks that are really full, over quota, read-only or broken, with background work.

The caller gets the errno, nothing acknowledged is lost, the mount answers and goes on by itself
when there is room. Deleting is always possible, and makes room.
"""

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.engine.fsck import check_directory
from tests.support import small_disks
from tests.support.acceptance import Served, disk_directory, run

pytestmark = [pytest.mark.mount, pytest.mark.slow]

HURRIED = {
    "pyi_fs.engine.background._TICK_SECONDS": 0.05,
    "pyi_fs.engine.background._FAILED_SECONDS": 0.2,
}
PATIENCE_SECONDS = 60
BLOCK = 1 << 20


@contextlib.contextmanager
def disk_of(kind: str, place: Path) -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        try:
            make = small_disks.memory_disk(place) if kind == "tmpfs" else None
            disk = stack.enter_context(make or small_disks.loop_disk(place, kind))
        except small_disks.DiskUnavailableError as error:
            pytest.skip(f"no {kind} of its own on this machine: {error}")
        yield disk


@pytest.fixture
def place() -> Iterator[Path]:
    with disk_directory() as directory:
        yield directory


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(request: pytest.FixtureRequest, place: Path) -> Iterator[Path]:
    with disk_of(request.param, place) as made:
        yield made


def served(place: Path, disk: Path, **options: object) -> Served:
    return Served(
        disk / "store", "w", place / "mount", settings=HURRIED, sync_interval=1.0, **options
    )


@contextlib.contextmanager
def until_killed(place: Path, disk: Path) -> Iterator[Served]:
    mount = served(place, disk)
    try:
        yield mount
    finally:
        mount.kill()


def errno_of(call: Callable[[], object]) -> int:
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0


def eventually(call: Callable[[], bool], what: str) -> None:
    """Waits for what the background does by itself."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not call():
        assert time.monotonic() < end, f"{what} never happened"
        time.sleep(0.05)


def content(number: int, length: int = BLOCK) -> bytes:
    return (b"%08d" % number) * (length // 8)


def populate(mount: Served) -> str:
    """Makes files with and without a snapshot of them, a directory and a branch; returns its id."""
    root = mount.path
    (root / "empty").mkdir()
    for number in range(4):
        (root / f"kept{number}").write_bytes(content(number))
    snapshot = mount.snapshot()
    mount.control("branch", "side")
    (root / ".pyi/branches/side/own").write_bytes(content(9))
    for number in range(12):
        (root / f"later{number}").write_bytes(content(100 + number))
    for number in range(600):
        (root / f"small{number}").write_bytes(b"small")
    return snapshot


def fill_up(mount: Served) -> None:
    """Uses what is left in the last blocks of journal and segment."""

    def append() -> None:
        with (mount.path / "filler").open("ab", buffering=0) as file:
            file.write(b"x" * 4096)

    assert any(errno_of(append) for _ in range(100_000))
    assert any(errno_of((mount.path / f"dir{n}").mkdir) for n in range(100_000))


def test_deleting_works_on_a_full_disk_and_makes_room(place: Path, disk: Path) -> None:
    with served(place, disk) as mount:
        root = mount.path
        snapshot = populate(mount)
        small_disks.fill(disk)
        big = root / "big"
        fill_up(mount)
        assert errno_of(lambda: big.write_bytes(content(1))) == errno.ENOSPC
        for number in range(600):
            (root / f"small{number}").unlink()
        (root / "empty").rmdir()
        for number in range(6):
            os.truncate(root / f"later{number}", 0)
        for number in range(6, 12):
            (root / f"later{number}").unlink()
        mount.control("drop", "side")
        descriptor = os.open(root / "kept0", os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        # Twelve files that no snapshot has were removed: their room comes back by itself.
        eventually(lambda: errno_of(lambda: big.write_bytes(content(1))) == 0, "room")
        assert big.read_bytes() == content(1)
        for number in range(4):
            assert (root / f"kept{number}").read_bytes() == content(number)
            assert (root / ".pyi/snapshots" / snapshot / f"kept{number}").read_bytes() == content(
                number
            )
        reserve = disk / "store" / "reserve"
        eventually(lambda: reserve.stat().st_size == limits.RESERVE_BYTES, "a reserve")
    assert check_directory(disk / "store", verify_data=True) == []


def test_a_killed_mount_comes_up_on_a_full_disk_and_removes_first(place: Path, disk: Path) -> None:
    with until_killed(place, disk) as mount:
        populate(mount)
        small_disks.fill(disk)
        fill_up(mount)
        listing = sorted(os.listdir(mount.path))
    with until_killed(place, disk) as mount:
        assert sorted(os.listdir(mount.path)) == listing
        (mount.path / "later3").unlink()
        assert (mount.path / "later4").read_bytes() == content(104)
        mount.control("drop", "side")
    with served(place, disk) as mount:
        listing.remove("later3")
        assert sorted(os.listdir(mount.path)) == listing
        assert os.listdir(mount.path / ".pyi/branches") == ["main"]


def test_snapshots_can_be_deleted_and_collected_on_a_full_disk(place: Path, disk: Path) -> None:
    """What `rmdir` and `pyi-gc` give back can be written again, with the ballast still there."""
    with served(place, disk) as mount:
        root = mount.path
        ids = []
        for number in range(12):
            (root / "result").write_bytes(content(number, 2 * BLOCK))
            ids.append(mount.snapshot())
        small_disks.fill(disk)
        for id_ in ids[:-1]:
            (root / ".pyi/snapshots" / id_).rmdir()
        assert os.listdir(root / ".pyi/snapshots") == ids[-1:]
    run(sys.executable, "-m", "pyi_fs.cli.gc", "--store", disk / "store", "--dry-run")
    run(sys.executable, "-m", "pyi_fs.cli.gc", "--store", disk / "store")
    assert check_directory(disk / "store", verify_data=True) == []
    with served(place, disk) as mount:
        assert (mount.path / "result").read_bytes() == content(11, 2 * BLOCK)


def test_a_restore_on_a_full_disk_happens_or_does_not(place: Path, disk: Path) -> None:
    """Of the tree or of a path: afterwards the log and the tree agree, also after a kill."""
    with until_killed(place, disk) as mount:
        root = mount.path
        (root / "d").mkdir()
        for number in range(300):
            (root / "d" / f"f{number}").write_bytes(b"old")
        first = mount.snapshot()
        for number in range(300):
            (root / "d" / f"f{number}").write_bytes(b"new")
        mount.snapshot()
        small_disks.fill(disk)
        fill_up(mount)
        for text in (f"{first}\td", first):
            before = operations(mount)
            failed = errno_of(lambda t=text: mount.control("restore", t))  # type: ignore[misc]
            assert failed in (0, errno.ENOSPC)
            seen = {path.read_bytes() for path in (root / "d").iterdir()}
            noted = operations(mount) - before
            assert (seen, noted) == (({b"new"}, 0) if failed else ({b"old"}, 1)), text
            if not failed:
                mount.control("undo")
        state = {path.read_bytes() for path in (root / "d").iterdir()}
    with served(place, disk) as mount:
        assert {path.read_bytes() for path in (mount.path / "d").iterdir()} == state
        (disk / "ballast").unlink()
        mount.control("restore", first)
        assert {path.read_bytes() for path in (mount.path / "d").iterdir()} == {b"old"}


def operations(mount: Served) -> int:
    """Returns how many restores the log knows."""
    return mount.ask("log").count('"restore')


def test_a_quota_is_edquot_and_goes_on_when_it_is_lifted(place: Path) -> None:
    with disk_of("btrfs", place) as disk:
        small_disks.limit(disk, 40 << 20)
        with served(place, disk) as mount:
            root = mount.path
            (root / "kept").write_bytes(content(1))
            snapshot = mount.snapshot()
            seen = 0
            for number in range(64):
                seen = errno_of(lambda n=number: (root / f"f{n}").write_bytes(content(n)))  # type: ignore[misc]
                if seen:
                    break
                os.sync()
            assert seen == errno.EDQUOT
            assert (root / "kept").read_bytes() == content(1)
            assert mount.status()["workspace"] == "w"
            small_disks.limit(disk, None)
            eventually(lambda: errno_of(lambda: (root / "x").write_bytes(content(2))) == 0, "room")
            assert (root / ".pyi/snapshots" / snapshot / "kept").read_bytes() == content(1)
        assert check_directory(disk / "store", verify_data=True) == []
