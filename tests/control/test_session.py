"""Which views a mount has and which branches it holds, whatever moves the refs."""

import pytest

from pyi_fs.control import session as session_module
from pyi_fs.control.view import View
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import (
    AlreadyExistsError,
    BusyError,
    InvalidArgumentError,
    NoSpaceError,
    NotFoundError,
    ReadOnlyError,
    StaleNodeError,
)
from pyi_fs.ids import BranchName, ViewNumber
from pyi_fs.model.operation import DropBranch
from tests.support.control_rig import Rig

X = BranchName("x")
MAIN = BranchName("main")


def view_of(rig: Rig, name: str) -> View:
    view = rig.session.view_of_branch(BranchName(name))
    assert view is not None
    return view


def test_views_are_numbered_from_one_and_stay(rig: Rig):
    rig.put("a", b"1")
    x = rig.mkdir(".pyi/branches/x")
    one = rig.mkdir(".pyi/snapshots/one")
    assert (rig.session.root.number, x.number, one.number) == (0, 1, 2)
    assert view_of(rig, "x") is x
    assert rig.resolve(".pyi/snapshots/one") is one
    assert rig.session.views == {0: rig.session.root, 1: x, 2: one}


def test_the_roots_own_branch_has_no_view_of_its_own(rig: Rig):
    assert rig.session.view_of_branch(MAIN) is None


def test_an_unknown_branch_has_no_view(rig: Rig):
    with pytest.raises(NotFoundError, match="no branch 'y'"):
        rig.session.view_of_branch(BranchName("y"))


def test_a_branch_that_is_used_is_locked(rig: Rig, other: Workspace):
    rig.write(".pyi/branch", b"x")
    rig.resolve(".pyi/branches/x")
    with pytest.raises(BusyError, match="a test"):
        other.open_branch("x")


def test_a_branch_that_is_only_listed_is_not_locked(rig: Rig, other: Workspace):
    rig.write(".pyi/branch", b"x")
    rig.ls(".pyi/branches")
    other.open_branch("x")


def test_a_view_that_is_let_go_frees_its_branch_and_comes_back(rig: Rig, other: Workspace):
    x = rig.mkdir(".pyi/branches/x")
    rig.session.let_go(x)
    other.close_branch(other.open_branch("x"))
    assert x.tree is rig.branch("x").tree
    assert rig.session.views[x.number] is x


def test_a_branch_held_elsewhere_shows_its_newest_snapshot(rig: Rig, other: Workspace):
    rig.put("a", b"1")
    rig.write(".pyi/branch", b"x")
    theirs = other.open_branch("x")
    rig.put("b", b"2", theirs)
    assert rig.names(".pyi/branches/x") == ["a"]
    assert view_of(rig, "x").read_only
    other.snapshot(theirs)
    rig.put("c", b"3", theirs)
    assert rig.names(".pyi/branches/x") == ["a", "b"]
    assert [change.view.number for change in rig.changes] == [1]


def test_a_branch_that_becomes_free_becomes_live(rig: Rig, other: Workspace):
    rig.write(".pyi/branch", b"x")
    theirs = other.open_branch("x")
    held = view_of(rig, "x")
    old_tree = held.tree
    rig.put("b", b"2", theirs)
    other.close_branch(theirs)
    assert view_of(rig, "x") is held
    assert (held.read_only, held.branch) == (False, rig.branch("x"))
    assert rig.names(".pyi/branches/x") == ["b"]
    [change] = rig.changes
    assert (change.view, change.old_tree, change.moved_to) == (held, old_tree, None)


def test_commands_on_a_branch_held_elsewhere_are_busy_and_say_who(rig: Rig, other: Workspace):
    rig.write(".pyi/branch", b"x")
    other.open_branch("x")
    requests = (
        (".pyi/head", b"x"),
        (".pyi/drop", b"x"),
        (".pyi/branch", b"y x"),
        (".pyi/branches/x/.pyi/undo", b"\n"),
        (".pyi/branches/x/.pyi/snapshot", b"one"),
    )
    for path, data in requests:
        with pytest.raises(BusyError, match="/mnt/other"):
            rig.write(path, data)
    assert rig.session.root.name == "main"
    assert rig.ls(".pyi/branches") == ["main", "x"]
    assert rig.session.holders().keys() == {"x"}


