"""Workspaces to test with: a process that has one open, pictures of trees, a whole-state check.

A `Rig` is one process on a storage, real or fake. Its clock counts, so that the same calls make the
same trees. `Boot` stands in for the kernel's boot id: change it, and a power loss has happened.
"""

import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from pyi_fs.engine import founding, store, workspace
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.checkpointing import put_under, write_base
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.reader import Reader
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import RequestError
from pyi_fs.ids import ROOT_INODE, InodeNumber, LayerId, SegmentId, SnapshotId, WorkspaceName
from pyi_fs.model.check import check
from pyi_fs.model.mutation import Create, Link, Mutation, Remove, Rename
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree
from pyi_fs.store import layout
from pyi_fs.store.storage import Storage

Picture = dict[bytes, tuple[object, ...]]
NAME = WorkspaceName("ws")


@dataclass
class Boot:
    """The boot id that everything in the engine sees."""

    id: str = "boot-1"
    _number: int = 1

    def again(self) -> None:
        """The machine comes up again: what was not synced may be lost."""
        self._number += 1
        self.id = f"boot-{self._number}"


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Boot:
    """Puts a boot id of the test in the place of the kernel's."""
    made = Boot()
    for module in (store, workspace, founding):
        monkeypatch.setattr(module, "boot_id", lambda: made.id)
    return made


def picture_of(reader: Reader, tree: Tree) -> Picture:
    """Returns all that paths show of a tree, contents included; what is unlinked is not seen."""
    found: Picture = {}
    walked = [(b"", ROOT_INODE, tree.existing(ROOT_INODE)), *tree.walk()]
    for path, number, inode in walked:
        content = reader.read_all(inode) if inode.is_file else b""
        times = (inode.atime_ns, inode.mtime_ns, inode.ctime_ns, inode.btime_ns)
        found[path] = (
            *(number, inode.mode, inode.nlink, inode.uid, inode.gid, inode.rdev),
            *(inode.size, times, inode.xattrs, inode.target, content),
        )
    return found


def findings_of(rig_store: Store, tree: Tree) -> list[object]:
    """Returns what is wrong with a tree; its scratch extents have to lie within files or maps."""

    def end(segment: SegmentId) -> int | None:
        size = rig_store.storage.size_bytes(layout.scratch(segment))
        if size is None and rig_store.layers.sealed_map(segment) is not None:
            return 1 << 40
        return size

    return list(check(tree, end))


