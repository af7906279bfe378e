"""A workspace and a naive one do the same: branches, snapshots, restores, undo, forks, kills.

Between any two steps the process may end and another begin, segments may be sealed, given back or
put under a table: nothing of that may be seen.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.engine import left_layers
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.model.mutation import Adopt, Share, Write
from pyi_fs.store import storage
from tests.support.fixtures import empty_chunk_index
from tests.support.machine import Machine
from tests.support.naive import paths_of
from tests.support.storage import MemoryStorage
from tests.support.strategies import mutations
from tests.support.workspaces import IndexShelf, Rig, new_workspace

__all__ = ["empty_chunk_index"]
pytestmark = pytest.mark.slow
_SETTINGS = settings(
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
)


@pytest.fixture(autouse=True, scope="module")
def small_limits() -> Iterator[None]:
    """Makes rolling over, punching and closing of layers common."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "SEGMENT_BYTES_MAX", 200)
        patch.setattr(limits, "PUNCH_BYTES_MIN", 1)
        patch.setattr(storage, "PUNCH_BLOCK_BYTES", 1)
        patch.setattr(limits, "INODE_RANGE_MIN", 3)
        patch.setattr(limits, "FOLDED_TREES_MAX", 3)
        patch.setattr(left_layers, "OPEN_MAX", 2)
        yield


class Driver:
    """Draws what happens next."""

    def __init__(self, machine: Machine, data: st.DataObject) -> None:
        self.machine = machine
        self.draw = data.draw

    def branch(self) -> str:
        return self.draw(st.sampled_from(self.machine.names), label="branch")

    def snapshot(self) -> object:
        taken = sorted(self.machine.naive.snapshots)
        return self.draw(st.sampled_from(taken), label="snapshot") if taken else None

    def mutate(self) -> None:
        machine, name = self.machine, self.branch()
        tree = machine.rig.branch(name).tree
        for _ in range(self.draw(st.integers(1, 6), label="mutations")):
            drawn = mutations(tree, machine.content, machine.rig.now())
            mutation = self.draw(drawn, label="mutation")
            # Bytes that are shared or adopted are made up here; a write of none is no mutation.
            is_empty = isinstance(mutation, Write) and mutation.length == 0
            if not isinstance(mutation, Share | Adopt) and not is_empty:
                machine.mutate(name, mutation)
            tree = machine.rig.branch(name).tree

    def share(self) -> None:
        name = self.branch()
        tree = self.machine.rig.branch(name).tree
        files = [n for n in sorted(tree.numbers()) if tree.existing(n).is_file]
        if files:
            source, target = (self.draw(st.sampled_from(files), label=x) for x in ("from", "to"))
            self.machine.share(name, source, target, self.draw(st.integers(1, 60)))

    def take(self) -> None:
        self.machine.snapshot(self.branch())

    def diff(self) -> None:
        one, other = self.snapshot(), self.snapshot()
        if one is not None:
            self.machine.diff(one, other)  # type: ignore[arg-type]

    def restore(self) -> None:
        snapshot = self.snapshot()
        if snapshot is not None:
            self.machine.restore(self.branch(), snapshot)  # type: ignore[arg-type]

    def restore_path(self) -> None:
        snapshot, name = self.snapshot(), self.branch()
        if snapshot is None:
            return
        naive = self.machine.naive
        paths = {
            *paths_of(naive.branches[name]),
            *paths_of(naive.snapshots[snapshot]),  # type: ignore[index]
        }
        if paths:
            path = self.draw(st.sampled_from(sorted(paths)), label="path")
            self.machine.restore_path(name, snapshot, path)  # type: ignore[arg-type]

    def make_branch(self) -> None:
        free = [name for name in ("main", "b", "c") if name not in self.machine.names]
        starts = [*self.machine.names, *sorted(self.machine.naive.snapshots)]
        if free:
            start = self.draw(st.sampled_from(starts), label="start")
            self.machine.make_branch(self.draw(st.sampled_from(free), label="new"), start)

    def drop_branch(self) -> None:
        if len(self.machine.names) > 1:
            self.machine.drop_branch(self.branch())

    def undo(self) -> None:
        self.machine.undo(self.branch())

    def redo(self) -> None:
        self.machine.redo(self.branch())

    def delete(self) -> None:
        snapshot = self.snapshot()
        if snapshot is not None and len(self.machine.naive.snapshots) > 3:
            self.machine.rig.workspace.delete_snapshot(str(snapshot))
            del self.machine.naive.snapshots[snapshot]  # type: ignore[arg-type]

    def sync(self) -> None:
        self.machine.rig.branch(self.branch()).sync()

    def reclaim(self) -> None:
        self.machine.rig.branch(self.branch()).reclaim()

    def seal(self) -> None:
        self.machine.rig.seal_all()
        if self.draw(st.booleans(), label="closed layers too"):
            self.machine.rig.seal_left()
        self.machine.compare_all()

    def checkpoint(self) -> None:
        name = self.branch()
        self.machine.rig.checkpoint(on=name)
        self.machine.compare(name)

    def reopen(self) -> None:
        self.machine.reopen(kill=self.draw(st.booleans(), label="kill"))

    def fork(self) -> None:
        rig, name = self.machine.rig, self.branch()
        fork = f"fork-{rig.now()}"
        fork_workspace(rig.store, rig.workspace.name, name, fork)
        other = Rig(rig.storage, fork)
        try:
            assert other.picture("main") == rig.picture(name)
            other.make("only here", b"in the fork")
            rig.branch(name)
        finally:
            other.close()
        self.machine.compare(name)


WEIGHTS = [
    (12, Driver.mutate),
    (2, Driver.share),
    (6, Driver.take),
    (2, Driver.diff),
    (3, Driver.restore),
    (3, Driver.restore_path),
    (3, Driver.make_branch),
    (1, Driver.drop_branch),
    (3, Driver.undo),
    (2, Driver.redo),
    (1, Driver.delete),
    (2, Driver.sync),
    (2, Driver.reclaim),
    (2, Driver.seal),
    (2, Driver.checkpoint),
    (3, Driver.reopen),
    (1, Driver.fork),
]
STEPS = [step for weight, step in WEIGHTS for _ in range(weight)]


@_SETTINGS
@given(data=st.data())
def test_workspace_does_what_copies_of_filesystems_do(
    data: st.DataObject, empty_chunk_index: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Same trees, contents, snapshots, diffs and undo after every step."""
    shelf = IndexShelf(empty_chunk_index, tmp_path_factory.mktemp("machine"))
    machine = Machine(new_workspace(MemoryStorage(shelf.directory())))
    try:
        driver = Driver(machine, data)
        for _ in range(data.draw(st.integers(20, 40), label="steps")):
            data.draw(st.sampled_from(STEPS), label="step")(driver)
        for one in machine.naive.snapshots:
            for other in machine.naive.snapshots:
                machine.diff(one, other)
        machine.reopen(kill=False)
        assert machine.rig.findings() == []
    finally:
        machine.rig.die()
