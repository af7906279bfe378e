"""Nodes are values."""

from pyi_fs.control.node import ControlNode
from pyi_fs.ids import ViewNumber


def test_a_node_is_equal_to_itself_found_again():
    top = ControlNode(ViewNumber(3), (), "directory")
    assert top.child(b"last", "file") == ControlNode(ViewNumber(3), (b"last",), "file")
    assert len({top.child(b"last", "file"), top.child(b"last", "file"), top}) == 2


def test_nodes_of_two_views_differ():
    one, two = (ControlNode(ViewNumber(number), (b"last",), "file") for number in (1, 2))
    assert one != two
