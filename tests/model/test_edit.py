"""Rules of names, one by one; whole sequences are compared in `tests/properties/test_oracle.py`."""

import errno
from collections.abc import Iterable

import pytest

from pyi_fs import limits
from pyi_fs.errors import RequestError
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.check import check
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    Create,
    Graft,
    Link,
    Mutation,
    Reap,
    Remove,
    Rename,
)
from pyi_fs.model.tree import Tree, over, root_only

ROOT = ROOT_INODE
LONG = b"n" * 256


def made(*paths: str) -> Tree:
    """Returns a tree of these paths, in order; a slash makes a directory. Numbers from 2."""
    tree = root_only(0o40755, 0, 0, 1)
    for path in paths:
        above, _, name = path.rstrip("/").encode().rpartition(b"/")
        mode = 0o40755 if path.endswith("/") else 0o100644
        number = InodeNumber(tree.last_inode + 1)
        tree = apply(tree, Create(tree.resolve(above), name, number, mode, 0, 0, 2))
    return tree


def rename(tree: Tree, old: str, new: str, flags: int = 0) -> Tree:
    """Returns the tree after a rename at time 9."""
    above, _, name = old.encode().rpartition(b"/")
    new_above, _, new_name = new.encode().rpartition(b"/")
    return run(
        tree, [Rename(tree.resolve(above), name, tree.resolve(new_above), new_name, flags, 9)]
    )


def run(tree: Tree, changes: Iterable[Mutation]) -> Tree:
    """Returns the tree after all of them, checked."""
    for change in changes:
        tree = apply(tree, change)
    assert check(tree) == []
    return tree


def refused(tree: Tree, change: Mutation) -> int:
    """Returns the errno of a mutation that must fail."""
    with pytest.raises(RequestError) as caught:
        apply(tree, change)
    return caught.value.errno


def rename_refused(tree: Tree, old: str, new: str, flags: int = 0) -> int:
    """Returns the errno of a rename that must fail."""
    with pytest.raises(RequestError) as caught:
        rename(tree, old, new, flags)
    return caught.value.errno


def nlink(tree: Tree, path: str) -> int:
    """Returns a link count."""
    return tree.existing(tree.resolve(path.encode())).nlink


def test_long_name_is_too_long_and_not_absent() -> None:
    """A name of 256 bytes is ENAMETOOLONG wherever it is given, and an absent name is ENOENT."""
    tree = made("a")
    file = InodeNumber(2)
    assert (
        refused(tree, Create(ROOT, LONG, InodeNumber(3), 0o100644, 0, 0, 9)) == errno.ENAMETOOLONG
    )
    assert refused(tree, Link(file, ROOT, LONG, 9)) == errno.ENAMETOOLONG
    assert refused(tree, Remove(ROOT, LONG, False, 9)) == errno.ENAMETOOLONG
    assert refused(tree, Remove(ROOT, LONG, True, 9)) == errno.ENAMETOOLONG
    assert refused(tree, Rename(ROOT, LONG, ROOT, b"b", 0, 9)) == errno.ENAMETOOLONG
    assert refused(tree, Rename(ROOT, b"a", ROOT, LONG, 0, 9)) == errno.ENAMETOOLONG
    assert refused(tree, Rename(ROOT, b"absent", ROOT, LONG, 0, 9)) == errno.ENOENT
    run(tree, [Create(ROOT, LONG[:-1], InodeNumber(3), 0o100644, 0, 0, 9)])


def test_errno_is_that_of_the_check_the_kernel_makes_first() -> None:
    """A link over a name is EEXIST even for a directory; a target above its source is ENOTEMPTY."""
    tree = made("d/", "d/f", "d/e/", "d/e/f")
    directory = tree.resolve(b"d/e")
    assert refused(tree, Link(directory, ROOT, b"d", 9)) == errno.EEXIST
    assert refused(tree, Link(directory, ROOT, b"x", 9)) == errno.EPERM
    assert rename_refused(tree, "d/e/f", "d") == errno.ENOTEMPTY
    assert rename_refused(tree, "d/f", "d") == errno.ENOTEMPTY
    assert rename_refused(tree, "d/f", "d/e") == errno.EISDIR
    assert rename_refused(tree, "d/e", "d/f") == errno.ENOTDIR
    assert rename_refused(tree, "d", "d/e/x") == errno.EINVAL
    assert rename_refused(tree, "d/e", "d", RENAME_EXCHANGE) == errno.EINVAL
    assert rename_refused(tree, "d", "d/f", RENAME_EXCHANGE) == errno.EINVAL
    assert rename_refused(tree, "d/f", "d/e", RENAME_NOREPLACE) == errno.EEXIST
    assert rename_refused(tree, "d/f", "x", RENAME_EXCHANGE) == errno.ENOENT
    assert rename_refused(tree, "d/f", "x", RENAME_NOREPLACE | RENAME_EXCHANGE) == errno.EINVAL


