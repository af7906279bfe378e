"""Giving back the memory of ephemeral branches that were dropped.

Their snapshots leave the log, then their layers leave memory, as far as nothing else needs them.
What is on disk is left to the collector. Runs in a worker process.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from pyi_fs.engine import collector
from pyi_fs.engine.given_up import GivenUp
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import SnapshotId, WorkspaceName
from pyi_fs.model.operation import DeleteSnapshot
from pyi_fs.model.refs import Refs
from pyi_fs.store.oplog import OperationsLog

_REASON = "its ephemeral branch was dropped"


def release(store: Store, *, clock_ns: Callable[[], int] = time.time_ns) -> collector.Collected:
    """Removes from memory what was dropped long enough ago; returns what was done."""
    if store.storage.memory is None:
        return collector.Collected(0, 0, ())
    forget_snapshots(store, clock_ns=clock_ns)
    planned = collector.plan(store, clock_ns=clock_ns)
    in_memory = store.layers.is_in_memory
    groups = tuple(
        group for group in planned.groups if all(in_memory(step.layer) for step in group)
    )
    return collector.execute(store, replace(planned, groups=groups), clock_ns=clock_ns)


def forget_snapshots(store: Store, *, clock_ns: Callable[[], int] = time.time_ns) -> int:
    """Deletes the unnamed snapshots of dropped ephemeral branches; returns how many."""
    count = 0
    for workspace in store.workspace_names():
        try:
            log = OperationsLog(store.storage, WorkspaceName(workspace))
        except NotFoundError:
            # Removed meanwhile.
            continue
        try:
            for snapshot in list(GivenUp(log.refs, store.layers, clock_ns()).snapshots()):
                log.append(partial(_deletion, clock_ns(), snapshot.id))
                count += 1
        except NotFoundError:
            # Removed since.
            continue
        finally:
            log.close()
    return count


def _deletion(now_ns: int, snapshot: SnapshotId, _: Refs) -> DeleteSnapshot:
    return DeleteSnapshot(now_ns, snapshot, _REASON)
