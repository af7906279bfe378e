"""What runs beside a mount's requests: syncing, reclaiming, checkpoints, sealing, collecting.

Three trio tasks: one keeps what was written durable and small, one has heavy work done in worker
processes, one has the store collected. None waits for another: a seal of a minute is no reason to
sync later.

An idle workspace costs nothing: each task sleeps until the moment at which something will be due,
and if there is none, until a branch commits. Invariant: nothing here blocks the event loop for more
than a few ms; what waits for a disk is in a thread, what computes is in a process.
"""

import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from pyi_fs import limits
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.checkpointing import is_due, put_under
from pyi_fs.engine.collecting import is_due as is_collection_due
from pyi_fs.engine.gc_record import read_record
from pyi_fs.engine.given_up import KEPT_NS
from pyi_fs.engine.making_ahead import keep_spares
from pyi_fs.engine.workers import Workers
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import PyiError
from pyi_fs.ids import BranchName, SegmentId, SnapshotId, layer_name
from pyi_fs.model.refs import Refs
from pyi_fs.store import layout
from pyi_fs.store.layer_writer import LayerWriter

logger = logging.getLogger(__name__)

# While somebody writes: often enough that garbage stays at a few hundred MB under the fastest
# rewriter if the disk keeps up (1.2 GB while five others write there), seldom enough to be
# invisible (0.1 % of a core).
_TICK_SECONDS = 0.25
# A disk that refused is asked again after this: often enough to go on soon, seldom enough for the
# log.
_FAILED_SECONDS = 5.0
# A seal that failed is tried again after this, twice as long each time: a worker costs 0.1 s of a
# core, and damage does not mend itself.
_SEAL_FAILED_SECONDS = 60.0
_SEAL_FAILED_SECONDS_MAX = 3600.0
# Two checkpoints of one branch are at least so far apart: a table of 200,000 files takes about 1 s
# of a core.
_CHECKPOINT_SECONDS_MIN = 10.0
# How often closed segments are counted while somebody writes: a directory listing for each layer.
_LOOK_SECONDS = 5.0
# A named snapshot is likely kept: its content root is computed when nobody is waiting for the core.
_ROOT_IDLE_SECONDS = 5.0
_RECLAIM_BYTES_MIN = 16 * 1024 * 1024
_NEVER = math.inf


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
        self._workers = Workers(worker)
        self._sync_interval = sync_interval
        self._clock = clock
        # Garbage that was left when all that could be was given back.
        self._tight: dict[BranchName, int] = {}
        self._unsynced_since: dict[BranchName, float] = {}
        self._left_since: float | None = None
        self._last_activity = clock()
        self._checkpointed: dict[str, float] = {}
        self._rooted: set[SnapshotId] = set()
        self._rooted_refs: Refs | None = None
        self._looked_at = clock()
        self._seal_not_before = -_NEVER
        self._seal_failed_seconds = _SEAL_FAILED_SECONDS
        # A share of the pause, so that the mounts of a store do not all look at once.
        self._collect_look_at = clock() + limits.COLLECT_LOOK_SECONDS * random.random()
        # Segments that a sealer left as they are.
        self._unsealed: set[SegmentId] = set()
        self._released_ns = 0

    async def run(self) -> None:
        """Runs until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._repeat, self._keep)
            nursery.start_soon(self._repeat, self._work)
            nursery.start_soon(self._repeat, self._collect)
            nursery.start_soon(keep_spares, self._workspace.store.layers.spares)

    async def _repeat(self, work: Callable[["_Round"], Awaitable[None]]) -> None:
        """Does rounds: at once after a commit, and when the last one said that something is due."""
        changed: trio.Event | None = None
        while True:
            if changed is None or changed.is_set():
                changed = trio.Event()
                self._workspace.commits.tell_at_next(partial(self._changed, changed))
            began, round_ = trio.current_time(), _Round()
            try:
                await work(round_)
            except Exception:
                # A bug between the pieces of work, as in one of them (`_Round.do`).
                logger.exception("a round of background work")
                round_.has_failed = True
            if round_.has_failed:
                await trio.sleep(_FAILED_SECONDS)
                continue
            with trio.move_on_after(round_.delay):
                await changed.wait()
            await trio.sleep(max(0.0, began + _TICK_SECONDS - trio.current_time()))

    def _changed(self, event: trio.Event) -> None:
        self._last_activity = self._clock()
        event.set()

    async def _keep(self, round_: "_Round") -> None:
        """Syncs and gives back."""
        for branch in self._workspace.opened_branches():
            for work in (self._reclaim, self._sync):
                await round_.do(f"branch {branch.name}", partial(work, branch))
        await round_.do("branches that were closed", self._sync_leftovers)

    async def _work(self, round_: "_Round") -> None:
        """Checkpoints, seals, computes roots."""
        for branch in self._lasting_branches():
            await round_.do(f"branch {branch.name}", partial(self._checkpoint, branch))
        await round_.do("sealing", self._seal)
        await round_.do("content roots", self._root)
        await round_.do("memory", self._release)

    async def _collect(self, round_: "_Round") -> None:
        """Has the store collected when that is due."""
        await round_.do("collecting", self._collect_when_due)

    async def _collect_when_due(self) -> float:
        """Looks, and returns when to look again."""
        now = self._clock()
        if now < self._collect_look_at:
            return self._collect_look_at - now
        # The next look is after something was written: what nobody writes does not grow.
        self._collect_look_at = now + limits.COLLECT_LOOK_SECONDS
        storage = self._workspace.store.storage
        # Whoever removed them: a file that this process has mapped has its blocks.
        self._workspace.history.forget_removed_tables()
        try:
            reason = is_collection_due(storage)
        except (OSError, PyiError) as error:
            # Settings that make no sense, say: no reason to ask again before something is written.
            logger.warning("the store is not collected: %s", error)
            return _NEVER
        if reason is not None and await self._workers.do("gc"):
            self._workspace.history.forget_removed_tables()
            record = read_record(storage)
            if record is not None:
                freed = f"{record.snapshots} snapshots deleted, {record.freed_bytes} bytes freed"
                logger.info("collection (%s): %s", record.reason, freed)
        return _NEVER

    async def _sync(self, branch: Branch) -> float:
        branch.tidy()
        if (branch.is_ephemeral or branch.is_synced) and self._workspace.log.is_synced:
            self._unsynced_since.pop(branch.name, None)
            return _NEVER
        now = self._clock()
        due = self._unsynced_since.setdefault(branch.name, now) + self._sync_interval
        if now < due:
            return due - now
        sync = self._workspace.log.sync if branch.is_ephemeral else branch.sync
        await trio.to_thread.run_sync(sync)
        self._unsynced_since.pop(branch.name, None)
        # Not all of it if somebody wrote meanwhile.
        return 0.0

    async def _sync_leftovers(self) -> float:
        """Syncs what a drop left an interval ago: `undo` may come back to it."""
        if not self._workspace.leftovers.has_closed:
            self._left_since = None
            return _NEVER
        now = self._clock()
        if self._left_since is None:
            self._left_since = now
        due = self._left_since + self._sync_interval
        if now < due:
            return due - now
        await trio.to_thread.run_sync(self._workspace.sync_leftovers)
        self._left_since = None
        return 0.0

    async def _reclaim(self, branch: Branch) -> float:
        writer = branch.writer
        if writer is None:
            return _NEVER
        if writer.scratch.garbage_bytes < _RECLAIM_BYTES_MIN:
            return await self._reclaim_on_tight_disk(branch, writer)
        before = writer.scratch.returned_bytes
        await trio.to_thread.run_sync(branch.reclaim)
        if writer.scratch.returned_bytes > before:
            return 0.0
        # All of it waits for a sync.
        if writer.scratch.garbage_bytes < limits.GARBAGE_BYTES_MAX:
            return await self._reclaim_on_tight_disk(branch, writer)
        await trio.to_thread.run_sync(branch.sync)
        await trio.to_thread.run_sync(branch.reclaim)
        return 0.0 if writer.scratch.returned_bytes > before else _NEVER

    async def _reclaim_on_tight_disk(self, branch: Branch, writer: LayerWriter) -> float:
        """Gives back what there is, however little: who removed something waits for the room."""
        scratch = writer.scratch
        garbage_bytes, returned_bytes = scratch.garbage_bytes, scratch.returned_bytes
        if (
            garbage_bytes != self._tight.get(branch.name, 0)
            and self._workspace.store.storage.free_bytes() < limits.TIGHT_DISK_BYTES
        ):
            scratch.close_current()
            await trio.to_thread.run_sync(branch.sync)
            await trio.to_thread.run_sync(partial(writer.reclaim, everything=True))
            # Of what was there before: what came meanwhile is for the next round.
            self._tight[branch.name] = garbage_bytes - (scratch.returned_bytes - returned_bytes)
        return _NEVER

    async def _checkpoint(self, branch: Branch) -> float:
        if not is_due(branch):
            return _NEVER
        now = self._clock()
        due = self._checkpointed.get(branch.name, -_NEVER) + _CHECKPOINT_SECONDS_MIN
        if now < due:
            return due - now
        self._checkpointed[branch.name] = now
        await self.checkpoint(branch)
        return 0.0

    async def checkpoint(self, branch: Branch) -> None:
        """Rolls a branch to a new layer and has the base of that layer written.

        Requests go on meanwhile.
        """
        position, frozen = branch.roll()
        layer = branch.position.layer
        await trio.to_thread.run_sync(branch.sync)
        await self._workers.do(
            "table",
            layer_name(layer),
            layer_name(position.layer),
            str(position.offset),
            outlives=True,
        )
        # Also of a worker that was killed when it had written it.
        base = self._workspace.store.layers.base(layer)
        if base is not None:
            put_under(self._workspace, frozen, base)

    async def _seal(self) -> float:
        """Seals what is closed when it is much, or when nobody has written for a while."""
        now = self._clock()
        idle_at = self._last_activity + limits.SEAL_IDLE_SECONDS
        if now < self._seal_not_before:
            return self._seal_not_before - now
        if now >= idle_at:
            for branch in self._lasting_branches():
                if branch.writer is not None:
                    branch.writer.scratch.close_current()
        elif now - self._looked_at < _LOOK_SECONDS:
            return idle_at - now if self._has_scratch() else _NEVER
        self._looked_at = now
        closed = self._closed_segments()
        if now < idle_at and sum(closed.values()) < limits.SEAL_PRESSURE_BYTES:
            return idle_at - now if closed or self._has_scratch() else _NEVER
        if not closed:
            return _NEVER
        if await self.seal(list(closed)):
            self._seal_failed_seconds = _SEAL_FAILED_SECONDS
            return 0.0
        delay = self._seal_failed_seconds
        self._seal_not_before = self._clock() + delay
        self._seal_failed_seconds = min(2 * delay, _SEAL_FAILED_SECONDS_MAX)
        return delay

    async def _root(self) -> float:
        """Has content roots of named snapshots computed, once each, in a quiet moment."""
        refs = self._workspace.refs
        if refs is self._rooted_refs:
            return _NEVER
        named = (refs.snapshots[id_] for id_ in refs.names.values())
        wanted = [one.id for one in named if one.root is None and one.id not in self._rooted]
        quiet_at = self._last_activity + _ROOT_IDLE_SECONDS
        if wanted and self._clock() < quiet_at:
            return quiet_at - self._clock()
        self._rooted_refs = refs
        if wanted:
            self._rooted.update(wanted)
            await self._workers.do("root", self._workspace.name, *wanted)
        return _NEVER

    async def _release(self) -> float:
        """Has the memory of dropped ephemeral branches given back, once `undo` is over."""
        refs = self._workspace.refs
        known = (*refs.branches.values(), *refs.shadowed.values())
        dropped = [ref.dropped_ns for ref in known if ref.ephemeral and ref.dropped]
        waiting = [one for one in dropped if one > self._released_ns]
        if not waiting or self._workspace.store.storage.memory is None:
            return _NEVER
        now_ns = time.time_ns()
        delay: float = (min(waiting) + KEPT_NS - now_ns) / 1e9
        if delay > 0:
            return delay
        self._released_ns = now_ns - KEPT_NS
        await self._workers.do("release")
        return 0.0

    async def seal(self, segments: list[SegmentId]) -> bool:
        """Has closed segments sealed, and returns whether they were; requests go on meanwhile."""
        for branch in self._lasting_branches():
            for writer in branch.writers():
                writer.scratch.hand_over(segments)
            await trio.to_thread.run_sync(branch.sync)
        if not await self._workers.do("seal", *(f"{segment:x}" for segment in segments)):
            return False
        store = self._workspace.store
        for segment in segments:
            store.layers.forget_segment(segment)
            if store.storage.exists(layout.scratch(segment)):
                self._unsealed.add(segment)
        return True

    def _closed_segments(self) -> dict[SegmentId, int]:
        """Returns the segments that get no more data, with sizes, of all layers written here."""
        closed: dict[SegmentId, int] = {}
        for branch in self._lasting_branches():
            writers = branch.writers()
            for writer in writers:
                closed.update(writer.scratch.closed_segments())
            written = {segment for writer in writers for segment in writer.scratch.segments()}
            for layer in sorted(branch.closed_layers):
                sizes = self._workspace.store.layers.segment_sizes(layer)
                sizes = {key: size for key, size in sizes.items() if key not in self._unsealed}
                closed.update({key: size for key, size in sizes.items() if key not in written})
                if not sizes and all(writer.layer != layer for writer in writers):
                    branch.closed_layers.discard(layer)
        return closed

    def _lasting_branches(self) -> list[Branch]:
        """Returns the branches whose work is likely kept: nothing is put in order for others."""
        return [one for one in self._workspace.opened_branches() if not one.is_ephemeral]

    def _has_scratch(self) -> bool:
        return any(
            writer.scratch.has_data
            for branch in self._lasting_branches()
            for writer in branch.writers()
        )


class _Round:
    """One look at what is due; each piece of work says in how many seconds there will be more."""

    def __init__(self) -> None:
        self.delay = _NEVER
        self.has_failed = False

    async def do(self, what: str, work: Callable[[], Awaitable[float]]) -> None:
        """Does one piece of work. One that fails keeps nothing else from its turn."""
        try:
            self.delay = min(self.delay, await work())
        except (OSError, PyiError) as error:
            # A full or failing disk: what was acknowledged is still there.
            logger.warning("background work on %s: %s", what, error)
            self.has_failed = True
        except Exception:
            # A bug in one round must not be the end of all later ones: nothing would be synced.
            logger.exception("background work on %s", what)
            self.has_failed = True
