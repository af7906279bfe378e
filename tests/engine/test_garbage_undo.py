"""Where space is short, ways back are closed: in the log, with a sentence, and no race is lost."""

from pathlib import Path

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.budget import Given
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError
from pyi_fs.model.operation import CloseUndo
from tests.support.engine_rig import contents, noise, opened, put, written
from tests.support.garbage_rig import bytes_held, soon


def restored_and_dropped(store: Store) -> None:
    """A restore leaves 90 kB behind, a dropped branch 90 kB more; a present stays."""
    with written(store, "a") as (workspace, branch):
        put(branch, b"one", b"1")
        first = workspace.snapshot(branch, name="first").snapshot
        workspace.make_branch("side", first)
        put(workspace.open_branch("side"), b"two", noise(90_000, "side"))
        workspace.open_branch("side").sync()
        workspace.drop_branch("side")
        workspace.restore(branch, first.id)
        put(branch, b"two", noise(90_000, "left"))
        workspace.restore(branch, first.id)
        put(branch, b"three", b"3")
        workspace.snapshot(branch, name="last")


def test_when_space_is_short_ways_back_are_closed_and_undo_says_so(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        restored_and_dropped(store)
        planned = garbage.plan(store, keep_bytes=0, clock_ns=soon)
        assert len(planned.given.closings) == 1
        assert planned.lines()[1].startswith("close undo of a up to ")
        before = bytes_held(tmp_path / "store")
        done = garbage.carry_out(store, planned, clock_ns=soon)
        assert before - bytes_held(tmp_path / "store") == done.freed_bytes > 180_000
        with written(store, "a") as (workspace, branch):
            assert set(contents(branch)) == {b"one", b"three"}
            with pytest.raises(NotFoundError, match="given up early, as space was short"):
                workspace.undo(branch)
            with pytest.raises(NotFoundError, match="given up early"):
                workspace.would_undo(branch)
            operations = [operation for _, operation in workspace.log.operations()]
            (closed,) = (one for one in operations if isinstance(one, CloseUndo))
            assert closed.reason == "byte budget"
            # What is done from now on can be undone as ever.
            workspace.restore(branch, "first")
            workspace.undo(branch)
            assert set(contents(branch)) == {b"one", b"three"}
        assert check_store(store, verify_data=True) == []


def test_what_was_done_a_moment_ago_can_be_undone_however_short_space_is(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        restored_and_dropped(store)
        planned = garbage.plan(store, keep_bytes=0)
        assert planned.given == Given(())
        assert planned.missing_bytes > 0
        late = garbage.plan(store, keep_bytes=0, clock_ns=soon)
        # The plan was made by another clock: the execution looks again.
        done = garbage.carry_out(store, late)
        assert "stays as it is" in done.notes[0] + done.notes[1]
        with written(store, "a") as (workspace, branch):
            workspace.undo(branch)
            assert contents(branch)[b"two"] == noise(90_000, "left")


@pytest.mark.parametrize("what", ["restore", "drop"])
def test_undo_loses_the_race_against_a_closing_and_nothing_else(
    tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back is closed, and collected, between the plan of an undo and its record.

    The mount has not yet synced what it left there: that is no reason for later syncs to fail.
    """
    with opened(tmp_path / "store") as store, written(store, "a") as (workspace, branch):
        put(branch, b"one", b"1")
        first = workspace.snapshot(branch, name="first").snapshot
        if what == "drop":
            workspace.make_branch("side", branch)
            put(workspace.open_branch("side"), b"two", noise(90_000))
            workspace.drop_branch("side")
        else:
            workspace.restore(branch, first.id)
            put(branch, b"two", noise(90_000))
            workspace.restore(branch, first.id)
            (automatic,) = (s.id for s in workspace.refs.snapshots.values() if s.automatic)
            workspace.delete_snapshot(automatic)
        append = workspace.log.append

        def collected_first(*arguments, **options):
            monkeypatch.setattr(workspace.log, "append", append)
            with opened(tmp_path / "store") as other:
                planned = garbage.plan(other, keep_bytes=0, clock_ns=soon)
                assert garbage.carry_out(other, planned, clock_ns=soon).layers == 1
            return append(*arguments, **options)

        monkeypatch.setattr(workspace.log, "append", collected_first)
        before, count = branch.position, workspace.refs.operation_count
        with pytest.raises(NotFoundError, match="given up early"):
            workspace.undo(branch)
        assert branch.position == before
        assert workspace.refs.operation_count == count + 1
        assert workspace.refs.branch_names() == ["main"]
        put(branch, b"three", b"3")
        branch.sync()
        workspace.sync_leftovers()
        assert branch.is_synced
        assert contents(branch)[b"three"] == b"3"
        assert check_store(store, verify_data=True) == []
