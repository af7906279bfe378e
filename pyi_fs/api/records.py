"""What the API answers with: values that stay what they are when the workspace goes on."""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from pyi_fs.ids import InodeNumber, OperationId
from pyi_fs.model import diff, operation, refs
from pyi_fs.model.inode import Inode


class Stat(NamedTuple):
    """A file's attributes, under the names of `os.stat_result`; times are ns since the epoch."""

    st_ino: int
    st_mode: int
    st_nlink: int
    st_uid: int
    st_gid: int
    st_size: int
    st_atime_ns: int
    st_mtime_ns: int
    st_ctime_ns: int
    st_birthtime_ns: int
    st_rdev: int

    @property
    def is_file(self) -> bool:
        """Returns whether it is a regular file."""
        return stat.S_ISREG(self.st_mode)

    @property
    def is_directory(self) -> bool:
        """Returns whether it is a directory."""
        return stat.S_ISDIR(self.st_mode)

    @property
    def is_symlink(self) -> bool:
        """Returns whether it is a symlink; `stat` has to be told not to follow them."""
        return stat.S_ISLNK(self.st_mode)


class Change(NamedTuple):
    """One changed path.

    `letter`: `A` added, `D` deleted, `M` content, `R` renamed from `old_path`, `T` type, `P` only
    permissions, owner, extended attributes or mtime.
    """

    letter: str
    path: str
    old_path: str | None = None


@dataclass(frozen=True)
class Snapshot:
    """A snapshot; `unchanged`: it is an older one, because nothing had changed since.

    `parent`: id of the one before it in its history. `automatic`: why it was taken if nobody asked
    for it.
    """

    id: str
    branch: str
    name: str | None
    message: str
    time_ns: int
    added: int
    modified: int
    deleted: int
    parent: str | None
    automatic: str
    unchanged: bool = False
    _changes: Callable[[], list[Change]] = field(default=list, repr=False, compare=False)

    def changes(self) -> list[Change]:
        """Returns what changed since the snapshot before it, sorted by path.

        The workspace has to be open.
        """
        return self._changes()

    def __str__(self) -> str:
        """Returns the id."""
        return self.id


class Operation(NamedTuple):
    """One operation of a workspace's log; `kind`: `snapshot`, `restore`, `branch`, ….

    `details` by their names.
    """

    id: int
    kind: str
    time_ns: int
    details: dict[str, object]


_KINDS: dict[type, str] = {
    operation.Begin: "begin",
    operation.TakeSnapshot: "snapshot",
    operation.NameSnapshot: "name",
    operation.DeleteSnapshot: "delete-snapshot",
    operation.MakeBranch: "branch",
    operation.DropBranch: "drop",
    operation.SwitchHead: "head",
    operation.MoveBranch: "restore",
    operation.RestorePath: "restore-path",
    operation.UndropBranch: "undrop",
    operation.Void: "void",
    operation.PinSnapshot: "pin",
    operation.UnpinSnapshot: "unpin",
    operation.Purge: "purge",
    operation.CloseUndo: "close-undo",
    operation.KeepBranch: "keep",
}
_UNSAID = {
    "time_ns",
    "position",
    "before",
    "after",
    "parent_before",
    "inode_floor",
    "layer",
    "offset",
}


def stat_of(number: InodeNumber, inode: Inode) -> Stat:
    """Returns the attributes of an inode."""
    return Stat(
        number,
        inode.mode,
        inode.nlink,
        inode.uid,
        inode.gid,
        inode.size,
        inode.atime_ns,
        inode.mtime_ns,
        inode.ctime_ns,
        inode.btime_ns,
        inode.rdev,
    )


def change_of(change: diff.Change) -> Change:
    """Returns a change with paths as text."""
    old_path = os.fsdecode(change.old_path) if change.old_path is not None else None
    return Change(change.letter, os.fsdecode(change.path), old_path)


def snapshot_of(
    snapshot: refs.Snapshot, changes: Callable[[], list[Change]], *, unchanged: bool = False
) -> Snapshot:
    """Returns a snapshot as callers see it."""
    return Snapshot(
        snapshot.id,
        snapshot.branch,
        snapshot.name,
        snapshot.message,
        snapshot.time_ns,
        snapshot.added,
        snapshot.modified,
        snapshot.deleted,
        snapshot.parent,
        snapshot.automatic,
        unchanged,
        changes,
    )


def operation_of(number: OperationId, record: operation.Operation) -> Operation | None:
    """Returns an operation as callers see it; None for bookkeeping."""
    kind = _KINDS.get(type(record))
    if kind is None:
        return None
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    if fields.get("undoes"):
        kind = "undo"
    elif fields.get("redoes"):
        kind = "redo"
    if isinstance(path := fields.get("path"), bytes):
        fields["path"] = os.fsdecode(path)
    if isinstance(paths := fields.get("paths"), tuple):
        fields["paths"] = [os.fsdecode(path) for path in paths]
    details = {name: value for name, value in fields.items() if value and name not in _UNSAID}
    return Operation(number, kind, fields.get("time_ns", 0), details)
