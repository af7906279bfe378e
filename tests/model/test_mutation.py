"""The numbers that reach the disk; drawn mutations are in `tests/properties/test_fold.py`."""

from typing import get_args

import msgspec
import pytest

from pyi_fs.ids import ROOT_INODE, InodeNumber, SegmentId
from pyi_fs.model import mutation
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Mutation

FILE = InodeNumber(2)
INODE = Inode(0o100644, 0, 2, 3, 4, 5, 6, 7, 8, ROOT_INODE, b"")
DOCUMENTED: list[tuple[Mutation, list[object]]] = [
    (
        mutation.Create(ROOT_INODE, b"n", FILE, 0o120777, 3, 4, 5, b"t", 6),
        [1, 1, b"n", 2, 0o120777, 3, 4, 5, b"t", 6],
    ),
    (mutation.Link(FILE, ROOT_INODE, b"n", 5), [2, 2, 1, b"n", 5]),
    (mutation.Remove(ROOT_INODE, b"n", True, 5), [3, 1, b"n", True, 5]),
    (mutation.Rename(ROOT_INODE, b"n", FILE, b"m", 2, 5), [4, 1, b"n", 2, b"m", 2, 5]),
    (
        mutation.Write(FILE, 10, 20, SegmentId(30), 40, b"c" * 8, 5, True),
        [5, 2, 10, 20, 30, 40, b"c" * 8, 5, True],
    ),
    (
        mutation.SetAttributes(FILE, 1, None, 3, None, -5, 6, 7, True),
        [6, 2, 1, None, 3, None, -5, 6, 7, True],
    ),
    (mutation.Allocate(FILE, 10, 20, 3, 5), [7, 2, 10, 20, 3, 5]),
    (mutation.SetXattr(FILE, b"n", b"v", 5), [8, 2, b"n", b"v", 5]),
    (mutation.RemoveXattr(FILE, b"n", 5), [9, 2, b"n", 5]),
    (mutation.Share(FILE, 10, 20, b"e" * 56, 5), [10, 2, 10, 20, b"e" * 56, 5]),
    (mutation.Reap((FILE, ROOT_INODE)), [11, [2, 1]]),
]


def kinds() -> set[type]:
    """Returns all classes of the union."""
    return set(get_args(Mutation))


@pytest.mark.parametrize(("change", "form"), DOCUMENTED, ids=lambda value: type(value).__name__)
def test_form_on_disk(change: Mutation, form: list[object]) -> None:
    """Tag first, then the fields in order; the union finds the kind by its tag."""
    raw = msgspec.msgpack.encode(change)
    assert msgspec.msgpack.decode(raw)[: len(form)] == form
    decoded: Mutation = msgspec.msgpack.decode(raw, type=Mutation)
    assert decoded == change
    assert type(decoded) is type(change)


def test_records_within_mutations_keep_their_kind() -> None:
    """Adopt and Graft carry inode records; None is a removed one."""
    changes: list[Mutation] = [
        mutation.Adopt(FILE, INODE),
        mutation.Graft(((FILE, INODE), (ROOT_INODE, None)), ((ROOT_INODE, b"n", FILE),)),
    ]
    for tag, change in zip((12, 13), changes, strict=True):
        raw = msgspec.msgpack.encode(change)
        assert msgspec.msgpack.decode(raw)[0] == tag
        assert msgspec.msgpack.decode(raw, type=Mutation) == change


def test_every_kind_is_tried_here() -> None:
    """A new kind of mutation needs its form above."""
    tried = {type(change) for change, _ in DOCUMENTED} | {mutation.Adopt, mutation.Graft}
    assert tried == kinds()


def test_unknown_tag_is_refused() -> None:
    """A record of a newer version raises, it is not taken for another kind."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode([99, 1]), type=Mutation)
