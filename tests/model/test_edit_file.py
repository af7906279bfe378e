"""Rules of one inode's data and attributes; sequences are in `tests/properties/test_oracle.py`."""

import errno
from typing import Any

import pytest

from pyi_fs import limits
from pyi_fs.errors import RequestError
from pyi_fs.ids import ROOT_INODE, InodeNumber, LayerId, segment_id
from pyi_fs.model import edit_file, extent
from pyi_fs.model.check import check
from pyi_fs.model.edit import apply
from pyi_fs.model.inode import Inode
from pyi_fs.model.mutation import (
    Allocate,
    Create,
    Mutation,
    RemoveXattr,
    SetAttributes,
    SetXattr,
    Share,
    Write,
)
from pyi_fs.model.tree import Tree, root_only

FILE, DIRECTORY, SYMLINK, FIFO = map(InodeNumber, (2, 3, 4, 5))
SEGMENT = segment_id(LayerId(1), 0)
NOW = 50


def tree_with(mode: int = 0o100644) -> Tree:
    """Returns a tree with a file of 100 bytes, a directory, a symlink and a FIFO."""
    tree = root_only(0o40755, 0, 0, 1)
    for change in (
        Create(ROOT_INODE, b"file", FILE, mode, 1, 1, 2),
        Create(ROOT_INODE, b"directory", DIRECTORY, 0o42755, 1, 1, 2),
        Create(ROOT_INODE, b"symlink", SYMLINK, 0o120777, 1, 1, 2, b"x"),
        Create(ROOT_INODE, b"fifo", FIFO, 0o010644, 1, 1, 2),
        Write(FILE, 0, 100, SEGMENT, 0, b"", 3),
    ):
        tree = apply(tree, change)
    return tree


def write(number: InodeNumber, offset: int, length: int, *, clear: bool = False) -> Write:
    """Returns a write of bytes that continue nothing."""
    return Write(number, offset, length, SEGMENT, 1000, b"", NOW, clear)


def attributes(number: InodeNumber, *, clear: bool = False, **fields: Any) -> SetAttributes:
    """Returns a change of the named fields."""
    none = dict.fromkeys(("mode", "uid", "gid", "size", "atime_ns", "mtime_ns"))
    return SetAttributes(number, time_ns=NOW, clear_setid=clear, **{**none, **fields})


def file_after(change: Mutation, mode: int = 0o100644) -> Inode:
    """Returns the file's record after a change, the tree checked."""
    tree = apply(tree_with(mode), change)
    assert check(tree) == []
    return tree.existing(FILE)


def refused(change: Mutation) -> int:
    """Returns the errno of a change that must fail."""
    with pytest.raises(RequestError) as caught:
        apply(tree_with(), change)
    return caught.value.errno


def layout(inode: Inode) -> list[tuple[int, int, int]]:
    """Returns (file offset, length, source offset) of every extent."""
    return [(e.file_offset, e.length, e.source_offset) for e in extent.iterate(inode.extents)]


def test_write_in_the_middle_keeps_both_sides() -> None:
    """The old extent is cut in two, size stays, mtime and ctime move."""
    inode = file_after(write(FILE, 40, 10))
    assert layout(inode) == [(0, 40, 0), (40, 10, 1000), (50, 50, 50)]
    assert (inode.size, inode.mtime_ns, inode.ctime_ns) == (100, NOW, NOW)


def test_write_past_the_end_leaves_a_hole() -> None:
    """What was never written is a gap, not an extent."""
    inode = file_after(write(FILE, 150, 10))
    assert layout(inode) == [(0, 100, 0), (150, 10, 1000)]
    assert inode.size == 160


@pytest.mark.parametrize("change", [write(FILE, 500, 0), Share(FILE, 500, 0, b"", NOW)])
def test_transfer_of_no_bytes_changes_nothing(change: Mutation) -> None:
    """As write(2) of nothing: no size, no time, no empty extent."""
    tree = tree_with()
    assert apply(tree, change) is tree


def test_ranges_that_cannot_be_are_refused() -> None:
    """Negative, past the largest file, or longer than an extent: an errno, not a broken record."""
    most = limits.FILE_BYTES_MAX
    for change in (
        write(FILE, -1, 5),
        write(FILE, 0, -5),
        write(FILE, 0, extent.EXTENT_BYTES_MAX + 1),
        attributes(FILE, size=-1),
        Allocate(FILE, -1, 5, 0, NOW),
        Allocate(FILE, 0, 0, 0, NOW),
        Allocate(FILE, 0, -1, 0, NOW),
        Share(FILE, -1, 5, b"", NOW),
    ):
        assert refused(change) == errno.EINVAL, change
    for change in (
        write(FILE, most - 1, 2),
        attributes(FILE, size=most + 1),
        Allocate(FILE, most - 1, 2, 0, NOW),
        Share(FILE, most - 1, 2, b"", NOW),
    ):
        assert refused(change) == errno.EFBIG, change
    assert file_after(write(FILE, most - 1, 1)).size == most


@pytest.mark.parametrize("number", [DIRECTORY, SYMLINK, FIFO, InodeNumber(99)])
def test_only_regular_files_have_data(number: InodeNumber) -> None:
    """EISDIR for a directory, EINVAL for other kinds, ENOENT for nothing."""
    expected = {DIRECTORY: errno.EISDIR, InodeNumber(99): errno.ENOENT}.get(number, errno.EINVAL)
    assert refused(write(number, 0, 1)) == expected
    assert refused(attributes(number, size=1)) == expected
    assert refused(Allocate(number, 0, 1, 0, NOW)) == expected
    assert refused(Share(number, 0, 1, b"", NOW)) == expected


