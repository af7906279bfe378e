"""Bodies of the kernel's requests, decoded. Pure; `MalformedRequestError` for every odd one.

Each takes the bytes between header and extensions. What the hot requests carry comes as plain
tuples, the rest as named ones. A body may be longer than its form says: newer kernels append.

Source: include/uapi/linux/fuse.h.
"""

import stat
import struct
from typing import NamedTuple

from pyi_fs.errors import MalformedRequestError
from pyi_fs.ids import Buffer

_MKNOD = struct.Struct("<III4x")
_TWO_WORDS = struct.Struct("<II")
_LONG = struct.Struct("<Q")
_RENAME2 = struct.Struct("<QI4x")
_CREATE = struct.Struct("<IIII")
_READ = struct.Struct("<QQI20x")
_WRITE = struct.Struct("<QQII16x")
_FORGET_ONE = struct.Struct("<QQ")
_FALLOCATE = struct.Struct("<QQQI4x")
_LSEEK = struct.Struct("<QQI4x")
_IOCTL = struct.Struct("<QIIQII")
_COPY = struct.Struct("<QQQQQQQ")
# valid, fh, size, lock_owner, atime, mtime, ctime, their ns, mode, uid, gid
_SETATTR = struct.Struct("<I4xQQQqqqIIII4xII4x")

_MODE, _UID, _GID, _SIZE, _ATIME, _MTIME = (1 << bit for bit in range(6))
_ATIME_NOW, _MTIME_NOW, _CTIME = 1 << 7, 1 << 8, 1 << 10
_MADE_BY_MKNOD = frozenset((stat.S_IFREG, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK))
_BILLION = 1_000_000_000

NOW = -(1 << 100)
"""A time in a `SetattrRequest` that is to be the moment of the change; no real one is so early."""


class SetattrRequest(NamedTuple):
    """What SETATTR changes; None stays. Times are ns since the epoch, or `NOW`."""

    mode: int | None
    uid: int | None
    gid: int | None
    size: int | None
    atime_ns: int | None
    mtime_ns: int | None
    ctime_ns: int | None


class CopyRequest(NamedTuple):
    """COPY_FILE_RANGE: handles, and the node of the target."""

    source: int
    source_offset: int
    target_node: int
    target: int
    target_offset: int
    length: int
    flags: int


def _fields(layout: struct.Struct, body: Buffer) -> tuple[int, ...]:
    try:
        return layout.unpack_from(body)
    except struct.error:
        raise MalformedRequestError(f"{len(body)} bytes where {layout.size} belong") from None


def _strings(raw: bytes, count: int) -> list[bytes]:
    parts = raw.split(b"\0")
    if len(parts) != count + 1 or parts[-1]:
        raise MalformedRequestError(f"not {count} strings: {raw[:300]!r}")
    return parts[:-1]


def _checked(name: bytes) -> bytes:
    if not name or b"/" in name:
        raise MalformedRequestError(f"not a name: {name[:300]!r}")
    return name


def name(body: Buffer) -> bytes:
    """Returns the name that LOOKUP, UNLINK, RMDIR, GETXATTR and their kin are about."""
    raw = bytes(body)
    if raw.find(b"\0") != len(raw) - 1 or len(raw) < 2 or b"/" in raw:
        raise MalformedRequestError(f"not a name: {raw[:300]!r}")
    return raw[:-1]


def symlink(body: Buffer) -> tuple[bytes, bytes]:
    """Returns name and target."""
    link, target = _strings(bytes(body), 2)
    return _checked(link), target


def mknod(body: Buffer) -> tuple[bytes, int, int]:
    """Returns name, mode and device; the kernel has applied the umask."""
    mode, rdev, _ = _fields(_MKNOD, body)
    is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    if mode >> 12 << 12 not in _MADE_BY_MKNOD or (rdev and not is_device):
        raise MalformedRequestError(f"MKNOD of mode {mode:o} and device {rdev}")
    return name(body[_MKNOD.size :]), mode, rdev


def mkdir(body: Buffer) -> tuple[bytes, int]:
    """Returns name and mode."""
    mode, _ = _fields(_TWO_WORDS, body)
    return name(body[_TWO_WORDS.size :]), mode


def rename(body: Buffer) -> tuple[int, bytes, bytes]:
    """Returns the new directory, and both names."""
    (directory,) = _fields(_LONG, body)
    old, new = _strings(bytes(body[_LONG.size :]), 2)
    return directory, _checked(old), _checked(new)


def rename2(body: Buffer) -> tuple[int, bytes, bytes, int]:
    """Returns the new directory, both names, and the flags of renameat2(2)."""
    directory, flags = _fields(_RENAME2, body)
    old, new = _strings(bytes(body[_RENAME2.size :]), 2)
    return directory, _checked(old), _checked(new), flags


def link(body: Buffer) -> tuple[int, bytes]:
    """Returns the node that gets another name, and the name."""
    (node,) = _fields(_LONG, body)
    return node, name(body[_LONG.size :])


