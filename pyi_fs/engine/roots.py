"""Everything in a store that must be kept.

The positions that some workspace can still come back to.

Roots are snapshots, presents and starts of branches, and what `undo` may want: both ends of moves,
and dropped branches, for `limits.UNDO_WINDOW_SECONDS`, or until the log says that they were given
up (`CloseUndo`). Without that they last `limits.GARBAGE_GRACE_SECONDS` longer than `undo` does, so
that who was allowed to undo finds the place still there. For the same reason a snapshot that was
deleted stays a root for the grace while a branch of its workspace is in use: who saw it there a
moment ago may be about to write what names it. What a dropped ephemeral branch left is memory, and
a root for minutes only (`engine/given_up.py`).

What processes read and hold a lease of is a root, whatever the logs say.

A workspace whose log is damaged is *held*: what it can come back to is not known, so all its layers
and whatever they name stay as they are (`engine/held.py`); other workspaces go on. Reads only.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.engine.given_up import KEPT_NS, GivenUp
from pyi_fs.engine.history import History
from pyi_fs.engine.recovery import nearest, present
from pyi_fs.engine.salvage import salvaged
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError, StoreError
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
from pyi_fs.store.leases import leased
from pyi_fs.store.log_note import read_log_synced
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.storage import Storage


class Gone(NamedTuple):
    """What is taken as gone from a workspace, to know what that would free.

    Snapshots that are deleted, and what can be undone up to a moment.
    """

    snapshots: Collection[SnapshotId] = ()
    undo_closed_ns: int = 0


Without = Mapping[WorkspaceName, Gone]
NOTHING: Without = {}
_NONE = Gone()

_GRACE_NS = limits.GARBAGE_GRACE_SECONDS * 1_000_000_000
_KEPT_NS = limits.UNDO_WINDOW_SECONDS * 1_000_000_000 + _GRACE_NS


class Roots(NamedTuple):
    """What must be kept.

    `positions`: by workspace, offsets in each layer. `held`: workspaces of which that is not known,
    and why. `leased`: what processes read, in the log or not (`store/leases.py`); `stuck`: layers
    of that which cannot be read.
    """

    positions: dict[WorkspaceName, dict[LayerId, set[int]]]
    held: dict[WorkspaceName, str]
    leased: dict[LayerId, set[int]]
    stuck: frozenset[LayerId] = frozenset()

    def all_positions(self) -> dict[LayerId, set[int]]:
        """Returns the offsets of all workspaces."""
        found: dict[LayerId, set[int]] = defaultdict(set)
        for of_workspace in (*self.positions.values(), self.leased):
            for layer, offsets in of_workspace.items():
                found[layer] |= offsets
        return found


def positions_of(
    store: Store,
    workspace: WorkspaceName,
    *,
    now_ns: int | None = None,
    gone: Gone = _NONE,
    grace: bool = True,
) -> Iterator[Position]:
    """Yields the positions a workspace can come back to at a moment (`now_ns`; None: now).

    `gone`: what is taken as just given up. `grace` False: as it will be when nobody is in the
    middle of something. `NotFoundError`; `StoreError` if damage hides some.
    """
    now_ns = time.time_ns() if now_ns is None else now_ns
    log = OperationsLog(store.storage, workspace)
    history = History(store.layers)
    try:
        has_grace = grace and is_in_use(store, workspace)
        for position in _positions(log, history, now_ns, gone, has_grace=has_grace):
            # What a power loss took cannot be come back to.
            if not history.survival.is_lost(position):
                yield position
    finally:
        log.close()


def _positions(
    log: OperationsLog,
    history: History,
    now_ns: int,
    gone: Gone,
    *,
    has_grace: bool,
) -> Iterator[Position]:
    given_up = GivenUp(log.refs, history.layers, now_ns)
    forgotten = {snapshot.id for snapshot in given_up.snapshots()}
    undone_since_ns = _undone_since(log.refs, now_ns, gone)
    for snapshot in log.refs.snapshots.values():
        if snapshot.id not in forgotten and (has_grace or snapshot.id not in gone.snapshots):
            yield snapshot.position
    since_ns = now_ns - _GRACE_NS if has_grace else now_ns
    yield from _left(log, given_up, undone_since_ns, deleted_since_ns=since_ns)
    for ref in _branches(log.refs, now_ns, undone_since_ns):
        # Should a power loss have taken its start, the branch begins at what is left.
        with suppress(NotFoundError):
            yield nearest(history, log, ref.position)
        with suppress(NotFoundError, FileNotFoundError):
            yield present(history, log, ref)


def _undone_since(refs: Refs, now_ns: int, gone: Gone) -> int:
    """Returns the moment up to which nothing is kept for `undo`."""
    return max(now_ns - _KEPT_NS, refs.undo_closed_ns, gone.undo_closed_ns)


def _left(
    log: OperationsLog, given_up: GivenUp, undone_since_ns: int, *, deleted_since_ns: int
) -> Iterator[Position]:
    """Yields what was left a while ago: by moves, and by deleting snapshots."""
    taken: dict[SnapshotId, TakeSnapshot] = {}
    for _, operation in log.operations():
        match operation:
            case TakeSnapshot():
                taken[operation.id] = operation
            case DeleteSnapshot(time_ns=time_ns, id=deleted) if (
                time_ns > deleted_since_ns and deleted in taken
            ):
                found = taken[deleted]
                position = Position(*found.position)
                if not given_up.has(found.branch, found.time_ns, position):
                    yield position
            case MoveBranch() | RestorePath() if operation.time_ns > undone_since_ns:
                for position in _ends(operation):
                    if not given_up.has(operation.branch, operation.time_ns, position):
                        yield position
            case _:
                pass


def _ends(operation: MoveBranch | RestorePath) -> list[Position]:
    if isinstance(operation, RestorePath):
        return [Position(*operation.before)]
    return [Position(*operation.before), Position(*operation.after)]


def _branches(refs: Refs, now_ns: int, undone_since_ns: int) -> Iterator[BranchRef]:
    """Yields the branches there are, and those that `undo` can bring back."""
    for ref in (*refs.branches.values(), *refs.shadowed.values()):
        since_ns = max(now_ns - KEPT_NS, undone_since_ns) if ref.ephemeral else undone_since_ns
        if not ref.dropped or ref.dropped_ns > since_ns:
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


def roots_of(
    store: Store,
    *,
    now_ns: int | None = None,
    without: Without = NOTHING,
    grace: bool = True,
) -> Roots:
    """Returns what must be kept of all workspaces. The rest as `positions_of`."""
    found: dict[WorkspaceName, dict[LayerId, set[int]]] = {}
    held: dict[WorkspaceName, str] = {}
    for name in logged_names(store):
        offsets: dict[LayerId, set[int]] = defaultdict(set)
        try:
            if not salvaged(store.storage, name).is_whole:
                # A torn end is normal, this is not: what is missing may name anything.
                held[name] = "its log is damaged"
                continue
            gone = without.get(name, _NONE)
            for position in positions_of(store, name, now_ns=now_ns, gone=gone, grace=grace):
                offsets[position.layer].add(position.offset)
        except NotFoundError:
            # Removed meanwhile, or never made: it keeps nothing.
            continue
        except (StoreError, OSError) as error:
            held[name] = str(error)
            continue
        found[name] = offsets
    # Last: who took a lease before something left a log is seen by who reads the log before.
    of_readers: dict[LayerId, set[int]] = defaultdict(set)
    for position in leased(store.storage):
        if not store.layers.is_gone(position.layer):
            of_readers[position.layer].add(position.offset)
    return Roots(found, held, of_readers)


def logged_names(store: Store) -> list[WorkspaceName]:
    """Returns the workspaces that have a log with something in it, damaged or not.

    Also one that is empty or gone and was not when it was last synced: whoever makes a workspace
    may die before the first record, and then nothing was ever noted; who removes one removes the
    note before the log.
    """
    names = map(WorkspaceName, store.storage.list(layout.WORKSPACES))
    return [name for name in names if _has_log(store.storage, name)]


def _has_log(storage: Storage, name: WorkspaceName) -> bool:
    size_bytes = storage.size_bytes(layout.operations_log(name))
    return bool(size_bytes) or read_log_synced(storage, name) > 0


def logged_layers(store: Store) -> set[LayerId]:
    """Returns every layer that the log of some workspace ever named, roots or not."""
    found: set[LayerId] = set()
    for workspace in logged_names(store):
        for operation in salvaged(store.storage, workspace).operations:
            if isinstance(operation, Continue):
                found.add(operation.layer)
            elif isinstance(operation, Begin | MakeBranch):
                found.add(LayerId(operation.position[0]))
    return found


def lineages(store: Store, layers: Collection[LayerId]) -> set[LayerId]:
    """Returns every layer that the lineage of one of `layers` goes through."""
    kept: set[LayerId] = set()
    for layer in layers:
        step: LayerId | None = layer
        while step is not None and step not in kept:
            try:
                parent = store.layers.header(step).parent
            except StoreError:
                # Gone, or damaged: what it needs is found otherwise (`engine/held.py`).
                break
            kept.add(step)
            step = parent.layer if parent is not None else None
    return kept
