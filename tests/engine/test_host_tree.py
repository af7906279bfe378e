"""Reading a tree of the host: what it is made of, and what others do to it meanwhile."""

import os

import pytest

from pyi_fs.engine.host_tree import HostTree, printable


@pytest.fixture
def tree(tmp_path):
    tree = HostTree(os.fspath(tmp_path))
    yield tree
    tree.close()


def test_names_come_in_the_order_of_their_bytes(tree, tmp_path):
    for name in (b"b", b"a", b"\xff", b"B"):
        (tmp_path / os.fsdecode(name)).touch()
    with tree.directory(b"") as root:
        assert root.names() == [b"B", b"a", b"b", b"\xff"]


def test_a_directory_that_became_a_link_is_not_there(tree, tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere" / "b").mkdir(parents=True)
    with tree.directory(b"a/b") as found:
        assert found.path_of(b"x") == b"a/b/x"
    (tmp_path / "a").rename(tmp_path / "old")
    (tmp_path / "a").symlink_to("elsewhere")
    assert tree.directory(b"a/b") is None
    assert tree.directory(b"a") is None
    assert tree.directory(b"missing") is None


def test_a_file_that_became_something_else_is_not_opened(tree, tmp_path):
    (tmp_path / "f").write_bytes(b"1")
    with tree.directory(b"") as root:
        entry = root.entry(b"f")
        (tmp_path / "f").unlink()
        assert root.file(entry) is None
        os.mkfifo(tmp_path / "f")
        assert root.file(entry) is None
        (tmp_path / "f").unlink()
        (tmp_path / "f").symlink_to("/etc/passwd")
        assert root.file(entry) is None
        assert root.entry(b"gone") is None


def test_a_write_and_a_new_name_are_noticed(tree, tmp_path):
    (tmp_path / "f").write_bytes(b"1")
    os.utime(tmp_path, ns=(1, 1))
    with tree.directory(b"") as root, root.file(root.entry(b"f")) as file:
        assert not file.has_changed()
        assert not root.has_changed()
        (tmp_path / "f").write_bytes(b"22")
        (tmp_path / "g").touch()
        assert file.has_changed()
        assert root.has_changed()


def test_regions_are_the_data_between_holes(tree, tmp_path):
    with (tmp_path / "f").open("wb") as file:
        file.write(b"x" * 4096)
        file.seek(1 << 20)
        file.write(b"y" * 4096)
    with tree.directory(b"") as root, root.file(root.entry(b"f")) as opened:
        regions = list(opened.regions())
        if len(regions) == 1:
            pytest.skip("the test's own filesystem has no holes")
        assert regions == [(0, 4096), (1 << 20, (1 << 20) + 4096)]
        assert b"".join(opened.read(*regions[1])) == b"y" * 4096


def test_reading_ends_where_the_file_does(tree, tmp_path):
    (tmp_path / "f").write_bytes(b"x" * 100)
    with tree.directory(b"") as root, root.file(root.entry(b"f")) as opened:
        os.truncate(tmp_path / "f", 10)
        assert list(opened.read(0, 100)) == [b"x" * 10]


def test_no_descriptor_is_left_behind(tree, tmp_path):
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "f").symlink_to("x")
    before = os.listdir("/proc/self/fd")
    with tree.directory(b"a/b/c"):
        pass
    for missing in (b"a/b/d", b"a/f", b"a/b/c/x/y"):
        assert tree.directory(missing) is None
    assert os.listdir("/proc/self/fd") == before


def test_bytes_that_are_no_text_can_be_printed():
    assert printable(b"a\xff/\xc3\xa4") == "a\\xff/\u00e4"
