"""Mends the tree objects of sealed snapshots: they are made once more.

They say what the snapshot's tree holds, and that is there as long as the snapshot is. So what a
damaged pack lost can be had again by sealing the snapshot anew: the root comes out as it was, or
nothing is claimed. After the packs (`engine/repair.py`), which may have had it twice.

And a damaged pack that was kept beside, since something of it was lost, goes once nothing of that
is wanted that is not elsewhere.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

from pyi_fs.engine.content import content_root
from pyi_fs.engine.history import History
from pyi_fs.engine.marking import live_chunks
from pyi_fs.engine.reader import Reader
from pyi_fs.engine.store import Store
from pyi_fs.errors import CorruptTreeObjectError, NotFoundError, PyiError, StoreError
from pyi_fs.format.treeobject import decode_tree_object
from pyi_fs.ids import ChunkId, TreeObjectId, WorkspaceName
from pyi_fs.model.refs import Snapshot
from pyi_fs.store import layout
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.packs import read_index_of

DAMAGED_SUFFIX = ".damaged"


def lacking_snapshots(store: Store) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields the label of each sealed snapshot that lacks a tree object, and how to mend it.

    Reads every tree object, and no file.
    """
    whole: set[TreeObjectId] = set()
    for name in store.workspace_names():
        for snapshot in _sealed(store, name):
            if _lacks(store, snapshot.root, whole):
                yield f"{name}@{snapshot.id}", partial(_seal_again, store, snapshot)


def replaced_packs(store: Store) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yields the path of each damaged pack kept beside that nobody can want, and how to remove it.

    One whose index cannot be read stays: nobody knows what was in it.
    """
    paths = [
        f"packs/{directory}/{name}"
        for directory in store.storage.list("packs")
        for name in store.storage.list(f"packs/{directory}")
        if name.endswith(DAMAGED_SUFFIX)
    ]
    if not paths:
        return
    marked = live_chunks(store)
    for path in paths:
        with suppress(PyiError, OSError):
            chunks = {entry.chunk for entry in read_index_of(store.storage, path)}
            lost = chunks - store.index.known(chunks)
            if not marked.missing and not lost & marked.live:
                yield path, partial(store.storage.remove, path)


def _sealed(store: Store, name: WorkspaceName) -> list[Snapshot]:
    try:
        log = OperationsLog(store.storage, name)
    except (NotFoundError, StoreError):
        # Removed meanwhile, or damaged itself.
        return []
    log.close()
    return [one for one in log.refs.snapshots.values() if one.root is not None]


def _lacks(store: Store, root: TreeObjectId | None, whole: set[TreeObjectId]) -> bool:
    """Returns whether something below a content root is not there; notes the objects that are."""
    assert root is not None, "BUG: a snapshot that is not sealed"
    waiting, seen = [root], {root}
    while waiting:
        object_id = waiting.pop()
        try:
            entries = decode_tree_object(store.chunks.get(ChunkId(object_id)), object_id)
        except (StoreError, OSError):
            return True
        below = {TreeObjectId(one.content) for one in entries if one.mode & 0o170000 == 0o040000}
        waiting += below - seen - whole
        seen |= below
    whole |= seen
    return False


def _seal_again(store: Store, snapshot: Snapshot) -> None:
    """Makes a snapshot's objects; `CorruptTreeObjectError` if what it holds is not what it was."""
    reader = Reader(store.layers, store.chunks)
    tree = History(store.layers).tree(snapshot.position)
    with store.chunks.in_use():
        root = content_root(store.chunks, reader, tree)
        store.chunks.flush()
    if root != snapshot.root:
        assert snapshot.root is not None, "BUG: a snapshot that is not sealed"
        raise CorruptTreeObjectError(layout.INDEX, 0, snapshot.root.hex(), root.hex())
