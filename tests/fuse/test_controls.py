"""The control directory as the kernel sees it."""

import errno
import os
import stat
import threading
from functools import partial

import pytest
import trio

from pyi_fs.engine.branch_layers import BranchLayers
from pyi_fs.errors import AccessDeniedError, StaleNodeError
from tests.support.fixtures import shared_memory
from tests.support.fuse_rig import DIRECTORY, OTHER, OWNER, ROOT, Rig

__all__ = ["shared_memory"]


async def test_every_view_of_a_branch_has_its_own_and_snapshots_have_none(rig):
    rig.make(ROOT, "f")
    snapshot = await rig.snapshot()
    await rig.command("branch", "other")
    own, others = rig.node(".pyi"), rig.node(".pyi/branches/other/.pyi")
    assert own != others
    assert rig.look(f".pyi/snapshots/{snapshot}/.pyi") is None
    handle = rig.open(rig.node(".pyi/branches/other/.pyi/branch"))
    assert bytes(await rig.files.read(handle, 0, 99)) == b"other\n"


def test_control_files_belong_to_the_mounting_user_and_have_no_size(rig):
    entry = rig.look(".pyi/snapshot")
    assert stat.S_ISREG(entry.inode.mode)
    assert (entry.inode.uid, entry.inode.size) == (0, 0)
    directory = rig.look(".pyi")
    assert directory.inode.mode == stat.S_IFDIR | 0o700
    assert directory.inode.nlink == 2


def test_dots_of_control_directories(rig):
    branches = rig.node(".pyi/branches")
    assert rig.names.lookup(branches, b".", OWNER).node == branches
    assert rig.names.lookup(branches, b"..", OWNER).node == rig.node(".pyi")
    assert rig.names.lookup(rig.node(".pyi"), b"..", OWNER).node == ROOT


def test_the_roots_own_branch_is_a_link_to_the_root(rig):
    assert rig.names.readlink(rig.node(".pyi/branches/main")) == b"../.."


def test_others_may_not_open_anything(rig):
    with pytest.raises(AccessDeniedError):
        rig.open(rig.node(".pyi/status"), 0, OTHER)
    with pytest.raises(AccessDeniedError):
        rig.make(rig.node(".pyi/branches"), "theirs", DIRECTORY, OTHER)
    with pytest.raises(AccessDeniedError):
        rig.names.remove(rig.node(".pyi/branches"), b"main", OTHER, directory=True)


async def test_files_of_a_dropped_view_say_so(rig):
    await rig.command("branch", "other")
    control = rig.node(".pyi/branches/other/.pyi")
    await rig.command("drop", "other")
    with pytest.raises(StaleNodeError):
        rig.names.lookup(control, b"status", OWNER)


@pytest.mark.parametrize("how", ["file", "directory", "sync"])
async def test_requests_are_answered_while_memory_is_copied(
    shared_memory, tmp_path, monkeypatch, how
):
    """What an ephemeral branch has in memory is to last: only who asks waits for the disk."""
    maker = Rig(tmp_path / "store")
    await maker.command("branch", "try --ephemeral")
    maker.close()
    rig = Rig(tmp_path / "store", branch="try")
    await rig.write("f", b"before")
    copying, may_end = threading.Event(), threading.Event()
    copy = BranchLayers.copy_ahead

    def slow(layers):
        copying.set()
        assert may_end.wait(60)
        copy(layers)

    monkeypatch.setattr(BranchLayers, "copy_ahead", slow)

    async def ask():
        if how == "file":
            await rig.command("snapshot", "kept")
        elif how == "directory":
            snapshots = rig.node(".pyi/snapshots")
            await rig.names.make_directory(snapshots, b"kept", DIRECTORY, OWNER)
        else:
            await rig.files.fsync(rig.open(rig.node(".pyi/snapshot"), 2))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await trio.to_thread.run_sync(copying.wait, 60)
        rig.make(ROOT, "meanwhile")
        assert await rig.read("f") == b"before"
        assert not rig.workspace.refs.names
        may_end.set()
    if how != "sync":
        assert await rig.read(".pyi/snapshots/kept/f") == b"before"
        # What it had in memory has been given back.
        assert list(shared_memory.glob("*/*/layers/*/*")) == []
    rig.close()


async def test_what_could_not_be_flushed_refuses_what_is_about_it(rig):
    """With the writeback cache, on a full disk; what tells why, and what makes room, still does."""
    await rig.command("branch", "other")
    await rig.command("branch", "another")

    async def flush():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    rig.state.flush_kernel = flush
    before = rig.session.workspace.refs
    reading = rig.open(rig.node(".pyi/snapshot"))
    snapshots = rig.node(".pyi/snapshots")
    for refused in (
        partial(rig.files.read, reading, 0, 99),
        partial(rig.files.fsync, reading),
        partial(rig.names.make_directory, snapshots, b"kept", 0o040755, OWNER),
        partial(rig.command, "snapshot", "kept"),
        partial(rig.command, "branch", "third"),
    ):
        with pytest.raises(OSError, match="No space left") as caught:
            await refused()
        assert caught.value.errno == errno.ENOSPC
        assert rig.session.workspace.refs == before
    writing = rig.open(rig.node(".pyi/restore"), os.O_RDWR)
    with pytest.raises(OSError, match="No space left"):
        await rig.files.write(writing, 0, b"1")
    sentence = b"the store could not do it: No space left on device\n"
    assert bytes(await rig.files.read(writing, 0, 99)) == sentence
    assert await rig.read(".pyi/error") == sentence
    assert b'"branch": "main"' in await rig.read(".pyi/status")
    await rig.command("drop", "other")
    rig.state.flush_kernel = None
    # A refused read has left nothing to say.
    assert bytes(await rig.files.read(reading, 0, 99)) != sentence
