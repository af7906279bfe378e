"""Passthrough on a real kernel: right bytes in every way of reading, one copy for all mounts."""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pyi_fs.engine.gc_settings import Settings, write_settings
from pyi_fs.fuse.backings import is_permitted
from pyi_fs.fuse.device import kernel_release
from pyi_fs.fuse.transports import DIRECT
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.engine_rig import noise
from tests.support.mounting import Mount
from tests.support.page_cache import cached_bytes
from tests.support.plain_rig import ANY_ROOM, make_base, plain_paths

pytestmark = [
    pytest.mark.mount,
    pytest.mark.slow,
    pytest.mark.skipif(not is_permitted(), reason="passthrough takes CAP_SYS_ADMIN"),
    pytest.mark.skipif(kernel_release() < (6, 9), reason="passthrough is of Linux 6.9"),
]
TRANSPORTS = [DIRECT]

SIZE = 3_000_000
DATA = noise(SIZE, "data")
libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Gives a directory with a store: a sealed snapshot with `f`, a `program`, and `small`."""
    make_base(tmp_path / "store", DATA)
    return tmp_path


class Watched(Mount):
    """A mount of whose requests we know which are ours."""

    asked = 0

    def status(self) -> dict[str, Any]:
        """Returns its status, by one READ."""
        self.asked += 1
        descriptor = os.open(self.path / ".pyi" / "status", os.O_RDONLY)
        try:
            found: dict[str, Any] = json.loads(os.pread(descriptor, 1 << 20, 0))
        finally:
            os.close(descriptor)
        return found

    def reads(self) -> int:
        """Returns how many READ requests there were, but for those of its status."""
        count: int = self.status()["requests"]["read"]
        return count - self.asked


@contextmanager
def mounted(place: Path, name: str = "mount", **options: object) -> Iterator[Watched]:
    with Watched(place / "store", place / name, options) as mount:
        if mount.status()["passed_through"] is None and not options.get("writeback"):
            pytest.skip("this kernel does not offer passthrough")
        yield mount


@pytest.fixture
def old(place: Path) -> Iterator[Watched]:
    """Gives a mount of the snapshot."""
    with mounted(place, snapshot="base") as mount:
        yield mount


@pytest.fixture
def live(place: Path) -> Iterator[Watched]:
    """Gives a mount of the branch; the snapshot is below `.pyi/snapshots/base`."""
    with mounted(place) as mount:
        yield mount


def refusal(call: Callable[..., object], *arguments: object) -> int | None:
    """Returns the errno of a call that has to fail."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return None


def base(mount: Watched) -> Path:
    return mount.path / ".pyi" / "snapshots" / "base"


def test_a_snapshot_is_read_without_a_request(old: Watched) -> None:
    before = old.reads()
    with (old.path / "f").open("rb", buffering=0) as file:
        assert file.readall() == DATA
        assert old.status()["passed_through"] == 1
        assert os.pread(file.fileno(), 100, SIZE - 50) == DATA[-50:]
        assert os.pread(file.fileno(), 100, SIZE) == b""
        assert os.fstat(file.fileno()).st_size == SIZE
    assert old.reads() == before
    assert old.status()["passed_through"] == 0
    assert (old.path / "small").read_bytes() == b"small"


