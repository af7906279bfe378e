"""Writing a base table.

The fold of a position as mapped bytes, so that opening and memory stay small.

The branch has rolled to a new layer first; the table is that layer's base, a cache of a fold, and
can be deleted at any time as long as the parent layers are there. Runs in a worker process; touches
no running branch.
"""

from pyi_fs import limits
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.history import History
from pyi_fs.engine.sealing import resolved
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.format.table_merge import encode_tree
from pyi_fs.ids import LayerId, Position
from pyi_fs.model.tree import Base, Tree
from pyi_fs.store import layout


def is_due(branch: Branch) -> bool:
    """Returns whether opening would fold too much, or the overlay is a large part of its base."""
    records = branch.records_since_base
    worth = branch.tree.base.inode_count // limits.FOLD_RECORD_INODES
    if records >= min(max(worth, limits.FOLD_RECORDS_MIN), limits.FOLD_RECORDS_MAX):
        return True
    changed = len(branch.tree.inodes)
    return (
        records >= limits.CHECKPOINT_INODES_MIN
        and changed >= limits.CHECKPOINT_INODES_MIN
        and changed >= branch.tree.base.inode_count * limits.CHECKPOINT_FRACTION
    )


def write_base(store: Store, layer: LayerId, position: Position) -> None:
    """Writes the base table of a layer whose parent is `position`; durable on return.

    The position's layer must be synced.
    """
    tree = History(store.layers).tree(position)
    # The table names chunks that maps name: until it is there, what it names has to stay.
    with store.chunks.in_use():
        parts = list(encode_tree(tree, lambda extents: resolved(store, extents)))
        store.storage.write_atomic(layout.base(layer), parts)


def put_under(workspace: Workspace, frozen: Tree, base: Base) -> None:
    """Puts an equal table in the place of a frozen tree, for all that this process has over it.

    Branches that began from it meanwhile, too, and trees that are kept: they would be as far behind
    as the frozen one is, and one table more (`engine/tables.py`).
    """
    for branch in workspace.opened_branches():
        branch.rebase(frozen, base)
    workspace.history.forget_over(frozen)
