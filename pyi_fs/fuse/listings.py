"""Requests that list directories.

Offsets: 1 follows `.`, 2 follows `..`, n + 3 follows the n-th name. A name stays at its offset
while the directory is open, whatever comes and goes; what has gone is passed over, because an entry
of a listing is also a lookup, and must not bring a removed name back into the kernel's cache.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pyi_fs.errors import NotADirectoryInTreeError
from pyi_fs.fuse.attributes import Entry
from pyi_fs.fuse.controls import ControlHandlers
from pyi_fs.fuse.handles import ControlListing, HandleId, ListingHandle
from pyi_fs.fuse.names import NameHandlers
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.state import Caller, MountState
from pyi_fs.ids import NodeId
from pyi_fs.model.inode import Inode

# `.` and `..`: what is listed at an offset up to this is not a lookup.
DOT_ENTRIES = 2


class Listed(NamedTuple):
    """One name of a listing, and the offset after it."""

    name: bytes
    node: NodeId
    inode: Inode
    next_offset: int
    lasting: bool = True

    @property
    def entry(self) -> Entry:
        """Returns what the name is."""
        return Entry(self.node, self.inode, self.lasting)


class ListingHandlers:
    """Opens and lists directories."""

    def __init__(self, state: MountState, controls: ControlHandlers, names: NameHandlers) -> None:
        """Works on a mount's state."""
        self._nodes = state.nodes
        self._handles = state.handles
        self._controls = controls
        self._names = names

    def opendir(self, node: NodeId, caller: Caller) -> HandleId:
        """Opens a directory."""
        if node & CONTROL_BIT:
            return self._controls.opendir(node, caller.uid)
        view, number = self._nodes.place(node)
        if not view.tree.existing(number).is_directory:
            raise NotADirectoryInTreeError("not a directory")
        return self._handles.add(ListingHandle(view, number, node))

    def readdir(self, handle_id: HandleId, offset: int) -> Iterator[Listed]:
        """Yields entries from an offset on, made as they are asked for.

        Count what was used with `listed`.
        """
        handle = self._handles.listing(handle_id)
        if isinstance(handle, ControlListing):
            return self._control_entries(handle, offset)
        if offset == 0:
            handle.rewind()
            if handle.noted:
                self._handles.forget_notes(handle)
        return self._entries(handle, offset)

    def listed(self, nodes: Iterable[NodeId]) -> None:
        """Counts entries that went out, other than `.` and `..`, as looked up."""
        self._nodes.counts.add_all(nodes)

    def keep(self, handle_id: HandleId) -> None:
        """Notes the names given out, so that a server that takes over goes on after them."""
        handle = self._handles.listing(handle_id)
        if isinstance(handle, ListingHandle):
            first, names = handle.not_kept()
            if names:
                self._handles.note(handle, "names", (handle_id, first), names)

    def _entries(self, handle: ListingHandle, offset: int) -> Iterator[Listed]:
        view = handle.view
        if offset < DOT_ENTRIES:
            yield from self._dots(handle)[offset:]
            offset = DOT_ENTRIES
        index = offset - DOT_ENTRIES
        tree, node_of, entry_at = view.tree, self._nodes.node_of, handle.entry_at
        is_same = tree is handle.tree
        while (found := entry_at(index)) is not None:
            index += 1
            name, child = found
            if child is None or not is_same:
                child = tree.lookup(handle.number, name)
            inode = tree.inode(child) if child is not None else None
            if child is not None and inode is not None:
                yield Listed(name, node_of(view, child), inode, index + DOT_ENTRIES)

    def _dots(self, handle: ListingHandle) -> list[Listed]:
        inode = handle.tree.existing(handle.number)
        above = self._names.parent_of(handle.view, handle.number)
        return [Listed(b".", handle.node, inode, 1), Listed(b"..", above, inode, 2)]

    def _control_entries(self, handle: ControlListing, offset: int) -> Iterator[Listed]:
        dots = [self._controls.entry(handle.node), self._controls.parent(handle.node)]
        for index, entry in enumerate(dots[offset:], offset):
            node, inode, lasting = entry
            yield Listed((b".", b"..")[index], node, inode, index + 1, lasting)
        start = max(offset - DOT_ENTRIES, 0)
        for index, (name, found) in enumerate(handle.entries[start:], start + 1):
            node, inode, lasting = self._controls.listed(found)
            yield Listed(name, node, inode, index + DOT_ENTRIES, lasting)
