"""The lock that pyfuse3 takes once a request (`fuse/facade.py`)."""

from collections import deque
from types import TracebackType

import trio


class YieldlessLock:
    """A lock that does not yield when it is free, even if others wait for it.

    Who waits is woken when it is free and its last holder yields, in order, and waits on if the
    lock is held again by then. pyfuse3 has two tasks that take turns at reading requests: handing
    the lock over each time would be a real yield for each request (10 us and more), while the task
    that has just answered can as well read the next one.
    """

    def __init__(self) -> None:
        """Begins free."""
        self._is_held = False
        self._is_one_woken = False
        self._waiters: deque[trio.Event] = deque()

    async def __aenter__(self) -> None:
        is_first = False
        while self._is_held:
            turn = trio.Event()
            if is_first:
                self._waiters.appendleft(turn)
            else:
                self._waiters.append(turn)
            try:
                await turn.wait()
            except trio.Cancelled:
                if turn.is_set():
                    self._is_one_woken = False
                    self._wake_one()
                else:
                    self._waiters.remove(turn)
                raise
            self._is_one_woken, is_first = False, True
        self._is_held = True

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_held = False
        self._wake_one()

    def _wake_one(self) -> None:
        if self._waiters and not self._is_held and not self._is_one_woken:
            self._is_one_woken = True
            self._waiters.popleft().set()
