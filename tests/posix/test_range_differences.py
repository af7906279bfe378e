"""Where allocating, holes and files without names are not as on ext4; rows of `docs/posix.md`."""

import ctypes
import mmap
import os
from pathlib import Path

import pytest

from pyi_fs.fuse.transports import DIRECT
from tests.support.posix_both import Both, with_open
from tests.support.posix_calls import checked

pytestmark = [pytest.mark.mount, pytest.mark.slow]

_LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.mark.parametrize("mode", [0, 1, 3, 16, 17, 8, 32])
def test_fallocate(both: Both, mode: int, transport: str) -> None:
    def ask(place: Path) -> object:
        start, length = ctypes.c_int64(0), ctypes.c_int64(4096)
        return with_open(
            place / "f",
            os.O_RDWR,
            lambda fd: checked(_LIBC.fallocate(fd, mode, start, length)),
        )

    works = transport == DIRECT and mode not in (8, 32)
    assert both.say(ask) == (0, 0 if works else "ENOTSUP")
    (both.mount / "f").write_bytes(b"x" * 10_000)
    # Without it: what tools fall back to.
    with_open(both.mount / "f", os.O_RDWR, lambda fd: os.posix_fallocate(fd, 0, 20_000))
    assert (both.mount / "f").read_bytes() == b"x" * 10_000 + bytes(10_000)


def test_what_is_allocated_is_not_set_aside(both: Both, transport: str, writeback: bool) -> None:
    """But where tools fall back to writing, of which the writeback cache makes whole pages."""

    def ask(place: Path) -> object:
        with_open(
            place / "g", os.O_RDWR | os.O_CREAT, lambda fd: os.posix_fallocate(fd, 0, 1 << 20)
        )
        return (place / "g").stat().st_blocks * 512 >= 1 << 20

    assert both.say(ask) == (True, writeback and transport != DIRECT)


def test_seeking_holes(both: Both, transport: str, writeback: bool) -> None:
    for place in (both.host, both.mount):
        with (place / "sparse").open("wb") as file:
            file.truncate(1 << 20)
            os.fsync(file.fileno())

    def ask(place: Path) -> object:
        return with_open(place / "sparse", os.O_RDONLY, lambda fd: os.lseek(fd, 0, os.SEEK_HOLE))

    assert both.say(ask) == (0, 0 if transport == DIRECT and not writeback else 1 << 20)
    assert (both.mount / "sparse").stat().st_blocks == 0


def test_holes_that_are_mapped_and_written(both: Both, transport: str, writeback: bool) -> None:
    """A store to a mapping is data on the host at once, here when the kernel has written it."""

    def ask(place: Path) -> object:
        with (place / "g").open("w+b") as file:
            file.truncate(8192)
            with mmap.mmap(file.fileno(), 8192) as mapping:
                mapping[4096] = 1
                before = os.lseek(file.fileno(), 0, os.SEEK_HOLE)
                mapping.flush()
                return before, os.lseek(file.fileno(), 4096, os.SEEK_DATA)

    def data(place: Path) -> object:
        with (place / "h").open("w+b") as file:
            file.truncate(8192)
            with mmap.mmap(file.fileno(), 8192) as mapping:
                mapping[4096] = 1
                return os.lseek(file.fileno(), 0, os.SEEK_DATA)

    assert both.say(ask)[0] == (0, 4096)
    assert both.say(data) == (4096, "ENXIO" if transport == DIRECT and not writeback else 0)


def test_tmpfile(both: Both, transport: str) -> None:
    flags = os.O_TMPFILE | os.O_RDWR
    answers = both.say(lambda place: with_open(place, flags, lambda fd: 0))
    assert answers == (0, 0 if transport == DIRECT else "ENOTSUP")
