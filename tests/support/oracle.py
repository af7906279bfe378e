"""The filesystem again, on dicts and bytearrays: slow and obviously right.

It takes the same mutations as `model/edit.py` and refuses the same ones, with an `OSError` of the
same errno. Nothing is kept that can be counted: links, parents and paths are found by looking
through all directories. File content is real bytes; the tree knows only extents, so `Content` holds
the bytes of made-up segments and chunks for both.
"""

import copy
import stat
from dataclasses import dataclass, field
from errno import (
    EEXIST,
    EFBIG,
    EINVAL,
    EISDIR,
    EMLINK,
    ENAMETOOLONG,
    ENODATA,
    ENOENT,
    ENOSPC,
    ENOTDIR,
    ENOTEMPTY,
    EOPNOTSUPP,
    EPERM,
)

from pyi_fs import limits
from pyi_fs.ids import ROOT_INODE, ChunkId, InodeNumber, SegmentId
from pyi_fs.model import extent, mutation
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import Mutation
from pyi_fs.model.tree import Tree


class Content:
    """The bytes behind extents: made-up scratch segments and chunks."""

    def __init__(self) -> None:
        self.segments: dict[SegmentId, bytearray] = {}
        self.chunks: dict[ChunkId, bytes] = {}

    def append(self, segment: SegmentId, data: bytes) -> int:
        """Returns where in the segment the data now begins."""
        held = self.segments.setdefault(segment, bytearray())
        held += data
        return len(held) - len(data)

    def segment_end(self, segment: SegmentId) -> int | None:
        """Returns the length of a segment, for `check`."""
        return len(self.segments[segment]) if segment in self.segments else None

    def bytes_of(self, extents: extent.ExtentList, length: int) -> bytes:
        """Returns what a file of that length reads as."""
        data = bytearray(length)
        for item in extent.iterate(extents):
            scratch = item.kind == extent.SCRATCH
            source = self.segments[item.segment] if scratch else self.chunks[item.chunk]
            piece = source[item.source_offset : item.source_offset + item.length]
            assert len(piece) == item.length
            data[item.file_offset : item.end] = piece
        assert len(data) == length
        return bytes(data)


@dataclass
class Node:
    """One file; `names` only for directories."""

    mode: int
    uid: int
    gid: int
    rdev: int
    target: bytes
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    btime_ns: int
    data: bytearray = field(default_factory=bytearray)
    xattrs: dict[bytes, bytes] = field(default_factory=dict)
    names: dict[bytes, int] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        """Returns whether this is a directory."""
        return stat.S_ISDIR(self.mode)


def _need(condition: bool, errno: int) -> None:
    if not condition:
        raise OSError(errno, "oracle")


def _check_name(name: bytes) -> None:
    _need(len(name) <= 255, ENAMETOOLONG)
    _need(name not in (b"", b".", b"..") and b"/" not in name and b"\0" not in name, EINVAL)


