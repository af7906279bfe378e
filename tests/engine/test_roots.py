"""Roots: for ever, for the undo window, and for the grace of who is in the middle of something."""

import time
from pathlib import Path

import pytest

from pyi_fs import limits
from pyi_fs.engine.roots import (
    Gone,
    is_in_use,
    lineages,
    logged_layers,
    positions_of,
    roots_of,
)
from pyi_fs.engine.store import Store
from pyi_fs.engine.undo import plan_undo
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import Position, WorkspaceName
from tests.support.engine_rig import opened, put, written

A = WorkspaceName("a")
SECOND_NS = 1_000_000_000
WINDOW_NS = limits.UNDO_WINDOW_SECONDS * SECOND_NS
GRACE_NS = limits.GARBAGE_GRACE_SECONDS * SECOND_NS


def roots(store: Store, later_ns: int = 0, **options) -> set[Position]:
    return set(positions_of(store, A, now_ns=time.time_ns() + later_ns, **options))


def test_both_ends_of_a_restore_are_roots_for_the_window_and_the_grace(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"one", b"1")
            first = workspace.snapshot(branch).snapshot
            put(branch, b"two", b"2")
            left = branch.position
            workspace.restore(branch, first.id)
            put(branch, b"three", b"3")
            (automatic,) = (s.id for s in workspace.refs.snapshots.values() if s.automatic)
            workspace.delete_snapshot(automatic)
            present = branch.position
            plan_undo(workspace.log, branch.name, now_ns=time.time_ns() + WINDOW_NS - SECOND_NS)
            with pytest.raises(NotFoundError, match="older than 24 hours"):
                plan_undo(workspace.log, branch.name, now_ns=time.time_ns() + WINDOW_NS + SECOND_NS)
        assert roots(store) >= {left, first.position, present}
        assert left in roots(store, WINDOW_NS + GRACE_NS - 5 * SECOND_NS)
        assert roots(store, WINDOW_NS + GRACE_NS + SECOND_NS) == {first.position, present}


def test_a_dropped_branch_is_a_root_until_it_cannot_come_back(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"one", b"1")
            workspace.make_branch("side", branch)
            side = workspace.open_branch("side")
            put(side, b"two", b"2")
            end = side.position
            workspace.drop_branch("side")
        assert end in roots(store, WINDOW_NS)
        assert end not in roots(store, WINDOW_NS + GRACE_NS + SECOND_NS)


def test_a_deleted_snapshot_has_a_grace_while_a_branch_is_in_use(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"one", b"1")
            first = workspace.snapshot(branch).snapshot
            put(branch, b"two", b"2")
            assert is_in_use(store, A)
            assert first.position in roots(store, gone=Gone({first.id}))
            assert first.position not in roots(store, gone=Gone({first.id}), grace=False)
            workspace.delete_snapshot(first.id)
            assert first.position in roots(store)
            assert first.position not in roots(store, GRACE_NS + SECOND_NS)
        assert not is_in_use(store, A)
        assert first.position not in roots(store)


def test_positions_of_all_workspaces_and_their_lineages(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"one", b"1")
            workspace.restore(branch, workspace.snapshot(branch).snapshot.id)
            put(branch, b"two", b"2")
            present = branch.position
        with written(store, "b"):
            pass
        kept = roots_of(store).all_positions()
        assert present.offset in kept[present.layer]
        assert len(logged_layers(store)) == 4
        assert lineages(store, [present.layer]) < logged_layers(store)
        assert len(lineages(store, [present.layer])) == 3
