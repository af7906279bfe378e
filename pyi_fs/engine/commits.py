"""Tells who waits for it that something was committed in a workspace.

What runs beside requests sleeps meanwhile: an idle workspace costs nothing. A commit pays for one
comparison with None, and for a call only if it is the first after somebody asked.
"""

from collections.abc import Callable, Iterable

from pyi_fs.engine.branch import Branch


class Commits:
    """Calls back once each, at the next commit of any branch that is open or opened later."""

    def __init__(self, branches: Callable[[], Iterable[Branch]]) -> None:
        """`branches`: those that are open now."""
        self._branches = branches
        self._waiting: list[Callable[[], None]] = []

    def tell_at_next(self, callback: Callable[[], None]) -> None:
        """Has `callback` called once, synchronously, at the next commit."""
        self._waiting.append(callback)
        for branch in self._branches():
            branch.wake = self.happened

    def happened(self) -> None:
        """Calls everybody who waits; what a branch calls."""
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()
