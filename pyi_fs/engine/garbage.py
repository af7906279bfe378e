"""Collection of a whole store: snapshots, layers, maps, packs. First a plan, then its execution.

Why it is safe beside writers is in `docs/decisions/0003-garbage.md`; the order of execution: delete
snapshots (logs durable), remove layers, trim maps (roots and maps durable), condemn chunks, wait
for who puts some, mark again, sweep packs. A crash anywhere leaves a store in which the next
collection finds the rest.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pyi_fs.engine import collector
from pyi_fs.engine.marking import Trim, live_chunks, trims
from pyi_fs.engine.references import all_layers, layer_bytes
from pyi_fs.engine.retention import DEFAULT, Policy, Removal, by_worth, expendable, floor, thin
from pyi_fs.engine.roots import Without, kept_positions
from pyi_fs.engine.sealing import sync_roots
from pyi_fs.engine.store import Store
from pyi_fs.errors import BusyError, NotFoundError
from pyi_fs.ids import SnapshotId, WorkspaceName
from pyi_fs.model.operation import DeleteSnapshot, Operation, PinSnapshot, UnpinSnapshot
from pyi_fs.model.refs import Refs
from pyi_fs.store import layout, sealmap, sweep
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.packs import list_packs, pack_path, remove_abandoned

Clock = Callable[[], int]
Progress = Callable[[str], None]

_BUSY = "somebody is sealing or importing: no pack was removed this time"


class Deletion(NamedTuple):
    """A snapshot that goes, of a workspace."""

    workspace: WorkspaceName
    removal: Removal

    def __str__(self) -> str:
        """Returns one line for people."""
        return f"delete {self.workspace}@{self.removal.snapshot.id}: {self.removal.reason}"


class _Consequences(NamedTuple):
    """What can go once some snapshots are deleted."""

    layers: collector.Plan
    trims: tuple[Trim, ...]
    packs: sweep.SweepPlan

    @property
    def frees_bytes(self) -> int:
        trimmed = sum(trim.frees_bytes for trim in self.trims)
        return self.layers.frees_bytes + trimmed + self.packs.frees_bytes


@dataclass(frozen=True)
class Plan:
    """What a collection would do.

    `held_bytes`: layers and packs before. `later_bytes`: what the deletions free besides, once
    nobody can be in the middle of using them. `missing_bytes`: by how much the budget is missed.
    """

    deletions: tuple[Deletion, ...]
    layers: collector.Plan
    trims: tuple[Trim, ...]
    packs: sweep.SweepPlan
    held_bytes: int
    later_bytes: int
    missing_bytes: int

    @property
    def frees_bytes(self) -> int:
        """Returns the disk that execution gives back, if nothing comes between."""
        return _Consequences(self.layers, self.trims, self.packs).frees_bytes

    def lines(self) -> list[str]:
        """Returns one line for each step."""
        lines = [str(deletion) for deletion in self.deletions]
        lines += str(self.layers).splitlines()
        lines += [str(trim) for trim in self.trims]
        lines += [str(step) for step in (*self.packs.remove, *self.packs.rewrite)]
        if self.packs.rewrite:
            lines.append(f"write what is wanted of them: {self.packs.new_bytes} bytes")
        return lines


class Freed(NamedTuple):
    """What an execution did. `notes`: what was left, and why."""

    snapshots: int
    layers: int
    maps: int
    packs: int
    freed_bytes: int
    notes: tuple[str, ...]


def plan(
    store: Store,
    *,
    workspaces: Collection[str] = (),
    policy: Policy = DEFAULT,
    keep_bytes: int | None = None,
    clock_ns: Clock = time.time_ns,
    progress: Progress = lambda _: None,
) -> Plan:
    """Returns what should go now: O(store), for a budget that is missed some times that.

    Snapshots only of `workspaces` (none: of all); `keep_bytes`: a budget for layers and packs.
    `NotFoundError` for a workspace that is not there; `StoreError` if damage hides what is needed.
    """
    names = [WorkspaceName(name) for name in workspaces] or store.workspace_names()
    refs = dict(_refs(store, names, must_exist=bool(workspaces)))
    now_ns = clock_ns()
    progress("snapshots")
    deletions = [
        Deletion(name, removal) for name in refs for removal in thin(refs[name], now_ns, policy)
    ]
    held_bytes = _held_bytes(store)
    progress("layers and chunks")
    if keep_bytes is not None:
        deletions += _for_budget(store, refs, deletions, held_bytes - keep_bytes, clock_ns)
    at_last = _consequences(store, deletions, clock_ns, grace=False)
    found = _consequences(store, deletions, clock_ns, grace=True)
    missing = 0 if keep_bytes is None else held_bytes - at_last.frees_bytes - keep_bytes
    later = max(0, at_last.frees_bytes - found.frees_bytes)
    return Plan(tuple(deletions), *found, held_bytes, later, max(0, missing))


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
        return _carried_out(store, planned, clock_ns, progress)
    finally:
        lock.release()


def pin(store: Store, workspace: str, snapshot: str, *, pinned: bool = True) -> SnapshotId:
    """Pins a snapshot, or takes its pin away, durably; returns its id. `NotFoundError`."""
    log = OperationsLog(store.storage, WorkspaceName(workspace))
    make = PinSnapshot if pinned else UnpinSnapshot
    try:
        done = log.append(lambda refs: make(time.time_ns(), refs.find_snapshot(snapshot).id))
        log.sync()
    finally:
        log.close()
    assert isinstance(done, PinSnapshot | UnpinSnapshot)
    return done.id


def _carried_out(store: Store, planned: Plan, clock_ns: Clock, progress: Progress) -> Freed:
    notes: list[str] = []
    progress("deleting snapshots")
    snapshots = _delete(store, planned.deletions, clock_ns, notes)
    _sync_logs(store)
    progress("removing layers")
    collected = collector.execute(store, planned.layers, clock_ns=clock_ns)
    notes += [f"layer {layer:010x} came to be needed" for layer in collected.skipped]
    progress("trimming maps")
    maps, map_bytes = _trim(store, clock_ns)
    remove_abandoned(store.storage)
    progress("marking chunks")
    packs = pack_bytes = 0
    if _condemned(store):
        # Who puts chunks now claims what is condemned; who did before has finished.
        sweep.keep(store.index, live_chunks(store))
        swept = sweep.execute(
            store.storage,
            store.index,
            sweep.plan(store.storage, store.index),
            lambda step: progress(str(step)),
        )
        packs, pack_bytes = swept.packs, swept.freed_bytes
        notes += [f"pack {pack.hex()[:16]} stays: {reason}" for pack, reason in swept.skipped]
    else:
        notes.append(_BUSY)
    freed_bytes = collected.freed_bytes + map_bytes + pack_bytes
    return Freed(snapshots, collected.layers, maps, packs, freed_bytes, tuple(notes))


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
                log.sync()


def _deletion(clock_ns: Clock, snapshot: SnapshotId, reason: str, refs: Refs) -> Operation:
    now_ns = clock_ns()
    why = "deleted" if snapshot not in refs.snapshots else floor(refs, now_ns).get(snapshot)
    if why is not None:
        raise NotFoundError(f"snapshot {snapshot} stays as it is: {why} by now")
    return DeleteSnapshot(time.time_ns(), snapshot, reason)


def _trim(store: Store, clock_ns: Clock) -> tuple[int, int]:
    """Trims all maps that can be; returns how many, and the bytes given back."""
    positions = kept_positions(store, now_ns=clock_ns())
    found = trims(store, positions, ())
    if not found:
        return 0, 0
    sync_roots(store, positions)
    count = freed_bytes = 0
    for trim in found:
        path = layout.seal_map(trim.segment)
        before = store.storage.allocated_bytes(path)
        try:
            store.storage.write_atomic(path, [sealmap.encode(list(trim.pieces))])
        except FileNotFoundError:
            # Its layer was removed with its workspace.
            continue
        count += 1
        freed_bytes += before - store.storage.allocated_bytes(path)
    return count, freed_bytes


def _condemned(store: Store) -> bool:
    """Condemns what is not wanted; returns whether nobody was putting chunks afterwards."""
    sweep.condemn(store.index, live_chunks(store))
    lock = store.storage.lock(layout.CHUNKS_LOCK, wait=False)
    if lock is None:
        return False
    lock.release()
    return True


def _consequences(
    store: Store, deletions: Collection[Deletion], clock_ns: Clock, *, grace: bool
) -> _Consequences:
    without = _without(deletions)
    layers = collector.plan(store, clock_ns=clock_ns, without=without, grace=grace)
    gone = {step.layer for step in layers.steps}
    positions = kept_positions(store, now_ns=clock_ns(), without=without, grace=grace)
    smaller = trims(store, positions, gone)
    live = live_chunks(store, without_layers=gone, trimmed=smaller, without=without)
    return _Consequences(layers, smaller, sweep.plan(store.storage, store.index, live))


def _for_budget(
    store: Store,
    refs: dict[WorkspaceName, Refs],
    deletions: list[Deletion],
    excess_bytes: int,
    clock_ns: Clock,
) -> list[Deletion]:
    """Returns as few more deletions as free `excess_bytes`; all that are allowed if none do."""
    gone = _without(deletions)
    candidates = sorted(
        (
            Deletion(name, Removal(snapshot, "byte budget"))
            for name in refs
            for snapshot in expendable(refs[name], clock_ns(), gone.get(name, ()))
        ),
        key=lambda deletion: by_worth(deletion.removal.snapshot),
    )

    def is_enough(count: int) -> bool:
        wanted = [*deletions, *candidates[:count]]
        return _consequences(store, wanted, clock_ns, grace=False).frees_bytes >= excess_bytes

    # The first count that is enough: deleting more never frees less.
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle + 1
    return candidates[:low]


def _without(deletions: Collection[Deletion]) -> Without:
    found: dict[WorkspaceName, set[SnapshotId]] = defaultdict(set)
    for workspace, removal in deletions:
        found[workspace].add(removal.snapshot.id)
    return found


def _held_bytes(store: Store) -> int:
    layers = sum(layer_bytes(store.storage, layer) for layer in all_layers(store.storage))
    packs = (store.storage.allocated_bytes(pack_path(pack)) for pack in list_packs(store.storage))
    return layers + sum(packs)


def _refs(
    store: Store, names: Collection[WorkspaceName], *, must_exist: bool
) -> Iterator[tuple[WorkspaceName, Refs]]:
    for name in names:
        with _opened(store, name) as log:
            if log is not None:
                yield name, log.refs
            elif must_exist:
                raise NotFoundError(f"no workspace '{name}'")


@contextmanager
def _opened(store: Store, name: WorkspaceName) -> Iterator[OperationsLog | None]:
    """Gives the log of a workspace, or None if it is not there."""
    try:
        log = OperationsLog(store.storage, name)
    except NotFoundError:
        yield None
        return
    try:
        yield log
    finally:
        log.close()
