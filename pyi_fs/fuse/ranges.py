"""Requests about ranges of open files: fallocate, lseek for holes, copy_file_range.

pyfuse3 has no hook for them; the direct transport brings them.
"""

import errno
import os

from pyi_fs.control.view import View
from pyi_fs.errors import (
    InvalidArgumentError,
    NoSpaceError,
    RequestError,
    UnsupportedError,
)
from pyi_fs.fuse.attributes import space_of
from pyi_fs.fuse.handles import ControlFile, FileHandle, HandleId
from pyi_fs.fuse.metadata import drop_capability
from pyi_fs.fuse.state import MountState
from pyi_fs.model import extent, holes
from pyi_fs.model.mutation import FALLOCATE_PUNCH_HOLE, Allocate, Share

# Extents of one copy: a record of a quarter of a megabyte. A caller that got less asks again.
_EXTENTS_MAX = 4096
# Looked at at a time, so that a copy of a terabyte in small pieces is not unpacked for 4,096 of
# them.
_STEP_BYTES = 1 << 30


class BeyondEndError(RequestError):
    """No data, or no hole, at or after that offset."""

    errno = errno.ENXIO


class RangeHandlers:
    """One method for each request."""

    def __init__(self, state: MountState) -> None:
        """Works on a mount's state."""
        self._state = state
        self._handles = state.handles

    def allocate(self, handle_id: HandleId, offset: int, length: int, mode: int) -> None:
        """fallocate(2).

        Nothing is set aside: `NoSpaceError` if the store's disk has no room for it now.
        """
        handle = self._writable(handle_id)
        branch = self._state.branch_of(handle.view)
        inode = branch.tree.existing(handle.number)
        if not mode & FALLOCATE_PUNCH_HOLE:
            space = space_of(self._state.store_path)
            if length > space.available * space.block_bytes:
                raise NoSpaceError(f"no room for {length} bytes")
        now = self._state.clock()
        drop_capability(branch, handle.number, inode, now)
        branch.commit(Allocate(handle.number, offset, length, mode, now))

    def seek(self, handle_id: HandleId, offset: int, whence: int) -> int:
        """Returns the next data or hole (`SEEK_DATA`, `SEEK_HOLE`); `BeyondEndError`."""
        handle = self._regular(handle_id)
        inode = handle.view.tree.existing(handle.number)
        if whence == os.SEEK_DATA:
            found = holes.next_data(inode, offset)
        elif whence == os.SEEK_HOLE:
            found = holes.next_hole(inode, offset)
        else:
            raise InvalidArgumentError(f"whence {whence} is the kernel's to answer")
        if found is None:
            raise BeyondEndError(f"nothing at or after {offset}")
        return found

    def copy(
        self,
        source_id: HandleId,
        source_offset: int,
        target_id: HandleId,
        target_offset: int,
        length: int,
    ) -> int:
        """Makes bytes of one file those of another, shared; returns how many, perhaps fewer.

        Costs extents, not bytes. `UnsupportedError` where they cannot be shared: the kernel then
        copies by reading and writing.
        """
        source, target = self._regular(source_id), self._writable(target_id)
        branch = self._state.branch_of(target.view)
        lender = source.view.branch
        if not branch.is_ephemeral and self._is_in_memory(source.view):
            # All of it would have to be copied to disk first, while everybody waits.
            raise UnsupportedError("what is in memory cannot lend to what is on disk")
        if lender is not None and lender is not branch:
            if self._state.session.workspace.refs.branches[lender.name].ephemeral:
                raise UnsupportedError("what may be lost cannot lend to what may not")
            # What the other branch gives back from now on might be ours, too.
            lender.mark_ref()
        inode = source.view.tree.existing(source.number)
        end = min(source_offset + length, inode.size)
        if source_offset >= end:
            return 0
        pieces, end = _pieces(inode.extents, source_offset, end)
        shift = -source_offset
        extents = extent.from_extents(
            [piece._replace(file_offset=piece.file_offset + shift) for piece in pieces]
        )
        now, count = self._state.clock(), end - source_offset
        drop_capability(branch, target.number, branch.tree.existing(target.number), now)
        branch.commit(Share(target.number, target_offset, count, extents, now))
        return count

    def _is_in_memory(self, view: View) -> bool:
        """Returns whether a view shows a snapshot that an ephemeral branch has in memory."""
        layers = self._state.session.workspace.store.layers
        return view.snapshot is not None and layers.is_in_memory(view.snapshot.position.layer)

    def _regular(self, handle_id: HandleId) -> FileHandle:
        handle = self._handles.file(handle_id)
        if isinstance(handle, ControlFile):
            raise UnsupportedError("control files have no ranges")
        return handle

    def _writable(self, handle_id: HandleId) -> FileHandle:
        handle = self._regular(handle_id)
        if not handle.writable:
            raise InvalidArgumentError("not open for writing")
        return handle


def _pieces(extents: extent.ExtentList, start: int, end: int) -> tuple[list[extent.Extent], int]:
    """Returns the extents of `[start, end)`, cut to it, and where they end: there may be more."""
    pieces: list[extent.Extent] = []
    position = start
    while position < end:
        stop = min(position + _STEP_BYTES, end)
        pieces += extent.overlapping(extents, position, stop)
        if len(pieces) > _EXTENTS_MAX:
            return pieces[:_EXTENTS_MAX], pieces[_EXTENTS_MAX - 1].end
        position = stop
    return pieces, end
