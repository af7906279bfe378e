"""Everything in a store that must be kept.

The positions that some workspace can still come back to.

Roots are snapshots, presents and starts of branches (dropped ones too), both ends of every move
that `undo` knows, and pins of forks. Reads only.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress

from pyi_fs.engine.history import History
from pyi_fs.engine.recovery import nearest
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import LayerId, Position, WorkspaceName
from pyi_fs.model.operation import Begin, Continue, MakeBranch, MoveBranch, RestorePath
from pyi_fs.store.journal import last_boundary
from pyi_fs.store.oplog import OperationsLog


def positions_of(store: Store, workspace: WorkspaceName) -> Iterator[Position]:
    """Yields the positions a workspace can come back to.

    Those in its log, and the present end of every layer it wrote.
    """
    log = OperationsLog(store.storage, workspace)
    history = History(store.layers)
    try:
        for position in _positions(log, history):
            # What a power loss took cannot be come back to.
            if not history.survival.is_lost(position):
                yield position
    finally:
        log.close()


def _positions(log: OperationsLog, history: History) -> Iterator[Position]:
    for snapshot in log.refs.snapshots.values():
        yield snapshot.position
    for _, operation in log.operations():
        match operation:
            case Begin() | MakeBranch():
                # Should a power loss have taken it, the branch begins at what is left.
                with suppress(NotFoundError):
                    yield nearest(history, log, Position(*operation.position))
            case MoveBranch():
                yield Position(*operation.before)
                yield Position(*operation.after)
            case RestorePath():
                yield Position(*operation.before)
            case Continue():
                with suppress(FileNotFoundError):
                    end = history.survival.end(operation.layer)
                    if end is None:
                        end = last_boundary(history.layers.storage, operation.layer)
                    yield Position(operation.layer, end)


def kept_positions(store: Store) -> dict[LayerId, set[int]]:
    """Returns the offsets of each layer that a root lies at, of all workspaces."""
    found: dict[LayerId, set[int]] = defaultdict(set)
    for workspace in store.workspace_names():
        try:
            for position in positions_of(store, workspace):
                found[position.layer].add(position.offset)
        except NotFoundError:
            # Removed meanwhile: it keeps nothing.
            continue
    return found


def kept_layers(store: Store) -> set[LayerId]:
    """Returns every layer that some root's lineage goes through."""
    kept: set[LayerId] = set()
    for layer in kept_positions(store):
        step: LayerId | None = layer
        while step is not None and step not in kept:
            try:
                parent = store.layers.header(step).parent
            except NotFoundError:
                break
            kept.add(step)
            step = parent.layer if parent is not None else None
    return kept


def descendants(store: Store, layers: set[LayerId], roots: set[LayerId]) -> set[LayerId]:
    """Returns those of the root layers whose lineage goes through one of `layers`."""
    through: dict[LayerId, bool] = dict.fromkeys(layers, True)

    def passes(layer: LayerId) -> bool:
        way = []
        step: LayerId | None = layer
        while step is not None and step not in through:
            way.append(step)
            try:
                parent = store.layers.header(step).parent
            except NotFoundError:
                parent = None
            step = parent.layer if parent is not None else None
        answer = through[step] if step is not None else False
        through.update(dict.fromkeys(way, answer))
        return answer

    return {layer for layer in roots if passes(layer)}
