"""Requests about open files: open, read, write, fsync."""

import os

from pyi_fs.errors import (
    InvalidArgumentError,
    IsADirectoryInTreeError,
)
from pyi_fs.fuse.attributes import Entry
from pyi_fs.fuse.controls import ControlHandlers
from pyi_fs.fuse.handles import ControlFile, FileHandle, HandleId, ListingHandle
from pyi_fs.fuse.metadata import SETID_BITS, drop_capability
from pyi_fs.fuse.names import NameHandlers
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.state import Caller, MountState
from pyi_fs.ids import Buffer, NodeId
from pyi_fs.model.mutation import SetAttributes


class FileHandlers:
    """One method for each request on a file that is, or becomes, open."""

    def __init__(self, state: MountState, controls: ControlHandlers, names: NameHandlers) -> None:
        """Works on a mount's state."""
        self._state = state
        self._nodes = state.nodes
        self._handles = state.handles
        self._controls = controls
        self._names = names
        self._reader = state.session.workspace.reader

    def open(self, node: NodeId, flags: int, caller: Caller) -> HandleId:
        """Opens a regular or control file.

        `O_TRUNC` is ours to do, the kernel was told so at init.
        """
        if node & CONTROL_BIT:
            return self._controls.open(node, caller.uid)
        view, number = self._nodes.place(node)
        inode = view.tree.existing(number)
        if inode.is_directory:
            raise IsADirectoryInTreeError("is a directory")
        writable = flags & os.O_ACCMODE != os.O_RDONLY
        if writable:
            self._state.branch_of(view)
        privileged = caller.uid == 0
        if flags & os.O_TRUNC:
            branch = self._state.branch_of(view)
            now = self._state.clock()
            drop_capability(branch, number, inode, now)
            clear = bool(inode.mode & SETID_BITS) and not privileged
            branch.commit(SetAttributes(number, None, None, None, 0, None, None, now, clear))
        if not self._state.is_write_cached:
            self._state.prefill.opening(node, inode, flags)
        handle = FileHandle(view, number, node, writable=writable, privileged=privileged)
        return self._handles.add(handle)

    def create(
        self, parent: NodeId, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[HandleId, Entry]:
        """Makes a regular file and opens it."""
        return self.open_made(self._names.make(parent, name, mode, caller), flags, caller)

    def create_unnamed(
        self, parent: NodeId, mode: int, flags: int, caller: Caller
    ) -> tuple[HandleId, Entry]:
        """Makes a regular file without a name and opens it."""
        return self.open_made(self._names.make_unnamed(parent, mode, caller), flags, caller)

    def open_made(self, entry: Entry, flags: int, caller: Caller) -> tuple[HandleId, Entry]:
        """Opens a regular file that this request has made and looked up."""
        self._state.prefill.made(entry.node)
        view, number = self._nodes.place(entry.node)
        handle = FileHandle(
            view,
            number,
            entry.node,
            writable=flags & os.O_ACCMODE != os.O_RDONLY,
            privileged=caller.uid == 0,
        )
        return self._handles.add(handle), entry

    def read_now(self, handle_id: HandleId, offset: int, length: int) -> Buffer | None:
        """Returns what `read` would, if nothing has to be waited for; else None."""
        handle = self._handles.file(handle_id)
        if isinstance(handle, ControlFile):
            return None
        return self._reader.read_nowait(handle.view.tree.existing(handle.number), offset, length)

    def control_read_now(self, handle_id: HandleId, offset: int, length: int) -> bytes | None:
        """Reads a control file, or returns None and does nothing if that has to wait."""
        handle = self._handles.file(handle_id)
        if not isinstance(handle, ControlFile):
            raise InvalidArgumentError("no control file is open under this handle")
        return self._controls.read_now(handle, offset, length)

    def control_write_now(self, handle_id: HandleId, offset: int, data: Buffer) -> int | None:
        """Writes to a control file, or returns None and does nothing if that has to wait."""
        handle = self._handles.file(handle_id)
        if not isinstance(handle, ControlFile):
            raise InvalidArgumentError("no control file is open under this handle")
        return self._controls.write_now(handle, offset, bytes(data))

    async def read(self, handle_id: HandleId, offset: int, length: int) -> Buffer:
        """Returns bytes of a file.

        Waits in a thread for what is not at hand, so that a slow disk holds nobody else up.
        """
        handle = self._handles.file(handle_id)
        if isinstance(handle, ControlFile):
            return await self._controls.read(handle, offset, length)
        data = self.read_now(handle_id, offset, length)
        if data is not None:
            return data
        read: Buffer = await self._state.run_in_thread(
            self._read_blocking, handle, offset, length, abandonable=True
        )
        return read

    def _read_blocking(self, handle: FileHandle, offset: int, length: int) -> bytes:
        branch = handle.view.branch
        if branch is not None:
            return branch.read(handle.number, offset, length)
        return self._reader.read(handle.view.tree.existing(handle.number), offset, length)

    async def write(self, handle_id: HandleId, offset: int, data: Buffer) -> int:
        """Writes all of `data`, or none of it.

        A control write is answered when the kernel knows what it changed.
        """
        handle = self._handles.file(handle_id)
        if isinstance(handle, ControlFile):
            return await self._controls.write(handle, offset, bytes(data))
        # The request does not say who writes (pyfuse3 3.5): the opener counts, as with file
        # descriptors passed on. Pages of the writeback cache come by anybody's handle.
        kill_setid = not (handle.privileged or self._state.is_write_cached)
        return self._write(handle, offset, data, kill_setid=kill_setid)

    def write_now(
        self, handle_id: HandleId, offset: int, data: Buffer, *, kill_setid: bool
    ) -> int | None:
        """Writes as `write` does, or returns None for a control file, which has to wait.

        `kill_setid`: this writer may not keep set-id bits.
        """
        handle = self._handles.file(handle_id)
        if isinstance(handle, ControlFile):
            return None
        return self._write(handle, offset, data, kill_setid=kill_setid)

    def _write(self, handle: FileHandle, offset: int, data: Buffer, *, kill_setid: bool) -> int:
        if not handle.writable:
            raise InvalidArgumentError("not open for writing")
        branch, number = self._state.branch_of(handle.view), handle.number
        inode = branch.tree.existing(number)
        now = self._state.clock()
        # With the writeback cache the kernel writes pages when it likes, perhaps after privileges
        # were given: who is to take them away is known at write(2), and the kernel does it then.
        if inode.xattrs and not self._state.is_write_cached:
            drop_capability(branch, number, inode, now)
        clear = kill_setid and bool(inode.mode & SETID_BITS)
        return branch.write(number, offset, data, now, clear_setid=clear)

    async def fsync(self, handle_id: HandleId) -> None:
        """Returns when all that the branch acknowledged so far is durable: it is one journal."""
        handle = self._handles.get(handle_id)
        if isinstance(handle, ControlFile):
            if handle.control.needs_sync:
                await self._controls.sync(handle.control)
        elif isinstance(handle, (FileHandle, ListingHandle)):
            branch = handle.view.branch
            if branch is not None and not branch.read_only:
                await self._state.group_sync.sync(branch)
