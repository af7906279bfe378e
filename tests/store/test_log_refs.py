"""The refs of a log: what was written last is folded when it is asked for, and never twice."""

import threading

import pytest

from pyi_fs.errors import CorruptRecordError
from pyi_fs.ids import BranchName, InodeNumber, LayerId, Position
from pyi_fs.model import refs_fold
from pyi_fs.model.operation import Begin, DropBranch, MakeBranch, Operation, Reserve, SwitchHead
from pyi_fs.store import log_refs
from pyi_fs.store.log_refs import LogRefs

MAIN, SIDE = BranchName("main"), BranchName("side")
PLACE = Position(LayerId(1), 40)


def begun() -> LogRefs:
    refs = LogRefs("log")
    refs.fold(Begin(1, MAIN, PLACE, "", InodeNumber(2)), 0)
    return refs


def appended(refs: LogRefs, operation: Operation) -> None:
    refs.check(operation, 0)
    refs.add(operation)


def test_a_record_counts_from_when_it_was_added() -> None:
    refs = begun()
    made = MakeBranch(2, SIDE, PLACE, None, False)
    refs.check(made, 0)
    assert refs.now.branch_names() == [MAIN]
    refs.add(made)
    assert refs.now.branch_names() == [MAIN, SIDE]
    refs.check(DropBranch(3, SIDE), 0)
    # Its writing failed, and something else was written.
    appended(refs, Reserve(InodeNumber(9)))
    assert (refs.now.branch_names(), refs.now.inode_end) == ([MAIN, SIDE], 9)
    assert refs.now.operation_count == 3


def test_what_no_reader_would_fold_is_refused_whether_it_waits_or_not() -> None:
    refs = begun()
    before = refs.now
    for wrong in (
        DropBranch(2, SIDE),
        MakeBranch(2, MAIN, PLACE, None, False),
        SwitchHead(2, MAIN, BranchName("?")),
    ):
        with pytest.raises(CorruptRecordError, match="log"):
            refs.check(wrong, 0)
    assert refs.now is before


def test_a_record_is_folded_once_and_only_when_somebody_asks(monkeypatch) -> None:
    refs, folded = begun(), []

    def counted(*arguments):
        folded.append(arguments[1])
        return refs_fold.fold_operation(*arguments)

    monkeypatch.setattr(log_refs, "fold_operation", counted)
    made = MakeBranch(2, SIDE, PLACE, None, False)
    appended(refs, made)
    assert folded == []
    asked = [threading.Thread(target=lambda: refs.now) for _ in range(4)]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert folded == [made]
    dropped = DropBranch(3, SIDE)
    appended(refs, dropped)
    refs.settle()
    refs.settle()
    assert folded == [made, dropped]
    assert refs.now.branches[SIDE].dropped
