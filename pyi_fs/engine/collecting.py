"""Collections that nobody asks for: when one is due, and doing it.

Mounts look while they are written to and have a worker process do it; one at a time over the whole
store, by `gc.lock`. Why the limits are what they are: `docs/decisions/0003-garbage.md`.
"""

import os
import time
from collections.abc import Iterable

from pyi_fs import limits
from pyi_fs.engine import garbage
from pyi_fs.engine.disk import Disk, disk_of
from pyi_fs.engine.evicting import Eviction, evict, held_files, plan_evictions
from pyi_fs.engine.gc_record import Record, read_record, write_record
from pyi_fs.engine.gc_settings import Settings, read_settings
from pyi_fs.engine.store import Store
from pyi_fs.engine.usage_record import note_usage
from pyi_fs.errors import BusyError
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage

_SECOND_NS = 1_000_000_000


def why_due(
    settings: Settings, record: Record | None, disk: Disk, made_ns: int, now_ns: int
) -> str | None:
    """Returns why a collection should be made now, or None. Pure.

    `made_ns`: when the store was made. Whoever asks has just written something: a store that nobody
    writes does not grow.
    """
    if not settings.automatic:
        return None
    since_ns = now_ns - (made_ns if record is None else record.ended_ns)
    took_ns = 0 if record is None else record.ended_ns - record.began_ns
    # Not more than a tenth of the time; a clock that was set back is no reason to wait.
    pause_ns = max(limits.COLLECT_PAUSE_SECONDS * _SECOND_NS, 10 * took_ns)
    if 0 <= since_ns < pause_ns:
        return None
    grown_bytes = 0 if record is None else max(0, record.free_bytes - disk.free_bytes)
    is_hourly = not 0 <= since_ns < limits.COLLECT_EVERY_SECONDS * _SECOND_NS
    budget_bytes = settings.budget(disk.size_bytes)
    if disk.free_bytes < settings.free(disk.size_bytes):
        return "the disk is short of space"
    if (
        record is not None
        and budget_bytes is not None
        and record.held_bytes + grown_bytes > budget_bytes
        and (is_hourly or grown_bytes > budget_bytes // 100)
    ):
        return "the byte budget is used up"
    if grown_bytes >= limits.COLLECT_GROWTH_BYTES:
        return "the disk has filled"
    return "time has passed" if is_hourly else None


def is_due(storage: Storage, *, now_ns: int | None = None) -> str | None:
    """Returns why a collection of a store should be made now, or None; some 10 us.

    None also while one is being made. `InvalidArgumentError` if the settings cannot be understood.
    """
    reason = _reason(storage, time.time_ns() if now_ns is None else now_ns)
    if reason is None:
        return None
    lock = storage.lock(layout.COLLECTOR_LOCK, wait=False)
    if lock is None:
        return None
    lock.release()
    return reason


def _reason(storage: Storage, now_ns: int) -> str | None:
    record = read_record(storage)
    made_ns = os.stat(storage.host_path(layout.FORMAT)).st_mtime_ns
    return why_due(read_settings(storage), record, disk_of(storage), made_ns, now_ns)


def collect_if_due(store: Store, *, clock_ns: garbage.Clock = time.time_ns) -> garbage.Freed | None:
    """Collects a store by its settings if that is due; returns what was done, or None."""
    lock = store.storage.lock(layout.COLLECTOR_LOCK, wait=False)
    if lock is None:
        return None
    try:
        # Again, under the lock: another mount may have been first.
        reason = _reason(store.storage, clock_ns())
        return None if reason is None else _collected(store, reason, clock_ns)
    finally:
        lock.release()


def collect(
    store: Store,
    planned: garbage.Plan,
    *,
    reason: str,
    evictions: Iterable[Eviction] = (),
    clock_ns: garbage.Clock = time.time_ns,
    progress: garbage.Progress = lambda _: None,
) -> garbage.Freed:
    """Carries a plan out and records it; `evictions` are the plain files that go.

    `BusyError` while another collection runs.
    """
    lock = store.storage.lock(layout.COLLECTOR_LOCK, wait=False)
    if lock is None:
        raise BusyError("another collection is running")
    try:
        began_ns = clock_ns()
        evicted_bytes = evict(store.storage, evictions)
        return _carried_out(
            store, planned, began_ns, reason, clock_ns, progress, evicted_bytes=evicted_bytes
        )
    finally:
        lock.release()


def _collected(store: Store, reason: str, clock_ns: garbage.Clock) -> garbage.Freed:
    began_ns = clock_ns()
    settings, disk = read_settings(store.storage), disk_of(store.storage)
    # First: a cache goes before anything that somebody could come back to.
    evictions = plan_evictions(held_files(store.storage), settings, disk, began_ns)
    evicted_bytes = evict(store.storage, evictions)
    disk = disk_of(store.storage)
    planned = garbage.plan(
        store,
        policy=settings.policy(),
        keep_bytes=settings.budget(disk.size_bytes),
        free_bytes=max(0, settings.free(disk.size_bytes) - disk.free_bytes),
        clock_ns=clock_ns,
    )
    return _carried_out(
        store, planned, began_ns, reason, clock_ns, lambda _: None, evicted_bytes=evicted_bytes
    )


def _carried_out(
    store: Store,
    planned: garbage.Plan,
    began_ns: int,
    reason: str,
    clock_ns: garbage.Clock,
    progress: garbage.Progress,
    *,
    evicted_bytes: int,
) -> garbage.Freed:
    collected = garbage.carry_out_locked(store, planned, clock_ns, progress)
    done = collected._replace(freed_bytes=collected.freed_bytes + evicted_bytes)
    note_usage(store)
    record = Record(
        began_ns,
        clock_ns(),
        reason,
        done.snapshots,
        done.layers,
        done.packs,
        done.freed_bytes,
        planned.held_bytes - collected.freed_bytes,
        disk_of(store.storage).free_bytes,
        planned.missing_bytes,
        (*planned.notes, *done.notes),
    )
    write_record(store.storage, record)
    return done
