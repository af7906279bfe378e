"""A collector dies before each of its calls, or a mount does beside it: base tables between them.

The mount goes on writing, checkpoints, forks and undoes; whoever comes afterwards sees what it saw.
"""

import pytest

from pyi_fs import limits
from pyi_fs.engine.founding import fork_workspace
from tests.support.garbage_rig import collect_soon
from tests.support.processes import Disk, Process
from tests.support.storage import Crash
from tests.support.table_rig import grow, tables_of
from tests.support.workspaces import Boot, IndexShelf, Picture, Rig, new_workspace

pytestmark = [pytest.mark.crash, pytest.mark.slow, pytest.mark.usefixtures("layer_numbers")]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 24 * 1024)
    monkeypatch.setattr(limits, "INODE_RANGE_MIN", 4)


class Scene:
    """A workspace with tables on two ways, one of them undone; a mount that has it open."""

    def __init__(self, shelf: IndexShelf) -> None:
        self.root = shelf.directory()
        self.disk = Disk(self.root)
        rig = new_workspace(self.disk)
        rig.make("start", b"the start")
        rig.snapshot("start")
        grow(rig, 3, seed="first")
        rig.workspace.restore(rig.main, "start")
        rig.close()
        self.mount = self.process(None)
        grow(self.mount, 3, seed="second")

    def process(self, crash_at: int | None) -> Rig:
        return Rig(Process(self.disk, crash_at, self.root))

    def go_on(self) -> tuple[dict[str, Picture], Picture]:
        """Does what begins at tables that a collector may have judged; returns what is seen."""
        rig = self.mount
        grow(rig, 1, seed="third")
        rig.workspace.make_branch("side", rig.main)
        rig.write("changes", b"of the side", on="side")
        rig.branch("side").sync()
        rig.workspace.undo(rig.main)
        undone = rig.picture()
        rig.workspace.redo(rig.main)
        fork_workspace(rig.store, "ws", None, "fork")
        return rig.branch_pictures(), undone

    def judge(self, shown: dict[str, Picture], undone: Picture) -> None:
        """Another process sees the same, with nothing in memory; the next collection ends it."""
        self.mount.close()
        again = self.process(None)
        assert again.branch_pictures() == shown
        assert again.findings() == []
        collect_soon(again.store)
        again.restart()
        assert again.branch_pictures() == shown
        again.workspace.undo(again.main)
        assert again.picture() == undone
        again.close()
        fork = Rig(Process(self.disk, None, self.root), "fork")
        assert fork.picture() == shown["main"]
        assert fork.findings() == []
        fork.close()


def calls_of(rig: Rig) -> int:
    assert isinstance(rig.storage, Process)
    return len(rig.storage.calls)


def test_a_collector_that_dies_leaves_what_anybody_folds(shelf: IndexShelf, boot: Boot) -> None:
    scene = Scene(shelf)
    whole = scene.process(None)
    first, before = calls_of(whole), tables_of(whole)
    done = collect_soon(whole.store)
    assert done.tables == 2
    assert len(before - tables_of(whole)) == 2
    total = calls_of(whole)
    whole.close()
    scene.mount.close()
    for crash_at in range(first, total):
        scene = Scene(shelf)
        dies = scene.process(crash_at)
        try:
            with pytest.raises(Crash):
                collect_soon(dies.store)
            dies.die()
            scene.judge(*scene.go_on())
        except BaseException as error:
            error.add_note(f"died before call {crash_at} of {total}")
            raise


@pytest.mark.parametrize("moment", [0, 1])
def test_what_a_mount_does_while_a_table_goes_is_folded_from_what_stays(
    shelf: IndexShelf, boot: Boot, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Between the mark and each removal."""
    scene = Scene(shelf)
    collector = scene.process(None)
    remove = collector.storage.remove
    removed: list[str] = []
    seen: list[tuple[dict[str, Picture], Picture]] = []

    def slow(path: str) -> None:
        if path.rpartition("/")[2] == "base":
            if len(removed) == moment:
                seen.append(scene.go_on())
            removed.append(path)
        remove(path)

    monkeypatch.setattr(collector.storage, "remove", slow)
    assert collect_soon(collector.store).tables == len(removed) == 2
    collector.close()
    scene.judge(*seen[0])
