"""What changed since the last snapshot is found out when it is asked, and not before."""

import stat

import pytest

from pyi_fs.engine.since_last import SinceLast
from pyi_fs.ids import ROOT_INODE, InodeNumber
from pyi_fs.model.mutation import SetAttributes
from pyi_fs.model.touched import Touched
from pyi_fs.model.tree import root_only
from tests.support.workspaces import Rig, layers_read

TREE = root_only(stat.S_IFDIR | 0o755, 1, 2, 3)
CHANGE = SetAttributes(ROOT_INODE, 0o700, None, None, None, None, None, 9)


def test_nothing_is_asked_before_it_is_needed_and_then_once() -> None:
    asked = []

    def find() -> tuple[object, Touched]:
        asked.append(1)
        return TREE, Touched([InodeNumber(7)])

    since = SinceLast(find)  # type: ignore[arg-type]
    since.add(CHANGE)
    assert since.is_changed
    assert not asked
    assert since.touched.inodes == {7, ROOT_INODE}
    assert since.tree is TREE
    assert since.is_complete
    assert asked == [1]


@pytest.mark.parametrize(
    ("touched", "is_changed"), [(None, True), (Touched([ROOT_INODE]), True), (Touched(), False)]
)
def test_what_may_differ_is_what_was_found(touched: Touched | None, is_changed: bool) -> None:
    for since in (SinceLast(lambda: (TREE, touched)), SinceLast.known(TREE, touched)):
        assert since.is_changed is is_changed
        assert since.is_complete is (touched is not None)


def test_opening_a_branch_reads_no_layer_but_its_own(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are since the last snapshot."""
    workspace.make("a")
    taken = workspace.workspace.snapshot(workspace.main).snapshot
    layers = [workspace.main.position.layer]
    for name in ("b", "c", "d"):
        workspace.make(name)
        workspace.checkpoint()
        workspace.make(f"{name}-later")
        layers.append(workspace.main.position.layer)
    expected = workspace.main.since_last.touched
    workspace.restart()
    reads = layers_read(workspace, monkeypatch)
    since = workspace.main.since_last
    assert reads == layers[-1:]
    assert since.tree.lookup(ROOT_INODE, b"a")
    assert since.tree.lookup(ROOT_INODE, b"b") is None
    assert (since.touched.inodes, since.touched.names) == (expected.inodes, expected.names)
    assert set(reads) == set(layers)
    assert workspace.main.last == taken.id


def test_a_snapshot_that_was_collected_meanwhile_leaves_everything_changed(
    workspace: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The branch was opened before, and asked afterwards."""
    workspace.make("a")
    workspace.workspace.snapshot(workspace.main)
    first = workspace.main.position.layer
    workspace.make("b")
    workspace.checkpoint()
    workspace.make("c")
    workspace.restart()
    branch = workspace.main
    header = workspace.store.layers.header(first)
    lost = workspace.workspace.history.survival
    with monkeypatch.context() as patch:
        patch.setattr(lost, "is_lost", lambda position: position.layer == header.layer)
        assert branch.is_changed
    assert not branch.since_last.is_complete
    assert list(branch.since_last.tree.entries(ROOT_INODE)) == []
    assert branch.since_last.tree.inode(ROOT_INODE) is not None
