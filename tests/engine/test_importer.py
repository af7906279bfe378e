"""Filling a workspace from a directory.

What is kept, what is said, and that nothing is left of a failure.
"""

import os
import socket
import stat
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.engine.host_tree import HostDirectory
from pyi_fs.engine.importer import ImportReport, import_directory
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import AccessDeniedError, AlreadyExistsError, InvalidArgumentError
from pyi_fs.ids import WorkspaceName
from pyi_fs.model import extent
from pyi_fs.model.check import check
from pyi_fs.model.inode import Inode

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make it")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.mkdir()
    return path


@pytest.fixture
def store(tmp_path):
    store = Store.open(tmp_path / "store")
    yield store
    for name in store.workspace_names():
        workspace = Workspace(store, name)
        assert check(workspace.open_branch("main").tree) == []
        workspace.close()
    store.close()


class Imported:
    """A workspace after an import."""

    def __init__(self, store: Store, name: str) -> None:
        self.workspace = Workspace(store, WorkspaceName(name))
        self.branch = self.workspace.open_branch("main")

    def inode(self, path: str) -> Inode:
        return self.branch.tree.existing(self.branch.tree.resolve(os.fsencode(path)))

    def content(self, path: str) -> bytes:
        number = self.branch.tree.resolve(os.fsencode(path))
        return self.branch.read(number, 0, self.inode(path).size)

    def names(self) -> list[bytes]:
        return [path for path, _, _ in self.branch.tree.walk()]


@pytest.fixture
def imported(store, source):
    opened = []

    def run(**options):
        report = import_directory(store, source, "ws", **options)
        opened.append(Imported(store, "ws"))
        return report, opened[-1]

    yield run
    for one in opened:
        one.workspace.close()


def assert_no_trace(store: Store) -> None:
    """Asserts that a failed import left no workspace and no layer."""
    assert store.workspace_names() == []
    storage = store.storage
    assert [name for top in storage.list("layers") for name in storage.list(f"layers/{top}")] == []


def test_contents_modes_and_times_are_those_of_the_source(imported, source):
    (source / "d").mkdir()
    (source / "d" / "script").write_bytes(b"#!/bin/sh\n")
    (source / "d" / "script").chmod(0o751)
    (source / "empty").touch()
    large = b"".join(b"line %d\n" % number for number in range(300_000))
    (source / "large").write_bytes(large)
    os.utime(source / "d" / "script", ns=(1_000_000_000_000_000_001, 1_100_000_000_000_000_002))
    os.utime(source / "d", ns=(5, 1_200_000_000_000_000_003))

    report, tree = imported()

    assert tree.names() == [b"d", b"empty", b"large", b"d/script"]
    assert tree.content("d/script") == b"#!/bin/sh\n"
    assert tree.content("large") == large
    assert tree.inode("empty").size == 0
    assert tree.inode("d/script").mode == stat.S_IFREG | 0o751
    assert tree.inode("d/script").atime_ns == 1_000_000_000_000_000_001
    assert tree.inode("d/script").mtime_ns == 1_100_000_000_000_000_002
    assert tree.inode("d").mtime_ns == 1_200_000_000_000_000_003
    assert (report.files, report.directories) == (3, 2)
    assert report.read_bytes == len(large) + 10
    assert (report.changed, report.skipped) == ([], [])


def test_a_snapshot_of_the_import_is_the_way_back(imported, source):
    (source / "f").write_bytes(b"x")
    _, tree = imported()
    last = tree.workspace.last(tree.branch)
    assert last is not None
    assert last.message == f"import of {source}"
    assert not tree.branch.is_changed


def test_fresh_inode_numbers_begin_behind_those_of_the_import(imported, source):
    for number in range(5):
        (source / str(number)).touch()
    _, tree = imported()
    assert sorted(number for _, number, _ in tree.branch.tree.walk()) == [2, 3, 4, 5, 6]
    assert tree.branch.next_inode() > 6


def test_names_that_are_not_text_and_empty_directories_are_kept(imported, source):
    (source / os.fsdecode(b"\xff\xfe")).write_bytes(b"1")
    (source / "nothing").mkdir()
    _, tree = imported()
    assert tree.names() == [b"nothing", b"\xff\xfe"]
    assert tree.inode("nothing").nlink == 2


