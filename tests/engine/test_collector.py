"""The collector takes what nobody needs and nothing else, whoever is in the middle of something."""

import os
import stat
import time
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.engine import garbage
from pyi_fs.engine.collector import execute, plan, remove_and_collect
from pyi_fs.engine.founding import create_workspace, fork_workspace, remove_workspace
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.references import LayerGraph, all_layers
from pyi_fs.engine.roots import positions_of
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store, boot_id
from pyi_fs.errors import BusyError, NotFoundError
from pyi_fs.format.record import FORMAT_VERSION, LayerHeader
from pyi_fs.ids import LayerId, Position, WorkspaceName
from pyi_fs.model.extent import count
from pyi_fs.store import layout
from tests.support.engine_rig import contents, noise, opened, put, written

DAY_NS = limits.UNDO_WINDOW_SECONDS * 1_000_000_000


def tomorrow() -> int:
    return time.time_ns() + 2 * DAY_NS


def layers_of(store: Store, name: str) -> set[LayerId]:
    return {position.layer for position in positions_of(store, WorkspaceName(name))}


def stray_layer(store: Store, parent: Position | None, workspace: str, branch: str) -> LayerId:
    """Makes a layer that is in no log, as who was stopped before it noted it."""
    layer = store.layers.new_directory()
    root = (stat.S_IFDIR | 0o755, 0, 0, 1) if parent is None else None
    header = LayerHeader(
        FORMAT_VERSION, layer, parent, root, time.time_ns(), boot_id(), workspace, branch
    )
    store.layers.close_writer(store.layers.create(header))
    return layer


def test_a_removed_workspace_goes_at_once_and_wholly(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"one", noise(100_000))
            workspace.snapshot(branch)
            put(branch, b"two", noise(50_000))
        with written(store, "b") as (_, branch):
            put(branch, b"other", b"stays")
        kept = layers_of(store, "b")
        done = remove_and_collect(store, "a")
        assert set(all_layers(store.storage)) == kept
        assert done.layers == 2
        assert done.freed_bytes >= 150_000
        assert done.skipped == ()
        assert store.workspace_names() == ["b"]
        assert check_store(store, verify_data=True) == []


@pytest.mark.parametrize("is_sealed", [False, True], ids=["scratch", "sealed"])
def test_a_fork_outlives_its_parent(tmp_path: Path, is_sealed):
    with opened(tmp_path / "store") as store:
        with written(store, "parent") as (workspace, branch):
            put(branch, b"d/base", noise(70_000, "base"))
            workspace.snapshot(branch, name="start")
        fork_workspace(store, "parent", "start", "fork")
        with written(store, "parent") as (workspace, branch):
            put(branch, b"later", noise(90_000, "later"))
            segments = [
                segment
                for layer in all_layers(store.storage)
                for segment in store.layers.segments(layer)
            ]
        with written(store, "fork") as (_, branch):
            put(branch, b"own", b"of the fork")
            before = contents(branch)
        if is_sealed:
            seal(store, segments)
        remove_and_collect(store, "parent")
        assert plan(store, clock_ns=tomorrow).steps == []
        with written(store, "fork") as (_, branch):
            assert contents(branch) == before
            assert before == {b"d/base": noise(70_000, "base"), b"own": b"of the fork"}
        assert check_store(store, verify_data=True) == []
        done = remove_and_collect(store, "fork")
        assert done.skipped == ()
    with opened(tmp_path / "store") as store:
        # The pin of the fork is young and its workspace is gone: it may as well be on its way.
        execute(store, plan(store, clock_ns=tomorrow), clock_ns=tomorrow)
        assert all_layers(store.storage) == []


def test_a_restored_path_keeps_the_layer_its_bytes_are_in(tmp_path: Path):
    """The fork's lineage does not go through the layer the restored file was written in."""
    with opened(tmp_path / "store") as store:
        with written(store, "parent") as (workspace, branch):
            put(branch, b"first", b"1")
            start = workspace.snapshot(branch).snapshot
            put(branch, b"other", b"x")
            workspace.restore(branch, start.id)
            put(branch, b"wanted", noise(30_000))
            taken = workspace.snapshot(branch).snapshot
            workspace.restore(branch, start.id)
            put(branch, b"second", b"2")
            workspace.restore(branch, taken.id, b"wanted")
            inode = branch.tree.existing(branch.tree.resolve(b"wanted"))
            assert count(inode.extents) == 1
        off_lineage = taken.position.layer
        fork_workspace(store, "parent", None, "fork")
        assert off_lineage not in {step.layer for step in _lineage(store, "fork")}
        remove_and_collect(store, "parent")
        with written(store, "fork") as (_, branch):
            assert contents(branch) == {b"first": b"1", b"second": b"2", b"wanted": noise(30_000)}
        assert check_store(store, verify_data=True) == []


def _lineage(store: Store, name: str) -> list[Position]:
    with written(store, name) as (workspace, branch):
        return workspace.history.lineage(branch.position)


