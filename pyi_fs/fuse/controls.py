"""Requests that concern `.pyi`: nodes of the control layer as entries, handles, errors."""

import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import trio

from pyi_fs.control.handle import ControlHandle
from pyi_fs.control.node import ControlNode
from pyi_fs.control.view import View
from pyi_fs.engine.ahead import Ahead
from pyi_fs.errors import (
    AccessDeniedError,
    InvalidArgumentError,
    NotFoundError,
    NotPermittedError,
    StaleNodeError,
)
from pyi_fs.fuse.attributes import Entry
from pyi_fs.fuse.handles import ControlFile, ControlListing, HandleId
from pyi_fs.fuse.ledger import Value
from pyi_fs.fuse.nodes import ROOT_NODE, VIEW_BITS
from pyi_fs.fuse.state import MountState
from pyi_fs.ids import ROOT_INODE, NodeId
from pyi_fs.limits import CONTROL_ANSWER_BYTES_MAX
from pyi_fs.model.inode import Inode

_R = TypeVar("_R")
CONTROL_NAME = b".pyi"
# What a listing says of a view that nobody has entered: opening every branch to list them would
# lock them all.
_UNENTERED_MODE = stat.S_IFDIR | 0o755


def _nothing() -> None:
    """There is nothing to note."""


class _Command(NamedTuple, Generic[_R]):
    """A command of a descriptor.

    `do` carries it out, `kept` makes of its answer what the ledger keeps, `note` notes what the
    descriptor has to say from then on. `offset`, `data`: where and what was written.
    """

    handle: ControlHandle
    do: Callable[[], _R]
    kept: Callable[[_R], Value]
    offset: int
    data: bytes
    note: Callable[[], None] = _nothing