class Oracle:
    """A naive filesystem."""

    def __init__(self, content: Content, mode: int, uid: int, gid: int, time_ns: int) -> None:
        self.content = content
        times = (time_ns,) * 4
        self.nodes: dict[int, Node] = {ROOT_INODE: Node(mode, uid, gid, 0, b"", *times)}

    def copy(self) -> "Oracle":
        """Returns another one in the same state, over the same content."""
        other = Oracle(self.content, 0, 0, 0, 0)
        other.nodes = copy.deepcopy(self.nodes)
        return other

    def dentries(self, number: int) -> list[tuple[int, bytes]]:
        """Returns every (directory, name) that points at a file."""
        return [
            (directory, name)
            for directory, node in self.nodes.items()
            for name, child in node.names.items()
            if child == number
        ]

    def nlink(self, number: int) -> int:
        """Returns the link count, by counting."""
        linked = len(self.dentries(number))
        node = self.nodes[number]
        if not node.is_directory:
            return linked
        below = sum(self.nodes[child].is_directory for child in node.names.values())
        return 2 + below if linked or number == ROOT_INODE else 0

    def apply(self, change: Mutation) -> None:
        """Carries a mutation out, or raises `OSError` and changes nothing."""
        getattr(self, "_" + type(change).__name__.lower())(change)

    def _node(self, number: int) -> Node:
        _need(number in self.nodes, ENOENT)
        return self.nodes[number]

    def _directory(self, number: int) -> Node:
        node = self._node(number)
        _need(node.is_directory, ENOTDIR)
        _need(self.nlink(number) > 0, ENOENT)
        return node

    def _touch(self, number: int, time_ns: int) -> None:
        self.nodes[number].mtime_ns = self.nodes[number].ctime_ns = time_ns

    def _child(self, directory: Node, name: bytes) -> int:
        if name not in directory.names:
            _check_name(name)
        _need(name in directory.names, ENOENT)
        return directory.names[name]

    def _create(self, change: mutation.Create) -> None:
        parent = self._directory(change.parent)
        _check_name(change.name)
        _need(change.name not in parent.names, EEXIST)
        _need(len(change.target) <= 4095, ENAMETOOLONG)
        mode, gid, times = change.mode, change.gid, (change.time_ns,) * 4
        if stat.S_ISDIR(mode):
            _need(self.nlink(change.parent) < limits.LINKS_MAX, EMLINK)
        if parent.mode & stat.S_ISGID:
            gid = parent.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        self.nodes[change.number] = Node(mode, change.uid, gid, change.rdev, change.target, *times)
        parent.names[change.name] = change.number
        self._touch(change.parent, change.time_ns)

    def _link(self, change: mutation.Link) -> None:
        parent = self._directory(change.parent)
        _check_name(change.name)
        node = self._node(change.number)
        _need(change.name not in parent.names, EEXIST)
        _need(not node.is_directory, EPERM)
        _need(self.nlink(change.number) < limits.LINKS_MAX, EMLINK)
        parent.names[change.name] = change.number
        node.ctime_ns = change.time_ns
        self._touch(change.parent, change.time_ns)

    def _remove(self, change: mutation.Remove) -> None:
        parent = self._directory(change.parent)
        number = self._child(parent, change.name)
        node = self.nodes[number]
        if change.directory:
            _need(node.is_directory, ENOTDIR)
            _need(not node.names, ENOTEMPTY)
        else:
            _need(not node.is_directory, EISDIR)
        del parent.names[change.name]
        node.ctime_ns = change.time_ns
        self._touch(change.parent, change.time_ns)

    def _ancestors(self, number: int) -> list[int]:
        """Returns a directory and everything above it."""
        found = [number]
        while found[-1] != ROOT_INODE:
            ((above, _),) = self.dentries(found[-1])
            found.append(above)
        return found

    def _rename(self, change: mutation.Rename) -> None:
        exchange = change.flags == mutation.RENAME_EXCHANGE
        _need(change.flags in (0, mutation.RENAME_NOREPLACE, mutation.RENAME_EXCHANGE), EINVAL)
        old, into = self._directory(change.parent), self._node(change.new_parent)
        if into.is_directory:
            # The kernel looks the old name up before it says that the new directory is gone.
            self._child(old, change.name)
        new = self._directory(change.new_parent)
        number = self._child(old, change.name)
        _check_name(change.new_name)
        target = new.names.get(change.new_name)
        _need(target is not None or not exchange, ENOENT)
        _need(target is None or change.flags != mutation.RENAME_NOREPLACE, EEXIST)
        if change.parent != change.new_parent:
            _need(number not in self._ancestors(change.new_parent), EINVAL)
            _need(target not in self._ancestors(change.parent), EINVAL if exchange else ENOTEMPTY)
        if target == number:
            return
        node, over = self.nodes[number], self.nodes[target] if target is not None else None
        if over is not None and not exchange:
            if node.is_directory:
                _need(over.is_directory, ENOTDIR)
            else:
                _need(not over.is_directory, EISDIR)
            _need(not over.names, ENOTEMPTY)
        coming, going = node.is_directory, over is not None and over.is_directory
        if change.parent != change.new_parent:
            full = limits.LINKS_MAX
            _need(not coming or going or self.nlink(change.new_parent) < full, EMLINK)
            upwards = exchange and going and not coming
            _need(not upwards or self.nlink(change.parent) < full, EMLINK)
        del old.names[change.name]
        if exchange and target is not None:
            old.names[change.name] = target
        new.names[change.new_name] = number
        for moved in (node, over):
            if moved is not None:
                moved.ctime_ns = change.time_ns
        self._touch(change.parent, change.time_ns)
        self._touch(change.new_parent, change.time_ns)

    def _file(self, number: int, offset: int, length: int, least: int) -> Node:
        node = self._node(number)
        _need(not node.is_directory, EISDIR)
        _need(stat.S_ISREG(node.mode), EINVAL)
        _need(offset >= 0 and length >= least, EINVAL)
        _need(offset + length <= limits.FILE_BYTES_MAX, EFBIG)
        return node

    def _put(self, node: Node, offset: int, data: bytes) -> None:
        if len(node.data) < offset:
            node.data += bytes(offset - len(node.data))
        node.data[offset : offset + len(data)] = data

    def _drop_setid(self, node: Node) -> None:
        node.mode &= ~stat.S_ISUID
        if node.mode & stat.S_IXGRP:
            node.mode &= ~stat.S_ISGID

    def _write(self, change: mutation.Write) -> None:
        node = self._file(change.number, change.offset, change.length, 0)
        if change.length == 0:
            return
        source = self.content.segments[change.segment]
        begin = change.source_offset
        self._put(node, change.offset, bytes(source[begin : begin + change.length]))
        if change.clear_setid:
            self._drop_setid(node)
        self._touch(change.number, change.time_ns)

    def _setattributes(self, change: mutation.SetAttributes) -> None:
        node = self._node(change.number)
        if change.size is not None:
            self._file(change.number, 0, change.size, 0)
            self._put(node, change.size, b"")
            del node.data[change.size :]
            node.mtime_ns = change.time_ns
        if change.mode is not None:
            node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(change.mode)
        if change.clear_setid and not node.is_directory:
            self._drop_setid(node)
        for name in ("uid", "gid", "atime_ns", "mtime_ns"):
            if getattr(change, name) is not None:
                setattr(node, name, getattr(change, name))
        node.ctime_ns = change.time_ns

    def _allocate(self, change: mutation.Allocate) -> None:
        keep, punch, zero = 1, 2, 16
        known = (0, keep, keep | punch, zero, keep | zero)
        node = self._file(change.number, change.offset, change.length, 1)
        _need(change.flags in known, EOPNOTSUPP)
        end = change.offset + change.length
        if change.flags & (punch | zero):
            held = len(node.data[change.offset : end])
            node.data[change.offset : change.offset + held] = bytes(held)
        if not change.flags & keep and len(node.data) < end:
            node.data += bytes(end - len(node.data))
        self._touch(change.number, change.time_ns)

    def _share(self, change: mutation.Share) -> None:
        node = self._file(change.number, change.offset, change.length, 0)
        if change.length == 0:
            return
        self._put(node, change.offset, self.content.bytes_of(change.extents, change.length))
        self._touch(change.number, change.time_ns)

    def _setxattr(self, change: mutation.SetXattr) -> None:
        node = self._node(change.number)
        names = {*node.xattrs, change.name}
        _need(sum(len(name) + 1 for name in names) <= limits.XATTR_LIST_BYTES_MAX, ENOSPC)
        node.xattrs[change.name] = change.value
        node.ctime_ns = change.time_ns

    def _removexattr(self, change: mutation.RemoveXattr) -> None:
        node = self._node(change.number)
        _need(change.name in node.xattrs, ENODATA)
        del node.xattrs[change.name]
        node.ctime_ns = change.time_ns

    def _reap(self, change: mutation.Reap) -> None:
        for number in change.numbers:
            if number in self.nodes and self.nlink(number) == 0:
                del self.nodes[number]

    def _adopt(self, change: mutation.Adopt) -> None:
        inode = change.inode
        times = (inode.atime_ns, inode.mtime_ns, inode.ctime_ns, inode.btime_ns)
        node = Node(inode.mode, inode.uid, inode.gid, inode.rdev, inode.target, *times)
        node.data += self.content.bytes_of(inode.extents, inode.size if inode.is_file else 0)
        node.xattrs.update(inode.xattrs)
        self.nodes[change.number] = node

    def picture(self) -> dict[object, object]:
        """Returns everything that can be seen, in the form of `picture_of`."""
        return {
            number: (
                (node.mode, self.nlink(number), node.uid, node.gid, node.rdev, node.target),
                len(node.data) + len(node.target),
                (node.atime_ns, node.mtime_ns, node.ctime_ns, node.btime_ns),
                bytes(node.data),
                sorted(node.xattrs.items()),
                sorted(node.names.items()),
                sorted(self._path(*dentry) for dentry in self.dentries(number)),
            )
            for number, node in self.nodes.items()
        }

    def _path(self, directory: int, name: bytes) -> bytes:
        if directory == ROOT_INODE:
            return name
        ((above, own),) = self.dentries(directory)
        return self._path(above, own) + b"/" + name


def picture_of(tree: Tree, content: Content) -> dict[object, object]:
    """Returns everything that can be seen of a tree: by inode number, unlinked ones included."""

    def picture(number: InodeNumber, inode: Inode) -> object:
        is_root = number == ROOT_INODE
        return (
            (inode.mode, inode.nlink, inode.uid, inode.gid, inode.rdev, inode.target),
            inode.size,
            (inode.atime_ns, inode.mtime_ns, inode.ctime_ns, inode.btime_ns),
            content.bytes_of(inode.extents, inode.size if inode.is_file else 0),
            list(inode.xattrs),
            sorted(tree.entries(number)),
            [] if is_root else sorted(tree.paths(number)),
        )

    return {number: picture(number, tree.existing(number)) for number in tree.numbers()}
