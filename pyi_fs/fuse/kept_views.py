"""Views, noted in the ledger: which number stands for which branch or snapshot.

A view of the session is noted by its number while it is there; a snapshot's with all there is to
say of it, so that another process may delete it meanwhile. One that is gone, and of which files
are open, is noted by a number of its own above all those, with where in a layer its tree is.
"""

from collections.abc import Callable, Mapping, Set
from functools import partial
from typing import cast

import msgspec

from pyi_fs.control.view import View
from pyi_fs.fuse.ledger import Key, Ledger, MemoryLedger, Value, Word
from pyi_fs.ids import BranchName, LayerId, Position, ViewNumber
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.tree import Tree

TABLE, GONE_TABLE = "views", "gone"
# Numbers of views have 23 bits; a slot of the ledger has 32 for what stands for one.
_GONE = 1 << 31
_VIEW_LAST, _GONE_LAST = Word.VIEW_LAST.value, Word.GONE_LAST.value


class KeptViews:
    """Notes views."""

    def __init__(self, ledger: Ledger) -> None:
        """Has noted none, but for what a dead server had."""
        self._ledger = ledger
        self._gone: set[Key] = set()
        if isinstance(ledger, MemoryLedger):
            self._gone.update(ledger.table(GONE_TABLE))

    def note(self, view: View) -> None:
        """Notes what a view of the session shows, or that it is not there any more."""
        if not self._ledger.survives:
            return
        words = self._ledger.words
        words[_VIEW_LAST] = max(words[_VIEW_LAST], view.number)
        meant = view.name if view.snapshot is None else list(view.snapshot)
        self._ledger.put(TABLE, view.number, None if view.is_gone else meant)

    def note_gone(self, view: View) -> None:
        """Notes a view whose path is gone, and of which files are open."""
        if not self._ledger.survives or view.kept_as or view.reads is None:
            return
        self._ledger.words[_GONE_LAST] += 1
        view.kept_as = _GONE | self._ledger.words[_GONE_LAST]
        self._ledger.put(GONE_TABLE, view.kept_as, [view.number, view.name, *view.reads])
        self._gone.add(view.kept_as)

    def keep_only(self, used: Set[int]) -> None:
        """Takes back what was noted of views that are gone but for those, which something is of."""
        for key in self._gone - used:
            self._ledger.put(GONE_TABLE, key, None)
        self._gone &= used


def session_views(table: Mapping[Key, Value]) -> dict[ViewNumber, BranchName | Snapshot]:
    """Returns what the views of a session showed, from what was noted of them."""
    return {ViewNumber(cast(int, number)): _meant(noted) for number, noted in table.items()}


def root_shown(table: Mapping[Key, Value]) -> BranchName | Snapshot:
    """Returns what the root of a mount showed, from what was noted of its views."""
    return _meant(table[0])


def _meant(noted: Value) -> BranchName | Snapshot:
    return BranchName(noted) if isinstance(noted, str) else msgspec.convert(noted, Snapshot)


def gone_views(table: Mapping[Key, Value], tree: Callable[[Position], Tree]) -> dict[int, View]:
    """Returns the views that were gone, by what they were noted as. `tree`: that of a position."""
    found = {}
    for key, (number, name, layer, offset) in table.items():
        position = Position(LayerId(layer), offset)
        shown = None if name is None else BranchName(name)
        view = View(
            ViewNumber(number),
            shown,
            None,
            True,
            partial(tree, position),
            reads=position,
            is_gone=True,
        )
        view.kept_as = cast(int, key)
        found[view.kept_as] = view
    return found
