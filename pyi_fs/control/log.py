"""The operations log as people and scripts read it: one JSON object a line.

Pure. Each has `id`, `time` (UTC, ISO 8601 with microseconds), `time_ns`, `operation` (one of
`OPERATION_NAMES`, or `undo` and `redo` for what takes operations back), and those fields of the
record that say something: positions are left out, and so is what is empty. Paths are quoted as in
a diff.
"""

from datetime import UTC, datetime

from msgspec.structs import asdict

from pyi_fs.control.answers import json_line, quoted
from pyi_fs.ids import OperationId
from pyi_fs.model.operation import (
    Begin,
    CloseUndo,
    Continue,
    DeleteSnapshot,
    DropBranch,
    KeepBranch,
    MakeBranch,
    MoveBranch,
    NameSnapshot,
    Operation,
    PinSnapshot,
    Purge,
    Reserve,
    RestorePath,
    SealSnapshot,
    SwitchHead,
    TakeSnapshot,
    UndropBranch,
    UnpinSnapshot,
    Void,
)

OPERATION_NAMES: dict[type[Operation], str] = {
    Begin: "begin",
    TakeSnapshot: "snapshot",
    NameSnapshot: "name",
    DeleteSnapshot: "delete-snapshot",
    MakeBranch: "branch",
    DropBranch: "drop",
    SwitchHead: "head",
    MoveBranch: "restore",
    RestorePath: "restore-path",
    UndropBranch: "undrop",
    Void: "void",
    PinSnapshot: "pin",
    UnpinSnapshot: "unpin",
    Purge: "purge",
    CloseUndo: "close-undo",
    KeepBranch: "keep",
}
"""What each record is called; the others are bookkeeping and not shown."""

_UNSAID = {"position", "before", "after", "parent_before", "inode_floor", "time_ns", "id", "layer"}
_OF_SNAPSHOTS = TakeSnapshot | NameSnapshot | DeleteSnapshot | PinSnapshot | UnpinSnapshot
_RENAMED = {"parent": "parent_snapshot"}


def log_line(number: OperationId, operation: Operation) -> bytes:
    """Returns an operation as one line of JSON; nothing for bookkeeping."""
    if isinstance(operation, Reserve | Continue | SealSnapshot):
        return b""
    fields: dict[str, object] = {
        "id": number,
        "time": _time(operation.time_ns),
        "time_ns": operation.time_ns,
        "operation": _name(operation),
    }
    if isinstance(operation, _OF_SNAPSHOTS):
        fields["snapshot"] = operation.id
    counts = isinstance(operation, TakeSnapshot)
    for field, value in asdict(operation).items():
        if field in _UNSAID or (not value and not (counts and isinstance(value, int))):
            continue
        said = _said(value)
        fields[_RENAMED.get(field, field)] = said
    return json_line(fields)


def _said(value: object) -> object:
    if isinstance(value, bytes):
        return quoted(value).decode()
    return [_said(item) for item in value] if isinstance(value, tuple) else value


def _name(operation: Operation) -> str:
    if isinstance(operation, MoveBranch | DropBranch | UndropBranch):
        if operation.redoes:
            return "redo"
        if operation.undoes:
            return "undo"
    return OPERATION_NAMES[type(operation)]


def _time(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
