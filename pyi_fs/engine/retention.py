"""Which snapshots go when: a plan made of refs, a moment and a policy. Pure.

Everything is kept for a while, then the newest of each slot of time (hours, days, weeks); slots are
counted from the epoch, so that a later plan agrees with an earlier one.

Invariant: no policy removes what `floor` names.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.ids import BranchName, SnapshotId
from pyi_fs.model.refs import Refs, Snapshot

_SECOND_NS = 1_000_000_000
_HOUR = 3600
_DAY = 24 * _HOUR


class Step(NamedTuple):
    """Up to an age, one snapshot is kept of every so many seconds; None: up to any age."""

    until_seconds: int | None
    every_seconds: int


class Policy(NamedTuple):
    """All snapshots are kept up to an age, then the newest of each slot; steps by growing age."""

    all_seconds: int = _DAY
    steps: tuple[Step, ...] = (
        Step(7 * _DAY, _HOUR),
        Step(30 * _DAY, _DAY),
        Step(None, 7 * _DAY),
    )


DEFAULT = Policy()


class Removal(NamedTuple):
    """A snapshot that goes, and why, for the log."""

    snapshot: Snapshot
    reason: str


def floor(refs: Refs, now_ns: int) -> dict[SnapshotId, str]:
    """Returns the snapshots that no policy and no budget removes, each with the reason."""
    kept: dict[SnapshotId, str] = {}
    starts = {ref.position for ref in refs.branches.values() if _is_there(refs, ref.name, now_ns)}
    newest: dict[BranchName, Snapshot] = {}
    for snapshot in refs.ordered():
        newest[snapshot.branch] = snapshot
        if now_ns - snapshot.time_ns < limits.RETENTION_AGE_SECONDS_MIN * _SECOND_NS:
            kept[snapshot.id] = "young"
        elif snapshot.position in starts:
            kept[snapshot.id] = "a branch starts from it"
        elif snapshot.pinned:
            kept[snapshot.id] = "pinned"
        elif snapshot.name:
            kept[snapshot.id] = "named"
    for ref in refs.branches.values():
        if _is_there(refs, ref.name, now_ns):
            for found in (newest.get(ref.name), refs.snapshots.get(ref.last) if ref.last else None):
                if found is not None:
                    kept.setdefault(found.id, f"the last of branch '{ref.name}'")
    return kept


def thin(refs: Refs, now_ns: int, policy: Policy = DEFAULT) -> tuple[Removal, ...]:
    """Returns the snapshots that a policy removes at a moment, oldest first."""
    kept = floor(refs, now_ns)
    return tuple(
        removal for removal in _thinned(refs, now_ns, policy) if removal.snapshot.id not in kept
    )


def expendable(refs: Refs, now_ns: int, gone: Iterable[SnapshotId] = ()) -> tuple[Snapshot, ...]:
    """Returns what a byte budget may take: automatic ones, oldest first, then other unnamed ones.

    Without those that are `gone` already.
    """
    kept = floor(refs, now_ns).keys() | set(gone)
    candidates = [snapshot for snapshot in refs.ordered() if snapshot.id not in kept]
    return tuple(sorted(candidates, key=by_worth))


def by_worth(snapshot: Snapshot) -> tuple[bool, int]:
    """Returns the sort key of what a byte budget takes first."""
    return not snapshot.automatic, snapshot.time_ns


def _thinned(refs: Refs, now_ns: int, policy: Policy) -> Iterator[Removal]:
    newest: dict[tuple[BranchName, int, int], Snapshot] = {}
    slots: list[tuple[Snapshot, tuple[BranchName, int, int] | None]] = []
    for snapshot in refs.ordered():
        slot = _slot(snapshot, now_ns, policy)
        slots.append((snapshot, slot))
        if slot is not None and (slot not in newest or newest[slot].time_ns <= snapshot.time_ns):
            newest[slot] = snapshot
    for snapshot, slot in slots:
        if not _is_there(refs, snapshot.branch, now_ns):
            yield Removal(snapshot, f"retention: branch '{snapshot.branch}' was dropped")
        elif slot is not None and newest[slot].id != snapshot.id:
            yield Removal(snapshot, f"retention: one per {_span(slot[1])} is kept")


def _slot(snapshot: Snapshot, now_ns: int, policy: Policy) -> tuple[BranchName, int, int] | None:
    """Returns the slot a snapshot competes in, or None while all are kept."""
    age_ns = now_ns - snapshot.time_ns
    if age_ns <= policy.all_seconds * _SECOND_NS:
        return None
    for step in policy.steps:
        if step.until_seconds is None or age_ns <= step.until_seconds * _SECOND_NS:
            number = snapshot.time_ns // (step.every_seconds * _SECOND_NS)
            return snapshot.branch, step.every_seconds, number
    # Beyond the last step the newest of the branch stands for all.
    return snapshot.branch, 0, 0


def _is_there(refs: Refs, branch: BranchName, now_ns: int) -> bool:
    """Returns whether a branch is not dropped, or can still be brought back."""
    ref = refs.branches.get(branch)
    if ref is None:
        return False
    window_ns = limits.UNDO_WINDOW_SECONDS * _SECOND_NS
    return not ref.dropped or ref.dropped_ns > max(now_ns - window_ns - 1, refs.undo_closed_ns)


def _span(seconds: int) -> str:
    names = {_HOUR: "hour", _DAY: "day", 7 * _DAY: "week", 0: "branch"}
    return names.get(seconds, f"{seconds} s")
