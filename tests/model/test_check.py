"""Each invariant of `check` has a tree that breaks it, and the finding names the inode."""

from collections.abc import Callable
from typing import Any

import pytest
from immutables import Map

from pyi_fs.ids import ROOT_INODE, InodeNumber, LayerId, SegmentId, segment_id
from pyi_fs.model import check as check_module
from pyi_fs.model.check import Finding, check
from pyi_fs.model.edit import apply
from pyi_fs.model.extent import BLOCK_ENTRIES_MAX, SCRATCH, Extent, pack, scratch_source
from pyi_fs.model.inode import with_fields
from pyi_fs.model.mutation import Create, Link, Remove, SetXattr, Write
from pyi_fs.model.tree import Tree, over, root_only

FILE, DIRECTORY, SYMLINK, GONE, LOST = map(InodeNumber, (2, 3, 4, 5, 99))
SEGMENT = segment_id(LayerId(7), 0)


def sound() -> Tree:
    """Returns a tree with one of everything: hard links, symlink, subdirectory, unlinked file."""
    tree = root_only(0o40755, 0, 0, 1)
    for change in (
        Create(ROOT_INODE, b"file", FILE, 0o100644, 0, 0, 2),
        Create(ROOT_INODE, b"directory", DIRECTORY, 0o40755, 0, 0, 3),
        Create(DIRECTORY, b"symlink", SYMLINK, 0o120777, 0, 0, 4, b"file"),
        Create(ROOT_INODE, b"gone", GONE, 0o100644, 0, 0, 5),
        Link(FILE, DIRECTORY, b"again", 6),
        Write(FILE, 10, 20, SEGMENT, 0, b"", 7),
        Write(FILE, 50, 20, SEGMENT, 20, b"", 8),
        SetXattr(FILE, b"user.a", b"1", 9),
        Remove(ROOT_INODE, b"gone", False, 10),
    ):
        tree = apply(tree, change)
    return tree


def with_record(number: InodeNumber, **fields: Any) -> Tree:
    """Returns the sound tree with fields of one record forced."""
    tree = sound()
    inodes = tree.inodes.set(number, with_fields(tree.existing(number), **fields))
    return Tree(tree.base, inodes, tree.directories, tree.unlinked, tree.last_inode)


def with_dentry(directory: InodeNumber, name: bytes, child: int) -> Tree:
    """Returns the sound tree with a dentry forced; 0 takes it away."""
    tree = sound()
    names = tree.directories.get(directory, Map()).set(name, InodeNumber(child))
    directories = tree.directories.set(directory, names)
    return Tree(tree.base, tree.inodes, directories, tree.unlinked, tree.last_inode)


def scratch(offset: int, length: int) -> bytes:
    """Returns one packed entry."""
    return pack(Extent(offset, length, SCRATCH, scratch_source(SEGMENT), 0))


class _Liar(Tree):
    """Lists a name twice and finds another inode under it."""

    def lookup(self, directory: InodeNumber, name: bytes) -> InodeNumber | None:
        found = super().lookup(directory, name)
        return DIRECTORY if name == b"file" else found


def _liar() -> Tree:
    tree = sound()
    return _Liar(tree.base, tree.inodes, tree.directories, tree.unlinked, tree.last_inode)


class _Stutterer(Tree):
    def numbers(self) -> Any:
        yield from (*super().numbers(), FILE)


def _stutterer() -> Tree:
    tree = sound()
    return _Stutterer(tree.base, tree.inodes, tree.directories, tree.unlinked, tree.last_inode)


def _bounded(last: int) -> Tree:
    tree = sound()
    return Tree(tree.base, tree.inodes, tree.directories, tree.unlinked, InodeNumber(last))


def _cycle() -> Tree:
    """Returns two directories that hold each other, away from the root."""
    tree = sound()
    record = tree.existing(DIRECTORY)
    one, two = InodeNumber(3), InodeNumber(5)
    inodes = tree.inodes.set(one, with_fields(record, parent=two, name=b"x", nlink=3))
    inodes = inodes.set(two, with_fields(record, parent=one, name=b"y", nlink=3))
    names = tree.directories[one].set(b"y", two)
    directories = tree.directories.set(one, names).set(two, Map({b"x": one}))
    root = directories[ROOT_INODE].delete(b"directory")
    return Tree(tree.base, inodes, directories.set(ROOT_INODE, root), Map(), tree.last_inode)


