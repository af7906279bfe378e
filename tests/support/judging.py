"""A store that somebody has been at: all is asked of it, and only errors of ours may come."""

import contextlib
import resource
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings

from pyi_fs.engine import collector, garbage
from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.references import all_layers
from pyi_fs.engine.repair import repair
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.engine.usage import usage
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import PyiError
from pyi_fs.ids import InodeNumber, SnapshotId, WorkspaceName
from pyi_fs.model.refs import Snapshot
from pyi_fs.model.tree import Tree

# Each case is a whole store: a third of the usual number of them.
SETTINGS = settings(
    max_examples=max(settings().max_examples // 3, 1),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SECONDS = 20
MEMORY_BYTES = 1 << 30
"""More than the process has when the test begins; what is read must not need it."""


class HangsError(BaseException):
    """It did not come to an end. Not an `Exception`: nobody may take it for a finding."""


def _alarm(*_: object) -> None:
    raise HangsError(f"after {SECONDS} s")


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Ends what takes too long, and refuses it more memory than a small store needs."""
    before = signal.signal(signal.SIGALRM, _alarm)
    limits = resource.getrlimit(resource.RLIMIT_AS)
    signal.alarm(SECONDS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fresh_copy(template: Path, target: Path) -> Path:
    """Returns a copy of a store to damage, in the place of the one before."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(template, target)
    return target


def look_at_tree(tree: Tree, read: Callable[[InodeNumber, int, int], object]) -> None:
    """Walks a tree as a mount, an export and a sealer do."""
    with contextlib.suppress(PyiError):
        for name, number, inode in tree.walk():
            tree.lookup(inode.parent, name.rpartition(b"/")[2])
            with contextlib.suppress(PyiError):
                tree.paths(number)
            if inode.is_file:
                for offset in (0, max(inode.size - 100, 0)):
                    with contextlib.suppress(PyiError):
                        read(number, offset, 10_000)


def _asked(ask: Callable[[], object]) -> None:
    with contextlib.suppress(PyiError):
        ask()


def look_at_workspace(workspace: Workspace) -> None:
    """Asks a workspace everything that a mount would."""
    with contextlib.suppress(PyiError):
        branch = workspace.open_branch("main")
        look_at_tree(branch.tree, branch.read)
        _asked(lambda: workspace.status(branch))
        _asked(lambda: workspace.would_undo(branch))
        _asked(lambda: workspace.would_redo(branch))
        _asked(lambda: workspace.snapshot(branch))
        _asked(lambda: workspace.undo(branch))
    for snapshot in workspace.refs.ordered():
        _asked(partial(workspace.find_snapshot, snapshot.id))
        with contextlib.suppress(PyiError):
            _look_at_snapshot(workspace, snapshot)
    for name in workspace.refs.branch_names():
        _asked(partial(workspace.newest_tree, name))


def _look_at_snapshot(workspace: Workspace, snapshot: Snapshot) -> None:
    tree = workspace.snapshot_tree(snapshot)
    look_at_tree(tree, lambda number, *where: workspace.reader.read(tree.existing(number), *where))


def look_at_store(store: Store) -> None:
    """Does what the worker and the collector do."""
    _asked(lambda: usage(store))
    _asked(lambda: garbage.plan(store))
    _asked(lambda: collector.execute(store, collector.plan(store)))
    segments = [
        segment for layer in all_layers(store.storage) for segment in store.layers.segments(layer)
    ]
    _asked(lambda: seal(store, segments))
    for name in store.workspace_names():
        _asked(partial(seal_snapshots, store, name, [SnapshotId("1-000000")]))


def judged(path: Path, names: tuple[str, ...] = ("w",)) -> None:
    """Opens, folds, walks, reads, checks and plans a collection of a store.

    Only errors of ours may come, in bounded time and memory.
    """
    with bounded():
        check_directory(path, verify_data=True)
        with contextlib.suppress(PyiError):
            store = Store.open(path, create=False)
            try:
                for name in names:
                    with contextlib.suppress(PyiError):
                        workspace = Workspace(store, WorkspaceName(name))
                        try:
                            look_at_workspace(workspace)
                        finally:
                            workspace.close()
                look_at_store(store)
            finally:
                store.close()
        with contextlib.suppress(PyiError):
            list(repair(path))
