"""The forms of operations on disk: tags and fields, pinned."""

import msgspec
import pytest

from pyi_fs.format.record import decode_operation, encode_operation
from pyi_fs.ids import (
    BranchName,
    InodeNumber,
    LayerId,
    OperationId,
    Position,
    SnapshotId,
    TreeObjectId,
)
from pyi_fs.model import operation
from pyi_fs.model.operation import Operation

MAIN, SIDE, ID = BranchName("main"), BranchName("side"), SnapshotId("1-a")
HERE, THERE = Position(LayerId(1), 20), Position(LayerId(2), 30)

FORMS: list[tuple[Operation, list[object]]] = [
    (operation.Begin(5, MAIN, HERE, "empty", InodeNumber(2)), [1, 5, "main", [1, 20], "empty", 2]),
    (operation.Reserve(InodeNumber(258)), [2, 258]),
    (operation.Continue(MAIN, LayerId(2)), [3, "main", 2]),
    (
        operation.TakeSnapshot(5, MAIN, ID, HERE, 1, 2, 3, None, "n", "m", "a"),
        [4, 5, "main", "1-a", [1, 20], 1, 2, 3, None, "n", "m", "a"],
    ),
    (operation.NameSnapshot(5, MAIN, ID, "n", "m"), [5, 5, "main", "1-a", "n", "m"]),
    (operation.DeleteSnapshot(5, ID, "why"), [6, 5, "1-a", "why"]),
    (operation.MakeBranch(5, SIDE, HERE, ID, True), [7, 5, "side", [1, 20], "1-a", True]),
    (operation.DropBranch(5, SIDE, OperationId(7)), [8, 5, "side", 7, 0]),
    (operation.SwitchHead(5, MAIN, SIDE), [9, 5, "main", "side"]),
    (
        operation.MoveBranch(5, MAIN, HERE, THERE, ID, None, ID, OperationId(3), OperationId(4)),
        [10, 5, "main", [1, 20], [2, 30], "1-a", None, "1-a", 3, 4],
    ),
    (
        operation.RestorePath(5, MAIN, HERE, ID, b"d/\xff", None),
        [11, 5, "main", [1, 20], "1-a", b"d/\xff", None],
    ),
    (operation.UndropBranch(5, SIDE, OperationId(7)), [12, 5, "side", 7, 0]),
    (operation.Void(5, LayerId(2), 30), [13, 5, 2, 30]),
    (operation.SealSnapshot(ID, TreeObjectId(b"r" * 32)), [14, "1-a", b"r" * 32]),
]


@pytest.mark.parametrize(("made", "form"), FORMS, ids=lambda value: type(value).__name__)
def test_forms_on_disk_never_change(made: Operation, form: list[object]) -> None:
    assert msgspec.msgpack.decode(encode_operation(made)) == form
    assert decode_operation(msgspec.msgpack.encode(form)) == made


def test_fields_with_defaults_may_be_missing() -> None:
    """What an earlier version wrote, without the fields that were appended since, is read."""
    short = [4, 5, "main", "1-a", [1, 20], 1, 2, 3]
    assert decode_operation(msgspec.msgpack.encode(short)) == operation.TakeSnapshot(
        5, MAIN, ID, HERE, 1, 2, 3
    )
    moved = [10, 5, "main", [1, 20], [2, 30], None, None]
    assert decode_operation(msgspec.msgpack.encode(moved)) == operation.MoveBranch(
        5, MAIN, HERE, THERE, None, None
    )


def test_tags_are_distinct() -> None:
    tags = [form[0] for _, form in FORMS]
    assert len(set(tags)) == len(tags)
