"""One frozen record per kind of change.

Self-contained, so that a journal of them is the whole truth.

Times, inode numbers and callers' ids are values in the record: folding it again gives the same
tree. The numeric tags reach the disk (`docs/on-disk-format.md`, section *Journal records*): never
change or reuse one; new fields are appended with a default.
"""

import msgspec

from pyi_fs.ids import InodeNumber, SegmentId
from pyi_fs.model import bounds
from pyi_fs.model.extent import ExtentList
from pyi_fs.model.inode import Inode

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2

FALLOCATE_KEEP_SIZE = 1
FALLOCATE_PUNCH_HOLE = 2
FALLOCATE_ZERO_RANGE = 16


class Create(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False, omit_defaults=True):
    """A new inode under a new name: any type; `mode` has the type bits.

    `target` for symlinks, `rdev` for devices.
    """

    parent: bounds.Number
    name: bounds.Name
    number: bounds.Number
    mode: bounds.Mode
    uid: bounds.HalfWord
    gid: bounds.HalfWord
    time_ns: bounds.TimeNs
    target: bounds.Target = b""
    rdev: bounds.Count = 0


class Link(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """Another name for an inode that is not a directory.

    An unlinked regular file comes back (O_TMPFILE).
    """

    number: bounds.Number
    parent: bounds.Number
    name: bounds.Name
    time_ns: bounds.TimeNs


class Remove(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """A name goes: `unlink`, or `rmdir` with `directory`.

    An inode without names stays, unlinked, until `Reap`.
    """

    parent: bounds.Number
    name: bounds.Name
    directory: bool
    time_ns: bounds.TimeNs


class Rename(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """rename(2) with `RENAME_NOREPLACE` and `RENAME_EXCHANGE`."""

    parent: bounds.Number
    name: bounds.Name
    new_parent: bounds.Number
    new_name: bounds.Name
    flags: bounds.HalfWord
    time_ns: bounds.TimeNs


class Write(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False, omit_defaults=True):
    """Bytes of a file come from `[source_offset, source_offset + length)` of a segment.

    `checksums`: one u64 (XXH3, little endian) for each run of up to `run_bytes` bytes, in order;
    the range begins a run.
    """

    number: bounds.Number
    offset: bounds.FileBytes
    length: bounds.FileBytes
    segment: SegmentId
    source_offset: bounds.Count
    checksums: bytes
    time_ns: bounds.TimeNs
    clear_setid: bool = False


class SetAttributes(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """chmod, chown, truncate, utimensat: fields that are not None change.

    `time_ns` becomes the ctime.
    """

    number: bounds.Number
    mode: bounds.Mode | None
    uid: bounds.HalfWord | None
    gid: bounds.HalfWord | None
    size: bounds.FileBytes | None
    atime_ns: bounds.TimeNs | None
    mtime_ns: bounds.TimeNs | None
    time_ns: bounds.TimeNs
    clear_setid: bool = False


class Allocate(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """fallocate(2) with `FALLOCATE_*` flags: holes and size only, nothing is reserved."""

    number: bounds.Number
    offset: bounds.FileBytes
    length: bounds.FileBytes
    flags: bounds.HalfWord
    time_ns: bounds.TimeNs


class SetXattr(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """An extended attribute gets a value."""

    number: bounds.Number
    name: bounds.AttributeName
    value: bytes
    time_ns: bounds.TimeNs


class RemoveXattr(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """An extended attribute goes."""

    number: bounds.Number
    name: bounds.AttributeName
    time_ns: bounds.TimeNs


class Share(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """Bytes of a file at `offset` are those of these extents (`copy_file_range`).

    File offsets count from `offset`, gaps are holes.
    """

    number: bounds.Number
    offset: bounds.FileBytes
    length: bounds.FileBytes
    extents: ExtentList
    time_ns: bounds.TimeNs


class Reap(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """Nobody holds these unlinked inodes any more."""

    numbers: tuple[InodeNumber, ...]


class Adopt(msgspec.Struct, frozen=True, array_like=True, tag=12, gc=False):
    """An orphan of a publish lives on as an unlinked inode under a fresh number."""

    number: bounds.Number
    inode: Inode


class Graft(msgspec.Struct, frozen=True, array_like=True, tag=13, gc=False):
    """Raw state: restore of one path.

    Records replaced (None: removed) and dentries set (0: removed), all at once.
    """

    inodes: tuple[tuple[bounds.Number, Inode | None], ...]
    dentries: tuple[tuple[bounds.Number, bounds.Name, bounds.NumberOrNone], ...]


Mutation = (
    Create
    | Link
    | Remove
    | Rename
    | Write
    | SetAttributes
    | Allocate
    | SetXattr
    | RemoveXattr
    | Share
    | Reap
    | Adopt
    | Graft
)
