"""Open handles: which file of which view an `fh` stands for, and who is open for writing.

A handle belongs to a *node*, which never changes while it is open; the inode number behind the node
does when a publish makes the file an orphan (`fuse/publishing.py`).

Each handle has a slot of the ledger while it is open, for a server that takes over: what it is, and
which request opened it. Its id is the number of its slot and a count, so that none is used twice.
"""

import struct
from array import array
from collections.abc import Iterator, Set
from enum import IntEnum
from typing import NamedTuple, NewType

import trio

from pyi_fs.control.handle import ControlHandle
from pyi_fs.control.node import ControlNode
from pyi_fs.control.view import View
from pyi_fs.errors import InvalidArgumentError
from pyi_fs.fuse.ledger import Key, Ledger, NoLedger, Value, Word
from pyi_fs.ids import InodeNumber, NodeId
from pyi_fs.model.tree import Tree

_SLOT = struct.Struct("<BBxxIQQQQ")
_FREE_SLOT = bytes(_SLOT.size)
_SLOT_BITS = 24
_SLOT_MASK = (1 << _SLOT_BITS) - 1
_WRITABLE, _PRIVILEGED = 1, 2
_REQUEST, _HANDLE_LAST = Word.REQUEST.value, Word.HANDLE_LAST.value

HandleId = NewType("HandleId", int)
"""What the kernel calls an open file or directory; never 0, never reused."""


NOTHING_NOTED: Set[tuple[str, Key]] = frozenset()


class OpenHandle:
    """What all open handles have.

    `id`: what the kernel calls it, 0 until it is added. `noted`: the keys of the ledger that speak
    of it.
    """

    __slots__ = ("id", "noted")

    def __init__(self) -> None:
        """Is not added yet."""
        self.id = HandleId(0)
        self.noted = NOTHING_NOTED


class FileHandle(OpenHandle):
    """An open regular file. `privileged`: opened by root, whose writes leave set-id bits alone.

    `backing`: the kernel's id of the plain file that it is passed through to, or 0.
    """

    __slots__ = ("backing", "node", "number", "privileged", "view", "writable")

    def __init__(
        self, view: View, number: InodeNumber, node: NodeId, *, writable: bool, privileged: bool
    ) -> None:
        """Keeps what the open request said."""
        self.id = HandleId(0)
        self.noted = NOTHING_NOTED
        self.view = view
        self.number = number
        self.node = node
        self.writable = writable
        self.privileged = privileged
        self.backing = 0


class ListingHandle(OpenHandle):
    """An open directory of a tree.

    The listing is an iteration over the immutable tree of the moment it began; names already given
    out are kept end to end in bytes, each with a slash behind it, so that a seek back costs nothing
    and a directory of 200,000 names a few megabytes while it is open.
    """

    __slots__ = ("_kept_count", "_names", "_source", "_starts", "node", "number", "tree", "view")

    def __init__(self, view: View, number: InodeNumber, node: NodeId) -> None:
        """Begins the listing."""
        super().__init__()
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
        self._kept_count = 0

    def go_on_after(self, given: list[bytes]) -> None:
        """Goes on where names were given out before: with what the directory has besides."""
        seen = frozenset(given)
        self._source = (entry for entry in self._source if entry[0] not in seen)
        for name in given:
            self._give(name)
        self._kept_count = len(given)

    def not_kept(self) -> tuple[int, bytes]:
        """Returns the names given out since the last call, and the place of the first.

        Each with a slash behind it.
        """
        first, self._kept_count = self._kept_count, self.given_count
        return first, bytes(self._names[self._starts[first] :])

    @property
    def given_count(self) -> int:
        """Returns how many names were taken from the tree so far."""
        return len(self._starts) - 1

    def entry_at(self, index: int) -> tuple[bytes, InodeNumber | None] | None:
        """Returns the name at a place of the listing, or None behind its end.

        With the number that it has in `tree`, the first time. O(1) where it has been before.
        """
        starts = self._starts
        if len(starts) > index + 1:
            return bytes(self._names[starts[index] : starts[index + 1] - 1]), None
        following = None
        while len(starts) <= index + 1:
            following = next(self._source, None)
            if following is None:
                return None
            self._give(following[0])
        return following

    def _give(self, name: bytes) -> None:
        names = self._names
        names += name
        names += b"/"
        self._starts.append(len(names))


class ControlListing(OpenHandle):
    """An open directory of `.pyi`; what it listed when it was opened."""

    __slots__ = ("entries", "node")

    def __init__(self, node: NodeId, entries: list[tuple[bytes, ControlNode | View]]) -> None:
        """Keeps the names and what they stood for."""
        super().__init__()
        self.node = node
        self.entries = entries


class ControlFile(OpenHandle):
    """An open file of `.pyi`."""

    __slots__ = ("control", "node")

    def __init__(self, node: NodeId, control: ControlHandle) -> None:
        """Keeps the control layer's own handle."""
        super().__init__()
        self.node = node
        self.control = control


Handle = FileHandle | ListingHandle | ControlFile | ControlListing


class Kind(IntEnum):
    """What a slot of the ledger stands for."""

    FILE = 1
    LISTING = 2
    CONTROL_FILE = 3
    CONTROL_LISTING = 4