def _listed_as_unlinked(number: InodeNumber | None) -> Tree:
    tree = sound()
    unlinked: Map[InodeNumber, None] = Map({GONE: None, number: None}) if number else Map()
    return Tree(tree.base, tree.inodes, tree.directories, unlinked, tree.last_inode)


def _block(entries: int) -> bytes:
    return b"".join(scratch(i * 10, 5) for i in range(entries))


Case = tuple[str, InodeNumber | None, Callable[[], Tree]]
CASES: list[Case] = [
    ("root_is_a_directory", ROOT_INODE, lambda: with_record(ROOT_INODE, name=b"x")),
    ("root_is_a_directory", ROOT_INODE, lambda: with_record(ROOT_INODE, mode=0o100644)),
    ("every_number_has_one_record", FILE, _stutterer),
    ("last_inode_bounds_all_numbers", GONE, lambda: _bounded(4)),
    ("last_inode_bounds_all_numbers", None, lambda: _bounded(1 << 32)),
    ("every_dentry_resolves", DIRECTORY, lambda: with_dentry(DIRECTORY, b"x", LOST)),
    ("every_dentry_resolves", DIRECTORY, lambda: with_dentry(DIRECTORY, b"x", GONE)),
    ("lookup_agrees_with_entries", ROOT_INODE, _liar),
    ("only_linked_directories_have_entries", FILE, lambda: with_dentry(FILE, b"x", SYMLINK)),
    ("only_linked_directories_have_entries", DIRECTORY, lambda: with_record(DIRECTORY, nlink=0)),
    ("names_are_valid", DIRECTORY, lambda: with_dentry(DIRECTORY, b"..", FILE)),
    ("names_are_valid", DIRECTORY, lambda: with_dentry(DIRECTORY, b"x/y", FILE)),
    ("names_are_valid", DIRECTORY, lambda: with_dentry(DIRECTORY, b"n" * 256, FILE)),
    ("dentries_are_those_of_the_record", FILE, lambda: with_record(FILE, name=b"other")),
    ("dentries_are_those_of_the_record", FILE, lambda: with_record(FILE, links=())),
    ("dentries_are_those_of_the_record", SYMLINK, lambda: with_dentry(DIRECTORY, b"symlink", 0)),
    ("unlinked_is_complete", GONE, lambda: _listed_as_unlinked(None)),
    ("unlinked_is_complete", FILE, lambda: _listed_as_unlinked(FILE)),
    ("unlinked_is_complete", LOST, lambda: _listed_as_unlinked(LOST)),
    ("files_count_their_dentries", FILE, lambda: with_record(FILE, nlink=1)),
    ("files_count_their_dentries", SYMLINK, lambda: with_dentry(ROOT_INODE, b"x", SYMLINK)),
    (
        "directories_count_their_subdirectories",
        ROOT_INODE,
        lambda: with_record(ROOT_INODE, nlink=2),
    ),
    ("directories_have_one_parent", DIRECTORY, lambda: with_dentry(DIRECTORY, b"x", DIRECTORY)),
    (
        "directories_have_one_parent",
        DIRECTORY,
        lambda: with_record(DIRECTORY, links=((FILE, b"x"),)),
    ),
    ("directories_have_one_parent", ROOT_INODE, lambda: with_dentry(DIRECTORY, b"x", ROOT_INODE)),
    ("directories_hang_on_the_root", DIRECTORY, _cycle),
    ("directories_hang_on_the_root", DIRECTORY, lambda: with_record(DIRECTORY, parent=LOST)),
    ("fields_fit_the_type", SYMLINK, lambda: with_record(SYMLINK, extents=scratch(0, 2))),
    ("fields_fit_the_type", FILE, lambda: with_record(FILE, target=b"x")),
    ("fields_fit_the_type", FILE, lambda: with_record(FILE, rdev=5)),
    ("fields_fit_the_type", FILE, lambda: with_record(FILE, mode=0o644)),
    ("fields_fit_the_type", SYMLINK, lambda: with_record(SYMLINK, size=3)),
    ("fields_fit_the_type", FILE, lambda: with_record(FILE, size=(1 << 40) + 1)),
    ("extent_blocks_are_well_formed", FILE, lambda: with_record(FILE, extents=scratch(0, 2)[:-1])),
    ("extent_blocks_are_well_formed", FILE, lambda: with_record(FILE, extents=(scratch(0, 2),))),
    (
        "extent_blocks_are_well_formed",
        FILE,
        lambda: with_record(FILE, extents=(scratch(0, 2), b"")),
    ),
    (
        "extent_blocks_are_well_formed",
        FILE,
        lambda: with_record(FILE, size=9999, extents=_block(BLOCK_ENTRIES_MAX + 1)),
    ),
    ("extents_are_sorted_and_within_size", FILE, lambda: with_record(FILE, size=69)),
    ("extents_are_sorted_and_within_size", FILE, lambda: with_record(FILE, extents=scratch(0, 0))),
    (
        "extents_are_sorted_and_within_size",
        FILE,
        lambda: with_record(FILE, extents=(scratch(9, 2), scratch(10, 2))),
    ),
    (
        "extents_are_sorted_and_within_size",
        FILE,
        lambda: with_record(FILE, extents=pack(Extent(0, 1, 3, bytes(32), 0))),
    ),
    (
        "extents_are_sorted_and_within_size",
        FILE,
        lambda: with_record(FILE, extents=pack(Extent(0, 1, SCRATCH, b"x" * 32, 0))),
    ),
    (
        "scratch_extents_lie_in_their_segments",
        FILE,
        lambda: with_record(FILE, extents=scratch(0, 41)),
    ),
    (
        "scratch_extents_lie_in_their_segments",
        FILE,
        lambda: with_record(
            FILE, extents=pack(Extent(0, 1, SCRATCH, scratch_source(SegmentId(1)), 0))
        ),
    ),
    ("xattrs_are_sorted", FILE, lambda: with_record(FILE, xattrs=((b"b", b""), (b"a", b"")))),
    ("xattrs_are_sorted", FILE, lambda: with_record(FILE, xattrs=((b"a", b"1"), (b"a", b"2")))),
]


