"""Open handles: which file of which view an `fh` stands for, and who is open for writing.

A handle belongs to a *node*, which never changes while it is open; the inode number behind the node
does when a publish makes the file an orphan (`fuse/publishing.py`).
"""

from array import array
from collections.abc import Iterator
from typing import NewType

from pyi_fs.control.handle import ControlHandle
from pyi_fs.control.node import ControlNode
from pyi_fs.control.view import View
from pyi_fs.errors import InvalidArgumentError
from pyi_fs.ids import InodeNumber, NodeId
from pyi_fs.model.tree import Tree

HandleId = NewType("HandleId", int)
"""What the kernel calls an open file or directory; never 0, never reused."""


class FileHandle:
    """An open regular file. `privileged`: opened by root, whose writes leave set-id bits alone."""

    __slots__ = ("node", "number", "privileged", "view", "writable")

    def __init__(
        self, view: View, number: InodeNumber, node: NodeId, *, writable: bool, privileged: bool
    ) -> None:
        """Keeps what the open request said."""
        self.view = view
        self.number = number
        self.node = node
        self.writable = writable
        self.privileged = privileged


class ListingHandle:
    """An open directory of a tree.

    The listing is an iteration over the immutable tree of the moment it began; names already given
    out are kept end to end in bytes, so that a seek back costs nothing and a directory of 200,000
    names a few megabytes while it is open.
    """

    __slots__ = ("_names", "_source", "_starts", "node", "number", "tree", "view")

    def __init__(self, view: View, number: InodeNumber, node: NodeId) -> None:
        """Begins the listing."""
        self.view = view
        self.number = number
        self.node = node
        self.rewind()

    def rewind(self) -> None:
        """Begins afresh, from the tree of now."""
        self.tree: Tree = self.view.tree
        self._source: Iterator[tuple[bytes, InodeNumber]] = self.tree.entries(self.number)
        self._names = bytearray()
        self._starts = array("Q", [0])

    @property
    def given_count(self) -> int:
        """Returns how many names were taken from the tree so far."""
        return len(self._starts) - 1

    def name_at(self, index: int) -> bytes | None:
        """Returns the name at a place of the listing, or None behind its end.

        O(1) where it has been before.
        """
        starts = self._starts
        while len(starts) <= index + 1:
            following = next(self._source, None)
            if following is None:
                return None
            self._names += following[0]
            starts.append(len(self._names))
        return bytes(self._names[starts[index] : starts[index + 1]])


class ControlListing:
    """An open directory of `.pyi`; what it listed when it was opened."""

    __slots__ = ("entries", "node")

    def __init__(self, node: NodeId, entries: list[tuple[bytes, ControlNode | View]]) -> None:
        """Keeps the names and what they stood for."""
        self.node = node
        self.entries = entries


class ControlFile:
    """An open file of `.pyi`."""

    __slots__ = ("control", "node")

    def __init__(self, node: NodeId, control: ControlHandle) -> None:
        """Keeps the control layer's own handle."""
        self.node = node
        self.control = control


Handle = FileHandle | ListingHandle | ControlFile | ControlListing


class Handles:
    """All open handles of a mount."""

    def __init__(self) -> None:
        """Begins with none."""
        self._handles: dict[HandleId, Handle] = {}
        self._files: dict[NodeId, list[FileHandle]] = {}
        self._last = 0

    def add(self, handle: Handle) -> HandleId:
        """Returns the id of a handle from now on."""
        self._last += 1
        self._handles[HandleId(self._last)] = handle
        if isinstance(handle, FileHandle):
            self._files.setdefault(handle.node, []).append(handle)
        return HandleId(self._last)

    def get(self, handle: HandleId) -> Handle:
        """Returns the open handle with that id."""
        try:
            return self._handles[handle]
        except KeyError:
            raise InvalidArgumentError(f"no open handle {handle}") from None

    def file(self, handle: HandleId) -> FileHandle | ControlFile:
        """Returns an open file."""
        found = self.get(handle)
        if not isinstance(found, (FileHandle, ControlFile)):
            raise InvalidArgumentError(f"handle {handle} is not a file")
        return found

    def listing(self, handle: HandleId) -> ListingHandle | ControlListing:
        """Returns an open directory."""
        found = self.get(handle)
        if not isinstance(found, (ListingHandle, ControlListing)):
            raise InvalidArgumentError(f"handle {handle} is not a directory")
        return found

    def remove(self, handle: HandleId) -> Handle | None:
        """Forgets a handle and returns it."""
        found = self._handles.pop(handle, None)
        if isinstance(found, FileHandle):
            others = self._files[found.node]
            others.remove(found)
            if not others:
                del self._files[found.node]
        return found

    def is_open(self, node: NodeId) -> bool:
        """Returns whether a regular file's node is open."""
        return node in self._files

    def files(self, node: NodeId) -> list[FileHandle]:
        """Returns the open handles of a regular file's node."""
        return self._files.get(node, [])

    def open_files(self) -> Iterator[tuple[NodeId, list[FileHandle]]]:
        """Yields every open node with its handles."""
        return iter(list(self._files.items()))
