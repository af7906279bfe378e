"""Opening a branch for writing.

Fold what its layer holds, decide whether that layer may be appended to.

After `kill -9` everything that was written is there: a torn last frame is cut, the layer goes on.
After another boot the branch is at the newest position that survived (`store/survival.py`), a
`Void` operation says which snapshots did not, and the branch goes on in a new layer, so that a
position that was lost never comes to mean something else.
"""

import time
from functools import partial
from typing import NamedTuple

from pyi_fs.engine.history import History, folded
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import BranchName, LayerId, Position, layer_name
from pyi_fs.model.mutation import Graft, Mutation, Share
from pyi_fs.model.operation import (
    Begin,
    Continue,
    MakeBranch,
    MoveBranch,
    Operation,
    Void,
)
from pyi_fs.model.refs import BranchRef, Refs, Snapshot
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree
from pyi_fs.store.journal import last_boundary, read_synced
from pyi_fs.store.layers import Layers
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.survival import Survival


class Recovered(NamedTuple):
    """A branch's present. `resumable`: its layer may be appended to. `records`: folded to get here.

    `unsynced`: those that may bring bytes along.
    """

    tree: Tree
    position: Position
    resumable: bool
    records: int
    unsynced: tuple[Mutation, ...] = ()


def recover(layers: Layers, history: History, log: OperationsLog, ref: BranchRef) -> Recovered:
    """Returns the present of a branch whose lock the caller holds.

    `CorruptRecordError` if durable bytes are damaged.
    """
    position = present(history, log, ref)
    # Memory can be lost without a boot: whichever branch is opened first finds out.
    _void_lost_snapshots(history, log, only_ephemeral=True)
    if ref.layer is not None and history.survival.end(ref.layer) is None:
        return _folded(layers, history, ref.layer, log.refs.nearest(ref.last))
    _void_lost_snapshots(history, log)
    return Recovered(history.tree(position), position, resumable=False, records=0)


def present(history: History, log: OperationsLog, ref: BranchRef) -> Position:
    """Returns the position of a branch's present.

    A cut at a whole record, also while another process writes it.
    """
    survival = history.survival
    position = ref.position
    if ref.layer is not None:
        end = survival.end(ref.layer)
        if end is None:
            end = last_boundary(history.layers.storage, ref.layer)
        position = Position(ref.layer, end)
    if position.offset and not survival.is_lost(position):
        return position
    return _Logged(log, survival).place(ref.name)


def nearest(history: History, log: OperationsLog, position: Position) -> Position:
    """Returns a position, or the last before it that a power loss left.

    `NotFoundError` if none is known.
    """
    if not history.survival.is_lost(position):
        return position
    return _Logged(log, history.survival).nearest(position)


class _Logged:
    """What a log tells of layers and branches, after a power loss took some of what it names.

    A move to a position that is lost did not happen: the branch is where it was. A layer whose
    header is lost began where its branch was.
    """

    def __init__(self, log: OperationsLog, survival: Survival) -> None:
        self._survival = survival
        self._places: dict[BranchName, Position] = {}
        self._parents: dict[LayerId, Position] = {}
        for _, operation in log.operations():
            self._fold(operation)

    def _fold(self, operation: Operation) -> None:
        match operation:
            case Begin() | MakeBranch():
                self._places[operation.branch] = Position(*operation.position)
            case MoveBranch() if not self._survival.is_lost(Position(*operation.after)):
                self._places[operation.branch] = Position(*operation.after)
            case Continue():
                self._parents[operation.layer] = self._places[operation.branch]
                end = self._survival.end(operation.layer)
                if end:
                    self._places[operation.branch] = Position(operation.layer, end)
            case _:
                pass

    def place(self, branch: BranchName) -> Position:
        """Returns the newest position of a branch that is left."""
        return self.nearest(self._places[branch])

    def nearest(self, position: Position) -> Position:
        while self._survival.is_lost(position):
            end = self._survival.end(position.layer)
            if end:
                return Position(position.layer, end)
            layer = position.layer
            found = self._survival.parent(layer) or self._parents.get(layer)
            if found is None:
                raise NotFoundError(f"layer {layer_name(layer)} was lost to a power loss")
            position = found
        return position


def _void_lost_snapshots(
    history: History, log: OperationsLog, *, only_ephemeral: bool = False
) -> None:
    branches = log.refs.branches
    lost = {
        snapshot.position.layer
        for snapshot in log.refs.snapshots.values()
        if (not only_ephemeral or branches[snapshot.branch].ephemeral)
        and history.survival.is_lost(snapshot.position)
    }
    for layer in sorted(lost):
        end = history.survival.end(layer)
        assert end is not None
        log.append(partial(_void, layer, end))


def _void(layer: LayerId, end: int, _: Refs) -> Operation:
    return Void(time.time_ns(), layer, end)


def _folded(layers: Layers, history: History, layer: LayerId, last: Snapshot | None) -> Recovered:
    """Returns what a layer holds, read once: the history learns the tree of `last` on the way.

    And what was touched since. (70,000 writes, a snapshot near their end: 0.49 s; once more for the
    snapshot, as it was, 0.96 s.)
    """
    tree, end, records = history.start_tree(layer), layers.start(layer), 0
    synced = read_synced(layers.storage, layer)
    unsynced: list[Mutation] = []
    is_here = last is not None and last.position.layer == layer
    marked = last.position.offset if last is not None and is_here else end
    touched = Touched()
    for offset, mutation in layers.records(layer):
        if end >= marked:
            touched.add(mutation)
        tree, end = folded(layer, tree, offset, mutation), offset
        if end == marked:
            history.remember(Position(layer, end), tree)
        records += 1
        if end > synced and isinstance(mutation, Graft | Share):
            unsynced.append(mutation)
    if marked <= end:
        history.note_touched(Position(layer, marked), Position(layer, end), touched)
    return Recovered(tree, Position(layer, end), True, records, tuple(unsynced))
