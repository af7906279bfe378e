"""A real mount whose store's disk is full, then has room again."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_directory
from tests.support.mounting import Mount

pytestmark = [pytest.mark.mount, pytest.mark.slow]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 24 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "pyi-test", str(disk)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.decode().strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Takes all room of a disk; returns the file to remove."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return ballast


def errno_of(call: Callable[[], object]) -> int:
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0


def append_until_full(path: Path) -> bytes:
    """Appends lines until the disk is full; returns what was acknowledged."""
    acknowledged = b""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        for index in range(5000):
            line = b"%06d" % index * 100
            try:
                assert os.write(descriptor, line) == len(line)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return acknowledged
            acknowledged += line
    finally:
        os.close(descriptor)
    pytest.fail("the disk never filled up")


def attempts(mount: Mount, first: str) -> dict[str, Callable[[int], object]]:
    """Returns what a user may try, each more often than what the last pages of a disk take."""
    root = mount.path

    def snapshot(number: int) -> None:
        os.chmod(root / "d", 0o700 + number % 8)
        mount.snapshot()

    def restore(number: int) -> None:
        mount.control("restore", first)
        (root / f"restored{number}").touch()

    return {
        "create": lambda number: (root / f"new{number}").touch(),
        "mkdir": lambda number: (root / f"dir{number}").mkdir(),
        "snapshot": snapshot,
        "branch": lambda number: mount.control("branch", f"b{number}"),
        "branches": lambda number: (root / ".pyi/branches" / f"m{number}").mkdir(),
        "restore": restore,
    }


def test_a_full_disk_is_enospc_and_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    """All that writes is refused, nothing acknowledged is lost, and open files are kept.

    Also through a restore that happens on the full disk.
    """
    store = small_disk / "store"
    with Mount(store, tmp_path / "mount") as mount:
        root = mount.path
        (root / "kept").write_bytes(b"kept " * 2000)
        (root / "d").mkdir()
        first = mount.snapshot()
        held = os.open(root / "d" / "held", os.O_RDWR | os.O_CREAT)
        os.write(held, b"held")
        os.unlink(root / "d" / "held")
        ballast = fill(small_disk)
        kept = b"kept " * 2000 + append_until_full(root / "kept")
        assert errno_of(lambda: os.pwrite(held, bytes(1 << 20), 0)) == errno.ENOSPC
        assert (root / "kept").read_bytes() == kept
        descriptors = len(os.listdir(f"/proc/{mount.process.pid}/fd"))
        for name, attempt in attempts(mount, first).items():
            seen = [errno_of(lambda a=attempt, n=number: a(n)) for number in range(150)]  # type: ignore[misc]
            assert set(seen) <= {0, errno.ENOSPC}, name
            assert name == "restore" or seen[-1] == errno.ENOSPC, name
            assert os.pread(held, 5, 0) == b"held", name
        assert errno_of(lambda: (root / "x").write_bytes(bytes(8192))) == errno.ENOSPC
        assert "No space left" in mount.ask("error")
        assert (root / "kept").read_bytes() in (b"kept " * 2000, kept)
        assert len(os.listdir(f"/proc/{mount.process.pid}/fd")) < descriptors + 150
        assert errno_of(lambda: os.fsync(held)) in (0, errno.ENOSPC)

        ballast.unlink()
        os.pwrite(held, b"HELD", 0)
        (root / "after").write_bytes(b"after" * 1000)
        os.fsync(held)
        assert os.pread(held, 5, 0) == b"HELD"
        second = mount.snapshot()
        os.close(held)
        assert (root / ".pyi/snapshots" / second / "after").read_bytes() == b"after" * 1000
        assert (root / ".pyi/snapshots" / first / "kept").read_bytes() == b"kept " * 2000
        listing = sorted(os.listdir(root))
    assert check_directory(store, verify_data=True) == []
    with Mount(store, tmp_path / "mount") as mount:
        assert sorted(os.listdir(mount.path)) == listing
        assert (mount.path / "after").read_bytes() == b"after" * 1000