def segment_end(segment: SegmentId) -> int | None:
    """Returns 40 for the one segment there is: exactly what `sound` names."""
    return 40 if segment == SEGMENT else None


def test_sound_tree_has_no_findings() -> None:
    """One of everything passes, as it is and frozen under one and two overlays."""
    tree = sound()
    assert check(tree, segment_end) == []
    assert check(over(tree), segment_end) == []
    assert check(over(over(tree)), segment_end) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_each_broken_tree_is_found(case: Case) -> None:
    """The broken invariant is found, with the inode; also when the fault lies in a base."""
    invariant, number, make = case
    tree = make()
    assert (invariant, number) in {(f.invariant, f.inode) for f in check(tree, segment_end)}
    frozen = {(f.invariant, f.inode) for f in check(over(tree), segment_end)}
    assert (invariant, number) in frozen or invariant in (
        "last_inode_bounds_all_numbers",
        "lookup_agrees_with_entries",
        "every_number_has_one_record",
    )


def test_every_invariant_has_a_broken_tree() -> None:
    """The list above leaves no invariant out."""
    assert {case[0] for case in CASES} == {f.__name__ for f in check_module.INVARIANTS}


def test_segments_are_not_looked_at_without_being_given() -> None:
    """Without `segment_end` an extent past its segment is nothing that can be known."""
    assert check(with_record(FILE, extents=scratch(0, 41))) == []


def test_finding_is_frozen() -> None:
    """A finding is a value."""
    finding = Finding("names_are_valid", FILE, "x")
    with pytest.raises(AttributeError):
        finding.message = "y"  # type: ignore[misc]
