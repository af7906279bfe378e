"""What the kernel is told to keep."""

from pyi_fs.fuse.attributes import Entry
from pyi_fs.fuse.direct_entries import Entries, opened_directory, opened_file
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.ids import NodeId
from tests.support.fuse_structs import AttrOut, EntryOut, OpenOut, StatxOut

KEEP_CACHE, DIRECT_IO, CACHE_DIR = 2, 1, 8


def test_entries_of_files_last_and_of_control_files_do_not(rig):
    node = rig.make(1, "file")
    inode = rig.session.root.tree.existing(node)
    entries = Entries(rig.state.nodes, rig.state.told)
    lasting = EntryOut.from_buffer_copy(entries.entry(Entry(node, inode)))
    passing = EntryOut.from_buffer_copy(entries.entry(Entry(node, inode, lasting=False)))
    assert lasting.nodeid == passing.nodeid == node
    assert lasting.entry_valid == lasting.attr_valid > 1_000_000
    assert passing.entry_valid == passing.attr_valid == 0
    attributes = AttrOut.from_buffer_copy(entries.attributes(Entry(node, inode)))
    assert attributes.attr.ino == node
    assert StatxOut.from_buffer_copy(entries.statx(Entry(node, inode))).stat.ino == node


def test_pages_and_listings_are_kept_except_of_control_files():
    node, control, handle = NodeId(5), NodeId(CONTROL_BIT | 1), HandleId(9)
    assert OpenOut.from_buffer_copy(opened_file(node, handle)).open_flags == KEEP_CACHE
    assert OpenOut.from_buffer_copy(opened_file(control, handle)).open_flags == DIRECT_IO
    flags = OpenOut.from_buffer_copy(opened_directory(node, handle)).open_flags
    assert flags == KEEP_CACHE | CACHE_DIR
    assert OpenOut.from_buffer_copy(opened_directory(control, handle)).open_flags == 0
