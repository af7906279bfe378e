"""Copying to disk, before a command and in a thread, what the command will make durable of memory.

A command that promotes is a plain `def` on the event loop: with a gigabyte to copy it would keep
every request waiting for seconds. Copied before, with requests going on, it finds nearly nothing
left to copy.

Invariants:
- Only a beginning: what came meanwhile, and what this could not do, the command does itself. So
  nothing here is an error, and what a refused command leaves is a copy that memory hides.
- No lock of the branch is held while bytes are copied (`store/promotion.py` has its own).
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from pyi_fs import limits
from pyi_fs.engine.branch import Branch
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import PyiError
from pyi_fs.ids import BranchName, LayerId, Position
from pyi_fs.model.refs import Snapshot
from pyi_fs.store.layers import Layers

Ahead = Callable[[], None]
"""Copies. BLOCKS: for a thread."""


def of_branch(workspace: Workspace, name: BranchName | None) -> Ahead | None:
    """Returns how to copy what a branch has in memory; None: nothing is there. `NotFoundError`."""
    ref = workspace.refs.branch(str(name))
    if not ref.ephemeral:
        return None
    branch = workspace.opened(ref.name)
    if branch is not None:
        return partial(_copy_present, branch)
    return partial(_copy_layer, workspace.store.layers, ref.layer) if ref.layer else None


def of_snapshot(workspace: Workspace, snapshot: Snapshot) -> Ahead | None:
    """Returns how to copy a snapshot that is in memory; None: it is not."""
    layers = workspace.store.layers
    with suppress(PyiError):
        if layers.is_ephemeral(snapshot.position.layer):
            return partial(_copy, layers, [snapshot.position])
    return None


def of_keeping(workspace: Workspace, name: BranchName) -> Ahead | None:
    """Returns how to copy all of a branch, its snapshots too; None: nothing of it is in memory.

    `NotFoundError`.
    """
    present = of_branch(workspace, name)
    if present is None:
        return None
    snapshots = workspace.refs.snapshots.values()
    positions = [one.position for one in snapshots if one.branch == name]

    def copy() -> None:
        _copy(workspace.store.layers, positions)
        present()

    return copy


def _copy(layers: Layers, positions: Iterable[Position]) -> None:
    for position in positions:
        with suppress(PyiError, OSError):
            if layers.is_ephemeral(position.layer):
                layers.sync_lineage(position)


def _copy_layer(layers: Layers, layer: LayerId) -> None:
    with suppress(PyiError, OSError):
        layers.sync_whole(layer)


def _copy_present(branch: Branch) -> None:
    """Copies until little is missing, though somebody may be writing all the time."""
    for _ in range(limits.COPY_AHEAD_ROUNDS_MAX):
        before, start = branch.written_bytes, branch.position
        with suppress(PyiError, OSError):
            branch.layers.copy_ahead()
        end = branch.position
        records = end.offset - (start.offset if start.layer == end.layer else 0)
        if branch.written_bytes - before + records < limits.COPY_AT_ONCE_BYTES:
            return
