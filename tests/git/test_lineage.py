"""Which snapshots a branch has, and that their trees are right whichever way they are folded."""

import pytest

from pyi_fs.engine.history import History
from pyi_fs.errors import NotFoundError
from pyi_fs.git.lineage import Trees, chain, number_of
from pyi_fs.model.diff import diff, everything
from tests.support.git_rig import RandomChanges, rig_in


@pytest.fixture
def rig(tmp_path):
    with rig_in(tmp_path) as rig:
        yield rig


def ids(rig, branch="main"):
    return [snapshot.id for snapshot in chain(rig.workspace, branch)]


def take(rig, name):
    rig.write(b"f", name.encode())
    return rig.snapshot(name).id


def test_a_lineage_is_what_lies_before_the_last_snapshot(rig):
    one, two = take(rig, "one"), take(rig, "two")
    assert ids(rig) == [one, two]
    rig.workspace.restore(rig.branch, "one")
    assert ids(rig) == [one]
    three = take(rig, "three")
    assert ids(rig) == [one, three]
    assert [number_of(id_) for id_ in (one, two, three)] == [1, 2, 3]


def test_a_branch_begins_with_the_lineage_it_was_made_from(rig):
    one = take(rig, "one")
    rig.workspace.make_branch("side", rig.branch)
    two = take(rig, "two")
    assert ids(rig) == [one, two]
    assert ids(rig, "side") == [one]


def test_a_deleted_snapshot_does_not_cut_off_those_before_it(rig):
    one, _, three, _ = take(rig, "one"), take(rig, "two"), take(rig, "three"), take(rig, "four")
    rig.workspace.delete_snapshot("two")
    rig.workspace.delete_snapshot("four")
    assert ids(rig) == [one, three]


def test_no_such_branch(rig):
    with pytest.raises(NotFoundError, match="no branch 'nope'"):
        chain(rig.workspace, "nope")
    assert ids(rig) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_trees_folded_on_are_those_folded_from_the_start(rig, seed):
    changes = RandomChanges(rig, seed)
    changes.grow(20)
    for index in range(10):
        for _ in range(5):
            changes.step()
        rig.snapshot(f"s{index}")
        if index % 3 == 2:
            rig.workspace.restore(rig.branch, f"s{index // 2}")
        elif index % 4 == 1:
            rig.branch.roll()
    trees = Trees(rig.workspace)
    before = None
    for snapshot in rig.workspace.refs.ordered():
        tree = trees.tree(snapshot.position, before)
        expected = History(rig.store.layers).tree(snapshot.position)
        assert diff(tree, expected, everything(tree, expected)) == []
        before = snapshot.position
