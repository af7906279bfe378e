"""Holes, copies that share, and files without names: on the mount as on ext4 (direct transport)."""

import ctypes
import errno
import os
import random
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path

import pytest

from pyi_fs.fuse.transports import DIRECT
from tests.support.mounting import Mount
from tests.support.posix_calls import checked

pytestmark = [pytest.mark.mount, pytest.mark.slow]
# pyfuse3 has no hook for these requests.
TRANSPORTS = [DIRECT]

_LIBC = ctypes.CDLL(None, use_errno=True)
_NUMBERS = count()
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO_RANGE, INSERT = 1, 2, 8, 16, 32
MODES = (0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE, ZERO_RANGE | KEEP_SIZE)
BLOCK = 4096
_AT_SYMLINK_FOLLOW = 0x400


def allocate(descriptor: int, mode: int, offset: int, length: int) -> None:
    """fallocate(2), which Python has only without its mode."""
    checked(_LIBC.fallocate(descriptor, mode, ctypes.c_int64(offset), ctypes.c_int64(length)))


def outcome(call: Callable[..., object], *arguments: object) -> object:
    """Returns what a call returns, or the name of its errno."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def pieces(descriptor: int) -> list[tuple[int, int]]:
    """Returns where a file has data, found with SEEK_DATA and SEEK_HOLE."""
    found: list[tuple[int, int]] = []
    offset = 0
    while True:
        start = outcome(os.lseek, descriptor, offset, os.SEEK_DATA)
        if not isinstance(start, int):
            assert start == "ENXIO"
            return found
        offset = os.lseek(descriptor, start, os.SEEK_HOLE)
        found.append((start, offset))


@pytest.fixture
def pair(mount: Mount, host: Path) -> Iterator[list[Path]]:
    """Gives a fresh directory on the host and one on the mount."""
    name = f"ranges-{next(_NUMBERS)}"
    places = [host / name, mount.path / name]
    for place in places:
        place.mkdir()
        place.chmod(0o777)
    yield places
    for place in places:
        shutil.rmtree(place)


@pytest.fixture
def descriptors(pair: list[Path]) -> Iterator[list[int]]:
    """Gives an open file of ten blocks on each side."""
    opened = [os.open(place / "f", os.O_RDWR | os.O_CREAT, 0o644) for place in pair]
    for descriptor in opened:
        os.write(descriptor, bytes(range(1, 11)) * BLOCK)
    yield opened
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", [(0, 3), (BLOCK, BLOCK), (5000, 7000), (36_000, 30_000)])
def test_fallocate_leaves_the_same_bytes_and_size(descriptors, mode, where):
    states = []
    for descriptor in descriptors:
        allocate(descriptor, mode, *where)
        os.fsync(descriptor)
        states.append((os.fstat(descriptor).st_size, os.pread(descriptor, 100_000, 0)))
    assert states[0] == states[1]


@pytest.mark.parametrize(
    ("mode", "offset", "length"),
    [
        *((mode, 0, 0) for mode in MODES),
        *((mode, -1, 10) for mode in MODES),
        *((mode, 0, -1) for mode in MODES),
        (PUNCH_HOLE, 0, BLOCK),
        (0, (1 << 63) - 10, 20),
    ],
)
def test_fallocate_refuses_what_the_host_refuses(descriptors, mode, offset, length):
    host, mount = (
        outcome(allocate, descriptor, mode, offset, length) for descriptor in descriptors
    )
    assert host == mount
    assert host is not None


def test_modes_that_shift_a_file_are_not_there(descriptors):
    mount = descriptors[1]
    for mode in (COLLAPSE, INSERT):
        assert outcome(allocate, mount, mode, 0, BLOCK) == "ENOTSUP"


def test_room_that_is_not_there_is_refused(descriptors):
    # Not on the host: ext4 takes all the room there is before it says so.
    mount = descriptors[1]
    assert outcome(allocate, mount, 0, 0, 1 << 39) == "ENOSPC"
    assert os.fstat(mount).st_size == 10 * BLOCK


def test_holes_are_where_the_host_has_them(descriptors, writeback):
    """With the writeback cache the kernel is not told of holes: what is in it we do not know."""
    for descriptor in descriptors:
        allocate(descriptor, PUNCH_HOLE | KEEP_SIZE, 2 * BLOCK, 3 * BLOCK)
        os.ftruncate(descriptor, 20 * BLOCK)
        os.pwrite(descriptor, b"x" * BLOCK, 15 * BLOCK)
        os.fsync(descriptor)
    host, mount = (pieces(descriptor) for descriptor in descriptors)
    if writeback:
        assert mount == [(0, 20 * BLOCK)]
        return
    assert os.fstat(descriptors[1]).st_blocks == 8 * 8
    assert host == mount
    assert mount == [(0, 2 * BLOCK), (5 * BLOCK, 10 * BLOCK), (15 * BLOCK, 16 * BLOCK)]
    for offset in (0, 2 * BLOCK, 3 * BLOCK, 16 * BLOCK, 20 * BLOCK, 1 << 40):
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            answers = [outcome(os.lseek, descriptor, offset, whence) for descriptor in descriptors]
            assert answers[0] == answers[1], (offset, whence)


def test_punching_gives_blocks_back_and_clears_set_id_bits_of_a_user(pair, descriptors):
    for place, descriptor in zip(pair, descriptors, strict=True):
        allocate(descriptor, PUNCH_HOLE | KEEP_SIZE, 0, 10 * BLOCK)
        os.fsync(descriptor)
        assert os.fstat(descriptor).st_blocks == 0
        (place / "f").chmod(0o6777)
        words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        subprocess.run([*words, "fallocate", "-l", "100", str(place / "f")], check=True)
        assert stat.S_IMODE((place / "f").stat().st_mode) == 0o777


def test_tools_see_and_make_holes(pair):
    for place in pair:
        (place / "f").write_bytes(bytes(1 << 20) + b"end" + bytes(1 << 20))
        subprocess.run(["fallocate", "--dig-holes", place / "f"], check=True)
        subprocess.run(["cp", "--sparse=auto", place / "f", place / "g"], check=True)
        assert (place / "g").read_bytes() == (place / "f").read_bytes()
        # A block of the size that stat says, and what ext4 adds to it.
        found = (place / "g").stat()
        assert found.st_blocks * 512 <= found.st_blksize + 8192


@pytest.mark.parametrize("seed", range(4))
def test_random_changes_leave_what_the_host_has(descriptors, seed, is_long):
    """Writes, truncations, allocations and copies within the file and from another."""
    dice = random.Random(seed)
    top = 40 * BLOCK
    for step in range(2000 if is_long else 120):
        kind = dice.choice(("write", "truncate", "allocate", "copy"))
        start, length = dice.randrange(top), dice.randrange(1, 6 * BLOCK)
        target, mode = dice.randrange(top), dice.choice(MODES)
        data = dice.randbytes(length)

        def change(descriptor: int) -> object:
            # ruff: noqa: B023 - used before the next step
            if kind == "write":
                return os.pwrite(descriptor, data, start)
            if kind == "truncate":
                os.ftruncate(descriptor, start)
                return 0
            if kind == "allocate":
                allocate(descriptor, mode, start, length)
                return 0
            return os.copy_file_range(descriptor, descriptor, length, start, target)

        answers = [outcome(change, descriptor) for descriptor in descriptors]
        assert answers[0] == answers[1], (step, kind, start, length, target)
        contents = [os.pread(descriptor, 2 * top, 0) for descriptor in descriptors]
        assert contents[0] == contents[1], (step, kind, start, length, target)


def test_a_copy_shares_and_costs_no_bytes(mount, pair):
    """64 MiB, copied and copied again: the store has them once, and each copy is its own file."""
    place = pair[1]
    data = random.Random(1).randbytes(64 << 20)
    (place / "f").write_bytes(data)
    before = scratch_bytes(mount)
    shutil.copyfile(place / "f", place / "plain")
    for name in ("g", "h"):
        copy(place / "f", place / name, len(data))
    assert scratch_bytes(mount) - before <= len(data) + (1 << 20)
    with (place / "g").open("r+b") as file:
        file.seek(5)
        file.write(b"changed")
    (place / "f").unlink()
    assert (place / "h").read_bytes() == data
    assert (place / "g").read_bytes() == data[:5] + b"changed" + data[12:]


def copy(source: Path, target: Path, length: int) -> None:
    """Copies with copy_file_range(2) alone."""
    with source.open("rb") as old, target.open("wb") as new:
        while length > 0:
            done = os.copy_file_range(old.fileno(), new.fileno(), length)
            assert done > 0
            length -= done


def scratch_bytes(mount: Mount) -> int:
    """Returns how many bytes the segments of a mount's store have."""
    store = mount.path.parent / "store"
    return sum(path.stat().st_size for path in store.glob("layers/*/*/scratch-*"))


