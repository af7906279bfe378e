"""What is marked is what is wanted: nothing less, and of sealed segments nothing more."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pyi_fs import limits
from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.history import History, Step
from pyi_fs.engine.marking import Trims, live_chunks, sealed_maps, trims
from pyi_fs.engine.references import all_layers
from pyi_fs.engine.roots import Gone, roots_of
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.ids import ChunkId, WorkspaceName, layer_name
from pyi_fs.store import layout, sealmap
from pyi_fs.store.packs import pack_path
from tests.support.engine_rig import contents, noise, opened, put, written

PAST_THE_WINDOW = (limits.UNDO_WINDOW_SECONDS + limits.GARBAGE_GRACE_SECONDS + 60) * 1_000_000_000


def sealed(store: Store) -> None:
    layers = all_layers(store.storage)
    seal(store, [segment for layer in layers for segment in store.layers.segments(layer)])


def test_a_map_loses_what_only_a_deleted_snapshot_reached(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"stays", noise(50_000, "stays"))
            put(branch, b"changes", noise(70_000, "old"))
            first = workspace.snapshot(branch).snapshot.id
            put(branch, b"changes", noise(70_000, "new"))
        sealed(store)
        assert trims(store, roots_of(store).all_positions(), sealed_maps(store)) == ()
        without = {WorkspaceName("a"): Gone({first})}
        (trim,) = trims(store, roots_of(store, without=without).all_positions(), sealed_maps(store))
        assert (trim.old_bytes, trim.new_bytes) == (190_000, 120_000)
        before = live_chunks(store).live
        after = live_chunks(store, trimmed=[trim], without=without).live
        assert after < before
        path = layout.seal_map(trim.segment)
        store.storage.write_atomic(path, [sealmap.encode(list(trim.pieces))])
    with opened(tmp_path / "store") as store:
        assert live_chunks(store).live == after
        with written(store, "a") as (workspace, branch):
            workspace.delete_snapshot(first)
            assert contents(branch)[b"changes"] == noise(70_000, "new")
        assert check_store(store, verify_data=True) == []


def test_a_restored_path_keeps_its_bytes_in_a_map_beside_its_lineage(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"first", b"1")
            start = workspace.snapshot(branch).snapshot
            workspace.restore(branch, start.id)
            put(branch, b"wanted", noise(60_000, "wanted"))
            put(branch, b"unwanted", noise(60_000, "unwanted"))
            taken = workspace.snapshot(branch).snapshot
            workspace.restore(branch, start.id)
            workspace.restore(branch, taken.id, b"wanted")
        sealed(store)
        with written(store, "a") as (workspace, _):
            workspace.delete_snapshot(taken.id)
        later = time.time_ns() + PAST_THE_WINDOW
        found = trims(store, roots_of(store, now_ns=later).all_positions(), sealed_maps(store))
        assert [(trim.old_bytes, trim.new_bytes) for trim in found] == [(120_000, 60_000)]


def test_tree_objects_are_wanted_and_not_what_they_say_of_files(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/e/file", noise(50_000))
            taken = workspace.snapshot(branch).snapshot.id
        assert live_chunks(store).live == set()
        seal_snapshots(store, WorkspaceName("a"), [taken])
        live = live_chunks(store).live
        # Three directories; the bytes of the file are in scratch.
        assert len(live) == 3
        assert store.index.known(live) == live
        assert live_chunks(store, without={WorkspaceName("a"): Gone({taken})}).live == set()


def test_a_layer_being_made_is_passed_over_and_a_damaged_one_is_said(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"one", b"1")
            layer = branch.position.layer
        store.storage.open_append(layout.journal(store.layers.new_directory()), create=True).close()
        assert live_chunks(store) == (set(), ())
    journal = tmp_path / "store" / layout.journal(layer)
    journal.write_bytes(b"x" * journal.stat().st_size)
    with opened(tmp_path / "store") as store:
        assert live_chunks(store).missing == (f"layer {layer_name(layer)} cannot be read",)


def test_a_damaged_tree_object_is_said(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/e/file", noise(50_000))
            taken = workspace.snapshot(branch).snapshot.id
        seal_snapshots(store, WorkspaceName("a"), [taken])
        with written(store, "a") as (workspace, _):
            root = workspace.find_snapshot(taken).root
        assert root is not None
        found = store.index.locate(ChunkId(root))
        assert found is not None
    file = tmp_path / "store" / pack_path(found.pack)
    data = bytearray(file.read_bytes())
    data[found.entry.offset + found.entry.length - 1] ^= 1
    file.write_bytes(data)
    with opened(tmp_path / "store") as store:
        (reason,) = live_chunks(store).missing
        assert "pack" in reason


def test_content_roots_behind_the_damage_of_a_log_are_wanted(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/e/file", noise(50_000))
            taken = workspace.snapshot(branch).snapshot.id
        seal_snapshots(store, WorkspaceName("a"), [taken])
        live = live_chunks(store).live
    log = tmp_path / "store" / layout.operations_log(WorkspaceName("a"))
    data = bytearray(log.read_bytes())
    data[12] ^= 1
    log.write_bytes(data)
    with opened(tmp_path / "store") as store:
        assert live_chunks(store) == (live, ())


def test_a_question_is_answered_once_and_another_one_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folds: list[History] = []
    steps = History.steps

    def counted(history: History, *arguments: Any) -> Iterator[Step]:
        folds.append(history)
        return steps(history, *arguments)

    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"changes", noise(70_000, "old"))
            first = workspace.snapshot(branch).snapshot.id
            put(branch, b"changes", noise(70_000, "new"))
        sealed(store)
        monkeypatch.setattr(History, "steps", counted)
        without = {WorkspaceName("a"): Gone({first})}
        known = Trims(store)
        every, fewer = roots_of(store), roots_of(store, without=without)
        counts = []
        for roots in (every, every, fewer, fewer, every):
            maps, positions = sealed_maps(store), roots.all_positions()
            assert known.of(positions, maps, set(), set()) == trims(store, positions, maps)
            counts.append(len(folds))
        # Each time `trims` itself folds once, besides.
        assert [after - before for before, after in pairwise([0, *counts])] == [2, 1, 2, 1, 2]
        passed = set(all_layers(store.storage))
        assert known.of(fewer.all_positions(), sealed_maps(store), set(), set()) != ()
        assert known.of(fewer.all_positions(), sealed_maps(store), passed, set()) == ()
