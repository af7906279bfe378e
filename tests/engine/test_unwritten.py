"""Scratch that nobody writes and no root reaches goes; what is reached, or written, stays."""

from pathlib import Path

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.store import Store
from pyi_fs.engine.unwritten import unwritten_segments
from pyi_fs.ids import SegmentId
from pyi_fs.store import layout
from tests.support.engine_rig import contents, noise, opened, put, written
from tests.support.garbage_rig import (
    NOTHING_KEPT,
    bytes_held,
    collect,
    fsck_of_tomorrow,
    tomorrow,
)

pytestmark = pytest.mark.usefixtures("fsck_of_tomorrow")
__all__ = ["fsck_of_tomorrow"]


def left_behind(store: Store) -> tuple[SegmentId, SegmentId]:
    """One layer with two segments: the second is reached by a deleted snapshot only."""
    with written(store, "a") as (workspace, branch):
        put(branch, b"stays", noise(100_000, "stays"))
        first = workspace.snapshot(branch, name="first").snapshot
        assert branch.writer is not None
        branch.writer.scratch.close_current()
        put(branch, b"goes", noise(200_000, "goes"))
        last = workspace.snapshot(branch).snapshot
        one, two = store.layers.segments(branch.position.layer)
        workspace.restore(branch, first.id)
        put(branch, b"later", b"1")
        workspace.snapshot(branch)
        workspace.delete_snapshot(last.id)
    return one, two


def test_a_segment_that_nothing_reaches_goes_as_the_plan_says(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        stays, goes = left_behind(store)
        planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow)
        assert [(trim.segment, trim.is_scratch) for trim in planned.trims] == [(goes, True)]
        (line,) = (line for line in planned.lines() if "scratch" in line)
        assert line == f"remove {layout.scratch(goes)}: nothing of its 200000 bytes is wanted"
        before = bytes_held(tmp_path / "store")
        done = garbage.carry_out(store, planned, clock_ns=tomorrow)
        freed = before - bytes_held(tmp_path / "store")
        assert planned.frees_bytes == done.freed_bytes == freed > 190_000
        assert store.storage.exists(layout.scratch(stays))
        assert not store.storage.exists(layout.scratch(goes))
        assert collect(store).freed_bytes == 0
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            assert contents(branch) == {b"stays": noise(100_000, "stays"), b"later": b"1"}
            workspace.restore(branch, "first")
            # The layer is not written again, and no segment of that number ever is.
            put(branch, b"more", b"2")
            assert set(contents(branch)) == {b"stays", b"more"}
        assert check_store(store, verify_data=True) == []


def test_what_a_mount_may_still_write_or_undo_stays(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        left_behind(store)
        assert garbage.plan(store).trims == ()
        with written(other, "a") as (_, branch):
            put(branch, b"now", noise(50_000))
            assert unwritten_segments(store) == set()
            assert garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow).trims == ()
        assert len(unwritten_segments(store)) >= 3
