"""Group commit: `fsync` requests that arrive while one is running share the next one.

A running sync may have looked at the journal before a request's own write, so a request that
arrives meanwhile waits for the one after it; all of those wait for the same one.
"""

from collections.abc import Awaitable, Callable

import trio

from pyi_fs.engine.branch import Branch


class _Batch:
    """The requests that one sync answers."""

    def __init__(self) -> None:
        self.is_done = False
        self.error: Exception | None = None


class GroupSync:
    """Makes one branch durable for everyone who asks."""

    def __init__(self, run_in_thread: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Keeps how to leave the loop."""
        self._run_in_thread = run_in_thread
        self._locks: dict[int, trio.Lock] = {}
        self._waiting: dict[int, _Batch] = {}

    async def sync(self, branch: Branch) -> None:
        """Returns when everything acknowledged before the call is durable.

        Raises what the sync raised.
        """
        key = id(branch)
        batch = self._waiting.get(key)
        if batch is None:
            batch = self._waiting[key] = _Batch()
        lock = self._locks.setdefault(key, trio.Lock())
        try:
            async with lock:
                if self._waiting.get(key) is batch:
                    # Whoever comes from now on waits for the next one.
                    del self._waiting[key]
                if not batch.is_done:
                    await self._run(branch, batch)
        finally:
            if not lock.statistics().tasks_waiting and not lock.locked():
                self._locks.pop(key, None)
        if batch.error is not None:
            raise batch.error

    async def _run(self, branch: Branch, batch: _Batch) -> None:
        try:
            await self._run_in_thread(branch.sync)
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits for this sync
            batch.error = error
        batch.is_done = True
