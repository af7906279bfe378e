"""What the real storage promises beyond the conformance suite: modes, failures, other processes."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from pyi_fs.errors import ForeignFileError
from pyi_fs.store.directory_files import DirectoryLockFile
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.storage import Storage


def write(storage: Storage, path: str, *parts: bytes) -> None:
    file = storage.open_append(path, create=True)
    file.append(*parts)
    file.close()


@pytest.mark.parametrize("umask", [0, 0o777])
def test_files_and_directories_are_for_their_owner_only(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        storage = DirectoryStorage(tmp_path / "new" / "store")
        storage.make_directory("", parents=True)
        storage.make_directory("d/e", parents=True)
        storage.make_directory("d/f")
        write(storage, "d/a", b"")
        storage.lock("d/l")
        storage.write_atomic("d/w", [b""])
    finally:
        os.umask(before)
    for path in ("new", "new/store/d", "new/store/d/e", "new/store/d/f"):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o700
    for path in ("d/a", "d/l", "d/w"):
        assert stat.S_IMODE(os.stat(storage.host_path(path)).st_mode) == 0o600


def test_failed_append_is_cut_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes half and then is full: the real calls, the second of which fails."""
    storage = DirectoryStorage(tmp_path)
    file = storage.open_append("a", create=True)
    file.append(b"kept")
    real = os.pwrite
    calls = count()

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if next(calls) == 0:
            return real(descriptor, data[:3], offset)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(OSError, match="full"):
        file.append(b"not kept")
    monkeypatch.undo()
    assert storage.read("a") == b"kept"
    assert file.append(b" after") == 4
    assert storage.read("a") == b"kept after"


def test_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = DirectoryStorage(tmp_path)
    file = storage.open_append("a", create=True)
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:3], offset))
    monkeypatch.setattr(os, "pwritev", lambda fd, parts, offset: real(fd, parts[0][:1], offset))
    assert file.append(b"abcdefghij") == 0
    assert file.append(b"klm", b"nop") == 10
    assert storage.read("a") == b"abcdefghijklmnop"