def test_head_shows_the_other_branch_at_the_root_and_the_old_one_below(rig: Rig):
    rig.put("a", b"main")
    x = rig.mkdir(".pyi/branches/x")
    rig.put("a", b"of x", rig.branch("x"))
    main, old_tree = rig.branch("main"), rig.session.root.tree
    rig.write(".pyi/head", b"x\n")
    assert rig.content("a") == b"of x"
    assert rig.content(".pyi/branches/main/a") == b"main"
    assert rig.readlink(".pyi/branches/x") == "../.."
    assert x.is_gone
    assert x.number not in rig.session.views
    gone, root = rig.changes
    assert (gone.view, gone.old_branch, gone.moved_to) == (x, rig.branch("x"), rig.session.root)
    assert (root.view, root.old_branch, root.old_tree) == (rig.session.root, main, old_tree)
    assert root.moved_to is view_of(rig, "main")


def test_a_branch_that_comes_back_below_gets_a_fresh_number(rig: Rig):
    x = rig.mkdir(".pyi/branches/x")
    rig.write(".pyi/head", b"x")
    rig.write(".pyi/head", b"main")
    numbers = [x.number, view_of(rig, "x").number]
    assert len(set(numbers)) == 2
    assert rig.session.root.number == 0


def test_head_of_the_branch_at_the_root_does_nothing(rig: Rig):
    count = rig.workspace.refresh().operation_count
    rig.write(".pyi/head", b"main")
    assert rig.changes == []
    assert rig.workspace.refresh().operation_count == count