def test_every_way_of_reading_shows_the_same_bytes(old: Watched, tmp_path: Path) -> None:
    before = old.reads()
    descriptor = os.open(old.path / "f", os.O_RDONLY)
    for kind in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
        with mmap.mmap(descriptor, 0, flags=kind, prot=mmap.PROT_READ) as mapped:
            assert mapped[:] == DATA
    with (tmp_path / "sent").open("wb") as target:
        while os.sendfile(target.fileno(), descriptor, None, 1 << 20) > 0:
            continue
    assert (tmp_path / "sent").read_bytes() == DATA
    reading, writing = os.pipe()
    os.lseek(descriptor, 1_000_000, os.SEEK_SET)
    assert os.splice(descriptor, writing, 10_000) == 10_000
    assert os.read(reading, 20_000) == DATA[1_000_000:1_010_000]
    buffers = [bytearray(1000), bytearray(5000)]
    assert os.preadv(descriptor, buffers, 77) == 6000
    assert b"".join(buffers) == DATA[77:6077]
    assert os.lseek(descriptor, 0, os.SEEK_HOLE) == SIZE
    assert os.lseek(descriptor, 5, os.SEEK_DATA) == 5
    for end in (reading, writing, descriptor):
        os.close(end)
    shutil.copyfile(old.path / "f", tmp_path / "copied")
    assert (tmp_path / "copied").read_bytes() == DATA
    assert old.reads() == before


def test_a_program_of_a_snapshot_runs(live: Watched) -> None:
    before = live.reads()
    command = [str(base(live) / "program"), "-c", "echo $((6 * 7))"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"42\n", 0), done.stderr
    assert live.reads() == before


def test_direct_reads_come_to_us_and_need_no_alignment(old: Watched) -> None:
    """Alone the ordinary way; beside a passed open too, where the kernel allows no other mix."""
    for _ in range(2):
        direct = os.open(old.path / "f", os.O_RDONLY | os.O_DIRECT)
        before = old.reads()
        assert os.pread(direct, 1001, 77) == DATA[77:1078]
        assert old.reads() > before
        os.close(direct)
        with (old.path / "f").open("rb") as passed:
            assert passed.read(10) == DATA[:10]
            direct = os.open(old.path / "f", os.O_RDONLY | os.O_DIRECT)
            before = old.reads()
            assert os.pread(direct, 1001, 77) == DATA[77:1078]
            assert old.reads() > before
            with mmap.mmap(direct, 0, prot=mmap.PROT_READ) as mapped:
                assert mapped[:] == DATA
            os.close(direct)
            # Set later it changes nothing: the kernel goes on reading by way of the page cache.
            fcntl.fcntl(passed, fcntl.F_SETFL, os.O_DIRECT)
            assert os.pread(passed.fileno(), 1001, 77) == DATA[77:1078]


def test_an_ordinary_open_and_a_passed_one_take_turns(old: Watched) -> None:
    """Whatever the order, no open fails: the kernel would say `EIO` to a mix."""
    for _ in range(20):
        ordinary = os.open(old.path / "f", os.O_RDONLY | os.O_DIRECT)
        beside = os.open(old.path / "f", os.O_RDONLY)
        assert os.pread(beside, 100, 5000) == DATA[5000:5100]
        os.close(ordinary)
        again = os.open(old.path / "f", os.O_RDONLY)
        os.close(beside)
        assert os.pread(again, 100, 0) == DATA[:100]
        os.close(again)
        passed = os.open(old.path / "f", os.O_RDONLY)
        assert os.pread(passed, 100, 0) == DATA[:100]
        os.close(passed)


def test_writing_is_refused_as_before(old: Watched) -> None:
    reader = os.open(old.path / "f", os.O_RDONLY)
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
        assert refusal(os.open, old.path / "f", flags) == errno.EROFS
    assert refusal(os.truncate, old.path / "f", 0) == errno.EROFS
    with pytest.raises(PermissionError), mmap.mmap(reader, 0, prot=mmap.PROT_WRITE) as mapped:
        mapped[:1] = b"x"
    assert os.pread(reader, SIZE, 0) == DATA
    os.close(reader)
    (path,) = plain_paths(old.path.parent / "store")
    assert path.read_bytes() == DATA


