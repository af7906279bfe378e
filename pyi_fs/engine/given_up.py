"""What dropped ephemeral branches left: memory, which is not kept for as long as disk is."""

from collections.abc import Iterator

from pyi_fs import limits
from pyi_fs.errors import NotFoundError, StoreError
from pyi_fs.ids import BranchName, Position
from pyi_fs.model.refs import BranchRef, Refs, Snapshot
from pyi_fs.store.layers import Layers

# Twice the window of `undo`: who was allowed to undo finds the place still there.
KEPT_NS = 2 * limits.EPHEMERAL_UNDO_SECONDS * 1_000_000_000


class GivenUp:
    """Says which places of a workspace nobody can come back to, and only memory has."""

    def __init__(self, refs: Refs, layers: Layers, now_ns: int) -> None:
        """Asks nothing yet."""
        self._refs = refs
        self._layers = layers
        self._before_ns = now_ns - KEPT_NS

    def has(self, branch: BranchName, time_ns: int, position: Position) -> bool:
        """Returns whether a place that a branch came to at a time is given up."""
        ref = self._refs.branches.get(branch)
        if ref is None:
            return False
        try:
            if time_ns < ref.made_ns:
                # Of an earlier branch of that name, which was dropped before this one was made.
                is_over, is_of_it = ref.made_ns < self._before_ns, self._layers.is_in_memory
            else:
                is_over, is_of_it = self._is_over(ref), self._layers.is_ephemeral
            return is_over and is_of_it(position.layer)
        except (NotFoundError, StoreError):
            # Who looks at the place itself finds out what is the matter.
            return False

    def snapshots(self) -> Iterator[Snapshot]:
        """Yields the snapshots that went with their branches: without a name, and not pinned."""
        for snapshot in self._refs.snapshots.values():
            is_kept = bool(snapshot.name) or snapshot.pinned
            if not is_kept and self.has(snapshot.branch, snapshot.time_ns, snapshot.position):
                yield snapshot

    def _is_over(self, ref: BranchRef) -> bool:
        return ref.ephemeral and ref.dropped and ref.dropped_ns < self._before_ns
