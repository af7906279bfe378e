"""What was closed before it was synced, and has to be synced all the same.

A restore leaves layers behind and a drop leaves a branch: `undo` comes back to both, and what it
finds after a power loss is promised like anything else (`docs/durability.md`, rule 4).

Invariants:
- Lenders and parents are synced first: what is synced must never stand on something that a power
  loss can take away.
- What failed is still noted and is tried again by the next sync.
- Bounded by layers: of each the furthest position is noted, nothing else.
- `sync` and `forget` may run in a thread while the owner notes more.
"""

from collections.abc import Iterable
from threading import Lock
from typing import NamedTuple, Protocol

from pyi_fs.ids import LayerId, Position


class LayerSyncs(Protocol):
    """How layers become durable."""

    def sync_position(self, position: Position) -> None:
        """Makes a position durable, with all it needs. BLOCKS."""

    def sync_lender(self, layer: LayerId) -> None:
        """Makes a layer durable that bytes came from. BLOCKS."""

    def is_gone(self, layer: LayerId) -> bool:
        """Returns whether a layer was collected: nobody can come back to it."""


class Durable(NamedTuple):
    """What a sync has made durable: layers as far as they went, ends of layers."""

    lenders: frozenset[LayerId]
    ends: dict[LayerId, int]


class Leftovers:
    """Positions in closed layers, and layers whose bytes are used elsewhere."""

    def __init__(self) -> None:
        """Notes nothing yet."""
        self._ends: dict[LayerId, int] = {}
        self._lenders: set[LayerId] = set()
        self._lock = Lock()

    @property
    def has_closed(self) -> bool:
        """Returns whether some closed layer is not durable."""
        return bool(self._ends)

    def add_closed(self, position: Position) -> None:
        """Notes a layer that was closed at a position before that was synced."""
        with self._lock:
            self._ends[position.layer] = max(position.offset, self._ends.get(position.layer, 0))

    def add_lenders(self, layers: Iterable[LayerId]) -> None:
        """Notes layers that bytes were brought from."""
        with self._lock:
            self._lenders.update(layers)

    def hand_over(self, other: "Leftovers") -> None:
        """Moves all of it to another; nobody is syncing it."""
        for layer, offset in self._ends.items():
            other.add_closed(Position(layer, offset))
        other.add_lenders(self._lenders)
        self._ends.clear()
        self._lenders.clear()

    def sync(self, services: LayerSyncs) -> Durable:
        """Makes it durable; returns what now is, to be forgotten when the caller is done.

        BLOCKS: in a thread, one at a time.
        """
        with self._lock:
            done = Durable(frozenset(self._lenders), dict(self._ends))
        for layer in sorted(done.lenders):
            if not services.is_gone(layer):
                services.sync_lender(layer)
        for layer, offset in done.ends.items():
            if not services.is_gone(layer):
                services.sync_position(Position(layer, offset))
        return done

    def forget(self, done: Durable) -> None:
        """Forgets what is durable; a layer that was closed again further on stays."""
        with self._lock:
            self._lenders -= done.lenders
            for layer, offset in done.ends.items():
                if self._ends.get(layer, -1) <= offset:
                    self._ends.pop(layer, None)
