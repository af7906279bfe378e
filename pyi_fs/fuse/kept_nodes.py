"""What a dead server noted of its nodes, read back: the inverse of what `NodeTable` notes."""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec

from pyi_fs.control.node import ControlNode
from pyi_fs.control.view import View
from pyi_fs.fuse.ledger import MemoryLedger
from pyi_fs.fuse.nodes import Gone, Place
from pyi_fs.ids import InodeNumber, NodeId, ViewNumber
from pyi_fs.model.inode import Inode

_decode_inode = msgspec.msgpack.Decoder(Inode).decode


class KeptNodes(NamedTuple):
    """The arguments of `NodeTable.restore`."""

    exceptions: dict[NodeId, Place | Gone]
    renumbered: dict[tuple[int, InodeNumber], NodeId]
    shown: dict[NodeId, int]
    control: dict[NodeId, ControlNode]


def kept_nodes(ledger: MemoryLedger, views: Mapping[int, View]) -> KeptNodes:
    """Returns what was noted, `views` being all there are, by what they were noted as.

    What belongs to a view that is not there any more is left out: its nodes are stale.
    """
    exceptions = {
        NodeId(cast(int, node)): _exception(views[value[0]], *value[1:])
        for node, value in ledger.table("exceptions").items()
        if value[0] in views
    }
    renumbered = {
        cast(tuple[int, InodeNumber], place): NodeId(node)
        for place, node in ledger.table("renumbered").items()
    }
    shown = {NodeId(cast(int, node)): ino for node, ino in ledger.table("shown").items()}
    control = {
        NodeId(cast(int, node)): ControlNode(ViewNumber(view), tuple(path), kind)
        for node, (view, path, kind) in ledger.table("control").items()
    }
    return KeptNodes(exceptions, renumbered, shown, control)


def _exception(view: View, number: int, inode: Any = None) -> Place | Gone:
    if inode is None:
        return Place(view, InodeNumber(number))
    return Gone(view, InodeNumber(number), _decode_inode(inode))