def test_truncate_cuts_extents_and_growing_shows_zeros() -> None:
    """Cut bytes do not come back when the file grows again; both set mtime and ctime."""
    short = apply(tree_with(), attributes(FILE, size=30))
    assert layout(short.existing(FILE)) == [(0, 30, 0)]
    assert short.existing(FILE).mtime_ns == NOW
    grown = apply(short, attributes(FILE, size=80)).existing(FILE)
    assert (grown.size, layout(grown)) == (80, [(0, 30, 0)])
    assert file_after(attributes(FILE, size=0)).extents == extent.EMPTY


@pytest.mark.parametrize(
    ("flags", "size", "expected"),
    [
        (0, 120, [(0, 100, 0)]),
        (1, 100, [(0, 100, 0)]),
        (3, 100, [(0, 90, 0)]),
        (16, 120, [(0, 90, 0)]),
        (17, 100, [(0, 90, 0)]),
    ],
)
def test_fallocate_modes(flags: int, size: int, expected: list[tuple[int, int, int]]) -> None:
    """Plain, keep size, punch, zero range, zero range with keep size: `[90, 120)` of 100 bytes."""
    inode = file_after(Allocate(FILE, 90, 30, flags, NOW))
    assert (inode.size, layout(inode)) == (size, expected)
    assert (inode.mtime_ns, inode.ctime_ns) == (NOW, NOW)


@pytest.mark.parametrize("flags", [2, 4, 8, 9, 18, 19, 32, 64])
def test_fallocate_modes_that_we_do_not_have_are_refused(flags: int) -> None:
    """Punch without keep size, collapse, insert, unshare: EOPNOTSUPP, never a plain allocation."""
    assert refused(Allocate(FILE, 0, 10, flags, NOW)) == errno.EOPNOTSUPP


def test_share_puts_extents_at_an_offset_and_holes_between() -> None:
    """Gaps of the source are holes in the target, whatever was there."""
    piece = extent.Extent(10, 5, extent.CHUNK, b"c" * 32, 7)
    inode = file_after(Share(FILE, 40, 30, extent.from_extents([piece]), NOW))
    assert layout(inode) == [(0, 40, 0), (50, 5, 7), (70, 30, 70)]
    assert (inode.mtime_ns, inode.ctime_ns) == (NOW, NOW)


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o6755, 0o755), (0o6745, 0o2745), (0o4644, 0o644), (0o2654, 0o654), (0o1644, 0o1644)],
)
def test_set_id_bits_go_when_the_kernel_says_so(before: int, after: int) -> None:
    """Set-user-id always, set-group-id where the group may execute; without the flag nothing."""
    for change in (write(FILE, 0, 1, clear=True), attributes(FILE, uid=5, clear=True)):
        assert file_after(change, 0o100000 | before).mode == 0o100000 | after
    assert file_after(write(FILE, 0, 1), 0o100000 | before).mode == 0o100000 | before
    tree = apply(tree_with(), attributes(DIRECTORY, gid=5, clear=True))
    assert tree.existing(DIRECTORY).mode == 0o42755


def test_attributes_change_what_is_named_and_ctime() -> None:
    """Type bits stay; times that are not given stay; ctime is the time of the change."""
    before = tree_with().existing(FILE)
    inode = file_after(attributes(FILE, mode=0o140600))
    assert inode.mode == 0o100600
    assert (inode.mtime_ns, inode.atime_ns, inode.ctime_ns) == (
        before.mtime_ns,
        before.atime_ns,
        NOW,
    )
    inode = file_after(attributes(FILE, atime_ns=-5, mtime_ns=7, uid=8, gid=9))
    assert (inode.atime_ns, inode.mtime_ns, inode.uid, inode.gid) == (-5, 7, 8, 9)
    inode = file_after(attributes(FILE, size=5, mtime_ns=7))
    assert (inode.size, inode.mtime_ns) == (5, 7)


def test_xattrs_are_set_replaced_and_removed() -> None:
    """Order is that of names; ctime moves, mtime does not."""
    tree = tree_with()
    for name, value in ((b"user.b", b"1"), (b"user.a", b"2"), (b"user.b", b"3")):
        tree = apply(tree, SetXattr(FILE, name, value, NOW))
    inode = tree.existing(FILE)
    assert inode.xattrs == ((b"user.a", b"2"), (b"user.b", b"3"))
    assert (inode.xattr(b"user.b"), inode.xattr(b"user.c")) == (b"3", None)
    assert (inode.mtime_ns, inode.ctime_ns) == (3, NOW)
    tree = apply(tree, RemoveXattr(FILE, b"user.a", NOW + 1))
    assert tree.existing(FILE).xattrs == ((b"user.b", b"3"),)
    assert refused(RemoveXattr(FILE, b"user.a", NOW)) == errno.ENODATA


def test_names_of_xattrs_fit_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listxattr could not return is refused; replacing a value is not."""
    monkeypatch.setattr(limits, "XATTR_LIST_BYTES_MAX", 14)
    tree = tree_with()
    for name in (b"user.a", b"user.b", b"user.a"):
        tree = apply(tree, SetXattr(FILE, name, b"1", NOW))
    with pytest.raises(RequestError) as caught:
        apply(tree, SetXattr(FILE, b"user.c", b"1", NOW))
    assert caught.value.errno == errno.ENOSPC


def test_nearest_time_keeps_what_fits_and_cuts_what_does_not() -> None:
    assert edit_file.nearest_time(None) is None
    assert edit_file.nearest_time(-1) == -1
    assert edit_file.nearest_time(limits.TIME_NS_MAX + 1) == limits.TIME_NS_MAX
    assert edit_file.nearest_time(limits.TIME_NS_MIN - 1) == limits.TIME_NS_MIN