class ControlHandlers:
    """One method for each request whose node is a control node."""

    def __init__(self, state: MountState) -> None:
        """Takes the time of the mount as that of all control files."""
        self._state = state
        self._nodes = state.nodes
        self._control = state.control
        self._uid = state.session.control_uid
        self._time_ns = state.clock()
        self._copying = trio.Lock()

    def root(self, view: View) -> Entry | None:
        """Returns the `.pyi` of a view as looked up, or None if it has none."""
        node = self._control.root(view.number)
        return None if node is None else self._looked_up(node)

    def is_root(self, view: View, name: bytes) -> bool:
        """Returns whether a name in a view's root directory is that view's `.pyi`."""
        return name == CONTROL_NAME and self._control.root(view.number) is not None

    def lookup(self, parent: NodeId, name: bytes, uid: int) -> Entry:
        """Returns the entry of a name.

        `NotFoundError`: nothing may be remembered here, other processes make names too.
        """
        self._check_user(uid)
        control = self._nodes.control(parent)
        if name == b".":
            found: ControlNode | View | None = control
        elif name == b"..":
            return self._parent(control)
        else:
            found = self._control.lookup(control, name)
        if found is None:
            raise NotFoundError("no such name in the control directory")
        return self._looked_up(found)

    def entry(self, node: NodeId) -> Entry:
        """Returns what stat says of a node."""
        return Entry(node, self._record(self._nodes.control(node)), lasting=False)

    def readlink(self, node: NodeId) -> bytes:
        """Returns where a link leads."""
        return self._control.readlink(self._nodes.control(node))

    def refuse(self, parent: NodeId, name: bytes, uid: int) -> None:
        """Refuses to make a file; the reason stands in `.pyi/error`."""
        self._check_user(uid)
        self._nodes.control(parent)
        self._control.refuse_new(name, uid=uid)
        raise NotPermittedError("nothing can be made here")

    async def make_directory(self, parent: NodeId, name: bytes, uid: int) -> Entry:
        """Takes a snapshot or makes a branch, of everything written before."""
        self._check_user(uid)
        await self._flushed(partial(self._control.refuse, uid=uid))
        ahead = self._control.ahead_of_mkdir(self._nodes.control(parent))
        make = partial(self.mkdir, parent, name, uid)
        do = partial(self._state.commands.do, self.view(parent), make, lambda _: True)
        return await self._after(ahead, do)

    def mkdir(self, parent: NodeId, name: bytes, uid: int) -> Entry:
        """Takes a snapshot or makes a branch."""
        self._check_user(uid)
        return self._looked_up(self._control.mkdir(self._nodes.control(parent), name, uid=uid))

    def rmdir(self, parent: NodeId, name: bytes, uid: int) -> None:
        """Deletes a snapshot or drops a branch."""
        self._check_user(uid)
        self._control.rmdir(self._nodes.control(parent), name, uid=uid)

    def open(self, node: NodeId, uid: int) -> HandleId:
        """Opens a control file; that alone has no effect, whatever the flags."""
        self._check_user(uid)
        handle = self._control.open(self._nodes.control(node), uid=uid)
        return self._state.handles.add(ControlFile(node, handle))

    async def read(self, file: ControlFile, offset: int, length: int) -> bytes:
        """Reads, and returns when the kernel knows what that changed."""
        acts = _acts(file, offset)
        await self._flushed(file.control.refuse if acts else None)
        answer = self._read(file, offset, length)
        await self._state.invalidation.settled()
        return answer

    def read_now(self, file: ControlFile, offset: int, length: int) -> bytes | None:
        """Reads as `read`, or returns None and does nothing if that has to wait.

        What is not `settled` then the caller waits for. What only tells something may take long (a
        diff), and a server that is killed meanwhile must not be counted against its request: it is
        for a task.
        """
        if self._state.is_write_cached or not _acts(file, offset):
            return None
        return self._read(file, offset, length)

    def _read(self, file: ControlFile, offset: int, length: int) -> bytes:
        control = file.control
        read = partial(_then, partial(control.read, offset, length), partial(self._note, file))
        do = self._state.commands.do
        return do(control.view, read, bytes) if _acts(file, offset) else read()

    def write_now(self, file: ControlFile, offset: int, data: bytes) -> int | None:
        """Writes as `write`, or returns None and does nothing, as `read_now`."""
        return self._done_now(self._writing(file, offset, data))

    async def write(self, file: ControlFile, offset: int, data: bytes) -> int:
        """Writes, and returns when the kernel knows what that changed."""
        return await self._done(self._writing(file, offset, data))

    def _writing(self, file: ControlFile, offset: int, data: bytes) -> _Command[int]:
        write = partial(file.control.write, offset, data)
        return _Command(file.control, write, int, offset, data, partial(self._note, file))

    def ask_now(self, view: View, name: bytes, text: bytes, size: int, uid: int) -> bytes | None:
        """Asks as `ask`, or returns None and does nothing, as `read_now`."""
        return self._done_now(self._asking(view, name, text, size, uid))

    async def ask(self, view: View, name: bytes, text: bytes, size: int, uid: int) -> bytes:
        """Returns what a command, or none, to a file of a view's `.pyi` is answered."""
        return await self._done(self._asking(view, name, text, size, uid))

    def _asking(self, view: View, name: bytes, text: bytes, size: int, uid: int) -> _Command[bytes]:
        self._check_user(uid)
        handle = self._control.open_command(view, name, uid=uid)
        return _Command(handle, partial(handle.ask, text, size), bytes, 0, text)

    async def sync(self, handle: ControlHandle) -> None:
        """Returns when everything written before is durable."""
        await self._flushed(handle.refuse)
        sync = partial(self._state.run_in_thread, handle.sync_blocking)
        if not handle.is_ephemeral:
            await sync()
            return
        async with self._copying:
            await sync()

    async def _flushed(self, refuse: Callable[[OSError], None] | None) -> None:
        """Returns when what was written has come here; what has not, for want of room, is refused.

        None: what only tells something, or drops it, does not need it.
        """
        try:
            await self._state.before_control()
        except OSError as error:
            if refuse is not None:
                self._state.told_unwritten()
                refuse(error)

    def _note(self, file: ControlFile) -> None:
        """Notes what the descriptor was told, or is to be told, for a successor."""
        self._state.handles.note(file, "answers", file.id, file.control.state)

    async def _after(self, ahead: Ahead | None, command: Callable[[], _R]) -> _R:
        """Does a command once what it makes durable of memory is copied, but for the newest.

        Requests are answered meanwhile; one copies at a time, so that no command waits for another
        one's copy on the event loop.
        """
        if ahead is None:
            return command()
        layers = self._state.session.workspace.store.layers
        async with self._copying:
            layers.clears_memory_later = True
            try:
                await self._state.run_in_thread(ahead)
                return command()
            finally:
                if layers.has_left_memory:
                    # What is not removed now is found by the next collection.
                    with suppress(OSError):
                        await self._state.run_in_thread(layers.clear_memory)
                layers.clears_memory_later = False

    async def _done(self, command: _Command[_R]) -> _R:
        """Does a command, and notes what it has left its descriptor to say."""
        handle = command.handle
        await self._flushed(handle.refuse_write if handle.wants_data else None)
        try:
            if handle.blocks:
                return await self._state.commands.do_in_thread(
                    self._state.run_in_thread, command.do, command.kept, command.note
                )
            ahead = handle.ahead(command.offset, command.data)
            return await self._after(ahead, partial(self._carried_out, command))
        finally:
            await self._state.invalidation.settled()

    def _done_now(self, command: _Command[_R]) -> _R | None:
        """Does a command as `_done`, or returns None and does nothing if that has to wait."""
        handle = command.handle
        if self._state.is_write_cached or handle.blocks:
            return None
        if handle.ahead(command.offset, command.data) is not None:
            return None
        return self._carried_out(command)

    def _carried_out(self, command: _Command[_R]) -> _R:
        noted = partial(_then, command.do, command.note)
        return self._state.commands.do(command.handle.view, noted, command.kept)

    def last_line(self, view: View) -> bytes:
        """Returns the line of the last snapshot of a view."""
        last = ControlNode(view.number, (b"last",), "file")
        return self._control.open(last, uid=self._uid).read(0, CONTROL_ANSWER_BYTES_MAX)

    def reopened(self, node: NodeId, uid: int, *, is_file: bool) -> ControlFile | ControlListing:
        """Returns what a user had open when a server died."""
        control = self._nodes.control(node)
        if is_file:
            file = self._control.open(control, uid=uid)
            file.is_continued = True
            return ControlFile(node, file)
        return ControlListing(node, self._control.entries(control))

    def opendir(self, node: NodeId, uid: int) -> HandleId:
        """Opens a control directory."""
        self._check_user(uid)
        control = self._nodes.control(node)
        if control.kind != "directory":
            raise InvalidArgumentError("not a directory")
        return self._state.handles.add(ControlListing(node, self._control.entries(control)))

    def listed(self, found: ControlNode | View) -> Entry:
        """Returns the entry of something for a listing: counts no lookup, opens no branch."""
        return self._entry(found, is_entered=False)

    def view(self, node: NodeId) -> View:
        """Returns the view whose `.pyi` a control node is in; `StaleNodeError`."""
        view = self._state.session.views.get(self._nodes.control(node).view)
        if view is None:
            raise StaleNodeError("the view of this node is not there any more")
        return view

    def parent(self, node: NodeId) -> Entry:
        """Returns the directory above a control directory, for `..`."""
        return self._parent(self._nodes.control(node))

    def _parent(self, control: ControlNode) -> Entry:
        if control.path:
            up = ControlNode(control.view, control.path[:-1], "directory")
            return self._entry(up, is_entered=True)
        view = self._state.session.views[control.view]
        return Entry(NodeId(view.number << VIEW_BITS | ROOT_NODE), view.tree.existing(ROOT_INODE))

    def _looked_up(self, found: ControlNode | View) -> Entry:
        entry = self._entry(found, is_entered=True)
        self._nodes.counts.add(entry.node)
        return entry

    def _entry(self, found: ControlNode | View, *, is_entered: bool) -> Entry:
        if isinstance(found, ControlNode):
            # `.pyi` itself is always there; below it other processes and commands come and go.
            return Entry(
                self._nodes.control_node(found), self._record(found), lasting=not found.path
            )
        node = self._nodes.node_of(found, ROOT_INODE)
        if is_entered:
            return Entry(node, found.tree.existing(ROOT_INODE), lasting=False)
        return Entry(node, self._made(_UNENTERED_MODE), lasting=False)

    def _record(self, control: ControlNode) -> Inode:
        return self._made(self._control.mode(control))

    def _made(self, mode: int) -> Inode:
        now = self._time_ns
        links = 2 if stat.S_ISDIR(mode) else 1
        return Inode(mode, links, self._uid, 0, 0, now, now, now, now, ROOT_INODE, b"")

    def _check_user(self, uid: int) -> None:
        if not self._control.may_use(uid):
            raise AccessDeniedError("the control directory is for the mounting user")


def _acts(file: ControlFile, offset: int) -> bool:
    """Returns whether a read of a file at an offset has an effect."""
    return offset == 0 and file.control.acts_on_read


def _then(act: Callable[[], _R], after: Callable[[], None]) -> _R:
    """Returns what `act` returns; `after` is called also when it raises."""
    try:
        return act()
    finally:
        after()
