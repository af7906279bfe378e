"""Each call does what the call of `os`, `shutil` or `pathlib` does that it is named after."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.api import Workspace
from tests.support.engine_rig import noise


def test_files_are_written_read_and_grow(work: Workspace):
    assert work.write("f", b"one") == 3
    assert work.append("f", b" two") == 4
    assert work.read("f") == b"one two"
    work.truncate("f", 3)
    work.truncate("f", 5)
    assert work.read("f") == b"one\0\0"
    work.write("f", memoryview(b"x"))
    assert work.read("f") == b"x"
    assert work.append("new", b"made") == 4
    assert work.write("empty", b"") == 0
    assert work.read("empty") == b""


def test_a_large_write_is_whole(work: Workspace):
    data = noise(5_000_001)
    work.write("big", data)
    assert work.read("big") == data
    assert work.stat("big").st_size == len(data)


def test_directories_are_made_and_removed(work: Workspace):
    work.mkdir("a/b/c", 0o700, parents=True)
    assert work.stat("a/b/c").st_mode & 0o777 == 0o700
    assert work.stat("a").st_mode & 0o777 == 0o755
    with pytest.raises(FileExistsError):
        work.mkdir("a")
    work.mkdir("a", exist_ok=True)
    with pytest.raises(FileNotFoundError):
        work.mkdir("x/y")
    work.write("f", b"")
    with pytest.raises(FileExistsError):
        work.mkdir("f", exist_ok=True)
    with pytest.raises(NotADirectoryError):
        work.mkdir("f/x", parents=True)
    with pytest.raises(OSError, match="not empty") as caught:
        work.rmdir("a/b")
    assert caught.value.errno == errno.ENOTEMPTY
    work.rmdir("a/b/c")
    with pytest.raises(NotADirectoryError):
        work.rmdir("f")
    with pytest.raises(IsADirectoryError):
        work.remove("a")
    assert work.listdir() == ["a", "f"]
    with pytest.raises(NotADirectoryError):
        work.listdir("f")


def test_rename_replaces_at_once(work: Workspace):
    work.write("a", b"a")
    work.write("b", b"b")
    work.rename("a", "b")
    assert work.read("b") == b"a"
    assert not work.exists("a")
    work.mkdir("d")
    with pytest.raises(IsADirectoryError):
        work.rename("b", "d")
    with pytest.raises(OSError, match="into itself"):
        work.rename("d", "d/e")
    with pytest.raises(FileNotFoundError) as caught:
        work.rename("nothing", "x")
    assert (caught.value.filename, caught.value.filename2) == ("nothing", "x")
    assert work.status()["unlinked"] == 0


def test_rmtree_takes_everything_and_nothing_else(work: Workspace):
    for path in ("t/a/b/c/f", "t/a/g", "t/h", "beside/f"):
        work.mkdir(path.rpartition("/")[0], parents=True, exist_ok=True)
        work.write(path, b"x")
    work.symlink("../beside", "t/link")
    work.link("t/h", "kept")
    work.rmtree("t")
    assert work.listdir() == ["beside", "kept"]
    assert work.listdir("beside") == ["f"]
    assert work.stat("kept").st_nlink == 1
    assert work.status()["unlinked"] == 0
    work.symlink("beside", "link")
    with pytest.raises(NotADirectoryError):
        work.rmtree("link")
    with pytest.raises(FileNotFoundError):
        work.rmtree("t")


def test_a_deep_tree_is_walked_and_removed(work: Workspace):
    path = "/".join(["d"] * 1_500)
    work.mkdir(path, parents=True)
    assert sum(1 for _ in work.walk()) == 1_501
    work.rmtree("d")
    assert work.listdir() == []


def test_walk_is_that_of_os_walk(work: Workspace, tmp_path: Path):
    host = tmp_path / "host"
    for path in ("a/b/f", "a/c/g", "a/h", "z"):
        (host / path).parent.mkdir(parents=True, exist_ok=True)
        (host / path).touch()
        work.mkdir(path.rpartition("/")[0], parents=True, exist_ok=True)
        work.write(path, b"")
    expected = [
        (os.path.relpath(directory, host).removeprefix("."), sorted(below), sorted(files))
        for directory, below, files in os.walk(host)
    ]
    assert sorted(work.walk()) == sorted(expected)
    seen = []
    for directory, below, _ in work.walk("a"):
        seen.append(directory)
        if "b" in below:
            below.remove("b")
    assert seen == ["a", "a/c"]


def test_walk_is_of_one_instant(work: Workspace):
    work.mkdir("a")
    walk = work.walk()
    work.write("a/later", b"")
    assert list(walk) == [("", ["a"], []), ("a", [], [])]


def test_links_symlinks_and_stat(work: Workspace):
    work.write("f", b"12345")
    work.link("f", "g")
    work.symlink("f", "s")
    found, same, link = work.stat("f"), work.stat("g"), work.stat("s", follow_symlinks=False)
    assert found == same == work.stat("s")
    assert (found.st_nlink, found.st_size, found.is_file) == (2, 5, True)
    assert link.is_symlink
    assert not link.is_directory
    assert work.stat("").is_directory
    assert (found.st_uid, found.st_gid) == (os.geteuid(), os.getegid())
    assert work.readlink("s") == "f"
    with pytest.raises(OSError, match="not a symlink"):
        work.readlink("f")
    with pytest.raises(FileExistsError):
        work.link("f", "s")
    work.mkdir("d")
    with pytest.raises(PermissionError):
        work.link("d", "e")
    work.remove("f")
    assert work.read("g") == b"12345"
    assert not work.exists("s")
    assert work.exists("g")


def test_modes_and_times_are_set(work: Workspace):
    work.write("f", b"x")
    work.chmod("f", 0o4711)
    assert work.stat("f").st_mode == 0o104711
    work.utime("f", ns=(1, 2))
    assert (work.stat("f").st_atime_ns, work.stat("f").st_mtime_ns) == (1, 2)
    work.utime("f", (1.5, 2.5))
    assert work.stat("f").st_mtime_ns == 2_500_000_000
    work.symlink("f", "s")
    work.utime("s", ns=(7, 8), follow_symlinks=False)
    assert work.stat("f").st_mtime_ns == 2_500_000_000
    assert work.stat("s", follow_symlinks=False).st_mtime_ns == 8
    work.utime("f", ns=(-(10**20), 10**20))
    found = work.stat("f").st_atime_ns, work.stat("f").st_mtime_ns
    assert found == (limits.TIME_NS_MIN, limits.TIME_NS_MAX)
    before = work.stat("f").st_ctime_ns
    work.utime("f")
    assert work.stat("f").st_mtime_ns >= before
    with pytest.raises(ValueError, match="not both"):
        work.utime("f", (1, 1), ns=(1, 1))
    work.append("f", b"y")
    assert work.stat("f").st_mode == 0o100711


def test_a_copy_shares_its_bytes_and_then_goes_its_own_way(work: Workspace):
    data = noise(3_000_000)
    work.write("f", data)
    work.chmod("f", 0o755)
    written = work.status()["scratch_bytes"]
    work.copy("f", "g")
    assert work.status()["scratch_bytes"] == written
    assert work.read("g") == data
    assert work.stat("g").st_mode == 0o100755
    work.write("f", b"new")
    assert work.read("g") == data
    work.copy("f", "g")
    assert work.read("g") == b"new"
    with pytest.raises(OSError, match="same file"):
        work.copy("f", "f")
    with pytest.raises(IsADirectoryError):
        work.copy("f", "")
    with pytest.raises(FileNotFoundError):
        work.copy("nothing", "g")
    assert work.read("g") == b"new"


def test_the_control_directory_is_not_made(work: Workspace):
    work.write("f", b"")
    for call in (
        lambda: work.mkdir(".pyi"),
        lambda: work.write("/.pyi", b""),
        lambda: work.rename("f", ".pyi"),
        lambda: work.link("f", ".pyi"),
        lambda: work.symlink("f", ".pyi"),
    ):
        with pytest.raises(OSError, match="control directory") as caught:
            call()
        assert caught.value.errno == errno.EBUSY
    work.mkdir("d/.pyi", parents=True)


def test_bad_names_are_refused_with_their_errno(work: Workspace):
    with pytest.raises(OSError, match="at most 255") as caught:
        work.write("n" * 256, b"")
    assert caught.value.errno == errno.ENAMETOOLONG


def test_overwriting_does_not_grow_the_store(work: Workspace, monkeypatch):
    """There is no mount that would give scratch back."""
    monkeypatch.setattr("pyi_fs.api.files._RECLAIM_BYTES", 4 << 20)
    monkeypatch.setattr(limits, "GARBAGE_BYTES_MAX", 8 << 20)
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 4 << 20)
    monkeypatch.setattr(work, "_reclaim_at", 4 << 20)
    data = noise(2 << 20)
    for _ in range(20):
        work.write("f", data)
    status = work.status()
    assert status["written_bytes"] == 40 << 20
    scratch = status["scratch_bytes"]
    assert isinstance(scratch, int)
    assert scratch <= 16 << 20
    assert work.read("f") == data


def test_a_tree_is_copied_from_the_host_with_what_python_has(work: Workspace, tmp_path: Path):
    """Real use: a generated tree in, compared file by file."""
    source = Path(shutil.__file__).parent / "json"
    for file in sorted(source.glob("*.py")):
        with file.open("rb") as host, work.open(file.name, "wb") as target:
            shutil.copyfileobj(host, target)
    for name in work.listdir():
        assert work.read(name) == (source / name).read_bytes()
