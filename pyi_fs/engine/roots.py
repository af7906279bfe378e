"""Everything in a store that must be kept.

The positions that some workspace can still come back to.

Roots are snapshots, presents and starts of branches, and what `undo` may want: both ends of moves,
and dropped branches, for `limits.UNDO_WINDOW_SECONDS`. They last `limits.GARBAGE_GRACE_SECONDS`
longer than `undo` does, so that who was allowed to undo finds the place still there. For the same
reason a snapshot that was deleted stays a root for the grace while a branch of its workspace is in
use: who saw it there a moment ago may be about to write what names it. Reads only.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress

from pyi_fs import limits
from pyi_fs.engine.history import History
from pyi_fs.engine.recovery import nearest, present
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import LayerId, Position, SnapshotId, WorkspaceName
from pyi_fs.model.operation import (
    Begin,
    Continue,
    DeleteSnapshot,
    MakeBranch,
    MoveBranch,
    RestorePath,
    TakeSnapshot,
)
from pyi_fs.model.refs import BranchRef, Refs
from pyi_fs.store import layout
from pyi_fs.store.oplog import OperationsLog

Without = Mapping[WorkspaceName, Collection[SnapshotId]]
"""Snapshots that are taken as deleted, to know what deleting them would free."""
NOTHING: Without = {}

_GRACE_NS = limits.GARBAGE_GRACE_SECONDS * 1_000_000_000
_KEPT_NS = limits.UNDO_WINDOW_SECONDS * 1_000_000_000 + _GRACE_NS


def positions_of(
    store: Store,
    workspace: WorkspaceName,
    *,
    now_ns: int | None = None,
    without: Collection[SnapshotId] = (),
    grace: bool = True,
) -> Iterator[Position]:
    """Yields the positions a workspace can come back to at a moment (`now_ns`; None: now).

    `without`: snapshots to be taken as just deleted. `grace` False: as it will be when nobody is in
    the middle of something.
    """
    now_ns = time.time_ns() if now_ns is None else now_ns
    log = OperationsLog(store.storage, workspace)
    history = History(store.layers)
    try:
        has_grace = grace and is_in_use(store, workspace)
        for position in _positions(log, history, now_ns, without, has_grace=has_grace):
            # What a power loss took cannot be come back to.
            if not history.survival.is_lost(position):
                yield position
    finally:
        log.close()


def _positions(
    log: OperationsLog,
    history: History,
    now_ns: int,
    without: Collection[SnapshotId],
    *,
    has_grace: bool,
) -> Iterator[Position]:
    taken: dict[SnapshotId, Position] = {}
    for snapshot in log.refs.snapshots.values():
        if has_grace or snapshot.id not in without:
            yield snapshot.position
    for _, operation in log.operations():
        match operation:
            case TakeSnapshot():
                taken[operation.id] = Position(*operation.position)
            case DeleteSnapshot(time_ns=time_ns, id=deleted) if (
                has_grace and time_ns > now_ns - _GRACE_NS and deleted in taken
            ):
                yield taken[deleted]
            case MoveBranch() if operation.time_ns > now_ns - _KEPT_NS:
                yield Position(*operation.before)
                yield Position(*operation.after)
            case RestorePath() if operation.time_ns > now_ns - _KEPT_NS:
                yield Position(*operation.before)
            case _:
                pass
    for ref in _branches(log.refs, now_ns):
        # Should a power loss have taken its start, the branch begins at what is left.
        with suppress(NotFoundError):
            yield nearest(history, log, ref.position)
        with suppress(NotFoundError, FileNotFoundError):
            yield present(history, log, ref)


def _branches(refs: Refs, now_ns: int) -> Iterator[BranchRef]:
    """Yields the branches there are, and those that `undo` can bring back."""
    for ref in refs.branches.values():
        if not ref.dropped or ref.dropped_ns > now_ns - _KEPT_NS:
            yield ref
    for ref in refs.shadowed.values():
        if ref.dropped_ns > now_ns - _KEPT_NS:
            yield ref


def is_in_use(store: Store, workspace: WorkspaceName) -> bool:
    """Returns whether some process has a branch of a workspace open for writing."""
    directory = f"{layout.workspace_directory(workspace)}/locks"
    for name in store.storage.list(directory):
        try:
            lock = store.storage.lock(f"{directory}/{name}", exclusive=False, wait=False)
        except FileNotFoundError:
            # The workspace was removed meanwhile.
            return False
        if lock is None:
            return True
        lock.release()
    return False


def kept_positions(
    store: Store,
    *,
    now_ns: int | None = None,
    without: Without = NOTHING,
    grace: bool = True,
) -> dict[LayerId, set[int]]:
    """Returns the offsets of each layer that a root lies at, of all workspaces.

    The rest as `positions_of`.
    """
    found: dict[LayerId, set[int]] = defaultdict(set)
    for workspace in store.workspace_names():
        removed = without.get(workspace, ())
        try:
            for position in positions_of(
                store, workspace, now_ns=now_ns, without=removed, grace=grace
            ):
                found[position.layer].add(position.offset)
        except NotFoundError:
            # Removed meanwhile: it keeps nothing.
            continue
    return found


def logged_layers(store: Store) -> set[LayerId]:
    """Returns every layer that the log of some workspace ever named, roots or not."""
    found: set[LayerId] = set()
    for workspace in store.workspace_names():
        try:
            log = OperationsLog(store.storage, workspace)
        except NotFoundError:
            continue
        for _, operation in log.operations():
            if isinstance(operation, Continue):
                found.add(operation.layer)
            elif isinstance(operation, Begin | MakeBranch):
                found.add(LayerId(operation.position[0]))
        log.close()
    return found


def lineages(store: Store, layers: Collection[LayerId]) -> set[LayerId]:
    """Returns every layer that the lineage of one of `layers` goes through."""
    kept: set[LayerId] = set()
    for layer in layers:
        step: LayerId | None = layer
        while step is not None and step not in kept:
            try:
                parent = store.layers.header(step).parent
            except NotFoundError:
                break
            kept.add(step)
            step = parent.layer if parent is not None else None
    return kept
