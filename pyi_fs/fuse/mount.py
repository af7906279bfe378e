"""One session at one mountpoint: its requests and background tasks, in one nursery.

A process may have several, of which each ends by itself; signals are for all (`Shared`).
"""

import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import trio

from pyi_fs import limits
from pyi_fs.control.session import Session
from pyi_fs.engine.branch import Branch
from pyi_fs.errors import PyiError, UnsupportedError
from pyi_fs.fuse import device, transports
from pyi_fs.fuse.device import DeviceOptions, Mounted
from pyi_fs.fuse.ledger import Ledger, MemoryLedger, NoLedger, Word
from pyi_fs.fuse.letting_go import let_go_of_unused
from pyi_fs.fuse.mounted_inside import MountedInside
from pyi_fs.fuse.polling import Polling
from pyi_fs.fuse.polling_tokens import PollingTokens
from pyi_fs.fuse.spare_cores import spare_cores
from pyi_fs.fuse.state import MountState
from pyi_fs.fuse.translate import report
from pyi_fs.fuse.transports import Transport
from pyi_fs.fuse.writeback import KernelFlush
from pyi_fs.model.mutation import Reap

log = logging.getLogger(__name__)

# A mount that was taken away while files are open is served this much longer, so that they can be
# closed.
_LINGER_SECONDS = 2.0
# Service managers kill what has not ended some 90 s after their signal.
_FLUSH_SECONDS_MAX = 60.0
# A background task that a mistake has ended begins anew after this: else nothing would be synced.
_AGAIN_SECONDS = 5.0


@dataclass(frozen=True)
class MountOptions:
    """How to mount. `spin_us`: how long to poll for the next request.

    `sync_interval`: how often what was written is made durable, by one of the tasks of `serve`.

    `transport`: a name of `transports.NAMES`.

    `snapshot_every`: seconds, None for never.

    `writeback`: the kernel's writeback cache; `options`: more words for mount(2), as in fstab.
    """

    fsname: str
    allow_other: bool = False
    writeback: bool = False
    transport: str = transports.AUTO
    spin_us: float = 50.0
    sync_interval: float = limits.SYNC_INTERVAL_SECONDS
    snapshot_every: float | None = None
    read_ahead_kb: int = 1024
    options: tuple[str, ...] = ()


class Holder(Protocol):
    """Keeps a mount when its server dies, and starts the next one (decision 0008)."""

    @property
    def is_begun(self) -> bool:
        """Returns whether there is somebody to start another server."""

    def begin(self, mounted: Mounted, ledger: MemoryLedger) -> None:
        """Is given what it is to keep; requests are answered from now on."""

    def end(self) -> None:
        """Is told that the mount has ended, and everything is durable."""


@dataclass(frozen=True)
class Continued:
    """A mount whose server died, and what that has noted."""

    mounted: Mounted
    ledger: MemoryLedger


class Shared:
    """What the sessions of one process share; see `shared_until_signal`."""

    def __init__(self) -> None:
        """Opens nothing yet."""
        self.polling = Polling(PollingTokens(spare_cores()))
        self.ending = trio.Event()
        """Set when all of them are to be unmounted."""


