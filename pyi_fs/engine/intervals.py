"""Touched sets of stretches of journals, kept: a journal is read for them once.

Invariants:
- What a stretch of a journal touches never changes, so any of them may be forgotten; together they
  hold at most `limits.TOUCHED_NAMES_MAX` names and inodes.
- A kept set covers its stretch: it may say more, never less.
"""

from array import array
from collections import OrderedDict
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.ids import InodeNumber, LayerId
from pyi_fs.model.touched import Dentry, Touched
from pyi_fs.store.layers import Layers


class _Stretch(NamedTuple):
    """What is touched up to `stop`.

    Not as sets: there is one for each snapshot, mostly of a dozen files, and two sets of those are
    2.5 KB where this is 0.3.
    """

    stop: int
    inodes: "array[int]"
    names: tuple[Dentry, ...]

    @property
    def size(self) -> int:
        # One more for the entry itself: empty ones take room too.
        return len(self.inodes) + len(self.names) + 1


class Intervals:
    """The touched sets of half-open stretches of layers' journals."""

    def __init__(self, layers: Layers) -> None:
        """Knows none."""
        self._layers = layers
        self._kept: OrderedDict[tuple[LayerId, int], _Stretch] = OrderedDict()
        self._size = 0

    def note(self, layer: LayerId, start: int, stop: int, touched: Touched) -> None:
        """Keeps what is in a set that is known already."""
        # One that takes a quarter of the room would drive everything else out.
        stretch = _Stretch(stop, array("I", touched.inodes), tuple(touched.names))
        if start >= stop or stretch.size > limits.TOUCHED_NAMES_MAX // 4:
            return
        self._forget((layer, start))
        self._kept[layer, start] = stretch
        self._size += stretch.size
        while self._size > limits.TOUCHED_NAMES_MAX:
            self._forget(next(iter(self._kept)))

    def add(self, touched: Touched, layer: LayerId, start: int, stop: int) -> None:
        """Adds what is touched in `[start, stop)`; `start` 0 is the first record of a layer.

        Both are ends of records. `NotFoundError` if there is no such layer.
        """
        place = start or self._layers.start(layer)
        while place < stop:
            found = self._kept.get((layer, place))
            if found is None or found.stop > stop:
                break
            self._kept.move_to_end((layer, place))
            touched.inodes.update(map(InodeNumber, found.inodes))
            touched.names.update(found.names)
            place = found.stop
        if place < stop:
            rest = Touched()
            for _, mutation in self._layers.records(layer, place, stop):
                rest.add(mutation)
            touched.update(rest)
            self.note(layer, place, stop, rest)

    def _forget(self, key: tuple[LayerId, int]) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._size -= found.size
