"""How operations look in `.pyi/log`."""

import json
from typing import get_args

import pytest

from pyi_fs.control.log import OPERATION_NAMES, log_line
from pyi_fs.ids import (
    BranchName,
    InodeNumber,
    LayerId,
    OperationId,
    Position,
    SnapshotId,
    TreeObjectId,
)
from pyi_fs.model.operation import (
    Begin,
    Continue,
    DropBranch,
    MoveBranch,
    Operation,
    Purge,
    Reserve,
    RestorePath,
    SealSnapshot,
    TakeSnapshot,
)

MAIN = BranchName("main")
ONE = SnapshotId("1-3fa9c1")
HERE = Position(LayerId(7), 9)
TIME_NS = 1_700_000_000_123_456_789


def test_a_snapshot_is_told_with_its_counts_and_what_was_given():
    taken = TakeSnapshot(TIME_NS, MAIN, ONE, HERE, 2, 0, 0, name="good", message="it\nworks")
    line = log_line(OperationId(4), taken)
    assert json.loads(line) == {
        "id": 4,
        "time": "2023-11-14T22:13:20.123456Z",
        "time_ns": TIME_NS,
        "operation": "snapshot",
        "snapshot": "1-3fa9c1",
        "branch": "main",
        "added": 2,
        "modified": 0,
        "deleted": 0,
        "name": "good",
        "message": "it\nworks",
    }
    assert line.count(b"\n") == 1


def test_a_path_is_quoted():
    restored = RestorePath(TIME_NS, MAIN, HERE, ONE, b"a\xff\tb", None)
    assert json.loads(log_line(OperationId(5), restored))["path"] == '"a\\377\\tb"'


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        (MoveBranch(TIME_NS, MAIN, HERE, HERE, None, None, ONE), "restore"),
        (MoveBranch(TIME_NS, MAIN, HERE, HERE, None, None, undoes=OperationId(2)), "undo"),
        (MoveBranch(TIME_NS, MAIN, HERE, HERE, None, None, redoes=OperationId(2)), "redo"),
        (DropBranch(TIME_NS, MAIN), "drop"),
        (DropBranch(TIME_NS, MAIN, undoes=OperationId(3)), "undo"),
        (Begin(TIME_NS, MAIN, HERE, "empty", InodeNumber(2)), "begin"),
    ],
)
def test_an_operation_is_called_by_what_was_asked_for(operation: Operation, name: str):
    assert json.loads(log_line(OperationId(9), operation))["operation"] == name


@pytest.mark.parametrize(
    "operation",
    [
        Reserve(InodeNumber(5)),
        Continue(MAIN, LayerId(7)),
        SealSnapshot(ONE, TreeObjectId(bytes(32))),
    ],
)
def test_bookkeeping_is_not_shown(operation: Operation):
    assert log_line(OperationId(2), operation) == b""


def test_a_purge_says_the_paths_and_where_they_were():
    line = json.loads(log_line(OperationId(4), Purge(TIME_NS, "job", (b"a", b"b\n"), False)))
    assert (line["operation"], line["source"]) == ("purge", "job")
    assert line["paths"] == ["a", '"b\\n"']


def test_every_other_operation_has_a_name():
    assert set(OPERATION_NAMES) == set(get_args(Operation)) - {Reserve, Continue, SealSnapshot}
