"""Carrying a purge out: locks, the steps in their order, and a look at what is left.

The order is that of `docs/decisions/0005-purge.md`; each step leaves a sound store.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import NamedTuple

from pyi_fs.engine import collector
from pyi_fs.engine.branch_locks import BranchLocks
from pyi_fs.engine.marking import live_chunks
from pyi_fs.engine.purge import Plan, Progress, plan, without_bytes
from pyi_fs.engine.purge_objects import Rewriter
from pyi_fs.engine.purge_rewrite import blank_entry, new_journal, new_map, new_table
from pyi_fs.engine.references import all_layers
from pyi_fs.engine.sealing import seal_held
from pyi_fs.engine.store import Store
from pyi_fs.engine.unlogged import header_of
from pyi_fs.errors import BusyError, NotFoundError, StoreError
from pyi_fs.ids import (
    ChunkId,
    LayerId,
    SegmentId,
    SnapshotId,
    TreeObjectId,
    WorkspaceName,
    layer_name,
    segment_layer,
)
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent, ExtentList
from pyi_fs.model.operation import Purge, SealSnapshot
from pyi_fs.model.ranges import Ranges
from pyi_fs.store import layout, overwriting, sweep
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.packs import remove_abandoned
from pyi_fs.store.plain_files import PlainFiles

Check = Callable[[WorkspaceName], None]
_ZEROS_BYTES = 1 << 18
_HOLDER = "pyi-store purge"


class Purged(NamedTuple):
    """What a purge did. `packs`: removed or rewritten. `notes`: what could not be done, and why."""

    files: int
    segments: int
    maps: int
    tables: int
    journals: int
    records: int
    snapshots: int
    chunks: int
    packs: int
    notes: tuple[str, ...]


def carry_out(
    store: Store,
    planned: Plan,
    *,
    check: Check = lambda _: None,
    progress: Progress = lambda _: None,
) -> Purged:
    """Does what is left of a plan, durably; returns what was done.

    `BusyError`, with nothing done, if a workspace that it touches is in use, or the collector runs,
    or somebody seals or imports. `check` is asked about each of them and may raise, too.
    """
    with _held(store, planned.touched):
        for workspace in planned.touched:
            check(workspace)
        _cut_torn_ends(store)
        _leave_memory(store, planned, progress)
        _clear_plain_files(store, progress)
        again = _planned_again(store, planned, progress)
        if not set(again.touched) <= set(planned.touched):
            raise BusyError("another workspace came to have the file meanwhile: run it again")
        notes = _execute(store, again, progress)
        if not _planned_again(store, planned, progress).is_done:
            notes.append("something of it was written again meanwhile: run it once more")
        packs = _sweep(store, notes, progress)
        # Again: a mount of something else may have been making one from a chunk that went now.
        _clear_plain_files(store, progress)
        for workspace in planned.touched:
            _note(store, workspace, planned)
    return Purged(
        len(again.files),
        len(again.segments),
        len(again.maps),
        len(again.tables),
        len(again.journals),
        sum(again.journals.values()),
        len(again.roots),
        len(again.chunks),
        packs,
        tuple(notes),
    )


def _cut_torn_ends(store: Store) -> None:
    """Of a log with a bad end every content root counts, those of before the purge, too.

    Of all logs: what a purge that was interrupted has done elsewhere need not be touched again.
    """
    for workspace in store.workspace_names():
        # One that is damaged is told of when chunks are to go.
        with suppress(NotFoundError, StoreError):
            log = OperationsLog(store.storage, workspace)
            try:
                log.cut_torn_end()
            finally:
                log.close()


def _leave_memory(store: Store, planned: Plan, progress: Progress) -> None:
    """Takes the layers of ephemeral branches to disk, where a copy of them may be that is hidden.

    Whatever of it is older than what memory has comes to light, and is purged with the rest.
    """
    for layer in all_layers(store.storage):
        if not store.layers.is_in_memory(layer):
            continue
        header = header_of(store, layer)
        if header is None or header.workspace in planned.touched:
            progress(f"copying {layout.layer_directory(layer)} from memory to disk")
            store.layers.sync_whole(layer)
            store.layers.leave_memory(layer)
            if store.layers.is_in_memory(layer):
                raise StoreError(f"layer {layer_name(layer)} stays in memory: it is damaged")


def _clear_plain_files(store: Store, progress: Progress) -> None:
    """Removes all of them: a name does not say whose bytes are in it, and they are made again."""
    progress("removing plain files")
    PlainFiles(store.storage).clear()


def _planned_again(store: Store, planned: Plan, progress: Progress) -> Plan:
    everywhere = planned.everywhere
    return plan(store, planned.workspace, planned.paths, everywhere=everywhere, progress=progress)


@contextmanager
def _held(store: Store, workspaces: Collection[WorkspaceName]) -> Iterator[None]:
    """Keeps the collector, who puts chunks, and all writers of some workspaces away."""
    with ExitStack() as stack:
        for path, who in (
            (layout.COLLECTOR_LOCK, "a collection is running"),
            (layout.CHUNKS_LOCK, "somebody is sealing or importing"),
        ):
            lock = store.storage.lock(path, wait=False)
            if lock is None:
                raise BusyError(f"{who}: purge when it is done")
            stack.callback(lock.release)
        for workspace in workspaces:
            log = OperationsLog(store.storage, workspace)
            log.close()
            locks = BranchLocks(store.storage, workspace)
            for branch in log.refs.branches:
                locks.take(branch, _HOLDER)
                stack.callback(locks.release, branch)
        yield


def _execute(store: Store, planned: Plan, progress: Progress) -> list[str]:
    progress("storing replacements")
    zeros = ChunkId(b"")
    if planned.segments:
        zeros = store.chunks.put(bytes(_ZEROS_BYTES))
    for chunk, kept in planned.chunks.items():
        store.chunks.put(without_bytes(store.chunks.get(chunk), kept))
    store.chunks.flush()
    _seal(store, planned, zeros, progress)
    _rewrite(store, planned, progress)
    progress("sealing snapshots anew")
    _seal_snapshots(store, planned)
    for path in planned.leftovers:
        overwriting.discard(store.storage, path)
    return []


def _seal(store: Store, planned: Plan, zeros: ChunkId, progress: Progress) -> None:
    """Seals all segments of the layers that have bytes of the files in a segment.

    All: what a failed write left there belongs to nobody, and is in no map afterwards.
    """
    layers = {segment_layer(segment) for segment in planned.segments}
    segments = {segment for layer in layers for segment in store.layers.segments(layer)}
    given = {segment: _zero_map(parts, zeros) for segment, parts in planned.segments.items()}
    if segments:
        progress("sealing segments")
        # Not by parts of chunks that there are: some of those are to go.
        sealed = seal_held(
            store, segments, given=given, remove=overwriting.discard, is_patching=False
        )
        left = segments.difference(sealed)
        if left:
            path = layout.scratch(min(left))
            raise StoreError(f"{path} stays: damage hides what of it is needed (`pyi-fsck`)")
    for layer in layers:
        store.layers.forget_layer(layer)


def _zero_map(parts: Ranges, zeros: ChunkId) -> ExtentList:
    return extent.from_extents(
        [
            Extent(offset, min(_ZEROS_BYTES, end - offset), extent.CHUNK, zeros, 0)
            for start, end in parts
            for offset in range(start, end, _ZEROS_BYTES)
        ]
    )


def _rewrite(store: Store, planned: Plan, progress: Progress) -> None:
    storage, replaced = store.storage, planned.replaced
    for segment in planned.maps:
        _rewrite_map(store, planned, segment, progress)
    for layer in planned.tables:
        progress(layout.base(layer))
        parts = new_table(storage, layer, partial(planned.is_wanted, layer), replaced)
        if parts is not None:
            overwriting.replace(storage, layout.base(layer), list(parts))
        store.layers.forget_layer(layer)
    for layer in planned.journals:
        progress(layout.journal(layer))
        journal = new_journal(storage, layer, partial(planned.is_wanted, layer), replaced)
        if journal is not None:
            overwriting.replace(storage, layout.journal(layer), [journal.data])
        store.layers.forget_layer(layer)


def _rewrite_map(store: Store, planned: Plan, segment: SegmentId, progress: Progress) -> None:
    path = layout.seal_map(segment)
    progress(path)
    data = new_map(store.storage, segment, planned.replaced)
    if data is not None:
        overwriting.replace(store.storage, path, [data])
    store.layers.forget_layer(LayerId(segment_layer(segment)))


def _seal_snapshots(store: Store, planned: Plan) -> None:
    rewriter = Rewriter(store, blank_entry, store.chunks.put)
    made = [(sighting, rewriter.root(sighting)) for sighting in planned.roots]
    store.chunks.flush()
    for workspace in {sighting.workspace for sighting, _ in made}:
        log = OperationsLog(store.storage, workspace)
        try:
            for sighting, root in made:
                if sighting.workspace == workspace and root is not None:
                    _note_root(log, sighting.snapshot, root)
            log.sync()
        finally:
            log.close()


def _note_root(log: OperationsLog, snapshot: SnapshotId, root: TreeObjectId) -> None:
    log.append(lambda _: SealSnapshot(snapshot, root))


def _sweep(store: Store, notes: list[str], progress: Progress) -> int:
    """Takes every chunk that nothing names out of the packs; returns how many packs went."""
    progress("marking chunks")
    collector.execute(store, collector.Plan((), collector.leftovers(store), ()))
    remove_abandoned(store.storage)
    marked = live_chunks(store)
    if marked.missing:
        raise StoreError(f"no chunk can be removed: {'; '.join(marked.missing)}")
    sweep.condemn(store.index, marked.live)
    sweep.keep(store.index, marked.live)
    planned = sweep.plan_all(store.storage, store.index)
    swept = sweep.execute(store.storage, store.index, planned, lambda step: progress(str(step)))
    notes += [f"pack {pack.hex()[:16]} stays: {reason}" for pack, reason in swept.skipped]
    try:
        store.index.compact()
    except (BusyError, StoreError, OSError) as error:
        notes.append(f"the chunk index still has the ids of what is gone: {error}")
    return swept.packs


def _note(store: Store, workspace: WorkspaceName, planned: Plan) -> None:
    log = OperationsLog(store.storage, workspace)
    try:
        log.append(
            lambda _: Purge(
                time.time_ns(), str(planned.workspace), planned.paths, planned.everywhere
            )
        )
        log.sync()
    finally:
        log.close()
