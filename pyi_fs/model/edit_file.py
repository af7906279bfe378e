"""The semantics of one inode's data and attributes; the rules of names are in `model/edit.py`."""

import stat

from pyi_fs import limits
from pyi_fs.errors import (
    AttributeNotFoundError,
    FileTooLargeError,
    InvalidArgumentError,
    IsADirectoryInTreeError,
    NoSpaceError,
    UnsupportedError,
)
from pyi_fs.ids import InodeNumber
from pyi_fs.model import extent
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode, with_fields
from pyi_fs.model.mutation import (
    FALLOCATE_KEEP_SIZE,
    FALLOCATE_PUNCH_HOLE,
    FALLOCATE_ZERO_RANGE,
    Allocate,
    RemoveXattr,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)
from pyi_fs.model.tree import Tree


def _with_inode(tree: Tree, number: InodeNumber, inode: Inode) -> Tree:
    return Tree(
        tree.base, tree.inodes.set(number, inode), tree.directories, tree.unlinked, tree.last_inode
    )


_FALLOCATE_MODES = (
    0,
    FALLOCATE_KEEP_SIZE,
    FALLOCATE_PUNCH_HOLE | FALLOCATE_KEEP_SIZE,
    FALLOCATE_ZERO_RANGE,
    FALLOCATE_ZERO_RANGE | FALLOCATE_KEEP_SIZE,
)


def _file(tree: Tree, number: InodeNumber, offset: int, length: int) -> Inode:
    inode = tree.existing(number)
    if inode.is_directory:
        raise IsADirectoryInTreeError(f"inode {number} is a directory")
    if not inode.is_file:
        raise InvalidArgumentError(f"inode {number} is not a regular file")
    if offset < 0 or length < 0:
        raise InvalidArgumentError(f"not a range: {length} bytes at {offset}")
    if offset + length > limits.FILE_BYTES_MAX:
        raise FileTooLargeError(f"a file has at most {limits.FILE_BYTES_MAX} bytes")
    return inode


def _without_setid(mode: int) -> int:
    """Returns the mode a write or chown leaves.

    Set-user-id goes, set-group-id where the group may execute.
    """
    mode &= ~stat.S_ISUID
    return mode & ~stat.S_ISGID if mode & stat.S_IXGRP else mode


def written(tree: Tree, change: Write) -> Tree:
    """Returns the tree after a write; `FileTooLargeError` beyond the limit.

    One of no bytes changes nothing.
    """
    end = change.offset + change.length
    inode = _file(tree, change.number, change.offset, change.length)
    if change.length == 0:
        return tree
    if change.length > extent.EXTENT_BYTES_MAX:
        raise InvalidArgumentError(f"a write has at most {extent.EXTENT_BYTES_MAX} bytes")
    new = Extent(
        change.offset,
        change.length,
        extent.SCRATCH,
        extent.scratch_source(change.segment),
        change.source_offset,
    )
    changed = with_fields(
        inode,
        size=max(inode.size, end),
        extents=extent.with_extent(inode.extents, new),
        mtime_ns=change.time_ns,
        ctime_ns=change.time_ns,
        mode=_without_setid(inode.mode) if change.clear_setid else inode.mode,
    )
    return _with_inode(tree, change.number, changed)


def nearest_time(time_ns: int | None) -> int | None:
    """Returns the nearest time that an inode can hold, as ext4 would keep; None stays None.

    utimensat(2) takes any 64-bit seconds. The kernel cuts them for filesystems that say their
    range, which FUSE cannot.
    """
    return None if time_ns is None else time_within(time_ns)


def time_within(time_ns: int) -> int:
    """Returns the nearest time that an inode can hold.

    The first second has no fractions, as the last (timestamp_truncate() of fs/inode.c).
    """
    if time_ns < limits.TIME_NS_MIN + 1_000_000_000:
        return limits.TIME_NS_MIN
    return min(time_ns, limits.TIME_NS_MAX)


