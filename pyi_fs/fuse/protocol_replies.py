"""Bodies of our answers, encoded. Pure, no decisions.

Attributes are handed over as the sixteen numbers of `struct fuse_attr`, in its order, so that a
hot answer is one call of `pack`. Timeouts are whole seconds. Times before the epoch are negative
seconds with ns counted forward, as in a timespec.

Source: include/uapi/linux/fuse.h.
"""

import struct
from typing import NamedTuple

from pyi_fs.model.inode import Inode

_ATTRIBUTES = "QQQqqqIIIIIIIIII"
# nodeid, generation, entry_valid, attr_valid, their ns, attributes
_ENTRY = struct.Struct("<QQQQII" + _ATTRIBUTES)
_ATTR_OUT = struct.Struct("<QI4x" + _ATTRIBUTES)
_OPEN_OUT = struct.Struct("<QIi")
_WRITE_OUT = struct.Struct("<I4x")
_SIZE_OUT = _WRITE_OUT
_LONG_OUT = struct.Struct("<Q")
_STATFS = struct.Struct("<QQQQQIII28x")
_IOCTL_OUT = struct.Struct("<iIII")
_DIRENT = struct.Struct("<QQII")
_DIRENTPLUS = struct.Struct("<QQQQII" + _ATTRIBUTES + "QQII")
_PADDING = tuple(bytes(length) for length in range(8))
# attr_valid, ns, flags, spare; struct statx: mask, blksize, attributes, nlink, uid, gid, mode, ino,
# size, blocks, attributes_mask; four times; rdev
_STATX = struct.Struct("<QII16x" + "IIQIIIH2xQQQQ" + "qI4x" * 4 + "IIII112x")
_STATX_BASIC_STATS, _STATX_BTIME = 0x7FF, 0x800

_BILLION = 1_000_000_000
_NO_ATTRIBUTES = (0,) * 16

AttributeWords = tuple[int, ...]
"""ino, size, blocks, atime, mtime, ctime in seconds, their ns, mode, nlink, uid, gid, rdev, blksize
and flags."""


class Timeouts(NamedTuple):
    """How many seconds the kernel may keep a name, and attributes."""

    entry: int
    attributes: int


_Time = tuple[int, int]


def _times(inode: Inode) -> tuple[_Time, _Time, _Time]:
    """Returns when it was read, written and changed, each as seconds and nanoseconds."""
    # Most files were made, written and never touched again.
    changed_ns, modified_ns, accessed_ns = inode.ctime_ns, inode.mtime_ns, inode.atime_ns
    changed = divmod(changed_ns, _BILLION)
    modified = changed if modified_ns == changed_ns else divmod(modified_ns, _BILLION)
    accessed = modified if accessed_ns == modified_ns else divmod(accessed_ns, _BILLION)
    return accessed, modified, changed


def attribute_words(
    ino: int, inode: Inode, size: int, blocks: int, block_size: int
) -> AttributeWords:
    """Returns a record as the kernel's attributes."""
    accessed, modified, changed = _times(inode)
    return (
        ino,
        size,
        blocks,
        accessed[0],
        modified[0],
        changed[0],
        accessed[1],
        modified[1],
        changed[1],
        inode.mode,
        inode.nlink,
        inode.uid,
        inode.gid,
        inode.rdev,
        block_size,
        0,
    )


def entry(node: int, timeouts: Timeouts, words: AttributeWords) -> bytes:
    """Returns what a name is."""
    return _ENTRY.pack(node, 0, *timeouts, 0, 0, *words)


def no_entry(seconds: int) -> bytes:
    """Returns that a name is nothing, which may be kept so long."""
    return _ENTRY.pack(0, 0, seconds, 0, 0, 0, *_NO_ATTRIBUTES)


def attributes(seconds: int, words: AttributeWords) -> bytes:
    """Returns the answer to GETATTR and SETATTR."""
    return _ATTR_OUT.pack(seconds, 0, *words)


