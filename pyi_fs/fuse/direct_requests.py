"""Requests of the kernel, translated to the handlers and back; the direct transport's half.

A method takes node, caller and body and returns the answer's body; an errno, where that is nearly
always the answer; `Later`, what to wait for in a task of its own; `Command`, the answer to a
control command; or None, where no answer is wanted. Nothing here reads or writes the device.
"""

# ruff: noqa: ARG002 - every request comes with the same three arguments

import errno
import stat
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from pyi_fs.errors import (
    AlreadyExistsError,
    AttributeNotFoundError,
    InvalidArgumentError,
    RequestError,
)
from pyi_fs.fuse import protocol_replies as replies
from pyi_fs.fuse import protocol_requests as requests
from pyi_fs.fuse.direct_entries import NO_ENTRY, NO_NODE, Entries, opened_directory, opened_file
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.listings import DOT_ENTRIES
from pyi_fs.fuse.metadata import Wanted
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.protocol import WRITE_KILL_SUIDGID, Opcode
from pyi_fs.fuse.told import listing_of
from pyi_fs.ids import Buffer, NodeId
from pyi_fs.limits import FILE_BYTES_MAX

_XATTR_CREATE, _XATTR_REPLACE = 1, 2
# What fits the 32 bits of the older answer, in whole pages.
_COUNT_MAX = (1 << 32) - 4096


class Caller(NamedTuple):
    """Who asks."""

    uid: int
    gid: int


class Later(NamedTuple):
    """An answer that has to be waited for.

    `is_read`: nothing is lost if it is given up for a caller that dies.
    """

    body: Callable[[], Awaitable[Buffer]]
    is_read: bool = False


class Command(NamedTuple):
    """The answer to a control command that is done: the ledger keeps it until it has gone out.

    Before it goes out the kernel has to have forgotten what the command changed.
    """

    body: bytes


Answer = Buffer | int | Later | Command | None
Handler = Callable[[NodeId, Caller, Buffer], Answer]


class RoomError(RequestError):
    """An attribute does not fit into the caller's buffer."""

    errno = errno.ERANGE