def test_reader_then_writer_then_restore(live: Watched) -> None:
    """The rule for a later open for writing: the reader of the snapshot has the old bytes, right.

    The writer has the live file, whose own readers see each of its bytes, and whose restore they
    are told of as ever.
    """
    reader = os.open(base(live) / "f", os.O_RDONLY)
    mapped = mmap.mmap(reader, 0, prot=mmap.PROT_READ)
    follower = os.open(live.path / "f", os.O_RDONLY)
    writer = os.open(live.path / "f", os.O_RDWR)
    assert os.pwrite(writer, b"new", 0) == 3
    os.lseek(writer, 0, os.SEEK_END)
    os.write(writer, b"appended")
    assert os.pread(follower, 3, 0) == b"new"
    assert os.pread(follower, 100, SIZE) == b"appended"
    os.ftruncate(writer, 2)
    assert os.pread(follower, 100, 0) == b"ne"
    assert os.pread(reader, SIZE + 10, 0) == mapped[:] == DATA
    live.control("restore", "base")
    assert (live.path / "f").read_bytes() == DATA
    assert os.pread(follower, 100, 0) == b"ne"
    assert os.pread(reader, SIZE + 10, 0) == mapped[:] == DATA
    with (base(live) / "f").open("rb") as again:
        assert again.read() == DATA
    # Who opens it live from now on may write it again; nobody was left in a mode of his own.
    with (live.path / "f").open("r+b") as file:
        file.write(b"NEW")
    assert (live.path / "f").read_bytes() == b"NEW" + DATA[3:]
    assert (base(live) / "f").read_bytes() == DATA
    mapped.close()
    for descriptor in (reader, follower, writer):
        os.close(descriptor)


def test_a_mapping_outlives_its_descriptor_and_its_snapshot(live: Watched) -> None:
    """Also the plain file under it."""
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    descriptor = os.open(base(live) / "f", os.O_RDONLY)
    address = libc.mmap(None, SIZE, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0)
    os.close(descriptor)
    live.control("branch", "other")
    (live.path / ".pyi" / "snapshots" / "base").rmdir()
    for path in plain_paths(live.path.parent / "store"):
        path.unlink()
    assert ctypes.string_at(address, SIZE) == DATA
    assert not libc.munmap(address, SIZE)


def test_readers_of_a_deleted_snapshot_read_on(live: Watched) -> None:
    reader = os.open(base(live) / "f", os.O_RDONLY)
    assert os.pread(reader, 10, 0) == DATA[:10]
    base(live).rmdir()
    assert os.pread(reader, SIZE, 0) == DATA
    again = os.open(f"/proc/self/fd/{reader}", os.O_RDONLY)
    assert os.pread(again, 100, 1000) == DATA[1000:1100]
    assert refusal(os.open, f"/proc/self/fd/{reader}", os.O_RDWR) == errno.EROFS
    for descriptor in (again, reader):
        os.close(descriptor)


def test_a_file_that_is_evicted_while_it_is_open_is_read_to_its_end(old: Watched) -> None:
    with (old.path / "f").open("rb", buffering=0) as file:
        assert file.read(1000) == DATA[:1000]
        (path,) = plain_paths(old.path.parent / "store")
        path.unlink()
        assert file.readall() == DATA[1000:]
        assert (old.path / "f").read_bytes() == DATA
    for _ in range(2):
        assert (old.path / "f").read_bytes() == DATA
    assert path.exists()


def test_what_rotted_before_a_mount_is_not_shown(place: Path) -> None:
    with mounted(place, snapshot="base") as first:
        assert (first.path / "f").read_bytes() == DATA
    (path,) = plain_paths(place / "store")
    path.write_bytes(DATA[:-1] + b"x")
    with mounted(place, snapshot="base") as second:
        before = second.reads()
        assert (second.path / "f").read_bytes() == DATA
        assert second.reads() == before
    assert path.read_bytes() == DATA
    assert "other bytes" in second.log


