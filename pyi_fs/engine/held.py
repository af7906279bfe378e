"""What must stay as it is, since nobody can say what of it is needed. Reads only.

Of a workspace of which something needed cannot be read (its log, a layer it can come back to),
every layer counts, and whatever they name: none is removed, no byte of them is given back. So does
what a fork has pinned that is on its way: where it starts is not yet in any log.

Layers of a workspace are those whose header says so, those its log ever named as far as it can be
read, and those it has pinned.
"""

from collections.abc import Collection

from pyi_fs.engine.references import LayerGraph
from pyi_fs.engine.roots import Roots
from pyi_fs.engine.salvage import salvaged
from pyi_fs.engine.store import Store
from pyi_fs.engine.unlogged import Guard, header_of, read_pins
from pyi_fs.errors import StoreError
from pyi_fs.ids import LayerId, WorkspaceName
from pyi_fs.model.operation import Begin, Continue, MakeBranch, MoveBranch, RestorePath
from pyi_fs.model.operation import TakeSnapshot as Take


def readable(roots: Roots, graph: LayerGraph) -> Roots:
    """Returns the roots; workspaces that need a layer which cannot be read are held, too."""
    positions, held = dict(roots.positions), dict(roots.held)
    for name, layers in roots.positions.items():
        try:
            graph.reach(layers)
        except StoreError as error:
            del positions[name]
            held[name] = str(error)
    leased = dict(roots.leased)
    stuck: set[LayerId] = set()
    for layer in roots.leased:
        try:
            graph.reach([layer])
        except StoreError:
            del leased[layer]
            stuck.add(layer)
    return Roots(positions, held, leased, frozenset(stuck))


def frozen(
    store: Store, roots: Roots, graph: LayerGraph, listed: Collection[LayerId], now_ns: int
) -> set[LayerId]:
    """Returns the layers of held workspaces and of forks on their way, with all they name."""
    guard = Guard(store, frozenset(), now_ns)
    found = {layer for layer in listed if guard.is_being_forked(layer)} | roots.stuck
    for name in roots.held:
        found |= named_by_damaged(store, name, listed)
    return graph.reach(found, partly=True)


def named_by_damaged(
    store: Store, name: WorkspaceName, listed: Collection[LayerId]
) -> set[LayerId]:
    """Returns the layers of a workspace whose log cannot be read: those of `listed`, and logged."""
    return {layer for layer in listed if _is_of(store, layer, name)} | _logged(store, name)


def _is_of(store: Store, layer: LayerId, name: WorkspaceName) -> bool:
    header = header_of(store, layer)
    if header is not None and header.workspace == name:
        return True
    pins = read_pins(store.storage, layer).splitlines()
    return any(line.partition(" ")[0] == name for line in pins)


def _logged(store: Store, name: WorkspaceName) -> set[LayerId]:
    found: set[LayerId] = set()
    for operation in salvaged(store.storage, name).operations:
        match operation:
            case Continue():
                found.add(operation.layer)
            case Begin() | MakeBranch() | Take():
                found.add(LayerId(operation.position[0]))
            case MoveBranch():
                found.update((LayerId(operation.before[0]), LayerId(operation.after[0])))
            case RestorePath():
                found.add(LayerId(operation.before[0]))
            case _:
                pass
    return found