def test_a_head_that_cannot_be_noted_leaves_everything(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    rig.write(".pyi/branch", b"x")

    def fail(*names: object) -> None:
        raise NoSpaceError("the disk is full")

    monkeypatch.setattr(rig.workspace, "switch_head", fail)
    with pytest.raises(NoSpaceError):
        rig.write(".pyi/head", b"x")
    assert rig.session.root.branch is rig.branch("main")
    assert rig.workspace.opened(X) is None
    assert rig.changes == []


def test_a_dropped_branch_is_gone_with_its_view(rig: Rig):
    x = rig.mkdir(".pyi/branches/x")
    stale = rig.open(".pyi/branches/x/.pyi/snapshot")
    rig.write(".pyi/drop", b"x")
    assert rig.ls(".pyi/branches") == ["main"]
    assert [(change.view, change.moved_to) for change in rig.changes] == [(x, None)]
    assert rig.control.root(x.number) is None
    for attempt in (lambda: stale.read(0, 10), lambda: stale.write(0, b"one")):
        with pytest.raises(StaleNodeError, match="branches/x"):
            attempt()


def test_a_dropped_branch_can_be_dropped_from_inside(rig: Rig):
    rig.mkdir(".pyi/branches/x")
    rig.write(".pyi/branches/x/.pyi/drop", b"x")
    assert rig.ls(".pyi/branches") == ["main"]


def test_a_branch_made_again_gets_a_fresh_number(rig: Rig):
    x = rig.mkdir(".pyi/branches/x")
    rig.rmdir(".pyi/branches/x")
    assert rig.mkdir(".pyi/branches/x").number != x.number


def test_the_branch_at_the_root_cannot_be_dropped(rig: Rig):
    rig.write(".pyi/branch", b"x")
    with pytest.raises(BusyError, match="at the root"):
        rig.write(".pyi/drop", b"main")
    with pytest.raises(BusyError, match="at the root"):
        rig.rmdir(".pyi/branches/main")


def test_a_branch_dropped_by_another_process_is_gone_here(rig: Rig, other: Workspace):
    rig.write(".pyi/branch", b"x")
    x = rig.session.listed_view(X)
    other.drop_branch("x")
    with pytest.raises(NotFoundError):
        rig.resolve(".pyi/branches/x")
    assert [change.view for change in rig.changes] == [x]


def test_a_drop_decides_on_what_others_did_until_then(rig: Rig, other: Workspace, monkeypatch):
    rig.write(".pyi/branch", b"x")
    workspace = rig.session.workspace
    other.close_branch(other.open_branch("x"))
    append = workspace.log.append

    def overtaken(decide):
        """The other process comes first, as far as it may: the lock is ours already."""
        monkeypatch.setattr(workspace.log, "append", append)
        with pytest.raises(BusyError, match="in use"):
            other.open_branch("x")
        other.log.append(lambda _: DropBranch(1, X))
        other.make_branch("x", workspace.snapshot(rig.branch("main")).snapshot)
        return append(decide)

    monkeypatch.setattr(workspace.log, "append", overtaken)
    with pytest.raises(NotFoundError, match="dropped meanwhile"):
        workspace.drop_branch("x")
    assert workspace.refresh().branch("x").name == X
    assert workspace.holder(X) is None


def test_two_processes_leave_one_branch(rig: Rig, other: Workspace, monkeypatch):
    rig.write(".pyi/branch", b"x")
    workspace = rig.session.workspace
    append = workspace.log.append

    def overtaken(decide):
        other.log.append(lambda _: DropBranch(1, MAIN))
        return append(decide)

    monkeypatch.setattr(workspace.log, "append", overtaken)
    with pytest.raises(BusyError, match="the only branch"):
        workspace.drop_branch("x")


def test_undo_of_a_drop_brings_the_branch_back(rig: Rig):
    rig.mkdir(".pyi/branches/x")
    rig.put("a", b"1", rig.branch("x"))
    rig.write(".pyi/drop", b"x")
    rig.write(".pyi/undo", b"\n")
    assert rig.names(".pyi/branches/x") == ["a"]


def test_undo_of_a_making_takes_the_view_away(rig: Rig):
    x = rig.mkdir(".pyi/branches/x")
    rig.write(".pyi/undo", b"\n")
    assert x.is_gone
    assert rig.ls(".pyi/branches") == ["main"]
    rig.write(".pyi/redo", b"\n")
    assert rig.ls(".pyi/branches") == ["main", "x"]


def test_undo_does_not_take_the_branch_at_the_root_away(rig: Rig):
    rig.write(".pyi/branch", b"x")
    rig.write(".pyi/head", b"x")
    with pytest.raises(BusyError, match="at the root"):
        rig.write(".pyi/branches/main/.pyi/undo", b"\n")
    assert rig.session.root.branch is rig.branch("x")


def test_a_branch_starts_here_at_a_snapshot_or_at_another_branch(rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    rig.put("b", b"2")
    rig.write(".pyi/branch", b"here")
    rig.write(".pyi/branch", b"self main")
    rig.write(".pyi/branch", b"back one --ephemeral")
    rig.put("c", b"3", rig.workspace.open_branch("back"))
    rig.write(".pyi/branch", b"other back")
    found = {name: rig.names(f".pyi/branches/{name}") for name in ("here", "self", "back", "other")}
    assert found == {
        "here": ["a", "b"],
        "self": ["a", "b"],
        "back": ["a", "c"],
        "other": ["a", "c"],
    }
    ephemeral = [ref.name for ref in rig.workspace.refs.branches.values() if ref.ephemeral]
    assert ephemeral == ["back"]


def test_starting_from_a_branch_that_is_not_open_leaves_it_free(rig: Rig, other: Workspace):
    rig.write(".pyi/branch", b"x")
    rig.write(".pyi/branch", b"y x")
    assert rig.workspace.opened(X) is None
    other.open_branch("x")


@pytest.mark.parametrize(
    ("data", "error", "word"),
    [
        (b"x", AlreadyExistsError, "exists"),
        (b"main", AlreadyExistsError, "exists"),
        (b"y nowhere", NotFoundError, "no branch and no snapshot 'nowhere'"),
        (b"y 99", NotFoundError, "no branch and no snapshot '99'"),
        (b"-y", InvalidArgumentError, "option"),
    ],
)
def test_a_branch_that_cannot_be_made_is_refused(
    rig: Rig, data: bytes, error: type[Exception], word: str
):
    rig.write(".pyi/branch", b"x")
    with pytest.raises(error, match=word):
        rig.write(".pyi/branch", data)
    assert rig.ls(".pyi/branches") == ["main", "x"]


def test_a_deleted_snapshot_is_gone_with_its_view(rig: Rig):
    rig.put("a", b"1")
    one = rig.mkdir(".pyi/snapshots/one")
    rig.rmdir(".pyi/snapshots/one")
    assert one.is_gone
    assert one.number not in rig.session.views
    assert rig.ls(".pyi/snapshots") == []
    with pytest.raises(NotFoundError):
        rig.resolve(".pyi/snapshots/one")


def test_a_read_only_mount_changes_nothing(store: Store, rig: Rig):
    rig.put("a", b"1")
    rig.write(".pyi/snapshot", b"one")
    rig.mkdir(".pyi/branches/x")
    rig.close()
    fixed = Rig(store, read_only=True)
    count = fixed.workspace.refresh().operation_count
    requests = dict.fromkeys(("snapshot", "fork"), b"two") | {
        "restore": b"one",
        "undo": b"\n",
        "redo": b"\n",
        "branch": b"y",
        "head": b"x",
        "drop": b"x",
        "mount": b"x /mnt/x",
    }
    for name, data in requests.items():
        for path in (f".pyi/{name}", f".pyi/branches/x/.pyi/{name}"):
            with pytest.raises(ReadOnlyError, match="/mnt/work is mounted read-only"):
                fixed.write(path, data)
    for make in (".pyi/snapshots/two", ".pyi/branches/y"):
        with pytest.raises(ReadOnlyError):
            fixed.mkdir(make)
    for remove in (".pyi/snapshots/one", ".pyi/branches/x"):
        with pytest.raises(ReadOnlyError):
            fixed.rmdir(remove)
    with pytest.raises(ReadOnlyError):
        fixed.read(".pyi/snapshot")
    assert fixed.workspace.refresh().operation_count == count
    assert fixed.workspace.opened(X) is None
    assert fixed.read(".pyi/branches/x/.pyi/last") == fixed.read(".pyi/last")
    fixed.close()


def test_a_mount_of_a_snapshot_answers_and_changes_nothing(store: Store, rig: Rig):
    rig.put("a", b"1")
    line = rig.write(".pyi/snapshot", b"one").read(0, 100)
    rig.put("a", b"2")
    fixed = Rig(store, at="one")
    assert (fixed.content("a"), fixed.read(".pyi/last")) == (b"1", line)
    assert fixed.read(".pyi/snapshot") == line.split(b"\t")[0] + b"\tunchanged\n"
    assert fixed.read(".pyi/branch") == fixed.read(".pyi/head") == b""
    assert fixed.read(".pyi/undo") == fixed.read(".pyi/redo") == b""
    assert fixed.read(".pyi/diff/one..") == b""
    assert b'"head": null' in fixed.read(".pyi/status")
    with pytest.raises(ReadOnlyError):
        fixed.write(".pyi/restore", b"one")
    fixed.close()


def test_a_session_that_closes_frees_the_branches_of_its_views(rig: Rig, other: Workspace):
    rig.mkdir(".pyi/branches/x")
    rig.session.close()
    other.open_branch("x")
    assert rig.session.root.branch is rig.branch("main")


def test_every_branch_of_a_view_has_the_mounts_listener(rig: Rig):
    class Listener:
        def orphans(self, branch, old, new, touched):
            return []

        def published(self, branch, old, new, touched, adopted):
            pass

    listener = rig.session.publish_listener = Listener()
    rig.mkdir(".pyi/branches/x")
    assert rig.branch("x").listener is listener


def test_there_are_not_more_views_than_numbers(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(session_module, "VIEWS_MAX", 1)
    rig.mkdir(".pyi/branches/x")
    rig.write(".pyi/branch", b"y")
    with pytest.raises(NoSpaceError, match="mount it again"):
        rig.resolve(".pyi/branches/y")
    assert set(rig.session.views) == {ViewNumber(0), ViewNumber(1)}
