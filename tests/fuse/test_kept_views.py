"""Views come back under the numbers they had."""

from pyi_fs.control.view import View
from pyi_fs.fuse.kept_views import GONE_TABLE, TABLE, KeptViews, gone_views, session_views
from pyi_fs.fuse.ledger import MemoryLedger, NoLedger, Word
from pyi_fs.ids import BranchName, LayerId, Position, ViewNumber
from pyi_fs.model.tree import EmptyBase, over

EMPTY = over(EmptyBase())


def view_of(number, name, **options):
    return View(ViewNumber(number), BranchName(name), None, True, lambda: EMPTY, **options)


def test_a_view_is_noted_until_it_is_gone():
    ledger = MemoryLedger()
    views = KeptViews(ledger)
    main, side = view_of(0, "main"), view_of(3, "side")
    views.note(main)
    views.note(side)
    ledger.commit()
    assert session_views(ledger.table(TABLE)) == {0: "main", 3: "side"}
    side.is_gone = True
    views.note(side)
    ledger.commit()
    assert session_views(ledger.table(TABLE)) == {0: "main"}
    assert ledger.words[Word.VIEW_LAST] == 3


def test_a_gone_view_has_a_number_of_its_own_and_its_tree():
    ledger = MemoryLedger()
    views = KeptViews(ledger)
    place = Position(LayerId(5), 77)
    gone = view_of(3, "side", reads=place, is_gone=True)
    views.note_gone(gone)
    views.note_gone(gone)
    views.note_gone(view_of(4, "nobody can say where", is_gone=True))
    ledger.commit()
    asked = []

    def tree(position):
        asked.append(position)
        return EMPTY

    found = gone_views(ledger.table(GONE_TABLE), tree)
    assert list(found) == [gone.kept_as]
    (back,) = found.values()
    assert (back.number, back.name, back.reads, back.is_gone) == (3, "side", place, True)
    assert back.tree is EMPTY
    assert asked == [place]


def test_nothing_is_noted_where_nothing_is_kept():
    gone = view_of(3, "side", reads=Position(LayerId(5), 77), is_gone=True)
    KeptViews(NoLedger()).note_gone(gone)
    assert gone.kept_as == 0
