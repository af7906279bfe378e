"""Whatever begins where, removing base tables changes no root's tree, to the extent.

Chains with and without tables, snapshots, branches, forks, restores, undo, leases: every root is
folded to the same before and after, by somebody who has nothing in memory; and when maps have been
trimmed to what these trees reach, everything can still be read, by who has folded it long ago, too.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pyi_fs import limits
from pyi_fs.engine import garbage
from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.errors import RequestError
from pyi_fs.model.tree import Tree
from tests.support.engine_rig import noise
from tests.support.fixtures import empty_chunk_index
from tests.support.garbage_rig import NOTHING_KEPT, soon
from tests.support.storage import MemoryStorage
from tests.support.table_rig import folds, remove
from tests.support.workspaces import IndexShelf, Picture, Rig, new_workspace, picture_of

__all__ = ["empty_chunk_index"]
pytestmark = pytest.mark.slow
_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
_FILES = st.sampled_from(["f0", "f1", "f2", "f3", "f4"])


@pytest.fixture(autouse=True, scope="module")
def small_limits() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "FOLDED_TREES_MAX", 3)
        patch.setattr(limits, "GARBAGE_GRACE_SECONDS", 0)
        yield


class Story:
    """What happens to a store, one thing after the other."""

    def __init__(self, storage: MemoryStorage, data: st.DataObject) -> None:
        self.rigs = [new_workspace(storage)]
        self.readers: list[tuple[Rig, Tree, Picture]] = []
        self.removed = 0
        self._draw = data.draw
        self._count = 0

    def go_on(self) -> None:
        self._count += 1
        rig = self.rigs[self._draw(st.integers(0, 2), label="workspace") % len(self.rigs)]
        names = rig.workspace.refs.branch_names()
        on = self._draw(st.sampled_from(names), label="branch")
        act = self._draw(st.sampled_from(_ACTS), label="act")
        with suppress(RequestError):
            act(self, rig, on)

    def write(self, rig: Rig, on: str) -> None:
        name = self._draw(_FILES, label="file")
        if rig.branch(on).tree.lookup(*rig.at(name, on)) is None:
            rig.make(name, on=on)
        rig.write(name, noise(300, f"{self._count}"), self._draw(st.sampled_from([0, 150])), on=on)

    def checkpoint(self, rig: Rig, on: str) -> None:
        for _ in range(self._draw(st.integers(1, 3), label="times")):
            self.write(rig, on)
            rig.seal_all()
            rig.checkpoint(on=on)

    def look_meanwhile(self, rig: Rig, on: str) -> None:
        """Somebody folds what is after a table while that is being written."""
        self.write(rig, on)
        rig.seal_all()
        branch = rig.branch(on)
        position, frozen = branch.roll()
        self.write(rig, on)
        branch.sync()
        self._look(rig, rig.snapshot(on=on))
        write_base(rig.store, branch.position.layer, position)
        base = rig.store.layers.base(branch.position.layer)
        assert base is not None
        branch.rebase(frozen, base)

    def roll(self, rig: Rig, on: str) -> None:
        rig.branch(on).roll()
        rig.branch(on).sync()

    def seal(self, rig: Rig, on: str) -> None:
        rig.seal_all()

    def snapshot(self, rig: Rig, on: str) -> None:
        rig.snapshot(on=on)

    def delete(self, rig: Rig, on: str) -> None:
        rig.workspace.delete_snapshot(self._snapshot(rig))

    def _snapshot(self, rig: Rig) -> str:
        taken = [one.id for one in rig.workspace.refresh().ordered()]
        # By its number: ids differ each time.
        number = self._draw(st.integers(0, 5), label="snapshot")
        return taken[number % len(taken)] if taken else "none"

    def branch(self, rig: Rig, on: str) -> None:
        if len(rig.workspace.refs.branch_names()) < 3:
            rig.workspace.make_branch(f"b{self._count}", rig.branch(on))

    def fork(self, rig: Rig, on: str) -> None:
        if len(self.rigs) < 3:
            name = f"w{self._count}"
            fork_workspace(rig.store, rig.workspace.name, None, name)
            self.rigs.append(Rig(rig.storage, name, clock=rig.clock))

    def restore(self, rig: Rig, on: str) -> None:
        rig.workspace.restore(rig.branch(on), self._snapshot(rig))

    def restore_path(self, rig: Rig, on: str) -> None:
        name = self._draw(_FILES, label="path").encode()
        rig.workspace.restore(rig.branch(on), self._snapshot(rig), name)

    def undo(self, rig: Rig, on: str) -> None:
        rig.workspace.undo(rig.branch(on))

    def redo(self, rig: Rig, on: str) -> None:
        rig.workspace.redo(rig.branch(on))

    def read(self, rig: Rig, on: str) -> None:
        """Another process looks at a snapshot, and goes on doing so."""
        self._look(rig, self._snapshot(rig))

    def _look(self, rig: Rig, snapshot: str) -> None:
        reader = Rig(rig.storage, rig.workspace.name, clock=rig.clock)
        try:
            tree = reader.workspace.snapshot_tree(reader.workspace.find_snapshot(snapshot))
        except RequestError:
            reader.close()
            raise
        self.readers.append((reader, tree, picture_of(rig.workspace.reader, tree)))

    def again(self, rig: Rig, on: str) -> None:
        rig.restart()

    def collect(self, rig: Rig, on: str) -> None:
        """Removes tables, and then collects all that can be but what is undone."""
        # First: who opens a branch may write.
        shown = [(one, one.branch_pictures()) for one in self.rigs]
        before = folds(rig)
        self.removed += remove(rig)
        assert folds(rig) == before
        planned = garbage.plan(rig.store, policy=NOTHING_KEPT, clock_ns=soon)
        garbage.carry_out(rig.store, planned, clock_ns=soon)
        for one, pictures in shown:
            one.restart()
            assert one.branch_pictures() == pictures
            one.snapshot_pictures()
            one.workspace.leases.close()
        for reader, tree, picture in self.readers:
            assert picture_of(reader.workspace.reader, tree) == picture

    def end(self) -> None:
        for _ in range(2):
            self.collect(self.rigs[0], "main")
        for rig in (*(reader for reader, _, _ in self.readers), *self.rigs):
            rig.close()


_ACTS = [
    *[
        Story.write,
        Story.checkpoint,
        Story.checkpoint,
        Story.look_meanwhile,
        Story.roll,
        Story.seal,
    ],
    *[Story.snapshot, Story.snapshot, Story.delete, Story.branch, Story.fork, Story.restore],
    *[Story.restore_path, Story.undo, Story.redo, Story.read, Story.again, Story.collect],
]


@settings(deadline=None, suppress_health_check=_CHECKS)
@given(data=st.data())
def test_no_root_is_folded_to_anything_else(
    empty_chunk_index: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    shelf = IndexShelf(empty_chunk_index, tmp_path_factory.mktemp("tables"))
    story = Story(MemoryStorage(shelf.directory()), data)
    for _ in range(data.draw(st.integers(5, 50), label="acts")):
        story.go_on()
    story.end()
    event(f"removed {min(story.removed, 3)}")
