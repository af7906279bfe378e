"""Disks of 200 MB that can be filled, limited by a quota, taken away: for tests of a real store.

Each is a context manager that gives a directory. Needs root; `DiskUnavailableError` says what is
missing where one cannot be made.
"""

import contextlib
import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

DISK_BYTES = 200 << 20
_SHUTDOWN = 0x8004587D
"""`EXT4_IOC_SHUTDOWN`."""
_WITHOUT_FLUSHING = 2
_SECONDS = 60


class DiskUnavailableError(Exception):
    """This machine cannot make such a disk."""


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise DiskUnavailableError(f"{command}: {done.stderr.decode().strip()}")


@contextlib.contextmanager
def memory_disk(place: Path) -> Iterator[Path]:
    """A tmpfs."""
    with _mounted(place, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "pyi-test") as disk:
        yield disk


@contextlib.contextmanager
def loop_disk(place: Path, kind: str = "ext4") -> Iterator[Path]:
    """A filesystem in a file, of its own loop device."""
    image = place / f"{kind}.image"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    try:
        _run(f"mkfs.{kind}", "-q", image)
        with _mounted(place, "-o", "loop", image) as disk:
            yield disk
    except FileNotFoundError as error:
        raise DiskUnavailableError(str(error)) from error
    finally:
        image.unlink()


@contextlib.contextmanager
def _mounted(place: Path, *arguments: str | Path) -> Iterator[Path]:
    disk = place / "disk"
    disk.mkdir()
    _run("mount", *arguments, disk)
    try:
        yield disk
    finally:
        # Also when a process that died has not let go yet; the loop device goes with it.
        subprocess.run(["umount", "-l", str(disk)], timeout=_SECONDS, check=True)
        disk.rmdir()


def pull_out(disk: Path) -> None:
    """Takes an ext4 away as a broken device would: all calls fail, what was not synced is lost."""
    descriptor = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING))
    finally:
        os.close(descriptor)


def plug_in(place: Path, disk: Path) -> None:
    """Mounts the ext4 that was pulled out again: its journal is replayed, as after power loss."""
    _run("umount", disk)
    _run("mount", "-o", "loop", place / "ext4.image", disk)


def make_read_only(disk: Path) -> None:
    """Makes an ext4 read-only under its users, as it does itself when it finds damage."""
    _run("mount", "-o", "remount,abort", disk)


def limit(disk: Path, quota_bytes: int | None) -> None:
    """Limits what a btrfs takes by a quota, or lifts the limit."""
    _run("btrfs", "quota", "enable", disk)
    _run("btrfs", "qgroup", "limit", "none" if quota_bytes is None else str(quota_bytes), disk)


def fill(disk: Path) -> Path:
    """Takes all room of a disk; returns the file to remove."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    return ballast
