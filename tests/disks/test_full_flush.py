"""A real disk that fills in the midst of a snapshot: of what the kernel holds back, or memory has.

The caller gets the errno, there is no snapshot that lacks something, what was open and what was in
memory is read on, and it goes on when there is room.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_directory
from pyi_fs.store.memory import SHARED_MEMORY, is_tmpfs
from tests.disks.test_full_mount import errno_of, fill, small_disk
from tests.support.engine_rig import noise
from tests.support.mounting import Mount

__all__ = ["small_disk"]

pytestmark = [pytest.mark.mount, pytest.mark.slow, pytest.mark.in_turns]

MIB = 1 << 20
DATA = noise(4 * MIB, "more than there is room for")


def almost_fill(disk: Path) -> Path:
    """Leaves room for a quarter of the data; returns the file to remove."""
    ballast = fill(disk)
    os.truncate(ballast, ballast.stat().st_size - MIB)
    return ballast


def sync(mount: Mount) -> None:
    descriptor = os.open(mount.path / ".pyi" / "snapshot", os.O_WRONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


REQUESTS: dict[str, Callable[[Mount, str], object]] = {
    "snapshot": lambda mount, _: mount.snapshot(),
    "named": lambda mount, _: mount.control("snapshot", "named"),
    "made": lambda mount, _: (mount.path / ".pyi" / "snapshots" / "made").mkdir(),
    "branch": lambda mount, _: mount.control("branch", "branch"),
    "restore": lambda mount, first: mount.control("restore", first),
    "sync": lambda mount, _: sync(mount),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_what_the_kernel_held_back_does_not_fit(
    small_disk: Path, tmp_path: Path, kind: str
) -> None:
    """A request that is about what was written is refused if that does not come."""
    store = small_disk / "store"
    with Mount(store, tmp_path / "mount", {"writeback": True}) as mount:
        (mount.path / "kept").write_bytes(b"kept")
        first = mount.snapshot()
        snapshots = mount.path / ".pyi" / "snapshots"
        log = mount.ask("log")
        ballast = almost_fill(small_disk)
        held = os.open(mount.path / "f", os.O_RDWR | os.O_CREAT)
        assert os.write(held, DATA) == len(DATA)
        for _ in range(2):
            # Whoever polls is not the one who is told.
            assert '"unwritten": "No space left' in mount.ask("status")
        assert errno_of(lambda: REQUESTS[kind](mount, first)) == errno.ENOSPC
        assert '"unwritten": null' in mount.ask("status")
        assert "No space left" in mount.ask("error")
        assert '"branch": "main"' in mount.ask("status")
        assert os.listdir(snapshots) == [first]
        assert mount.ask("log") == log
        # Its writer is told, too, as after any write that the disk did not take later.
        assert errno_of(lambda: os.fsync(held)) == errno.ENOSPC
        ballast.unlink()
        assert os.pwrite(held, DATA, 0) == len(DATA)
        REQUESTS[kind](mount, first)
        if kind == "restore":
            mount.control("undo", "\n")
        assert (mount.path / "f").read_bytes() == DATA
        for made in os.listdir(snapshots):
            assert made == first or (snapshots / made / "f").read_bytes() == DATA
        os.close(held)
    assert [one for one in check_directory(store, verify_data=True) if one.severity != "note"] == []
    with Mount(store, tmp_path / "mount") as mount:
        assert (mount.path / "f").read_bytes() == DATA


@pytest.fixture
def memory(small_disk: Path) -> Iterator[Path]:
    """Where the memory of the store on the small disk is; removed afterwards."""
    if not is_tmpfs(SHARED_MEMORY):
        pytest.skip("/dev/shm is no tmpfs")
    (small_disk / "store").mkdir()
    status = (small_disk / "store").stat()
    path = Path(SHARED_MEMORY) / f"pyi-{status.st_uid}" / f"{status.st_dev:x}-{status.st_ino:x}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.mark.parametrize("kind", ["named", "branch", "head", "sync"])
def test_what_is_in_memory_does_not_fit(
    small_disk: Path, memory: Path, tmp_path: Path, kind: str
) -> None:
    """What makes an ephemeral branch last is refused; also after a kill it is where it was."""
    store = small_disk / "store"
    mount = Mount(store, tmp_path / "mount")
    mount.control("branch", "try --ephemeral\n")
    (branch_of(mount) / "f").write_bytes(DATA)
    ballast = almost_fill(small_disk)
    assert errno_of(lambda: promote(mount, kind)) == errno.ENOSPC
    assert_as_before(mount)
    mount.kill()
    with Mount(store, tmp_path / "mount") as mount:
        assert_as_before(mount)
        ballast.unlink()
        promote(mount, kind)
        assert (branch_of(mount) / "f").read_bytes() == DATA
    # As after a reboot: only what came to the disk is left.
    shutil.rmtree(memory)
    with Mount(store, tmp_path / "mount") as mount:
        assert (branch_of(mount) / "f").read_bytes() == DATA
        if kind == "named":
            assert (mount.path / ".pyi" / "snapshots" / "kept" / "f").read_bytes() == DATA
        if kind == "branch":
            assert (mount.path / ".pyi" / "branches" / "lasting" / "f").read_bytes() == DATA
    assert [one for one in check_directory(store, verify_data=True) if one.severity != "note"] == []


def branch_of(mount: Mount) -> Path:
    return mount.path / ".pyi" / "branches" / "try"


def assert_as_before(mount: Mount) -> None:
    assert (branch_of(mount) / "f").read_bytes() == DATA
    assert mount.ask("head") == "main\n"
    assert os.listdir(mount.path / ".pyi" / "snapshots") == []
    assert sorted(os.listdir(mount.path / ".pyi" / "branches")) == ["main", "try"]


def promote(mount: Mount, kind: str) -> None:
    """Makes an ephemeral branch last in one of the ways."""
    control = branch_of(mount) / ".pyi"
    if kind == "named":
        (control / "snapshot").write_text("kept")
    elif kind == "branch":
        (control / "branch").write_text("lasting")
    elif kind == "head":
        mount.control("head", "try")
    else:
        with (control / "snapshot").open("wb", buffering=0) as file:
            os.fsync(file.fileno())
