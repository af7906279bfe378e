"""What the kernel knows: nodes, and the file of a view that each one stands for.

A node id is `view number << 40 | inode number`, so nothing need be remembered about a file that is
only looked at. With pyfuse3 the node id is also `st_ino`; the direct transport says `ino_of`. A
publish makes exceptions (`fuse/publishing.py`):

- a node may stand for another inode number (`Place`): an orphan that was adopted, or the new node
  of a restored file;
- a node may stand for a file that is gone (`Gone`): it keeps its last attributes until the kernel
  forgets it.

Invariants: no name leads to a `Gone` file's node; one inode of a view has one node at a time.
Control nodes have bit 39 set, which no inode number reaches, and live in a table of their own while
the kernel knows them.

What cannot be derived is noted in the ledger: lookup counts, exceptions, control nodes. A server
that takes over goes on with it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from pyi_fs.control.node import ControlNode
from pyi_fs.control.session import Session
from pyi_fs.control.view import View
from pyi_fs.errors import NotFoundError, StaleNodeError
from pyi_fs.fuse.kept import KeptDict
from pyi_fs.fuse.ledger import Ledger, NoLedger, Value, Word
from pyi_fs.fuse.lookups import LookupCounts
from pyi_fs.ids import ROOT_INODE, InodeNumber, NodeId, ViewNumber
from pyi_fs.model.inode import Inode

VIEW_BITS = 40
NUMBER_MASK = (1 << VIEW_BITS) - 1
CONTROL_BIT = 1 << 39
ROOT_NODE = NodeId(ROOT_INODE)
_CONTROL_LAST = Word.CONTROL_LAST.value


class Place(NamedTuple):
    """A file of a view."""

    view: View
    number: InodeNumber


class Gone(NamedTuple):
    """A file that left its view while the kernel knew it, as it last was."""

    view: View
    number: InodeNumber
    inode: Inode


def is_control(node: NodeId) -> bool:
    """Returns whether a node belongs to `.pyi`."""
    return bool(node & CONTROL_BIT)


def _kept_exception(exception: Place | Gone) -> Value:
    view = exception.view.kept_as or exception.view.number
    if isinstance(exception, Place):
        return [view, exception.number]
    return [view, exception.number, msgspec.msgpack.encode(exception.inode)]


def _kept_control(control: ControlNode) -> Value:
    return [control.view, list(control.path), control.kind]


class NodeTable:
    """The nodes of a mount."""

    def __init__(self, session: Session, ledger: Ledger | None = None) -> None:
        """Begins with only the root known; `restore` brings what a dead server noted."""
        self._session = session
        ledger = NoLedger() if ledger is None else ledger
        self._words = ledger.words
        self.counts = LookupCounts(ledger)
        self._exceptions = KeptDict[NodeId, Place | Gone](ledger, "exceptions", _kept_exception)
        self._renumbered = KeptDict[tuple[int, InodeNumber], NodeId](ledger, "renumbered", int)
        # Views of which there may be some in there: most that are dropped never had one.
        self._views_renumbered: set[int] = set()
        # Nodes of restored files that nobody had open -> the numbers that are their own.
        self._shown = KeptDict[NodeId, int](ledger, "shown", int)
        self._control = KeptDict[NodeId, ControlNode](ledger, "control", _kept_control)
        self._control_ids: dict[ControlNode, NodeId] = {}

    def place(self, node: NodeId) -> Place:
        """Returns the file a node stands for now.

        `NotFoundError` for a directory that is gone (as after rmdir), `StaleNodeError` for another
        file that is: the kernel then looks its path up again and finds the new one.
        """
        exception = self._exceptions.get(node) if self._exceptions else None
        if exception is None:
            view = self._session.views.get(ViewNumber(node >> VIEW_BITS))
            if view is None:
                raise StaleNodeError(f"node {node} belongs to a view that is gone")
            return Place(view, InodeNumber(node & NUMBER_MASK))
        if isinstance(exception, Place):
            return exception
        if exception.inode.is_directory:
            raise NotFoundError("the directory is gone")
        raise StaleNodeError(f"node {node} belongs to a file that is gone")

    def inode(self, node: NodeId) -> Inode:
        """Returns the record behind a node, the last one of a file that is gone.

        Enough for stat and readlink.
        """
        if self._exceptions:
            exception = self._exceptions.get(node)
            if isinstance(exception, Gone):
                return exception.inode
        view, number = self.place(node)
        return view.tree.existing(number)

    def ino_of(self, node: NodeId) -> int:
        """Returns the `st_ino` of a node: itself, or the number of the restored file behind it."""
        return self._shown.get(node, node) if self._shown else node

    def node_of(self, view: View, number: InodeNumber) -> NodeId:
        """Returns the node of a file, known to the kernel or not."""
        if self._renumbered:
            node = self._renumbered.get((view.number, number))
            if node is not None:
                return node
        return NodeId(view.number << VIEW_BITS | number)

    def is_known(self, node: NodeId) -> bool:
        """Returns whether the kernel may ask about a node."""
        return node == ROOT_NODE or node in self.counts

    def known_node(self, view: View, number: InodeNumber) -> NodeId | None:
        """Returns the node of a file if the kernel may ask about it."""
        node = self._renumbered.get((view.number, number)) if self._renumbered else None
        if node is None:
            node = NodeId(view.number << VIEW_BITS | number)
        return node if node == ROOT_NODE or node in self.counts else None

    def gone(self, node: NodeId) -> Gone | None:
        """Returns what is left of a file that is gone."""
        exception = self._exceptions.get(node)
        return exception if isinstance(exception, Gone) else None

    def redirect(self, node: NodeId, exception: Place | Gone) -> None:
        """Makes a node stand for another file, or for one that is gone, until it is forgotten."""
        self._exceptions[node] = exception

    def known_of(self, view: View) -> Iterator[tuple[NodeId, InodeNumber]]:
        """Yields the known nodes of a view, also of gone files, with their inode numbers."""
        base = view.number << VIEW_BITS
        if view.number == 0:
            yield ROOT_NODE, ROOT_INODE
        for node in self.counts.between(base, base | CONTROL_BIT):
            exception = self._exceptions.get(node) if self._exceptions else None
            if exception is None:
                yield node, InodeNumber(node & NUMBER_MASK)
            elif exception.view is view:
                yield node, exception.number
        for (number_of_view, number), node in list(self._renumbered.items()):
            if (
                number_of_view == view.number
                and node >> VIEW_BITS != view.number
                and node in self.counts
            ):
                yield node, number

    def bind(self, view: View, number: InodeNumber, node: NodeId) -> None:
        """Makes any node, also one of another view's range, the node of a file."""
        self._views_renumbered.add(view.number)
        self._renumbered[view.number, number] = node
        self._exceptions[node] = Place(view, number)

    def renumber(
        self, view: View, number: InodeNumber, fresh: InodeNumber, *, is_shown: bool = False
    ) -> NodeId:
        """Returns the new node of a file whose old one stands for something else now.

        `fresh` is no inode's number. `is_shown`: the file's own number is its `st_ino` again;
        nobody may have a file open that showed it. (SQLite knows the files of a process by their
        numbers: with a restored database under that of the orphan it held, it failed.)
        """
        node = NodeId(view.number << VIEW_BITS | fresh)
        self._views_renumbered.add(view.number)
        if is_shown:
            self._shown[node] = view.number << VIEW_BITS | number
        self._renumbered[view.number, number] = node
        self._exceptions[node] = Place(view, number)
        return node

    def revive(self, view: View, number: InodeNumber, node: NodeId) -> None:
        """Makes the node of a gone file stand for it again: it is back, as it was."""
        if node == NodeId(view.number << VIEW_BITS | number):
            self._exceptions.pop(node, None)
            self._renumbered.pop((view.number, number), None)
        else:
            self._views_renumbered.add(view.number)
            self._exceptions[node] = Place(view, number)
            self._renumbered[view.number, number] = node

    def forget(self, node: NodeId, count: int) -> Place | None:
        """Takes back lookups; returns the file if its node is unknown from now on."""
        if not self.counts.drop(node, count):
            return None
        if node & CONTROL_BIT:
            control = self._control.pop(node, None)
            if control is not None:
                del self._control_ids[control]
            return None
        exception = self._exceptions.get(node) if self._exceptions else None
        if exception is None:
            view = self._session.views.get(ViewNumber(node >> VIEW_BITS))
            return None if view is None else Place(view, InodeNumber(node & NUMBER_MASK))
        # The node of a restored file stays its node, so that its st_ino does not change while the
        # mount lives; and of one that is gone, which a later restore may bring back.
        if self._renumbered.get((exception.view.number, exception.number)) != node:
            del self._exceptions[node]
            self._shown.pop(node, None)
        elif isinstance(exception, Gone):
            self._exceptions[node] = Place(exception.view, exception.number)
        return exception if isinstance(exception, Place) else None

    def views_of_exceptions(self) -> Iterator[View]:
        """Yields the views of the files that nodes stand for and that are not their own."""
        return (exception.view for exception in self._exceptions.values())

    @property
    def number_last(self) -> int:
        """Returns the highest number of a node that stands for something else."""
        return max((node & NUMBER_MASK for node in self._exceptions), default=0)

    def forget_view(self, view: View) -> None:
        """Drops the exceptions of a view that is gone."""
        if view.number not in self._views_renumbered:
            return
        self._views_renumbered.remove(view.number)
        for key in [key for key in self._renumbered if key[0] == view.number]:
            node = self._renumbered.pop(key)
            self._exceptions.pop(node, None)
            self._shown.pop(node, None)

    def control_node(self, control: ControlNode) -> NodeId:
        """Returns the node of a file of `.pyi`.

        It holds until the kernel forgets it, so count a lookup.
        """
        node = self._control_ids.get(control)
        if node is None:
            self._words[_CONTROL_LAST] += 1
            node = NodeId(CONTROL_BIT | self._words[_CONTROL_LAST])
            self._control_ids[control] = node
            self._control[node] = control
        return node

    def control(self, node: NodeId) -> ControlNode:
        """Returns what a node of `.pyi` stands for."""
        try:
            return self._control[node]
        except KeyError:
            raise StaleNodeError(f"no control node {node}") from None

    def restore(
        self,
        exceptions: dict[NodeId, Place | Gone],
        renumbered: dict[tuple[int, InodeNumber], NodeId],
        shown: dict[NodeId, int],
        control: dict[NodeId, ControlNode],
    ) -> None:
        """Goes on with what a dead server noted; the lookup counts are there already."""
        for node, exception in exceptions.items():
            self._exceptions.restore(node, exception)
        for place, node in renumbered.items():
            self._renumbered.restore(place, node)
            self._views_renumbered.add(place[0])
        for node, number in shown.items():
            self._shown.restore(node, number)
        for node, control_node in control.items():
            self._control.restore(node, control_node)
            self._control_ids[control_node] = node
