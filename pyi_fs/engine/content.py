"""The content root of a tree.

Merkle tree objects, one for each directory, of which only those that changed are new.

Runs in a worker process for snapshots that are likely kept. Cost: what changed since the snapshot
whose root is given (the chunks with a change in them are read, cut and hashed), everything for the
first. Invariant: the root depends on the content alone, not on how it came to be.

Objects are stored, the content of files is not: their bytes are where the tree has them
(`docs/decisions/0014-small-edits.md`).
"""

import stat
from collections.abc import Iterable
from functools import partial

from pyi_fs.engine.cutting import Earlier, content_of
from pyi_fs.engine.history import History
from pyi_fs.engine.reader import Reader
from pyi_fs.engine.store import Store
from pyi_fs.format.treeobject import FileContent, TreeEntry, decode_tree_object, encode_tree_object
from pyi_fs.ids import ROOT_INODE, ChunkId, InodeNumber, SnapshotId, TreeObjectId, WorkspaceName
from pyi_fs.model.inode import Inode
from pyi_fs.model.operation import SealSnapshot
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import Tree
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.oplog import OperationsLog


def content_root(
    chunks: ChunkStore,
    reader: Reader,
    tree: Tree,
    known: tuple[Tree, TreeObjectId, Touched] | None = None,
) -> TreeObjectId:
    """Returns the content root of a tree, its objects put; durable after `chunks.flush`.

    `known`: another tree, its root, and a touched set that covers the difference between the two.
    """
    return _Builder(chunks, reader, tree, known).directory(
        ROOT_INODE, known[1] if known is not None else None
    )


class _Builder:
    def __init__(
        self,
        chunks: ChunkStore,
        reader: Reader,
        tree: Tree,
        known: tuple[Tree, TreeObjectId, Touched] | None,
    ) -> None:
        self._chunks = chunks
        self._reader = reader
        self._tree = tree
        self._known_tree = known[0] if known is not None else None
        self._touched = known[2].inodes if known is not None else None
        self._dirty = _directories_above(known[0], tree, known[2]) if known is not None else None

    def directory(self, number: InodeNumber, before: TreeObjectId | None) -> TreeObjectId:
        """Returns the object of a directory.

        `before`: the object at the same path of the known tree.
        """
        if before is not None and self._dirty is not None and number not in self._dirty:
            return before
        old = {}
        if before is not None:
            old = {
                entry.name: entry
                for entry in decode_tree_object(self._chunks.get(ChunkId(before)), before)
            }
        entries = [
            self._entry(
                name, child, old.get(name) if self._was_there(number, name, child) else None
            )
            for name, child in self._tree.entries(number)
        ]
        return TreeObjectId(self._chunks.put(encode_tree_object(entries)))

    def _was_there(self, directory: InodeNumber, name: bytes, child: InodeNumber) -> bool:
        """Returns whether the name pointed at the same inode in the known tree.

        A rename touches names, not the inode's content.
        """
        return self._known_tree is not None and self._known_tree.lookup(directory, name) == child

    def _entry(self, name: bytes, number: InodeNumber, old: TreeEntry | None) -> TreeEntry:
        inode = self._tree.existing(number)
        is_same_kind = old is not None and stat.S_IFMT(old.mode) == stat.S_IFMT(inode.mode)
        if inode.is_directory:
            before = TreeObjectId(old.content) if old is not None and is_same_kind else None
            return TreeEntry(name, inode.mode, inode.xattrs, self.directory(number, before))
        if (
            old is not None
            and is_same_kind
            and self._touched is not None
            and number not in self._touched
        ):
            return old
        before = old.content if old is not None and is_same_kind else None
        return TreeEntry(name, inode.mode, inode.xattrs, self._content(number, inode, before))

    def _content(self, number: InodeNumber, inode: Inode, before: object) -> object:
        """Returns what an entry says of an inode that is no directory.

        `before`: what it said in the known tree, where the inode had the same name.
        """
        if inode.is_file:
            earlier = None
            if isinstance(before, FileContent) and self._known_tree is not None:
                earlier = Earlier(self._known_tree.existing(number), before, inode)
            return content_of(inode, partial(self._reader.read, inode), earlier)
        if inode.is_symlink:
            return inode.target
        return inode.rdev if stat.S_IFMT(inode.mode) in (stat.S_IFCHR, stat.S_IFBLK) else None


def _directories_above(old: Tree, new: Tree, touched: Touched) -> set[InodeNumber]:
    """Returns every directory of the new tree whose object may differ.

    What was touched, and all above it.
    """
    found: set[InodeNumber] = set()
    starts = {directory for directory, _ in touched.names}
    for tree in (old, new):
        for number in touched.inodes:
            inode = tree.inode(number)
            if inode is not None:
                starts.add(number if inode.is_directory else inode.parent)
                starts.update(parent for parent, _ in inode.dentries())
    for number in starts:
        while number not in found:
            found.add(number)
            inode = new.inode(number)
            if inode is None:
                break
            number = inode.parent
    return found


def seal_snapshots(store: Store, workspace: WorkspaceName, snapshots: Iterable[SnapshotId]) -> None:
    """Computes the content roots of snapshots and notes them in the log.

    Objects are durable before the note.

    Each builds on the nearest earlier snapshot of its lineage whose root is known.
    """
    log = OperationsLog(store.storage, workspace)
    history, reader = History(store.layers), Reader(store.layers, store.chunks)
    try:
        for snapshot_id in snapshots:
            with store.chunks.in_use():
                # Looked at only now: what is deleted by now may be collected at once.
                snapshot = log.refresh().snapshots.get(snapshot_id)
                if snapshot is None or snapshot.root is not None:
                    continue
                known = _nearest_known(log, history, snapshot)
                root = content_root(store.chunks, reader, history.tree(snapshot.position), known)
                store.chunks.flush()
                _note(log, SealSnapshot(snapshot_id, root))
    finally:
        log.close()


def _note(log: OperationsLog, sealed: SealSnapshot) -> None:
    log.append(lambda _: sealed)


def _nearest_known(
    log: OperationsLog, history: History, snapshot: Snapshot
) -> tuple[Tree, TreeObjectId, Touched] | None:
    earlier = snapshot
    while earlier.parent is not None:
        found = log.refs.snapshots.get(earlier.parent)
        if found is None:
            return None
        earlier = found
        if earlier.root is not None:
            touched = history.touched(earlier.position, snapshot.position)
            return (
                (history.tree(earlier.position), earlier.root, touched)
                if touched is not None
                else None
            )
    return None
