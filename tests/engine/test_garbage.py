"""A collection frees what its plan said, keeps what is kept, and may die or meet anybody."""

import threading
import time
from pathlib import Path

import pytest

from pyi_fs.engine import collector, garbage
from pyi_fs.engine.collector import remove_and_collect
from pyi_fs.engine.content import seal_snapshots
from pyi_fs.engine.founding import fork_workspace, remove_workspace
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.importer import import_directory
from pyi_fs.engine.marking import Marked, live_chunks
from pyi_fs.engine.references import all_layers
from pyi_fs.engine.roots import positions_of
from pyi_fs.engine.store import Store
from pyi_fs.engine.undo import plan_redo, plan_undo
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import BusyError, NotFoundError
from pyi_fs.ids import BranchName, ChunkId, WorkspaceName
from pyi_fs.model.operation import DeleteSnapshot
from pyi_fs.store import layout, sweep
from pyi_fs.store.oplog import OperationsLog
from tests.support.engine_rig import contents, noise, opened, put, written
from tests.support.garbage_rig import (
    NOTHING_KEPT,
    bytes_held,
    collect,
    fsck_of_tomorrow,
    rewritten_often,
    soon,
    tomorrow,
)

pytestmark = pytest.mark.usefixtures("fsck_of_tomorrow")
__all__ = ["fsck_of_tomorrow"]


def test_snapshots_of_one_layer_give_their_chunks_back(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow)
        assert len(planned.deletions) == 3
        assert len(planned.trims) == 1
        before = bytes_held(tmp_path / "store")
        assert planned.held_bytes <= before
        done = garbage.carry_out(store, planned, clock_ns=tomorrow)
        freed = before - bytes_held(tmp_path / "store")
        assert done.notes == ()
        assert planned.frees_bytes == done.freed_bytes == freed > 890_000
        assert check_store(store, verify_data=True) == []
        with written(store, "a") as (_, branch):
            assert contents(branch) == {
                b"same": noise(200_000, "same"),
                b"d/result": noise(300_000, "a3"),
            }
        assert garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow).frees_bytes == 0


def test_layers_and_whole_packs_free_what_was_said(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        with written(store, "a") as (workspace, branch):
            workspace.restore(branch, workspace.refs.ordered()[0].id)
            put(branch, b"after", noise(50_000, "after"))
        with written(store, "a") as (workspace, branch):
            workspace.restore(branch, workspace.refs.ordered()[0].id)
            put(branch, b"again", b"x")
            workspace.snapshot(branch)
        planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow)
        assert planned.layers.steps
        assert planned.packs.rewrite
        before = bytes_held(tmp_path / "store")
        done = garbage.carry_out(store, planned, clock_ns=tomorrow)
        assert planned.frees_bytes == done.freed_bytes == before - bytes_held(tmp_path / "store")
        assert check_store(store, verify_data=True) == []
        lines = planned.lines()
        assert (
            len(lines)
            == len(planned.deletions)
            + len(planned.layers.steps)
            + len(planned.trims)
            + len(planned.packs.remove)
            + len(planned.packs.rewrite)
            + 1
        )


def test_removals_are_in_the_log_with_their_reason(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        collect(store)
        workspace = Workspace(store, WorkspaceName("a"))
        operations = [operation for _, operation in workspace.log.operations()]
        workspace.close()
        reasons = [o.reason for o in operations if isinstance(o, DeleteSnapshot)]
        assert reasons == ["retention: one per branch is kept"] * 3


def test_all_logs_are_durable_before_a_layer_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        with written(store, "b"):
            pass
        events: list[str] = []
        sync, execute = OperationsLog.sync, collector.execute

        def synced(log: OperationsLog) -> None:
            events.append("sync")
            sync(log)

        def executed(*arguments, **options) -> collector.Collected:
            events.append("layers")
            return execute(*arguments, **options)

        monkeypatch.setattr(OperationsLog, "sync", synced)
        monkeypatch.setattr(collector, "execute", executed)
        collect(store)
        assert events[:3] == ["sync", "sync", "layers"]


def test_a_pinned_snapshot_stays_until_it_is_unpinned(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        first = garbage.pin(store, "a", "1")
        planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow)
        assert first not in {deletion.removal.snapshot.id for deletion in planned.deletions}
        assert len(planned.deletions) == 2
        assert garbage.pin(store, "a", first, pinned=False) == first
        garbage.pin(store, "a", "2")
        # Pinned since the plan: the execution looks again.
        stale = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow)
        garbage.pin(store, "a", "1")
        done = garbage.carry_out(store, stale, clock_ns=tomorrow)
        assert done.snapshots == 1
        assert "pinned" in done.notes[0]
        with pytest.raises(NotFoundError):
            garbage.pin(store, "a", "77")


