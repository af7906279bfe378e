"""Folding what was read of a log: a record that no writer can have put there is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyi_fs.errors import CorruptTreeError, FormatUnknownError
from pyi_fs.format.record import decode_operation, encode_operation
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position, SnapshotId
from pyi_fs.model.operation import (
    Begin,
    Continue,
    DeleteSnapshot,
    MakeBranch,
    MoveBranch,
    NameSnapshot,
    Operation,
    SwitchHead,
    TakeSnapshot,
)
from pyi_fs.model.refs import Refs
from pyi_fs.model.refs_fold import fold_operation
from tests.support.hostile import operations

MAIN, LAYER = BranchName("main"), LayerId(5)
HERE = Position(LAYER, 60)
ONE, TWO = SnapshotId("1-abcdef"), SnapshotId("2-abcdef")


def taken(snapshot: SnapshotId, parent: SnapshotId | None, name: str = "") -> TakeSnapshot:
    return TakeSnapshot(1, MAIN, snapshot, HERE, 0, 0, 0, parent, name)


def sound() -> Refs:
    refs = Refs()
    for operation in (Begin(1, MAIN, HERE, "", InodeNumber(2)), taken(ONE, None, "s")):
        refs = fold_operation(refs, operation)
    return refs


HOSTILE = {
    "a second beginning": Begin(1, MAIN, HERE, "", InodeNumber(2)),
    "a branch of nobody": Continue(BranchName("other"), LAYER),
    "an id again": taken(ONE, None),
    "its number again": taken(SnapshotId("1-000000"), ONE),
    "no id": taken(SnapshotId("../../x"), None),
    "an endless id": taken(SnapshotId("9" * 63), None),
    "its own parent": taken(TWO, TWO),
    "a name again": taken(TWO, ONE, "s"),
    "no name": taken(TWO, ONE, "\x1b[2J"),
    "a name for nothing": NameSnapshot(1, MAIN, TWO, "t", ""),
    "a branch again": MakeBranch(1, MAIN, HERE, None, False),
    "a branch out of the store": MakeBranch(1, BranchName("../x"), HERE, None, False),
    "a move to what was never taken": MoveBranch(1, MAIN, HERE, HERE, TWO, None),
    "a head of no name": SwitchHead(1, MAIN, BranchName("\n")),
}


@pytest.mark.parametrize("operation", HOSTILE.values(), ids=HOSTILE)
def test_what_no_writer_writes_is_refused(operation: Operation) -> None:
    with pytest.raises(CorruptTreeError):
        fold_operation(sound(), operation)


def test_nothing_comes_before_the_beginning() -> None:
    with pytest.raises(CorruptTreeError):
        fold_operation(Refs(), DeleteSnapshot(1, ONE, ""))


def test_a_parent_may_be_deleted_meanwhile() -> None:
    refs = fold_operation(sound(), DeleteSnapshot(1, ONE, ""))
    assert fold_operation(refs, taken(TWO, ONE)).nearest(TWO) is not None


@given(st.lists(operations([LAYER], [60]), max_size=8))
def test_refs_of_anything_can_be_asked(hostile: list[Operation]) -> None:
    """What is not refused leaves refs whose order, lineages and names come to an end."""
    refs = sound()
    for operation in hostile:
        try:
            refs = fold_operation(refs, decode_operation(encode_operation(operation)))
        except (CorruptTreeError, FormatUnknownError, OverflowError):
            continue
        assert len(refs.ordered()) == len(refs.snapshots)
        for snapshot in [*refs.snapshots, *refs.deleted]:
            refs.nearest(snapshot)
        assert all(ref.last is None or ref.name for ref in refs.branches.values())