class KeptHandle(NamedTuple):
    """An open handle as a dead server noted it.

    `view`: by what that was noted, see `View`. `number`: the user, of a file of `.pyi`. `request`:
    the one that opened it.
    """

    kind: Kind
    writable: bool
    privileged: bool
    view: int
    id: HandleId
    node: NodeId
    number: InodeNumber
    request: int

    @classmethod
    def read(cls, record: bytes) -> "KeptHandle | None":
        """Returns what a slot says; None if it is free."""
        kind, flags, view, handle, node, number, request = _SLOT.unpack(record)
        if not kind:
            return None
        return cls(
            Kind(kind),
            bool(flags & _WRITABLE),
            bool(flags & _PRIVILEGED),
            view,
            HandleId(handle),
            NodeId(node),
            InodeNumber(number),
            request,
        )


def _record(handle: Handle, handle_id: HandleId, request: int) -> bytes:
    match handle:
        case FileHandle():
            flags = _WRITABLE * handle.writable | _PRIVILEGED * handle.privileged
            kind, view, number = Kind.FILE, handle.view, handle.number
        case ListingHandle():
            kind, flags, view, number = Kind.LISTING, 0, handle.view, handle.number
        case ControlFile():
            uid = handle.control.uid
            return _SLOT.pack(Kind.CONTROL_FILE, 0, 0, handle_id, handle.node, uid, request)
        case _:
            return _SLOT.pack(Kind.CONTROL_LISTING, 0, 0, handle_id, handle.node, 0, request)
    place = view.kept_as or view.number
    return _SLOT.pack(kind, flags, place, handle_id, handle.node, number, request)


class Handles:
    """All open handles of a mount."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        """Begins with none."""
        self._ledger = NoLedger() if ledger is None else ledger
        self._words = self._ledger.words
        self._handles: dict[HandleId, Handle] = {}
        self._files: dict[NodeId, list[FileHandle]] = {}
        self._free_slots: list[int] = []
        self._slot_count = 0
        self.opened_for_writing = trio.Event()
        """A file was opened for writing since somebody put a new event here."""

    def add(self, handle: Handle) -> HandleId:
        """Returns the id of a handle from now on."""
        if self._free_slots:
            slot = self._free_slots.pop()
        else:
            slot = self._slot_count
            self._slot_count += 1
        words = self._words
        words[_HANDLE_LAST] += 1
        handle_id = HandleId(words[_HANDLE_LAST] << _SLOT_BITS | slot)
        self._put(handle_id, handle)
        if self._ledger.survives:
            self._ledger.slot(slot, _record(handle, handle_id, words[_REQUEST]))
        return handle_id

    def restore(self, kept: dict[HandleId, Handle], slot_count: int) -> None:
        """Goes on with the handles of a dead server, which had so many slots."""
        for handle_id, handle in kept.items():
            self._put(handle_id, handle)
        used = {handle_id & _SLOT_MASK for handle_id in kept}
        self._slot_count = slot_count
        self._free_slots = [slot for slot in range(slot_count) if slot not in used]

    def _put(self, handle_id: HandleId, handle: Handle) -> None:
        handle.id = handle_id
        self._handles[handle_id] = handle
        if isinstance(handle, FileHandle):
            others = self._files.get(handle.node)
            if others is None:
                self._files[handle.node] = [handle]
            else:
                others.append(handle)
            if handle.writable and not self.opened_for_writing.is_set():
                self.opened_for_writing.set()

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
        if found is None:
            return None
        slot = handle & _SLOT_MASK
        self._free_slots.append(slot)
        if self._ledger.survives:
            self._ledger.slot(slot, _FREE_SLOT)
            if found.noted:
                self.forget_notes(found)
        if isinstance(found, FileHandle):
            others = self._files[found.node]
            others.remove(found)
            if not others:
                del self._files[found.node]
        return found

    def note(self, handle: Handle, table: str, key: Key, value: Value) -> None:
        """Notes something of a handle in the ledger until it is closed or `forget_notes`."""
        if self._ledger.survives:
            handle.noted |= {(table, key)}
            self._ledger.put(table, key, value)

    def forget_notes(self, handle: Handle) -> None:
        """Takes back what was noted of a handle."""
        for table, key in handle.noted:
            self._ledger.put(table, key, None)
        handle.noted = NOTHING_NOTED

    def moved(self, handle: FileHandle | ListingHandle) -> None:
        """A publish gave something open another view or number; it holds from the next commit."""
        view = handle.view.kept_as or handle.view.number
        self.note(handle, "moved", handle.id, [view, handle.number])

    def pass_through(self, handle: FileHandle, backing: int) -> None:
        """The kernel reads an open file itself, by an id that it gave, once that is answered."""
        handle.backing = backing
        self.note(handle, "backing", handle.id, backing)

    def is_open(self, node: NodeId) -> bool:
        """Returns whether a regular file's node is open."""
        return node in self._files

    def files(self, node: NodeId) -> list[FileHandle]:
        """Returns the open handles of a regular file's node."""
        return self._files.get(node, [])

    def open_listings(self) -> list[ListingHandle]:
        """Returns the open directories of trees."""
        return [one for one in self._handles.values() if isinstance(one, ListingHandle)]

    def open_files(self) -> Iterator[tuple[NodeId, list[FileHandle]]]:
        """Yields every open node with its handles."""
        return iter(list(self._files.items()))
