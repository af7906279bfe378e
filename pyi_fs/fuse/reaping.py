"""Forgets and releases: an unlinked inode that nobody holds any more is reaped.

The kernel holds a node from its lookup until it forgets it, and forgets it after the last release.
A disk that is full must not lose a reap: what could not be committed is tried again with the next
one, and recovery reaps what is left.
"""

from collections.abc import Sequence

from pyi_fs.engine.branch import Branch
from pyi_fs.errors import PyiError
from pyi_fs.fuse.handles import FileHandle, HandleId
from pyi_fs.fuse.nodes import Place
from pyi_fs.fuse.state import MountState
from pyi_fs.ids import InodeNumber, NodeId
from pyi_fs.model.mutation import Reap


class Reaper:
    """Gives unlinked inodes back."""

    def __init__(self, state: MountState) -> None:
        """Begins with nothing to reap."""
        self._workspace = state.session.workspace
        self._nodes = state.nodes
        self._handles = state.handles
        self._prefill = state.prefill
        self._note_given_up = state.note_given_up
        self._unheld: dict[Branch, list[InodeNumber]] = {}

    def forget(self, forgotten: Sequence[tuple[NodeId, int]]) -> None:
        """Takes back lookups.

        Inodes that are unlinked and unknown from now on are reaped together.
        """
        for node, count in forgotten:
            place = self._nodes.forget(node, count)
            if place is None:
                continue
            self._prefill.forgotten(node)
            if not self._handles.is_open(node):
                self._note(place)
        if self._unheld:
            self._reap()
        self._note_given_up()

    def release(self, handle: HandleId) -> None:
        """Closes a handle; its inode is reaped if the kernel has already forgotten it."""
        closed = self._handles.remove(handle)
        if not isinstance(closed, FileHandle) or self._handles.is_open(closed.node):
            return
        if not self._nodes.is_known(closed.node):
            self._note(Place(closed.view, closed.number))
            self._reap()
            self._note_given_up()

    def _note(self, place: Place) -> None:
        branch = place.view.branch
        if branch is None or branch.read_only or place.number not in branch.tree.unlinked:
            return
        self._unheld.setdefault(branch, []).append(place.number)

    def _reap(self) -> None:
        for branch, numbers in list(self._unheld.items()):
            if self._workspace.opened(branch.name) is not branch:
                # Closed since: another process may write it, and whoever opens it reaps.
                del self._unheld[branch]
                continue
            try:
                branch.commit(Reap(tuple(numbers)))
            except (OSError, PyiError):
                continue
            del self._unheld[branch]
