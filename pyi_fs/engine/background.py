"""What runs beside a mount's requests: syncing, giving scratch back, checkpoints, sealing.

One trio task; heavy work in worker processes.

An idle workspace costs nothing: the task sleeps until a branch commits, then looks once a tick
until there is nothing left to do. Invariant: nothing here blocks the event loop for more than a few
ms; what waits for a disk is in a thread, what computes is in a process.
"""

import logging
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from pyi_fs import limits
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.checkpointing import is_due
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import PyiError
from pyi_fs.ids import BranchName, SegmentId, SnapshotId, layer_name

logger = logging.getLogger(__name__)

# Often enough that garbage stays at a few hundred MB under the fastest rewriter, seldom enough to
# be invisible (0.1 % of a core).
_TICK_SECONDS = 0.25
# A disk that refused is asked again after this: often enough to go on soon, seldom enough for the
# log.
_FAILED_SECONDS = 5.0
# Two checkpoints of one branch are at least so far apart: a table of 200,000 files takes about 1 s
# of a core.
_CHECKPOINT_SECONDS_MIN = 10.0
# How often closed segments are counted while somebody writes: a directory listing for each layer.
_LOOK_SECONDS = 5.0
# A named snapshot is likely kept: its content root is computed when nobody is waiting for the core.
_ROOT_IDLE_SECONDS = 5.0
_RECLAIM_BYTES_MIN = 16 * 1024 * 1024


