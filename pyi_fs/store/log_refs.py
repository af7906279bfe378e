"""The refs that the records of an operations log fold to.

The newest record that this process wrote is folded when the refs are asked for: copying its way
through maps that nobody touched for a while is a tenth of what a snapshot costs, and the next
request needs it, not this one.

Invariants:
- What passed `check` can be folded: either its rule asks for nothing that was not checked, or it
  was folded to find out.
- At most one record waits. The refs may be asked for in any thread; records are added in one.
"""

from threading import Lock

from pyi_fs.errors import CorruptRecordError, CorruptTreeError
from pyi_fs.model.operation import Operation
from pyi_fs.model.refs import Refs
from pyi_fs.model.refs_fold import IS_FOLDED_IF_CHECKED, check_operation, fold_operation


class LogRefs:
    """The refs of one log, as far as this process has seen it."""

    def __init__(self, path: str) -> None:
        """Begins before the first record; `path` is what errors call the log."""
        self._path = path
        self._refs = Refs()
        self._waiting: Operation | None = None
        self._checked: Refs | None = None
        self._turn = Lock()

    @property
    def now(self) -> Refs:
        """Returns the refs after all records."""
        if self._waiting is not None:
            self.settle()
        return self._refs

    def settle(self) -> None:
        """Folds what waits."""
        with self._turn:
            if self._waiting is not None:
                self._refs = fold_operation(self._refs, self._waiting)
                self._waiting = None

    def fold(self, operation: Operation, end: int) -> None:
        """Adds a record that was read; `end` is where the one before it ends.

        `CorruptRecordError` if no writer can have written it there.
        """
        self.check(operation, end)
        self.add(operation)

    def check(self, operation: Operation, end: int) -> None:
        """Raises as `fold` what no reader would fold: it must never get into the log."""
        refs = self.now
        try:
            if type(operation) in IS_FOLDED_IF_CHECKED:
                self._checked = None
                check_operation(refs, operation)
            else:
                self._checked = fold_operation(refs, operation)
        except CorruptTreeError as error:
            expected = "a record that can stand there"
            raise CorruptRecordError(self._path, end, expected, error) from error

    def add(self, operation: Operation) -> None:
        """Adds the record that was checked last, which is in the log now."""
        if self._checked is None:
            self._waiting = operation
        else:
            self._refs, self._checked = self._checked, None