class Rig:
    """One process with a workspace open."""

    def __init__(self, storage: Storage, name: str = NAME, *, clock: Iterator[int] | None = None):
        self.storage = storage
        self.clock = count(1_000) if clock is None else clock
        self._begin(name)

    def _begin(self, name: str) -> None:
        self.store = Store(self.storage, Path(self.storage.host_path("")))
        try:
            self.store.chunks.reconcile()
            self.workspace = Workspace(self.store, WorkspaceName(name))
        except BaseException:
            self.store.index.close()
            raise

    def restart(self) -> None:
        """The process ends cleanly, if it has not, and another one begins in its place."""
        self.close()
        self._begin(self.workspace.name)

    # What a mount would do.

    @property
    def main(self) -> Branch:
        return self.branch("main")

    def branch(self, name: str) -> Branch:
        return self.workspace.open_branch(name)

    def now(self) -> int:
        return next(self.clock)

    def make(self, path: str, data: bytes = b"", *, on: str = "main") -> InodeNumber:
        """Makes a regular file."""
        number = self._create(path, stat.S_IFREG | 0o644, on)
        if data:
            self.write(path, data, on=on)
        return number

    def mkdir(self, path: str, *, on: str = "main") -> InodeNumber:
        return self._create(path, stat.S_IFDIR | 0o755, on)

    def symlink(self, path: str, target: bytes, *, on: str = "main") -> InodeNumber:
        return self._create(path, stat.S_IFLNK | 0o777, on, target)

    def _create(self, path: str, mode: int, on: str, target: bytes = b"") -> InodeNumber:
        branch = self.branch(on)
        number = branch.next_inode()
        branch.commit(Create(*self.at(path, on), number, mode, 7, 8, self.now(), target))
        return number

    def at(self, path: str, on: str = "main") -> tuple[InodeNumber, bytes]:
        """Returns the directory's number and the name of a path."""
        directory, _, name = path.encode().rpartition(b"/")
        return self.branch(on).tree.resolve(directory), name

    def number(self, path: str, *, on: str = "main") -> InodeNumber:
        return self.branch(on).tree.resolve(path.encode())

    def write(self, path: str, data: bytes, offset: int = 0, *, on: str = "main") -> None:
        self.branch(on).write(self.number(path, on=on), offset, data, self.now())

    def read(self, path: str, *, on: str = "main") -> bytes:
        branch = self.branch(on)
        number = self.number(path, on=on)
        return branch.read(number, 0, branch.tree.existing(number).size)

    def commit(self, mutation: Mutation, *, on: str = "main") -> None:
        self.branch(on).commit(mutation)

    def remove(self, path: str, *, directory: bool = False, on: str = "main") -> None:
        self.commit(Remove(*self.at(path, on), directory, self.now()), on=on)

    def rename(self, old: str, new: str, flags: int = 0, *, on: str = "main") -> None:
        self.commit(Rename(*self.at(old, on), *self.at(new, on), flags, self.now()), on=on)

    def link(self, old: str, new: str, *, on: str = "main") -> None:
        self.commit(Link(self.number(old, on=on), *self.at(new, on), self.now()), on=on)

    def snapshot(self, name: str | None = None, *, on: str = "main") -> SnapshotId:
        return self.workspace.snapshot(self.branch(on), name=name).snapshot.id

    def checkpoint(self, *, on: str = "main") -> None:
        """Rolls, syncs, writes the base and puts it under the tree, as the background task does."""
        branch = self.branch(on)
        position, frozen = branch.roll()
        branch.sync()
        write_base(self.store, branch.position.layer, position)
        base = self.store.layers.base(branch.position.layer)
        assert base is not None
        put_under(self.workspace, frozen, base)

    def seal_all(self, *, sync_first: bool = True) -> list[SegmentId]:
        """Seals all segments of this process's layers, those being written too."""
        segments = []
        for branch in self.workspace.opened_branches():
            for writer in branch.writers():
                writer.scratch.close_current()
                closed = [segment for segment, _ in writer.scratch.closed_segments()]
                writer.scratch.hand_over(closed)
                segments += closed
            if sync_first:
                branch.sync()
        return seal(self.store, segments)

    def seal_left(self) -> list[SegmentId]:
        """Seals every segment of layers that nobody writes."""
        layers = (
            layer
            for prefix in self.storage.list(layout.LAYERS)
            for name in self.storage.list(f"{layout.LAYERS}/{prefix}")
            if (layer := layout.layer_of(name)) is not None
            and self.store.layers.writer_of(layer) is None
        )
        return seal(self.store, [s for layer in layers for s in self.store.layers.segments(layer)])

    # What a test looks at.

    def picture(self, name: str = "main") -> Picture:
        return picture_of(self.workspace.reader, self.branch(name).tree)

    def picture_at(self, snapshot: str) -> Picture:
        tree = self.workspace.snapshot_tree(self.workspace.find_snapshot(snapshot))
        return picture_of(self.workspace.reader, tree)

    def branch_pictures(self) -> dict[str, Picture]:
        names = self.workspace.refresh().branch_names()
        return {name: self.picture(name) for name in names}

    def snapshot_pictures(self) -> dict[SnapshotId, Picture]:
        return {id_: self.picture_at(id_) for id_ in self.workspace.refresh().snapshots}

    def findings(self) -> list[object]:
        """Returns what is wrong with any tree that a ref names."""
        names = self.workspace.refresh().branch_names()
        trees = [self.branch(name).tree for name in names]
        # Only now: who opens a branch finds out which snapshots are lost.
        trees += map(self.workspace.snapshot_tree, self.workspace.refs.snapshots.values())
        return [finding for tree in trees for finding in findings_of(self.store, tree)]

    # How a process ends.

    def close(self) -> None:
        self.workspace.close()
        self.store.close()

    def die(self) -> None:
        """Ends without a word: only what no storage knows of is given back."""
        self.store.index.close()