def test_two_mounts_have_one_copy_in_memory(place: Path) -> None:
    """The pages are the plain file's, and no mount has any of its own."""
    with mounted(place, "one", snapshot="base") as one, mounted(place, "two") as two:
        before = [one.reads(), two.reads()]
        files = (one.path / "f", base(two) / "f")
        for file in files:
            assert file.read_bytes() == DATA
        assert [one.reads(), two.reads()] == before
        (path,) = plain_paths(place / "store")
        assert cached_bytes(path) >= SIZE
        assert [cached_bytes(file) for file in files] == [0, 0]


def test_what_a_mount_had_cached_before_goes_when_it_is_passed_through(place: Path) -> None:
    with mounted(place, snapshot="base") as mount:
        storage = DirectoryStorage(place / "store")
        write_settings(storage, Settings(plain_bytes=0))
        assert (mount.path / "f").read_bytes() == DATA
        assert cached_bytes(mount.path / "f") >= SIZE
        assert plain_paths(place / "store") == []
    write_settings(storage, ANY_ROOM)
    with mounted(place, snapshot="base") as mount:
        ordinary = os.open(mount.path / "f", os.O_RDONLY | os.O_DIRECT)
        with (mount.path / "f").open("rb") as file:
            assert file.read() == DATA
        os.close(ordinary)
        assert cached_bytes(mount.path / "f") == 0


def test_with_the_writeback_cache_nothing_is_passed_through(place: Path) -> None:
    """The kernel refuses both together."""
    with mounted(place, snapshot="base", writeback=True) as mount:
        assert mount.status()["passed_through"] is None
        assert (mount.path / "f").read_bytes() == DATA
    assert plain_paths(place / "store") == []


def test_mounts_that_begin_at_once_make_one_file(place: Path) -> None:
    with ExitStack() as stack:
        mounts = [
            stack.enter_context(mounted(place, f"m{number}", snapshot="base"))
            for number in range(3)
        ]
        readers = [
            subprocess.Popen(["md5sum", mount.path / "f"], stdout=subprocess.PIPE)
            for mount in mounts
        ]
        sums = {reader.communicate(timeout=60)[0].split()[0] for reader in readers}
        assert len(sums) == 1
        assert len(plain_paths(place / "store")) == 1
        assert [cached_bytes(mount.path / "f") for mount in mounts] == [0, 0, 0]


@contextmanager
def overlay(lower: Path, place: Path) -> Iterator[Path]:
    """Gives an overlayfs upon a directory."""
    layers = {name: place / name for name in ("upper", "work", "merged")}
    for layer in layers.values():
        layer.mkdir()
    options = f"lowerdir={lower},upperdir={layers['upper']},workdir={layers['work']}"
    command = ["mount", "-t", "overlay", "overlay", "-o", options, str(layers["merged"])]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no overlayfs here, or not on this disk")
    try:
        yield layers["merged"]
    finally:
        subprocess.run(["umount", layers["merged"]], check=True)


def test_one_file_system_can_lie_upon_a_mount(old: Watched, tmp_path: Path) -> None:
    """A stacked one, for containers: it is what `max_stack_depth` leaves."""
    with overlay(old.path, tmp_path) as merged:
        with (merged / "f").open("r+b") as file:
            assert file.read(100) == DATA[:100]
            file.seek(0)
            file.write(b"above")
        assert (merged / "f").read_bytes() == b"above" + DATA[5:]
        assert (old.path / "f").read_bytes() == DATA


def test_a_kernel_that_refuses_gets_ordinary_opens_from_then_on(place: Path) -> None:
    """The plain files lie on a stacked file system; a store there is refused by `pyi-mount`."""
    (place / "stacked").mkdir()
    with overlay(place / "store", place / "stacked") as store:
        (place / "stacked" / "store").symlink_to(store)
        with mounted(place / "stacked", snapshot="base") as mount:
            for _ in range(3):
                assert (mount.path / "f").read_bytes() == DATA
                assert (mount.path / "program").stat().st_size == len(
                    (mount.path / "program").read_bytes()
                )
            assert mount.status()["passed_through"] is None
    assert mount.log.count("not passed through from now on") == 1
