"""Content roots depend on the content alone, not on what they were built from."""

import random

import pytest

from pyi_fs.engine.content import content_root, seal_snapshots
from pyi_fs.engine.founding import create_workspace
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import ROOT_INODE, WorkspaceName
from pyi_fs.model.mutation import (
    FALLOCATE_KEEP_SIZE,
    FALLOCATE_PUNCH_HOLE,
    Allocate,
    Create,
    Link,
    Remove,
    Rename,
    SetXattr,
)
from tests.support.engine_rig import noise


@pytest.fixture
def store(tmp_path):
    opened = Store.open(tmp_path / "store")
    yield opened
    opened.close()


def opened(store, name):
    create_workspace(store, name)
    workspace = Workspace(store, WorkspaceName(name))
    return workspace, workspace.open_branch("main")


def make(branch, parent, name, mode, data=b"", time_ns=1):
    number = branch.next_inode()
    branch.commit(Create(parent, name, number, mode, 0, 0, time_ns))
    if data:
        branch.write(number, 0, data, time_ns)
    return number


def fill(branch, order, time_ns):
    directories = {name: make(branch, 1, name, 0o40755, time_ns=time_ns) for name in (b"x", b"y")}
    files = [
        (directory, b"%d" % index, b"content %d" % index)
        for directory in (b"x", b"y")
        for index in range(9)
    ]
    order.shuffle(files)
    for directory, name, data in files:
        make(branch, directories[directory], name, 0o100644, data, time_ns)
    return directories


def test_equal_contents_have_equal_roots_whatever_their_numbers_times_and_history(store):
    roots = []
    for index, name in enumerate(("one", "two")):
        workspace, branch = opened(store, name)
        fill(branch, random.Random(index), time_ns=index + 5)
        if index:
            extra = make(branch, 1, b"gone", 0o100644, b"away")
            assert extra
            branch.commit(Remove(ROOT_INODE, b"gone", False, 9))
        roots.append(content_root(store.chunks, workspace.reader, branch.tree))
        workspace.close()
    assert roots[0] == roots[1]


def test_a_hole_is_not_the_same_object_as_zeros_but_content_after_it_counts(store):
    workspace, branch = opened(store, "w")
    sparse = make(branch, 1, b"sparse", 0o100644)
    branch.write(sparse, 100_000, b"end", 1)
    first = content_root(store.chunks, workspace.reader, branch.tree)
    branch.write(sparse, 100_000, b"END", 1)
    assert content_root(store.chunks, workspace.reader, branch.tree) != first
    workspace.close()


@pytest.mark.parametrize("seed", range(8))
def test_a_root_built_on_an_earlier_one_is_the_one_built_from_nothing(store, seed):
    choice = random.Random(seed)
    workspace, branch = opened(store, "w")
    directories = fill(branch, choice, 1)
    large = make(branch, 1, b"large", 0o100644, noise(700_000))
    workspace.snapshot(branch, name="first")
    for step in range(4):
        x, y = directories[b"x"], directories[b"y"]
        tree = branch.tree
        names = sorted(name for name, _ in tree.entries(x) if name.isdigit())
        other = sorted(name for name, _ in tree.entries(y) if name.isdigit())
        number = tree.lookup(x, choice.choice(names))
        branch.write(number, 3, b"step %d" % step, 2)
        branch.write(large, choice.randrange(800_000), noise(choice.choice((6, 90_000))), 2)
        punch = FALLOCATE_PUNCH_HOLE | FALLOCATE_KEEP_SIZE
        branch.commit(Allocate(large, choice.randrange(600_000), 5_000 * step + 1, punch, 2))
        branch.commit(Rename(x, choice.choice(names), y, choice.choice(other), 2, 3))
        branch.commit(SetXattr(number, b"user.a", b"%d" % step, 4))
        branch.commit(Link(number, ROOT_INODE, b"link%d" % step, 5))
        nested = make(branch, y, b"nested%d" % step, 0o40755)
        branch.commit(Rename(y, b"nested%d" % step, x, b"moved%d" % step, 0, 6))
        make(branch, nested, b"leaf", 0o100644, b"leaf")
        workspace.snapshot(branch, name=f"s{step}")
    seal_snapshots(store, workspace.name, [s.id for s in workspace.refresh().ordered()])
    for snapshot in workspace.refresh().ordered():
        tree = workspace.snapshot_tree(snapshot)
        assert snapshot.root == content_root(store.chunks, workspace.reader, tree)
    assert len({snapshot.root for snapshot in workspace.refs.ordered()}) == 5
    workspace.close()