@asynccontextmanager
async def shared_until_signal() -> AsyncIterator[Shared]:
    """Gives what sessions share; SIGTERM or SIGINT ends them all, a second one the process.

    In the main thread. From the beginning: a signal must not find the default action.
    """
    shared, failed = Shared(), None
    async with trio.open_nursery() as nursery:
        await nursery.start(_end_on_signal, shared)
        try:
            yield shared
        except BaseException as error:  # noqa: BLE001 - it must not become one of a group
            failed = error
        nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def serve(
    session: Session,
    mountpoint: Path | Mounted,
    options: MountOptions,
    shared: Shared,
    *,
    ready: Callable[[], None],
    tasks: Sequence[Callable[[], Awaitable[None]]] = (),
    holder: Holder | None = None,
    continued: Continued | None = None,
) -> None:
    """Mounts, answers until the mount is gone, and leaves everything durable.

    `mountpoint`: where, or a mount just made. `ready` is called once requests are answered. `tasks`
    run beside them and are cancelled at the end; what one raises is logged and ends that task
    alone. `OSError` or `PyiError` if it cannot be mounted.

    `holder`: what is to keep the mount if this process dies; used where kernel and transport allow
    it. A mistake of ours that ends the loop is then raised without unmounting. `continued`: goes on
    with this mount instead of making one.
    """
    mounted, ledger = (
        _mounted(session, mountpoint, options, holder)
        if continued is None
        else (continued.mounted, continued.ledger)
    )

    def greeted() -> None:
        if holder is not None and isinstance(ledger, MemoryLedger) and transport.has_resend:
            holder.begin(mounted, ledger)
        ready()

    try:
        inside = MountedInside(mounted.number)
        transport = transports.made(
            options.transport,
            session,
            mounted.device,
            spin_us=options.spin_us,
            writeback=options.writeback,
            ready=greeted,
            polling=shared.polling,
            ledger=ledger,
            is_continued=continued is not None,
        )
    except BaseException:
        if continued is None:
            await _give_up(mounted)
        raise
    state = transport.state
    if options.writeback:
        state.flush_kernel = KernelFlush(state, mounted.mountpoint)
    session.mount_status = partial(_status, transport)
    if holder is not None:
        state.invalidation.spares_names = lambda: holder.is_begun and inside.any()
    is_over = False
    try:
        refused = await _run(transport, mounted, options, shared, tasks)
        is_over = True
    finally:
        inside.close()
        if is_over or holder is None or not holder.is_begun:
            with trio.CancelScope(shield=True):
                await _leave(state, mounted)
            if holder is not None:
                holder.end()
    if refused is not None:
        raise refused


async def _run(
    transport: Transport,
    mounted: Mounted,
    options: MountOptions,
    shared: Shared,
    tasks: Sequence[Callable[[], Awaitable[None]]],
) -> UnsupportedError | None:
    """Answers until the mount is gone; returns why it could not, if it could not."""
    state = transport.state
    refused = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_unmount_at_end, state, mounted, transport, shared)
        nursery.start_soon(let_go_of_unused, state, options.sync_interval)
        nursery.start_soon(_guarded, state.reaper.run)
        if options.writeback:
            nursery.start_soon(_flush_every, state, options.sync_interval)
        if options.snapshot_every is not None:
            every = partial(_snapshot_every, state, options.snapshot_every)
            nursery.start_soon(_guarded, every)
        for task in tasks:
            nursery.start_soon(_guarded, task)
        try:
            await transport.run()
        except UnsupportedError as error:
            refused = error
        nursery.cancel_scope.cancel()
    return refused


def _mounted(
    session: Session, mountpoint: Path | Mounted, options: MountOptions, holder: Holder | None
) -> tuple[Mounted, Ledger]:
    """Mounts; the ledger survives if there may be somebody to keep it."""
    if isinstance(mountpoint, Mounted):
        mounted = mountpoint
    else:
        mounted = device.mount(mountpoint, device_options(options, read_only=session.read_only))
    device.raise_limits(mounted.number, options.read_ahead_kb)
    is_direct = transports.chosen(options.transport) == transports.DIRECT
    return mounted, MemoryLedger() if holder is not None and is_direct else NoLedger()


def device_options(options: MountOptions, *, read_only: bool) -> DeviceOptions:
    """Returns what mount(2) is told."""
    return DeviceOptions(options.fsname, options.allow_other, read_only, options.options)


def _status(transport: Transport) -> dict[str, object]:
    state = transport.state
    return {
        "transport": transport.name,
        "orphans": state.publication.orphan_count(),
        "open_files": sum(len(handles) for _, handles in state.handles.open_files()),
        "passed_through": transport.passed_through,
        "requests": transport.requests,
        "unwritten": state.unwritten,
        "takeovers": state.ledger.words[Word.TAKEOVERS],
    }


