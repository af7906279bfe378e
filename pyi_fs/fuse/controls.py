"""Requests that concern `.pyi`: nodes of the control layer as entries, handles, errors."""

import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

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


def _ignore(_: OSError) -> None:
    """It matters to nobody."""


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
        acts = offset == 0 and file.control.acts_on_read
        await self._flushed(file.control.refuse if acts else _ignore)
        answer = self._read(file, offset, length)
        await self._state.invalidation.settled()
        return answer

    def read_now(self, file: ControlFile, offset: int, length: int) -> bytes | None:
        """Reads as `read`, or returns None and does nothing if that has to wait.

        What is not `settled` then the caller waits for. What only tells something may take long (a
        diff), and a server that is killed meanwhile must not be counted against its request: it is
        for a task.
        """
        acts = offset == 0 and file.control.acts_on_read
        if self._state.is_write_cached or not acts:
            return None
        return self._read(file, offset, length)

    def _read(self, file: ControlFile, offset: int, length: int) -> bytes:
        control = file.control
        read = partial(_then, partial(control.read, offset, length), partial(self._note, file))
        acts = offset == 0 and control.acts_on_read
        return self._state.commands.do(control.view, read, bytes) if acts else read()

    def write_now(self, file: ControlFile, offset: int, data: bytes) -> int | None:
        """Writes as `write`, or returns None and does nothing, as `read_now`."""
        write = partial(file.control.write, offset, data)
        note = partial(self._note, file)
        return self._done_now(file.control, write, int, offset, data, note)

    def ask_now(self, view: View, name: bytes, text: bytes, size: int, uid: int) -> bytes | None:
        """Asks as `ask`, or returns None and does nothing, as `read_now`."""
        self._check_user(uid)
        handle = self._control.open_command(view, name, uid=uid)
        return self._done_now(handle, partial(handle.ask, text, size), bytes, 0, text)

    def _done_now(
        self,
        handle: ControlHandle,
        command: Callable[[], _R],
        kept: Callable[[_R], Value],
        offset: int,
        data: bytes,
        note: Callable[[], None] = _nothing,
    ) -> _R | None:
        if self._state.is_write_cached or handle.blocks or handle.ahead(offset, data) is not None:
            return None
        return self._state.commands.do(handle.view, partial(_then, command, note), kept)

    async def write(self, file: ControlFile, offset: int, data: bytes) -> int:
        """Writes, and returns when the kernel knows what that changed."""
        write = partial(file.control.write, offset, data)
        note = partial(self._note, file)
        return await self._done(file.control, write, int, offset, data, note)

    async def ask(self, view: View, name: bytes, text: bytes, size: int, uid: int) -> bytes:
        """Returns what a command, or none, to a file of a view's `.pyi` is answered."""
        self._check_user(uid)
        handle = self._control.open_command(view, name, uid=uid)
        return await self._done(handle, partial(handle.ask, text, size), bytes, 0, text)

    async def sync(self, handle: ControlHandle) -> None:
        """Returns when everything written before is durable."""
        await self._flushed(handle.refuse)
        sync = partial(self._state.run_in_thread, handle.sync_blocking)
        if not handle.is_ephemeral:
            await sync()
            return
        async with self._copying:
            await sync()

    async def _flushed(self, refuse: Callable[[OSError], None]) -> None:
        """Returns when what was written has come here; what has not, for want of room, is refused.

        What only tells something, or drops it, does not need it.
        """
        try:
            await self._state.before_control()
        except OSError as error:
            if refuse is not _ignore:
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

    async def _done(
        self,
        handle: ControlHandle,
        command: Callable[[], _R],
        kept: Callable[[_R], Value],
        offset: int,
        data: bytes,
        note: Callable[[], None] = _nothing,
    ) -> _R:
        """Does a command, and notes what it has left its descriptor to say."""
        await self._flushed(handle.refuse_write if handle.wants_data else _ignore)
        try:
            if handle.blocks:
                return await self._state.commands.do_in_thread(
                    self._state.run_in_thread, command, kept, note
                )
            noted = partial(_then, command, note)
            do = partial(self._state.commands.do, handle.view, noted, kept)
            return await self._after(handle.ahead(offset, data), do)
        finally:
            await self._state.invalidation.settled()

    def last_line(self, view: View) -> bytes:
        """Returns the line of the last snapshot of a view."""
        last = ControlNode(view.number, (b"last",), "file")
        return self._control.open(last, uid=self._uid).read(0, CONTROL_ANSWER_BYTES_MAX)

    def reopened(self, node: NodeId, uid: int, *, is_file: bool) -> ControlFile | ControlListing:
        """Returns what a user had open when a server died."""
        control = self._nodes.control(node)
        if is_file:
            return ControlFile(node, self._control.open(control, uid=uid))
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


def _then(act: Callable[[], _R], after: Callable[[], None]) -> _R:
    """Returns what `act` returns; `after` is called also when it raises."""
    try:
        return act()
    finally:
        after()