def statx(seconds: int, words: AttributeWords, btime_ns: int) -> bytes:
    """Returns the answer to STATX: the same attributes, and the birth time."""
    ino, size, blocks, atime, mtime, ctime, atime_ns, mtime_ns, ctime_ns = words[:9]
    mode, nlink, uid, gid, rdev, block_size, _ = words[9:]
    btime, btime_rest = divmod(btime_ns, _BILLION)
    return _STATX.pack(
        seconds,
        0,
        0,
        _STATX_BASIC_STATS | _STATX_BTIME,
        block_size,
        0,
        nlink,
        uid,
        gid,
        mode,
        ino,
        size,
        blocks,
        0,
        *(atime, atime_ns, btime, btime_rest, ctime, ctime_ns, mtime, mtime_ns),
        # The kernel's 32-bit form: 12 bits of major between 8 and 12 of minor.
        rdev >> 8 & 0xFFF,
        rdev & 0xFF | rdev >> 12 & 0xFFF00,
        0,
        0,
    )


def opened(handle: int, flags: int, backing: int = 0) -> bytes:
    """Returns the answer to OPEN and OPENDIR, and the second half of that to CREATE.

    `backing`: the id of the file that the kernel is to read itself, with `OpenFlag.PASSTHROUGH`.
    """
    return _OPEN_OUT.pack(handle, flags, backing)


def written(length: int) -> bytes:
    """Returns how many bytes a WRITE or COPY_FILE_RANGE took."""
    return _WRITE_OUT.pack(length)


def copied(length: int) -> bytes:
    """Returns how many bytes a COPY_FILE_RANGE_64 took."""
    return _LONG_OUT.pack(length)


def size_needed(length: int) -> bytes:
    """Returns how many bytes an attribute, or the list of them, has."""
    return _SIZE_OUT.pack(length)


def offset(found: int) -> bytes:
    """Returns where LSEEK found what it looked for."""
    return _LONG_OUT.pack(found)


def ioctl(result: int, data: bytes) -> bytes:
    """Returns what an ioctl returns, an errno if negative; `data` is handed out in any case."""
    return _IOCTL_OUT.pack(result, 0, 0, 0) + data


def statfs(
    *,
    blocks: int,
    free: int,
    available: int,
    files: int,
    files_free: int,
    block_bytes: int,
    name_bytes_max: int,
) -> bytes:
    """Returns the room there is."""
    return _STATFS.pack(
        blocks, free, available, files, files_free, block_bytes, name_bytes_max, block_bytes
    )


def listed(ino: int, next_offset: int, kind: int, name: bytes) -> bytes:
    """Returns one name of a READDIR; `kind` is the type of file, as in `mode >> 12`."""
    length = len(name)
    return _DIRENT.pack(ino, next_offset, length, kind) + name + _PADDING[-length % 8]


def listed_entry(
    node: int,
    timeouts: Timeouts,
    ino: int,
    inode: Inode,
    size: int,
    blocks: int,
    block_size: int,
    next_offset: int,
    name: bytes,
) -> bytes:
    """Returns one name of a READDIRPLUS: `entry` of `attribute_words`, then `listed`.

    In one call of `pack`, of which a long listing makes thousands.
    """
    accessed, modified, changed = _times(inode)
    mode, length = inode.mode, len(name)
    numbers = _DIRENTPLUS.pack(
        node,
        0,
        timeouts[0],
        timeouts[1],
        0,
        0,
        ino,
        size,
        blocks,
        accessed[0],
        modified[0],
        changed[0],
        accessed[1],
        modified[1],
        changed[1],
        mode,
        inode.nlink,
        inode.uid,
        inode.gid,
        inode.rdev,
        block_size,
        0,
        ino,
        next_offset,
        length,
        mode >> 12,
    )
    return numbers + name + _PADDING[-length % 8]
