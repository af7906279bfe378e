"""Handles come back as they were: open for what they were, where they were."""

from functools import partial

from pyi_fs.control.view import View
from pyi_fs.fuse.handles import FileHandle, ListingHandle
from pyi_fs.fuse.kept_handles import kept_handles, slots
from pyi_fs.fuse.ledger import Word
from pyi_fs.ids import ROOT_INODE, InodeNumber, LayerId, Position, ViewNumber
from tests.support.fuse_rig import OWNER, ROOT
from tests.support.takeover_rig import Server


def test_files_keep_their_rights_and_a_moved_one_its_place(tmp_path):
    server = Server(tmp_path)
    handles, root = server.state.handles, server.session.root
    node = server.make(ROOT, "file")
    server.ledger.words[Word.REQUEST] = 77
    file = FileHandle(root, InodeNumber(node), node, writable=True, privileged=False)
    first = handles.add(file)
    closed = handles.add(FileHandle(root, InodeNumber(node), node, writable=False, privileged=True))
    handles.remove(closed)
    file.number = InodeNumber(500)
    handles.moved(file)
    server.ledger.commit()
    kept = kept_handles(server.ledger, {0: root}, server.transport.handlers.controls)
    assert list(kept.handles) == [first]
    found = kept.handles[first]
    assert isinstance(found, FileHandle)
    assert (found.number, found.node, found.writable, found.privileged) == (500, node, True, False)
    assert kept.opened == {77: first}
    assert kept_handles(server.ledger, {}, server.transport.handlers.controls).handles == {}
    handles.remove(first)
    server.ledger.commit()
    assert slots(server.ledger) == []
    assert server.ledger.table("moved") == {}
    server.close()


def test_what_is_passed_through_keeps_the_kernels_id_until_it_is_closed(tmp_path):
    server = Server(tmp_path)
    handles, root = server.state.handles, server.session.root
    node = server.make(ROOT, "file")
    file = FileHandle(root, InodeNumber(node), node, writable=False, privileged=True)
    first = handles.add(file)
    handles.pass_through(file, 70_001)
    server.ledger.commit()
    kept = kept_handles(server.ledger, {0: root}, server.transport.handlers.controls)
    found = kept.handles[first]
    assert isinstance(found, FileHandle)
    assert found.backing == 70_001
    handles.restore(kept.handles, 1)
    handles.remove(first)
    server.ledger.commit()
    assert server.ledger.table("backing") == {}
    server.close()


def name_at(listing: ListingHandle, index: int) -> bytes | None:
    found = listing.entry_at(index)
    return None if found is None else found[0]


def test_a_listing_goes_on_behind_what_it_gave_out(tmp_path):
    server = Server(tmp_path)
    for index in range(300):
        server.make(ROOT, f"name-{index}")
    root = server.session.root
    listing = ListingHandle(root, ROOT_INODE, ROOT)
    handle = server.state.handles.add(listing)
    given = [name_at(listing, index) for index in range(100)]
    server.listings.keep(handle)
    given += [name_at(listing, index) for index in range(100, 150)]
    server.listings.keep(handle)
    server.ledger.commit()
    for name in (given[3], b"name-299"):
        assert name is not None
        server.names.remove(ROOT, name, OWNER, directory=False)
    server.make(ROOT, "later")
    kept = kept_handles(server.ledger, {0: root}, server.transport.handlers.controls)
    back = kept.handles[handle]
    assert isinstance(back, ListingHandle)
    assert [name_at(back, index) for index in range(150)] == given
    rest: list[bytes] = []
    while (name := name_at(back, 150 + len(rest))) is not None:
        rest.append(name)
    there = {name for name, _ in root.tree.entries(ROOT_INODE)}
    assert sorted(rest) == sorted(there - set(given))
    server.close()


def test_a_listing_of_a_tree_that_is_not_there_any_more_is_stale(tmp_path):
    server = Server(tmp_path)
    handle = server.state.handles.add(ListingHandle(server.session.root, ROOT_INODE, ROOT))
    place = Position(LayerId(5), 77)
    gone = View(ViewNumber(0), None, None, True, partial(server.workspace.history.tree, place))
    kept = kept_handles(server.ledger, {0: gone}, server.transport.handlers.controls)
    assert handle not in kept.handles
    server.close()
