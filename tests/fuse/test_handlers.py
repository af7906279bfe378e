"""A client behind a kernel that caches everything it may, compared with the tree after every step.

The kernel here keeps dentries, negative ones too, attributes and pages for ever, as Linux does with
our timeouts, and forgets only what it changes itself or is told to forget. If a publish told it too
little, a walk through its caches shows something else than the tree.
"""

import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from pyi_fs.errors import RequestError
from pyi_fs.fuse.handles import FileHandle
from pyi_fs.ids import ROOT_INODE, NodeId
from tests.support.fuse_rig import DIRECTORY, FILE, OWNER, ROOT, NotingKernel, Rig

NAMES = [b"a", b"b"]
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=2).map(tuple)
DATA = st.binary(min_size=1, max_size=8)


class CachingKernel(NotingKernel):
    """Keeps what it was told until it changes it itself or must forget it."""

    def __init__(self):
        super().__init__()
        self.dentries = {}
        self.attributes_of = {}
        self.pages = {}
        self.dead = set()

    def epoch(self):
        super().epoch()
        self.dentries.clear()

    def attributes(self, node):
        super().attributes(node)
        self.attributes_of.pop(node, None)


class Client:
    """Walks, reads and changes a mount by way of the kernel's caches."""

    def __init__(self, rig, kernel):
        self.rig = rig
        self.kernel = kernel

    def look(self, parent, name):
        """Returns the node of a name, or None."""
        if (parent, name) not in self.kernel.dentries:
            entry = self.rig.names.lookup(parent, name, OWNER)
            if entry is not None:
                self.kernel.attributes_of[entry.node] = entry.inode
            if entry is not None and not entry.lasting:
                return entry.node
            self.kernel.dentries[parent, name] = None if entry is None else entry.node
        return self.kernel.dentries[parent, name]

    def walk(self, path):
        """Returns the node of a path, or None."""
        node = ROOT
        for name in path:
            if not self.stat(node).is_directory:
                return None
            node = self.look(node, name)
            if node is None:
                return None
        return node

    def stat(self, node):
        """Returns the attributes of a node."""
        if node not in self.kernel.attributes_of:
            self.kernel.attributes_of[node] = self.rig.metadata.getattr(node).inode
        return self.kernel.attributes_of[node]

    def content(self, node):
        """Returns the bytes of a file."""
        if node not in self.kernel.pages:
            handle = self.rig.open(node)
            self.kernel.pages[node] = bytes(
                trio.run(partial(self.rig.files.read, handle, 0, 1 << 20))
            )
            self.rig.reaper.release(handle)
        return self.kernel.pages[node]

    def changed(self, *nodes):
        """Drops the attributes of what the kernel itself changed."""
        for node in nodes:
            self.kernel.attributes_of.pop(node, None)

    def write(self, handle, node, data):
        """Writes at the beginning of an open file, through its pages."""
        before = self.content(node)
        trio.run(partial(self.rig.files.write, handle, 0, data))
        self.kernel.pages[node] = data + before[len(data) :]
        self.changed(node)


