"""Listings: whole, in place, and cheap, whatever happens to the directory meanwhile."""

import itertools

import pytest

from pyi_fs.errors import AccessDeniedError, NotADirectoryInTreeError
from tests.support.fuse_rig import DIRECTORY, OTHER, OWNER, ROOT


def names(items):
    return [item.name for item in items]


def test_dots_come_first_and_the_control_directory_not_at_all(rig):
    directory = rig.make(ROOT, "d", DIRECTORY)
    rig.make(directory, "f")
    listed = list(rig.listings.readdir(rig.listings.opendir(directory, OWNER), 0))
    assert [(item.name, item.entry.node, item.next_offset) for item in listed] == [
        (b".", directory, 1),
        (b"..", ROOT, 2),
        (b"f", rig.node("d/f"), 3),
    ]
    assert rig.list(ROOT) == ["d"]


def test_a_listing_goes_on_at_any_offset(rig):
    for index in range(20):
        rig.make(ROOT, f"f{index}")
    handle = rig.listings.opendir(ROOT, OWNER)
    whole = names(rig.listings.readdir(handle, 0))
    for offset in (7, 22, 3, 0, 1, 21):
        assert names(rig.listings.readdir(handle, offset)) == whole[offset:]


def test_what_comes_and_goes_does_not_disturb_the_others(rig):
    for index in range(20):
        rig.make(ROOT, f"f{index}")
    handle = rig.listings.opendir(ROOT, OWNER)
    first = list(itertools.islice(rig.listings.readdir(handle, 0), 8))
    gone = first[4].name
    rig.names.remove(ROOT, gone, OWNER, directory=False)
    rig.names.rename(ROOT, first[5].name, ROOT, b"renamed", 0, OWNER)
    rig.make(ROOT, "new")
    rest = names(rig.listings.readdir(handle, first[-1].next_offset))
    seen = names(first) + rest
    assert len(seen) == len(set(seen))
    assert set(seen) >= {b"f%d" % index for index in range(20)}
    # From the beginning it is the directory of now, and a removed name is not brought back.
    again = names(rig.listings.readdir(handle, 0))
    assert gone not in again
    assert {b"new", b"renamed"} <= set(again)


def test_a_name_that_is_another_file_by_now_is_that_file(rig):
    """What the listing began with is not told, whether or not it was given out before."""
    for index in range(4):
        rig.make(ROOT, f"f{index}")
    handle = rig.listings.opendir(ROOT, OWNER)
    first = list(itertools.islice(rig.listings.readdir(handle, 0), 3))
    others = {b"f%d" % index for index in range(4)} - {first[2].name}
    for name in sorted(others):
        rig.make(ROOT, "other")
        rig.names.rename(ROOT, b"other", ROOT, name, 0, OWNER)
    for item in rig.listings.readdir(handle, first[2].next_offset):
        assert item.entry.node == rig.node(item.name.decode())


def test_a_removed_name_is_passed_over(rig):
    for index in range(10):
        rig.make(ROOT, f"f{index}")
    handle = rig.listings.opendir(ROOT, OWNER)
    first = list(itertools.islice(rig.listings.readdir(handle, 0), 3))
    others = {b"f%d" % index for index in range(10)} - {first[2].name}
    victim = sorted(others)[0]
    rig.names.remove(ROOT, victim, OWNER, directory=False)
    rest = names(rig.listings.readdir(handle, first[-1].next_offset))
    assert set(rest) == others - {victim}


def test_entries_count_as_lookups_when_they_went_out(rig):
    node = rig.make(ROOT, "f")
    rig.reaper.forget([(node, 1)])
    assert node not in rig.state.nodes.counts
    rig.list(ROOT)
    assert node in rig.state.nodes.counts


def test_listing_a_big_directory_takes_only_what_is_asked_for(rig):
    directory = rig.make(ROOT, "d", DIRECTORY)
    for index in range(2000):
        rig.make(directory, f"f{index}")
    handle = rig.listings.opendir(directory, OWNER)
    list(itertools.islice(rig.listings.readdir(handle, 0), 10))
    listing = rig.state.handles.listing(handle)
    assert listing.given_count < 12


def test_control_directories_are_listed_without_opening_branches(rig):
    assert "snapshot" in rig.list(rig.node(".pyi"))
    rig.make(rig.node(".pyi/branches"), "other", DIRECTORY)
    view = next(view for view in rig.session.views.values() if view.number)
    rig.session.let_go(view)
    handle = rig.listings.opendir(rig.node(".pyi/branches"), OWNER)
    listed = {item.name: item.entry for item in rig.listings.readdir(handle, 0)}
    assert set(listed) == {b".", b"..", b"main", b"other"}
    assert listed[b"other"].inode.is_directory
    assert listed[b"main"].inode.is_symlink
    assert listed[b".."].node == rig.node(".pyi")
    assert view.branch is None
    assert names(rig.listings.readdir(handle, 3)) == list(listed)[3:]
    with pytest.raises(AccessDeniedError):
        rig.listings.opendir(rig.node(".pyi"), OTHER)


def test_a_file_is_not_listed(rig):
    with pytest.raises(NotADirectoryInTreeError):
        rig.listings.opendir(rig.make(ROOT, "f"), OWNER)