def set_attributes(tree: Tree, change: SetAttributes) -> Tree:
    """Returns the tree after chmod, chown, truncate or utimensat."""
    inode = tree.existing(change.number)
    mode = inode.mode
    if change.mode is not None:
        mode = stat.S_IFMT(inode.mode) | stat.S_IMODE(change.mode)
    if change.clear_setid and not inode.is_directory:
        mode = _without_setid(mode)
    size, extents, mtime_ns = inode.size, inode.extents, inode.mtime_ns
    if change.size is not None:
        _file(tree, change.number, 0, change.size)
        if change.size < size:
            extents = extent.without_range(extents, change.size, size)
        size = change.size
        mtime_ns = change.time_ns
    changed = with_fields(
        inode,
        mode=mode,
        uid=inode.uid if change.uid is None else change.uid,
        gid=inode.gid if change.gid is None else change.gid,
        size=size,
        extents=extents,
        atime_ns=inode.atime_ns if change.atime_ns is None else change.atime_ns,
        mtime_ns=mtime_ns if change.mtime_ns is None else change.mtime_ns,
        ctime_ns=change.time_ns,
    )
    return _with_inode(tree, change.number, changed)


def allocated(tree: Tree, change: Allocate) -> Tree:
    """Returns the tree after fallocate: punched, zeroed or longer."""
    end = change.offset + change.length
    inode = _file(tree, change.number, change.offset, change.length)
    if change.length == 0:
        raise InvalidArgumentError("fallocate of an empty range")
    if change.flags not in _FALLOCATE_MODES:
        raise UnsupportedError(f"fallocate mode {change.flags} is not supported")
    keep_size = bool(change.flags & FALLOCATE_KEEP_SIZE)
    extents = inode.extents
    if change.flags & (FALLOCATE_PUNCH_HOLE | FALLOCATE_ZERO_RANGE):
        extents = extent.without_range(extents, change.offset, end)
    size = inode.size if keep_size else max(inode.size, end)
    changed = with_fields(
        inode, extents=extents, size=size, mtime_ns=change.time_ns, ctime_ns=change.time_ns
    )
    return _with_inode(tree, change.number, changed)


def shared(tree: Tree, change: Share) -> Tree:
    """Returns the tree after a range came to share the extents of another file.

    No bytes: no change.
    """
    end = change.offset + change.length
    inode = _file(tree, change.number, change.offset, change.length)
    if change.length == 0:
        return tree
    extents = extent.without_range(inode.extents, change.offset, end)
    for piece in extent.iterate(change.extents):
        extents = extent.with_extent(
            extents, piece._replace(file_offset=piece.file_offset + change.offset)
        )
    changed = with_fields(
        inode,
        extents=extents,
        size=max(inode.size, end),
        mtime_ns=change.time_ns,
        ctime_ns=change.time_ns,
    )
    return _with_inode(tree, change.number, changed)


def set_xattr(tree: Tree, change: SetXattr) -> Tree:
    """Returns the tree after setxattr; order of attributes is that of their names."""
    inode = tree.existing(change.number)
    others = tuple(pair for pair in inode.xattrs if pair[0] != change.name)
    xattrs = tuple(sorted((*others, (change.name, change.value))))
    if sum(len(name) + 1 for name, _ in xattrs) > limits.XATTR_LIST_BYTES_MAX:
        raise NoSpaceError("too many extended attributes")
    return _with_inode(
        tree, change.number, with_fields(inode, xattrs=xattrs, ctime_ns=change.time_ns)
    )


def removed_xattr(tree: Tree, change: RemoveXattr) -> Tree:
    """Returns the tree after removexattr; `AttributeNotFoundError` if there is none."""
    inode = tree.existing(change.number)
    xattrs = tuple(pair for pair in inode.xattrs if pair[0] != change.name)
    if len(xattrs) == len(inode.xattrs):
        raise AttributeNotFoundError(f"no attribute {change.name!r}")
    return _with_inode(
        tree, change.number, with_fields(inode, xattrs=xattrs, ctime_ns=change.time_ns)
    )