def test_a_budget_takes_as_few_as_reach_it_and_says_if_it_cannot(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        # One pack of 2 MB: it is written anew once less than half of it is wanted.
        rewritten_often(store, times=6)
        held = garbage.plan(store, clock_ns=soon).held_bytes
        planned = garbage.plan(store, keep_bytes=held - 400_000, clock_ns=soon)
        assert [found.removal.snapshot.id.partition("-")[0] for found in planned.deletions] == [
            *("1", "2", "3", "4")
        ]
        assert planned.missing_bytes == 0
        assert all(found.removal.reason == "byte budget" for found in planned.deletions)
        hopeless = garbage.plan(store, keep_bytes=1000, clock_ns=soon)
        assert len(hopeless.deletions) == 5
        assert hopeless.missing_bytes > 0
        done = garbage.carry_out(store, planned, clock_ns=soon)
        assert done.freed_bytes >= 400_000
        assert check_store(store, verify_data=True) == []


def test_a_fork_outlives_its_collected_parent(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        fork_workspace(store, "a", "2", "fork")
        remove_and_collect(store, "a")
        done = collect(store)
        assert done.freed_bytes > 0
        with written(store, "fork") as (_, branch):
            assert contents(branch)[b"d/result"] == noise(300_000, "a1")
        assert check_store(store, verify_data=True) == []


def test_tree_objects_of_kept_snapshots_stay(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        rewritten_often(store)
        workspace = Workspace(store, WorkspaceName("a"))
        ids = [snapshot.id for snapshot in workspace.refs.ordered()]
        workspace.close()
        seal_snapshots(store, WorkspaceName("a"), ids)
        before = live_chunks(store).live
        collect(store)
        after = live_chunks(store).live
        assert after < before
        assert store.index.known(before) == after
        assert check_store(store, verify_data=True) == []


def test_what_undo_wants_stays_for_the_window_and_then_goes(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"one", b"1")
            first = workspace.snapshot(branch).snapshot
            workspace.restore(branch, first.id)
            put(branch, b"two", noise(90_000))
            layer = branch.position.layer
            workspace.restore(branch, first.id)
            put(branch, b"three", b"3")
            workspace.snapshot(branch)
        assert collect(store, soon).layers == 0
        with written(store, "a") as (workspace, branch):
            workspace.undo(branch)
            assert set(contents(branch)) == {b"one", b"two"}
            workspace.redo(branch)
            with pytest.raises(NotFoundError, match="collected"):
                plan_undo(workspace.log, branch.name, now_ns=tomorrow())
            with pytest.raises(NotFoundError, match="nothing to redo"):
                plan_redo(workspace.log, branch.name, now_ns=tomorrow())
            put(branch, b"four", b"4")
            workspace.snapshot(branch)
        assert layer in all_layers(store.storage)
        assert collect(store).layers == 1
        with written(store, "a") as (workspace, branch):
            assert set(contents(branch)) == {b"one", b"three", b"four"}
        assert layer not in all_layers(store.storage)
        assert check_store(store, verify_data=True) == []


def test_a_deleted_snapshot_stays_readable_for_who_may_be_using_it(tmp_path: Path) -> None:
    """The branch is in use, so what is deleted goes only after the grace."""
    with opened(tmp_path / "store") as store, written(store, "a") as (workspace, branch):
        put(branch, b"one", noise(90_000, "one"))
        first = workspace.snapshot(branch).snapshot
        put(branch, b"one", noise(90_000, "two"))
        branch.sync()
        workspace.delete_snapshot(first.id)
        with opened(tmp_path / "store") as other:
            planned = garbage.plan(other, clock_ns=time.time_ns)
            garbage.carry_out(other, planned, clock_ns=time.time_ns)
        tree = workspace.history.tree(first.position)
        inode = tree.existing(tree.resolve(b"one"))
        assert workspace.reader.read_all(inode) == noise(90_000, "one")


def test_two_collections_at_once_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        lock = store.storage.lock(layout.COLLECTOR_LOCK)
        assert lock is not None
        with pytest.raises(BusyError):
            collect(store)
        lock.release()
        assert collect(store).snapshots == 0


def test_while_somebody_puts_chunks_no_pack_goes(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        rewritten_often(store)
        remove_and_collect(store, "a")
        with other.chunks.in_use():
            done = collect(store)
        assert done.packs == 0
        assert "sealing or importing" in done.notes[0]
        assert collect(store).packs > 0


@pytest.mark.parametrize("moment", ["condemned", "kept"])
def test_content_that_is_being_collected_can_be_stored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """An import deduplicates onto chunks that are condemned, at two moments of the collection."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(6):
        (source / f"f{number}").write_bytes(noise(100_000, f"f{number}"))
    with opened(tmp_path / "store") as store:
        import_directory(store, source, "first")
        remove_and_collect(store, "first")

        def another_import(*arguments: object) -> None:
            with opened(tmp_path / "store") as other:
                import_directory(other, source, "second")

        if moment == "condemned":
            condemn = garbage._condemned  # noqa: SLF001 - the moment in between

            def condemned(found: Store, marked: Marked) -> bool:
                answer = condemn(found, marked)
                another_import()
                return answer

            monkeypatch.setattr(garbage, "_condemned", condemned)
        else:
            keep = sweep.keep

            def kept(*arguments: object) -> int:
                answer = keep(*arguments)  # type: ignore[arg-type]
                another_import()
                return answer

            monkeypatch.setattr(sweep, "keep", kept)
        collect(store)
        with written(store, "second") as (_, branch):
            assert contents(branch) == {
                b"f%d" % number: noise(100_000, f"f{number}") for number in range(6)
            }
        assert check_store(store, verify_data=True) == []


@pytest.mark.parametrize(("call", "earlier"), [("append", 0), ("sync", 0), ("sync", 1)])
def test_a_workspace_that_goes_when_its_log_is_open_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, earlier: int
) -> None:
    """Removed just before the collector adds to its log, or makes it durable."""
    with opened(tmp_path / "store") as store:
        for name in ("stays", "goes"):
            rewritten_often(store, name)
        planned = garbage.plan(store, policy=NOTHING_KEPT, clock_ns=tomorrow)
        real = getattr(OperationsLog, call)
        calls: list[OperationsLog] = []

        def removing(self: OperationsLog, *arguments: object) -> object:
            if self.refs.branches[BranchName("main")].position.layer in of_going:
                calls.append(self)
                if len(calls) == earlier + 1:
                    remove_workspace(store, "goes")
            return real(self, *arguments)

        of_going = {one.layer for one in positions_of(store, WorkspaceName("goes"))}
        monkeypatch.setattr(OperationsLog, call, removing)
        garbage.carry_out(store, planned, clock_ns=tomorrow)
        assert len(calls) > earlier
        assert store.workspace_names() == ["stays"]
        collect(store)
        assert check_store(store, verify_data=True) == []


@pytest.mark.slow
def test_collections_beside_imports_of_the_same_content_lose_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        (source / f"f{number}").write_bytes(noise(60_000, f"f{number}"))
    errors: list[BaseException] = []

    def importing() -> None:
        try:
            with opened(tmp_path / "store") as other:
                for number in range(12):
                    import_directory(other, source, f"w{number}")
                    if number % 3:
                        remove_and_collect(other, f"w{number}")
        except BaseException as error:  # noqa: BLE001 - shown by the test
            errors.append(error)

    with opened(tmp_path / "store") as store:
        thread = threading.Thread(target=importing)
        thread.start()
        while thread.is_alive():
            collect(store, time.time_ns)
        thread.join()
        assert errors == []
        collect(store, time.time_ns)
        assert check_store(store, verify_data=True) == []
        for number in (0, 3, 6, 9):
            with written(store, f"w{number}") as (_, branch):
                assert len(contents(branch)) == 4


def test_a_chunk_claimed_after_the_second_mark_stays(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        ids = store.chunks.put_many([noise(1000, str(number)) for number in range(3)])
        store.chunks.flush()
        sweep.condemn(store.index, set())
        planned = sweep.plan(store.storage, store.index)
        assert len(planned.remove) == 1
        store.index.claim([ids[1]])
        done = sweep.execute(store.storage, store.index, planned)
        assert (done.packs, done.freed_bytes) == (0, 0)
        assert store.chunks.get(ChunkId(ids[1])) == noise(1000, "1")
