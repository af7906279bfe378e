"""Folding what was read: a change that no writer can have made is refused, all others are applied.

`tests/model/test_regraft.py` and `tests/properties/test_fold.py` fold what writers do make.
"""

import stat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyi_fs.errors import CorruptTreeError, FormatUnknownError
from pyi_fs.format.record import decode_mutation, encode_mutation
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.check import check
from pyi_fs.model.edit import apply
from pyi_fs.model.fold import fold
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import Adopt, Create, Graft, Link, Mutation, Reap, Remove, Rename
from pyi_fs.model.tree import Tree, over, root_only
from tests.support.hostile import possible

A, B, FILE = InodeNumber(2), InodeNumber(3), InodeNumber(4)
DIRECTORY = stat.S_IFDIR | 0o755
REGULAR = stat.S_IFREG | 0o644


def sound() -> Tree:
    """Returns `a/b/`, `a/file` with the other name `top`: half in a base, half over it."""
    tree = root_only(0o40755, 0, 0, 1)
    tree = apply(tree, Create(ROOT_INODE, b"a", A, DIRECTORY, 0, 0, 1))
    tree = over(apply(tree, Create(A, b"file", FILE, REGULAR, 0, 0, 1)))
    tree = apply(tree, Create(A, b"b", B, DIRECTORY, 0, 0, 1))
    return apply(tree, Link(FILE, ROOT_INODE, b"top", 1))


def record(tree: Tree, number: InodeNumber, **changes: object) -> tuple[InodeNumber, Inode]:
    return number, with_fields(tree.existing(number), **changes)


TREE = sound()
INTO_ITSELF = Graft(
    (
        record(TREE, A, parent=B, name=b"x"),
        record(TREE, B, nlink=3),
        record(TREE, ROOT_INODE, nlink=2),
    ),
    ((ROOT_INODE, b"a", InodeNumber(0)), (B, b"x", A)),
)
HOSTILE = {
    "a used number": Create(ROOT_INODE, b"new", FILE, REGULAR, 0, 0, 1),
    "the root again": Create(ROOT_INODE, b"new", ROOT_INODE, DIRECTORY, 0, 0, 1),
    "of no type": Create(ROOT_INODE, b"new", InodeNumber(9), 0o644, 0, 0, 1),
    "a number that has a name": Adopt(FILE, TREE.existing(FILE)),
    "into its own subtree": Rename(ROOT_INODE, b"a", B, b"x", 0, 1),
    "exchanged with what is below": Rename(ROOT_INODE, b"a", A, b"b", 2, 1),
    "grafted into its own subtree": INTO_ITSELF,
    "a record that goes under its name": Graft(((FILE, None),), ()),
    "a name that its record does not know": Graft((), ((B, b"x", FILE),)),
    "a name of nothing": Graft((), ((B, b"x", InodeNumber(77)),)),
    "a name that goes and a record that stays": Graft((), ((A, b"file", InodeNumber(0)),)),
    "a directory with two names": Graft((record(TREE, B, links=((B, b"x"),)),), ((B, b"x", B),)),
    "a number twice": Graft((record(TREE, FILE), record(TREE, FILE)), ()),
    "a link too many": Graft((record(TREE, FILE, nlink=3),), ()),
    "a subdirectory too many": Graft((record(TREE, A, nlink=4),), ()),
    "a file that becomes a directory": Graft((record(TREE, FILE, mode=DIRECTORY, links=()),), ()),
    "a root with a name": Graft((record(TREE, ROOT_INODE, name=b"x"),), ()),
    "no name": Graft((record(TREE, B, name=b".."),), ((A, b"b", InodeNumber(0)), (A, b"..", B))),
    "the root below": Graft((), ((B, b"x", ROOT_INODE),)),
    "an unlinked directory that is full": Graft(
        (record(TREE, A, nlink=0), record(TREE, ROOT_INODE, nlink=2)),
        ((ROOT_INODE, b"a", InodeNumber(0)),),
    ),
    "not there": Remove(A, b"gone", False, 1),
}


@pytest.mark.parametrize("mutation", HOSTILE.values(), ids=HOSTILE)
def test_what_no_writer_makes_is_refused(mutation: Mutation) -> None:
    """Each of these, or the request that it would be, breaks an invariant of the tree."""
    assert check(TREE) == []
    with pytest.raises(CorruptTreeError):
        fold(TREE, mutation)


def test_a_number_whose_names_a_reap_uncovered_is_used() -> None:
    """In a base the names of a directory that was removed and reaped are still there."""
    tree = over(TREE)
    for change in (
        Remove(A, b"b", True, 1),
        Remove(A, b"file", False, 1),
        Remove(ROOT_INODE, b"a", True, 1),
        Reap((A, B)),
    ):
        tree = fold(tree, change)
    assert check(tree) == []
    with pytest.raises(CorruptTreeError, match="twice"):
        fold(tree, Create(ROOT_INODE, b"new", A, DIRECTORY, 0, 0, 1))


@given(st.lists(possible, min_size=1, max_size=6))
@example([INTO_ITSELF])
def test_a_fold_of_anything_is_a_sound_tree(hostile: list[Mutation]) -> None:
    """Whatever is folded, one after the other: what is not refused leaves every invariant."""
    tree = TREE
    for mutation in hostile:
        try:
            tree = fold(tree, decode_mutation(encode_mutation(mutation)))
        except (CorruptTreeError, FormatUnknownError, OverflowError):
            continue
        assert check(tree) == [], mutation
