"""Control commands on an open file: whose `.pyi` is meant, and who may."""

import pytest

from pyi_fs.control import ioctls
from pyi_fs.errors import (
    AccessDeniedError,
    InvalidArgumentError,
    NotFoundError,
    ReadOnlyError,
    StaleNodeError,
)
from tests.support.fuse_rig import OTHER, OWNER, ROOT


async def test_each_command_is_that_of_its_control_file(rig):
    await rig.write("f", b"first")
    handle = rig.open(rig.node("f"))
    command = rig.ioctls.command
    line = await command(handle, ioctls.SNAPSHOT, b"good\nwhy", OWNER)
    assert line == await rig.read(".pyi/last")
    await rig.write("f", b"later")
    first = line.split(b"\t")[0]
    assert await command(handle, ioctls.RESTORE, b"good\n", OWNER) == first + b"\n"
    assert await rig.read("f") == b"first"
    assert await command(handle, ioctls.FORK, b"fork good", OWNER) == b"fork\n"
    assert rig.store.workspace_names() == ["fork", "w"]


async def test_without_text_only_a_snapshot_does_something(rig):
    handle = rig.listings.opendir(ROOT, OWNER)
    assert (await rig.ioctls.command(handle, ioctls.SNAPSHOT, b"", OWNER)).startswith(b"1-")
    for number in (ioctls.RESTORE, ioctls.FORK):
        with pytest.raises(InvalidArgumentError, match="nothing was written"):
            await rig.ioctls.command(handle, number, b"", OWNER)


async def test_it_is_the_view_of_the_open_file_that_is_meant(rig):
    await rig.write("f", b"1")
    await rig.command("branch", "side")
    below = rig.node(".pyi/branches/side")
    handles = [
        rig.open(rig.node(".pyi/branches/side/f")),
        rig.listings.opendir(below, OWNER),
        rig.listings.opendir(rig.node(".pyi/branches/side/.pyi"), OWNER),
        rig.open(rig.node(".pyi/branches/side/.pyi/status")),
    ]
    for index, handle in enumerate(handles):
        rig.make(below, f"new{index}")
        taken = await rig.ioctls.command(handle, ioctls.SNAPSHOT, b"", OWNER)
        assert taken.endswith(b"\t+1 ~0 -0\n")
    refs = rig.workspace.refresh()
    assert refs.branch("side").last is not None
    assert refs.branch("main").last is None


async def test_only_the_control_user_and_root_may(rig):
    handle = rig.listings.opendir(ROOT, OWNER)
    for number in ioctls.FILES:
        with pytest.raises(AccessDeniedError):
            await rig.ioctls.command(handle, number, b"x", OTHER)
    assert rig.workspace.refresh().ordered() == []
    assert rig.store.workspace_names() == ["w"]


async def test_a_refusal_leaves_its_sentence(rig):
    handle = rig.listings.opendir(ROOT, OWNER)
    with pytest.raises(NotFoundError) as caught:
        await rig.ioctls.command(handle, ioctls.RESTORE, b"nothing", OWNER)
    assert await rig.read(".pyi/error") == f"{caught.value}\n".encode()


async def test_a_tree_that_stays_as_it_is_refuses(rig):
    await rig.write("f", b"1")
    snapshot = await rig.snapshot()
    handle = rig.open(rig.node(f".pyi/snapshots/{snapshot}/f"))
    for number in ioctls.FILES:
        with pytest.raises(ReadOnlyError, match=f"snapshots/{snapshot} is a snapshot and stays"):
            await rig.ioctls.command(handle, number, b"x", OWNER)


@pytest.mark.parametrize("path", ["f", ".pyi/status"])
async def test_a_branch_that_was_dropped_is_stale(rig, path):
    await rig.write("f", b"1")
    await rig.command("branch", "side")
    handle = rig.open(rig.node(f".pyi/branches/side/{path}"))
    await rig.command("drop", "side")
    with pytest.raises(StaleNodeError):
        await rig.ioctls.command(handle, ioctls.SNAPSHOT, b"", OWNER)
