"""pyfuse3 in front of the handlers: the only file that imports it.

Arguments become the handlers', what they return becomes pyfuse3's, what they raise an errno. With
pyfuse3 node id and `st_ino` are one number, every listing is a READDIRPLUS, and read and write know
only the handle.
"""

# ruff: noqa: D102, ARG002 - pyfuse3 says what its methods are, and what they are given

import errno
import functools
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyfuse3
import trio
from pyfuse3 import (
    EntryAttributes,
    FileInfo,
    FUSEError,
    ReaddirToken,
    RequestContext,
    SetattrFields,
    StatvfsData,
)

from pyi_fs.fuse import device
from pyi_fs.fuse.facade import Facade
from pyi_fs.fuse.handlers import Handlers
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.listings import DOT_ENTRIES
from pyi_fs.fuse.metadata import Wanted
from pyi_fs.fuse.pyfuse3_entries import NOTHING, Entries, opened
from pyi_fs.fuse.translate import Translator
from pyi_fs.ids import Buffer, NodeId

_P = ParamSpec("_P")
_R = TypeVar("_R")
log = logging.getLogger(__name__)

# Requests under way at once: reads that wait for a disk, syncs, and the one that waits for the
# next.
_TASKS_MAX = 64
# What answering says of a caller that gave up, or when the mount is gone.
_NOT_WAITED_FOR = tuple(map(os.strerror, (errno.ENOENT, errno.ENODEV, errno.ECONNABORTED)))


