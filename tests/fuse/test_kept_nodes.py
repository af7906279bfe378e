"""What a node table notes is what it is restored from."""

from pyi_fs.control.node import ControlNode
from pyi_fs.fuse.kept_nodes import kept_nodes
from pyi_fs.fuse.ledger import MemoryLedger
from pyi_fs.fuse.nodes import Gone, NodeTable, Place
from pyi_fs.ids import InodeNumber, NodeId, ViewNumber


def test_exceptions_numbers_and_control_nodes_come_back(rig):
    root, ledger = rig.session.root, MemoryLedger()
    nodes = NodeTable(rig.session, ledger)
    number = InodeNumber(7)
    fresh = nodes.renumber(root, number, InodeNumber(99), is_shown=True)
    inode = root.tree.existing(InodeNumber(1))
    nodes.redirect(NodeId(8), Gone(root, InodeNumber(8), inode))
    control = nodes.control_node(ControlNode(ViewNumber(0), (b"diff", b"a.."), "file"))
    ledger.commit()
    again = NodeTable(rig.session, ledger)
    again.restore(*kept_nodes(ledger, {0: root}))
    assert again.node_of(root, number) == fresh
    assert again.place(fresh) == Place(root, number)
    assert again.ino_of(fresh) == number
    assert again.inode(NodeId(8)) == inode
    assert again.control(control) == ControlNode(ViewNumber(0), (b"diff", b"a.."), "file")
    # Numbers go on: the kernel may still know the old ones.
    assert again.control_node(ControlNode(ViewNumber(0), (), "directory")) > control


def test_what_belongs_to_no_view_is_left_out(rig):
    ledger = MemoryLedger()
    nodes = NodeTable(rig.session, ledger)
    nodes.redirect(NodeId(8), Place(rig.session.root, InodeNumber(9)))
    ledger.commit()
    assert kept_nodes(ledger, {}).exceptions == {}
