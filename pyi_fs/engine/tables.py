"""Base tables that no fold begins with any more: which those are, and removing them.

A fold begins with the first base table on the way up from its layer. So of the tables of a lineage
the last one counts, and one more: what `pyi-fsck --repair` makes a damaged one of, and what was the
last one for who folded before that was written (`Folds`). A table stays if it is among the first
`limits.TABLES_KEPT` on the way up from a layer in which a root lies (`engine/roots.py`), or from
one that no root needs and that is there all the same: somebody may be making it. It stays if its
layer has no parent (there is nothing it is a fold of), and where nobody can say what is needed
(`engine/held.py`).

Invariants:
- A root's tree is folded from the same table before and after, so it is the same to the extent:
  seal maps are trimmed to what these trees reach (`Folds`), and an older table, with the journals
  after it, may name bytes that a map has no more.
- What comes to be a root later lies in a layer of one, or in one that began there: its fold begins
  with the same table, or with a newer one.
- The tables that folds begin with are durable, and the roots, before another one goes: a power loss
  brings back no root that needs it. It is gone durably before chunks go that only it named.
- Who has it open keeps what was mapped; who has just passed the place of a newer one, which was not
  there yet, looks again (`History.tree`).

Source: `docs/decisions/0012-base-tables.md`.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.engine.history import History
from pyi_fs.engine.references import LayerGraph, all_layers
from pyi_fs.engine.sealing import sync_roots
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError, StoreError
from pyi_fs.ids import LayerId
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage


class TableStep(NamedTuple):
    """A base table that can go."""

    layer: LayerId
    size_bytes: int

    def __str__(self) -> str:
        """Returns one line for people."""
        return f"remove table {layout.base(self.layer)}: {self.size_bytes} bytes, no fold needs it"


class Beginnings:
    """Which tables folds begin with. Looks at each layer once, and at headers only."""

    def __init__(self, store: Store) -> None:
        """Looks at nothing yet."""
        self._store = store
        self._known: dict[LayerId, tuple[LayerId, ...]] = {}

    def of(self, layer: LayerId) -> tuple[LayerId, ...]:
        """Returns the layers whose tables are needed to fold positions of a layer, nearest first.

        None where the way up ends without a table, or cannot be read.
        """
        way: list[LayerId] = []
        step: LayerId | None = layer
        # Layers that begin with each other have no tree (`store/layer_sync.py`).
        while step is not None and step not in self._known and step not in way:
            way.append(step)
            step = self._parent(step)
        found = self._known.get(step, ()) if step is not None else ()
        for passed in reversed(way):
            if self._store.storage.exists(layout.base(passed)):
                found = (passed, *found)[: limits.TABLES_KEPT]
            self._known[passed] = found
        return self._known[layer]

    def can_go(self, layer: LayerId) -> bool:
        """Returns whether a layer has a table, and a parent that it is a fold of."""
        has_table = self._store.storage.exists(layout.base(layer))
        return has_table and self._parent(layer) is not None

    def _parent(self, layer: LayerId) -> LayerId | None:
        try:
            parent = self._store.layers.header(layer).parent
        except (NotFoundError, StoreError):
            return None
        return LayerId(parent[0]) if parent is not None else None


class Folds:
    """All ways in which somebody may have folded a position, or may have to.

    From the first table on the way up, and from what comes after that: a process has folded it when
    the first one was still being written, and goes on with that tree; or the first is damaged, and
    made anew. Seal maps keep what either way reaches. A process is behind by more for a moment only
    (`checkpointing.put_under`).
    """

    def __init__(self, store: Store) -> None:
        """Looks at nothing yet."""
        self._beginnings = Beginnings(store)
        self._layers = store.layers
        self._first = History(store.layers)
        self._second: tuple[LayerId, History] | None = None

    def of(self, layer: LayerId) -> Iterator[History]:
        """Yields who folds positions of a layer in each of these ways."""
        yield self._first
        for first in self._beginnings.of(layer)[:1]:
            if not self._beginnings.can_go(first):
                continue
            if self._second is None or self._second[0] != first:
                self._second = first, History(self._layers, passing={first})
            yield self._second[1]


class _Sorted(NamedTuple):
    """The tables of a store: those that stay for roots, and those that go."""

    kept: frozenset[LayerId]
    steps: tuple[TableStep, ...]


def unneeded_tables(
    store: Store,
    positions: Collection[LayerId],
    graph: LayerGraph,
    blocked: Collection[LayerId] = (),
    gone: Collection[LayerId] = (),
) -> tuple[TableStep, ...]:
    """Returns the tables that can go if just the positions of these layers are to be folded.

    `blocked`: layers that stay as they are; `gone`: those that go anyway. O(layers) besides what
    `graph` was asked before.
    """
    return _sorted(store, positions, graph, blocked, gone).steps


def remove_tables(
    store: Store, positions: dict[LayerId, set[int]], graph: LayerGraph, blocked: set[LayerId]
) -> tuple[int, int]:
    """Removes what is not needed; returns how many tables, and the bytes given back. Durable.

    The rest as `unneeded_tables`. The caller holds `gc.lock`.
    """
    found = _sorted(store, positions, graph, blocked, ())
    if not found.steps:
        return 0, 0
    sync_roots(store, positions)
    _sync_directories(store.storage, found.kept)
    count = freed_bytes = 0
    for layer, _ in found.steps:
        path = layout.base(layer)
        # Purged or collected with its workspace meanwhile: what is there now counts.
        freed_bytes += store.storage.disk.allocated_bytes(path)
        store.storage.remove(path)
        store.layers.forget_table(layer)
        count += 1
    _sync_directories(store.storage, (layer for layer, _ in found.steps))
    return count, freed_bytes


def _sorted(
    store: Store,
    positions: Collection[LayerId],
    graph: LayerGraph,
    blocked: Collection[LayerId],
    gone: Collection[LayerId],
) -> _Sorted:
    beginnings = Beginnings(store)
    reached = graph.reach(positions, partly=True)
    # Made a moment ago, or waiting to go: what is folded there nobody knows.
    others = set(all_layers(store.storage)).difference(reached, gone)
    kept = {table for layer in (*positions, *others) for table in beginnings.of(layer)}
    steps = tuple(
        TableStep(layer, store.storage.disk.allocated_bytes(layout.base(layer)))
        for layer in sorted(reached.difference(kept, blocked, gone))
        if beginnings.can_go(layer)
    )
    return _Sorted(frozenset(kept), steps)


def _sync_directories(storage: Storage, layers: Iterable[LayerId]) -> None:
    for layer in sorted(layers):
        # Removed meanwhile, with its workspace.
        with suppress(FileNotFoundError):
            storage.sync_directory(layout.layer_directory(layer))
