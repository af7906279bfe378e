"""What a branch has changed since its last snapshot: kept up to date, or found out when asked.

Finding out reads the journals of all layers since that snapshot: 30 ms for each 25,000 records,
however many those are. For the answer nobody waits when a branch is opened; programs do when the
next server of their mount opens it (decision 0008).
"""

from collections.abc import Callable

from pyi_fs.model.mutation import Mutation
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree

Found = tuple[Tree, Touched | None]
"""The tree of the last snapshot, and what was touched since; None: anything may differ."""


class SinceLast:
    """The tree of a branch's last snapshot (or start), and what was touched since.

    `touched` covers what differs between that tree and the present, if `is_complete`.
    """

    def __init__(self, find: Callable[[], Found], found: Found | None = None) -> None:
        """`find` is called at most once, at the first question that needs it.

        What it finds is up to now: later changes are added. What it raises, the question raises.
        `found`: what it would find, if that is known; the touched set is its own from now on.
        """
        self._find = find
        self._found: tuple[Tree, bool] | None = None
        if found is None:
            self._touched = Touched()
        else:
            tree, touched = found
            self._found = tree, touched is not None
            self._touched = Touched() if touched is None else touched

    @classmethod
    def known(cls, tree: Tree, touched: Touched | None) -> "SinceLast":
        """Returns one that need not find out; `touched` is its own from now on."""
        return cls(_is_known, (tree, touched))

    def add(self, mutation: Mutation) -> None:
        """Adds what a change touches."""
        self._touched.add(mutation)

    @property
    def tree(self) -> Tree:
        """Returns the tree of the last snapshot."""
        return self._ask()[0]

    @property
    def touched(self) -> Touched:
        """Returns what was touched; it grows with the branch."""
        self._ask()
        return self._touched

    @property
    def known_touched(self) -> Touched | None:
        """Returns `touched` if it covers what differs, else None: anything may."""
        return self._touched if self._ask()[1] else None

    @property
    def is_complete(self) -> bool:
        """Returns whether `touched` covers the difference."""
        return self._ask()[1]

    @property
    def is_changed(self) -> bool:
        """Returns whether the present may differ from the last snapshot."""
        return bool(self._touched) or bool(self.touched) or not self.is_complete

    def _ask(self) -> tuple[Tree, bool]:
        if self._found is None:
            tree, touched = self._find()
            if touched is not None:
                self._touched.update(touched)
            self._found = tree, touched is not None
        return self._found


def _is_known() -> Found:
    raise AssertionError("BUG: what is known is looked for")
