"""Damage of one workspace: what it may need stays to the byte, and all others are collected."""

from pathlib import Path

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.collector import remove_and_collect
from pyi_fs.engine.founding import begin_workspace, fork_workspace
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.held import frozen, readable
from pyi_fs.engine.references import LayerGraph, all_layers
from pyi_fs.engine.roots import roots_of
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.ids import InodeNumber, LayerId, WorkspaceName
from pyi_fs.store import layout
from tests.support.engine_rig import contents, noise, opened, put, written
from tests.support.garbage_rig import (
    NOTHING_KEPT,
    collect,
    fsck_of_tomorrow,
    rewritten_often,
    tomorrow,
)

pytestmark = pytest.mark.usefixtures("fsck_of_tomorrow")
__all__ = ["fsck_of_tomorrow"]


def all_contents(store: Store, name: str) -> dict[str, dict[bytes, bytes]]:
    with written(store, name) as (workspace, branch):
        found = {"now": contents(branch)}
        for snapshot in workspace.refs.ordered():
            tree = workspace.snapshot_tree(snapshot)
            found[snapshot.id] = {
                path: workspace.reader.read_all(inode)
                for path, _, inode in tree.walk()
                if inode.is_file
            }
        return found


def damaged_and_whole(path: Path, at: int) -> tuple[bytes, bytes]:
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[at] ^= 1
    return bytes(damaged), whole


@pytest.mark.parametrize("at", [9, -3], ids=["first record", "last record"])
def test_a_damaged_log_holds_its_workspace_and_the_others_are_collected(
    tmp_path: Path, at: int
) -> None:
    """The log is mended afterwards: every snapshot it names is readable to the byte."""
    with opened(tmp_path / "store") as store:
        rewritten_often(store, "a")
        rewritten_often(store, "b")
        expected = all_contents(store, "a")
        log = tmp_path / "store" / layout.operations_log(WorkspaceName("a"))
        damaged, whole = damaged_and_whole(log, at)
        log.write_bytes(damaged)
    with opened(tmp_path / "store") as store:
        planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow, keep_bytes=0)
        assert {deletion.workspace for deletion in planned.deletions} == {"b"}
        assert any("workspace 'a'" in note for note in planned.notes)
        done = garbage.carry_out(store, planned, clock_ns=tomorrow)
        assert done.snapshots == 3
        assert done.maps == 1
        assert done.freed_bytes > 800_000
    log.write_bytes(whole)
    with opened(tmp_path / "store") as store:
        assert all_contents(store, "a") == expected
        assert check_store(store, verify_data=True) == []


@pytest.mark.parametrize("end", [b"\x20\0\0\0torn", bytes(200)], ids=["torn", "zeros"])
def test_a_log_with_a_torn_end_holds_nothing(tmp_path: Path, end: bytes) -> None:
    """Nobody writes to the workspace: the collection does not wait for who would cut it off."""
    path = tmp_path / "store"
    with opened(path) as store:
        rewritten_often(store, "a")
        rewritten_often(store, "b")
        with (path / layout.operations_log(WorkspaceName("a"))).open("ab") as file:
            file.write(end)
        planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow, keep_bytes=0)
        assert {deletion.workspace for deletion in planned.deletions} == {"a", "b"}
        assert planned.notes == ()
        done = garbage.carry_out(store, planned, clock_ns=tomorrow)
        assert (done.snapshots, done.maps, done.notes) == (6, 2, ())
        assert done.packs > 0
        assert check_store(store, verify_data=True) == []


def test_a_fork_that_has_written_nothing_is_held_by_its_pin(tmp_path: Path) -> None:
    """Its log is damaged at the first record, its layers are its parent's, which is removed."""
    with opened(tmp_path / "store") as store:
        rewritten_often(store, "a")
        fork_workspace(store, "a", "2", "fork")
        expected = all_contents(store, "fork")
        log = tmp_path / "store" / layout.operations_log(WorkspaceName("fork"))
        damaged, whole = damaged_and_whole(log, 9)
        log.write_bytes(damaged)
        remove_and_collect(store, "a")
        collect(store)
        log.write_bytes(whole)
        assert all_contents(store, "fork") == expected


def test_a_damaged_layer_holds_those_who_need_it(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store, "a")
        rewritten_often(store, "b")
        expected = all_contents(store, "a")
        with written(store, "a") as (_, branch):
            layer = branch.position.layer
        journal = tmp_path / "store" / layout.journal(layer)
        damaged, whole = damaged_and_whole(journal, 200)
        journal.write_bytes(damaged)
    with opened(tmp_path / "store") as store:
        done = collect(store)
        assert done.maps == 1
        assert done.packs == 0
        assert any("cannot be read" in note for note in done.notes)
        # What was thinned by its own log went; nothing of what is left did.
    journal.write_bytes(whole)
    with opened(tmp_path / "store") as store:
        found = all_contents(store, "a")
        assert found == {key: expected[key] for key in found}
        assert check_store(store, verify_data=True) == []


def test_a_fork_on_its_way_has_nothing_trimmed_under_it(tmp_path: Path) -> None:
    """It has pinned a snapshot that is deleted, and trimmed away, before its log begins."""
    with opened(tmp_path / "store") as store:
        rewritten_often(store, "a")
        expected = all_contents(store, "a")
        with written(store, "a") as (workspace, _):
            first = workspace.refs.ordered()[0]
            store.layers.pin(first.position.layer, f"fork {first.position.offset}")
            workspace.delete_snapshot(first.id)
        planned = garbage.plan(store)
        assert planned.trims == ()
        assert garbage.carry_out(store, planned).maps == 0
    # Another process: this one may have the old maps in memory.
    with opened(tmp_path / "store") as store:
        begin_workspace(store, WorkspaceName("fork"), first.position, "a", InodeNumber(99))
        assert all_contents(store, "fork")["now"] == expected[first.id]
        done = collect(store)
        assert done.maps == 1
        assert all_contents(store, "fork")["now"] == expected[first.id]


def test_a_sealer_leaves_what_is_held(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        segments = {}
        for name in ("a", "b"):
            with written(store, name) as (_, branch):
                put(branch, b"one", noise(50_000, name))
                segments[name] = store.layers.segments(branch.position.layer)
        log = tmp_path / "store" / layout.operations_log(WorkspaceName("a"))
        damaged, whole = damaged_and_whole(log, -3)
        log.write_bytes(damaged)
        assert seal(store, [*segments["a"], *segments["b"]]) == segments["b"]
        log.write_bytes(whole)
        assert seal(store, segments["a"]) == segments["a"]
        for name in ("a", "b"):
            with written(store, name) as (_, branch):
                assert contents(branch) == {b"one": noise(50_000, name)}


def test_nothing_is_frozen_in_a_sound_store(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        graph, roots = LayerGraph(store), roots_of(store)
        assert readable(roots, graph) == roots
        assert roots.held == {}
        layers: list[LayerId] = all_layers(store.storage)
        assert frozen(store, roots, graph, layers, tomorrow()) == set()
