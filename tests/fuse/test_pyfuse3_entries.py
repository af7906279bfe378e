"""What pyfuse3 is told to keep."""

from pyi_fs.fuse.attributes import DIRECTORY_BYTES, Entry
from pyi_fs.fuse.handles import HandleId
from pyi_fs.fuse.nodes import CONTROL_BIT
from pyi_fs.fuse.pyfuse3_entries import NOTHING, Entries, opened
from pyi_fs.ids import ROOT_INODE, NodeId


def test_entries_of_files_last_and_of_control_files_do_not(rig):
    node = rig.make(1, "file")
    inode = rig.session.root.tree.existing(node)
    entries = Entries(rig.state.told)
    lasting = entries.entry(Entry(node, inode))
    passing = entries.entry(Entry(node, inode, lasting=False))
    assert lasting.st_ino == passing.st_ino == node
    assert lasting.entry_timeout == lasting.attr_timeout > 1_000_000
    assert passing.entry_timeout == passing.attr_timeout == 0
    assert NOTHING.st_ino == 0
    assert NOTHING.entry_timeout > 1_000_000


def test_who_is_told_to_keep_a_directory_is_noted(rig):
    told, root = rig.state.told, NodeId(ROOT_INODE)
    entry = Entry(root, rig.session.root.tree.existing(ROOT_INODE))
    told.thread = 7
    assert Entries(told).entry(entry).st_size == DIRECTORY_BYTES
    told.thread = 8
    assert told.has_changed(root)
    Entries(told).entry(entry._replace(lasting=False))
    told.thread = 7
    assert not told.has_changed(root)


def test_pages_are_kept_except_of_control_files():
    file, control = opened(5, HandleId(9)), opened(CONTROL_BIT | 1, HandleId(9))
    assert (file.keep_cache, file.direct_io) == (True, False)
    assert (control.keep_cache, control.direct_io) == (False, True)
