"""Where a mount is not as ext4 by the kernel's doing: more rows of `docs/posix.md`."""

import os
import stat
from pathlib import Path

import pytest

from pyi_fs.limits import TIME_NS_MIN
from tests.support.posix_actor import Actor, User
from tests.support.posix_both import Both, with_open
from tests.support.posix_calls import Failed

pytestmark = [pytest.mark.mount, pytest.mark.slow]


def test_times_of_fifos(both: Both) -> None:
    def ask(place: Path) -> object:
        os.mkfifo(place / "fifo")
        before = (place / "fifo").stat()
        reader = os.open(place / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        with_open(place / "fifo", os.O_WRONLY, lambda fd: os.write(fd, b"x"))
        os.close(reader)
        after = (place / "fifo").stat()
        return before.st_mtime_ns != after.st_mtime_ns, before.st_ctime_ns != after.st_ctime_ns

    assert both.say(ask) == ((True, True), (False, False))


def test_the_end_of_a_directory(both: Both) -> None:
    """Offsets that `telldir` gave lead back on both (`test_listing_while_names_come_and_go`)."""
    ask = lambda place: with_open(place, os.O_RDONLY, lambda fd: os.lseek(fd, 0, os.SEEK_END))  # noqa: E731
    on_host, on_mount = both.say(ask)
    assert on_mount == 4096
    assert on_host != 4096


@pytest.mark.parametrize("call", ["write", "truncate", "chown"])
def test_set_group_id_without_execution(both: Both, call: str) -> None:
    """By a stranger to the group, or the owner who gives it to another; user bits go on both."""

    def ask(place: Path) -> object:
        os.chown(place / "f", 65534, 1000)
        (place / "f").chmod(0o6666)
        actor = Actor(place, User(65534, 65534))
        if call == "write":
            actor.do("open", 0, "f", os.O_WRONLY, 0)
            assert actor.do("write", 0, b"x") == 1
        else:
            more = (1,) if call == "truncate" else (-1, 65534)
            assert actor.do(call, "f", *more) is None
        actor.close()
        return oct(stat.S_IMODE((place / "f").stat().st_mode))

    assert both.say(ask) == ("0o666", "0o2666")


def test_set_id_bits_after_a_write_that_was_too_far(both: Both) -> None:
    """The kernel has them cleared before it sends the write, and does not know of our limit."""

    def ask(place: Path) -> object:
        os.chown(place / "f", 65534, 65534)
        (place / "f").chmod(0o6777)
        actor = Actor(place, User(65534, 65534))
        actor.do("open", 0, "f", os.O_WRONLY, 0)
        answer = actor.do("pwrite", 0, b"x", 1 << 45)
        actor.close()
        return answer, oct(stat.S_IMODE((place / "f").stat().st_mode))

    refused = Failed("EFBIG")
    # With the writeback cache, too: the kernel writes such a file at once.
    assert both.say(ask) == ((refused, "0o6777"), (refused, "0o777"))


def test_times_beyond_the_range(both: Both, writeback: bool) -> None:
    """With the writeback cache the kernel shows what it was told, until it asks us again."""

    def ask(place: Path) -> object:
        os.utime(place / "f", ns=(0, -(1 << 32) * 10**9))
        return (place / "f").stat().st_mtime_ns

    nearest = TIME_NS_MIN
    assert both.say(ask) == (nearest, -(1 << 32) * 10**9 if writeback else nearest)