class Mounted(RuleBasedStateMachine):
    """Random work in two directories; snapshots, restores, undos, switches of head."""

    @initialize()
    def begin(self):
        """A file, a directory, a file in it, and a snapshot of them: restores find something."""
        self.directory = tempfile.mkdtemp()
        self.kernel = CachingKernel()
        self.rig = Rig(Path(self.directory), kernel=self.kernel)
        self.client = Client(self.rig, self.kernel)
        self.snapshots = []
        self.branches = ["main"]
        # Open files: handle and node.
        self.held = []
        self.make((b"a",), directory=False)
        self.write((b"a",), b"1", keep=False)
        self.make((b"b",), directory=True)
        self.make((b"b", b"a"), directory=False)
        self.snapshot()

    def teardown(self):
        if hasattr(self, "rig"):
            self.rig.close()
            shutil.rmtree(self.directory)

    def parent_of(self, path):
        parent = self.client.walk(path[:-1])
        if parent is None or not self.client.stat(parent).is_directory:
            return None
        assert parent not in self.kernel.dead
        return parent

    def attempt(self, call, *arguments):
        """Does what may be refused; returns whether it was done."""
        try:
            call(*arguments)
        except RequestError:
            return False
        return True

    @rule(path=PATHS, directory=st.booleans())
    def make(self, path, directory):
        parent = self.parent_of(path)
        if parent is None or self.client.look(parent, path[-1]) is not None:
            return
        entry = self.rig.names.make(parent, path[-1], DIRECTORY if directory else FILE, OWNER)
        self.kernel.dentries[parent, path[-1]] = entry.node
        self.kernel.attributes_of[entry.node] = entry.inode
        self.client.changed(parent)

    @rule(path=PATHS, data=DATA, keep=st.booleans())
    def write(self, path, data, keep):
        node = self.client.walk(path)
        if node is None or not self.client.stat(node).is_file:
            return
        handle = self.rig.open(node, os.O_RDWR)
        self.client.write(handle, node, data)
        if keep:
            self.held.append((handle, node))
        else:
            self.rig.reaper.release(handle)

    @rule(path=PATHS)
    def hold(self, path):
        node = self.client.walk(path)
        if node is not None and self.client.stat(node).is_file:
            self.held.append((self.rig.open(node, os.O_RDONLY), node))

    @precondition(lambda self: self.held)
    @rule(data=DATA, which=st.integers(0, 100))
    def write_held(self, data, which):
        handle, node = self.held[which % len(self.held)]
        file = self.rig.state.handles.file(handle)
        if isinstance(file, FileHandle) and file.writable:
            self.client.write(handle, node, data)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 100))
    def let_go(self, which):
        handle, _ = self.held.pop(which % len(self.held))
        self.rig.reaper.release(handle)

    @rule(path=PATHS)
    def remove(self, path):
        parent, node = self.parent_of(path), self.client.walk(path)
        if parent is None or node is None:
            return
        directory = self.client.stat(node).is_directory
        remove = partial(self.rig.names.remove, directory=directory)
        if self.attempt(remove, parent, path[-1], OWNER):
            self.kernel.dentries[parent, path[-1]] = None
            self.client.changed(parent, node)
            if directory:
                self.kernel.dead.add(node)

    @rule(old=PATHS, new=PATHS)
    def rename(self, old, new):
        parent, new_parent, node = self.parent_of(old), self.parent_of(new), self.client.walk(old)
        if parent is None or new_parent is None or node is None or old == new:
            return
        over = self.client.look(new_parent, new[-1])
        if over == node:
            return
        if self.attempt(self.rig.names.rename, parent, old[-1], new_parent, new[-1], 0, OWNER):
            self.kernel.dentries[parent, old[-1]] = None
            self.kernel.dentries[new_parent, new[-1]] = node
            self.client.changed(parent, new_parent, node)
            if over is not None:
                if self.client.stat(over).is_directory:
                    self.kernel.dead.add(over)
                self.client.changed(over)

    @rule(old=PATHS, new=PATHS)
    def link(self, old, new):
        node, parent = self.client.walk(old), self.parent_of(new)
        if node is None or parent is None or not self.client.stat(node).is_file:
            return
        if self.attempt(self.rig.names.link, node, parent, new[-1], OWNER):
            self.kernel.dentries[parent, new[-1]] = node
            self.client.changed(parent, node)

    def command(self, name, text):
        return self.attempt(lambda: trio.run(self.rig.command, name, text))

    @rule()
    def snapshot(self):
        self.snapshots.append(trio.run(self.rig.snapshot))

    @precondition(lambda self: self.snapshots)
    @rule(which=st.integers(0, 100))
    def restore(self, which):
        assert self.command("restore", self.snapshots[which % len(self.snapshots)])

    @rule(text=st.sampled_from(["undo", "redo"]))
    def undo(self, text):
        self.command(text, "\n")

    @precondition(lambda self: len(self.branches) < 3)
    @rule()
    def branch(self):
        name = f"b{len(self.branches)}"
        assert self.command("branch", name)
        self.branches.append(name)

    @rule(which=st.integers(0, 100))
    def head(self, which):
        self.command("head", self.branches[which % len(self.branches)])

    @rule(which=st.integers(0, 100))
    def forget(self, which):
        """The kernel forgets a node that nobody has open, and all dentries that lead through it."""
        nodes = [
            node
            for node in self.kernel.attributes_of
            if node != ROOT and all(node != held for _, held in self.held)
        ]
        if not nodes:
            return
        node = nodes[which % len(nodes)]
        for key, child in list(self.kernel.dentries.items()):
            if child == node or key[0] == node:
                del self.kernel.dentries[key]
        self.kernel.attributes_of.pop(node)
        self.kernel.pages.pop(node, None)
        self.kernel.dead.discard(node)
        self.rig.reaper.forget([(NodeId(node), 1 << 20)])

    @invariant()
    def the_caches_show_the_tree(self):
        if not hasattr(self, "rig"):
            return
        tree = self.rig.session.root.tree
        self.compare(tree, ROOT_INODE, ROOT)

    @invariant()
    def held_files_have_their_own_bytes(self):
        for handle, node in getattr(self, "held", []):
            read = bytes(trio.run(partial(self.rig.files.read, handle, 0, 1 << 20)))
            assert read == self.client.content(node)
            assert self.rig.metadata.getattr(node).inode.size == len(read)

    def compare(self, tree, number, node):
        inode, shown = tree.existing(number), self.client.stat(node)
        assert node not in self.kernel.dead
        # Access times and names are not the kernel's business.
        for field in ("mode", "nlink", "size", "mtime_ns", "ctime_ns", "extents"):
            assert getattr(inode, field) == getattr(shown, field), field
        if inode.is_file:
            assert self.client.content(node) == self.rig.workspace.reader.read_all(inode)
        if not inode.is_directory:
            return
        entries = dict(tree.entries(number))
        assert set(self.rig.list(node)) == {name.decode() for name in entries}
        for name in NAMES:
            child = self.client.look(node, name)
            assert (child is None) == (name not in entries), name
            if child is not None:
                self.compare(tree, entries[name], child)


Mounted.TestCase.settings = settings(stateful_step_count=30, deadline=None)
TestMounted = Mounted.TestCase
