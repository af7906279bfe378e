"""Trees and touched sets of positions: everything that folding journals can answer.

Reads only; takes no lock.

Invariants:
- The tree of a position never changes, so folded trees are kept (`limits.FOLDED_TREES_MAX`) and any
  of them may be forgotten. A fold begins at the nearest one before: looking at one snapshot after
  the other costs the records between them, not each time those since the layer began.
- A touched set between two positions covers their difference; where the lineage is no longer in the
  store the answer is None: everything.
"""

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.engine.intervals import Intervals
from pyi_fs.errors import CorruptRecordError, CorruptTreeError, NotFoundError
from pyi_fs.format.record import LayerHeader
from pyi_fs.ids import InodeNumber, LayerId, Position, layer_name
from pyi_fs.model.fold import fold
from pyi_fs.model.mutation import Mutation
from pyi_fs.model.superseded import with_other_bytes
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Base, Tree, over, root_only
from pyi_fs.store import layout
from pyi_fs.store.layer_sync import pass_once
from pyi_fs.store.layers import Layers
from pyi_fs.store.survival import Survival

# On the way of a long fold a tree is kept each time so many records are behind (10 to 20 ms): a
# snapshot that is looked at next costs no more than that.
_REMEMBERED_RECORDS = 2_000


class Step(NamedTuple):
    """A tree of a layer. `changed`: inodes that hold other bytes than in the step before.

    No fewer than these; None of the first step.
    """

    offset: int
    tree: Tree
    changed: set[InodeNumber] | None