def _answering(
    method: Callable[Concatenate["Transport", _P], _R],
) -> Callable[Concatenate["Transport", _P], Coroutine[Any, Any, _R]]:
    """Makes a plain handler one that pyfuse3 can await, with errors translated."""
    name = method.__name__

    @functools.wraps(method)
    async def answer(self: "Transport", /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        self._begin(name, args)
        try:
            return method(self, *args, **kwargs)
        except FUSEError:
            raise
        except Exception as error:  # noqa: BLE001 - the one translator decides and logs
            number = self.translator.errno_of(error, name)
        raise FUSEError(number)

    return answer


def _answering_later(
    method: Callable[Concatenate["Transport", _P], Awaitable[_R]],
) -> Callable[Concatenate["Transport", _P], Coroutine[Any, Any, _R]]:
    """Translates the errors of a handler that waits."""
    name = method.__name__

    @functools.wraps(method)
    async def answer(self: "Transport", /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        self._begin(name, args)
        try:
            return await method(self, *args, **kwargs)
        except FUSEError:
            raise
        except Exception as error:  # noqa: BLE001 - the one translator decides and logs
            number = self.translator.errno_of(error, name)
        raise FUSEError(number)

    return answer


class Transport(pyfuse3.Operations):
    """Answers pyfuse3 from `handlers`; `requests` counts them by name."""

    supports_dot_lookup = True

    def __init__(self, handlers: Handlers, *, writeback: bool) -> None:
        """`writeback`: the kernel's writeback cache, whose promises are others."""
        super().__init__()
        self.enable_writeback_cache = writeback
        self.translator = Translator()
        self.requests: dict[str, int] = {}
        self._names = handlers.names
        self._metadata = handlers.metadata
        self._files = handlers.files
        self._listings = handlers.listings
        self._reaper = handlers.reaper
        self._told = handlers.state.told
        self._entry = Entries(self._told).entry

    def _begin(self, name: str, arguments: Sequence[object]) -> None:
        """Counts a request, and notes whose it is: that comes last, if it comes."""
        self.requests[name] = self.requests.get(name, 0) + 1
        caller = arguments[-1] if arguments else None
        self._told.thread = caller.pid if isinstance(caller, RequestContext) else 0

    @_answering
    def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        entry = self._names.lookup(NodeId(parent_inode), name, ctx)
        return NOTHING if entry is None else self._entry(entry)

    @_answering
    def mknod(
        self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        return self._entry(self._names.make(NodeId(parent_inode), name, mode, ctx, rdev=rdev))

    @_answering_later
    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext
    ) -> EntryAttributes:
        parent = NodeId(parent_inode)
        return self._entry(await self._names.make_directory(parent, name, mode, ctx))

    @_answering
    def symlink(
        self, parent_inode: int, name: bytes, target: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        return self._entry(self._names.symlink(NodeId(parent_inode), name, target, ctx))

    @_answering
    def link(
        self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        return self._entry(self._names.link(NodeId(inode), NodeId(new_parent_inode), new_name, ctx))

    @_answering
    def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        self._names.remove(NodeId(parent_inode), name, ctx, directory=False)

    @_answering_later
    async def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        await self._names.remove_directory(NodeId(parent_inode), name, ctx)

    @_answering
    def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: RequestContext,
    ) -> None:
        old, new = NodeId(parent_inode_old), NodeId(parent_inode_new)
        self._names.rename(old, name_old, new, name_new, flags, ctx)

    @_answering
    def readlink(self, inode: int, ctx: RequestContext) -> bytes:
        return self._names.readlink(NodeId(inode))

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        self.requests["forget"] = self.requests.get("forget", 0) + 1
        try:
            self._reaper.forget([(NodeId(node), count) for node, count in inode_list])
        except Exception as error:  # noqa: BLE001 - the one translator decides and logs
            # Nobody waits for an answer, and pyfuse3 ends its loop with whatever this raises.
            self.translator.errno_of(error, "forget")

    @_answering
    def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        return self._entry(self._metadata.getattr(NodeId(inode)))

    @_answering
    def setattr(
        self,
        inode: int,
        attr: EntryAttributes,
        fields: SetattrFields,
        fh: int | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        wanted = Wanted(
            attr.st_mode if fields.update_mode else None,
            attr.st_uid if fields.update_uid else None,
            attr.st_gid if fields.update_gid else None,
            attr.st_size if fields.update_size else None,
            attr.st_atime_ns if fields.update_atime else None,
            attr.st_mtime_ns if fields.update_mtime else None,
            attr.st_ctime_ns if fields.update_ctime else None,
        )
        return self._entry(self._metadata.setattr(NodeId(inode), wanted, ctx))

    @_answering
    def getxattr(self, inode: int, name: bytes, ctx: RequestContext) -> bytes:
        value = self._metadata.getxattr(NodeId(inode), name)
        if value is None:
            raise FUSEError(errno.ENODATA)
        return value

    @_answering
    def listxattr(self, inode: int, ctx: RequestContext) -> Sequence[bytes]:
        return self._metadata.listxattr(NodeId(inode), ctx)

    @_answering
    def setxattr(self, inode: int, name: bytes, value: bytes, ctx: RequestContext) -> None:
        self._metadata.setxattr(NodeId(inode), name, value)

    @_answering
    def removexattr(self, inode: int, name: bytes, ctx: RequestContext) -> None:
        self._metadata.removexattr(NodeId(inode), name)

    @_answering
    def statfs(self, ctx: RequestContext) -> StatvfsData:
        space = self._metadata.statfs()
        data = StatvfsData()
        data.f_bsize = data.f_frsize = space.block_bytes
        data.f_blocks, data.f_bfree, data.f_bavail = space.blocks, space.free, space.available
        data.f_files = space.files
        data.f_ffree = data.f_favail = space.files_free
        data.f_namemax = space.name_bytes_max
        return data

    @_answering
    def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        return opened(inode, self._files.open(NodeId(inode), flags, ctx))

    @_answering
    def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        handle, entry = self._files.create(NodeId(parent_inode), name, mode, flags, ctx)
        return opened(entry.node, handle), self._entry(entry)

    @_answering_later
    async def read(self, fh: int, off: int, size: int) -> bytes:
        return await self._files.read(HandleId(fh), off, size)  # type: ignore[return-value]

    @_answering_later
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        return await self._files.write(HandleId(fh), off, buf)

    async def flush(self, fh: int) -> None:
        # Answered once in the life of a mount: from then on the kernel does not ask at close.
        self.requests["flush"] = self.requests.get("flush", 0) + 1
        raise FUSEError(errno.ENOSYS)

    @_answering
    def release(self, fh: int) -> None:
        self._reaper.release(HandleId(fh))

    @_answering_later
    async def fsync(self, fh: int, datasync: bool) -> None:
        await self._files.fsync(HandleId(fh))

    @_answering
    def opendir(self, inode: int, ctx: RequestContext) -> int:
        return self._listings.opendir(NodeId(inode), ctx)

    @_answering
    def readdir(self, fh: int, start_id: int, token: ReaddirToken) -> None:
        taken = []
        for item in self._listings.readdir(HandleId(fh), start_id):
            name, node, _, next_offset, _ = item
            if not pyfuse3.readdir_reply(token, name, self._entry(item.entry), next_offset):
                break
            if next_offset > DOT_ENTRIES:
                taken.append(node)
        # Counted when nothing can fail any more: an error would take the whole answer back.
        self._listings.listed(taken)

    @_answering
    def releasedir(self, fh: int) -> None:
        self._reaper.release(HandleId(fh))

    @_answering_later
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        await self._files.fsync(HandleId(fh))


class KernelNotifier:
    """Implements `invalidation.Notifier`; usable once the handshake is done."""

    def __init__(self, session_fd: int) -> None:
        """Takes the descriptor that the device has from then on."""
        self._session_fd = session_fd
        self._has_epoch = device.has_epoch()

    @property
    def has_epoch(self) -> bool:
        """Returns whether `epoch` works."""
        return self._has_epoch

    def probe(self) -> None:
        """Finds out whether the kernel takes an epoch, whatever its version says."""
        self._has_epoch = self._has_epoch and device.notify_epoch(self._session_fd)

    def epoch(self) -> None:
        """Has every name looked up again."""
        device.notify_epoch(self._session_fd)

    def store(self, node: NodeId, data: Buffer) -> None:
        """Puts the first bytes of a file into the kernel's cache."""
        try:
            pyfuse3.notify_store(node, 0, bytes(data))
        except OSError as error:
            # A courtesy: the kernel asks for what it has not got.
            log.debug("node %d is not filled: %s", node, error)

    def attributes(self, node: NodeId) -> None:
        """Has the attributes of a node asked for again."""
        try:
            pyfuse3.invalidate_inode(node, attr_only=True)
        except FileNotFoundError:
            log.debug("node %d is not in the kernel's cache", node)

    def listing(self, node: NodeId) -> None:
        """Has a directory's attributes asked for again: with pyfuse3 no listing is kept."""
        self.attributes(node)

    def entry(self, parent: NodeId, name: bytes) -> None:
        """Has one name looked up again."""
        try:
            pyfuse3.invalidate_entry(parent, name)
        except FileNotFoundError:
            log.debug("name %r is not in the kernel's cache", name)


def _is_worth_telling(record: logging.LogRecord) -> bool:
    """Returns whether what pyfuse3 logs is wrong: not that nobody waits for an answer any more."""
    text = record.getMessage()
    return "fuse_reply_* failed" not in text or not text.endswith(_NOT_WAITED_FOR)


async def run(transport: Transport, facade: Facade, session_fd: int) -> None:
    """Answers requests until the mount is gone or `stop` is called. One at a time in a process."""
    # Where pyfuse3.asyncio puts itself, too.
    pyfuse3.trio = facade  # type: ignore[attr-defined]
    pyfuse3.init(transport, f"/dev/fd/{session_fd}", set())
    pyfuse3_log = logging.getLogger("pyfuse3")
    pyfuse3_log.addFilter(_is_worth_telling)
    try:
        await pyfuse3.main(min_tasks=1, max_tasks=_TASKS_MAX)
    finally:
        pyfuse3.close(unmount=False)
        pyfuse3_log.removeFilter(_is_worth_telling)
        pyfuse3.trio = trio  # type: ignore[attr-defined]


def stop() -> None:
    """Ends `run` although the mount is still in use."""
    pyfuse3.terminate()
