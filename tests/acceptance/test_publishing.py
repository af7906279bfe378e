"""Another tree under a mount in use: nothing stale, and open files go on in the old one."""

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.acceptance import Served

pytestmark = [pytest.mark.mount, pytest.mark.slow]

PER_DIRECTORY = 100


class Seen(NamedTuple):
    """What a process sees of one file or directory."""

    mode: int
    size: int
    nlink: int
    mtime_ns: int
    ctime_ns: int
    content: bytes | tuple[str, ...]


def seen(top: Path, *, mapped: bool = False) -> dict[str, Seen]:
    """Returns everything below a directory, through stat, listings, and read(2) or a mapping."""
    found = {}
    for directory, names, files in os.walk(top):
        for path in (directory, *(os.path.join(directory, name) for name in files)):
            status = os.lstat(path)
            content: bytes | tuple[str, ...] = b""
            if stat.S_ISDIR(status.st_mode):
                content = tuple(sorted((*names, *files)))
            elif status.st_size:
                content = read(path, mapped=mapped)
            found[os.path.relpath(path, top)] = Seen(
                status.st_mode,
                0 if stat.S_ISDIR(status.st_mode) else status.st_size,
                status.st_nlink,
                status.st_mtime_ns,
                status.st_ctime_ns,
                content,
            )
    return found


def read(path: str | Path, *, mapped: bool = False) -> bytes:
    with open(path, "rb", buffering=0) as file:
        if not mapped:
            return file.read()
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as view:
            return view[:]


def assert_same(found: dict[str, Seen], wanted: dict[str, Seen]) -> None:
    """Compares, and names what differs first."""
    wrong = [path for path in sorted({*found, *wanted}) if found.get(path) != wanted.get(path)]
    few = "\n".join(f"{path}: {found.get(path)} not {wanted.get(path)}" for path in wrong[:5])
    assert not wrong, f"{len(wrong)} differ:\n{few}"


def assert_absent(top: Path, names: set[str]) -> None:
    """No entry that should be negative resolves."""
    for name in names:
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            os.lstat(top / name)


def fill(top: Path, count: int) -> None:
    for number in range(count):
        directory = top / f"d{number // PER_DIRECTORY}"
        if number % PER_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"f{number}").write_bytes(b"old %d\n" % number * (1 + number % 50))


def change(top: Path, count: int) -> None:
    """Changes 9 of 20 files, each in another way."""
    for number in range(count):
        if number % 20 < len(CHANGES):
            CHANGES[number % 20](top / f"d{number // PER_DIRECTORY}" / f"f{number}")


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"appended")


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_bytes(b"inside")


CHANGES: tuple[Callable[[Path], object], ...] = (
    lambda path: path.write_bytes(path.read_bytes().replace(b"old", b"NEW")),
    lambda path: path.unlink(),
    lambda path: path.rename(path.with_name(f"g{path.name}")),
    lambda path: path.chmod(0o600),
    lambda path: os.link(path, path.with_name(f"h{path.name}")),
    append,
    replace_by_directory,
    lambda path: path.with_name(f"n{path.name}").write_bytes(b"added"),
    # Over its neighbour.
    lambda path: path.rename(path.with_name(f"f{int(path.name[1:]) + 1}")),
)


