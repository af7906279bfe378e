"""The kernel's structures written down a second time, as the header has them, laid out by ctypes.

The codec's own layouts are strings of `struct`; two descriptions that agree byte for byte are
unlikely to be wrong in the same place. Source: include/uapi/linux/fuse.h.
"""

import ctypes
from ctypes import c_int32, c_int64, c_uint16, c_uint32, c_uint64

U16, U32, U64, S32, S64 = c_uint16, c_uint32, c_uint64, c_int32, c_int64


def _structure(name: str, **fields: type) -> type[ctypes.Structure]:
    return type(name, (ctypes.Structure,), {"_fields_": list(fields.items())})


def _words(*names: str) -> dict[str, type]:
    return dict.fromkeys(names, U32)


def _longs(*names: str) -> dict[str, type]:
    return dict.fromkeys(names, U64)


InHeader = _structure(
    "InHeader",
    **_words("len", "opcode"),
    **_longs("unique", "nodeid"),
    **_words("uid", "gid", "pid"),
    total_extlen=U16,
    padding=U16,
)
OutHeader = _structure("OutHeader", len=U32, error=S32, unique=U64)
Attr = _structure(
    "Attr",
    **_longs("ino", "size", "blocks"),
    atime=S64,
    mtime=S64,
    ctime=S64,
    **_words("atimensec", "mtimensec", "ctimensec"),
    **_words("mode", "nlink", "uid", "gid", "rdev", "blksize", "flags"),
)
EntryOut = _structure(
    "EntryOut",
    **_longs("nodeid", "generation", "entry_valid", "attr_valid"),
    **_words("entry_valid_nsec", "attr_valid_nsec"),
    attr=Attr,
)
AttrOut = _structure("AttrOut", attr_valid=U64, attr_valid_nsec=U32, dummy=U32, attr=Attr)
SxTime = _structure("SxTime", tv_sec=S64, tv_nsec=U32, reserved=S32)
Statx = _structure(
    "Statx",
    **_words("mask", "blksize"),
    attributes=U64,
    **_words("nlink", "uid", "gid"),
    mode=U16,
    spare0=U16,
    **_longs("ino", "size", "blocks", "attributes_mask"),
    atime=SxTime,
    btime=SxTime,
    ctime=SxTime,
    mtime=SxTime,
    **_words("rdev_major", "rdev_minor", "dev_major", "dev_minor"),
    spare2=U64 * 14,
)
StatxOut = _structure(
    "StatxOut", attr_valid=U64, attr_valid_nsec=U32, flags=U32, spare=U64 * 2, stat=Statx
)
OpenOut = _structure("OpenOut", fh=U64, open_flags=U32, backing_id=S32)
BackingMap = _structure("BackingMap", fd=S32, flags=U32, padding=U64)
KstatFs = _structure(
    "KstatFs",
    **_longs("blocks", "bfree", "bavail", "files", "ffree"),
    **_words("bsize", "namelen", "frsize", "padding"),
    spare=U32 * 6,
)
Dirent = _structure("Dirent", ino=U64, off=U64, namelen=U32, type=U32)
InitIn = _structure(
    "InitIn", **_words("major", "minor", "max_readahead", "flags", "flags2"), unused=U32 * 11
)
InitOut = _structure(
    "InitOut",
    **_words("major", "minor", "max_readahead", "flags"),
    max_background=U16,
    congestion_threshold=U16,
    **_words("max_write", "time_gran"),
    max_pages=U16,
    map_alignment=U16,
    **_words("flags2", "max_stack_depth"),
    unused=U32 * 6,
)
SetattrIn = _structure(
    "SetattrIn",
    **_words("valid", "padding"),
    **_longs("fh", "size", "lock_owner"),
    atime=S64,
    mtime=S64,
    ctime=S64,
    **_words("atimensec", "mtimensec", "ctimensec", "mode", "unused4", "uid", "gid", "unused5"),
)
ReadIn = _structure(
    "ReadIn",
    **_longs("fh", "offset"),
    **_words("size", "read_flags"),
    lock_owner=U64,
    **_words("flags", "padding"),
)
WriteIn = _structure(
    "WriteIn",
    **_longs("fh", "offset"),
    **_words("size", "write_flags"),
    lock_owner=U64,
    **_words("flags", "padding"),
)
MknodIn = _structure("MknodIn", **_words("mode", "rdev", "umask", "padding"))
MkdirIn = _structure("MkdirIn", **_words("mode", "umask"))
Rename2In = _structure("Rename2In", newdir=U64, **_words("flags", "padding"))
CreateIn = _structure("CreateIn", **_words("flags", "mode", "umask", "open_flags"))
OpenIn = _structure("OpenIn", **_words("flags", "open_flags"))
SetxattrIn = _structure("SetxattrIn", **_words("size", "flags"))
GetxattrIn = _structure("GetxattrIn", **_words("size", "padding"))
BatchForgetIn = _structure("BatchForgetIn", **_words("count", "dummy"))
ForgetOne = _structure("ForgetOne", **_longs("nodeid", "nlookup"))
FallocateIn = _structure(
    "FallocateIn", **_longs("fh", "offset", "length"), **_words("mode", "padding")
)
IoctlIn = _structure(
    "IoctlIn",
    fh=U64,
    **_words("flags", "cmd"),
    arg=U64,
    **_words("in_size", "out_size"),
)
IoctlOut = _structure("IoctlOut", result=S32, **_words("flags", "in_iovs", "out_iovs"))
LseekIn = _structure("LseekIn", **_longs("fh", "offset"), **_words("whence", "padding"))
CopyFileRangeIn = _structure(
    "CopyFileRangeIn",
    **_longs("fh_in", "off_in", "nodeid_out", "fh_out", "off_out", "len", "flags"),
)


def request(
    opcode: int,
    body: bytes = b"",
    *,
    node: int = 1,
    unique: int = 2,
    uid: int = 0,
    gid: int = 0,
    pid: int = 0,
) -> bytes:
    """Returns a whole request."""
    length = ctypes.sizeof(InHeader) + len(body)
    return bytes(InHeader(length, opcode, unique, node, uid, gid, pid, 0, 0)) + body