def test_a_plan_prints_what_each_step_frees(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"one", noise(100_000))
        remove_workspace(store, "a")
        assert plan(store).steps == []
        planned = plan(store, clock_ns=tomorrow)
        lines = str(planned).splitlines()
        assert len(lines) == 2
        assert all("of a/main: " in line and line.endswith(" bytes") for line in lines)
        assert planned.frees_bytes == sum(int(line.split()[-2]) for line in lines) > 100_000


def test_children_go_before_parents(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            for index in range(4):
                put(branch, b"f%d" % index, b"x")
                workspace.restore(branch, workspace.snapshot(branch).snapshot.id)
            put(branch, b"last", b"x")
        graph = LayerGraph(store)
        remove_workspace(store, "a")
        order = [step.layer for step in plan(store, clock_ns=tomorrow).steps]
        assert len(order) == 6
        for index, layer in enumerate(order):
            found = graph.references(layer)
            assert found is not None
            assert not found.layers & set(order[:index])


def test_layers_that_name_each_other_go_together(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, left):
            workspace.make_branch("right", workspace.snapshot(left).snapshot)
            right = workspace.open_branch("right")
            put(left, b"of-left", b"l" * 5000)
            put(right, b"of-right", b"r" * 5000)
            from_left = workspace.snapshot(left).snapshot
            from_right = workspace.snapshot(right).snapshot
            workspace.restore(left, from_right.id, b"of-right")
            workspace.restore(right, from_left.id, b"of-left")
            right.sync()
            both = {left.position.layer, right.position.layer}
        remove_workspace(store, "a")
        planned = plan(store, clock_ns=tomorrow)
        assert both in [{step.layer for step in group} for group in planned.groups]
        execute(store, planned, clock_ns=tomorrow)
        assert all_layers(store.storage) == []


def test_a_branch_in_use_keeps_the_workspace(tmp_path: Path):
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        with written(other, "a") as (_, branch):
            put(branch, b"one", b"x")
            with pytest.raises(BusyError):
                remove_and_collect(store, "a")
            assert plan(store, clock_ns=tomorrow).steps == []
        with pytest.raises(NotFoundError):
            remove_and_collect(store, "b")


def test_a_layer_not_yet_in_the_log_of_a_branch_in_use_is_left_alone(tmp_path: Path):
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        with written(other, "a") as (_, branch):
            layer = stray_layer(other, branch.position, "a", "main")
            planned = plan(store, clock_ns=tomorrow)
            assert planned.steps == []
            assert planned.waiting == ((layer, "branch 'main' of 'a' is in use"),)
        # Who held the lock is gone and did not note it: nobody will.
        assert [step.layer for step in plan(store).steps] == [layer]


def test_the_first_layer_of_a_workspace_being_made_is_left_alone(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        layer = stray_layer(store, None, "new", "main")
        planned = plan(store)
        assert planned.steps == []
        assert planned.waiting == ((layer, "a workspace may be about to begin with it"),)
        assert [step.layer for step in plan(store, clock_ns=tomorrow).steps] == [layer]


def test_a_layer_of_an_earlier_workspace_of_that_name_is_not_mistaken(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        layer = stray_layer(store, None, "a", "main")
        create_workspace(store, "a")
        planned = plan(store)
        assert planned.steps == []
        assert [found for found, _ in planned.waiting] == [layer]
        assert [step.layer for step in plan(store, clock_ns=tomorrow).steps] == [layer]


def test_an_import_on_its_way_is_left_alone(tmp_path: Path):
    """It has a directory and a base for a long time before it has a journal."""
    with opened(tmp_path / "store") as store:
        layer = store.layers.new_directory()
        store.storage.open_append(layout.base(layer), create=True).close()
        assert [found for found, _ in plan(store).waiting] == [layer]
        assert [step.layer for step in plan(store, clock_ns=tomorrow).steps] == [layer]


def test_a_fork_on_its_way_keeps_what_it_pinned(tmp_path: Path):
    """The parent goes between the pin and the first record of the fork's log."""
    with opened(tmp_path / "store") as store:
        with written(store, "parent") as (workspace, branch):
            put(branch, b"one", b"1")
            workspace.restore(branch, workspace.snapshot(branch).snapshot.id)
            put(branch, b"two", b"2")
            layer = branch.position.layer
        needed = set(LayerGraph(store).reach([layer]))
        store.layers.pin(layer, "fork 100")
        done = remove_and_collect(store, "parent")
        assert needed <= set(all_layers(store.storage))
        assert done.layers == 0
        assert plan(store, known=needed).steps == []


def test_a_pin_after_the_plan_keeps_the_layer_and_its_lineage(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "parent") as (workspace, branch):
            put(branch, b"one", b"1")
            workspace.restore(branch, workspace.snapshot(branch).snapshot.id)
            put(branch, b"two", b"2")
            layer = branch.position.layer
        needed = set(LayerGraph(store).reach([layer]))
        remove_workspace(store, "parent")
        planned = plan(store, clock_ns=tomorrow)
        store.layers.pin(layer, "fork 100")
        # A clock at which the pin is old: the comparison with the plan has to notice it.
        done = execute(store, planned, clock_ns=lambda: tomorrow() + DAY_NS)
        assert set(done.skipped) == needed
        assert set(all_layers(store.storage)) == needed


def test_a_fork_that_comes_too_late_fails(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "parent") as (_, branch):
            put(branch, b"one", b"1")
            layer = branch.position.layer
        remove_and_collect(store, "parent")
        with pytest.raises(FileNotFoundError):
            store.layers.pin(layer, "fork 100")


def test_an_interrupted_collection_is_finished_by_the_next(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"one", b"1")
            layer = branch.position.layer
        remove_workspace(store, "a")
        directory = layout.layer_directory(layer)
        store.storage.rename(directory, directory + ".removed")
        planned = plan(store)
        assert planned.leftovers == (directory + ".removed",)
        execute(store, planned)
        assert not store.storage.exists(directory + ".removed")


def test_two_collections_of_one_plan_are_no_harm(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"one", b"1")
        remove_workspace(store, "a")
        planned = plan(store, clock_ns=tomorrow)
        execute(store, planned, clock_ns=tomorrow)
        assert execute(store, planned, clock_ns=tomorrow).freed_bytes == 0
        assert all_layers(store.storage) == []


@pytest.mark.parametrize("record", [0, 1])
def test_a_damaged_log_keeps_all_its_layers_and_nobody_elses(tmp_path: Path, record: int):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"one", b"1")
            workspace.snapshot(branch)
        layers = set(all_layers(store.storage))
        with written(store, "b") as (_, branch):
            put(branch, b"one", b"1")
        others = set(all_layers(store.storage)) - layers
        remove_workspace(store, "b")
        log = tmp_path / "store" / "workspaces" / "a" / "log"
        data = bytearray(log.read_bytes())
        start = record * (8 + int.from_bytes(data[:4], "little"))
        data[start + 9] ^= 1
        log.write_bytes(data)
        planned = plan(store, clock_ns=tomorrow)
        assert {step.layer for step in planned.steps} == others
        assert len(planned.held) == 1
        assert planned.held[0].startswith("workspace 'a': ")
        assert f"leave {planned.held[0]}" in str(planned)
        execute(store, planned, clock_ns=tomorrow)
        assert set(all_layers(store.storage)) == layers


@pytest.mark.parametrize("damage", ["emptied", "a FIFO", "gone"])
def test_a_log_of_which_nothing_is_left_keeps_its_workspace(tmp_path: Path, damage: str):
    """An empty one was taken for a workspace half made, and all it had was collected."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"one", b"1")
            workspace.snapshot(branch)
            workspace.sync(branch)
        log = tmp_path / "store" / "workspaces" / "a" / "log"
        log.unlink()
        if damage == "emptied":
            log.touch(mode=0o600)
        elif damage == "a FIFO":
            os.mkfifo(log)
        before = sorted(str(path) for path in (tmp_path / "store" / "layers").rglob("*"))
        with written(store, "b") as (_, branch):
            put(branch, b"one", b"1")
        remove_workspace(store, "b")
        planned = garbage.plan(store, clock_ns=tomorrow)
        assert [line for line in planned.lines() if line.startswith("leave workspace 'a'")]
        garbage.carry_out(store, planned, clock_ns=tomorrow)
        after = sorted(str(path) for path in (tmp_path / "store" / "layers").rglob("*"))
        assert set(before) <= set(after)
        assert store.workspace_names() == ["a"]
        remove_and_collect(store, "a")
        assert all_layers(store.storage) == []
        assert store.workspace_names() == []


def test_a_damaged_workspace_in_use_is_not_removed(tmp_path: Path):
    with opened(tmp_path / "store") as store, written(store, "a") as (_, branch):
        put(branch, b"one", b"1")
        log = tmp_path / "store" / "workspaces" / "a" / "log"
        log.rename(tmp_path / "log")
        with pytest.raises(BusyError, match="in use, and damaged"):
            remove_and_collect(store, "a")
        (tmp_path / "log").rename(log)


def test_removing_a_damaged_workspace_leaves_its_forks(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"one", noise(50_000))
            branch.sync()
        fork_workspace(store, "a", None, "fork")
        (tmp_path / "store" / "workspaces" / "a" / "log").unlink()
        remove_and_collect(store, "a")
        with written(store, "fork") as (_, branch):
            assert contents(branch) == {b"one": noise(50_000)}
        assert check_store(store, verify_data=True) == []


def test_a_collection_that_takes_a_block_misses_no_budget(tmp_path: Path):
    """A segment that nobody wants, in a layer that somebody may begin with: a map and a note."""
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"one", b"1")
            branch.sync()
        remove_workspace(store, "a")
        planned = garbage.plan(store, keep_bytes=1 << 40)
    assert planned.frees_bytes < 0
    assert planned.missing_bytes == 0
