"""Touched sets cover whatever a mutation changes."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import Adopt, Graft, Reap, Remove, Rename
from pyi_fs.model.touched import Touched, content_differs
from tests.support.strategies import marked_trees
from tests.support.workspaces import assert_touched_covers

FILE = Inode(0o100644, 1, 0, 0, 0, 1, 1, 1, 1, ROOT_INODE, b"f")


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_everything_that_differs_after_any_mutations_is_touched(data: st.DataObject) -> None:
    tree, marks = marked_trees(data)
    for old, touched in marks:
        assert_touched_covers(old, tree, touched)


def test_sets_of_intervals_are_joined() -> None:
    first, second = Touched([InodeNumber(1)]), Touched()
    second.add(Remove(InodeNumber(2), b"n", False, 1))
    first.update(second)
    assert first.inodes == {1, 2}
    assert first.names == {(2, b"n")}
    assert second.inodes == {2}


def test_nothing_is_false() -> None:
    assert not Touched()
    assert Touched(names=[(InodeNumber(1), b"n")])


def test_unlinked_inodes_come_and_go_unseen() -> None:
    touched = Touched()
    touched.add(Reap((InodeNumber(4),)))
    touched.add(Adopt(InodeNumber(5), FILE))
    assert not touched


def test_both_ends_of_a_rename_are_touched() -> None:
    touched = Touched()
    touched.add(Rename(InodeNumber(1), b"a", InodeNumber(2), b"b", 0, 1))
    assert touched.names == {(1, b"a"), (2, b"b")}
    assert touched.inodes == {1, 2}


def test_a_graft_touches_what_it_lists() -> None:
    touched = Touched()
    touched.add(
        Graft(((InodeNumber(3), None),), ((InodeNumber(1), b"a", InodeNumber(0)),)),
    )
    assert touched.inodes == {3}
    assert touched.names == {(1, b"a")}


def test_content_is_bytes_size_target_and_device() -> None:
    for field, value in (("size", 3), ("extents", b"x" * 56), ("target", b"t"), ("rdev", 5)):
        assert content_differs(FILE, with_fields(FILE, **{field: value}))
    assert not content_differs(FILE, with_fields(FILE, mtime_ns=9, mode=0o100600, nlink=2))
