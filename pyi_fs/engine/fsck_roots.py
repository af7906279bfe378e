"""What the logs of a store promise: every position that must fold, and what people call it.

Part of `engine/fsck.py`.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.engine.findings import Report
from pyi_fs.engine.salvage import records_behind
from pyi_fs.format.record import decode_operation, frames, tail_after_power_loss
from pyi_fs.ids import BranchName, LayerId, Position, SnapshotId, TreeObjectId, WorkspaceName
from pyi_fs.model.operation import (
    Begin,
    Continue,
    KeepBranch,
    MakeBranch,
    MoveBranch,
    Operation,
    RestorePath,
    TakeSnapshot,
    Void,
)
from pyi_fs.model.refs import BranchRef, Refs, Snapshot
from pyi_fs.model.refs_fold import fold_operation
from pyi_fs.store import layout
from pyi_fs.store.log_note import LOG_SEED, read_log_synced
from pyi_fs.store.storage import Storage


class Promised(NamedTuple):
    """What the logs promise.

    Positions that fold, and content roots with the snapshots they are of.
    """

    roots: list["Root"]
    contents: dict[TreeObjectId, list[str]]


class Root(NamedTuple):
    """A position that must fold.

    `offset` None: the end of the layer, which a writer may be moving. `ephemeral`: the branch that
    had it in memory, where it may be lost; empty if it may not.
    """

    label: str
    layer: LayerId
    offset: int | None
    ephemeral: str = ""


class _InMemory:
    """What ephemeral branches wrote, and who relies on it no more than they do."""

    def __init__(self) -> None:
        self.layers: dict[LayerId, BranchName] = {}
        self.operations: set[int] = set()
        self.snapshots: set[SnapshotId] = set()

    def fold(self, number: int, operation: Operation, refs: Refs) -> None:
        """Looks at an operation, and at the refs after it."""
        match operation:
            case KeepBranch():
                kept = operation.branch
                self.layers = {key: name for key, name in self.layers.items() if name != kept}
            case Continue() if refs.branches[operation.branch].ephemeral:
                self.layers[operation.layer] = operation.branch
            case TakeSnapshot() if refs.branches[operation.branch].ephemeral:
                self.snapshots.add(operation.id)
            case MoveBranch() | RestorePath() | MakeBranch():
                if refs.branches[operation.branch].ephemeral:
                    self.operations.add(number)
            case _:
                pass

    def of_operation(self, number: int, position: Position) -> str:
        """Returns the ephemeral branch that had a position of an operation in memory, or ""."""
        return self.layers.get(position.layer, "") if number in self.operations else ""

    def of_snapshot(self, snapshot: Snapshot) -> str:
        """Returns the ephemeral branch that had a snapshot in memory, or ""."""
        if snapshot.name or snapshot.pinned or snapshot.id not in self.snapshots:
            return ""
        return self.layers.get(snapshot.position.layer, "")

    def of_branch(self, ref: BranchRef, layer: LayerId) -> str:
        """Returns the ephemeral branch that had the end or start of a branch in memory, or ""."""
        return self.layers.get(layer, "") if ref.ephemeral else ""


def promised_by_logs(storage: Storage, report: Report) -> Promised:
    """Returns what the logs of all workspaces promise; damage of them is reported."""
    found = Promised([], {})
    for name in storage.list(layout.WORKSPACES):
        path = layout.operations_log(WorkspaceName(name))
        report.looking_at(path)
        with report.examining("log", path):
            operations = _operations(storage, WorkspaceName(name), report)
            refs, in_memory = Refs(), _InMemory()
            for number, operation in enumerate(operations, 1):
                refs = fold_operation(refs, operation)
                in_memory.fold(number, operation, refs)
            found.roots.extend(_roots(WorkspaceName(name), refs, operations, in_memory))
            for snapshot in refs.snapshots.values():
                if snapshot.root is not None:
                    found.contents.setdefault(snapshot.root, []).append(f"{name}@{snapshot.id}")
    return found


def _operations(storage: Storage, workspace: WorkspaceName, report: Report) -> list[Operation]:
    path = layout.operations_log(workspace)
    try:
        data = storage.read(path)
        end, operations = _valid(data)
        if end < len(data):
            # A writer may have been in the middle of it.
            data = storage.read(path)
            end, operations = _valid(data)
    except FileNotFoundError:
        synced = read_log_synced(storage, workspace)
        if synced:
            report.add("error", "log", path, f"the log is gone (it was synced to {synced})")
        else:
            report.add("note", "log", path, "no log: a workspace half made or half removed")
        return []
    synced = read_log_synced(storage, workspace)
    tail = tail_after_power_loss(data, end)
    text = f"records stop being valid at {end} of {len(data)} (synced to {synced})"
    if end < synced or (tail == "damage" and any(records_behind(data, end))):
        report.add("error", "log", path, text)
    elif not data or (end == 0 and tail == "torn"):
        report.add("note", "log", path, "an empty log: a workspace half made")
    elif tail == "torn":
        report.add("note", "log", path, f"a torn record at {end}, cut off by the next writer")
    elif tail == "damage":
        text += ": as far as is known never synced; the next writer cuts it off"
        report.add("warning", "log", path, text)
    return operations


def _valid(data: bytes) -> tuple[int, list[Operation]]:
    end, operations = 0, []
    for stop, payload in frames(data, LOG_SEED):
        operations.append(decode_operation(payload))
        end = stop
    return end, operations


def _roots(
    name: WorkspaceName, refs: Refs, operations: list[Operation], in_memory: _InMemory
) -> Iterator[Root]:
    # As `engine/roots.py`, which keeps it a little longer.
    now_ns = time.time_ns()
    window_ns = limits.UNDO_WINDOW_SECONDS * 1_000_000_000
    since_ns = max(now_ns - window_ns, refs.undo_closed_ns + 1)
    void: dict[LayerId, int] = {}
    named: list[Root] = []
    for index, operation in enumerate(operations, 1):
        if isinstance(operation, Void):
            void[operation.layer] = operation.offset
        for place in _places(operation, since_ns):
            ephemeral = in_memory.of_operation(index, place)
            named.append(Root(f"{name}: operation {index}", *place, ephemeral))
    named += [
        Root(f"{name}@{one.id}", *one.position, in_memory.of_snapshot(one))
        for one in refs.snapshots.values()
    ]
    for branch in refs.branches.values():
        memory_ns = limits.EPHEMERAL_UNDO_SECONDS * 1_000_000_000 if branch.ephemeral else window_ns
        if branch.dropped and branch.dropped_ns < max(since_ns, now_ns - memory_ns):
            continue
        label = f"{name}/{branch.name}" + (" (dropped)" if branch.dropped else "")
        layer, offset = (branch.layer, None) if branch.layer is not None else branch.position
        root = Root(label, layer, offset, in_memory.of_branch(branch, layer))
        if offset is None:
            yield root
        else:
            named.append(root)
    for root in named:
        if root.offset is not None and root.offset <= void.get(root.layer, root.offset):
            yield root


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