class Background:
    """The background work of one process's workspace."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        worker: Sequence[str],
        sync_interval: float = limits.SYNC_INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`worker`: the command line of the worker program; its arguments are appended."""
        self._workspace = workspace
        self._worker = tuple(worker)
        self._sync_interval = sync_interval
        self._clock = clock
        self._activity = trio.Event()
        self._unsynced_since: dict[BranchName, float] = {}
        self._last_activity = clock()
        self._checkpointed: dict[str, float] = {}
        self._rooted: set[SnapshotId] = set()
        self._looked_at = clock()
        self._has_failed = False

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            self._activity = trio.Event()
            self._workspace.wake = self._wake
            for branch in self._workspace.opened_branches():
                branch.wake = self._wake
            if await self._tick():
                await trio.sleep(_FAILED_SECONDS if self._has_failed else _TICK_SECONDS)
            else:
                await self._activity.wait()

    def _wake(self) -> None:
        self._last_activity = self._clock()
        self._activity.set()

    async def _tick(self) -> bool:
        """Does what is due; returns whether there will be more without anything happening."""
        self._has_failed = False
        pending = False
        for branch in self._workspace.opened_branches():
            for work in (self._reclaim, self._sync, self._checkpoint):
                pending |= await self._tried(f"branch {branch.name}", partial(work, branch))
        for further in (self._seal, self._root):
            pending |= await self._tried("sealing", further)
        return pending

    async def _tried(self, what: str, work: Callable[[], Awaitable[bool]]) -> bool:
        """Does one piece of work.

        One that fails is tried again, and keeps nothing else from its turn.
        """
        try:
            return await work()
        except (OSError, PyiError) as error:
            # A full or failing disk: what was acknowledged is still there.
            logger.warning("background work on %s: %s", what, error)
        except Exception:
            # A bug in one round must not be the end of all later ones: nothing would be synced.
            logger.exception("background work on %s", what)
        self._has_failed = True
        return True

    async def _sync(self, branch: Branch) -> bool:
        branch.tidy()
        if branch.is_synced and self._workspace.log.is_synced:
            self._unsynced_since.pop(branch.name, None)
            return False
        now = self._clock()
        if now - self._unsynced_since.setdefault(branch.name, now) >= self._sync_interval:
            await trio.to_thread.run_sync(branch.sync)
            del self._unsynced_since[branch.name]
        return True

    async def _reclaim(self, branch: Branch) -> bool:
        writer = branch.writer
        if writer is None or writer.scratch.garbage_bytes < _RECLAIM_BYTES_MIN:
            return False
        before = writer.scratch.returned_bytes
        await trio.to_thread.run_sync(branch.reclaim)
        if (
            writer.scratch.returned_bytes == before
            and writer.scratch.garbage_bytes >= limits.GARBAGE_BYTES_MAX
        ):
            await trio.to_thread.run_sync(branch.sync)
            await trio.to_thread.run_sync(branch.reclaim)
        return writer.scratch.returned_bytes > before

    async def _checkpoint(self, branch: Branch) -> bool:
        if not is_due(branch):
            return False
        now = self._clock()
        if (
            now - self._checkpointed.get(branch.name, -_CHECKPOINT_SECONDS_MIN)
            < _CHECKPOINT_SECONDS_MIN
        ):
            return True
        self._checkpointed[branch.name] = now
        await self.checkpoint(branch)
        return True

    async def checkpoint(self, branch: Branch) -> None:
        """Rolls a branch to a new layer and has the base of that layer written.

        Requests go on meanwhile.
        """
        position, frozen = branch.roll()
        layer = branch.position.layer
        await trio.to_thread.run_sync(branch.sync)
        if await self._work(
            "table", layer_name(layer), layer_name(position.layer), str(position.offset)
        ):
            base = self._workspace.store.layers.base(layer)
            if base is not None:
                branch.rebase(frozen, base)

    async def _seal(self) -> bool:
        """Seals what is closed when it is much, or when nobody has written for a while."""
        is_idle = self._clock() - self._last_activity >= limits.SEAL_IDLE_SECONDS
        if is_idle:
            for branch in self._workspace.opened_branches():
                if branch.writer is not None:
                    branch.writer.scratch.close_current()
        elif self._clock() - self._looked_at < _LOOK_SECONDS:
            return self._has_scratch()
        self._looked_at = self._clock()
        closed = self._closed_segments()
        if not closed:
            return self._has_scratch()
        if not is_idle and sum(closed.values()) < limits.SEAL_PRESSURE_BYTES:
            return True
        await self.seal(list(closed))
        return True

    async def _root(self) -> bool:
        """Has content roots of named snapshots computed, once each, in a quiet moment."""
        wanted = [
            snapshot.id
            for snapshot in self._workspace.refs.ordered()
            if snapshot.name and snapshot.root is None and snapshot.id not in self._rooted
        ]
        if not wanted:
            return False
        if self._clock() - self._last_activity < _ROOT_IDLE_SECONDS:
            return True
        self._rooted.update(wanted)
        await self._work("root", self._workspace.name, *wanted)
        return False

    async def seal(self, segments: list[SegmentId]) -> None:
        """Has closed segments sealed; requests go on meanwhile."""
        for branch in self._workspace.opened_branches():
            for writer in branch.writers():
                writer.scratch.hand_over(segments)
            await trio.to_thread.run_sync(branch.sync)
        if await self._work("seal", *(f"{segment:x}" for segment in segments)):
            for segment in segments:
                self._workspace.store.layers.forget_segment(segment)

    def _closed_segments(self) -> dict[SegmentId, int]:
        """Returns the segments that get no more data, with sizes, of all layers written here."""
        closed: dict[SegmentId, int] = {}
        for branch in self._workspace.opened_branches():
            writers = branch.writers()
            for writer in writers:
                closed.update(writer.scratch.closed_segments())
            written = {segment for writer in writers for segment in writer.scratch.segments()}
            for layer in sorted(branch.closed_layers):
                sizes = self._workspace.store.layers.segment_sizes(layer)
                closed.update({key: size for key, size in sizes.items() if key not in written})
                if not sizes and all(writer.layer != layer for writer in writers):
                    branch.closed_layers.discard(layer)
        return closed

    def _has_scratch(self) -> bool:
        return any(
            writer.scratch.has_data
            for branch in self._workspace.opened_branches()
            for writer in branch.writers()
        )

    async def _work(self, *arguments: str) -> bool:
        command = [*self._worker, *arguments]
        try:
            done = await trio.run_process(
                command,
                stdin=subprocess.DEVNULL,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
        except OSError as error:
            logger.warning("no worker process: %s", error)
            return False
        if done.returncode:
            logger.warning(
                "worker %s ended with %d: %s",
                arguments[0],
                done.returncode,
                done.stderr.decode(errors="replace")[-2000:],
            )
        return done.returncode == 0
