"""Where a mount is not as ext4: each row of `docs/posix.md` has a test here that fails without it.

Each says what the host does, too: a row that is no difference any more is to go.
"""

import ctypes
import fcntl
import mmap
import os
import re
import select
import shutil
import stat
import struct
import subprocess
import time
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.control import ioctls
from pyi_fs.fuse.transports import DIRECT
from tests.support.mounting import ROOT, Mount
from tests.support.posix_actor import Actor, User
from tests.support.posix_both import Both, with_open
from tests.support.posix_calls import Failed, checked

pytestmark = [pytest.mark.mount, pytest.mark.slow]

DIFFERENCES = ("test_differences.py", "test_range_differences.py", "test_kernel_differences.py")

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLOCK_REALTIME_COARSE = 5


@pytest.mark.parametrize("request_code", [0x80086601, 0x801C581F, 0x80087601])
def test_ioctl(both: Both, request_code: int) -> None:
    """Inode flags, their newer form, and the generation."""

    def ask(place: Path) -> object:
        use = lambda fd: len(fcntl.ioctl(fd, request_code, bytes(28)))  # noqa: E731
        return with_open(place / "f", os.O_RDONLY, use)

    assert both.say(ask) == (28, "ENOTTY")


def test_commands_by_ioctl(both: Both, transport: str) -> None:
    """Ours; on what they do see `test_ioctls.py`."""

    def ask(place: Path) -> object:
        use = lambda fd: len(fcntl.ioctl(fd, ioctls.SNAPSHOT, bytes(ioctls.TEXT_BYTES)))  # noqa: E731
        return with_open(place / "f", os.O_RDONLY, use)

    assert both.say(ask) == ("ENOTTY", ioctls.TEXT_BYTES if transport == DIRECT else "ENOTTY")


def test_extent_maps_and_clones(both: Both) -> None:
    fiemap = struct.pack("QQIIII", 0, (1 << 64) - 1, 0, 0, 0, 0)
    ask = lambda place: with_open(  # noqa: E731
        place / "f", os.O_RDONLY, lambda fd: len(fcntl.ioctl(fd, 0xC020660B, fiemap))
    )
    assert both.say(ask) == (32, "ENOTSUP")
    for place in (both.host, both.mount):
        with (
            (place / "f").open("rb") as source,
            (place / "g").open("wb") as target,
            pytest.raises(OSError, match="not supported"),
        ):
            fcntl.ioctl(target, 0x40049409, source.fileno())
    # copy_file_range works, by copying.
    with (both.mount / "f").open("rb") as source, (both.mount / "g").open("wb") as target:
        assert os.copy_file_range(source.fileno(), target.fileno(), 10_000) == 10_000
    assert (both.mount / "g").read_bytes() == b"x" * 10_000


