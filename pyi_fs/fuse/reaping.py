"""Forgets and releases: an unlinked inode that nobody holds any more is reaped.

The kernel holds a node from its lookup until it forgets it, and forgets it after the last release.

Nobody waits for a reap, and each is a record of the journal, so small files are reaped together: a
moment later (`run`), or when there are many, or before a command, whose state has no file that
nobody holds. Large ones at once: whoever deletes on a full disk wants their room. A server that
dies meanwhile leaves them to its successor (`fuse/takeover.py`), an unmount to `fuse/mount.py`.

A disk that is full must not lose a reap: what could not be committed is tried again with the next
one, and recovery reaps what is left.
"""

from collections.abc import Callable, Sequence

import trio

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import PyiError
from pyi_fs.fuse.handles import FileHandle, HandleId, Handles
from pyi_fs.fuse.nodes import NodeTable, Place
from pyi_fs.fuse.prefill import Prefill
from pyi_fs.ids import InodeNumber, NodeId
from pyi_fs.model.mutation import Reap

TOGETHER_MAX = 64
"""Files that wait to be reaped, at most."""
WAITING_BYTES_MAX = 65_536
"""A larger file does not wait: no more than 4 MiB of a disk in all do."""
_SECONDS = 0.05


class Reaper:
    """Gives unlinked inodes back."""

    def __init__(
        self,
        workspace: Workspace,
        nodes: NodeTable,
        handles: Handles,
        prefill: Prefill,
        note_given_up: Callable[[], None],
    ) -> None:
        """Begins with nothing to reap; `note_given_up` is told when something was let go of."""
        self._workspace = workspace
        self._nodes = nodes
        self._handles = handles
        self._prefill = prefill
        self._note_given_up = note_given_up
        self._unheld: dict[Branch, list[InodeNumber]] = {}
        self._count = 0
        self._waiting = trio.Event()

    async def run(self) -> None:
        """Reaps what waits, a moment after it came to be; runs until cancelled.

        Never wakes while nothing waits.
        """
        while True:
            await self._waiting.wait()
            await trio.sleep(_SECONDS)
            self._waiting = trio.Event()
            self.reap()

    def forget(self, forgotten: Sequence[tuple[NodeId, int]]) -> None:
        """Takes back lookups; inodes that are unlinked and unknown from now on will be reaped."""
        for node, count in forgotten:
            place = self._nodes.forget(node, count)
            if place is None:
                continue
            self._prefill.forgotten(node)
            if not self._handles.is_open(node):
                self._note(place)
        self._note_given_up()

    def release(self, handle: HandleId) -> None:
        """Closes a handle; its inode will be reaped if the kernel has already forgotten it."""
        closed = self._handles.remove(handle)
        if not isinstance(closed, FileHandle) or self._handles.is_open(closed.node):
            return
        if not self._nodes.is_known(closed.node):
            self._note(Place(closed.view, closed.number))
            self._note_given_up()

    def reap(self) -> None:
        """Reaps all that waits; what the disk has no room for waits on."""
        if not self._unheld:
            return
        for branch, numbers in list(self._unheld.items()):
            # Closed since: another process may write it, and whoever opens it reaps.
            if self._workspace.opened(branch.name) is branch:
                # A command may have taken some of them away, or brought them back.
                unlinked = branch.tree.unlinked
                left = tuple(number for number in numbers if number in unlinked)
                try:
                    if left:
                        branch.commit(Reap(left))
                except (OSError, PyiError):
                    continue
            del self._unheld[branch]
        self._count = sum(map(len, self._unheld.values()))

    def _note(self, place: Place) -> None:
        view, number = place
        branch = view.branch
        if branch is None or branch.read_only or number not in branch.tree.unlinked:
            return
        self._unheld.setdefault(branch, []).append(number)
        self._count += 1
        is_large = branch.tree.existing(number).size > WAITING_BYTES_MAX
        if is_large or self._count >= TOGETHER_MAX:
            self.reap()
        elif not self._waiting.is_set():
            self._waiting.set()
