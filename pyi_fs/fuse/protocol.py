"""The kernel's FUSE protocol: opcodes, flags, headers, INIT and notifications, as bytes.

Pure encode and decode, no decisions: what a request means is for `fuse/direct_transport.py`. The
bodies of requests are in `fuse/protocol_requests.py`, those of answers in
`fuse/protocol_replies.py`. Numbers are in the machine's byte order, which is little endian on
every machine we run on.

Source: include/uapi/linux/fuse.h, protocol 7.31 to 7.45.
"""

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple

from pyi_fs.errors import MalformedRequestError
from pyi_fs.ids import Buffer, NodeId

MAJOR = 7
MINOR_MIN, MINOR_MAX = 31, 45
IN_HEADER_BYTES = 40
OUT_HEADER_BYTES = 16
WRITE_BYTES_MAX = 1 << 20
# The kernel wants room for the largest write and its headers; a page for those is plenty.
REQUEST_BYTES_MAX = WRITE_BYTES_MAX + 4096

_IN_HEADER = struct.Struct("<IIQQIIIHH")
_OUT_HEADER = struct.Struct("<IiQ")
_INIT_IN = struct.Struct("<IIII")
_INIT_FLAGS2 = struct.Struct("<I")
# major, minor, max_readahead, flags, max_background, congestion_threshold, max_write, time_gran,
# max_pages, map_alignment, flags2, max_stack_depth, and six words of later features
_INIT_OUT = struct.Struct("<IIIIHHIIHHII24x")
# descriptor, flags, padding
_BACKING_MAP = struct.Struct("<iIQ")
_BACKING_ID = struct.Struct("<I")
_UNIQUE = struct.Struct("<Q")
_INVAL_INODE = struct.Struct("<Qqq")
_INVAL_ENTRY = struct.Struct("<QII")
# node, offset, bytes
_STORE = struct.Struct("<QQI4x")

_NOTIFY_INVAL_INODE = 2
_NOTIFY_INVAL_ENTRY = 3
_NOTIFY_STORE = 4
_NOTIFY_RESEND = 7
RESENT = 1 << 63
"""In the number of a request that the kernel has sent again."""
# A page is 4 KiB at least: so many hold the largest write.
_PAGES_MAX = WRITE_BYTES_MAX // 4096


