"""Collection of a whole store: snapshots, layers, maps, packs. First a plan, then its execution.

Why it is safe beside writers is in `docs/decisions/0003-garbage.md`; the order of execution: close
what cannot be undone any more and delete snapshots (logs durable), remove layers, trim maps (roots
and maps durable), remove base tables (those that are left durable), condemn chunks, wait for who
puts some, mark again, sweep packs. A crash anywhere leaves a store in which the next collection
finds the rest.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.engine import collector
from pyi_fs.engine.budget import Closing, Deletion, Given, for_budget, for_retention
from pyi_fs.engine.held import frozen, readable
from pyi_fs.engine.marking import Marked, Trim, Trims, live_chunks, sealed_maps
from pyi_fs.engine.references import LayerGraph, all_layers, layer_bytes
from pyi_fs.engine.retention import DEFAULT, Policy, Removal, floor
from pyi_fs.engine.roots import NOTHING, Without, roots_of
from pyi_fs.engine.store import Store
from pyi_fs.engine.tables import TableStep, remove_tables, unneeded_tables
from pyi_fs.engine.trimming import trim
from pyi_fs.engine.unwritten import unwritten_segments
from pyi_fs.errors import BusyError, NotFoundError, StoreError
from pyi_fs.ids import LayerId, SnapshotId, WorkspaceName
from pyi_fs.model.operation import (
    CloseUndo,
    DeleteSnapshot,
    DropBranch,
    MoveBranch,
    Operation,
    PinSnapshot,
    RestorePath,
    UnpinSnapshot,
)
from pyi_fs.model.refs import Refs
from pyi_fs.store import layout, reserve, sweep
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.packs import list_packs, pack_path, remove_abandoned
from pyi_fs.store.reserve import with_reserve

Clock = Callable[[], int]
Progress = Callable[[str], None]

_BUSY = "somebody is sealing or importing: no pack was removed this time"
_NO_PACKS = sweep.SweepPlan((), (), 0)


class _Consequences(NamedTuple):
    """What can go once something is given up."""

    layers: collector.Plan
    trims: tuple[Trim, ...]
    tables: tuple[TableStep, ...]
    packs: sweep.SweepPlan
    notes: tuple[str, ...]

    @property
    def frees_bytes(self) -> int:
        trimmed = sum(trim.frees_bytes for trim in self.trims)
        tables = sum(step.size_bytes for step in self.tables)
        return self.layers.frees_bytes + trimmed + tables + self.packs.frees_bytes


@dataclass(frozen=True)
class Plan:
    """What a collection would do.

    `held_bytes`: layers and packs before. `later_bytes`: what the deletions free besides, once
    nobody can be in the middle of using them. `missing_bytes`: by how much the budget is missed; a
    block that a note takes counts for none. `notes`: what is left as it is, and why.
    """

    given: Given
    layers: collector.Plan
    trims: tuple[Trim, ...]
    tables: tuple[TableStep, ...]
    packs: sweep.SweepPlan
    notes: tuple[str, ...]
    held_bytes: int
    later_bytes: int
    missing_bytes: int

    @property
    def deletions(self) -> tuple[Deletion, ...]:
        """Returns the snapshots that go."""
        return self.given.deletions

    @property
    def frees_bytes(self) -> int:
        """Returns the disk that execution gives back, if nothing comes between."""
        return _Consequences(self.layers, self.trims, self.tables, self.packs, ()).frees_bytes

    def lines(self) -> list[str]:
        """Returns one line for each step."""
        lines = [str(item) for item in (*self.given.deletions, *self.given.closings)]
        lines += str(self.layers).splitlines()
        lines += [str(step) for step in (*self.trims, *self.tables)]
        lines += [str(step) for step in (*self.packs.remove, *self.packs.rewrite)]
        if self.packs.rewrite:
            lines.append(f"write what is wanted of them: {self.packs.new_bytes} bytes")
        return lines


class Freed(NamedTuple):
    """What an execution did. `notes`: what was left, and why."""

    snapshots: int
    layers: int
    maps: int
    tables: int
    packs: int
    freed_bytes: int
    notes: tuple[str, ...]


def plan(
    store: Store,
    *,
    workspaces: Collection[str] = (),
    policy: Policy = DEFAULT,
    keep_bytes: int | None = None,
    free_bytes: int = 0,
    clock_ns: Clock = time.time_ns,
    progress: Progress = lambda _: None,
) -> Plan:
    """Returns what should go now: O(store), for a budget that is missed some times that.

    Snapshots only of `workspaces` (none: of all). `keep_bytes`: a budget for layers and packs;
    `free_bytes`: so much should be given back at least. `NotFoundError` for a workspace that is not
    there.
    """
    names = [WorkspaceName(name) for name in workspaces] or store.workspace_names()
    logs = dict(_refs(store, names, must_exist=bool(workspaces)))
    refs = {name: found for name, (found, _) in logs.items()}
    now_ns = clock_ns()
    progress("snapshots")
    given = for_retention(refs, now_ns, policy)
    held_bytes = _held_bytes(store)
    progress("layers and chunks")
    excess_bytes = free_bytes if keep_bytes is None else max(free_bytes, held_bytes - keep_bytes)
    consequences = partial(_consequences, store, clock_ns, Trims(store))
    at_last = consequences(given, grace=False)
    if at_last.frees_bytes < excess_bytes:

        def frees(wanted: Given) -> int:
            return consequences(wanted, grace=False).frees_bytes

        undoable = {name: moments for name, (_, moments) in logs.items()}
        given = for_budget(refs, undoable, now_ns, policy, excess_bytes, frees)
        at_last = consequences(given, grace=False)
    found = consequences(given, grace=True)
    later = max(0, at_last.frees_bytes - found.frees_bytes)
    missing = max(0, min(excess_bytes, excess_bytes - at_last.frees_bytes))
    return Plan(given, *found, held_bytes, later, missing)


def carry_out(
    store: Store,
    planned: Plan,
    *,
    clock_ns: Clock = time.time_ns,
    progress: Progress = lambda _: None,
) -> Freed:
    """Does what a plan says, as far as it is still right; returns what was done.

    `BusyError` while another collection runs.
    """
    lock = store.storage.lock(layout.COLLECTOR_LOCK, wait=False)
    if lock is None:
        raise BusyError("another collection is running")
    try:
        # Again from the start, as after a crash: what was done is not done twice.
        work = partial(carry_out_locked, store, planned, clock_ns, progress)
        return with_reserve(store.storage, work, at_once=True)
    finally:
        lock.release()
        reserve.refill(store.storage)


def pin(store: Store, workspace: str, snapshot: str, *, pinned: bool = True) -> SnapshotId:
    """Pins a snapshot, or takes its pin away, durably; returns its id. `NotFoundError`."""
    log = OperationsLog(store.storage, WorkspaceName(workspace))
    make = PinSnapshot if pinned else UnpinSnapshot
    try:
        position = log.refs.find_snapshot(snapshot).position
        if pinned and store.layers.is_ephemeral(position.layer):
            # What is pinned lasts, wherever its branch is.
            store.layers.sync_lineage(position)
        done = log.append(lambda refs: make(time.time_ns(), refs.find_snapshot(snapshot).id))
        log.sync()
    finally:
        log.close()
    assert isinstance(done, PinSnapshot | UnpinSnapshot)
    return done.id


def carry_out_locked(
    store: Store,
    planned: Plan,
    clock_ns: Clock = time.time_ns,
    progress: Progress = lambda _: None,
) -> Freed:
    """Does what a plan says; the caller holds `gc.lock`."""
    notes: list[str] = []
    progress("deleting snapshots")
    _close(store, planned.given.closings, clock_ns, notes)
    snapshots = _delete(store, planned.deletions, clock_ns, notes)
    _sync_logs(store)
    progress("removing layers")
    collected = collector.execute(store, planned.layers, clock_ns=clock_ns)
    notes += [f"layer {layer:010x} came to be needed" for layer in collected.skipped]
    progress("trimming maps")
    maps, map_bytes = trim(store, lambda: _positions(store, clock_ns)[:2])
    progress("removing tables")
    tables, table_bytes = _remove_tables(store, clock_ns)
    remove_abandoned(store.storage)
    progress("marking chunks")
    packs = pack_bytes = 0
    marked = live_chunks(store)
    if marked.missing:
        notes += _no_packs(marked)
    elif not _condemned(store, marked):
        notes.append(_BUSY)
    else:
        # Who puts chunks now claims what is condemned; who did before has finished.
        again = live_chunks(store)
        sweep.keep(store.index, again.live)
        if again.missing:
            notes += _no_packs(again)
        else:
            swept = sweep.execute(
                store.storage,
                store.index,
                sweep.plan(store.storage, store.index),
                lambda step: progress(str(step)),
            )
            packs, pack_bytes = swept.packs, swept.freed_bytes
            notes += [f"pack {pack.hex()[:16]} stays: {reason}" for pack, reason in swept.skipped]
    freed_bytes = collected.freed_bytes + map_bytes + table_bytes + pack_bytes
    return Freed(snapshots, collected.layers, maps, tables, packs, freed_bytes, tuple(notes))


def _no_packs(marked: Marked) -> list[str]:
    return [f"no pack was removed: {reason}" for reason in marked.missing]


def _close(store: Store, closings: Collection[Closing], clock_ns: Clock, notes: list[str]) -> None:
    """Closes ways back, never younger ones than the floor."""
    for closing in closings:
        with _opened(store, closing.workspace) as log:
            if log is None:
                continue
            try:
                log.append(partial(_closing, clock_ns, closing))
            except NotFoundError as error:
                notes.append(str(error))


def _closing(clock_ns: Clock, closing: Closing, refs: Refs) -> Operation:
    latest_ns = clock_ns() - limits.UNDO_WINDOW_SECONDS_MIN * 1_000_000_000
    if not refs.undo_closed_ns < closing.before_ns <= latest_ns:
        raise NotFoundError(f"undo of '{closing.workspace}' stays as it is: closed, or too young")
    return CloseUndo(time.time_ns(), closing.before_ns, closing.reason)


def _delete(
    store: Store, deletions: Collection[Deletion], clock_ns: Clock, notes: list[str]
) -> int:
    """Deletes what is still there and still not protected."""
    by_workspace: dict[WorkspaceName, list[Removal]] = defaultdict(list)
    for workspace, removal in deletions:
        by_workspace[workspace].append(removal)
    count = 0
    for workspace, removals in by_workspace.items():
        with _opened(store, workspace) as log:
            if log is None:
                continue
            for snapshot, reason in removals:
                try:
                    log.append(partial(_deletion, clock_ns, snapshot.id, reason))
                    count += 1
                except NotFoundError as error:
                    notes.append(str(error))
    return count


def _sync_logs(store: Store) -> None:
    """Makes all logs durable: no power loss may bring back a snapshot whose layers are gone."""
    for workspace in store.workspace_names():
        with _opened(store, workspace) as log:
            if log is not None:
                # Removed meanwhile: it brings nothing back.
                with suppress(NotFoundError):
                    log.sync()


def _deletion(clock_ns: Clock, snapshot: SnapshotId, reason: str, refs: Refs) -> Operation:
    now_ns = clock_ns()
    why = "deleted" if snapshot not in refs.snapshots else floor(refs, now_ns).get(snapshot)
    if why is not None:
        raise NotFoundError(f"snapshot {snapshot} stays as it is: {why} by now")
    return DeleteSnapshot(time.time_ns(), snapshot, reason)


def _remove_tables(store: Store, clock_ns: Clock) -> tuple[int, int]:
    reachable = _positions(store, clock_ns)
    return remove_tables(store, reachable.positions, reachable.graph, reachable.blocked)


def _condemned(store: Store, marked: Marked) -> bool:
    """Condemns what is not wanted; returns whether nobody was putting chunks afterwards."""
    sweep.condemn(store.index, marked.live)
    lock = store.storage.lock(layout.CHUNKS_LOCK, wait=False)
    if lock is None:
        return False
    lock.release()
    return True


class _Reachable(NamedTuple):
    """The positions that can be come back to, and the layers that stay as they are."""

    positions: dict[LayerId, set[int]]
    blocked: set[LayerId]
    graph: LayerGraph


def _positions(
    store: Store, clock_ns: Clock, without: Without = NOTHING, *, grace: bool = True
) -> _Reachable:
    now_ns = clock_ns()
    graph = LayerGraph(store)
    roots = readable(roots_of(store, now_ns=now_ns, without=without, grace=grace), graph)
    blocked = frozen(store, roots, graph, all_layers(store.storage), now_ns)
    return _Reachable(roots.all_positions(), blocked, graph)


def _consequences(
    store: Store, clock_ns: Clock, known: Trims, given: Given, *, grace: bool
) -> _Consequences:
    without = given.without()
    layers = collector.plan(store, clock_ns=clock_ns, without=without, grace=grace)
    gone = {step.layer for step in layers.steps}
    unwritten, maps = unwritten_segments(store), sealed_maps(store)
    positions, blocked, graph = _positions(store, clock_ns, without, grace=grace)
    smaller = known.of(positions, maps, {*gone, *blocked}, unwritten)
    tables = unneeded_tables(store, positions, graph, blocked, gone)
    marked = live_chunks(
        store,
        without_layers=gone,
        without_tables={step.layer for step in tables},
        trimmed=smaller,
        without=without,
    )
    packs = _NO_PACKS
    if not marked.missing:
        packs = sweep.plan(store.storage, store.index, marked.live)
    return _Consequences(layers, smaller, tables, packs, (*layers.held, *_no_packs(marked)))


def _held_bytes(store: Store) -> int:
    layers = sum(layer_bytes(store.storage, layer) for layer in all_layers(store.storage))
    packs = (store.storage.allocated_bytes(pack_path(pack)) for pack in list_packs(store.storage))
    return layers + sum(packs)


def _refs(
    store: Store, names: Collection[WorkspaceName], *, must_exist: bool
) -> Iterator[tuple[WorkspaceName, tuple[Refs, list[int]]]]:
    """Yields the refs of workspaces, and when something was done that `undo` may take back."""
    for name in names:
        with _opened(store, name) as log:
            if log is not None:
                moves = MoveBranch | RestorePath | DropBranch
                done = [one.time_ns for _, one in log.operations() if isinstance(one, moves)]
                closed_ns = log.refs.undo_closed_ns
                yield name, (log.refs, [moment for moment in done if moment > closed_ns])
            elif must_exist:
                raise NotFoundError(f"no workspace '{name}'")


@contextmanager
def _opened(store: Store, name: WorkspaceName) -> Iterator[OperationsLog | None]:
    """Gives the log of a workspace, or None if it is not there, or damaged (`engine/held.py`)."""
    try:
        log = OperationsLog(store.storage, name)
    except (NotFoundError, StoreError):
        yield None
        return
    try:
        yield log
    finally:
        log.close()
