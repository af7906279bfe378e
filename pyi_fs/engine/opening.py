"""Opening a branch for writing: the branch object over what recovery found."""

import logging
from collections.abc import Iterator
from functools import partial

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.history import History
from pyi_fs.engine.reader import Reader
from pyi_fs.engine.recovery import nearest, recover
from pyi_fs.engine.services import LayerServices
from pyi_fs.engine.since_last import Found, SinceLast
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import ROOT_INODE, BranchName, LayerId, Position, WorkspaceName
from pyi_fs.model.mutation import Reap
from pyi_fs.model.refs import BranchRef
from pyi_fs.model.tree import Tree, root_only
from pyi_fs.store.oplog import OperationsLog

log = logging.getLogger(__name__)


class Opening:
    """Opens the branches of one workspace, whose locks the caller holds."""

    def __init__(
        self,
        workspace: WorkspaceName,
        services: LayerServices,
        operations: OperationsLog,
        history: History,
        reader: Reader,
    ) -> None:
        """Works through the given parts."""
        self._workspace = workspace
        self._services = services
        self._log = operations
        self._history = history
        self._reader = reader

    def branch(self, ref: BranchRef, *, reaps: bool = True) -> Branch:
        """Returns a branch at its present, ready to be written.

        `reaps`: without its unlinked files.

        What only it had in memory may be gone; that is said once, here.
        """
        found = recover(self._history.layers, self._history, self._log, ref)
        branch = Branch(
            self._services,
            self._reader,
            ref.name,
            found.tree,
            found.position,
            resumable=found.resumable,
            ephemeral=ref.ephemeral,
        )
        branch.loss = self._loss(ref, found.position)
        if branch.loss:
            log.warning("%s", branch.loss)
        branch.records_since_base = found.records
        branch.closed_layers.update(self._own_layers(ref.name, found.position))
        for mutation in found.unsynced:
            branch.layers.note_borrowed(mutation)
        if found.tree.last_inode >= self._log.refs.inode_end:
            # A power loss took the record of the reservation and left files that it was made for.
            self._services.reserve_beyond(found.tree.last_inode)
        self._find_last(branch, ref, found.position)
        if found.tree.unlinked and reaps:
            # Nobody can hold them any more: whoever did died with the last writer.
            branch.commit(Reap(tuple(found.tree.unlinked)))
        return branch

    def _find_last(self, branch: Branch, ref: BranchRef, position: Position) -> None:
        """Finds the last snapshot; what was touched since, when that is asked."""
        snapshot = self._log.refs.nearest(ref.last)
        if snapshot is not None:
            branch.last = snapshot.id
            start = snapshot.position
        else:
            start = nearest(self._history, self._log, ref.position)
        branch.since_last = SinceLast(partial(self._since, start, position, branch.tree))

    def _since(self, start: Position, position: Position, tree: Tree) -> Found:
        """Returns the tree of a position and what was touched from there to another.

        If it was collected meanwhile, there is nothing left to differ from but an empty tree.
        """
        try:
            return self._history.tree(start), self._history.touched(start, position)
        except NotFoundError:
            root = tree.existing(ROOT_INODE)
            return root_only(root.mode, root.uid, root.gid, root.btime_ns), None

    def _loss(self, ref: BranchRef, position: Position) -> str:
        """Returns a sentence if an ephemeral branch is not where it was left, else nothing."""
        if not ref.ephemeral or ref.layer is None or position.layer == ref.layer:
            return ""
        return (
            f"branch '{ref.name}' of '{self._workspace}' was ephemeral, and the memory that it was "
            "in is gone: it is back at the last durable place before that"
        )

    def _own_layers(self, name: BranchName, position: Position) -> Iterator[LayerId]:
        """Yields the layers in a branch's lineage that it wrote itself: nobody else does."""
        for step in self._history.lineage(position):
            header = self._history.layers.header(step.layer)
            if (header.workspace, header.branch) == (self._workspace, name):
                yield step.layer
