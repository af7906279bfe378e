"""What a view shows, and what it is called."""

from pyi_fs.control.view import View
from pyi_fs.ids import BranchName
from tests.support.control_rig import Rig


def test_a_live_view_shows_the_branch_as_it_is_now(rig: Rig):
    before = rig.session.root.tree
    rig.put("a", b"1")
    assert rig.session.root.tree is not before
    assert rig.session.root.tree is rig.branch("main").tree


def test_a_snapshots_view_does_not_change(rig: Rig):
    rig.put("a", b"1")
    view = rig.mkdir(".pyi/snapshots/one")
    rig.put("b", b"2")
    assert sorted(name for name, _ in view.tree.entries(view.tree.resolve(b""))) == [b"a"]


def test_a_view_is_called_by_its_path(rig: Rig):
    rig.put("a", b"1")
    branch, snapshot = rig.mkdir(".pyi/branches/x"), rig.mkdir(".pyi/snapshots/one")
    labels = [view.label for view in (rig.session.root, branch, snapshot)]
    assert labels == ["/", "branches/x", "snapshots/one"]


def test_a_listed_branch_is_opened_when_its_tree_is_looked_at(rig: Rig):
    rig.write(".pyi/branch", b"x")
    view = dict(rig.control.entries(rig.node(".pyi/branches")))[b"x"]
    assert isinstance(view, View)
    assert rig.workspace.opened(BranchName("x")) is None
    assert view.tree is rig.branch("x").tree
    assert view.branch is rig.branch("x")
