"""The event loop as pyfuse3 sees it: trio, with two things done faster.

pyfuse3 takes its event-loop module from its own name `trio`; that is how `pyfuse3.asyncio` works.
This object stands there and hands everything on to trio but

- `Lock`, which pyfuse3 takes once a request: without a yield point when nobody holds it, also if
  others wait for it;
- `lowlevel.wait_readable`: what a serial client waits for is the wake-up of an idle core, twice a
  request, so the device is polled for a bounded moment before the loop sleeps (create+write+close
  270 us -> 131 us, design.md 3).

Fairness: every 64th request goes through trio's own wait, so that timers, signals and other tasks
run; while a worker thread is out (`run_in_thread`), or a task has something to do, every request
does, since its answer arrives through trio; and so does every one that finds another mount's, where
a process serves several (`fuse/polling.py`). Idle costs nothing: when the last few polls found
nothing there is no more polling, until requests come close together again. Each time that was in
vain it takes twice as many of them: where all cores are busy the client waits for the very core
that polls, and its request comes as soon as the loop sleeps. Who polls holds one
of the machine's tokens (`fuse/polling_tokens.py`), from the first poll to the next real wait, every
64 requests at the latest, when others get their turn; without one this mount sleeps at once.
"""

import time
from collections.abc import Callable
from typing import Any

import trio

from pyi_fs.fuse.polling import Polling
from pyi_fs.fuse.yieldless_lock import YieldlessLock

# A real yield costs 12 us; one in 64 requests is 0.2 us each, and 64 requests are about 2 ms of
# other tasks' patience.
_YIELD_EVERY = 64
# Polls in a row that may find nothing: 4 times 50 us are lost when a client goes away.
_MISSES_MAX = 4
# Requests that came close together, after which polling is tried again: 200 us lost in some 40 ms.
_PATIENCE_MAX = 1024


class _Lowlevel:
    """`trio.lowlevel` with a waiting of our own."""

    def __init__(self, wait_readable: Callable[[int], Any]) -> None:
        self.wait_readable = wait_readable

    def __getattr__(self, name: str) -> Any:
        return getattr(trio.lowlevel, name)


class Facade:
    """Stands in for the module `trio`. `spin_us`: how long to poll before sleeping, 0 for never."""

    Lock = YieldlessLock

    def __init__(
        self,
        spin_us: float,
        polling: Polling,
        *,
        before_wait: Callable[[], bool] | None = None,
    ) -> None:
        """`polling`: what this loop shares with others of its process.

        `before_wait` is called before each wait until it returns True.
        """
        self.lowlevel = _Lowlevel(self.wait_readable)
        self._spin_seconds = spin_us * 1e-6
        self._polling = polling
        self._tokens = polling.tokens
        self._device = -1
        self._before_wait = before_wait
        self._turn = 0
        self._misses = 0
        self._patience = 1
        self._close = 0
        self.was_there = False
        """The last request was there at once: its client has the same core, or there are many."""
        self._is_resting = False
        self.before_sleep: Callable[[], None] | None = None
        """Called before the loop lets others run, or sleeps: nothing has been there to read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(trio, name)

    async def run_in_thread(
        self, function: Callable[..., Any], *arguments: Any, abandonable: bool = False
    ) -> Any:
        """Returns what a blocking function returns.

        Meanwhile requests go on and nothing is polled. `abandonable`: who is cancelled does not
        wait for it.
        """
        self.begin_task()
        try:
            return await trio.to_thread.run_sync(
                function, *arguments, abandon_on_cancel=abandonable
            )
        finally:
            self.end_task()

    def close(self) -> None:
        """Gives up what the loop has for itself, and its place in polls: no more waiting."""
        if self._device >= 0:
            self._polling.remove(self._device)
            self._device = -1

    def begin_task(self) -> None:
        """A task has something to do beside the loop: until `end_task`, the loop yields to it."""
        self._polling.others += 1

    def end_task(self) -> None:
        """The task is done."""
        self._polling.others -= 1

    def is_ready(self, device: int) -> bool:
        """Returns whether to read a request now, without letting others run; polls for one.

        Where the last one was there at once the next one is, too, as a rule: the client has the
        same core, or there are many. That saves a system call; whoever finds nothing then says so
        by `was_not_ready`. After False it is time for `sleep`.
        """
        self._is_resting = self._misses >= _MISSES_MAX
        self._turn += 1
        if self._polling.others or not self._turn % _YIELD_EVERY:
            return False
        return self.was_there or self._is_ready_soon(device)

    def was_not_ready(self) -> None:
        """Nothing was there to read: from now on it is waited for again."""
        self.was_there = False

    async def wait_readable(self, device: int) -> None:
        """Returns when the device has a request."""
        if self._before_wait is not None and self._before_wait():
            self._before_wait = None
        self.was_there = False
        if not self.is_ready(device):
            await self.sleep(device)

    async def sleep(self, device: int) -> None:
        """Lets others run; returns when the device has a request."""
        if self.before_sleep is not None:
            self.before_sleep()
        if self._tokens.is_held:
            self._tokens.give_back()
        started = time.perf_counter()
        await trio.lowlevel.wait_readable(device)
        if self._is_resting and time.perf_counter() - started < 2 * self._spin_seconds:
            # A poll would have found this one, give or take the wake-up, if its client could run.
            self._reconsider()

    def _reconsider(self) -> None:
        """Counts a request that came soon when the loop slept at once; polls again after enough."""
        self._close += 1
        if self._close >= self._patience:
            self._close = self._misses = 0
            self._patience = min(2 * self._patience, _PATIENCE_MAX)

    def _is_ready_soon(self, device: int) -> bool:
        polling = self._polling
        if self._device < 0:
            self._device = device
            polling.add(device)
        poll = polling.poll
        found = poll(0)
        if found:
            # Whose turn it is where others are served, too, is found out each time.
            self.was_there = not polling.is_shared
            return polling.is_for(device, found)
        self.was_there = False
        if self._spin_seconds <= 0 or self._misses >= _MISSES_MAX or not self._tokens.take():
            return False
        end = time.perf_counter() + self._spin_seconds
        while time.perf_counter() < end:
            found = poll(0)
            if found:
                if not polling.is_for(device, found):
                    return False
                self._misses = 0
                self._patience = max(self._patience // 2, 1)
                return True
        self._misses += 1
        return False
