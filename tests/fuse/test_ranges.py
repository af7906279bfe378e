"""Ranges of open files without a mount: what is shared, refused, and cut short."""

import errno
import os

import pytest

from pyi_fs.errors import (
    InvalidArgumentError,
    NoSpaceError,
    ReadOnlyError,
    UnsupportedError,
)
from pyi_fs.fuse import ranges
from pyi_fs.fuse.attributes import Space
from pyi_fs.fuse.ranges import BeyondEndError
from pyi_fs.model import extent
from pyi_fs.model.mutation import FALLOCATE_KEEP_SIZE, FALLOCATE_PUNCH_HOLE
from tests.support.fuse_rig import OWNER, ROOT

PUNCH = FALLOCATE_PUNCH_HOLE | FALLOCATE_KEEP_SIZE


async def opened(rig, path, data=b"", flags=os.O_RDWR):
    """Returns a handle of a file with that content."""
    await rig.write(path, data)
    return rig.open(rig.node(path), flags)


def extents_of(rig, path):
    """Returns the extents of a file of the root view."""
    number = rig.branch.tree.resolve(path.encode())
    return list(extent.iterate(rig.branch.tree.existing(number).extents))


async def test_a_hole_is_punched_and_found(rig):
    handle = await opened(rig, "f", b"x" * 100)
    rig.ranges.allocate(handle, 20, 30, PUNCH)
    assert await rig.read("f") == b"x" * 20 + bytes(30) + b"x" * 50
    assert rig.ranges.seek(handle, 0, os.SEEK_HOLE) == 20
    assert rig.ranges.seek(handle, 25, os.SEEK_DATA) == 50
    assert rig.ranges.seek(handle, 60, os.SEEK_HOLE) == 100
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        with pytest.raises(BeyondEndError) as raised:
            rig.ranges.seek(handle, 100, whence)
        assert raised.value.errno == errno.ENXIO
    with pytest.raises(InvalidArgumentError):
        rig.ranges.seek(handle, 0, os.SEEK_SET)


async def test_room_is_asked_for_where_it_would_be_needed(rig, monkeypatch):
    handle = await opened(rig, "f", b"x" * 100)
    one_block = Space(4096, 100, 1, 1, 10, 10, 255)
    monkeypatch.setattr(ranges, "space_of", lambda _: one_block)
    rig.ranges.allocate(handle, 0, 4096, 0)
    with pytest.raises(NoSpaceError):
        rig.ranges.allocate(handle, 0, 4097, 0)
    rig.ranges.allocate(handle, 0, 1 << 39, PUNCH)
    assert rig.metadata.getattr(rig.node("f")).inode.size == 4096


async def test_a_capability_goes_with_a_change_of_the_content(rig):
    source, target = await opened(rig, "s", b"12345"), await opened(rig, "f", b"x" * 100)
    node = rig.node("f")
    for change in (
        lambda: rig.ranges.allocate(target, 0, 10, PUNCH),
        lambda: rig.ranges.copy(source, 0, target, 0, 5),
    ):
        rig.metadata.setxattr(node, b"security.capability", b"x")
        change()
        assert rig.metadata.getxattr(node, b"security.capability") is None


async def test_a_copy_shares_what_is_there(rig):
    source, target = await opened(rig, "s", b"0123456789"), await opened(rig, "t", b"abc")
    assert rig.ranges.copy(source, 2, target, 5, 100) == 8
    assert await rig.read("t") == b"abc\0\x0023456789"
    shared, old = extents_of(rig, "t")[-1], extents_of(rig, "s")[0]
    assert (shared.source, shared.source_offset) == (old.source, old.source_offset + 2)
    assert rig.ranges.copy(source, 10, target, 0, 5) == 0
    assert rig.ranges.copy(source, 1 << 60, target, 0, 5) == 0


async def test_holes_are_copied_as_holes(rig):
    source, target = await opened(rig, "s", b"x" * 100), await opened(rig, "t", b"y" * 100)
    rig.ranges.allocate(source, 10, 80, PUNCH)
    assert rig.ranges.copy(source, 0, target, 0, 100) == 100
    assert [(e.file_offset, e.length) for e in extents_of(rig, "t")] == [(0, 10), (90, 10)]


