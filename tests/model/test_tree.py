"""Looking at trees: overlays over bases, paths, walking."""

import errno

import pytest

from pyi_fs.errors import RequestError
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.check import check
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Create, Link, Reap, Remove, Rename
from pyi_fs.model.tree import Tree, on_base, over, root_only

ROOT = ROOT_INODE
DIRECTORY, FILE, BELOW, SUB = map(InodeNumber, (2, 3, 4, 5))


def sample() -> Tree:
    """Returns `d/`, `d/file` (also `again`), `d/sub/` and `d/sub/below`."""
    tree = root_only(0o40755, 0, 0, 1)
    for change in (
        Create(ROOT, b"d", DIRECTORY, 0o40755, 0, 0, 2),
        Create(DIRECTORY, b"file", FILE, 0o100644, 0, 0, 2),
        Create(DIRECTORY, b"sub", SUB, 0o40755, 0, 0, 2),
        Create(SUB, b"below", BELOW, 0o100644, 0, 0, 2),
        Link(FILE, ROOT, b"again", 2),
    ):
        tree = apply(tree, change)
    return tree


def paths(tree: Tree) -> list[bytes]:
    """Returns the paths of a walk, in its order."""
    return [path for path, _, _ in tree.walk()]


def test_walk_shows_parents_first_and_names_sorted() -> None:
    """A directory's names together, then what is below, each with its prefix."""
    assert paths(sample()) == [b"again", b"d", b"d/file", b"d/sub", b"d/sub/below"]
    assert [path for path, _, _ in sample().walk(SUB, b"x")] == [b"x/below"]


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_overlays_hide_and_add(layers: int) -> None:
    """Removed, replaced, renamed and new names are right, however many trees lie below."""
    tree = sample()
    for _ in range(layers):
        tree = over(tree)
    new = InodeNumber(6)
    for change in (
        Remove(SUB, b"below", False, 9),
        Rename(DIRECTORY, b"sub", ROOT, b"moved", 0, 9),
        Create(SUB, b"new", new, 0o100644, 0, 0, 9),
    ):
        tree = apply(tree, change)
    assert paths(tree) == [b"again", b"d", b"moved", b"d/file", b"moved/new"]
    assert tree.lookup(SUB, b"below") is None
    assert tree.lookup(DIRECTORY, b"sub") is None
    assert [*tree.entries(SUB)] == [(b"new", new)]
    assert sorted(tree.numbers()) == [1, 2, 3, 4, 5, 6]
    assert list(tree.unlinked_numbers()) == [BELOW]
    reaped = apply(tree, Reap((BELOW,)))
    assert reaped.inode(BELOW) is None
    assert sorted(reaped.numbers()) == [1, 2, 3, 5, 6]
    assert check(reaped) == []


def test_freezing_costs_no_overlay_and_shows_the_same() -> None:
    """A frozen tree under an empty overlay is equal, unlinked inodes and numbers included."""
    tree = apply(sample(), Remove(SUB, b"below", False, 9))
    frozen = over(tree)
    assert (len(frozen.inodes), len(frozen.directories)) == (0, 0)
    assert list(frozen.walk()) == list(tree.walk())
    assert list(frozen.unlinked_numbers()) == [BELOW]
    assert frozen.last_inode == tree.last_inode
    assert frozen.inode_count >= len(list(frozen.numbers()))


def test_equal_base_can_take_the_place_of_a_base() -> None:
    """As when a checkpoint's table is ready: the overlay stays as it is."""
    tree = apply(over(sample()), Remove(SUB, b"below", False, 9))
    switched = on_base(tree, over(sample()))
    assert list(switched.walk()) == list(tree.walk())
    assert switched.inodes is tree.inodes
    assert check(switched) == []


def test_listing_order_is_the_same_at_every_call() -> None:
    """A listing that is continued loses no entry."""
    tree = over(sample())
    for n in range(50):
        tree = apply(tree, Create(ROOT, b"f%d" % n, InodeNumber(10 + n), 0o100644, 0, 0, 2))
    assert list(tree.entries(ROOT)) == list(tree.entries(ROOT))
    assert len(list(tree.entries(ROOT))) == 52


def test_has_entries() -> None:
    """False for an empty directory, also when its names are hidden ones of a base."""
    tree = over(sample())
    assert tree.has_entries(SUB)
    assert not apply(tree, Remove(SUB, b"below", False, 9)).has_entries(SUB)


def test_resolve_follows_names_and_dots() -> None:
    """Paths from the root; empty parts and dots are nothing; `..` of the root is the root."""
    tree = sample()
    assert tree.resolve(b"") == ROOT
    assert tree.resolve(b"/d//sub/./below") == BELOW
    assert tree.resolve(b"d/sub/../file") == FILE
    assert tree.resolve(b"../../d") == DIRECTORY


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (b"x", errno.ENOENT),
        (b"d/x/y", errno.ENOENT),
        (b"again/x", errno.ENOTDIR),
        (b"again/..", errno.ENOTDIR),
    ],
)
def test_resolve_refuses(path: bytes, code: int) -> None:
    """ENOENT for a name that is not there, ENOTDIR for going through a file."""
    with pytest.raises(RequestError) as caught:
        sample().resolve(path)
    assert caught.value.errno == code


def test_paths_are_one_for_each_link() -> None:
    """All hard links; the root has the empty path; unlinked and unknown inodes have none."""
    tree = sample()
    assert sorted(tree.paths(FILE)) == [b"again", b"d/file"]
    assert tree.paths(ROOT) == [b""]
    assert tree.paths(InodeNumber(99)) == []
    assert apply(tree, Remove(SUB, b"below", False, 9)).paths(BELOW) == []


def test_path_in_a_removed_directory_is_none() -> None:
    """A handle may outlive its directory: there is no path then."""
    tree = apply(sample(), Remove(SUB, b"below", False, 9))
    tree = apply(tree, Remove(DIRECTORY, b"sub", True, 9))
    assert tree.path_of(SUB, b"x") is None
    assert tree.path_of(DIRECTORY, b"x") == b"d/x"
    assert tree.path_of(ROOT, b"x") == b"x"


def test_existing_raises_where_inode_is_none() -> None:
    """Absence is a value for those who ask, an error for those who expect."""
    assert sample().inode(InodeNumber(99)) is None
    with pytest.raises(RequestError) as caught:
        sample().existing(InodeNumber(99))
    assert caught.value.errno == errno.ENOENT
