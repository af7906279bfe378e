"""Open files: reading, writing, truncation at open, fsync, control files."""

import os

import pytest

from pyi_fs.errors import (
    InvalidArgumentError,
    IsADirectoryInTreeError,
    NotFoundError,
    ReadOnlyError,
)
from tests.support.fuse_rig import DIRECTORY, FILE, OTHER, OWNER, ROOT


async def test_what_is_written_is_read(rig):
    handle, entry = rig.files.create(ROOT, b"f", FILE, os.O_RDWR, OWNER)
    assert await rig.files.write(handle, 0, b"hello") == 5
    assert await rig.files.write(handle, 10, b"world") == 5
    assert bytes(await rig.files.read(handle, 0, 100)) == b"hello\0\0\0\0\0world"
    assert bytes(await rig.files.read(handle, 3, 4)) == b"lo\0\0"
    assert bytes(await rig.files.read(handle, 15, 4)) == b""
    assert rig.metadata.getattr(entry.node).inode.size == 15


async def test_truncation_at_open_is_done_by_us(rig):
    await rig.write("f", b"12345")
    before = rig.look("f").inode
    rig.open(rig.node("f"), os.O_WRONLY | os.O_TRUNC)
    after = rig.look("f").inode
    assert after.size == 0
    assert after.mtime_ns > before.mtime_ns


async def test_a_user_who_writes_takes_set_id_bits_away_and_root_does_not(rig):
    node = rig.make(ROOT, "f", 0o106777)
    rig.metadata.setxattr(node, b"security.capability", b"all")
    await rig.files.write(rig.open(node, os.O_WRONLY, OWNER), 0, b"1")
    assert rig.metadata.getattr(node).inode.mode == 0o106777
    assert rig.metadata.getxattr(node, b"security.capability") is None
    await rig.files.write(rig.open(node, os.O_WRONLY, OTHER), 0, b"1")
    assert rig.metadata.getattr(node).inode.mode == 0o100777
    rig.make(ROOT, "g", 0o106777)
    rig.open(rig.node("g"), os.O_WRONLY | os.O_TRUNC, OTHER)
    assert rig.look("g").inode.mode == 0o100777


async def test_an_unlinked_file_goes_on(rig):
    await rig.write("f", b"12345")
    node = rig.node("f")
    handle = rig.open(node, os.O_RDWR)
    rig.names.remove(ROOT, b"f", OWNER, directory=False)
    assert rig.metadata.getattr(node).inode.nlink == 0
    await rig.files.write(handle, 5, b"6")
    assert bytes(await rig.files.read(handle, 0, 10)) == b"123456"


async def test_what_cannot_be_opened_or_written(rig):
    directory = rig.make(ROOT, "d", DIRECTORY)
    with pytest.raises(IsADirectoryInTreeError):
        rig.open(directory)
    await rig.write("f", b"1")
    with pytest.raises(InvalidArgumentError):
        await rig.files.write(rig.open(rig.node("f"), os.O_RDONLY), 0, b"2")
    old = rig.node(f".pyi/snapshots/{await rig.snapshot()}/f")
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC):
        with pytest.raises(ReadOnlyError):
            rig.open(old, flags)
    assert bytes(await rig.files.read(rig.open(old), 0, 10)) == b"1"


async def test_what_is_not_at_hand_is_read_in_a_thread(rig, monkeypatch):
    await rig.write("f", b"12345")
    monkeypatch.setattr(rig.workspace.reader, "read_nowait", lambda *_: None)
    assert await rig.read("f") == b"12345"
    old = rig.node(f".pyi/snapshots/{await rig.snapshot()}/f")
    assert bytes(await rig.files.read(rig.open(old), 1, 2)) == b"23"


async def test_fsync_makes_the_branch_durable(rig):
    handle, _ = rig.files.create(ROOT, b"f", FILE, os.O_RDWR, OWNER)
    await rig.files.write(handle, 0, b"hello")
    assert not rig.branch.writer.is_synced
    await rig.files.fsync(handle)
    assert rig.branch.writer.is_synced
    rig.make(ROOT, "g")
    await rig.files.fsync(rig.listings.opendir(ROOT, OWNER))
    assert rig.branch.writer.is_synced
    rig.make(ROOT, "h")
    await rig.files.fsync(rig.open(rig.node(".pyi/snapshot")))
    assert rig.branch.writer.is_synced


async def test_control_files_answer_through_their_handles(rig):
    rig.make(ROOT, "f")
    handle = rig.open(rig.node(".pyi/snapshot"), os.O_RDWR | os.O_TRUNC)
    line = bytes(await rig.files.read(handle, 0, 4096))
    assert line.endswith(b"+1 ~0 -0\n")
    assert bytes(await rig.files.read(handle, len(line), 4096)) == b""
    with pytest.raises(NotFoundError):
        await rig.command("restore", "nosuch")
    assert b"nosuch" in await rig.read(".pyi/error")