def test_hard_links_stay_links_across_directories(imported, source):
    (source / "a").mkdir()
    (source / "one").write_bytes(b"shared")
    os.link(source / "one", source / "a" / "two")
    report, tree = imported()
    assert tree.branch.tree.resolve(b"one") == tree.branch.tree.resolve(b"a/two")
    assert tree.inode("one").nlink == 2
    assert report.files == 1


def test_a_file_with_more_links_than_an_inode_has_becomes_two(imported, source, monkeypatch):
    monkeypatch.setattr(limits, "LINKS_MAX", 3)
    (source / "0").write_bytes(b"many")
    for number in range(1, 5):
        os.link(source / "0", source / str(number))
    _, tree = imported()
    assert [tree.inode(str(number)).nlink for number in range(5)] == [3, 3, 3, 2, 2]
    assert {tree.content(str(number)) for number in range(5)} == {b"many"}


def test_symbolic_links_are_kept_and_not_followed(imported, source):
    (source / "loop").symlink_to(".")
    (source / "dangling").symlink_to("/does/not/exist")
    _, tree = imported()
    assert tree.inode("loop").target == b"."
    assert tree.inode("dangling").target == b"/does/not/exist"
    assert tree.inode("dangling").size == len("/does/not/exist")


def test_holes_stay_holes(imported, source):
    with (source / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"middle" * 1000)
        file.truncate(4 << 20)
    report, tree = imported()
    inode = tree.inode("sparse")
    assert inode.size == 4 << 20
    assert sum(item.length for item in extent.iterate(inode.extents)) < 1 << 20
    assert report.read_bytes < 1 << 20
    assert tree.content("sparse") == (source / "sparse").read_bytes()


def test_a_file_that_is_one_hole_has_no_extents(imported, source):
    with (source / "hole").open("wb") as file:
        file.truncate(1 << 30)
    _, tree = imported()
    assert tree.inode("hole").size == 1 << 30
    assert tree.inode("hole").extents == extent.EMPTY


def test_extended_attributes_are_kept(imported, source):
    (source / "f").touch()
    (source / "d").mkdir()
    try:
        os.setxattr(source / "f", "user.b", b"2")
        os.setxattr(source / "f", "user.a", b"\0\xff")
        os.setxattr(source / "d", "user.dir", b"3")
        os.setxattr(source, "user.root", b"4")
    except OSError as error:
        pytest.skip(f"the test's own filesystem has no extended attributes: {error}")
    _, tree = imported()
    assert tree.inode("f").xattrs == ((b"user.a", b"\0\xff"), (b"user.b", b"2"))
    assert tree.inode("d").xattr(b"user.dir") == b"3"
    assert tree.inode("").xattr(b"user.root") == b"4"


def test_fifos_and_sockets_are_kept(imported, source, monkeypatch):
    os.mkfifo(source / "fifo", 0o620)
    monkeypatch.chdir(source)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        _, tree = imported()
    assert stat.S_ISFIFO(tree.inode("fifo").mode)
    assert stat.S_IMODE(tree.inode("fifo").mode) == 0o620 & ~_umask()
    assert stat.S_ISSOCK(tree.inode("socket").mode)


def _umask() -> int:
    value = os.umask(0o022)
    os.umask(value)
    return value


@as_root
def test_root_keeps_owners_set_id_bits_and_devices(imported, source):
    (source / "f").touch()
    os.chown(source / "f", 1234, 4321)
    (source / "f").chmod(0o4755)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    _, tree = imported()
    inode = tree.inode("f")
    assert (inode.uid, inode.gid, stat.S_IMODE(inode.mode)) == (1234, 4321, 0o4755)
    assert tree.inode("null").rdev == os.makedev(1, 3)


@as_root
def test_others_own_their_copies_and_devices_are_named(imported, source, monkeypatch):
    (source / "f").touch()
    os.chown(source / "f", 1234, 4321)
    (source / "f").chmod(0o4755)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    monkeypatch.setattr(os, "geteuid", lambda: 1001)
    monkeypatch.setattr(os, "getegid", lambda: 1002)
    report, tree = imported()
    inode = tree.inode("f")
    assert (inode.uid, inode.gid, stat.S_IMODE(inode.mode)) == (1001, 1002, 0o755)
    assert report.skipped == [("null", "is a device, which only root may make")]
    assert b"null" not in tree.names()


