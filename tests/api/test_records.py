"""What the API answers with is complete, and is text where the engine has bytes."""

import dataclasses

import pytest

from pyi_fs.api import Change, Workspace
from pyi_fs.api.records import change_of, operation_of
from pyi_fs.ids import BranchName, LayerId, OperationId
from pyi_fs.model import diff
from pyi_fs.model.operation import Continue


def test_a_snapshot_is_a_value(work: Workspace):
    work.write("f", b"x")
    taken = work.snapshot("name", "message")
    assert str(taken) == taken.id
    assert (taken.name, taken.message, taken.branch) == ("name", "message", "main")
    assert (taken.added, taken.modified, taken.deleted) == (1, 0, 0)
    assert taken == work.snapshots()[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        taken.name = "other"  # type: ignore[misc]


def test_paths_of_changes_are_text():
    assert change_of(diff.Change("R", b"new\xff", b"old")) == Change("R", "new\udcff", "old")
    assert change_of(diff.Change("A", b"x")).old_path is None


def test_bookkeeping_is_no_operation():
    assert operation_of(OperationId(1), Continue(BranchName("main"), LayerId(1))) is None


def test_operations_have_kinds_and_details(work: Workspace):
    work.write("d", b"1")
    first = work.snapshot("one")
    work.write("d", b"2")
    work.restore(first, "d")
    work.restore(first)
    work.undo()
    work.redo()
    kinds = [operation.kind for operation in work.log()]
    assert kinds[::-1][:5] == ["begin", "snapshot", "snapshot", "restore-path", "snapshot"]
    assert kinds[:2] == ["redo", "undo"]
    path = next(operation for operation in work.log() if operation.kind == "restore-path")
    assert path.details == {"branch": "main", "snapshot": first.id, "path": "d"}
    numbers = [operation.id for operation in work.log()]
    assert numbers == sorted(numbers, reverse=True)
    assert all(operation.time_ns for operation in work.log())
