"""What a byte budget takes of a store: as little as is enough, what is worth least first. Pure.

First what `undo` could come back to, from the oldest on and never younger than
`limits.UNDO_WINDOW_SECONDS_MIN`: who dropped or restored said that it is not wanted. Then snapshots
that were taken automatically, then other unnamed ones, oldest first; never what
`retention.floor` names.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from pyi_fs import limits
from pyi_fs.engine.retention import Policy, Removal, by_worth, expendable, thin
from pyi_fs.engine.roots import Gone, Without
from pyi_fs.ids import SnapshotId, WorkspaceName
from pyi_fs.model.refs import Refs

REASON = "byte budget"
_SECOND_NS = 1_000_000_000


class Deletion(NamedTuple):
    """A snapshot that goes, of a workspace."""

    workspace: WorkspaceName
    removal: Removal

    def __str__(self) -> str:
        """Returns one line for people."""
        return f"delete {self.workspace}@{self.removal.snapshot.id}: {self.removal.reason}"


class Closing(NamedTuple):
    """A workspace gives up what could be undone up to a moment."""

    workspace: WorkspaceName
    before_ns: int
    reason: str = REASON

    def __str__(self) -> str:
        """Returns one line for people."""
        moment = datetime.fromtimestamp(self.before_ns // _SECOND_NS, UTC).isoformat()
        return f"close undo of {self.workspace} up to {moment}: {self.reason}"


class Given(NamedTuple):
    """What is given up: snapshots, and ways back."""

    deletions: tuple[Deletion, ...]
    closings: tuple[Closing, ...] = ()

    def without(self) -> Without:
        """Returns the same as `engine/roots.py` wants it."""
        deleted: dict[WorkspaceName, set[SnapshotId]] = defaultdict(set)
        for workspace, removal in self.deletions:
            deleted[workspace].add(removal.snapshot.id)
        closed = {closing.workspace: closing.before_ns for closing in self.closings}
        return {
            name: Gone(deleted[name], closed.get(name, 0)) for name in {*deleted, *closed.keys()}
        }


def for_retention(refs: Mapping[WorkspaceName, Refs], now_ns: int, policy: Policy) -> Given:
    """Returns what a policy takes of each workspace."""
    return Given(
        tuple(
            Deletion(name, removal) for name in refs for removal in thin(refs[name], now_ns, policy)
        )
    )


def for_budget(
    refs: Mapping[WorkspaceName, Refs],
    undoable: Mapping[WorkspaceName, Collection[int]],
    now_ns: int,
    policy: Policy,
    excess_bytes: int,
    frees: Callable[[Given], int],
) -> Given:
    """Returns as little as frees `excess_bytes`, or as much as can be freed if that is less.

    Besides what the policy takes. `undoable`: when something was done in a workspace that `undo`
    can still take back.
    """
    candidates = list(_candidates(refs, undoable, now_ns, policy))

    def given(count: int) -> Given:
        return _given(refs, candidates[:count], now_ns, policy)

    # Nothing is given up for no bytes: a disk may be short of space for other reasons.
    wanted_bytes = min(excess_bytes, frees(given(len(candidates))))
    # The first count that is enough: giving up more never frees less.
    low, high = 0, len(candidates)
    while low < high:
        middle = (low + high) // 2
        if frees(given(middle)) >= wanted_bytes:
            high = middle
        else:
            low = middle + 1
    return given(low)


def _candidates(
    refs: Mapping[WorkspaceName, Refs],
    undoable: Mapping[WorkspaceName, Collection[int]],
    now_ns: int,
    policy: Policy,
) -> Iterator[Deletion | Closing]:
    latest_ns = now_ns - limits.UNDO_WINDOW_SECONDS_MIN * _SECOND_NS
    yield from sorted(
        (
            Closing(name, moment_ns)
            for name, moments in undoable.items()
            for moment_ns in moments
            if moment_ns <= latest_ns
        ),
        key=lambda closing: closing.before_ns,
    )
    yield from sorted(
        (
            Deletion(name, Removal(snapshot, REASON))
            for name in refs
            for snapshot in expendable(refs[name], now_ns, _thinned(refs[name], now_ns, policy))
        ),
        key=lambda deletion: by_worth(deletion.removal.snapshot),
    )


def _given(
    refs: Mapping[WorkspaceName, Refs],
    chosen: Iterable[Deletion | Closing],
    now_ns: int,
    policy: Policy,
) -> Given:
    closings: dict[WorkspaceName, Closing] = {}
    chosen_deletions: list[Deletion] = []
    for item in chosen:
        if isinstance(item, Closing):
            # By time: the last one of a workspace closes the others with it.
            closings[item.workspace] = item
        else:
            chosen_deletions.append(item)
    # What is closed may have been all that kept the snapshots of a dropped branch.
    closed_refs = {
        name: msgspec.structs.replace(
            found, undo_closed_ns=max(found.undo_closed_ns, closings[name].before_ns)
        )
        if name in closings
        else found
        for name, found in refs.items()
    }
    deletions = {
        (deletion.workspace, deletion.removal.snapshot.id): deletion
        for deletion in (
            *chosen_deletions,
            *for_retention(closed_refs, now_ns, policy).deletions,
        )
    }
    return Given(tuple(deletions.values()), tuple(closings.values()))


def _thinned(refs: Refs, now_ns: int, policy: Policy) -> list[SnapshotId]:
    return [removal.snapshot.id for removal in thin(refs, now_ns, policy)]
