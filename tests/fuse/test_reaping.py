"""Unlinked inodes go when nobody holds them, and not before; small ones together."""

import errno
import os
import random

import pytest
import trio

from pyi_fs.errors import StaleNodeError
from pyi_fs.fuse.reaping import TOGETHER_MAX, WAITING_BYTES_MAX
from pyi_fs.model.mutation import Reap
from tests.support.fuse_rig import OWNER, ROOT


def unlinked(rig):
    return sorted(rig.branch.tree.unlinked)


def remove(rig, name):
    rig.names.remove(ROOT, name.encode(), OWNER, directory=False)


@pytest.fixture
def reaps(rig, monkeypatch):
    """Gives the numbers of each reap that was committed."""
    seen, commit = [], rig.branch.commit

    def watched(mutation):
        if isinstance(mutation, Reap):
            seen.append(mutation.numbers)
        return commit(mutation)

    monkeypatch.setattr(rig.branch, "commit", watched)
    return seen


async def test_an_unlinked_file_is_reaped_when_forgotten(rig):
    nodes = [rig.make(ROOT, f"f{index}") for index in range(3)]
    rig.look("f0")
    for index in range(3):
        remove(rig, f"f{index}")
    assert unlinked(rig) == sorted(nodes)
    rig.reaper.forget([(nodes[0], 1), (nodes[1], 1), (nodes[2], 1)])
    rig.reaper.reap()
    assert unlinked(rig) == [nodes[0]]
    rig.reaper.forget([(nodes[0], 1)])
    rig.reaper.reap()
    assert unlinked(rig) == []


async def test_an_open_file_is_reaped_after_its_release(rig):
    node = rig.make(ROOT, "f")
    one, two = rig.open(node, os.O_RDWR), rig.open(node, os.O_RDONLY)
    remove(rig, "f")
    rig.reaper.forget([(node, 1)])
    rig.reaper.reap()
    assert unlinked(rig) == [node]
    rig.reaper.release(one)
    rig.reaper.reap()
    assert unlinked(rig) == [node]
    rig.reaper.release(two)
    rig.reaper.reap()
    assert unlinked(rig) == []


async def test_a_file_with_names_stays(rig):
    node = rig.make(ROOT, "f")
    rig.reaper.forget([(node, 1), (77, 3)])
    rig.reaper.reap()
    assert rig.look("f").node == node


async def test_small_files_are_reaped_together_when_there_are_many(rig, reaps):
    nodes = [rig.make(ROOT, f"f{index}") for index in range(TOGETHER_MAX)]
    for index in range(TOGETHER_MAX):
        remove(rig, f"f{index}")
    for node in nodes[:-1]:
        rig.reaper.forget([(node, 1)])
    assert (reaps, unlinked(rig)) == ([], nodes)
    rig.reaper.forget([(nodes[-1], 1)])
    assert (reaps, unlinked(rig)) == ([tuple(nodes)], [])


async def test_a_large_file_does_not_wait_nor_what_waits_already(rig, reaps):
    small, large = rig.make(ROOT, "small"), rig.make(ROOT, "large")
    writing = rig.open(large, os.O_WRONLY)
    await rig.files.write(writing, 0, random.Random(1).randbytes(WAITING_BYTES_MAX + 1))
    rig.reaper.release(writing)
    for name in ("small", "large"):
        remove(rig, name)
    rig.reaper.forget([(small, 1)])
    assert reaps == []
    rig.reaper.forget([(large, 1)])
    assert (reaps, unlinked(rig)) == ([(small, large)], [])


async def test_what_waits_is_not_found_by_its_file_handle(rig):
    """It would be reaped under who opens it: `open_by_handle_at` asks for '.' of a node."""
    node = rig.make(ROOT, "f")
    opened = rig.open(node, os.O_RDWR)
    remove(rig, "f")
    rig.reaper.forget([(node, 1)])
    rig.reaper.release(opened)
    assert unlinked(rig) == [node]
    with pytest.raises(StaleNodeError):
        rig.names.lookup(node, b".", OWNER)
    assert not rig.state.nodes.is_known(node)


async def test_an_unlinked_file_that_is_known_is_found_by_its_file_handle(rig):
    node = rig.make(ROOT, "f")
    remove(rig, "f")
    assert rig.names.lookup(node, b".", OWNER).node == node
    rig.reaper.forget([(node, 1)])
    rig.reaper.reap()
    assert unlinked(rig) == [node]


async def test_what_waits_is_reaped_a_moment_later(rig, reaps, autojump_clock):
    one, two = rig.make(ROOT, "f"), rig.make(ROOT, "g")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.reaper.run)
        for name, node in (("f", one), ("g", two)):
            remove(rig, name)
            rig.reaper.forget([(node, 1)])
        await trio.sleep(1)
        assert (reaps, unlinked(rig)) == ([(one, two)], [])
        # And it waits for the next one, without a timer.
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline > 3600
        three = rig.make(ROOT, "h")
        remove(rig, "h")
        rig.reaper.forget([(three, 1)])
        await trio.sleep(1)
        assert reaps[1:] == [(three,)]
        nursery.cancel_scope.cancel()


async def test_a_command_finds_nothing_that_nobody_holds(rig):
    node = rig.make(ROOT, "f")
    remove(rig, "f")
    rig.reaper.forget([(node, 1)])
    assert unlinked(rig) == [node]
    await rig.read(".pyi/snapshot")
    assert unlinked(rig) == []


async def test_what_a_restore_has_brought_back_is_not_reaped(rig):
    node = rig.make(ROOT, "f")
    before = (await rig.read(".pyi/snapshot")).split()[0].decode()
    remove(rig, "f")
    rig.reaper.forget([(node, 1)])
    rig.session.workspace.restore(rig.branch, before)
    rig.reaper.reap()
    assert rig.look("f").inode.nlink == 1


async def test_a_reap_that_failed_is_made_good(rig, monkeypatch):
    one, two = rig.make(ROOT, "f"), rig.make(ROOT, "g")
    for name in ("f", "g"):
        remove(rig, name)

    def full(mutation):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(rig.branch, "commit", full)
        rig.reaper.forget([(one, 1)])
        rig.reaper.reap()
    assert unlinked(rig) == [one, two]
    rig.reaper.forget([(two, 1)])
    rig.reaper.reap()
    assert unlinked(rig) == []


async def test_a_reap_that_failed_never_writes_to_a_branch_that_was_closed(rig, monkeypatch):
    await rig.command("branch", "other")
    root = rig.node(".pyi/branches/other")
    view = rig.session.views[root >> 40]
    made = rig.names.make(root, b"g", 0o100644, OWNER)
    branch = view.branch
    rig.names.remove(root, b"g", OWNER, directory=False)

    def full(mutation):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(branch, "commit", full)
        rig.reaper.forget([(made.node, 1), (root, 1000)])
        rig.reaper.reap()
    rig.session.let_go(view)
    rig.reaper.reap()
    assert branch.writer is None


async def test_control_nodes_are_freed_when_forgotten(rig):
    node = rig.node(".pyi/status")
    assert rig.state.nodes.control(node).path == (b"status",)
    again = rig.node(".pyi/status")
    assert again == node
    rig.reaper.forget([(node, 2)])
    with pytest.raises(StaleNodeError):
        rig.state.nodes.control(node)
    assert rig.node(".pyi/status") != node
