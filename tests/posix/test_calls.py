"""What random sequences cannot show, on the mount and on the host's ext4 alike.

Each test runs twice; that it passes on the host says that it asks for the right thing.
"""

import ctypes
import fcntl
import mmap
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.mounting import Mount
from tests.support.posix_actor import Actor, User
from tests.support.posix_calls import Failed, checked

pytestmark = [pytest.mark.mount, pytest.mark.slow]

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.fdopendir.restype = _LIBC.readdir.restype = ctypes.c_void_p
_LIBC.telldir.restype = ctypes.c_long
_NAME_IN_DIRENT = 19
_AT_SYMLINK_FOLLOW = 0x400
_NUMBERS = count()


@pytest.fixture
def spot(side: str, mount: Mount, host: Path) -> Iterator[Path]:
    """Gives a fresh directory on one side."""
    top = host if side == "host" else mount.path
    path = top / f"calls-{next(_NUMBERS)}"
    path.mkdir()
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def two(spot: Path) -> Iterator[tuple[Actor, Actor]]:
    """Gives two processes of a user in that directory."""
    pair = Actor(spot, User(1000, 1000)), Actor(spot, User(1000, 1000))
    yield pair
    for actor in pair:
        actor.close()


def test_each_test_has_a_directory_of_its_own(spot: Path) -> None:
    """A parameter's scope is that of what is made from it, too: so it was one for all of them."""
    assert os.listdir(spot) == []
    (spot / "left").touch()


def test_and_so_has_the_next_one(spot: Path) -> None:
    assert os.listdir(spot) == []


def test_appends_of_several_processes_do_not_overwrite_each_other(spot: Path) -> None:
    """Four processes append 200 lines each, at the same time: none is lost or torn."""
    line = 'p=%d; for i in $(seq 200); do echo "$p $i 0123456789"; done >> log'
    shells = [subprocess.Popen(["bash", "-c", line % number], cwd=spot) for number in range(4)]
    assert [shell.wait(60) for shell in shells] == [0] * 4
    lines = (spot / "log").read_text().splitlines()
    wanted = {f"{p} {i} 0123456789" for p in range(4) for i in range(1, 201)}
    assert len(lines) == 800
    assert set(lines) == wanted


