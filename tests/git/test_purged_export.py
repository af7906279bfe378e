"""Random workspaces, purged of a random path: export, diff and all other files are as they were."""

import itertools
from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.history import History
from pyi_fs.engine.purge import plan
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.git.export import export
from pyi_fs.ids import InodeNumber, Position, SnapshotId, WorkspaceName
from pyi_fs.model.diff import diff
from tests.support.engine_rig import noise
from tests.support.garbage_rig import seal_everything
from tests.support.git_rig import RandomChanges, rig_in
from tests.support.purge_rig import (
    Picture,
    comparable,
    every_byte,
    pictures,
    purge,
    seal_all_snapshots,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(6))
def test_a_random_workspace_goes_on_without_a_file(tmp_path: Path, seed: int) -> None:
    with rig_in(tmp_path) as rig:
        random = RandomChanges(rig, seed)
        random.grow(40)
        for index in range(6):
            for _ in range(random.random.choice([1, 5, 30])):
                random.step()
            if index and random.random.random() < 0.4:
                chosen = random.random.choice(rig.workspace.refs.ordered())
                rig.workspace.restore(rig.branch, chosen.id)
                random.step()
            rig.write(b"secret", noise(index * 30_000 + 40, f"{seed}:{index}"))
            rig.snapshot(f"s{index}")
        rig.branch.sync()
        files = [
            (path, number)
            for snapshot in rig.workspace.refs.ordered()
            for path, number, inode in rig.workspace.snapshot_tree(snapshot).walk()
            if inode.is_file and inode.size >= 32
        ]
    path, number = random.random.choice(files)
    store = Store.open(tmp_path / "store")
    try:
        if seed % 2:
            seal_everything(store)
            seal_all_snapshots(store, "ws")
        before, changes = pictures(store), _diffs(store)
        shared = purge(store, "ws", path, b"secret", everywhere=True)
        assert shared.notes == ()
        assert plan(store, "ws", [path, b"secret"]).is_done
        after = pictures(store)
        purged = {key.number for key in plan(store, "ws", [path, b"secret"]).files}
        assert number in purged
        was, now = comparable(before), comparable(after)
        for key in before:
            for name, shown in now[key].items():
                if _number(store, key[1], name) not in purged:
                    assert shown == was[key][name], name
                else:
                    data = after[key][name].data
                    assert data == bytes(len(before[key][name].data)), name
        _assert_gone(store, before, after)
        assert _diffs(store) == changes
        findings = check_store(store, verify_data=True)
        assert [one for one in findings if one.severity != "note"] == []
        workspace = Workspace(store, WorkspaceName("ws"))
        export(workspace, rig.repo, environment=rig.environment)
        assert rig.fsck() == ""
        by_id = workspace.refs.snapshots
        rig.workspace = workspace
        for commit, snapshot_id in zip(rig.ids(), rig.trailers(), strict=True):
            tree_of = workspace.snapshot_tree(by_id[SnapshotId(snapshot_id)])
            assert rig.committed(commit) == rig.expected(tree_of), snapshot_id
        workspace.close()
    finally:
        store.close()


def _assert_gone(store: Store, before: Picture, after: Picture) -> None:
    """No file of the store, no chunk, has bytes that are in no tree any more."""
    everything = b"\0".join(every_byte(store).values())
    shown = b"\0".join(one.data for tree in after.values() for one in tree.values())
    bits = {
        one.data[start : start + 32]
        for key, tree in before.items()
        for name, one in tree.items()
        if after[key][name].data != one.data
        for start in range(0, len(one.data), 40_000)
    }
    gone = [bit for bit in bits if len(bit) == 32 and bit.strip(b"\0") and bit not in shown]
    assert gone
    assert [bit for bit in gone if bit in everything] == []


def _number(store: Store, position: Position, path: bytes) -> InodeNumber:
    return History(store.layers).tree(position).resolve(path)


def _diffs(store: Store) -> list[list[str]]:
    """Returns what changed from each snapshot to the next."""
    workspace = Workspace(store, WorkspaceName("ws"))
    try:
        found = []
        snapshots = workspace.refs.ordered()
        for old, new in itertools.pairwise(snapshots):
            touched = workspace.history.touched(old.position, new.position)
            assert touched is not None
            trees = workspace.snapshot_tree(old), workspace.snapshot_tree(new)
            found.append([str(change) for change in diff(*trees, touched)])
        return found
    finally:
        workspace.close()
