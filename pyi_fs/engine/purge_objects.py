"""Tree objects with some files in them: what they name, and the same without.

An object has no inode numbers, so in it a file is a path of a snapshot. Part of `engine/purge.py`.
"""

import stat
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from blake3 import blake3

from pyi_fs.engine.history import History
from pyi_fs.engine.purge_files import FileKey, Files
from pyi_fs.engine.store import Store
from pyi_fs.format.treeobject import FileContent, TreeEntry, decode_tree_object, encode_tree_object
from pyi_fs.ids import ChunkId, LayerId, SnapshotId, TreeObjectId, WorkspaceName
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.tree import Tree

Put = Callable[[bytes], ChunkId]


class Sighting(NamedTuple):
    """A snapshot, and the paths that the files have in it (none: it has none of them)."""

    workspace: WorkspaceName
    snapshot: SnapshotId
    root: TreeObjectId | None
    paths: tuple[bytes, ...]

    def __str__(self) -> str:
        """Returns how people name the snapshot."""
        return f"{self.workspace}@{self.snapshot}"


class ObjectFile(NamedTuple):
    """A file in a tree object: whole chunks. `label`: its path and the first snapshot met."""

    is_wanted: bool
    pieces: list[tuple[ChunkId, int]]
    label: str


def path_text(path: bytes) -> str:
    """Returns a path for people, in one line."""
    text = path.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def sightings(files: Files, history: History, wanted: Collection[FileKey]) -> list[Sighting]:
    """Returns all snapshots with the paths of the files in them; O(journals)."""
    by_layer: dict[LayerId, list[tuple[WorkspaceName, Snapshot]]] = defaultdict(list)
    for workspace, refs in files.refs.items():
        for snapshot in refs.ordered():
            if not history.survival.is_lost(snapshot.position):
                by_layer[snapshot.position.layer].append((workspace, snapshot))
    found = []
    for layer, snapshots in by_layer.items():
        keys = [key for key in wanted if files.key(layer, key.number) == key]
        trees = history.trees(layer, {snapshot.position.offset for _, snapshot in snapshots})
        paths = {offset: _paths(tree, keys) for offset, tree in trees}
        found += [
            Sighting(workspace, snapshot.id, snapshot.root, paths[snapshot.position.offset])
            for workspace, snapshot in snapshots
        ]
    return sorted(found)


def _paths(tree: Tree, keys: Collection[FileKey]) -> tuple[bytes, ...]:
    return tuple(sorted(path for key in keys for path in tree.paths(key.number)))


def object_files(store: Store, seen: Collection[Sighting]) -> Iterator[ObjectFile]:
    """Yields the regular files of all tree objects, those of the sighted paths as wanted."""
    plain: set[TreeObjectId] = set()
    for sighting in seen:
        above = _directories(sighting.paths)
        waiting = [(b"", sighting.root)] if sighting.root is not None else []
        while waiting:
            path, object_id = waiting.pop()
            if path not in above:
                if object_id in plain:
                    continue
                plain.add(object_id)
            for entry in decode_tree_object(store.chunks.get(ChunkId(object_id)), object_id):
                below = path + b"/" + entry.name if path else entry.name
                if isinstance(entry.content, FileContent):
                    pieces = [
                        (chunk, size) for chunk, size in entry.content.pieces if chunk is not None
                    ]
                    label = f"{sighting}:{path_text(below)}"
                    yield ObjectFile(below in sighting.paths, pieces, label)
                elif stat.S_ISDIR(entry.mode):
                    waiting.append((below, TreeObjectId(entry.content)))


def _directories(paths: Collection[bytes]) -> set[bytes]:
    """Returns the directories above paths, the root among them if there is a path."""
    found = {b""} if paths else set()
    for path in paths:
        parts = path.split(b"/")
        found.update(b"/".join(parts[:count]) for count in range(1, len(parts)))
        # A directory that is purged is itself changed in the object above it only.
    return found


class Rewriter:
    """Makes tree objects anew, with other chunks, and without what the files had inline."""

    def __init__(
        self,
        store: Store,
        chunks: Mapping[ChunkId, ChunkId],
        blank: Callable[[TreeEntry], TreeEntry],
        put: Put | None = None,
    ) -> None:
        """Reads nothing yet; without `put` nothing is stored.

        `blank` takes what is inline out of an entry of the files.
        """
        self._store = store
        self._put = put or _identity
        self._chunks = chunks
        self._blank = blank
        self._plain: dict[TreeObjectId, TreeObjectId] = {}

    def root(self, sighting: Sighting) -> TreeObjectId | None:
        """Returns the content root of a snapshot as it will be; None if it has none."""
        if sighting.root is None:
            return None
        paths = frozenset(sighting.paths)
        return self._object(sighting.root, b"", paths, _directories(paths))

    def _object(
        self, object_id: TreeObjectId, path: bytes, paths: frozenset[bytes], above: set[bytes]
    ) -> TreeObjectId:
        is_plain = path not in above
        if is_plain and object_id in self._plain:
            return self._plain[object_id]
        entries = decode_tree_object(self._store.chunks.get(ChunkId(object_id)), object_id)
        changed = []
        for entry in entries:
            below = path + b"/" + entry.name if path else entry.name
            new = self._blank(entry) if below in paths else entry
            if isinstance(new.content, FileContent):
                pieces = tuple(
                    (self._chunks.get(chunk, chunk) if chunk is not None else None, length)
                    for chunk, length in new.content.pieces
                )
                new = _with_content(new, FileContent(new.content.size, pieces))
            elif stat.S_ISDIR(new.mode):
                child = self._object(TreeObjectId(new.content), below, paths, above)
                new = _with_content(new, child)
            changed.append(new)
        made = object_id
        if changed != entries:
            made = TreeObjectId(self._put(encode_tree_object(changed)))
        if is_plain:
            self._plain[object_id] = made
        return made


def _identity(data: bytes) -> ChunkId:
    return ChunkId(blake3(data).digest())


def _with_content(entry: TreeEntry, content: object) -> TreeEntry:
    return TreeEntry(entry.name, entry.mode, entry.xattrs, content)