def layers_read(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[LayerId]:
    """Returns the layers whose records are read from now on, each time they are."""
    reads: list[LayerId] = []
    records = rig.store.layers.records

    def counted(layer: LayerId, *stretch: int) -> Iterator[tuple[int, Mutation]]:
        reads.append(layer)
        return records(layer, *stretch)

    monkeypatch.setattr(rig.store.layers, "records", counted)
    return reads


def assert_touched_covers(old: Tree, new: Tree, touched: Touched) -> None:
    """Everything that differs between two trees is touched, or is named by a touched dentry."""

    def dentries(tree: Tree) -> dict[tuple[InodeNumber, bytes], InodeNumber]:
        return {(d, name): child for d in tree.numbers() for name, child in tree.entries(d)}

    before, after = dentries(old), dentries(new)
    changed = {key for key in {*before, *after} if before.get(key) != after.get(key)}
    assert changed <= touched.names
    reached = set(touched.inodes)
    for dentry in touched.names:
        reached |= {tree.lookup(*dentry) or InodeNumber(0) for tree in (old, new)}
    for number in {*old.numbers(), *new.numbers()}:
        one, other = old.inode(number), new.inode(number)
        if one == other or not any(inode and inode.nlink for inode in (one, other)):
            continue
        assert number in reached, (number, one, other)


def assert_sound(rig: Rig) -> None:
    """The whole-state check of a store whose workspace is open: trees, reopening, touched sets."""
    assert rig.findings() == []
    branches, snapshots = rig.branch_pictures(), rig.snapshot_pictures()
    refs, history = rig.workspace.refs, rig.workspace.history
    for snapshot in refs.snapshots.values():
        parent = refs.snapshots.get(snapshot.parent) if snapshot.parent else None
        if parent is not None:
            touched = history.touched(parent.position, snapshot.position)
            assert touched is not None
            trees = history.tree(parent.position), history.tree(snapshot.position)
            assert_touched_covers(*trees, touched)
    rig.close()
    again = Rig(rig.storage, rig.workspace.name, clock=rig.clock)
    try:
        assert again.snapshot_pictures() == snapshots
        assert again.branch_pictures() == branches
        assert again.findings() == []
    finally:
        again.close()


def refused(call: object, *arguments: object) -> type[RequestError] | None:
    """Returns the class of the refusal of a call, or None if it was done."""
    assert callable(call)
    try:
        call(*arguments)
    except RequestError as error:
        return type(error)
    return None


class IndexShelf:
    """Directories with an empty chunk index each: making its tables takes longer than a test."""

    def __init__(self, template: Path, root: Path) -> None:
        self._template = template
        self._root = root
        self._numbers = count()

    def directory(self) -> Path:
        """Returns a new directory with an index in it."""
        path = self._root / f"index-{next(self._numbers)}"
        path.mkdir(mode=0o700, parents=True)
        shutil.copy(self._template, path / layout.INDEX)
        return path


def new_workspace(storage: Storage, name: str = NAME) -> Rig:
    """Makes the directories of a store and a workspace in it, and opens that."""
    for directory in (layout.LAYERS, layout.WORKSPACES, "packs"):
        storage.make_directory(directory, parents=True)
    storage.sync_directory("")
    made = Store(storage, Path(storage.host_path("")))
    create_workspace(made, name, uid=7, gid=8)
    made.index.close()
    return Rig(storage, name)
