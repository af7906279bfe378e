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
    Adopt,
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


def test_unlinking_the_first_name_keeps_all_others() -> None:
    """Whichever of several hard links goes, the record names exactly those that are left."""
    tree = run(made("a"), [Link(InodeNumber(2), ROOT, b"%d" % n, 3) for n in range(3)])
    for name in (b"a", b"0", b"1", b"2"):
        left = run(tree, [Remove(ROOT, name, False, 9)])
        assert sorted(left.paths(InodeNumber(2))) == sorted({b"a", b"0", b"1", b"2"} - {name})
        assert left.existing(InodeNumber(2)).ctime_ns == 9
    gone = run(tree, [Remove(ROOT, name, False, 9) for name in (b"a", b"1", b"0", b"2")])
    assert list(gone.unlinked_numbers()) == [InodeNumber(2)]


def test_rename_between_names_of_one_file_changes_nothing() -> None:
    """As POSIX has it: both names stay, no time moves; also when exchanged."""
    tree = run(made("a", "d/"), [Link(InodeNumber(2), InodeNumber(3), b"b", 3)])
    assert rename(tree, "a", "d/b") is tree
    assert rename(tree, "d/b", "a", RENAME_EXCHANGE) is tree
    assert rename_refused(tree, "a", "d/b", RENAME_NOREPLACE) == errno.EEXIST


def test_rename_over_looks_at_the_target() -> None:
    """A directory takes the place of an empty one only; what was there is unlinked, not gone."""
    tree = made("a/", "b/", "b/f", "c/", "f", "g")
    assert rename_refused(tree, "a", "b") == errno.ENOTEMPTY
    assert rename_refused(tree, "a", "f") == errno.ENOTDIR
    assert rename_refused(tree, "f", "a") == errno.EISDIR
    over_empty = rename(tree, "b", "a")
    assert [path for path, _, _ in over_empty.walk()] == [b"a", b"c", b"f", b"g", b"a/f"]
    assert list(over_empty.unlinked_numbers()) == [tree.resolve(b"a")]
    over_file = rename(tree, "f", "b/f")
    gone = over_file.existing(tree.resolve(b"b/f"))
    assert (gone.nlink, gone.ctime_ns) == (0, 9)
    moved = over_file.existing(tree.resolve(b"f"))
    assert (moved.nlink, moved.ctime_ns, moved.mtime_ns) == (1, 9, 2)
    for path in (b"", b"b"):
        directory = over_file.existing(tree.resolve(path))
        assert (directory.mtime_ns, directory.ctime_ns) == (9, 9)


def test_exchange_swaps_two_names_and_touches_both() -> None:
    """A file and a directory change places; links of directories follow."""
    tree = made("a/", "a/f", "b/", "b/d/", "b/d/x")
    after = rename(tree, "a/f", "b/d", RENAME_EXCHANGE)
    assert [path for path, _, _ in after.walk()] == [b"a", b"b", b"a/f", b"a/f/x", b"b/d"]
    assert (nlink(after, "a"), nlink(after, "b")) == (3, 2)
    for path in (b"a", b"b", b"a/f", b"b/d"):
        assert after.existing(after.resolve(path)).ctime_ns == 9


def test_setgid_directory_gives_its_group() -> None:
    """Files and directories made in it have its group; directories also go on the same way."""
    tree = root_only(0o42755, 0, 7, 1)
    directory, file = InodeNumber(2), InodeNumber(3)
    after = run(
        tree,
        [
            Create(ROOT, b"d", directory, 0o40755, 5, 6, 9),
            Create(directory, b"f", file, 0o100755, 5, 6, 9),
        ],
    )
    assert (after.existing(directory).mode, after.existing(directory).gid) == (0o42755, 7)
    assert (after.existing(file).mode, after.existing(file).gid) == (0o100755, 7)
    assert (after.existing(file).uid, after.existing(file).ctime_ns) == (5, 9)


def test_removed_directory_takes_no_names() -> None:
    """ENOENT for whatever is made in it, or moved there, while somebody still holds it."""
    tree = run(made("d/", "f"), [Remove(ROOT, b"d", True, 9)])
    directory, file = InodeNumber(2), InodeNumber(3)
    for change in (
        Create(directory, b"x", InodeNumber(4), 0o100644, 0, 0, 9),
        Link(file, directory, b"x", 9),
        Rename(ROOT, b"f", directory, b"x", 0, 9),
        Remove(directory, b"x", False, 9),
    ):
        assert refused(tree, change) == errno.ENOENT, change
    assert refused(tree, Create(file, b"x", InodeNumber(4), 0o100644, 0, 0, 9)) == errno.ENOTDIR


def test_an_old_name_is_looked_up_before_a_removed_directory_is_told_of() -> None:
    """As rename(2) on ext4: found by the test against the host."""
    tree = run(made("d/", "f"), [Remove(ROOT_INODE, b"d", True, 9)])
    gone, long = InodeNumber(2), b"n" * (limits.NAME_BYTES_MAX + 1)
    assert refused(tree, Rename(ROOT_INODE, long, gone, b"a", 0, 9)) == errno.ENAMETOOLONG
    assert refused(tree, Rename(ROOT_INODE, b"f", gone, b"a", 0, 9)) == errno.ENOENT
    assert refused(tree, Rename(ROOT_INODE, b"f", gone, long, 0, 9)) == errno.ENOENT


def test_unlinked_file_comes_back_by_a_link() -> None:
    """O_TMPFILE and linkat: adopted without a name, then linked, then as any other."""
    inode = made("f").existing(InodeNumber(2))
    tree = run(made("d/"), [Adopt(InodeNumber(9), inode)])
    assert (list(tree.unlinked_numbers()), tree.last_inode) == ([InodeNumber(9)], 9)
    back = run(tree, [Link(InodeNumber(9), InodeNumber(2), b"x", 9)])
    assert back.paths(InodeNumber(9)) == [b"d/x"]
    assert list(back.unlinked_numbers()) == []
    assert run(tree, [Reap((InodeNumber(9),))]).inode(InodeNumber(9)) is None


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
