"""Commits are their snapshots: any tree, taken in any way, exported at once or in steps."""

import pytest

from pyi_fs.git import changes
from pyi_fs.git.export import export
from tests.support.git_rig import RandomChanges, rig_in

pytestmark = pytest.mark.slow


@pytest.fixture
def rig(tmp_path):
    with rig_in(tmp_path) as rig:
        yield rig


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("is_stepwise", [False, True])
def test_every_commit_of_random_trees_is_its_snapshot(rig, seed, is_stepwise, monkeypatch):
    # Small files are moved as large ones are, so that all of that is met.
    monkeypatch.setattr(changes, "REUSED_BYTES_MIN", 50)
    random = RandomChanges(rig, seed)
    snapshots = []
    for index in range(8):
        for _ in range(random.random.choice([1, 1, 2, 5, 40])):
            random.step()
        if snapshots and random.random.random() < 0.3:
            rig.workspace.restore(rig.branch, random.random.choice(snapshots).id)
            random.step()
        snapshots.append(rig.snapshot(f"s{index}"))
        if is_stepwise:
            export(rig.workspace, rig.repo, environment=rig.environment)
    export(rig.workspace, rig.repo, environment=rig.environment)
    assert rig.fsck() == ""
    by_id = rig.workspace.refs.snapshots
    for commit, snapshot_id in zip(rig.ids(), rig.trailers(), strict=True):
        tree = rig.workspace.snapshot_tree(by_id[snapshot_id])
        assert rig.committed(commit) == rig.expected(tree), snapshot_id
    assert rig.checked_out(rig.ids()[-1]) == rig.committed(rig.ids()[-1])
    assert rig.trailers()[-1] == snapshots[-1].id