def test_what_two_files_share_outlives_one_of_them(mount, pair):
    """Rewriting and removing the source gives nothing back that the copy needs."""
    place = pair[1]
    data = random.Random(2).randbytes(8 << 20)
    for _ in range(3):
        (place / "f").write_bytes(data)
        copy(place / "f", place / "g", len(data))
        (place / "f").write_bytes(bytes(len(data)))
        with (place / "f").open("rb") as file:
            os.fsync(file.fileno())
        assert (place / "g").read_bytes() == data
    assert (place / "f").read_bytes() == bytes(len(data))


def test_copies_between_views_share(mount, pair):
    """From a snapshot and from another branch into this one, and back."""
    place, root = pair[1], mount.path
    data = random.Random(3).randbytes(4 << 20)
    (place / "f").write_bytes(data)
    path = (place / "f").relative_to(root)
    snapshot = mount.snapshot()
    (place / "f").write_bytes(b"newer")
    before = scratch_bytes(mount)
    copy(root / ".pyi" / "snapshots" / snapshot / path, place / "old", len(data))
    assert (place / "old").read_bytes() == data
    name = f"lender-{next(_NUMBERS)}"
    mount.control("branch", name)
    branch = root / ".pyi" / "branches" / name
    copy(place / "old", branch / "copied", len(data))
    assert (branch / "copied").read_bytes() == data
    assert scratch_bytes(mount) - before < 1 << 20
    (branch / "own").write_bytes(data[::-1])
    copy(branch / "own", place / "back", len(data))
    assert scratch_bytes(mount) - before < len(data) + (1 << 20)
    (branch / "own").write_bytes(b"rewritten")
    mount.control("drop", name)
    assert (place / "back").read_bytes() == data[::-1]


