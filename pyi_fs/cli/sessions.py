"""The mounts that one process serves: the one it was started for, and those it was asked for since.

Each is a session of its own (`serving.Opened`): its own store, workspace, locks, holder and notes,
as if it were another process's. What there is once in a process is dealt with here: signals, the
end, and a mistake of ours, after which the successors of all go on.

Invariant: the process ends when its last session has.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from pyi_fs import limits
from pyi_fs.cli import cycles
from pyi_fs.cli.beside import Asked, take_away
from pyi_fs.cli.holder import (
    HAND_OVER,
    HAND_OVER_SIGNAL,
    fault_of_program,
    leave_to_successor,
    leaving_on_bug,
)
from pyi_fs.cli.kept_locks import KeptLocks
from pyi_fs.cli.log_file import log_beside
from pyi_fs.cli.mount_request import MountRequest
from pyi_fs.cli.process_title import set_command_line
from pyi_fs.cli.serving import Opened, opened
from pyi_fs.errors import BusyError
from pyi_fs.fuse import mount
from pyi_fs.fuse.device import Mounted
from pyi_fs.fuse.mount import Continued, Holder, Shared

log = logging.getLogger(__name__)

# Until a session that has just begun has its holder.
_LOOK_SECONDS, _LOOKS_MAX = 0.05, 100
# As many as trio gives a process.
_THREADS_EACH = 40


def serve(
    request: MountRequest,
    *,
    ready: Callable[[], None],
    note: Callable[[str], None],
    holder: Holder | None = None,
    continued: Continued | None = None,
    kept_locks: KeptLocks | None = None,
) -> None:
    """Mounts, and returns when that has ended, and all that this process was asked for since.

    Everything is durable then. `ready` is called once requests are answered; `note` before that
    with what the user should know. `PyiError` and `OSError` if it cannot be mounted. `holder`,
    `continued`, `kept_locks`: as for `serving.opened`.
    """
    first = opened(request, note=note, holder=holder, continued=continued, kept_locks=kept_locks)
    cycles.settle()
    trio.run(Sessions().run, first, ready)


@dataclass
class Start:
    """A session that is to begin; `done` when it answers.

    `where`: the first is mounted there, or is mounted already where it was asked for. `log`: a file
    for what is logged about it, None for that of the process.
    """

    opened: Opened
    where: Path | Mounted
    ready: Callable[[], None]
    log: Path | None = None
    done: trio.Event = field(default_factory=trio.Event)
    error: BaseException | None = None
    is_taken: bool = False

    def has_begun(self) -> None:
        """Requests are answered."""
        self.opened.ready()
        self.ready()
        self.done.set()


class Sessions:
    """The sessions of this process."""

    def __init__(self) -> None:
        """Begins with none."""
        self.live: list[Opened] = []
        self._had_others = False
        self._waiting = 0
        self._in, self._out = trio.open_memory_channel[Start](limits.SESSIONS_MAX)
        self._failed: BaseException | None = None
        self._ending: trio.Event | None = None

    async def run(self, first: Opened, ready: Callable[[], None]) -> None:
        """Serves the first session and those that are asked for.

        Raises why the first one did not begin, or else what has ended one of them.
        """
        async with mount.shared_until_signal() as shared, trio.open_nursery() as nursery:
            if first.holder is not None:
                nursery.start_soon(self._hand_over_on_signal, first.request.store)
            self._ending = shared.ending
            nursery.start_soon(self._begin_given, shared, nursery)
            await self._give(Start(first, first.request.mountpoint, ready))
        if self._failed is not None:
            raise self._failed

    async def _begin_given(self, shared: Shared, nursery: trio.Nursery) -> None:
        """Begins sessions from a task that answers nobody: they must not inherit who asked.

        Nothing of them is kept here.
        """
        while True:
            nursery.start_soon(self._serve, await self._out.receive(), shared, nursery)

    def _begin_beside(self, one: Opened, mounted: Mounted) -> None:
        """Serves a mount; returns once it answers, or raises why it does not. For a thread."""
        start = Start(one, mounted, lambda: None, one.request.log)
        try:
            trio.from_thread.run(self._begun, start)
        except BaseException:
            if not start.is_taken:
                take_away(mounted)
                one.close()
            raise

    async def _give(self, start: Start) -> None:
        """Has a session begun."""
        self._waiting += 1
        start.is_taken = True
        self._in.send_nowait(start)

    async def _begun(self, start: Start) -> None:
        """Has a session begun, and returns once it answers; raises why it does not."""
        if self._ending is not None and self._ending.is_set():
            raise BusyError("this process is about to end, with all its mounts")
        await self._give(start)
        await start.done.wait()
        if start.error is not None:
            raise start.error

    async def _serve(self, start: Start, shared: Shared, nursery: trio.Nursery) -> None:
        one = start.opened
        self.live.append(one)
        self._waiting -= 1
        self._has_changed()
        try:
            await self._serve_to_the_end(start, shared)
        except Exception as error:  # noqa: BLE001 - told once the others have ended, too
            start.error = error
            # Who asked for another one is told why it did not begin.
            if start.done.is_set() or not isinstance(start.where, Mounted):
                self._failed = self._failed or error
        self.live.remove(one)
        self._has_changed()
        start.done.set()
        if not self.live and not self._waiting:
            nursery.cancel_scope.cancel()
        elif not shared.ending.is_set():
            nursery.start_soon(_let_go)

    def _has_changed(self) -> None:
        """Gives threads and the line in ps(1) to as many sessions as there are now."""
        limiter = trio.to_thread.current_default_thread_limiter()
        # A disk that keeps all threads of one waiting keeps none of the others'.
        limiter.total_tokens = _THREADS_EACH * max(1, len(self.live))
        self._had_others = self._had_others or len(self.live) > 1
        if self._had_others and self.live:
            request, more = self.live[0].request, len(self.live) - 1
            words = [f"(and {more} more)"] if more else []
            set_command_line(["pyi-mount", str(request.where), str(request.mountpoint), *words])

    async def _serve_to_the_end(self, start: Start, shared: Shared) -> None:
        one = start.opened
        one.session.beside = Asked(one, self.live, self._begin_beside)
        beside = None if start.log is None else log_beside(start.log)
        try:
            with leaving_on_bug(one.holder):
                await mount.serve(
                    one.session,
                    start.where,
                    one.options,
                    shared,
                    ready=start.has_begun,
                    tasks=one.tasks,
                    holder=one.holder,
                    continued=one.continued,
                )
        except Exception:
            if start.done.is_set():
                log.exception("BUG: the session at %s failed", one.request.mountpoint)
            raise
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(one.close)
            if beside is not None:
                beside.close()

    async def _hand_over_on_signal(self, store: Path) -> None:
        """Ends this process at `HAND_OVER_SIGNAL`, between two requests: the next ones go on.

        Unless the program as it is installed now could not: then who asked is told why.
        """
        with trio.open_signal_receiver(HAND_OVER_SIGNAL) as signals:
            async for _ in signals:
                fault = await fault_of_program(store)
                if not fault and await self._are_kept():
                    log.info("making room for the next server")
                    leave_to_successor(HAND_OVER)
                fault = fault or "a mount that its process serves has no holder (any more)"
                log.error("no room is made for the next server: %s", fault)
                for one in self.live:
                    one.refuse_upgrade(fault)

    async def _are_kept(self) -> bool:
        """Returns whether each session has somebody to start its next server, now."""
        for _ in range(_LOOKS_MAX):
            if not self._waiting and all(one.notes_version for one in self.live):
                return True
            await trio.sleep(_LOOK_SECONDS)
        return False


async def _let_go() -> None:
    """Frees what a session had, once its task has ended."""
    await trio.lowlevel.checkpoint()
    cycles.let_go()
