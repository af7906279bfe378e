"""What the logs of a store promise: every position that must fold, and what people call it.

Part of `engine/fsck.py`.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.engine.findings import Report
from pyi_fs.format.record import decode_operation, frames
from pyi_fs.ids import LayerId, Position, TreeObjectId, WorkspaceName
from pyi_fs.model.operation import Begin, MakeBranch, MoveBranch, Operation, RestorePath, Void
from pyi_fs.model.refs import Refs
from pyi_fs.model.refs_fold import fold_operation
from pyi_fs.store import layout
from pyi_fs.store.oplog import LOG_SEED
from pyi_fs.store.storage import Storage


class Promised(NamedTuple):
    """What the logs promise.

    Positions that fold, and content roots with the snapshots they are of.
    """

    roots: list["Root"]
    contents: dict[TreeObjectId, list[str]]


class Root(NamedTuple):
    """A position that must fold.

    `offset` None: the end of the layer, which a writer may be moving.
    """

    label: str
    layer: LayerId
    offset: int | None


def tail_of(data: bytes, end: int) -> str:
    """Returns what follows the last valid frame, which ends at `end`.

    `nothing`, a `torn` frame that is longer than the file, or `damage`.
    """
    if end == len(data):
        return "nothing"
    rest = len(data) - end
    is_torn = rest < 8 or 8 + int.from_bytes(data[end : end + 4], "little") > rest
    return "torn" if is_torn else "damage"


def promised_by_logs(storage: Storage, report: Report) -> Promised:
    """Returns what the logs of all workspaces promise; damage of them is reported."""
    found = Promised([], {})
    for name in storage.list(layout.WORKSPACES):
        path = layout.operations_log(WorkspaceName(name))
        report.looking_at(path)
        with report.examining("log", path):
            operations = _operations(storage, path, report)
            refs = Refs()
            for operation in operations:
                refs = fold_operation(refs, operation)
            found.roots.extend(_roots(WorkspaceName(name), refs, operations))
            for snapshot in refs.snapshots.values():
                if snapshot.root is not None:
                    found.contents.setdefault(snapshot.root, []).append(f"{name}@{snapshot.id}")
    return found


def _operations(storage: Storage, path: str, report: Report) -> list[Operation]:
    try:
        data = storage.read(path)
        end, operations = _valid(data)
        if end < len(data):
            # A writer may have been in the middle of it.
            data = storage.read(path)
            end, operations = _valid(data)
    except FileNotFoundError:
        report.add("note", "log", path, "no log: a workspace half made or half removed")
        return []
    tail = tail_of(data, end)
    if not data or (end == 0 and tail == "torn"):
        report.add("note", "log", path, "an empty log: a workspace half made")
    elif tail == "torn":
        report.add("note", "log", path, f"a torn record at {end}, cut off by the next writer")
    elif tail == "damage":
        report.add("error", "log", path, f"records stop being valid at {end} of {len(data)}")
    return operations


def _valid(data: bytes) -> tuple[int, list[Operation]]:
    end, operations = 0, []
    for stop, payload in frames(data, LOG_SEED):
        operations.append(decode_operation(payload))
        end = stop
    return end, operations


def _roots(name: WorkspaceName, refs: Refs, operations: list[Operation]) -> Iterator[Root]:
    # As `engine/roots.py`, which keeps it a little longer.
    window_ns = limits.UNDO_WINDOW_SECONDS * 1_000_000_000
    since_ns = max(time.time_ns() - window_ns, refs.undo_closed_ns + 1)
    void: dict[LayerId, int] = {}
    named: list[tuple[str, Position]] = []
    for index, operation in enumerate(operations, 1):
        if isinstance(operation, Void):
            void[operation.layer] = operation.offset
        named += [(f"{name}: operation {index}", place) for place in _places(operation, since_ns)]
    named += [(f"{name}@{one.id}", one.position) for one in refs.snapshots.values()]
    for branch in refs.branches.values():
        if branch.dropped and branch.dropped_ns < since_ns:
            continue
        label = f"{name}/{branch.name}" + (" (dropped)" if branch.dropped else "")
        if branch.layer is not None:
            yield Root(label, branch.layer, None)
        else:
            named.append((label, branch.position))
    for label, position in named:
        if position.offset <= void.get(position.layer, position.offset):
            yield Root(label, position.layer, position.offset)


def _places(operation: Operation, since_ns: int) -> list[Position]:
    """Returns where `undo` may want to come back to."""
    match operation:
        case Begin() | MakeBranch() | MoveBranch() | RestorePath() if operation.time_ns < since_ns:
            return []
        case Begin() | MakeBranch():
            return [Position(*operation.position)]
        case MoveBranch():
            return [Position(*operation.before), Position(*operation.after)]
        case RestorePath():
            return [Position(*operation.before)]
        case _:
            return []