def create(body: Buffer) -> tuple[bytes, int, int]:
    """Returns name, mode and open flags of CREATE."""
    flags, mode, _, _ = _fields(_CREATE, body)
    return name(body[_CREATE.size :]), mode, flags


def tmpfile(body: Buffer) -> tuple[int, int]:
    """Returns mode and open flags of TMPFILE; what stands in the place of a name means nothing."""
    flags, mode, _, _ = _fields(_CREATE, body)
    return mode, flags


def open_flags(body: Buffer) -> int:
    """Returns the flags of open(2) in OPEN and OPENDIR."""
    return _fields(_TWO_WORDS, body)[0]


def handle(body: Buffer) -> int:
    """Returns the handle that RELEASE, FSYNC and their kin begin with."""
    return _fields(_LONG, body)[0]


def read(body: Buffer) -> tuple[int, ...]:
    """Returns handle, offset and length of READ, READDIR and READDIRPLUS."""
    return _fields(_READ, body)


def write(body: Buffer) -> tuple[int, int, Buffer, int]:
    """Returns handle, offset, data (a part of `body`) and write flags."""
    opened, offset, length, flags = _fields(_WRITE, body)
    data = body[_WRITE.size :]
    if len(data) != length:
        raise MalformedRequestError(f"WRITE of {length} bytes has {len(data)}")
    return opened, offset, data, flags


def forget(node: int, body: Buffer) -> list[tuple[int, int]]:
    """Returns the node of a FORGET with its count."""
    return [(node, _fields(_LONG, body)[0])]


def batch_forget(body: Buffer) -> list[tuple[int, int]]:
    """Returns nodes and counts."""
    count, _ = _fields(_TWO_WORDS, body)
    entries = body[_TWO_WORDS.size :]
    if count * _FORGET_ONE.size > len(entries):
        raise MalformedRequestError(f"BATCH_FORGET of {count} has {len(entries)} bytes")
    return list(_FORGET_ONE.iter_unpack(entries[: count * _FORGET_ONE.size]))


def setattr_(body: Buffer) -> SetattrRequest:
    """Returns what is to change."""
    valid, _, size, _, atime, mtime, ctime, atime_ns, mtime_ns, ctime_ns, mode, uid, gid = _fields(
        _SETATTR, body
    )
    return SetattrRequest(
        mode if valid & _MODE else None,
        uid if valid & _UID else None,
        gid if valid & _GID else None,
        size if valid & _SIZE else None,
        _time(valid, _ATIME, _ATIME_NOW, atime, atime_ns),
        _time(valid, _MTIME, _MTIME_NOW, mtime, mtime_ns),
        ctime * _BILLION + ctime_ns if valid & _CTIME else None,
    )


def _time(valid: int, given: int, now: int, seconds: int, ns: int) -> int | None:
    if not valid & given:
        return None
    return NOW if valid & now else seconds * _BILLION + ns


def setxattr(body: Buffer) -> tuple[bytes, bytes, int]:
    """Returns name, value and flags; `FUSE_SETXATTR_EXT` is not taken."""
    length, flags = _fields(_TWO_WORDS, body)
    raw = bytes(body[_TWO_WORDS.size :])
    attribute, found, value = raw.partition(b"\0")
    if not found or not attribute or len(value) != length:
        raise MalformedRequestError(f"SETXATTR of {length} bytes has {len(value)}")
    return attribute, value, flags


def getxattr(body: Buffer) -> tuple[bytes, int]:
    """Returns name and the caller's room in bytes, 0 to ask for the size."""
    room, _ = _fields(_TWO_WORDS, body)
    return attribute_name(body[_TWO_WORDS.size :]), room


def attribute_name(body: Buffer) -> bytes:
    """Returns the name of an extended attribute, in which slashes mean nothing."""
    (found,) = _strings(bytes(body), 1)
    if not found:
        raise MalformedRequestError("an attribute without a name")
    return found


def listxattr(body: Buffer) -> int:
    """Returns the caller's room in bytes, 0 to ask for the size."""
    return _fields(_TWO_WORDS, body)[0]


def fallocate(body: Buffer) -> tuple[int, ...]:
    """Returns handle, offset, length and mode."""
    return _fields(_FALLOCATE, body)


def lseek(body: Buffer) -> tuple[int, ...]:
    """Returns handle, offset and whence."""
    return _fields(_LSEEK, body)


def ioctl(body: Buffer) -> tuple[int, int, Buffer, int]:
    """Returns handle, command, what is handed in (a part of `body`), and the room for an answer."""
    opened, _, command, _, length, room = _fields(_IOCTL, body)
    data = body[_IOCTL.size :]
    if len(data) != length:
        raise MalformedRequestError(f"IOCTL of {length} bytes has {len(data)}")
    return opened, command, data, room


def copy_file_range(body: Buffer) -> CopyRequest:
    """Returns what is to be copied where."""
    return CopyRequest(*_fields(_COPY, body))