def test_nowait_read_of_what_is_partly_in_memory_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel answers with the part it has; only at the end of the file is short an answer."""
    storage = DirectoryStorage(tmp_path)
    write(storage, "a", b"abcdef")
    reader = storage.open_read("a")

    def has_two_bytes(descriptor: int, buffers: list[bytearray], offset: int, flags: int) -> int:
        assert flags == os.RWF_NOWAIT
        data = os.pread(descriptor, 2, offset)
        buffers[0][: len(data)] = data
        return len(data)

    monkeypatch.setattr(os, "preadv", has_two_bytes)
    assert reader.read_at_nowait(0, 6) is None
    assert reader.read_at_nowait(0, 2) == b"ab"
    assert reader.read_at_nowait(4, 6) == b"ef"
    for number in (errno.EAGAIN, errno.EOPNOTSUPP):

        def refuses(*_: object, number: int = number) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "preadv", refuses)
        assert reader.read_at_nowait(0, 2) is None


def test_lock_is_held_against_another_process_and_freed_by_its_death(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    program = (
        "import sys; from pyi_fs.store.directory_storage import DirectoryStorage\n"
        "held = DirectoryStorage(sys.argv[1]).lock('l'); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert storage.lock("l", wait=False) is None
        process.kill()
        process.wait()
        assert storage.lock("l", wait=False) is not None


def test_write_atomic_that_fails_removes_its_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = DirectoryStorage(tmp_path)
    storage.write_atomic("a", [b"old"])

    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, "sync failed")

    monkeypatch.setattr(os, "fdatasync", fails)
    with pytest.raises(OSError, match="sync failed"):
        storage.write_atomic("a", [b"new"])
    assert storage.list("") == ["a"]
    assert storage.read("a") == b"old"


def test_locks_are_inherited_until_they_are_forgotten(tmp_path: Path) -> None:
    first = DirectoryStorage(tmp_path)
    told: list[str] = []
    first.on_lock = told.append
    kept = {}
    for name in ("a", "b"):
        lock = first.lock(name)
        assert isinstance(lock, DirectoryLockFile)
        kept[name] = os.dup(lock.descriptor)
    shared = first.lock("c", exclusive=False)
    assert shared is not None
    assert (told, set(first.held_locks())) == (["a", "b"], {"a", "b"})
    second = DirectoryStorage(tmp_path)
    assert second.may_have_inherited("c")
    second.inherit_locks(kept)
    assert [second.may_have_inherited(name) for name in ("a", "b", "c")] == [True, True, False]
    second.on_lock = told.append
    again = second.lock("a", wait=False)
    assert again is not None
    assert second.held_locks() == kept
    second.forget_inherited()
    assert second.held_locks() == {"a": kept["a"]}
    assert told == ["a", "b", "a", "b"]
    again.release()
    assert (second.held_locks(), told[4:]) == ({}, ["a"])
    assert DirectoryStorage(tmp_path).lock("a", wait=False) is not None


@pytest.mark.parametrize("kind", ["link", "dangling link", "FIFO", "socket", "directory"])
def test_what_is_no_regular_file_is_not_used(tmp_path: Path, kind: str) -> None:
    outside, path = tmp_path / "outside", tmp_path / "store" / "f"
    path.parent.mkdir()
    if kind == "link":
        outside.write_bytes(b"outside")
    if kind in ("link", "dangling link"):
        path.symlink_to(outside)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mknod(path, 0o600 | (stat.S_IFIFO if kind == "FIFO" else stat.S_IFSOCK))
    storage = DirectoryStorage(tmp_path / "store")
    uses: list[Callable[[str], object]] = [
        *(storage.open_append, storage.open_shared, storage.open_read, storage.read, storage.lock),
        *([storage.remove] if kind == "directory" else [storage.host_path]),
    ]
    for use in uses:
        with pytest.raises(ForeignFileError, match="f: not a file"):
            use("f")
    storage.touch("f")
    assert storage.size_bytes("f") == path.lstat().st_size
    if kind != "directory":
        storage.write_atomic("f", [b"new"])
        assert storage.read("f") == b"new"
    assert not outside.exists() or outside.read_bytes() == b"outside"


def test_no_link_is_followed_to_a_directory(tmp_path: Path) -> None:
    (tmp_path / "outside" / "below").mkdir(parents=True)
    (tmp_path / "outside" / "f").write_bytes(b"outside")
    (tmp_path / "store" / "d").mkdir(parents=True)
    (tmp_path / "store" / "d" / "l").symlink_to(tmp_path / "outside")
    storage = DirectoryStorage(tmp_path / "store")
    for use in (
        *(storage.open_append, storage.open_read, storage.read, storage.remove, storage.lock),
        *(storage.list, storage.remove_directory, storage.sync_directory, storage.exists),
        *(storage.size_bytes, storage.allocated_bytes, storage.touch, storage.touched_ns),
        *(storage.host_path, storage.make_directory),
    ):
        for path in ("d/l/f", "d/l/below", "d/l/new"):
            with pytest.raises(ForeignFileError, match="d/l: not a directory"):
                use(path)
    for where in (("d/l/f", "f"), ("f", "d/l/f")):
        with pytest.raises(ForeignFileError, match="d/l"):
            storage.rename(*where)
    with pytest.raises(ForeignFileError, match="d/l"):
        storage.make_directory("d/l/a/b", parents=True)
    assert sorted(os.listdir(tmp_path / "outside")) == ["below", "f"]
    assert (tmp_path / "outside" / "f").read_bytes() == b"outside"
    # The store itself may be reached by one.
    (tmp_path / "to-the-store").symlink_to(tmp_path / "store")
    assert DirectoryStorage(tmp_path / "to-the-store").list("") == ["d"]
