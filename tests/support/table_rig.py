"""Lineages with many base tables, and what each root is folded to, for tests of their removal."""

from pyi_fs.engine import garbage
from pyi_fs.engine.collecting import collect as collect_planned
from pyi_fs.engine.history import History
from pyi_fs.engine.references import LayerGraph, all_layers
from pyi_fs.engine.roots import roots_of
from pyi_fs.engine.tables import remove_tables
from pyi_fs.ids import InodeNumber, LayerId, Position
from pyi_fs.model.inode import Inode
from pyi_fs.store import layout
from tests.support.engine_rig import noise
from tests.support.garbage_rig import NOTHING_KEPT, tomorrow
from tests.support.workspaces import Rig

Fold = dict[InodeNumber, tuple[Inode, dict[bytes, InodeNumber]]]


def grow(rig: Rig, tables: int, *, on: str = "main", seed: str = "") -> list[LayerId]:
    """Writes between so many checkpoints, sealed each time; returns the layers of the tables.

    Each file is written once and `changes` each time; a map of each layer is trimmed later.
    """
    made = []
    for number in range(tables):
        rig.make(f"{seed}{on}{number}", noise(6_000, f"{seed}{on}{number}"), on=on)
        if rig.branch(on).tree.lookup(*rig.at("changes", on)) is None:
            rig.make("changes", on=on)
        rig.write("changes", noise(9_000, f"{seed}{on} changes {number}"), on=on)
        rig.seal_all()
        rig.checkpoint(on=on)
        made.append(rig.branch(on).position.layer)
    rig.write("changes", noise(9_000, f"{seed}{on} at last"), on=on)
    rig.branch(on).sync()
    return made


def tables_of(rig: Rig) -> set[LayerId]:
    """Returns the layers that have a base table now."""
    layers = all_layers(rig.storage)
    return {layer for layer in layers if rig.storage.exists(layout.base(layer))}


def folds(rig: Rig) -> dict[Position, Fold]:
    """Returns what each root is folded to, to the extent: which bytes are where."""
    history = History(rig.store.layers)
    found = {}
    for layer, offsets in roots_of(rig.store).all_positions().items():
        for offset in offsets:
            tree = history.tree(Position(layer, offset))
            found[Position(layer, offset)] = {
                number: (tree.existing(number), dict(tree.entries(number)))
                for number in tree.numbers()
            }
    return found


def remove(rig: Rig) -> int:
    """Removes the tables that no fold needs, and nothing else; returns how many."""
    graph = LayerGraph(rig.store)
    return remove_tables(rig.store, roots_of(rig.store).all_positions(), graph, set())[0]


def collect(rig: Rig) -> garbage.Freed:
    """Collects as in two days, but what was looked at is no lease."""
    rig.workspace.leases.close()
    planned = garbage.plan(rig.store, policy=NOTHING_KEPT, clock_ns=tomorrow)
    return collect_planned(rig.store, planned, reason="a test", clock_ns=tomorrow)
