"""Touched sets of stretches of journals, kept: a journal is read for them once.

Invariants:
- What a stretch of a journal touches never changes, so any of them may be forgotten; together they
  hold at most `limits.TOUCHED_NAMES_MAX` names and inodes.
- A kept set covers its stretch: it may say more, never less.
"""

from collections import OrderedDict

from pyi_fs import limits
from pyi_fs.ids import LayerId
from pyi_fs.model.touched import Touched
from pyi_fs.store.layers import Layers


class Intervals:
    """The touched sets of half-open stretches of layers' journals."""

    def __init__(self, layers: Layers) -> None:
        """Knows none."""
        self._layers = layers
        self._kept: OrderedDict[tuple[LayerId, int], tuple[int, Touched]] = OrderedDict()
        self._size = 0

    def note(self, layer: LayerId, start: int, stop: int, touched: Touched) -> None:
        """Keeps a set that is known already and that nobody changes any more."""
        # One that takes a quarter of the room would drive everything else out.
        if start >= stop or _size(touched) > limits.TOUCHED_NAMES_MAX // 4:
            return
        self._forget((layer, start))
        self._kept[layer, start] = stop, touched
        self._size += _size(touched)
        while self._size > limits.TOUCHED_NAMES_MAX:
            self._forget(next(iter(self._kept)))

    def add(self, touched: Touched, layer: LayerId, start: int, stop: int) -> None:
        """Adds what is touched in `[start, stop)`; `start` 0 is the first record of a layer.

        Both are ends of records. `NotFoundError` if there is no such layer.
        """
        place = start or self._layers.start(layer)
        while place < stop:
            found = self._kept.get((layer, place))
            if found is None or found[0] > stop:
                break
            self._kept.move_to_end((layer, place))
            touched.update(found[1])
            place = found[0]
        if place < stop:
            rest = Touched()
            for _, mutation in self._layers.records(layer, place, stop):
                rest.add(mutation)
            touched.update(rest)
            self.note(layer, place, stop, rest)

    def _forget(self, key: tuple[LayerId, int]) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._size -= _size(found[1])


def _size(touched: Touched) -> int:
    # One more for the entry itself: empty sets take room too.
    return len(touched.inodes) + len(touched.names) + 1
