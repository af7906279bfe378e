"""Views come back under the numbers they had."""

from contextlib import closing

import pytest
import trio

from pyi_fs.control.view import View
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import NotFoundError
from pyi_fs.fuse.kept_views import GONE_TABLE, TABLE, KeptViews, gone_views, session_views
from pyi_fs.fuse.ledger import MemoryLedger, NoLedger, Word
from pyi_fs.fuse.letting_go import let_go
from pyi_fs.fuse.protocol import Opcode
from pyi_fs.ids import ROOT_INODE, BranchName, LayerId, NodeId, Position, ViewNumber, WorkspaceName
from pyi_fs.model.tree import EmptyBase, over
from pyi_fs.store.leases import leased
from tests.support import fuse_structs as structs
from tests.support.fuse_rig import ROOT
from tests.support.takeover_rig import Server

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


def test_what_is_open_of_a_snapshot_outlives_the_snapshot_and_two_servers(tmp_path):
    """It was deleted by another process while there was no server."""
    server = Server(tmp_path)
    for name in ("a", "b", "c"):
        server.make(ROOT, name)
    trio.run(server.write, "file", b"data")
    snapshot = server.workspace.snapshot(server.branch, name="s").snapshot
    top = server.node(".pyi/snapshots/s")
    file = server.open(server.node(".pyi/snapshots/s/file"))
    listing = server.opened(top, opcode=Opcode.OPENDIR).fh
    read = bytes(structs.ReadIn(file, 0, 100, 0, 0, 0, 0))
    # Room for `.`, `..` and a name: the rest comes from those who follow.
    first = bytes(structs.ReadIn(listing, 0, 100, 0, 0, 0, 0))
    assert server.ask(Opcode.READDIR, first, node=top)[0] == 0
    ledger = server.leave()
    with closing(Store.open(tmp_path)) as store:
        other = Workspace(store, WorkspaceName("w"))
        other.delete_snapshot(snapshot.id)
        other.close()
    for _ in range(2):
        server = Server(tmp_path, ledger)
        assert server.look(".pyi/snapshots") is not None
        with pytest.raises(NotFoundError):
            server.look(".pyi/snapshots/s")
        assert server.ask(Opcode.READ, read) == (0, b"data")
        rest = bytes(structs.ReadIn(listing, 2, 4096, 0, 0, 0, 0))
        error, names = server.ask(Opcode.READDIR, rest, node=top)
        assert error == 0
        assert all(name in names for name in (b"a", b"b", b"c", b"file"))
        assert set(leased(server.store.storage)) == {snapshot.position}
        ledger = server.leave()


def test_what_is_open_of_a_dropped_branch_is_listed_by_the_next_server(tmp_path):
    server = Server(tmp_path)
    server.make(ROOT, "file")
    server.workspace.make_branch("side", server.branch)
    top = server.node(".pyi/branches/side")
    listing = server.opened(top, opcode=Opcode.OPENDIR).fh
    server.session.drop("side")
    server.ledger.commit()
    server = Server(tmp_path, server.leave())
    error, names = server.ask(
        Opcode.READDIR, bytes(structs.ReadIn(listing, 0, 4096, 0, 0, 0, 0)), node=top
    )
    assert error == 0
    assert b"file" in names
    server.close()


def test_a_view_that_is_gone_is_noted_as_long_as_something_of_it_is_open(tmp_path):
    server = Server(tmp_path)
    server.workspace.make_branch("side", server.branch)
    top = server.node(".pyi/branches/side")
    listing = server.opened(top, opcode=Opcode.OPENDIR).fh
    file = server.opened(server.make(top, "file")).fh
    server.session.drop("side")
    server.ledger.commit()
    server = Server(tmp_path, server.leave())
    seen = []
    for handle in (None, listing, file):
        if handle is not None:
            server.ask(Opcode.RELEASE, handle.to_bytes(8, "little") + bytes(16))
        let_go(server.state)
        server.ledger.commit()
        seen.append(len(server.ledger.table(GONE_TABLE)))
    # Its node is known until it is forgotten.
    first = NodeId(top - ROOT_INODE)
    for node in list(server.state.nodes.counts.between(first, first + 1024)):
        server.reaper.forget([(node, 1 << 20)])
    let_go(server.state)
    server.ledger.commit()
    assert seen == [1, 1, 1]
    assert server.ledger.table(GONE_TABLE) == {}
    server.close()