def test_the_store_and_the_mountpoint_are_left_out(tmp_path, source):
    (source / "mnt").mkdir()
    (source / "f").touch()
    store = Store.open(source / "store")
    report = import_directory(store, source, "ws", leave_out=(source / "mnt",))
    tree = Imported(store, "ws")
    assert tree.names() == [b"f"]
    assert [path for path, _ in report.skipped] == ["mnt", "store"]
    tree.workspace.close()
    store.close()


def test_a_source_in_the_store_is_refused(store):
    with pytest.raises(InvalidArgumentError, match="in the store"):
        import_directory(store, store.path / "layers", "ws")
    assert_no_trace(store)


def test_a_source_with_the_name_of_the_control_directory_is_refused(store, source):
    (source / ".pyi").mkdir()
    with pytest.raises(InvalidArgumentError, match=r"'\.pyi'.*control directory"):
        import_directory(store, source, "ws")
    assert_no_trace(store)


def test_that_name_further_down_is_an_ordinary_one(imported, source):
    (source / "d" / ".pyi").mkdir(parents=True)
    _, tree = imported()
    assert tree.names() == [b"d", b"d/.pyi"]


def test_a_workspace_that_exists_is_an_error(store, source):
    import_directory(store, source, "ws")
    with pytest.raises(AlreadyExistsError, match="'ws' exists"):
        import_directory(store, source, "ws")


def test_a_source_that_is_no_directory_is_an_error(store, source):
    with pytest.raises(FileNotFoundError):
        import_directory(store, source / "missing", "ws")
    (source / "f").touch()
    with pytest.raises(NotADirectoryError):
        import_directory(store, source / "f", "ws")
    assert_no_trace(store)


def test_an_unreadable_file_ends_the_import_with_its_name(store, source, monkeypatch):
    (source / "secret").touch()

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pyi_fs.engine.host_tree.HostFile", refuse)
    with pytest.raises(AccessDeniedError, match="'secret' cannot be read"):
        import_directory(store, source, "ws")
    assert_no_trace(store)


def test_an_interrupt_leaves_nothing(store, source):
    (source / "f").write_bytes(b"x")

    def interrupt(report: ImportReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_directory(store, source, "ws", progress=interrupt)
    assert_no_trace(store)
    import_directory(store, source, "ws")


def test_a_file_that_changes_while_it_is_read_is_named(imported, source):
    """The first report comes when part of the large file has been read: then it is written."""
    path = source / "log"
    path.write_bytes(os.urandom(20 << 20))
    os.utime(path, ns=(1, 1))
    reports: list[int] = []

    def write(report: ImportReport) -> None:
        if not reports:
            path.write_bytes(b"short now")
        reports.append(report.read_bytes)

    report, tree = imported(progress=write)
    assert report.changed == ["log"]
    assert reports[0] < 20 << 20
    # What was read before it shrank; no byte that was not in it.
    assert 0 < tree.inode("log").size < 20 << 20


def test_a_file_that_vanishes_is_named(imported, source, monkeypatch):
    (source / "a").write_bytes(b"1")
    (source / "b").write_bytes(b"2")
    real = HostDirectory.file

    def lose_b(directory, entry):
        if entry.name == b"b":
            (source / "b").unlink()
        return real(directory, entry)

    monkeypatch.setattr(HostDirectory, "file", lose_b)
    report, tree = imported()
    assert tree.names() == [b"a"]
    assert report.changed == ["b", "."]


def test_a_tree_deeper_than_the_limit_of_descriptors_is_imported(imported, source):
    path = source
    for _ in range(300):
        path = path / "d"
    path.mkdir(parents=True)
    (path / "f").write_bytes(b"deep")
    _, tree = imported()
    assert tree.content(f"{'d/' * 300}f") == b"deep"


def test_progress_counts_up_to_the_whole(imported, source):
    for number in range(300):
        (source / f"f{number:03}").write_bytes(b"%d" % number)
    seen: list[tuple[int, int]] = []
    report, _ = imported(progress=lambda r: seen.append((r.files, r.read_bytes)))
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert seen[-1] == (report.files, report.read_bytes) == (300, 10 + 180 + 600)


def test_the_path_of_the_source_is_remembered(imported, source):
    _, tree = imported()
    assert Path(tree.workspace.refs.source) == source
