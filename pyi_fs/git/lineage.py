"""Which snapshots a branch consists of, and their trees one after the other."""

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
    """The trees of a chain of positions; each is folded on from the one before (`History.tree`)."""

    def __init__(self, workspace: Workspace) -> None:
        """Knows no tree yet."""
        self._history = workspace.history
        self._has_begun = False

    def tree(self, position: Position, before: Position | None = None) -> Tree:
        """Returns the tree of a position; `NotFoundError` if a layer on the way to it is gone.

        `before` is a position whose tree will be asked for as well, if it is cheap to have: one
        further up in the same layer.
        """
        if not self._has_begun and before is not None and before.layer == position.layer:
            self._history.tree(before)
        self._has_begun = True
        return self._history.tree(position)

    def tree_if_kept(self, position: Position) -> Tree | None:
        """Returns the tree of a position, None if it cannot be had any more."""
        try:
            return self._history.tree(position)
        except NotFoundError:
            return None