def test_directory_takes_the_place_of_another_in_a_full_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """EMLINK counts what is left: one directory over another adds no link, one more does."""
    monkeypatch.setattr(limits, "LINKS_MAX", 4)
    tree = made("full/", "full/a/", "full/b/", "c/", "f")
    assert nlink(tree, "full") == 4
    assert rename_refused(tree, "c", "full/c") == errno.EMLINK
    replaced = rename(tree, "c", "full/a")
    assert (nlink(replaced, "full"), nlink(replaced, "")) == (4, 3)
    assert nlink(rename(tree, "full/b", "full/a"), "full") == 3
    exchanged = rename(tree, "c", "full/a", RENAME_EXCHANGE)
    assert (nlink(exchanged, "full"), nlink(exchanged, "")) == (4, 4)
    below = made("full/", "full/a/", "full/b/", "c/", "full/f")
    assert rename_refused(below, "c", "full/f", RENAME_EXCHANGE) == errno.EMLINK
    links = run(tree, [Link(InodeNumber(6), ROOT, b"f%d" % n, 9) for n in range(3)])
    assert refused(links, Link(InodeNumber(6), ROOT, b"g", 9)) == errno.EMLINK
    assert refused(made("a/", "b/"), Create(ROOT, b"c", InodeNumber(4), 0o40755, 0, 0, 9)) == (
        errno.EMLINK
    )


def test_names_that_come_and_go_leave_nothing_behind() -> None:
    """Temporary files, removed and reaped or renamed over, do not grow the overlay."""
    tree = over(made("d/", "d/kept"))
    directory = tree.resolve(b"d")
    for round_ in range(50):
        number = InodeNumber(tree.last_inode + 1)
        tree = run(
            tree,
            [
                Create(directory, b"tmp%d" % round_, number, 0o100644, 0, 0, 9),
                Rename(directory, b"tmp%d" % round_, directory, b"out%d" % round_, 0, 9),
                Remove(directory, b"out%d" % round_, False, 9),
                Reap((number,)),
            ],
        )
    assert len(tree.directories[directory]) == 0
    assert set(tree.inodes) == {directory}
    gone = run(tree, [Remove(directory, b"kept", False, 9)])
    assert gone.lookup(directory, b"kept") is None
    assert not gone.has_entries(directory)


def test_directory_that_comes_back_has_only_the_names_it_is_given() -> None:
    """A graft of a reaped directory does not bring back what the base once held in it."""
    tree = over(made("d/", "d/a", "d/b"))
    directory, file = tree.resolve(b"d"), tree.resolve(b"d/a")
    kept = run(tree, [Remove(directory, b"b", False, 9)])
    gone = run(
        kept,
        [
            Remove(directory, b"a", False, 9),
            Remove(ROOT, b"d", True, 9),
            Reap(tuple(InodeNumber(n) for n in (2, 3, 4))),
        ],
    )
    records = tuple((number, kept.existing(number)) for number in (ROOT, directory, file))
    graft = Graft(records, ((ROOT, b"d", directory), (directory, b"a", file)))
    back = run(gone, [graft])
    assert [path for path, _, _ in back.walk()] == [b"d", b"d/a"]
    assert refused(back, Remove(directory, b"b", False, 9)) == errno.ENOENT
    away = Graft(
        ((ROOT, gone.existing(ROOT)), (directory, None), (file, None)),
        ((ROOT, b"d", InodeNumber(0)),),
    )
    again = run(run(back, [away]), [graft])
    assert [path for path, _, _ in again.walk()] == [b"d", b"d/a"]
