"""Unused branches are given up, and nobody is woken when nothing happens."""

import trio
import trio.testing

from pyi_fs.fuse.letting_go import let_go, let_go_of_unused
from pyi_fs.store.leases import leased
from tests.support.fuse_rig import OWNER, ROOT


async def used_and_left(rig):
    """Makes a file on another branch and has the kernel forget it; returns the view."""
    await rig.command("branch", "other")
    root = rig.node(".pyi/branches/other")
    view = rig.session.views[root >> 40]
    made = rig.names.make(root, b"g", 0o100644, OWNER)
    rig.reaper.forget([(root, 1000), (made.node, 1000)])
    return view


async def test_a_branch_is_let_go_only_when_all_of_it_is_durable(rig):
    view = await used_and_left(rig)
    assert let_go(rig.state)
    assert view.branch is not None
    view.branch.sync()
    assert not let_go(rig.state)
    assert view.branch is None


async def test_an_unused_branch_is_given_up_after_the_interval(rig, nursery, autojump_clock):
    nursery.start_soon(let_go_of_unused, rig.state, 30.0)
    view = await used_and_left(rig)
    await trio.sleep(31)
    assert view.branch is not None
    view.branch.sync()
    await trio.sleep(31)
    assert view.branch is None


async def test_a_branch_that_left_the_root_is_given_up_too(rig, nursery, autojump_clock):
    nursery.start_soon(let_go_of_unused, rig.state, 30.0)
    await rig.command("branch", "other")
    await rig.command("head", "other")
    rig.branch.sync()
    await trio.sleep(31)
    assert rig.workspace.opened("main") is None
    assert rig.workspace.opened("other") is not None


async def test_nothing_wakes_it_while_nothing_is_given_up(rig, nursery, monkeypatch):
    await rig.command("branch", "other")
    rig.node(".pyi/branches/other")
    nursery.start_soon(let_go_of_unused, rig.state, 0.0)
    rig.state.given_up = trio.Event()
    looks: list[object] = []
    monkeypatch.setattr("pyi_fs.fuse.letting_go.let_go", looks.append)
    await trio.testing.wait_all_tasks_blocked()
    rig.make(ROOT, "f")
    await trio.testing.wait_all_tasks_blocked()
    assert looks == []


async def read_again(rig, handle):
    return await rig.files.read(handle, 0, 100_000)


async def test_an_open_file_of_a_deleted_snapshot_keeps_its_bytes_until_it_is_closed(rig):
    rig.make(ROOT, "f")
    await rig.write("f", b"old" * 10_000)
    snapshot = await rig.snapshot()
    await rig.write("f", b"new" * 10_000)
    await rig.snapshot()
    node = rig.node(f".pyi/snapshots/{snapshot}/f")
    handle = rig.open(node, 0)
    assert await read_again(rig, handle) == b"old" * 10_000
    leases = rig.workspace.leases
    assert len(leases) == 1
    rig.session.delete_snapshot(snapshot)
    let_go(rig.state)
    assert len(leases) == 1
    rig.reaper.release(handle)
    assert rig.state.given_up.is_set()
    let_go(rig.state)
    assert len(leases) == 0


async def test_a_snapshot_that_was_looked_at_is_let_go_of_when_the_kernel_forgets_it(rig):
    rig.make(ROOT, "f")
    snapshot = await rig.snapshot()
    root = rig.node(f".pyi/snapshots/{snapshot}")
    node = rig.node(f".pyi/snapshots/{snapshot}/f")
    let_go(rig.state)
    assert len(rig.workspace.leases) == 1
    rig.reaper.forget([(root, 1000), (node, 1000)])
    let_go(rig.state)
    assert len(rig.workspace.leases) == 0


async def test_an_open_file_of_a_dropped_branch_is_leased(rig):
    await rig.command("branch", "other")
    root = rig.node(".pyi/branches/other")
    made = rig.names.make(root, b"g", 0o100644, OWNER)
    handle = rig.open(made.node, 0)
    branch = rig.workspace.opened("other")
    position = branch.position
    await rig.command("drop", "other")
    assert list(leased(rig.store.storage)) == [position]
    let_go(rig.state)
    assert len(rig.workspace.leases) == 1
    rig.reaper.release(handle)
    let_go(rig.state)
    assert len(rig.workspace.leases) == 0
