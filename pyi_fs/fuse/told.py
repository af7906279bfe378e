"""Which thread was told the attributes of a node, for whom a change may come too soon.

The kernel keeps attributes until it is told otherwise. What a request changes of a node that it is
not about (a directory by its entries, the ctime of what is renamed or has its extended attributes
changed) it drops by itself. But a client that has its answer, and has waited for a core since, puts
it into the cache when it comes to run: attributes from before a change that another client has
made, and had answered, meanwhile. They would stay there.

So who changes such a thing of which another thread was told has the kernel drop its attributes once
more, before the change is answered. That is counted there (`attr_version`): whoever asked before it
keeps nothing. The thread itself needs none: it has put its last answer away, or it could not ask.
(Of writes, truncations, links and removals the kernel counts the version itself.)

(The kernel was once told to keep no attributes of a directory within 200 ms of a change: one
request more for each use of a path in it, half of what a stat or a failing one takes.)

Source: `fuse_change_attributes`, `fuse_reverse_inval_inode` (Linux 5.8), `fuse_dir_changed`,
`fuse_update_ctime`, `request_wait_answer` in fs/fuse.
"""

import time

from pyi_fs.ids import NodeId

_UNKNOWN = 0
# More than one, or unknown.
_ANYBODY = -1
NODES_MIN = 8192
"""What was told is remembered for as many other nodes, and at least for a moment."""
_SECONDS_MIN = 0.25


class Told:
    """Who was told of which node lately. `thread`: whose request is being answered, 0 unknown.

    Bounded: what was told longest ago is forgotten.
    """

    __slots__ = ("_before", "_is_successor", "_now", "_since", "thread")

    def __init__(self) -> None:
        """Begins with nobody told."""
        self.thread = _UNKNOWN
        self._now: dict[NodeId, int] = {}
        self._before: dict[NodeId, int] = {}
        self._since = time.monotonic()
        self._is_successor = False

    @property
    def node_count(self) -> int:
        """Returns of how many nodes something is remembered, twice of some."""
        return len(self._now) + len(self._before)

    def succeed(self) -> None:
        """Goes on after another server, which may have told anybody of anything just now."""
        self._is_successor = True

    def note(self, node: NodeId) -> None:
        """The thread is told the attributes of a node, to be kept."""
        now, thread = self._now, self.thread or _ANYBODY
        now[node] = thread if now.get(node, thread) == thread else _ANYBODY
        if len(now) > NODES_MIN and time.monotonic() - self._since > _SECONDS_MIN:
            self._before, self._now, self._since = now, {}, time.monotonic()

    def has_changed(self, node: NodeId) -> bool:
        """Returns whether the kernel must be told that the thread changes a node.

        Forgets who was told.
        """
        thread = self.thread
        last = self._now.pop(node, thread)
        first = self._before.pop(node, thread) if self._before else thread
        if self._is_successor:
            self._is_successor = time.monotonic() - self._since < _SECONDS_MIN
            return True
        return last != thread or first != thread

    def is_told_to_others(self, node: NodeId) -> bool:
        """Returns whether another thread than this one was told of a node lately."""
        thread = self.thread
        return (
            self._now.get(node, thread) != thread
            or self._before.get(node, thread) != thread
            or self._is_successor
        )


def listing_of(directory: NodeId) -> NodeId:
    """Returns what stands for all files that a listing of a directory tells of."""
    return NodeId(-directory)