class History:
    """Folds positions of a store's layers."""

    def __init__(self, layers: Layers, *, passing: Collection[LayerId] = ()) -> None:
        """Starts with nothing folded; does as if layers of `passing` had no base table."""
        self.layers = layers
        self._passing = passing
        self.survival = Survival(layers)
        self._trees: OrderedDict[Position, Tree] = OrderedDict()
        # Of the trees above: their offsets in each layer, sorted.
        self._offsets: dict[LayerId, list[int]] = {}
        self._intervals = Intervals(layers)

    def remember(self, position: Position, tree: Tree) -> None:
        """Keeps the tree of a position that is known already."""
        if position not in self._trees:
            insort(self._offsets.setdefault(position.layer, []), position.offset)
        self._trees[position] = tree
        self._trees.move_to_end(position)
        while len(self._trees) > limits.FOLDED_TREES_MAX:
            self._forget(next(iter(self._trees)))

    def _forget(self, position: Position) -> None:
        del self._trees[position]
        offsets = self._offsets[position.layer]
        del offsets[bisect_left(offsets, position.offset)]
        if not offsets:
            del self._offsets[position.layer]

    def note_touched(self, start: Position, end: Position, touched: Touched) -> None:
        """Keeps what was touched between two refs, if that lies in one layer: the caller knew it.

        Nobody changes the set any more.
        """
        if start.layer == end.layer:
            self._intervals.note(end.layer, start.offset, end.offset, touched)
        elif self.layers.header(end.layer).parent == start:
            first = self.layers.start(end.layer)
            self._intervals.note(end.layer, first, end.offset, touched)

    def tree(self, position: Position) -> Tree:
        """Returns the tree of a position: the one way in for mounts, recovery, forks and export.

        `NotFoundError` if a power loss took it.
        """
        found = self._trees.get(position)
        if found is not None:
            self._trees.move_to_end(position)
            return found
        if self.survival.is_lost(position):
            raise NotFoundError(
                f"layer {layer_name(position.layer)} is gone at {position.offset}: "
                "a power loss or a collection took it"
            )
        way, passed = [position], {position.layer}
        begin = self._begin(position)
        while begin is None:
            way.append(self._parent(way[-1].layer))
            pass_once(passed, way[-1].layer)
            begin = self._begin(way[-1])
        offset, tree = self._nearer(way) or begin
        for step in reversed(way):
            tree = self._folded(tree, offset, step)
            offset = 0
        self.remember(position, tree)
        return tree

    def _nearer(self, way: list[Position]) -> tuple[int, Tree] | None:
        """Returns where to begin instead of at the end of a way, which is cut there, or None.

        A table that was not there when the way passed its layer may be there now, and have been the
        reason that the one it came to first was removed (`engine/tables.py`): what it came to then
        is too old. From far to near, since newer ones come before older ones go.
        """
        found = None
        for index in reversed(range(len(way) - 1)):
            begin = self._begin(way[index])
            if begin is not None:
                found = begin
                del way[index + 1 :]
        return found

    def _begin(self, position: Position) -> tuple[int, Tree] | None:
        """Returns where to begin folding within a layer (0: with its first record), and the tree.

        None: with its parent.
        """
        offsets = self._offsets.get(position.layer, ())
        index = bisect_right(offsets, position.offset)
        if index:
            offset = offsets[index - 1]
            return offset, self._trees[Position(position.layer, offset)]
        start = self._start(position.layer)
        return (0, start) if start is not None else None

    def trees(self, layer: LayerId, offsets: Iterable[int]) -> Iterator[tuple[int, Tree]]:
        """Yields (offset, tree) for offsets of one layer, ascending, in one pass over its journal.

        Keeps none of them. `CorruptRecordError` if the records end before one.
        """
        for step in self.steps(layer, offsets):
            yield step.offset, step.tree

    def steps(
        self,
        layer: LayerId,
        offsets: Iterable[int],
        passed: Callable[[Mutation], None] = lambda _: None,
    ) -> Iterator[Step]:
        """Yields what `trees` does, with the inodes that may hold other bytes than one before.

        `passed` is shown each mutation after the first step, before the step that it leads to.
        """
        wanted = sorted(set(offsets))
        tree, end = self.start_tree(layer), self.layers.start(layer)
        records = self.layers.records(layer, 0, wanted[-1]) if wanted else iter(())
        following = next(records, None)
        changed: set[InodeNumber] | None = None
        for offset in wanted:
            while following is not None and following[0] <= offset:
                tree, end = folded(layer, tree, *following), following[0]
                if changed is not None:
                    changed.update(with_other_bytes(following[1]))
                    passed(following[1])
                following = next(records, None)
            if end < offset:
                raise _no_more(layer, end, offset)
            yield Step(offset, tree, changed)
            changed = set()

    def end(self, layer: LayerId) -> tuple[Tree, Position]:
        """Returns the tree and position at the valid end of a layer: recovery of a branch.

        A torn tail is normal.
        """
        tree = self.start_tree(layer)
        end = self.layers.start(layer)
        for offset, mutation in self.layers.records(layer):
            tree, end = folded(layer, tree, offset, mutation), offset
        return tree, Position(layer, end)

    def start_tree(self, layer: LayerId) -> Tree:
        """Returns the tree a layer begins with."""
        start = self._start(layer)
        if start is not None:
            return start
        tree = self.tree(self._parent(layer))
        # Again: see `_nearer`.
        start = self._start(layer)
        return start if start is not None else tree

    def forget_removed_tables(self) -> None:
        """Lets go of the base tables that a collection removed, and of kept trees over them.

        Until then their blocks are not free. What a live tree or a view stands on stays.
        """
        removed = self.layers.forget_removed_tables()
        ids = set(map(id, removed))
        for position in [one for one, tree in self._trees.items() if id(_table(tree)) in ids]:
            self._forget(position)

    def forget_over(self, frozen: Tree) -> None:
        """Lets go of kept trees over one that has a table now: they are folded from that."""
        for position in [one for one, tree in self._trees.items() if frozen in _below(tree)]:
            self._forget(position)

    def lineage(self, position: Position) -> list[Position]:
        """Returns the position, its layer's parent position, and so on to the first there is."""
        found, passed = [position], {position.layer}
        while True:
            try:
                parent = self.layers.header(found[-1].layer).parent
            except NotFoundError:
                return found[:-1] if len(found) > 1 else found
            if parent is None:
                return found
            found.append(parent)
            pass_once(passed, parent.layer)

    def touched(self, a: Position, b: Position) -> Touched | None:
        """Returns what may differ between two positions, through their nearest common ancestor.

        None: anything may.
        """
        if a == b:
            return Touched()
        for tip, start in ((a, b), (b, a)):
            header = self._header_if_there(tip.layer)
            if header is not None and header.parent == start:
                # What a branch wrote since it was moved there: nearly every restore.
                return self._between([[tip]], 0)
        lines = self._lines_to_common(a, b)
        if lines is None:
            return None
        return self._between(lines, min(line[-1].offset for line in lines))

    def _between(self, lines: list[list[Position]], ancestor: int) -> Touched | None:
        """Returns what is touched on the way up lineages, in their last layer from an offset on."""
        touched = Touched()
        try:
            for *steps, (layer, offset) in lines:
                for step in steps:
                    self._intervals.add(touched, step.layer, 0, step.offset)
                self._intervals.add(touched, layer, ancestor, offset)
        except (NotFoundError, FileNotFoundError):
            return None
        return touched

    def _lines_to_common(self, a: Position, b: Position) -> list[list[Position]] | None:
        """Returns both lineages up to the nearest layer that is in both; None if there is none.

        Both are followed in turns: it costs the way to that layer, not the way to the first one.
        """
        lines = [[a], [b]]
        places = [{a.layer: 0}, {b.layer: 0}]
        if a.layer == b.layer:
            return lines
        ended = [False, False]
        while not all(ended):
            for mine, other in ((0, 1), (1, 0)):
                parent = None if ended[mine] else self._parent_if_there(lines[mine][-1].layer)
                if parent is None:
                    ended[mine] = True
                    continue
                if parent.layer in places[mine]:
                    pass_once(set(places[mine]), parent.layer)
                places[mine][parent.layer] = len(lines[mine])
                lines[mine].append(parent)
                if parent.layer in places[other]:
                    del lines[other][places[other][parent.layer] + 1 :]
                    return lines
        return None

    def _parent_if_there(self, layer: LayerId) -> Position | None:
        header = self._header_if_there(layer)
        parent = None if header is None else header.parent
        is_there = parent is not None and self._header_if_there(parent.layer) is not None
        return parent if is_there else None

    def _header_if_there(self, layer: LayerId) -> LayerHeader | None:
        try:
            return self.layers.header(layer)
        except NotFoundError:
            return None

    def _start(self, layer: LayerId) -> Tree | None:
        base = self.layers.base(layer) if layer not in self._passing else None
        if base is not None:
            return over(base)
        root = self.layers.header(layer).root
        return root_only(*root) if root is not None else None

    def _parent(self, layer: LayerId) -> Position:
        parent = self.layers.header(layer).parent
        if parent is None:
            raise CorruptRecordError(layout.base(layer), 0, "a base table", "nothing")
        return parent

    def _folded(self, tree: Tree, start: int, position: Position) -> Tree:
        """Returns the fold of a layer from `start` (0: its first record) up to a position.

        Both are the end of a record or of the header.
        """
        end = start or self.layers.start(position.layer)
        if end == position.offset:
            return tree
        records = self.layers.records(position.layer, start, position.offset)
        for count, (offset, mutation) in enumerate(records, 1):
            tree, end = folded(position.layer, tree, offset, mutation), offset
            if count % _REMEMBERED_RECORDS == 0:
                self.remember(Position(position.layer, end), tree)
        if end < position.offset:
            raise _no_more(position.layer, end, position.offset)
        return tree


def _table(tree: Tree) -> Base:
    """Returns what is below a tree and all trees it is over."""
    *_, lowest = (tree, *_below(tree))
    return lowest.base


def _below(tree: Tree) -> Iterator[Tree]:
    """Yields the trees that a tree is over."""
    base = tree.base
    while isinstance(base, Tree):
        yield base
        base = base.base


def _no_more(layer: LayerId, end: int, offset: int) -> CorruptRecordError:
    return CorruptRecordError(layout.journal(layer), end, f"records up to {offset}", "no more")


def folded(layer: LayerId, tree: Tree, offset: int, mutation: Mutation) -> Tree:
    """Returns the tree after the mutation whose frame in a layer's journal ends at `offset`.

    `CorruptRecordError` if no writer can have put it there.
    """
    try:
        return fold(tree, mutation)
    except CorruptTreeError as error:
        path = layout.journal(layer)
        raise CorruptRecordError(path, offset, "a change that can be made there", error) from error
