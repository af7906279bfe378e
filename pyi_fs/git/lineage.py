"""Which snapshots a branch consists of, and their trees one after the other."""

from pyi_fs.engine.history import folded
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import Position, SnapshotId
from pyi_fs.model.operation import TakeSnapshot
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.tree import Tree


def number_of(snapshot: SnapshotId) -> int:
    """Returns the number in an id: snapshots of a workspace are numbered as they are taken."""
    return int(snapshot.partition("-")[0])


def taken(workspace: Workspace) -> dict[SnapshotId, TakeSnapshot]:
    """Returns the records of all snapshots ever taken, deleted ones too. O(operations)."""
    return {
        operation.id: operation
        for _, operation in workspace.log.operations()
        if isinstance(operation, TakeSnapshot)
    }


def chain(workspace: Workspace, branch: str) -> list[Snapshot]:
    """Returns the snapshots in the lineage of a branch, oldest first. `NotFoundError`.

    A deleted snapshot is left out, what came before it is not.
    """
    refs = workspace.refresh()
    found: list[Snapshot] = []
    deleted: dict[SnapshotId, TakeSnapshot] | None = None
    at = refs.branch(branch).last
    while at is not None:
        snapshot = refs.snapshots.get(at)
        if snapshot is not None:
            found.append(snapshot)
            at = snapshot.parent
            continue
        if deleted is None:
            deleted = taken(workspace)
        record = deleted.get(at)
        at = record.parent if record is not None else None
    return found[::-1]


class Trees:
    """The trees of a chain of positions: each folded on from the one before, where that can be."""

    def __init__(self, workspace: Workspace) -> None:
        """Knows no tree yet."""
        self._workspace = workspace
        self._last: tuple[Position, Tree] | None = None

    def tree(self, position: Position, before: Position | None = None) -> Tree:
        """Returns the tree of a position; `NotFoundError` if a layer on the way to it is gone.

        `before` is a position whose tree will be asked for as well, if it is cheap to have: one
        further up in the same layer.
        """
        if self._last is None and before is not None and before.layer == position.layer:
            self._last = before, self._workspace.history.tree(before)
        tree = self._folded_on(position)
        if tree is None:
            tree = self._workspace.history.tree(position)
        else:
            self._workspace.history.remember(position, tree)
        self._last = position, tree
        return tree

    def tree_if_kept(self, position: Position) -> Tree | None:
        """Returns the tree of a position, None if it cannot be had any more."""
        try:
            return self._workspace.history.tree(position)
        except NotFoundError:
            return None

    def _folded_on(self, position: Position) -> Tree | None:
        """Returns the fold from the last tree, None if the position does not lie after it.

        Folding each snapshot from the beginning of its layer would make the export of n snapshots
        quadratic.
        """
        if self._last is None:
            return None
        start, tree = self._last
        steps = []
        for step in self._workspace.history.lineage(position):
            steps.append(step)
            if step.layer == start.layer:
                break
        if steps[-1].layer != start.layer or steps[-1].offset < start.offset:
            return None
        for step in reversed(steps):
            first = start.offset if step.layer == start.layer else 0
            records = self._workspace.store.layers.records(step.layer, first, step.offset)
            for offset, mutation in records:
                tree = folded(step.layer, tree, offset, mutation)
        return tree
