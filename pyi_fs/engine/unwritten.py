"""Unsealed segments that nobody writes or seals now, or ever will append to again. Reads only.

A mount gives back and seals what its own branches wrote. What it left behind when it ended stays
until somebody opens the branch again: of that a collection may take what no root reaches.

The order matters: segments are listed first, and then the locks are asked. Who takes the lock of a
branch later begins new segments; and of old ones a branch reaches what its present does, or less.
So who reads the roots after this call, and finds nothing of a segment reached, may remove it.
"""

from pyi_fs.engine.references import all_layers
from pyi_fs.engine.store import Store
from pyi_fs.engine.unlogged import header_of
from pyi_fs.ids import BranchName, SegmentId, WorkspaceName
from pyi_fs.store import layout


def unwritten_segments(store: Store) -> set[SegmentId]:
    """Returns the segments that are files, of layers of branches that no process has open."""
    listed = {layer: store.layers.segments(layer) for layer in all_layers(store.storage)}
    found: set[SegmentId] = set()
    is_held: dict[str, bool] = {}
    for layer, segments in listed.items():
        header = header_of(store, layer) if segments else None
        if header is None:
            continue
        path = layout.branch_lock(WorkspaceName(header.workspace), BranchName(header.branch))
        if path not in is_held:
            is_held[path] = _is_held(store, path)
        if not is_held[path]:
            found.update(segments)
    return found


def _is_held(store: Store, path: str) -> bool:
    if not store.storage.exists(path):
        return False
    try:
        lock = store.storage.lock(path, exclusive=False, wait=False)
    except FileNotFoundError:
        # The workspace was removed meanwhile.
        return False
    if lock is None:
        return True
    lock.release()
    return False
