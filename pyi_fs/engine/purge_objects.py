"""Tree objects with some files in them, and the same without.

An object has no inode numbers, so in it a file is a path of a snapshot. What files will hold is cut
as it is in any other object, so a content root goes on depending on the content alone. Part of
`engine/purge.py`.
"""

import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from blake3 import blake3

from pyi_fs.engine.history import History
from pyi_fs.engine.purge_files import FileKey, Files
from pyi_fs.engine.store import Store
from pyi_fs.format.treeobject import FileContent, TreeEntry, decode_tree_object, encode_tree_object
from pyi_fs.ids import ChunkId, LayerId, SnapshotId, TreeObjectId, WorkspaceName
from pyi_fs.model.inode import Inode
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.tree import Tree

Put = Callable[[bytes], ChunkId]
Paths = tuple[bytes, ...]
Contents = tuple[tuple[bytes, FileContent], ...]


class Sighting(NamedTuple):
    """A snapshot, and the paths that the files have in it (none: it has none of them).

    `contents`: of a sealed snapshot, by path, what the regular files among them will hold, and
    other files that lose bytes.
    """

    workspace: WorkspaceName
    snapshot: SnapshotId
    root: TreeObjectId | None
    paths: Paths
    contents: Contents = ()

    def __str__(self) -> str:
        """Returns how people name the snapshot."""
        return f"{self.workspace}@{self.snapshot}"


def path_text(path: bytes) -> str:
    """Returns a path for people, in one line."""
    text = path.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def sightings(
    files: Files,
    history: History,
    wanted: Collection[FileKey],
    losing: Collection[FileKey],
    content: Callable[[Inode], FileContent],
) -> list[Sighting]:
    """Returns all snapshots with the paths of the files in them; O(journals).

    `losing`: other files that lose bytes. `content`: what a regular file will hold.
    """
    by_layer: dict[LayerId, list[tuple[WorkspaceName, Snapshot]]] = defaultdict(list)
    for workspace, refs in files.refs.items():
        for snapshot in refs.ordered():
            if not history.survival.is_lost(snapshot.position):
                by_layer[snapshot.position.layer].append((workspace, snapshot))
    found = []
    for layer, snapshots in by_layer.items():
        keys = [key for key in wanted if files.key(layer, key.number) == key]
        others = [key for key in losing if files.key(layer, key.number) == key]
        sealed = {one.position.offset for _, one in snapshots if one.root is not None}
        seen: dict[int, tuple[Paths, Contents]] = {}
        offsets = {snapshot.position.offset for _, snapshot in snapshots}
        for offset, tree in history.trees(layer, offsets):
            changed = (*keys, *others) if offset in sealed else ()
            seen[offset] = _paths(tree, keys), tuple(_contents(tree, changed, content))
        for workspace, snapshot in snapshots:
            paths, contents = seen[snapshot.position.offset]
            found.append(Sighting(workspace, snapshot.id, snapshot.root, paths, contents))
    return sorted(found, key=lambda sighting: sighting[:2])


def _paths(tree: Tree, keys: Collection[FileKey]) -> Paths:
    return tuple(sorted(path for key in keys for path in tree.paths(key.number)))


def _contents(
    tree: Tree, keys: Collection[FileKey], content: Callable[[Inode], FileContent]
) -> Iterable[tuple[bytes, FileContent]]:
    for key in keys:
        inode = tree.inode(key.number)
        if inode is not None and inode.is_file:
            for path in tree.paths(key.number):
                yield path, content(inode)


def _directories(paths: Collection[bytes]) -> set[bytes]:
    """Returns the directories above paths, the root among them if there is a path."""
    found = {b""} if paths else set()
    for path in paths:
        parts = path.split(b"/")
        found.update(b"/".join(parts[:count]) for count in range(1, len(parts)))
        # A directory that is purged is itself changed in the object above it only.
    return found


class Rewriter:
    """Makes tree objects anew: with other contents, and without what the files had inline."""

    def __init__(
        self, store: Store, blank: Callable[[TreeEntry], TreeEntry], put: Put | None = None
    ) -> None:
        """Reads nothing yet; without `put` nothing is stored.

        `blank` takes what is inline out of an entry of the files.
        """
        self._store = store
        self._put = put or _identity
        self._blank = blank

    def root(self, sighting: Sighting) -> TreeObjectId | None:
        """Returns the content root of a snapshot as it will be; None if it has none."""
        if sighting.root is None:
            return None
        contents = dict(sighting.contents)
        change = _Change(
            frozenset(sighting.paths), contents, _directories((*sighting.paths, *contents))
        )
        return self._object(sighting.root, b"", change)

    def _object(self, object_id: TreeObjectId, path: bytes, change: "_Change") -> TreeObjectId:
        if path not in change.above:
            return object_id
        entries = decode_tree_object(self._store.chunks.get(ChunkId(object_id)), object_id)
        changed = []
        for entry in entries:
            below = path + b"/" + entry.name if path else entry.name
            new = self._blank(entry) if below in change.paths else entry
            if below in change.contents and isinstance(new.content, FileContent):
                new = _with_content(new, change.contents[below])
            elif stat.S_ISDIR(new.mode):
                child = self._object(TreeObjectId(new.content), below, change)
                new = _with_content(new, child)
            changed.append(new)
        if changed == entries:
            return object_id
        return TreeObjectId(self._put(encode_tree_object(changed)))


class _Change(NamedTuple):
    """What changes in a tree: entries of the files, contents, and the directories above both."""

    paths: frozenset[bytes]
    contents: dict[bytes, FileContent]
    above: set[bytes]


def _identity(data: bytes) -> ChunkId:
    return ChunkId(blake3(data).digest())


def _with_content(entry: TreeEntry, content: object) -> TreeEntry:
    return TreeEntry(entry.name, entry.mode, entry.xattrs, content)
