"""Unlinked inodes go when nobody holds them, and not before."""

import errno
import os

import pytest

from pyi_fs.errors import StaleNodeError
from tests.support.fuse_rig import OWNER, ROOT


def unlinked(rig):
    return list(rig.branch.tree.unlinked)


async def test_an_unlinked_file_is_reaped_when_forgotten(rig):
    nodes = [rig.make(ROOT, f"f{index}") for index in range(3)]
    rig.look("f0")
    for index in range(3):
        rig.names.remove(ROOT, b"f%d" % index, OWNER, directory=False)
    assert sorted(unlinked(rig)) == sorted(nodes)
    rig.reaper.forget([(nodes[0], 1), (nodes[1], 1), (nodes[2], 1)])
    assert unlinked(rig) == [nodes[0]]
    rig.reaper.forget([(nodes[0], 1)])
    assert unlinked(rig) == []


async def test_an_open_file_is_reaped_after_its_release(rig):
    node = rig.make(ROOT, "f")
    one, two = rig.open(node, os.O_RDWR), rig.open(node, os.O_RDONLY)
    rig.names.remove(ROOT, b"f", OWNER, directory=False)
    rig.reaper.forget([(node, 1)])
    assert unlinked(rig) == [node]
    rig.reaper.release(one)
    assert unlinked(rig) == [node]
    rig.reaper.release(two)
    assert unlinked(rig) == []


async def test_a_file_with_names_stays(rig):
    node = rig.make(ROOT, "f")
    rig.reaper.forget([(node, 1), (77, 3)])
    assert rig.look("f").node == node


async def test_a_reap_that_failed_is_made_good(rig, monkeypatch):
    one, two = rig.make(ROOT, "f"), rig.make(ROOT, "g")
    for name in (b"f", b"g"):
        rig.names.remove(ROOT, name, OWNER, directory=False)

    def full(mutation):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(rig.branch, "commit", full)
        rig.reaper.forget([(one, 1)])
    assert sorted(unlinked(rig)) == [one, two]
    rig.reaper.forget([(two, 1)])
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
    rig.session.let_go(view)
    rig.reaper.forget([])
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
