"""What a mutation takes out of the tree, and only that."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.ids import ROOT_INODE, InodeNumber, SegmentId
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import (
    FALLOCATE_KEEP_SIZE,
    FALLOCATE_PUNCH_HOLE,
    FALLOCATE_ZERO_RANGE,
    Adopt,
    Allocate,
    Create,
    Graft,
    Link,
    Mutation,
    Reap,
    Remove,
    RemoveXattr,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)
from pyi_fs.model.superseded import MAY_SUPERSEDE, gives_back, superseded, with_other_bytes
from pyi_fs.model.tree import root_only
from tests.support.strategies import grown

FILE = InodeNumber(5)
END = limits.FILE_BYTES_MAX
EMPTY = root_only(0o40755, 0, 0, 1)
UNLINKED = apply(EMPTY, Adopt(FILE, Inode(0o100644, 0, 0, 0, 0, 1, 1, 1, 1, ROOT_INODE, b"")))


def cut(size: int | None) -> Mutation:
    return SetAttributes(FILE, None, None, None, size, None, None, 1)


@pytest.mark.parametrize(
    ("mutation", "ranges"),
    [
        (Write(FILE, 10, 20, SegmentId(1), 0, b"", 1), [(FILE, 10, 30)]),
        (Share(FILE, 10, 20, b"", 1), [(FILE, 10, 30)]),
        (cut(7), [(FILE, 7, END)]),
        (cut(0), [(FILE, 0, END)]),
        (cut(None), []),
        (Allocate(FILE, 10, 20, 0, 1), []),
        (Allocate(FILE, 10, 20, FALLOCATE_KEEP_SIZE, 1), []),
        (
            Allocate(FILE, 10, 20, FALLOCATE_KEEP_SIZE | FALLOCATE_PUNCH_HOLE, 1),
            [(FILE, 10, 30)],
        ),
        (Allocate(FILE, 10, 20, FALLOCATE_ZERO_RANGE, 1), [(FILE, 10, 30)]),
        (Reap((FILE, InodeNumber(6))), [(FILE, 0, END)]),
        (Remove(ROOT_INODE, b"n", False, 1), []),
        (Link(FILE, ROOT_INODE, b"n", 1), []),
        (SetXattr(FILE, b"user.x", b"", 1), []),
        (Create(ROOT_INODE, b"n", FILE, 0o100644, 0, 0, 1), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_ranges_that_leave_the_tree(
    mutation: Mutation, ranges: list[tuple[InodeNumber, int, int]]
) -> None:
    assert superseded(UNLINKED, mutation) == ranges
    assert not ranges or isinstance(mutation, MAY_SUPERSEDE)


def test_reaping_what_has_a_name_takes_nothing() -> None:
    assert superseded(EMPTY, Reap((ROOT_INODE,))) == []


def test_what_is_made_to_hold_less_is_what_gives_back() -> None:
    number = InodeNumber(5)
    fewer: list[Mutation] = [
        Remove(ROOT_INODE, b"a", False, 1),
        Reap((number,)),
        RemoveXattr(number, b"user.a", 1),
        SetAttributes(number, None, None, None, 0, None, None, 1),
        Allocate(number, 0, 10, FALLOCATE_PUNCH_HOLE | FALLOCATE_KEEP_SIZE, 1),
    ]
    more: list[Mutation] = [
        Write(number, 0, 1, SegmentId(1), 0, b"", 1),
        SetAttributes(number, 0o600, None, None, None, None, None, 1),
        Allocate(number, 0, 10, 0, 1),
        SetXattr(number, b"user.a", b"", 1),
    ]
    assert all(map(gives_back, fewer))
    assert not any(map(gives_back, more))


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_an_inode_that_is_not_named_holds_no_other_bytes(data: st.DataObject) -> None:
    for tree, mutation, new in grown(data):
        for number in set(new.numbers()) - set(with_other_bytes(mutation)):
            before, after = tree.inode(number), new.existing(number)
            assert after.extents == (before.extents if before is not None else b"")


def test_of_a_graft_those_are_named_that_are_there_afterwards() -> None:
    inode = UNLINKED.existing(FILE)
    graft = Graft(((FILE, inode), (InodeNumber(6), None)), ())
    assert list(with_other_bytes(graft)) == [FILE]