async def test_a_copy_of_many_pieces_stops_between_two(rig, monkeypatch):
    monkeypatch.setattr(ranges, "_EXTENTS_MAX", 3)
    source, target = await opened(rig, "s", b"x" * 100), await opened(rig, "t", b"")
    for offset in range(5, 100, 10):
        rig.ranges.allocate(source, offset, 5, PUNCH)
    done = 0
    while done < 100:
        count = rig.ranges.copy(source, done, target, done, 100 - done)
        assert 0 < count <= 30
        done += count
    assert await rig.read("t") == await rig.read("s")


async def test_what_is_shared_with_another_branch_is_not_given_back(rig):
    rig.session.make_branch("lender", rig.session.root, None, ephemeral=False)
    await rig.write(".pyi/branches/lender/f", b"lent" * 100)
    lent = rig.open(rig.node(".pyi/branches/lender/f"))
    target = await opened(rig, "t", b"")
    assert rig.ranges.copy(lent, 0, target, 0, 1000) == 400
    lender = rig.workspace.opened("lender")
    assert lender is not None
    await rig.write(".pyi/branches/lender/f", b"over" * 100)
    assert lender.writer is not None
    assert lender.writer.scratch.garbage_bytes == 0
    assert await rig.read("t") == b"lent" * 100


async def test_a_branch_that_may_be_lost_lends_nothing_to_others(rig):
    rig.session.make_branch("fleeting", rig.session.root, None, ephemeral=True)
    await rig.write(".pyi/branches/fleeting/f", b"lent")
    lent = rig.open(rig.node(".pyi/branches/fleeting/f"), os.O_RDWR)
    target = await opened(rig, "t", b"mine")
    with pytest.raises(UnsupportedError):
        rig.ranges.copy(lent, 0, target, 0, 4)
    # Within it, and into it, there is no harm.
    assert rig.ranges.copy(lent, 0, lent, 10, 4) == 4
    assert rig.ranges.copy(target, 0, lent, 0, 4) == 4


async def test_a_snapshot_in_memory_lends_nothing_to_what_is_on_disk(rig):
    rig.session.make_branch("fleeting", rig.session.root, None, ephemeral=True)
    await rig.write(".pyi/branches/fleeting/f", b"lent")
    line = await rig.read(".pyi/branches/fleeting/.pyi/snapshot")
    name = line.decode().split("\t")[0]
    lent = rig.open(rig.node(f".pyi/snapshots/{name}/f"))
    target = await opened(rig, "t", b"mine")
    with pytest.raises(UnsupportedError):
        rig.ranges.copy(lent, 0, target, 0, 4)
    other = rig.open(rig.node(".pyi/branches/fleeting/f"), os.O_RDWR)
    assert rig.ranges.copy(lent, 0, other, 10, 4) == 4
    await rig.command("branches/fleeting/.pyi/snapshot", "kept")
    again = rig.open(rig.node(f".pyi/snapshots/{name}/f"))
    assert rig.ranges.copy(again, 0, target, 0, 4) == 4
    assert await rig.read("t") == b"lent"


async def test_only_regular_files_open_for_writing_are_changed(rig):
    reading, snapshot = await opened(rig, "f", b"12345", os.O_RDONLY), await rig.snapshot()
    with pytest.raises(InvalidArgumentError):
        rig.ranges.allocate(reading, 0, 10, 0)
    with pytest.raises(InvalidArgumentError):
        rig.ranges.copy(reading, 0, reading, 10, 5)
    control = rig.open(rig.node(".pyi/status"))
    with pytest.raises(UnsupportedError):
        rig.ranges.seek(control, 0, os.SEEK_DATA)
    listing = rig.listings.opendir(ROOT, OWNER)
    with pytest.raises(InvalidArgumentError):
        rig.ranges.seek(listing, 0, os.SEEK_DATA)
    with pytest.raises(ReadOnlyError):
        rig.open(rig.node(f".pyi/snapshots/{snapshot}/f"), os.O_RDWR)