def test_exclusive_creation_has_one_winner(spot: Path, two: tuple[Actor, Actor]) -> None:
    for index in range(20):
        call = ("open", (0, f"x{index}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        for actor in two:
            actor.start(call)
        results = [actor.result() for actor in two]
        assert sorted(results, key=str) == [Failed("EEXIST"), None]


def test_direct_writes_and_reads_are_seen_by_all(spot: Path) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_DIRECT
    descriptor = os.open(spot / "f", flags, 0o644)
    with mmap.mmap(-1, 8192) as block, mmap.mmap(-1, 8192) as back:
        block[:] = b"d" * 8192
        assert os.writev(descriptor, [block]) == 8192
        assert (spot / "f").read_bytes() == b"d" * 8192
        (spot / "f").write_bytes(b"e" * 8192)
        assert os.preadv(descriptor, [back], 0) == 8192
        assert back[:] == b"e" * 8192
    os.close(descriptor)


def test_locks_are_between_processes(spot: Path, two: tuple[Actor, Actor]) -> None:
    """Locks of flock, fcntl and open file descriptions conflict, and end with a close."""
    (spot / "f").write_bytes(b"x")
    (spot / "f").chmod(0o666)
    one, other = two
    for actor in two:
        assert actor.do("open", 0, "f", os.O_RDWR, 0) is None
    assert one.do("flock", 0, fcntl.LOCK_EX) is None
    assert other.do("flock", 0, fcntl.LOCK_SH) == Failed("EAGAIN")
    assert one.do("close", 0) is None
    assert other.do("flock", 0, fcntl.LOCK_SH) is None
    assert one.do("open", 0, "f", os.O_RDWR, 0) is None
    assert one.do("lockf", 0, fcntl.LOCK_EX, 1, 0) is None
    assert other.do("lockf", 0, fcntl.LOCK_EX, 1, 0) == Failed("EAGAIN")
    assert other.do("lockf", 0, fcntl.LOCK_EX, 1, 1) is None
    assert other.do("ofd_lock", 0, fcntl.F_WRLCK, 0, 1) == Failed("EAGAIN")
    # Another descriptor of the same file closed: the process's fcntl locks go (POSIX).
    assert one.do("open", 1, "f", os.O_RDONLY, 0) is None
    assert one.do("close", 1) is None
    assert other.do("ofd_lock", 0, fcntl.F_WRLCK, 0, 1) is None
    assert one.do("ofd_lock", 0, fcntl.F_WRLCK, 0, 1) == Failed("EAGAIN")


def test_a_shared_mapping_is_seen_by_others_and_a_private_one_is_not(spot: Path) -> None:
    path = spot / "f"
    path.write_bytes(b"." * 8192)
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 8192) as shared:
            shared[4090:4100] = b"0123456789"
            shared.flush()
            assert path.read_bytes()[4090:4100] == b"0123456789"
            os.pwrite(file.fileno(), b"written", 0)
            assert shared[:7] == b"written"
        with mmap.mmap(file.fileno(), 8192, flags=mmap.MAP_PRIVATE) as private:
            private[0:4] = b"mine"
            assert path.read_bytes()[:4] == b"writ"


def test_fifos_and_sockets_work(spot: Path) -> None:
    os.mkfifo(spot / "fifo")
    reader = os.open(spot / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    assert subprocess.run(["bash", "-c", "echo hi > fifo"], cwd=spot, timeout=20).returncode == 0
    assert os.read(reader, 10) == b"hi\n"
    os.close(reader)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(spot / "socket"))
        server.listen()
        client.connect(str(spot / "socket"))
        accepted, _ = server.accept()
        with accepted:
            client.send(b"ping")
            assert accepted.recv(10) == b"ping"
    assert stat.S_ISSOCK((spot / "socket").stat().st_mode)


def test_listing_while_names_come_and_go(spot: Path) -> None:
    """What is there all the time is listed once; telldir and seekdir come back to the same name."""
    names = {f"n{index}" for index in range(400)}
    for name in names:
        (spot / name).touch()
    descriptor = os.open(spot, os.O_RDONLY)
    stream = ctypes.c_void_p(_LIBC.fdopendir(descriptor))
    seen, places = [], []
    gone: set[str] = set()
    while (entry := _LIBC.readdir(stream)) is not None:
        name = ctypes.string_at(entry + _NAME_IN_DIRENT).decode()
        seen.append(name)
        places.append((_LIBC.telldir(stream), name))
        if len(seen) == 50:
            gone = set(sorted(names - set(seen))[::3]) | set(seen[10:20]) - {".", ".."}
            for each in gone:
                (spot / each).unlink()
            for index in range(100):
                (spot / f"new{index}").touch()
    kept = names - gone
    assert {".", ".."} <= set(seen)
    assert sorted(name for name in seen if name in kept) == sorted(kept)
    assert len(seen) == len(set(seen))
    for index in (30, 200, 100, 5):
        _LIBC.seekdir(stream, ctypes.c_long(places[index][0]))
        entry = _LIBC.readdir(stream)
        following = [name for _, name in places[index + 1 :] if (spot / name).exists()]
        # A listing that the kernel keeps has names that went since; POSIX leaves that open.
        found = ctypes.string_at(entry + _NAME_IN_DIRENT).decode()
        assert found in (following[0], places[index + 1][1])
    _LIBC.rewinddir(stream)
    again = set()
    while (entry := _LIBC.readdir(stream)) is not None:
        again.add(ctypes.string_at(entry + _NAME_IN_DIRENT).decode())
    assert again == {".", "..", *os.listdir(spot)}
    checked(_LIBC.closedir(stream))


def test_read_only_descriptors_can_be_synced(spot: Path) -> None:
    (spot / "f").write_bytes(b"x")
    for path in (spot / "f", spot):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.fdatasync(descriptor)
        os.close(descriptor)


def test_what_runs_cannot_be_written_and_what_is_written_cannot_run(spot: Path) -> None:
    shutil.copy("/bin/sleep", spot / "program")
    (spot / "program").chmod(0o755)
    with (spot / "program").open("r+b"), pytest.raises(OSError, match="Text file busy"):
        subprocess.run([spot / "program", "0"], check=True)
    running = subprocess.Popen([spot / "program", "30"])
    with pytest.raises(OSError, match="Text file busy"):
        (spot / "program").open("r+b").close()
    running.kill()
    running.wait(20)


def test_an_unlinked_file_lives_until_it_is_closed(spot: Path) -> None:
    descriptor = os.open(spot / "f", os.O_RDWR | os.O_CREAT)
    (spot / "f").unlink()
    os.write(descriptor, b"still here")
    os.fchmod(descriptor, 0o600)
    os.ftruncate(descriptor, 5)
    again = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY)
    assert os.read(again, 20) == b"still"
    assert os.fstat(descriptor).st_nlink == 0
    magic, back = f"/proc/self/fd/{descriptor}".encode(), os.fsencode(spot / "back")
    with pytest.raises(FileNotFoundError):
        checked(_LIBC.linkat(-100, magic, -100, back, _AT_SYMLINK_FOLLOW))
    os.close(again)
    os.close(descriptor)


