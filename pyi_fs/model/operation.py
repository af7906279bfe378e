"""The operations log's records: everything that moves a ref, in the order it happened.

The fold of these is `model/refs.py`. Tags reach the disk (`docs/on-disk-format.md`, section
*Operations log*): never change or reuse one; new fields are appended with a default. A position is
written as (layer, offset).
"""

import msgspec

from pyi_fs.ids import NO_OPERATION, TreeObjectId
from pyi_fs.model import bounds


class Begin(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The workspace begins.

    `position` is where its first branch starts, `source` says where that came from (for people).
    """

    time_ns: bounds.TimeNs
    branch: bounds.Branch
    position: bounds.Place
    source: str
    inode_floor: bounds.NumberEnd


class Reserve(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Inode numbers below `end` are taken; never goes back. Not shown in `log`."""

    end: bounds.NumberEnd


class Continue(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """A branch writes to a new layer, whose parent is the branch's position. Not shown in `log`."""

    branch: bounds.Branch
    layer: bounds.Layer


class TakeSnapshot(msgspec.Struct, frozen=True, array_like=True, tag=4, omit_defaults=True):
    """A snapshot of a branch at a position. `automatic` is the reason of one nobody asked for."""

    time_ns: bounds.TimeNs
    branch: bounds.Branch
    id: bounds.Snapshot
    position: bounds.Place
    added: bounds.Count
    modified: bounds.Count
    deleted: bounds.Count
    parent: bounds.Snapshot | None = None
    name: str = ""
    message: str = ""
    automatic: str = ""


class NameSnapshot(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """An existing snapshot gets a name (and a message)."""

    time_ns: bounds.TimeNs
    branch: bounds.Branch
    id: bounds.Snapshot
    name: str
    message: str


class DeleteSnapshot(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """A snapshot goes."""

    time_ns: bounds.TimeNs
    id: bounds.Snapshot
    reason: str


class MakeBranch(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """A branch starts at a position; `parent` is its last snapshot there."""

    time_ns: bounds.TimeNs
    branch: bounds.Branch
    position: bounds.Place
    parent: bounds.Snapshot | None
    ephemeral: bool


class DropBranch(msgspec.Struct, frozen=True, array_like=True, tag=8, omit_defaults=True):
    """A branch is abandoned; `undo` brings it back while its layers are kept.

    `undoes`: the making that was taken back.
    """

    time_ns: bounds.TimeNs
    branch: bounds.Branch
    undoes: bounds.Operation = NO_OPERATION
    redoes: bounds.Operation = NO_OPERATION


class SwitchHead(msgspec.Struct, frozen=True, array_like=True, tag=9):
    """A mount shows another branch at its root."""

    time_ns: bounds.TimeNs
    old: bounds.Branch
    new: bounds.Branch


class MoveBranch(msgspec.Struct, frozen=True, array_like=True, tag=10, omit_defaults=True):
    """Restore, undo or redo of a branch: it goes from `before` to `after`.

    `undoes`: the operation taken back; `redoes`: done again.
    """

    time_ns: bounds.TimeNs
    branch: bounds.Branch
    before: bounds.Place
    after: bounds.Place
    parent: bounds.Snapshot | None
    parent_before: bounds.Snapshot | None
    snapshot: bounds.Snapshot | None = None
    undoes: bounds.Operation = NO_OPERATION
    redoes: bounds.Operation = NO_OPERATION


class RestorePath(msgspec.Struct, frozen=True, array_like=True, tag=11):
    """One path was restored.

    An ordinary mutation of the branch, noted here so that it can be undone.
    """

    time_ns: bounds.TimeNs
    branch: bounds.Branch
    before: bounds.Place
    snapshot: bounds.Snapshot
    path: bytes
    parent_before: bounds.Snapshot | None


class UndropBranch(msgspec.Struct, frozen=True, array_like=True, tag=12):
    """A drop was undone (`undoes`) or a making was redone (`redoes`).

    The branch is back where it was.
    """

    time_ns: bounds.TimeNs
    branch: bounds.Branch
    undoes: bounds.Operation = NO_OPERATION
    redoes: bounds.Operation = NO_OPERATION


class Void(msgspec.Struct, frozen=True, array_like=True, tag=13):
    """A layer lost everything at and after `offset` to a power loss.

    Snapshots beyond it do not exist.
    """

    time_ns: bounds.TimeNs
    layer: bounds.Layer
    offset: bounds.Count


class SealSnapshot(msgspec.Struct, frozen=True, array_like=True, tag=14):
    """A snapshot's content root is known and durable. Not shown in `log`."""

    id: bounds.Snapshot
    root: TreeObjectId


class PinSnapshot(msgspec.Struct, frozen=True, array_like=True, tag=15):
    """A snapshot is kept whatever retention says."""

    time_ns: bounds.TimeNs
    id: bounds.Snapshot


class UnpinSnapshot(msgspec.Struct, frozen=True, array_like=True, tag=16):
    """Retention may take a snapshot again."""

    time_ns: bounds.TimeNs
    id: bounds.Snapshot


class Purge(msgspec.Struct, frozen=True, array_like=True, tag=17):
    """What files held was replaced by zeros everywhere: those that were ever at `paths`.

    `source`: the workspace they are paths of. `everywhere`: other files lost those bytes too.
    """

    time_ns: int
    source: str
    paths: tuple[bytes, ...]
    everywhere: bool


class CloseUndo(msgspec.Struct, frozen=True, array_like=True, tag=18):
    """What was done before `before_ns` cannot be undone any more: its space was given back.

    Restores of trees and paths, undos and redos of them, and drops.
    """

    time_ns: bounds.TimeNs
    before_ns: bounds.TimeNs
    reason: str


class KeepBranch(msgspec.Struct, frozen=True, array_like=True, tag=19):
    """An ephemeral branch is durable from now on."""

    time_ns: bounds.TimeNs
    branch: bounds.Branch


Operation = (
    Begin
    | Reserve
    | Continue
    | TakeSnapshot
    | NameSnapshot
    | DeleteSnapshot
    | MakeBranch
    | DropBranch
    | SwitchHead
    | MoveBranch
    | RestorePath
    | UndropBranch
    | Void
    | SealSnapshot
    | PinSnapshot
    | UnpinSnapshot
    | Purge
    | CloseUndo
    | KeepBranch
)
