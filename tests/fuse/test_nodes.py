"""Nodes: what the kernel's ids stand for, with and without exceptions."""

import pytest

from pyi_fs.control.node import ControlNode
from pyi_fs.errors import NotFoundError, StaleNodeError
from pyi_fs.fuse.nodes import CONTROL_BIT, Gone, Place, is_control
from pyi_fs.ids import ROOT_INODE
from pyi_fs.model.inode import with_fields
from tests.support.fuse_rig import DIRECTORY, OWNER, ROOT


@pytest.fixture
def nodes(rig):
    return rig.state.nodes


async def test_node_ids_say_view_and_number(rig, nodes):
    node = rig.make(ROOT, "f")
    assert nodes.place(node) == Place(rig.session.root, node)
    await rig.command("branch", "other")
    entry = rig.look(".pyi/branches/other/f")
    view = rig.session.views[entry.node >> 40]
    assert entry.node == view.number << 40 | node
    assert nodes.place(entry.node) == Place(view, node)
    with pytest.raises(StaleNodeError):
        nodes.place(99 << 40 | 1)


def test_a_gone_file_keeps_its_attributes_until_it_is_forgotten(rig, nodes):
    node = rig.make(ROOT, "f")
    record = with_fields(nodes.inode(node), size=77)
    nodes.redirect(node, Gone(rig.session.root, node, record))
    assert nodes.inode(node).size == 77
    with pytest.raises(StaleNodeError):
        nodes.place(node)
    assert nodes.forget(node, 1) is None
    assert nodes.gone(node) is None


def test_a_gone_directory_is_as_after_rmdir(rig, nodes):
    node = rig.make(ROOT, "d", DIRECTORY)
    nodes.redirect(node, Gone(rig.session.root, node, nodes.inode(node)))
    with pytest.raises(NotFoundError):
        nodes.place(node)
    nodes.revive(rig.session.root, node, node)
    assert nodes.place(node).number == node


def test_a_new_node_stays_its_files_node_while_the_mount_lives(rig, nodes):
    node = rig.make(ROOT, "f")
    new = nodes.renumber(rig.session.root, node, rig.branch.next_inode())
    assert rig.look("f").node == new
    assert new < 1 << 32
    assert nodes.place(new).number == node
    assert nodes.forget(new, 1).number == node
    assert rig.look("f").node == new


def test_a_new_node_stays_its_files_node_while_the_file_is_gone(rig, nodes):
    """Forgotten meanwhile, and back by a restore: the node must not stand for its own number."""
    root = rig.session.root
    node = rig.make(ROOT, "f")
    new = nodes.renumber(root, node, rig.branch.next_inode())
    assert rig.look("f").node == new
    nodes.redirect(new, Gone(root, node, root.tree.existing(node)))
    assert nodes.forget(new, 1) is None
    assert nodes.gone(new) is None
    assert rig.look("f").node == new
    assert nodes.place(new) == Place(root, node)


def test_a_new_node_may_show_its_files_own_number_until_it_is_another_files(rig, nodes):
    root = rig.session.root
    number = rig.make(ROOT, "f")
    assert nodes.ino_of(number) == number
    hidden = nodes.renumber(root, number, rig.branch.next_inode())
    assert nodes.ino_of(hidden) == hidden
    shown = nodes.renumber(root, number, rig.branch.next_inode(), is_shown=True)
    assert nodes.ino_of(shown) == number
    nodes.counts.add(shown)
    nodes.renumber(root, number, rig.branch.next_inode())
    assert nodes.ino_of(shown) == number
    nodes.forget(shown, 1)
    assert nodes.ino_of(shown) == shown


def test_an_orphans_node_is_forgotten_with_its_exception(rig, nodes):
    node = rig.make(ROOT, "f")
    other = rig.make(ROOT, "g")
    nodes.redirect(node, Place(rig.session.root, other))
    assert nodes.place(node).number == other
    assert nodes.forget(node, 1).number == other
    assert nodes.place(node).number == node


def test_known_nodes_of_a_view(rig, nodes):
    view = rig.session.root
    first, second = rig.make(ROOT, "f"), rig.make(ROOT, "g")
    rig.look(".pyi/status")
    assert sorted(nodes.known_of(view)) == [(ROOT, 1), (first, first), (second, second)]
    rig.reaper.forget([(first, 1)])
    assert sorted(nodes.known_of(view)) == [(ROOT, 1), (second, second)]


async def test_a_file_has_a_known_node_while_the_kernel_has_looked_it_up(rig, nodes):
    await rig.write("f", b"1")
    node = rig.node("f")
    view, number = nodes.place(node)
    assert nodes.known_node(view, ROOT_INODE) == ROOT
    assert nodes.known_node(view, number) == node
    fresh = nodes.renumber(view, number, rig.branch.next_inode())
    assert nodes.known_node(view, number) is None
    nodes.counts.add(fresh)
    assert nodes.known_node(view, number) == fresh


def test_control_nodes_are_out_of_the_way_of_all_others(rig, nodes):
    control = ControlNode(rig.session.root.number, (b"status",), "file")
    node = nodes.control_node(control)
    assert is_control(node)
    assert CONTROL_BIT < node < 1 << 40
    assert nodes.control_node(control) == node
    assert nodes.control(node) == control
    assert not is_control(rig.names.make(ROOT, b"f", 0o100644, OWNER).node)
    with pytest.raises(StaleNodeError):
        nodes.control(node + 1)


async def test_exceptions_of_a_view_go_with_it(rig, nodes):
    await rig.command("branch", "other")
    rig.make(ROOT, "f")
    view = rig.session.views[rig.node(".pyi/branches/other") >> 40]
    new = nodes.renumber(view, 1, rig.branch.next_inode())
    assert nodes.node_of(view, 1) == new
    nodes.forget_view(view)
    assert nodes.node_of(view, 1) == view.number << 40 | 1


async def test_what_a_dead_server_noted_of_a_view_goes_with_it_too(rig, nodes):
    await rig.command("branch", "try")
    rig.look(".pyi/branches/try")
    view = next(view for view in rig.session.views.values() if view.number)
    number = rig.branch.next_inode()
    plain = nodes.node_of(view, number)
    nodes.restore({plain + 1: Place(view, number)}, {(view.number, number): plain + 1}, {}, {})
    assert nodes.node_of(view, number) == plain + 1
    nodes.forget_view(rig.session.root)
    assert nodes.node_of(view, number) == plain + 1
    nodes.forget_view(view)
    assert nodes.node_of(view, number) == plain
    assert nodes.place(plain).view is view
