"""The model and the naive oracle, driven together."""

from pyi_fs.errors import RequestError
from pyi_fs.model.check import check
from pyi_fs.model.edit import apply
from pyi_fs.model.mutation import Mutation
from pyi_fs.model.tree import root_only
from tests.support.oracle import Content, Oracle, picture_of


class Pair:
    """A tree and an oracle that are driven together."""

    def __init__(self) -> None:
        self.content = Content()
        self.tree = root_only(0o40755, 0, 0, 1)
        self.oracle = Oracle(self.content, 0o40755, 0, 0, 1)

    def step(self, change: Mutation) -> None:
        """Applies a mutation to both and compares errno, state, and the invariants."""
        errnos: list[int | None] = [None, None]
        before = self.tree
        try:
            self.tree = apply(self.tree, change)
        except RequestError as error:
            errnos[0] = error.errno
        try:
            self.oracle.apply(change)
        except OSError as error:
            errnos[1] = error.errno
        assert errnos[0] == errnos[1], change
        assert errnos[0] is None or self.tree is before
        self.compare()

    def compare(self) -> None:
        """Asserts that both show the same and that the tree is sound."""
        assert picture_of(self.tree, self.content) == self.oracle.picture()
        assert check(self.tree, self.content.segment_end) == []