def test_a_removed_directory_that_is_in_use_is_empty_and_takes_nothing(spot: Path) -> None:
    (spot / "d").mkdir()
    held = os.open(spot / "d", os.O_RDONLY)
    (spot / "d").rmdir()
    assert os.listdir(held) == []
    assert os.fstat(held).st_nlink == 0
    with pytest.raises(FileNotFoundError):
        os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=held)
    with pytest.raises(FileNotFoundError):
        os.mkdir("x", dir_fd=held)
    assert stat.S_ISDIR(os.stat("..", dir_fd=held).st_mode)
    os.close(held)


def test_a_path_descriptor_names_and_does_no_more(spot: Path) -> None:
    (spot / "f").write_bytes(b"x")
    named = os.open(spot / "f", os.O_PATH)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.read(named, 1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fchmod(named, 0o600)
    os.chmod(f"/proc/self/fd/{named}", 0o640)
    (spot / "f").rename(spot / "g")
    assert stat.S_IMODE(os.fstat(named).st_mode) == 0o640
    os.close(named)


def test_events_of_ones_own_mount(spot: Path) -> None:
    """Inotify sees what is done through the mount."""
    watch = checked(_LIBC.inotify_init1(os.O_NONBLOCK))
    checked(_LIBC.inotify_add_watch(watch, os.fsencode(spot), 0x100 | 0x200 | 0x2))
    (spot / "f").write_bytes(b"x")
    (spot / "f").unlink()
    assert select.select([watch], [], [], 10)[0]
    data = os.read(watch, 4096)
    masks = [int.from_bytes(data[at + 4 : at + 8], "little") for at in range(0, len(data), 32)]
    assert masks == [0x100, 0x2, 0x200]
    os.close(watch)


def test_handles_of_files_can_be_opened(spot: Path) -> None:
    """name_to_handle_at and open_by_handle_at, as a file server in user space needs them."""
    (spot / "f").write_bytes(b"by handle")
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(132))
    mount_id = ctypes.c_int()
    path = os.fsencode(spot / "f")
    checked(_LIBC.name_to_handle_at(-100, path, handle, ctypes.byref(mount_id), 0))
    top = os.open(spot, os.O_RDONLY)
    opened = checked(_LIBC.open_by_handle_at(top, handle, os.O_RDONLY))
    assert os.read(opened, 20) == b"by handle"
    os.close(opened)
    os.close(top)


def test_leases_are_the_kernels(spot: Path, two: tuple[Actor, Actor]) -> None:
    (spot / "f").touch()
    (spot / "f").chmod(0o666)
    descriptor = os.open(spot / "f", os.O_RDONLY)
    previous = signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        assert two[0].do("open", 0, "f", os.O_RDONLY, 0) == Failed("EAGAIN")
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        assert two[0].do("open", 0, "f", os.O_RDONLY, 0) is None
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, previous)


@pytest.mark.parametrize("wanted", [0, 1])
def test_a_size_that_nothing_can_have_is_refused(spot: Path, wanted: int) -> None:
    (spot / "f").touch()
    size = (1 << 44) + 4096 if wanted else (1 << 63) - 1
    with pytest.raises(OSError, match="File too large"):
        os.truncate(spot / "f", size)


def test_the_limit_of_links(spot: Path, mount: Mount, is_long: bool) -> None:
    """65,000 names for a file, as on ext4; the full form only with `--long`."""
    if not is_long:
        pytest.skip("65,000 links take a minute: --long")
    is_mount = spot.is_relative_to(mount.path)
    snapshot = mount.snapshot() if is_mount else ""
    (spot / "f").touch()
    for index in range(64_999):
        os.link(spot / "f", spot / f"l{index}")
    with pytest.raises(OSError, match="Too many links"):
        os.link(spot / "f", spot / "one-more")
    assert (spot / "f").stat().st_nlink == 65_000
    if is_mount:
        # Quicker than to unlink them one by one.
        mount.control("restore", snapshot)
        assert os.listdir(spot) == []