class Opcode(IntEnum):
    """What a request asks for."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    GETLK = 31
    SETLK = 32
    SETLKW = 33
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    BMAP = 37
    DESTROY = 38
    IOCTL = 39
    POLL = 40
    NOTIFY_REPLY = 41
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    SETUPMAPPING = 48
    REMOVEMAPPING = 49
    SYNCFS = 50
    TMPFILE = 51
    STATX = 52
    COPY_FILE_RANGE_64 = 53


_NAMES = {opcode.value: opcode.name.lower() for opcode in Opcode}


def name_of(opcode: int) -> str:
    """Returns what a request is called in messages, also one that we do not know."""
    return _NAMES.get(opcode) or f"opcode {opcode}"


class InitFlag(IntFlag):
    """What kernel and server agree on; above bit 31 in the second word."""

    ASYNC_READ = 1 << 0
    ATOMIC_O_TRUNC = 1 << 3
    EXPORT_SUPPORT = 1 << 4
    BIG_WRITES = 1 << 5
    AUTO_INVAL_DATA = 1 << 12
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    ASYNC_DIO = 1 << 15
    WRITEBACK_CACHE = 1 << 16
    PARALLEL_DIROPS = 1 << 18
    ABORT_ERROR = 1 << 21
    MAX_PAGES = 1 << 22
    CACHE_SYMLINKS = 1 << 23
    HANDLE_KILLPRIV_V2 = 1 << 28
    INIT_EXT = 1 << 30
    PASSTHROUGH = 1 << 37
    HAS_RESEND = 1 << 39


class OpenFlag(IntFlag):
    """How the kernel is to treat what it opened."""

    DIRECT_IO = 1 << 0
    KEEP_CACHE = 1 << 1
    CACHE_DIR = 1 << 3
    PASSTHROUGH = 1 << 7


WRITE_KILL_SUIDGID = 1 << 2
"""In the flags of a WRITE: the writer may not keep set-id bits."""

BACKING_OPEN = 1 << 30 | _BACKING_MAP.size << 16 | 229 << 8 | 1
"""ioctl of the device: FUSE_DEV_IOC_BACKING_OPEN, with a `backing_map`; returns an id."""
BACKING_CLOSE = 1 << 30 | _BACKING_ID.size << 16 | 229 << 8 | 2
"""ioctl of the device: FUSE_DEV_IOC_BACKING_CLOSE, with a `backing_id`."""


Header = tuple[int, int, int, NodeId, int, int, int, int, int]
"""length, opcode, unique, node, uid, gid, pid, words of extensions behind the body, padding."""


class InitRequest(NamedTuple):
    """What the kernel offers. `flags`: all 64 bits of `InitFlag`, known here or not."""

    major: int
    minor: int
    readahead_bytes: int
    flags: int


def header(message: Buffer, length: int) -> Header:
    """Returns the header of a request of `length` bytes; `MalformedRequestError`."""
    if length < IN_HEADER_BYTES:
        raise MalformedRequestError(f"a request of {length} bytes has no header")
    found: Header = _IN_HEADER.unpack_from(message)
    if found[0] != length or found[7] * 8 > length - IN_HEADER_BYTES:
        raise MalformedRequestError(f"a request of {length} bytes says that it has {found[0]}")
    return found


def answer_header(unique: int, body_bytes: int) -> bytes:
    """Returns what stands before the body of an answer."""
    return _OUT_HEADER.pack(OUT_HEADER_BYTES + body_bytes, 0, unique)


def refusal(unique: int, number: int) -> bytes:
    """Returns the answer that a request failed with an errno."""
    return _OUT_HEADER.pack(OUT_HEADER_BYTES, -number, unique)


def init_request(body: Buffer) -> InitRequest:
    """Returns what INIT offers; kernels before 7.36 have no second word of flags."""
    try:
        major, minor, readahead_bytes, flags = _INIT_IN.unpack_from(body)
        if flags & InitFlag.INIT_EXT:
            flags |= _INIT_FLAGS2.unpack_from(body, _INIT_IN.size)[0] << 32
    except struct.error:
        raise MalformedRequestError("INIT is short") from None
    return InitRequest(major, minor, readahead_bytes, flags)


def interrupted(body: Buffer) -> int:
    """Returns the number of the request that an INTERRUPT is about."""
    try:
        unique: int = _UNIQUE.unpack_from(body)[0]
    except struct.error:
        raise MalformedRequestError("INTERRUPT is short") from None
    return unique


def init_reply(
    minor: int, flags: int, readahead_bytes: int, *, background_max: int, congestion: int
) -> bytes:
    """Returns the body of the answer to INIT.

    `background_max`: requests that nobody waits for, at most at once; from `congestion` on the
    kernel holds back. What is passed through must lie on a file system that is not stacked itself.
    """
    return _INIT_OUT.pack(
        MAJOR,
        minor,
        readahead_bytes,
        flags & 0xFFFFFFFF,
        background_max,
        congestion,
        WRITE_BYTES_MAX,
        1,
        _PAGES_MAX,
        0,
        flags >> 32,
        1 if flags & InitFlag.PASSTHROUGH else 0,
    )


def backing_map(descriptor: int) -> bytes:
    """Returns what BACKING_OPEN is given."""
    return _BACKING_MAP.pack(descriptor, 0, 0)


def backing_id(backing: int) -> bytes:
    """Returns what BACKING_CLOSE is given."""
    return _BACKING_ID.pack(backing)


def _notification(code: int, body: bytes) -> bytes:
    # Unique 0 and a code in the place of the errno.
    return _OUT_HEADER.pack(OUT_HEADER_BYTES + len(body), code, 0) + body


def resend() -> bytes:
    """Returns the notification that has what was read and not answered sent again.

    Takes no lock that a client could hold. Since Linux 6.9, protocol 7.40.
    """
    return _notification(_NOTIFY_RESEND, b"")


def store_header(node: int, size: int) -> bytes:
    """Returns what stands before the first bytes of a file that are put into the kernel's cache.

    Waits for the locks of the pages (`fuse/prefill.py`).
    """
    length = OUT_HEADER_BYTES + _STORE.size + size
    return _OUT_HEADER.pack(length, _NOTIFY_STORE, 0) + _STORE.pack(node, 0, size)


def forget_attributes(node: int) -> bytes:
    """Returns the notification that drops a node's attributes, and none of its pages."""
    return _notification(_NOTIFY_INVAL_INODE, _INVAL_INODE.pack(node, -1, 0))


def forget_pages(node: int) -> bytes:
    """Returns the notification that drops a node's attributes and pages, or its kept listing."""
    return _notification(_NOTIFY_INVAL_INODE, _INVAL_INODE.pack(node, 0, 0))


def forget_entry(parent: int, name: bytes) -> bytes:
    """Returns the notification that drops a name."""
    body = _INVAL_ENTRY.pack(parent, len(name), 0) + name + b"\0"
    return _notification(_NOTIFY_INVAL_ENTRY, body)