class Requests:
    """The requests that the handlers know, by opcode in `table`."""

    def __init__(self, handlers: Handlers, *, writeback: bool) -> None:
        """Answers from the handlers of one mount; `writeback`: with the kernel's cache."""
        self._state = handlers.state
        self._nodes = handlers.state.nodes
        self._entries = Entries(handlers.state.nodes, handlers.state.told)
        self._entry = self._entries.entry
        self._attributes = self._entries.attributes
        self._names = handlers.names
        self._metadata = handlers.metadata
        self._files = handlers.files
        self._ranges = handlers.ranges
        self._listings = handlers.listings
        self._reaper = handlers.reaper
        self.table: dict[int, Handler] = {
            Opcode.LOOKUP: self._lookup,
            Opcode.FORGET: self._forget,
            Opcode.BATCH_FORGET: self._batch_forget,
            Opcode.GETATTR: self._getattr,
            Opcode.STATX: self._statx,
            Opcode.SETATTR: self._setattr,
            Opcode.READLINK: self._readlink,
            Opcode.SYMLINK: self._symlink,
            Opcode.MKNOD: self._mknod,
            Opcode.MKDIR: self._mkdir,
            Opcode.UNLINK: self._unlink,
            Opcode.RMDIR: self._rmdir,
            Opcode.RENAME: self._rename,
            Opcode.RENAME2: self._rename2,
            Opcode.LINK: self._link,
            Opcode.CREATE: self._create,
            Opcode.TMPFILE: self._tmpfile,
            Opcode.FALLOCATE: self._fallocate,
            Opcode.LSEEK: self._lseek,
            Opcode.COPY_FILE_RANGE: self._copy_file_range,
            Opcode.COPY_FILE_RANGE_64: self._copy_file_range_64,
            Opcode.READ: self._read,
            Opcode.WRITE: self._write,
            Opcode.RELEASE: self._release,
            Opcode.FSYNC: self._fsync,
            Opcode.OPENDIR: self._opendir,
            Opcode.READDIR: self._readdir,
            Opcode.READDIRPLUS: self._readdirplus,
            Opcode.RELEASEDIR: self._release,
            Opcode.FSYNCDIR: self._fsync,
            Opcode.STATFS: self._statfs,
            Opcode.SETXATTR: self._setxattr,
            Opcode.GETXATTR: self._getxattr,
            Opcode.LISTXATTR: self._listxattr,
            Opcode.REMOVEXATTR: self._removexattr,
        }
        if writeback:
            # The kernel does not write its pages out before it asks: what it holds of a file would
            # be taken for a hole. Without an answer it takes a file for one piece of data.
            del self.table[Opcode.LSEEK]

    def _lookup(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        entry = self._names.lookup(node, requests.name(body), caller)
        return NO_ENTRY if entry is None else self._entry(entry)

    def _forget(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        self._reaper.forget([(NodeId(n), count) for n, count in requests.forget(node, body)])
        return None

    def _batch_forget(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        self._reaper.forget([(NodeId(n), count) for n, count in requests.batch_forget(body)])
        return None

    def _getattr(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        return self._attributes(self._metadata.getattr(node))

    def _statx(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        return self._entries.statx(self._metadata.getattr(node))

    def _setattr(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        asked = requests.setattr_(body)
        if asked.atime_ns == requests.NOW or asked.mtime_ns == requests.NOW:
            now = self._state.clock()
            asked = asked._replace(
                atime_ns=now if asked.atime_ns == requests.NOW else asked.atime_ns,
                mtime_ns=now if asked.mtime_ns == requests.NOW else asked.mtime_ns,
            )
        return self._attributes(self._metadata.setattr(node, Wanted(*asked), caller))

    def _readlink(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        return self._names.readlink(node)

    def _symlink(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        name, target = requests.symlink(body)
        return self._entry(self._names.symlink(node, name, target, caller))

    def _mknod(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        name, mode, rdev = requests.mknod(body)
        return self._entry(self._names.make(node, name, mode, caller, rdev=rdev))

    def _mkdir(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        name, mode = requests.mkdir(body)
        mode = stat.S_IFDIR | stat.S_IMODE(mode)
        if node & CONTROL_BIT:

            async def make() -> Buffer:
                return self._entry(await self._names.make_directory(node, name, mode, caller))

            return Later(make)
        return self._entry(self._names.make(node, name, mode, caller))

    def _unlink(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        self._names.remove(node, requests.name(body), caller, directory=False)
        return b""

    def _rmdir(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        name = requests.name(body)
        if node & CONTROL_BIT:

            async def remove() -> Buffer:
                await self._names.remove_directory(node, name, caller)
                return b""

            return Later(remove)
        self._names.remove(node, name, caller, directory=True)
        return b""

    def _rename(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        directory, old, new = requests.rename(body)
        self._names.rename(node, old, NodeId(directory), new, 0, caller)
        return b""

    def _rename2(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        directory, old, new, flags = requests.rename2(body)
        self._names.rename(node, old, NodeId(directory), new, flags, caller)
        return b""

    def _link(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        linked, name = requests.link(body)
        return self._entry(self._names.link(NodeId(linked), node, name, caller))

    def _create(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        name, mode, flags = requests.create(body)
        mode = stat.S_IFREG | stat.S_IMODE(mode)
        handle, entry = self._files.create(node, name, mode, flags, caller)
        return self._entry(entry) + opened_file(entry.node, handle)

    def _tmpfile(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        mode, flags = requests.tmpfile(body)
        handle, entry = self._files.create_unnamed(node, mode, flags, caller)
        return self._entry(entry) + opened_file(entry.node, handle)

    def _fallocate(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        handle, offset, length, mode = requests.fallocate(body)
        self._ranges.allocate(HandleId(handle), offset, length, mode)
        return b""

    def _lseek(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        handle, offset, whence = requests.lseek(body)
        return replies.offset(self._ranges.seek(HandleId(handle), offset, whence))

    def _copy_file_range(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        return replies.written(self._copy(body, _COUNT_MAX))

    def _copy_file_range_64(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        return replies.copied(self._copy(body, FILE_BYTES_MAX))

    def _copy(self, body: Buffer, count_max: int) -> int:
        asked = requests.copy_file_range(body)
        return self._ranges.copy(
            HandleId(asked.source),
            asked.source_offset,
            HandleId(asked.target),
            asked.target_offset,
            min(asked.length, count_max),
        )

    def _read(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        handle, offset, length = requests.read(body)
        if node & CONTROL_BIT:
            answer = self._files.control_read_now(HandleId(handle), offset, length)
            if answer is not None:
                return Command(answer)
            return Later(lambda: self._files.read(HandleId(handle), offset, length))
        data = self._files.read_now(HandleId(handle), offset, length)
        if data is not None:
            return data
        return Later(lambda: self._files.read(HandleId(handle), offset, length), is_read=True)

    def _write(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        handle, offset, data, flags = requests.write(body)
        kill = bool(flags & WRITE_KILL_SUIDGID)
        if node & CONTROL_BIT:
            count = self._files.control_write_now(HandleId(handle), offset, data)
            if count is not None:
                return Command(replies.written(count))
        else:
            count = self._files.write_now(HandleId(handle), offset, data, kill_setid=kill)
            if count is not None:
                return replies.written(count)
        # The buffer is the next request's by then.
        kept = bytes(data)

        async def write() -> Buffer:
            return replies.written(await self._files.write(HandleId(handle), offset, kept))

        return Later(write)

    def _release(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        self._reaper.release(HandleId(requests.handle(body)))
        return b""

    def _fsync(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        handle = HandleId(requests.handle(body))

        async def sync() -> Buffer:
            await self._files.fsync(handle)
            return b""

        return Later(sync)

    def _opendir(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        handle = self._listings.opendir(node, caller)
        return opened_directory(node, handle)

    def _readdir(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        return self._list(node, body, plus=False)

    def _readdirplus(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        return self._list(node, body, plus=True)

    def _list(self, node: NodeId, body: Buffer, *, plus: bool) -> bytes:
        handle, offset, room = requests.read(body)
        parts: list[bytes] = []
        taken: list[NodeId] = []
        listed, ino_of = self._entries.listed, self._nodes.ino_of
        for item in self._listings.readdir(HandleId(handle), offset):
            name, child, inode, next_offset, _ = item
            is_told = plus and next_offset > DOT_ENTRIES
            if is_told:
                part = listed(item)
            else:
                part = replies.listed(ino_of(child), next_offset, inode.mode >> 12, name)
                # The kernel makes nothing of `.` and `..`, and counts no lookup of node 0.
                part = NO_NODE + part if plus else part
            room -= len(part)
            if room < 0:
                if not parts:
                    raise InvalidArgumentError("no room for one name")
                break
            parts.append(part)
            if is_told:
                taken.append(child)
        # Counted when nothing can fail any more: an error would take the whole answer back.
        self._listings.listed(taken)
        if taken:
            self._state.told.note(listing_of(node))
        if self._state.ledger.survives:
            self._listings.keep(HandleId(handle))
        return b"".join(parts)

    def _statfs(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        space = self._metadata.statfs()
        return replies.statfs(
            blocks=space.blocks,
            free=space.free,
            available=space.available,
            files=space.files,
            files_free=space.files_free,
            block_bytes=space.block_bytes,
            name_bytes_max=space.name_bytes_max,
        )

    def _setxattr(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        name, value, flags = requests.setxattr(body)
        if flags & (_XATTR_CREATE | _XATTR_REPLACE):
            is_there = self._metadata.getxattr(node, name) is not None
            if flags & _XATTR_REPLACE and not is_there:
                raise AttributeNotFoundError(f"no attribute {name!r}")
            if flags & _XATTR_CREATE and is_there:
                raise AlreadyExistsError(f"there is an attribute {name!r}")
        self._metadata.setxattr(node, name, value)
        return b""

    def _getxattr(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        name, room = requests.getxattr(body)
        value = self._metadata.getxattr(node, name)
        # At the first write to every file: an exception would cost more than the rest of it.
        return errno.ENODATA if value is None else _in_room(value, room)

    def _listxattr(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        names = self._metadata.listxattr(node, caller)
        return _in_room(b"".join(name + b"\0" for name in names), requests.listxattr(body))

    def _removexattr(self, node: NodeId, caller: Caller, body: Buffer) -> Answer:
        self._metadata.removexattr(node, requests.attribute_name(body))
        return b""


def _in_room(value: bytes, room: int) -> bytes:
    if room == 0:
        return replies.size_needed(len(value))
    if len(value) > room:
        raise RoomError(f"{len(value)} bytes do not fit into {room}")
    return value
