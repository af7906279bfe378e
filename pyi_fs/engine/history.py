"""Trees and touched sets of positions: everything that folding journals can answer.

Reads only; takes no lock.

Invariants:
- The tree of a position never changes, so folded trees are kept (`limits.FOLDED_TREES_MAX`) and any
  of them may be forgotten.
- A touched set between two positions covers their difference; where the lineage is no longer in the
  store the answer is None: everything.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from pyi_fs import limits
from pyi_fs.errors import CorruptRecordError, CorruptTreeError, NotFoundError
from pyi_fs.ids import LayerId, Position, layer_name
from pyi_fs.model.fold import fold
from pyi_fs.model.mutation import Mutation
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree, over, root_only
from pyi_fs.store import layout
from pyi_fs.store.layers import Layers, pass_once
from pyi_fs.store.survival import Survival


class History:
    """Folds positions of a store's layers."""

    def __init__(self, layers: Layers) -> None:
        """Starts with nothing folded."""
        self.layers = layers
        self.survival = Survival(layers)
        self._trees: OrderedDict[Position, Tree] = OrderedDict()

    def remember(self, position: Position, tree: Tree) -> None:
        """Keeps the tree of a position that is known already."""
        self._trees[position] = tree
        self._trees.move_to_end(position)
        while len(self._trees) > limits.FOLDED_TREES_MAX:
            self._trees.popitem(last=False)

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
        start = self._start(position.layer)
        while start is None:
            parent = self._parent(way[-1].layer)
            known = self._trees.get(parent)
            way.append(parent)
            pass_once(passed, parent.layer)
            start = known if known is not None else self._start(parent.layer)
            if known is not None:
                way.pop()
        tree = start
        for step in reversed(way):
            tree = self._folded(tree, step)
        self.remember(position, tree)
        return tree

    def trees(self, layer: LayerId, offsets: Iterable[int]) -> Iterator[tuple[int, Tree]]:
        """Yields (offset, tree) for offsets of one layer, ascending, in one pass over its journal.

        Keeps none of them. `CorruptRecordError` if the records end before one.
        """
        wanted = sorted(set(offsets))
        tree, end = self.start_tree(layer), self.layers.start(layer)
        records = self.layers.records(layer, 0, wanted[-1]) if wanted else iter(())
        following = next(records, None)
        for offset in wanted:
            while following is not None and following[0] <= offset:
                tree, end = folded(layer, tree, *following), following[0]
                following = next(records, None)
            if end < offset:
                raise _no_more(layer, end, offset)
            yield offset, tree

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
        return start if start is not None else self.tree(self._parent(layer))

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
        line_a, line_b = self.lineage(a), self.lineage(b)
        offsets = {step.layer: step.offset for step in line_a}
        common = next((step for step in line_b if step.layer in offsets), None)
        if common is None:
            return None
        ancestor = Position(common.layer, min(common.offset, offsets[common.layer]))
        touched = Touched()
        try:
            for line in (line_a, line_b):
                self._add_touched(touched, line, ancestor)
        except NotFoundError:
            return None
        return touched

    def _add_touched(self, touched: Touched, line: list[Position], ancestor: Position) -> None:
        for step in line:
            start = ancestor.offset if step.layer == ancestor.layer else 0
            for _, mutation in self.layers.records(step.layer, start, step.offset):
                touched.add(mutation)
            if step.layer == ancestor.layer:
                return

    def _start(self, layer: LayerId) -> Tree | None:
        base = self.layers.base(layer)
        if base is not None:
            return over(base)
        root = self.layers.header(layer).root
        return root_only(*root) if root is not None else None

    def _parent(self, layer: LayerId) -> Position:
        parent = self.layers.header(layer).parent
        if parent is None:
            raise CorruptRecordError(layout.base(layer), 0, "a base table", "nothing")
        return parent

    def _folded(self, tree: Tree, position: Position) -> Tree:
        """Returns the fold of a layer up to a position: the end of a record or of the header."""
        end = self.layers.start(position.layer)
        for offset, mutation in self.layers.records(position.layer, 0, position.offset):
            tree, end = folded(position.layer, tree, offset, mutation), offset
        if end < position.offset:
            raise _no_more(position.layer, end, position.offset)
        return tree


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