def test_a_copy_stops_at_the_end_and_refuses_what_the_host_refuses(pair):
    answers = []
    for place in pair:
        (place / "f").write_bytes(b"0123456789")
        with (place / "f").open("r+b") as file, (place / "g").open("w+b") as new:
            there, other = file.fileno(), new.fileno()
            answers.append(
                [
                    outcome(os.copy_file_range, there, other, 100, 4, 0),
                    outcome(os.copy_file_range, there, other, 100, 10, 0),
                    outcome(os.copy_file_range, there, there, 5, 0, 2),
                    outcome(os.copy_file_range, there, other, 3, 0, 20),
                    new.read(),
                ]
            )
    assert answers[0] == answers[1]
    assert answers[1][:2] == [6, 0]


def test_a_file_without_a_name_gets_one_or_goes(pair):
    for place in pair:
        descriptor = os.open(place, os.O_TMPFILE | os.O_RDWR, 0o640)
        os.write(descriptor, b"no name yet")
        found = os.fstat(descriptor)
        assert (found.st_nlink, found.st_size) == (0, 11)
        assert stat.S_IMODE(found.st_mode) == 0o640
        assert os.listdir(place) == []
        name = f"/proc/self/fd/{descriptor}".encode()
        target = os.fsencode(place / "named")
        checked(_LIBC.linkat(-100, name, -100, target, _AT_SYMLINK_FOLLOW))
        assert os.fstat(descriptor).st_nlink == 1
        os.close(descriptor)
        assert (place / "named").read_bytes() == b"no name yet"
        exclusive = os.open(place, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
        name = f"/proc/self/fd/{exclusive}".encode()
        with pytest.raises(FileNotFoundError):
            checked(_LIBC.linkat(-100, name, -100, target + b"2", _AT_SYMLINK_FOLLOW))
        os.close(exclusive)
        assert os.listdir(place) == ["named"]


def test_a_file_without_a_name_belongs_where_it_was_made(pair):
    for place in pair:
        os.chown(place, 0, 4321)
        place.chmod(0o2777)
        descriptor = os.open(place, os.O_TMPFILE | os.O_WRONLY, 0o600)
        assert os.fstat(descriptor).st_gid == 4321
        os.close(descriptor)
        assert outcome(os.open, place, os.O_TMPFILE | os.O_RDONLY) == "EINVAL"


def test_the_time_of_birth_stays(pair, writeback):
    """With the writeback cache ctime is of the kernel's clock, which lags by a tick."""
    tick_ns = 10_000_000 if writeback else 0

    def born(path: Path) -> int:
        found = ctypes.create_string_buffer(256)
        checked(_LIBC.statx(-100, os.fsencode(path), 0, 0xFFF, found))
        seconds, ns = struct.unpack_from("<qI", found.raw, 0x50)
        return int(seconds) * 1_000_000_000 + int(ns)

    for place in pair:
        path = place / "f"
        path.write_bytes(b"1")
        before = born(path)
        os.utime(path, (1, 1))
        path.write_bytes(b"22")
        path.rename(place / "g")
        assert born(place / "g") == before
        assert before - tick_ns <= (place / "g").stat().st_ctime_ns
        (place / "h").touch()
        assert all(a <= b for a, b in pairwise([before, born(place / "h")]))
