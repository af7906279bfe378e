"""The stacks of what can be undone and redone: bounded, and cut by branch."""

from pyi_fs.ids import NO_OPERATION, BranchName, LayerId, OperationId, Position
from pyi_fs.model.done import (
    STACK_MAX,
    Done,
    Stack,
    Undoable,
    cut,
    pushed,
    without_branch,
    without_operation,
)
from pyi_fs.model.operation import DropBranch, MakeBranch, MoveBranch

MAIN, SIDE = BranchName("main"), BranchName("side")
AT = Position(LayerId(1), 50)


def move(number: int, branch: BranchName = MAIN) -> Done:
    record = MoveBranch(1, branch, AT, AT, None, None, None, NO_OPERATION, NO_OPERATION)
    return Done(OperationId(number), record)


def numbers(stack: Stack) -> list[int]:
    return [done.operation for done in stack]


STACK = (move(3), move(4, SIDE), move(7), move(8, SIDE), move(9))


def test_a_full_stack_loses_its_oldest() -> None:
    stack: Stack = ()
    for number in range(STACK_MAX + 5):
        stack = pushed(stack, move(number))
    assert numbers(stack) == list(range(5, STACK_MAX + 5))


def test_a_cut_takes_an_operation_and_what_followed_on_its_branch() -> None:
    assert numbers(cut(STACK, MAIN, OperationId(7))) == [3, 4, 8]
    assert numbers(cut(STACK, SIDE, OperationId(4))) == [3, 7, 9]
    assert numbers(cut(STACK, MAIN, OperationId(1))) == [4, 8]
    assert cut(STACK, MAIN, OperationId(10)) == STACK


def test_a_branch_or_an_operation_is_taken_out() -> None:
    assert numbers(without_branch(STACK, SIDE)) == [3, 7, 9]
    assert without_branch(STACK, BranchName("other")) == STACK
    assert numbers(without_operation(STACK, OperationId(7))) == [3, 4, 8, 9]


def test_it_is_known_whether_a_branch_was_moved_or_made_or_dropped() -> None:
    records: list[tuple[Undoable, bool]] = [
        (move(1).record, True),
        (MakeBranch(1, SIDE, AT, None, False), False),
        (DropBranch(1, SIDE), False),
    ]
    for record, is_move in records:
        assert Done(OperationId(1), record).is_move == is_move
    assert move(1, SIDE).branch == SIDE