def test_restore_undo_redo_and_switch_leave_nothing_stale(served, is_long):
    """Everything warmed (stat, read, listed, mapped, looked up in vain) before each publish."""
    count = 20_000 if is_long else 1000
    top = served.path / "tree"
    fill(top, count)
    before = seen(top)
    snapshot = served.snapshot()
    served.control("branch", f"side {snapshot}")
    change(top, count)
    after = seen(top)
    gone, added = set(before) - set(after), set(after) - set(before)
    assert len(gone) > count // 10
    held = [path for path in sorted(set(before) & set(after)) if before[path] == after[path]]
    held = [path for path in held if isinstance(before[path].content, bytes)][:: count // 200]
    numbers = {path: os.stat(top / path).st_ino for path in held}
    assert len(held) > 50

    with contextlib.ExitStack() as stack:
        mappings = {}
        for path in held:
            with (top / path).open("rb", buffering=0) as file:
                view = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            mappings[path] = stack.enter_context(view)

        def assert_shows(wanted: dict[str, Seen], absent: set[str]) -> None:
            assert_absent(top, absent)
            assert_same(seen(top), wanted)
            assert_same(seen(top, mapped=True), wanted)
            for path, view in mappings.items():
                assert view[:] == before[path].content
                assert os.stat(top / path).st_ino == numbers[path]

        assert_shows(after, gone)
        served.control("restore", snapshot)
        assert_shows(before, added)
        served.control("undo")
        assert_shows(after, gone)
        served.control("redo")
        assert_shows(before, added)
        served.control("undo")
        assert_shows(after, gone)
        served.control("head", "side")
        assert_shows(before, added)
        served.control("head", "main")
        assert_shows(after, gone)
        served.control("restore", f"{snapshot}\ttree/d0")
        part = seen(top / "d0")
        assert_same(
            {path: seen_._replace(ctime_ns=0) for path, seen_ in part.items()},
            {
                os.path.relpath(path, "d0"): seen_._replace(ctime_ns=0)
                for path, seen_ in before.items()
                if path == "d0" or path.startswith("d0/")
            },
        )


@pytest.fixture
def opened() -> Iterator[contextlib.ExitStack]:
    """Gives a stack for what a test holds open."""
    with contextlib.ExitStack() as stack:
        yield stack


def hold(opened: contextlib.ExitStack, path: Path, flags: int) -> int:
    descriptor = os.open(path, flags)
    opened.callback(os.close, descriptor)
    return descriptor


def publishes(served: Served, snapshot: str) -> list[tuple[str, str]]:
    return [("restore", snapshot), ("undo", "\n"), ("redo", "\n")]


def test_appenders_and_readers_go_on_in_the_old_file(served, opened):
    path = served.path / "log"
    path.write_bytes(b"one\n")
    snapshot = served.snapshot()
    path.write_bytes(b"one\ntwo\n")
    appender = hold(opened, path, os.O_WRONLY | os.O_APPEND)
    reader = hold(opened, path, os.O_RDONLY)
    both = hold(opened, path, os.O_RDWR)
    wanted = b"one\ntwo\n"
    for number, (command, text) in enumerate(publishes(served, snapshot)):
        served.control(command, text)
        os.write(appender, b"more\n")
        wanted += b"more\n"
        assert os.pread(reader, 100, 0) == wanted, command
        assert os.pread(both, 100, 0) == wanted, command
        assert os.fstat(reader).st_size == len(wanted)
        assert path.read_bytes() == (b"one\ntwo\n" if number == 1 else b"one\n")
    assert served.status()["orphans"] >= 1
    os.ftruncate(both, 3)
    assert os.pread(reader, 100, 0) == b"one"
    assert path.read_bytes() == b"one\n"
    assert os.pread(reader, 100, 0) == b"one"


def test_a_shared_mapping_is_of_the_old_file_whatever_is_published(served, opened):
    path = served.path / "data"
    path.write_bytes(b"a" * 8192)
    snapshot = served.snapshot()
    descriptor = hold(opened, path, os.O_RDWR)
    view = opened.enter_context(mmap.mmap(descriptor, 8192))
    view[0:1] = b"b"
    for number, (command, text) in enumerate(publishes(served, snapshot), start=1):
        served.control(command, text)
        view[number : number + 1] = b"%d" % number
        view.flush()
        assert os.pread(descriptor, 8, 0) == b"b" + b"123"[:number] + b"a" * (7 - number)
        assert path.read_bytes()[1:] == b"a" * 8191, command
    assert view[:4] == b"b123"


def test_an_unlinked_open_file_outlives_every_publish(served, opened):
    path = served.path / "temporary"
    snapshot = served.snapshot()
    path.write_bytes(b"secret")
    descriptor = hold(opened, path, os.O_RDWR)
    path.unlink()
    for command, text in publishes(served, snapshot):
        served.control(command, text)
        assert os.pread(descriptor, 100, 0) == b"secret"
        assert os.fstat(descriptor).st_nlink == 0
        assert not path.exists()
    os.pwrite(descriptor, b"still ", 6)
    assert os.pread(descriptor, 100, 0) == b"secretstill "


def test_shells_stand_in_directories_that_go_and_come_back(served):
    top = served.path / "made" / "deep"
    snapshot = served.snapshot()
    top.mkdir(parents=True)
    (top / "file").write_text("here\n")
    shell = subprocess.Popen(
        ["sh"], cwd=top, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert shell.stdin is not None
    assert shell.stdout is not None

    def say(command: str) -> str:
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(f"({command}) 2>&1 | tail -n1; echo\n")
        shell.stdin.flush()
        answer = shell.stdout.readline()
        if answer != "\n":
            assert shell.stdout.readline() == "\n"
        return answer.strip()

    try:
        assert say("cat file") == "here"
        served.control("restore", snapshot)
        assert "No such file" in say("cat file")
        assert "No such file" in say("mkdir new")
        assert "No such file" in say("mkdir ../up")
        assert os.listdir(served.path) == []
        served.control("undo")
        assert say("cat file") == "here"
        assert say("echo x > new && cat new") == "x"
        assert (top / "new").read_text() == "x\n"
        assert say("/bin/pwd") == str(top)
        served.control("redo")
        assert os.listdir(served.path) == []
        assert "No such file" in say("touch again")
    finally:
        shell.stdin.close()
        shell.wait(60)
        shell.stdout.close()


def test_head_switch_moves_open_files_with_their_branch(served, opened):
    root = served.path
    (root / "f").write_bytes(b"main")
    served.control("branch", "other")
    (root / ".pyi" / "branches" / "other" / "f").write_bytes(b"other")
    appender = hold(opened, root / "f", os.O_RDWR | os.O_APPEND)
    served.control("head", "other")
    os.write(appender, b"+")
    assert (root / "f").read_bytes() == b"other"
    assert (root / ".pyi" / "branches" / "main" / "f").read_bytes() == b"main+"
    other = hold(opened, root / "f", os.O_RDWR | os.O_APPEND)
    served.control("head", "main")
    os.write(appender, b"+")
    os.write(other, b"-")
    assert (root / "f").read_bytes() == b"main++"
    assert (root / ".pyi" / "branches" / "other" / "f").read_bytes() == b"other-"
    assert os.pread(appender, 100, 0) == b"main++"
    assert os.pread(other, 100, 0) == b"other-"


def test_drop_of_a_branch_with_open_files(served, opened):
    """Readers keep what they had; the branch is gone, comes back by undo, and is as it was."""
    root = served.path
    (root / "f").write_bytes(b"main")
    served.control("branch", "other")
    top = root / ".pyi" / "branches" / "other"
    (top / "f").write_bytes(b"other")
    (top / "d").mkdir()
    reader = hold(opened, top / "f", os.O_RDONLY)
    directory = hold(opened, top / "d", os.O_RDONLY | os.O_DIRECTORY)
    served.control("drop", "other")
    assert not top.exists()
    assert os.listdir(top.parent) == ["main"]
    assert os.pread(reader, 100, 0) == b"other"
    with pytest.raises(OSError, match=r".") as refused:
        os.mkdir("x", dir_fd=directory)
    assert refused.value.errno in (errno.ENOENT, errno.ESTALE, errno.EROFS)
    served.control("undo")
    assert (top / "f").read_bytes() == b"other"
    assert (top / "d").is_dir()
    assert os.pread(reader, 100, 0) == b"other"


def test_locks_stay_with_the_file_that_was_locked(served, opened):
    """The same file keeps its locks; a restored one is another file, whose locks are free."""
    root = served.path
    (root / "same").write_bytes(b"same")
    (root / "changed").write_bytes(b"old")
    snapshot = served.snapshot()
    (root / "changed").write_bytes(b"new")
    same = hold(opened, root / "same", os.O_RDONLY)
    changed = hold(opened, root / "changed", os.O_RDWR)
    fcntl.flock(same, fcntl.LOCK_EX)
    fcntl.flock(changed, fcntl.LOCK_EX)
    fcntl.lockf(changed, fcntl.LOCK_EX, 1, 10)
    served.control("restore", snapshot)
    same_again = hold(opened, root / "same", os.O_RDONLY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(same_again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fresh = hold(opened, root / "changed", os.O_RDWR)
    fcntl.flock(fresh, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(same, fcntl.LOCK_UN)
    fcntl.flock(same_again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(changed, fcntl.LOCK_UN, 1, 10)
    assert os.pread(changed, 10, 0) == b"new"
    assert os.pread(fresh, 10, 0) == b"old"