def test_access_control_lists(both: Both) -> None:
    entries = [(1, 6, -1), (2, 6, 1000), (4, 4, -1), (16, 6, -1), (32, 4, -1)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    for name in ("system.posix_acl_access", "system.posix_acl_default"):
        target = "f" if name.endswith("access") else "."
        ask = lambda place, name=name, target=target: os.setxattr(place / target, name, value)  # noqa: E731
        assert both.say(ask) == (None, "ENOTSUP")
    assert both.say(lambda place: os.getxattr(place, "system.posix_acl_access"))[1] == "ENOTSUP"


def test_sizes_of_attributes(both: Both) -> None:
    ask = lambda place: os.setxattr(place / "f", "user.large", bytes(65_536))  # noqa: E731
    assert both.say(ask) == ("ENOSPC", None)
    assert both.say(lambda place: os.setxattr(place / "f", "user.more", bytes(65_537))) == (
        "E2BIG",
        "E2BIG",
    )


def test_setting_an_attribute_to_what_it_is(both: Both) -> None:
    """With the writeback cache by the kernel's clock, which ticks every few ms."""

    def ask(place: Path) -> object:
        os.setxattr(place / "f", "user.a", b"same")
        before = (place / "f").stat().st_ctime_ns
        while time.clock_gettime_ns(_CLOCK_REALTIME_COARSE) <= before:
            pass
        os.setxattr(place / "f", "user.a", b"same")
        return (place / "f").stat().st_ctime_ns != before

    assert both.say(ask) == (False, True)


def test_creating_and_replacing_an_attribute_at_once(both: Both, transport: str) -> None:
    flags = os.XATTR_CREATE | os.XATTR_REPLACE
    ask = lambda place: os.setxattr(place / "f", "user.a", b"1", flags)  # noqa: E731
    assert both.say(ask) == ("ENODATA", "ENODATA" if transport == DIRECT else None)
    os.setxattr(both.mount / "f", "user.a", b"1")
    assert both.say(lambda place: os.setxattr(place / "f", "user.a", b"1", flags))[1] == "EEXIST"


def test_rename_leaving_a_whiteout(both: Both) -> None:
    def ask(place: Path) -> object:
        old, new = os.fsencode(place / "f"), os.fsencode(place / "g")
        return checked(_LIBC.renameat2(-100, old, -100, new, 4))

    assert both.say(ask) == (0, "EINVAL")


def test_the_largest_file(both: Both, writeback: bool) -> None:
    """With the writeback cache the kernel takes the write, and close is told, without the reason.

    The next syncfs is told as well.
    """
    size = limits.FILE_BYTES_MAX
    os.truncate(both.mount / "f", size)
    assert (both.mount / "f").stat().st_size == size
    assert both.say(lambda place: os.truncate(place / "f", size + 1)) == (None, "EFBIG")
    ask = lambda place: with_open(  # noqa: E731
        place / "f", os.O_RDWR, lambda fd: os.pwrite(fd, b"x", size)
    )
    assert both.say(ask) == (1, "EIO" if writeback else "EFBIG")
    ask = lambda place: with_open(  # noqa: E731
        place, os.O_RDONLY, lambda fd: checked(_LIBC.syncfs(fd))
    )
    assert both.say(ask) == (0, "EFBIG" if writeback else 0)
    seek = lambda place: with_open(  # noqa: E731
        place / "f", os.O_RDWR, lambda fd: os.lseek(fd, 1 << 50, os.SEEK_SET)
    )
    assert both.say(seek) == ("EINVAL", 1 << 50)


def test_access_times(both: Both) -> None:
    path = both.mount / "f"
    for place in (both.host, both.mount):
        os.utime(place / "f", ns=(5, 5))
        (place / "link").symlink_to("f")
    assert both.say(lambda place: len((place / "f").read_bytes())) == (10_000, 10_000)
    assert path.stat().st_atime_ns == 5
    os.utime(path, ns=(7, 9))
    assert path.stat().st_atime_ns == 7
    before = (both.mount / "link").lstat().st_atime_ns
    os.readlink(both.mount / "link")
    os.listdir(both.mount)
    assert (both.mount / "link").lstat().st_atime_ns == before


def test_devices_and_set_id_programs(both: Both) -> None:
    def ask(place: Path) -> object:
        os.mknod(place / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        assert (place / "null").stat().st_rdev == os.makedev(1, 3)
        return with_open(place / "null", os.O_RDWR, lambda fd: os.write(fd, b"x"))

    assert both.say(ask) == (1, "EACCES")

    def run(place: Path) -> object:
        shutil.copy("/usr/bin/id", place / "id")
        (place / "id").chmod(0o4755)
        words = ["setpriv", "--reuid=65534", "--clear-groups", str(place / "id"), "-u"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert both.say(run) == ("0\n", "65534\n")


def test_birth_times_and_other_fields_of_statx(both: Both, transport: str) -> None:
    def ask(place: Path) -> object:
        found = ctypes.create_string_buffer(256)
        checked(_LIBC.statx(-100, os.fsencode(place / "f"), 0, 0xFFF, found))
        return bool(struct.unpack_from("I", found.raw)[0] & 0x800)

    assert both.say(ask) == (True, transport == DIRECT)
    assert both.say(lambda place: (place / "f").stat().st_blksize) == (4096, 131_072)
    for index in range(40):
        (both.mount / (f"{index}" + "n" * 200)).touch()
    assert both.mount.stat().st_size == 4096
    assert both.say(lambda place: os.pathconf(place, "PC_LINK_MAX")) == (65_000, 127)


def test_waiting_for_regular_files(both: Both) -> None:
    def ask(place: Path) -> object:
        with select.epoll() as poll, (place / "f").open("rb") as file:
            poll.register(file.fileno(), select.EPOLLIN)
            return len(poll.poll(1))

    assert both.say(ask) == ("EPERM", 1)


def test_flags_of_single_reads_and_writes(both: Both) -> None:
    (both.host / "f").read_bytes()
    nowait = lambda place: with_open(  # noqa: E731
        place / "f", os.O_RDONLY, lambda fd: os.preadv(fd, [bytearray(1)], 0, os.RWF_NOWAIT)
    )
    assert both.say(nowait) == (1, "ENOTSUP")


def test_unaligned_direct_io(both: Both) -> None:
    ask = lambda place: with_open(  # noqa: E731
        place / "f", os.O_RDWR | os.O_DIRECT, lambda fd: os.pwrite(fd, b"abc", 1)
    )
    assert both.say(ask) == ("EINVAL", 3)
    assert (both.mount / "f").read_bytes()[:5] == b"xabcx"


def test_times_of_mapped_writes(both: Both, writeback: bool) -> None:
    """Seen after the store, and after msync; with the writeback cache as on the host."""

    def ask(place: Path) -> object:
        # Long ago: the kernel's clock ticks, and the file was made just now.
        os.utime(place / "f", ns=(0, 0))
        before = (place / "f").stat().st_mtime_ns
        with (place / "f").open("r+b") as file, mmap.mmap(file.fileno(), 4096) as mapping:
            mapping[0] = 1
            stored = (place / "f").stat().st_mtime_ns
            mapping.flush()
        written = (place / "f").stat().st_mtime_ns
        return stored > before, written > before

    assert both.say(ask) == ((True, True), (writeback, True))


def test_what_statvfs_says(both: Both) -> None:
    """The room of the store's disk, which is the host's here, and what it is mounted without."""
    host, mount = os.statvfs(both.host), os.statvfs(both.mount)
    assert mount.f_blocks * mount.f_frsize == host.f_blocks * host.f_frsize
    assert mount.f_namemax == 255
    flags = os.ST_NOSUID | os.ST_NODEV
    assert (host.f_flag & flags, mount.f_flag & flags) == (0, flags)


def test_set_id_bits_after_roots_write(both: Both, transport: str, writeback: bool) -> None:
    """Root writes to what a user opened; the other way round it is as on the host."""

    def ask(place: Path) -> object:
        (place / "f").chmod(0o6777)
        os.seteuid(65534)
        try:
            descriptor = os.open(place / "f", os.O_WRONLY)
        finally:
            os.seteuid(0)
        os.write(descriptor, b"x")
        os.close(descriptor)
        return oct(stat.S_IMODE((place / "f").stat().st_mode))

    # With the writeback cache the kernel takes them away itself.
    kept = transport == DIRECT or writeback
    assert both.say(ask) == ("0o6777", "0o6777" if kept else "0o777")

    def ask_otherwise(place: Path) -> object:
        (place / "f").chmod(0o6777)
        descriptor = os.open(place / "f", os.O_WRONLY)
        write = f"echo x >&{descriptor}"
        words = ["setpriv", "--reuid=65534", "--clear-groups", "bash", "-c", write]
        subprocess.run(words, pass_fds=[descriptor], check=True)
        os.close(descriptor)
        return oct(stat.S_IMODE((place / "f").stat().st_mode))

    assert both.say(ask_otherwise) == ("0o777", "0o777")


def test_a_strangers_chown_to_nobody(both: Both) -> None:
    """Owner and group -1: the host refuses what would clear set-id bits, the mount clears them."""
    users = [Actor(place, User(65534, 65534)) for place in (both.host, both.mount)]
    for place in (both.host, both.mount):
        (place / "f").chmod(0o6777)
    answers = [user.do("chown", "f", -1, -1) for user in users]
    for user in users:
        user.close()
    assert answers == [Failed("EPERM"), None]
    assert stat.S_IMODE((both.mount / "f").stat().st_mode) == 0o777


def test_inode_number_of_what_was_open_in_a_restore(
    mount: Mount, both: Both, transport: str
) -> None:
    closed, changed = both.mount / "closed", both.mount / "changed"
    closed.write_bytes(b"closed")
    changed.write_bytes(b"before")
    paths = (both.mount / "f", closed, changed)
    numbers = [path.stat().st_ino for path in paths]
    snapshot = mount.snapshot()
    changed.write_bytes(b"after")
    descriptor = os.open(both.mount / "f", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    mount.control("restore", snapshot)
    with (both.mount / "f").open("rb") as restored:
        fcntl.flock(restored, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert os.fstat(descriptor).st_ino == numbers[0]
    assert (both.mount / "f").stat().st_ino != numbers[0]
    assert closed.stat().st_ino == numbers[1]
    assert (changed.stat().st_ino == numbers[2]) is (transport == DIRECT)
    assert changed.read_bytes() == b"before"
    os.write(descriptor, b"to the orphan")
    os.close(descriptor)
    assert (both.mount / "f").read_bytes() == b"x" * 10_000


def test_restore_raises_no_events(mount: Mount, both: Both) -> None:
    snapshot = mount.snapshot()
    (both.mount / "f").unlink()
    watch = checked(_LIBC.inotify_init1(os.O_NONBLOCK))
    checked(_LIBC.inotify_add_watch(watch, os.fsencode(both.mount), 0xFC0 | 0x2))
    generation = _generation(mount)
    mount.control("restore", snapshot)
    assert (both.mount / "f").exists()
    with pytest.raises(BlockingIOError):
        os.read(watch, 4096)
    os.close(watch)
    assert _generation(mount) > generation


@pytest.mark.skipif(os.geteuid() != 0, reason="root mounts")
def test_what_is_mounted_inside_goes_with_a_restore(mount: Mount, both: Both) -> None:
    """Also from a directory that did not change; d_invalidate in fs/dcache.c detaches."""
    inside = both.mount / "inside"
    inside.mkdir()
    snapshot = mount.snapshot()
    mount.control("branch", "beside")
    (both.mount / "f").unlink()
    path = both.mount.relative_to(mount.path) / "f"
    for file, command in (
        ("restore", f"{snapshot}\t{path}"),
        ("restore", snapshot),
        ("drop", "beside"),
    ):
        subprocess.run(["mount", "-t", "tmpfs", "none", inside], check=True)
        try:
            (inside / "file").touch()
            os.listdir(mount.path / ".pyi" / "branches" / "beside")
            mount.control(file, command)
            assert os.listdir(inside) == [], command
            assert not inside.is_mount()
        finally:
            subprocess.run(["umount", inside], check=False, capture_output=True)


def _generation(mount: Mount) -> int:
    found = re.search(r'"generation": ?(\d+)', mount.ask("status"))
    assert found is not None
    return int(found[1])


def test_syncfs_is_not_delivered(mount: Mount, both: Both) -> None:
    """It returns at once and makes nothing durable: `synced` stays what it was."""
    (both.mount / "g").write_bytes(b"unsynced")
    assert '"synced": false' in mount.ask("status").replace('":f', '": f')
    ask = lambda place: with_open(place, os.O_RDONLY, lambda fd: checked(_LIBC.syncfs(fd)))  # noqa: E731
    assert both.say(ask) == (0, 0)
    assert '"synced": false' in mount.ask("status").replace('":f', '": f')
    with_open(both.mount / "g", os.O_RDONLY, os.fsync)


def test_every_test_is_in_the_document_and_every_row_has_one() -> None:
    text = (ROOT / "docs" / "posix.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", text))
    here = Path(__file__).parent
    own, others = (
        {
            name
            for module in modules
            for name in re.findall(r"^def (test_\w+)", (here / module).read_text(), re.MULTILINE)
        }
        for modules in (DIFFERENCES, ("test_calls.py",))
    )
    assert own - named == {test_every_test_is_in_the_document_and_every_row_has_one.__name__}
    assert named - own <= others
