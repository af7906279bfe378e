"""Memory of dropped ephemeral branches: given back soon, unless something else needs it."""

import time

import pytest

from pyi_fs import limits
from pyi_fs.engine import collector
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.garbage import pin
from pyi_fs.engine.given_up import KEPT_NS, GivenUp
from pyi_fs.engine.release import forget_snapshots, release
from pyi_fs.engine.roots import roots_of
from pyi_fs.errors import NotFoundError
from pyi_fs.model.refs import Snapshot
from pyi_fs.store import layout
from pyi_fs.store.journal import read_synced
from pyi_fs.store.memory_bound import files_of_layers
from tests.support.storage import MemoryStorage
from tests.support.tiers import Tiers
from tests.support.workspaces import Rig


def later() -> int:
    """When what was dropped now is given up."""
    return time.time_ns() + KEPT_NS + 1_000_000_000


def memory(rig: Rig) -> MemoryStorage:
    assert isinstance(rig.storage, Tiers)
    return rig.storage.memory_tier


@pytest.fixture
def rig(tiered: Rig, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """An ephemeral branch that was restored, with a snapshot."""
    tiered.make("a", b"a" * 100)
    tiered.workspace.make_branch("try", tiered.main, ephemeral=True)
    tiered.make("x", b"x" * 10_000, on="try")
    tiered.snapshot(on="try")
    tiered.write("x", b"later", on="try")
    tiered.workspace.restore(tiered.branch("try"), "1")
    tiered.write("x", b"now", on="try")
    return tiered


def test_what_was_dropped_leaves_memory_and_the_log(rig: Rig) -> None:
    rig.workspace.drop_branch("try")
    planned = collector.plan(rig.store, clock_ns=later)
    assert planned.frees_bytes == 0
    assert sum(step.memory_bytes for step in planned.steps) >= 10_000
    assert "bytes of memory" in str(planned)
    done = release(rig.store, clock_ns=later)
    assert (done.layers, done.freed_bytes) == (2, 0)
    assert list(files_of_layers(memory(rig))) == []
    assert rig.workspace.refresh().ordered() == []
    assert rig.picture()[b"a"][-1] == b"a" * 100


def test_until_then_it_stays_and_undo_works(rig: Rig) -> None:
    rig.workspace.drop_branch("try")
    files = list(files_of_layers(memory(rig)))
    assert release(rig.store).layers == 0
    assert list(files_of_layers(memory(rig))) == files
    rig.workspace.undo(rig.main)
    assert release(rig.store, clock_ns=later).layers == 0
    assert rig.read("x", on="try") == b"now" + b"x" * 9997


def test_undo_says_why_not_when_it_is_too_late(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.workspace.drop_branch("try")
    now_ns = time.time_ns() + (limits.EPHEMERAL_UNDO_SECONDS + 1) * 1_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    with pytest.raises(NotFoundError, match="'try' more than 60 seconds ago: its memory was given"):
        rig.workspace.undo(rig.main)
    with pytest.raises(NotFoundError, match="60 seconds"):
        rig.workspace.would_undo(rig.main)


def test_a_branch_that_stands_on_it_keeps_it(rig: Rig) -> None:
    rig.workspace.make_branch("child", rig.branch("try"), ephemeral=True)
    rig.make("y", b"y", on="child")
    rig.workspace.drop_branch("try")
    release(rig.store, clock_ns=later)
    rig.restart()
    assert rig.read("x", on="child") == b"now" + b"x" * 9997
    rig.workspace.drop_branch("child")
    release(rig.store, clock_ns=later)
    assert list(files_of_layers(memory(rig))) == []


def test_named_snapshots_and_forks_stay(rig: Rig) -> None:
    rig.snapshot("named", on="try")
    rig.write("x", b"forked", on="try")
    fork_workspace(rig.store, "ws", "try", "fork")
    rig.workspace.drop_branch("try")
    release(rig.store, clock_ns=later)
    assert rig.picture_at("named")[b"x"][-1] == b"now" + b"x" * 9997
    assert [one.name for one in rig.workspace.refresh().ordered()] == ["named"]
    fork = Rig(rig.storage, "fork")
    assert fork.read("x") == b"forked" + b"x" * 9994
    fork.close()


def test_a_pinned_snapshot_is_copied_to_disk_and_stays(rig: Rig) -> None:
    pin(rig.store, "ws", "1")
    position = rig.workspace.refresh().ordered()[0].position
    assert isinstance(rig.storage, Tiers)
    assert read_synced(rig.storage.disk_tier, position.layer) >= position.offset
    rig.workspace.drop_branch("try")
    release(rig.store, clock_ns=later)
    assert rig.picture_at("1")[b"x"][-1] == b"x" * 10_000


def test_another_branch_of_the_same_name_keeps_nothing_of_the_first(rig: Rig) -> None:
    rig.workspace.drop_branch("try")
    rig.workspace.make_branch("try", rig.main, ephemeral=True)
    rig.make("y", b"y", on="try")
    second = rig.snapshot(on="try")
    release(rig.store, clock_ns=later)
    assert list(rig.workspace.refresh().snapshots) == [second]
    layers = {path.rpartition("/")[0] for path in files_of_layers(memory(rig))}
    assert len(layers) == 1
    assert rig.read("y", on="try") == b"y"


def test_a_kept_branch_has_the_window_of_every_branch(rig: Rig) -> None:
    rig.workspace.keep_branch(rig.branch("try"))
    layer = rig.branch("try").position.layer
    rig.workspace.drop_branch("try")
    assert forget_snapshots(rig.store, clock_ns=later) == 0
    assert layer in roots_of(rig.store, now_ns=later()).all_positions()


def test_a_workspace_that_goes_meanwhile_is_passed_over(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.workspace.drop_branch("try")
    path = layout.operations_log(rig.workspace.name)
    content = rig.storage.read(path)
    snapshots = GivenUp.snapshots

    def removing(self: GivenUp) -> list[Snapshot]:
        rig.storage.remove(path)
        return list(snapshots(self))

    monkeypatch.setattr(GivenUp, "snapshots", removing)
    assert forget_snapshots(rig.store, clock_ns=later) == 0
    assert not rig.storage.exists(path)
    rig.storage.write_atomic(path, [content])


def test_without_memory_there_is_nothing_to_release(workspace: Rig) -> None:
    assert release(workspace.store).layers == 0
