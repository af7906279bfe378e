"""Paths lead where path_resolution(7) says, and never out of the tree."""

import errno
from pathlib import Path, PurePosixPath

import pytest

from pyi_fs.api import Workspace
from pyi_fs.api.paths import SYMLINKS_MAX, encoded


@pytest.fixture
def tree(work: Workspace) -> Workspace:
    work.mkdir("a/b", parents=True)
    work.write("a/b/f", b"f")
    work.write("top", b"top")
    return work


@pytest.mark.parametrize(
    "path",
    [
        "a/b/f",
        "/a/b/f",
        "//a/./b//f",
        "a/b/../b/f",
        "../../a/b/f",
        b"a/b/f",
        PurePosixPath("a/b/f"),
    ],
)
def test_many_ways_lead_to_a_file(tree: Workspace, path):
    assert tree.read(path) == b"f"


@pytest.mark.parametrize(
    ("target", "path", "content"),
    [
        ("f", "a/b/link", b"f"),
        ("/top", "a/b/link", b"top"),
        ("../../../../top", "a/b/link", b"top"),
        ("../a/b", "a/link/f", b"f"),
        ("b/", "a/link/f", b"f"),
    ],
)
def test_symlinks_stay_inside(tree: Workspace, target, path, content):
    tree.symlink(target, path.removesuffix("/f") if "link/" in path else path)
    assert tree.read(path) == content


def test_a_symlink_to_a_file_of_the_host_leads_nowhere(tree: Workspace, tmp_path: Path):
    (tmp_path / "secret").write_text("secret")
    tree.symlink(str(tmp_path / "secret"), "link")
    with pytest.raises(FileNotFoundError):
        tree.read("link")
    with pytest.raises(FileNotFoundError):
        # Its directory is not there inside the tree.
        tree.write("link", b"x")
    assert (tmp_path / "secret").read_text() == "secret"


def test_writing_through_a_dangling_symlink_makes_its_target(tree: Workspace):
    tree.symlink("b/new", "a/link")
    tree.write("a/link", b"x")
    assert tree.read("a/b/new") == b"x"
    assert tree.readlink("a/link") == "b/new"


def test_forty_symlinks_are_followed_and_one_more_is_not(tree: Workspace):
    tree.symlink("top", "l0")
    for count in range(1, SYMLINKS_MAX + 1):
        tree.symlink(f"l{count - 1}", f"l{count}")
    assert tree.read(f"l{SYMLINKS_MAX - 1}") == b"top"
    with pytest.raises(OSError, match="symbolic links") as caught:
        tree.read(f"l{SYMLINKS_MAX}")
    assert caught.value.errno == errno.ELOOP
    tree.symlink("circle", "circle")
    with pytest.raises(OSError, match="symbolic links"):
        tree.write("circle", b"x")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("nothing", FileNotFoundError),
        ("nothing/f", FileNotFoundError),
        ("top/f", NotADirectoryError),
        ("top/", NotADirectoryError),
        ("top/.", NotADirectoryError),
        ("top/..", NotADirectoryError),
        ("a", IsADirectoryError),
        ("", IsADirectoryError),
        ("..", IsADirectoryError),
    ],
)
def test_what_leads_nowhere_says_why(tree: Workspace, path, error):
    with pytest.raises(error) as caught:
        tree.read(path)
    assert caught.value.filename == path


def test_a_file_cannot_be_made_under_a_directorys_name(tree: Workspace):
    with pytest.raises(IsADirectoryError):
        tree.write("new/", b"x")
    tree.mkdir("new/")
    assert tree.listdir("new") == []


@pytest.mark.parametrize("path", ["", "/", "..", "a/.."])
def test_the_root_is_not_removed_or_moved(tree: Workspace, path):
    for call in (tree.rmdir, tree.rmtree, tree.remove):
        with pytest.raises(OSError, match="cannot be made, moved or removed"):
            call(path)
    with pytest.raises(OSError, match="cannot be made, moved or removed"):
        tree.rename(path, "b")
    with pytest.raises(FileExistsError):
        tree.mkdir(path)
    tree.mkdir(path, exist_ok=True)


def test_names_that_are_no_text_come_back_as_they_were(tree: Workspace):
    tree.write(b"a/\xff\xfe", b"x")
    names = tree.listdir("a")
    assert encoded(names[1]) == b"\xff\xfe"
    assert tree.read("a/" + names[1]) == b"x"


def test_a_nul_is_refused_as_python_does(tree: Workspace):
    with pytest.raises(ValueError, match="null byte"):
        tree.read("a\0b")
