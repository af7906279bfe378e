"""Who reads what has left the logs keeps its bytes, and nobody else's, until it is done."""

from pathlib import Path

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.collector import remove_and_collect
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import WorkspaceName
from pyi_fs.model.refs import Snapshot
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import collect, rewritten_often, seal_everything, tomorrow

A = WorkspaceName("a")


def reader_of(store: Store, number: str) -> tuple[Workspace, Snapshot]:
    workspace = Workspace(store, A)
    snapshot = workspace.find_snapshot(number)
    workspace.snapshot_tree(snapshot)
    return workspace, snapshot


def result(workspace: Workspace, snapshot: Snapshot) -> bytes:
    tree = workspace.snapshot_tree(snapshot)
    return workspace.reader.read_all(tree.existing(tree.resolve(b"d/result")))


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_deleted_snapshot_is_readable_for_who_shows_it(tmp_path: Path, is_sealed: bool) -> None:
    """No branch of the workspace is in use: it is a mount of the snapshot alone."""
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        with written(store, "a") as (workspace, branch):
            put(branch, b"start", b"1")
            first = workspace.snapshot(branch, name="first").snapshot
            workspace.restore(branch, first.id)
            put(branch, b"d/result", noise(300_000, "old"))
            workspace.snapshot(branch)
            workspace.restore(branch, first.id)
            put(branch, b"d/result", noise(300_000, "new"))
            workspace.snapshot(branch)
        if is_sealed:
            seal_everything(store)
        reader, snapshot = reader_of(other, "2")
        done = collect(store)
        assert (done.snapshots, done.layers) == (1, 0)
        assert result(reader, snapshot) == noise(300_000, "old")
        # Whoever comes now finds it gone, and takes no lease of it.
        late = Workspace(store, A)
        with pytest.raises(NotFoundError):
            late.snapshot_tree(snapshot)
        assert len(late.leases) == 0
        late.close()
        reader.close()
        assert collect(store).freed_bytes > 250_000


def test_the_snapshots_of_a_removed_workspace_too(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        rewritten_often(store)
        reader, snapshot = reader_of(other, "1")
        remove_and_collect(store, "a")
        collect(store)
        assert result(reader, snapshot) == noise(300_000, "a0")
        reader.leases.close()
        assert collect(store).layers == 2


def test_the_newest_snapshot_of_a_branch_that_another_process_writes(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        rewritten_often(store, times=1)
        reader = Workspace(other, A)
        tree, position = reader.newest_tree("main")
        with written(store, "a") as (workspace, branch):
            put(branch, b"d/result", noise(300_000, "newer"))
            workspace.snapshot(branch)
        seal_everything(store)
        assert collect(store).snapshots == 1
        inode = tree.existing(tree.resolve(b"d/result"))
        assert reader.reader.read_all(inode) == noise(300_000, "a0")
        assert reader.newest_tree("main")[1] != position
        reader.close()


def test_a_snapshot_that_is_deleted_between_the_look_and_the_lease_is_not_read(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        rewritten_often(store)
        workspace = Workspace(other, A)
        snapshot = workspace.find_snapshot("1")
        planned = garbage.plan(store, keep_bytes=0, clock_ns=tomorrow)
        garbage.carry_out(store, planned, clock_ns=tomorrow)
        with pytest.raises(NotFoundError):
            workspace.snapshot_tree(snapshot)
        workspace.close()


def test_a_leased_layer_that_is_damaged_is_left_alone_and_stops_nobody(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, opened(tmp_path / "store") as other:
        rewritten_often(store)
        rewritten_often(store, "b")
        reader, snapshot = reader_of(other, "1")
        remove_and_collect(store, "a")
        journal = tmp_path / "store" / "layers"
        (path,) = journal.glob(f"*/{snapshot.position.layer:010x}/journal")
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
        done = collect(store)
        assert (done.layers, done.maps) == (0, 1)
        assert path.exists()
        reader.close()
