"""Opening a branch for writing: fold what its layer holds, decide whether that layer may be appended to.

After `kill -9` everything that was written is there: a torn last frame is cut, the layer goes on. After another boot, unsynced data may be
missing under records that are there: such records and all after them are cut (a consistent prefix, not older than the last sync), a `Void`
operation says so, and the branch goes on in a new layer, so that a position that was lost never comes to mean something else.
"""

import time
from typing import NamedTuple

from pyi_fs.engine.history import History
from pyi_fs.errors import StoreError
from pyi_fs.ids import LayerId, Position
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Write
from pyi_fs.model.operation import Void
from pyi_fs.model.refs import BranchRef
from pyi_fs.model.tree import Tree
from pyi_fs.store.journal import read_synced
from pyi_fs.store.layers import Layers
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.storage import Storage


class Recovered(NamedTuple):
    """A branch's present. `resumable`: its layer may be appended to. `records`: folded to get here."""

    tree: Tree
    position: Position
    resumable: bool
    records: int


def recover(
    storage: Storage,
    layers: Layers,
    history: History,
    log: OperationsLog,
    ref: BranchRef,
    boot: str,
) -> Recovered:
    """Returns the present of a branch whose lock the caller holds. `CorruptRecordError` if durable bytes are damaged."""
    if ref.layer is None:
        return Recovered(history.tree(ref.position), ref.position, resumable=False, records=0)
    same_boot = layers.header(ref.layer).boot == boot
    checked_from = None if same_boot else read_synced(storage, ref.layer)
    tree, end, records = _fold(layers, history, ref.layer, checked_from)
    position = Position(ref.layer, end)
    if same_boot:
        return Recovered(tree, position, resumable=True, records=records)
    if any(
        s.position.layer == ref.layer and s.position.offset > end
        for s in log.refs.snapshots.values()
    ):
        log.append(lambda _: Void(time.time_ns(), position.layer, end))
    return Recovered(tree, position, resumable=False, records=records)


def _fold(
    layers: Layers, history: History, layer: LayerId, checked_from: int | None
) -> tuple[Tree, int, int]:
    """Folds a layer to its valid end; from the offset `checked_from` on, records whose data is not there end it too."""
    tree = history.start_tree(layer)
    end = records = 0
    for stop, mutation in layers.records(layer):
        if checked_from is not None and stop > checked_from and type(mutation) is Write:
            try:
                layers.read_scratch(mutation.segment, mutation.source_offset, mutation.length)
            except StoreError:
                break
        tree = apply(tree, mutation)
        end = stop
        records += 1
    return tree, end, records
