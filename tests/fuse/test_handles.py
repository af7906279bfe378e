"""Open handles and the places of a listing."""

import pytest

from pyi_fs.errors import InvalidArgumentError
from pyi_fs.fuse.handles import FileHandle, Handles, ListingHandle
from pyi_fs.ids import ROOT_INODE, InodeNumber, NodeId
from pyi_fs.model.mutation import Remove
from tests.support.fuse_rig import ROOT

NUMBER, NODE = InodeNumber(2), NodeId(2)


def test_a_node_is_open_until_its_last_handle_goes(rig):
    handles = Handles()
    view = rig.session.root
    one, two = (FileHandle(view, NUMBER, NODE, writable=w, privileged=True) for w in (True, False))
    first, second = handles.add(one), handles.add(two)
    assert first != second
    assert handles.files(NODE) == [one, two]
    assert [node for node, _ in handles.open_files()] == [2]
    assert handles.remove(first) is one
    assert handles.is_open(NODE)
    assert handles.remove(second) is two
    assert not handles.is_open(NODE)
    assert handles.remove(second) is None
    with pytest.raises(InvalidArgumentError):
        handles.get(first)


def test_a_file_is_not_a_directory(rig):
    handles = Handles()
    file = handles.add(FileHandle(rig.session.root, NUMBER, NODE, writable=True, privileged=True))
    directory = handles.add(ListingHandle(rig.session.root, ROOT_INODE, ROOT))
    with pytest.raises(InvalidArgumentError):
        handles.listing(file)
    with pytest.raises(InvalidArgumentError):
        handles.file(directory)


def name_at(listing: ListingHandle, index: int) -> bytes | None:
    found = listing.entry_at(index)
    return None if found is None else found[0]


def test_a_number_comes_with_a_name_the_first_time(rig):
    rig.make(ROOT, "a")
    listing = ListingHandle(rig.session.root, ROOT_INODE, ROOT)
    assert listing.entry_at(0) == (b"a", rig.branch.tree.lookup(ROOT_INODE, b"a"))
    assert listing.entry_at(0) == (b"a", None)


def test_places_of_a_listing_do_not_move(rig):
    for index in range(100):
        rig.make(ROOT, f"name-{index}")
    listing = ListingHandle(rig.session.root, ROOT_INODE, ROOT)
    fiftieth = name_at(listing, 50)
    rig.branch.commit(Remove(ROOT_INODE, b"name-3", False, 5))
    names: list[bytes] = []
    while (name := name_at(listing, len(names))) is not None:
        names.append(name)
    assert len(set(names)) == 100
    assert names[50] == fiftieth
    assert name_at(listing, 99) == names[99]
    assert name_at(listing, 100) is None
    listing.rewind()
    again = [name_at(listing, index) for index in range(99)]
    assert b"name-3" not in again
    assert name_at(listing, 99) is None
