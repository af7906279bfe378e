"""What `undo` and `redo` would take back: two bounded stacks of operations, newest last.

Invariant: in a stack the numbers of the operations ascend, so what is not older than one of them
stands at the end.
"""

from typing import NamedTuple

from pyi_fs.ids import BranchName, OperationId
from pyi_fs.model.operation import DropBranch, MakeBranch, MoveBranch, RestorePath, UndropBranch

Undoable = MoveBranch | RestorePath | MakeBranch | DropBranch | UndropBranch

# What lies further back is in the log and can be restored by name. The stacks are copied by each
# operation: 1,000 pointers, about 1 us.
STACK_MAX = 1_000


class Done(NamedTuple):
    """An operation that `undo` or `redo` would take back."""

    operation: OperationId
    record: Undoable

    @property
    def branch(self) -> BranchName:
        """Returns the branch it moved, made or dropped."""
        return self.record.branch

    @property
    def is_move(self) -> bool:
        """Returns whether it moved its branch, rather than made, dropped or brought it back."""
        return isinstance(self.record, MoveBranch | RestorePath)


Stack = tuple[Done, ...]


def pushed(stack: Stack, done: Done) -> Stack:
    """Returns the stack with one more; the oldest goes when it is full."""
    return (*(stack if len(stack) < STACK_MAX else stack[1 - STACK_MAX :]), done)


def without_branch(stack: Stack, branch: BranchName) -> Stack:
    """Returns the stack without what was done to a branch."""
    if not stack or not any(done.branch == branch for done in stack):
        return stack
    return tuple(done for done in stack if done.branch != branch)


def without_operation(stack: Stack, operation: OperationId) -> Stack:
    """Returns the stack without one operation."""
    return tuple(done for done in stack if done.operation != operation)


def cut(stack: Stack, branch: BranchName, operation: OperationId) -> Stack:
    """Returns the stack without an operation of a branch and what followed it there."""
    index = len(stack)
    while index and stack[index - 1].operation >= operation:
        index -= 1
    return (*stack[:index], *(done for done in stack[index:] if done.branch != branch))