async def _end_on_signal(
    shared: Shared, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("%s: ending all mounts of this process", signal.Signals(number).name)
            shared.ending.set()
            return


async def _unmount_at_end(
    state: MountState, mounted: Mounted, transport: Transport, shared: Shared
) -> None:
    await shared.ending.wait()
    log.info("unmounting %s", mounted.mountpoint)
    with trio.move_on_after(_FLUSH_SECONDS_MAX):
        # What is open then is cut off, and what the kernel still holds of it is lost.
        await _flush(state)
    with _reported("unmounting"):
        await _unmount(mounted)
    # Nobody uses it: the loop ends by itself. Somebody does: it ends without them.
    await trio.sleep(_LINGER_SECONDS)
    transport.stop()


async def _unmount(mounted: Mounted) -> None:
    if mounted.is_mounted():
        done = await trio.run_process(
            device.unmount_command(mounted.mountpoint), check=False, capture_stderr=True, stdin=b""
        )
        if done.returncode:
            log.error("unmount: %s", done.stderr.decode(errors="replace").strip())


async def _give_up(mounted: Mounted) -> None:
    """Unmounts what is not served: who looks there would wait while the process has others."""
    os.close(mounted.device)
    with trio.CancelScope(shield=True):
        await _unmount(mounted)


async def _leave(state: MountState, mounted: Mounted) -> None:
    """Unmounts if still mounted, reaps what nobody can hold now, and makes all durable."""
    with _reported("unmounting"):
        await _unmount(mounted)
    for branch in _live_branches(state):
        with _reported(f"leaving branch {branch.name}"):
            if branch.tree.unlinked:
                branch.commit(Reap(tuple(branch.tree.unlinked)))
            await trio.to_thread.run_sync(branch.sync)
    with _reported("leaving branches that were closed"):
        await trio.to_thread.run_sync(state.session.workspace.sync_leftovers)


@contextmanager
def _reported(what: str) -> Iterator[None]:
    """Logs what fails: the rest is to be left durable all the same."""
    try:
        yield
    except (OSError, PyiError) as error:
        report(f"{what}: {error}")
    except Exception as error:  # noqa: BLE001 - our mistake, and no reason to take a tree away
        report(f"BUG: {what}", error)


async def _flush(state: MountState) -> None:
    """Has the kernel write what it holds back; what cannot be now may be the next time."""
    with _reported("flush"):
        await state.flush()


def _live_branches(state: MountState) -> list[Branch]:
    branches = [view.branch for view in state.session.views.values()]
    return [branch for branch in branches if branch is not None and not branch.read_only]


async def _flush_every(state: MountState, seconds: float) -> None:
    """Leaves to the syncs of the background what the kernel would hold back for longer.

    It holds nothing of closed files: while none is open for writing nothing wakes this.
    """
    handles = state.handles
    while True:
        await handles.opened_for_writing.wait()
        await trio.sleep(seconds)
        handles.opened_for_writing = trio.Event()
        await _flush(state)
        if any(one.writable for _, opened in handles.open_files() for one in opened):
            handles.opened_for_writing.set()


async def _snapshot_every(state: MountState, seconds: float) -> None:
    session = state.session
    while True:
        await trio.sleep(seconds)
        await _flush(state)
        branch = session.root.branch
        if branch is None or not branch.is_changed:
            changed = trio.Event()
            session.workspace.commits.tell_at_next(changed.set)
            await changed.wait()
            continue
        with _reported("automatic snapshot"):
            session.workspace.snapshot(branch, automatic=f"every {seconds:g} s")


async def _guarded(task: Callable[[], Awaitable[None]]) -> None:
    """Runs a task beside the requests; begins it anew when a mistake of ours has ended it."""
    while True:
        try:
            await task()
            return
        except Exception as error:  # noqa: BLE001 - our mistake, and no reason to take a tree away
            report("BUG: a background task ended", error)
        await trio.sleep(_AGAIN_SECONDS)
