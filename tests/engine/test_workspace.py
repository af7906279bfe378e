"""A workspace: snapshots, branches and what two processes on it see of each other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import (
    AlreadyExistsError,
    BusyError,
    InvalidArgumentError,
    NotFoundError,
)
from pyi_fs.ids import BranchName, WorkspaceName
from pyi_fs.model.check import check
from pyi_fs.store import layout
from tests.support.engine_rig import contents, opened, put, written


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path / "store") as store:
        yield store


@pytest.fixture
def work(store: Store) -> Iterator[tuple[Workspace, Branch]]:
    with written(store, "w") as (workspace, branch):
        yield workspace, branch
        for opened_branch in workspace.opened_branches():
            assert check(opened_branch.tree) == []


def test_an_unchanged_tree_has_the_same_snapshot_and_the_log_does_not_grow(work):
    workspace, branch = work
    put(branch, b"a", b"1")
    first = workspace.snapshot(branch)
    operations = workspace.refs.operation_count
    again = workspace.snapshot(branch)
    assert (again.snapshot.id, again.unchanged) == (first.snapshot.id, True)
    assert workspace.refs.operation_count == operations


def test_a_name_on_an_unchanged_tree_names_the_last_snapshot(work):
    workspace, branch = work
    put(branch, b"a", b"1")
    first = workspace.snapshot(branch).snapshot
    named = workspace.snapshot(branch, name="good", message="why")
    assert (named.snapshot.id, named.snapshot.name) == (first.id, "good")
    assert workspace.find_snapshot("good").message == "why"
    second_name = workspace.snapshot(branch, name="better")
    assert second_name.snapshot.id != first.id
    with pytest.raises(AlreadyExistsError, match="good"):
        workspace.snapshot(branch, name="good")


def test_a_snapshot_is_found_by_id_name_and_number(work):
    workspace, branch = work
    put(branch, b"a", b"1")
    snapshot = workspace.snapshot(branch, name="good").snapshot
    number = snapshot.id.partition("-")[0]
    for text in (snapshot.id, "good", number):
        assert workspace.find_snapshot(text).id == snapshot.id
    with pytest.raises(NotFoundError, match="no snapshot 'bad'"):
        workspace.find_snapshot("bad")


def test_bad_names_are_refused_before_anything_is_written(work):
    workspace, branch = work
    put(branch, b"a", b"1")
    operations = workspace.refs.operation_count
    for name in ("", "1a", "a..b", "a/b", "a" * 129, "ä"):
        with pytest.raises(InvalidArgumentError):
            workspace.snapshot(branch, name=name)
        with pytest.raises(InvalidArgumentError):
            workspace.make_branch(name, branch)
    assert workspace.refs.operation_count == operations


def test_branches_share_what_was_there_and_nothing_after(work):
    workspace, branch = work
    put(branch, b"a", b"shared")
    workspace.make_branch("b", branch)
    put(branch, b"a", b"main's")
    other = workspace.open_branch("b")
    put(other, b"new", b"b's")
    assert contents(other) == {b"a": b"shared", b"new": b"b's"}
    assert contents(branch) == {b"a": b"main's"}
    with pytest.raises(AlreadyExistsError, match="branch 'b' exists"):
        workspace.make_branch("b", branch)


def test_the_only_branch_and_one_in_use_elsewhere_cannot_be_dropped(store, work):
    workspace, branch = work
    with pytest.raises(BusyError, match="only branch"):
        workspace.drop_branch("main")
    workspace.make_branch("b", branch)
    other = Workspace(store, WorkspaceName("w"), holder="/elsewhere")
    other.open_branch("b")
    with pytest.raises(BusyError, match="/elsewhere"):
        workspace.drop_branch("b")
    with pytest.raises(BusyError, match="/elsewhere"):
        workspace.open_branch("b")
    other.close()
    workspace.drop_branch("b")
    with pytest.raises(NotFoundError, match="no branch 'b'"):
        workspace.open_branch("b")


def test_two_processes_see_each_others_snapshots_and_never_take_the_same_number(store, work):
    workspace, branch = work
    workspace.make_branch("b", branch)
    other = Workspace(store, WorkspaceName("w"))
    others_branch = other.open_branch("b")
    for index in range(3):
        put(branch, b"m%d" % index, b"x")
        put(others_branch, b"b%d" % index, b"x")
        workspace.snapshot(branch)
        other.snapshot(others_branch)
    numbers = [snapshot.id.partition("-")[0] for snapshot in workspace.refresh().ordered()]
    assert numbers == ["1", "2", "3", "4", "5", "6"]
    newest, _ = workspace.newest_tree("b")
    assert newest.lookup(newest.resolve(b""), b"b2") is not None
    assert workspace.holder(BranchName("b")) is not None
    other.close()


def test_a_deleted_snapshot_is_gone_for_everybody(work):
    workspace, branch = work
    put(branch, b"a", b"1")
    snapshot = workspace.snapshot(branch, name="good").snapshot
    workspace.delete_snapshot("good")
    with pytest.raises(NotFoundError):
        workspace.find_snapshot(snapshot.id)
    assert not workspace.snapshot(branch, name="good").unchanged


def test_status_names_workspace_and_branch(work):
    workspace, branch = work
    put(branch, b"a", b"12345")
    status = workspace.status(branch)
    assert (status["workspace"], status["branch"]) == ("w", "main")
    assert status["written_bytes"] == 5
    assert status["changed"] is True


def test_a_branch_that_was_never_opened_is_dropped_without_a_lock(store, work):
    workspace, branch = work
    workspace.make_branch("b", branch)
    workspace.drop_branch("b")
    assert workspace.refs.branch_names() == ["main"]
    assert not store.storage.exists(layout.branch_lock(workspace.name, BranchName("b")))


def test_nobody_opens_a_branch_while_another_drops_it(store, work, monkeypatch):
    """Opening for the first time takes its turn: before the drop, which is refused, or after it."""
    workspace, branch = work
    workspace.make_branch("b", branch)
    with opened(store.path) as same:
        other = Workspace(same, workspace.name)
        append, opened_there = workspace.log.append, []

        def opened_first(decide):
            opened_there.append(other.open_branch("b"))
            return append(decide)

        monkeypatch.setattr(workspace.log, "append", opened_first)
        with pytest.raises(BusyError, match="being opened by another process"):
            workspace.drop_branch("b")
        monkeypatch.undo()
        assert opened_there[0].name in workspace.refresh().branch_names()
        other.close_branch(opened_there[0])
        workspace.drop_branch("b")
        with pytest.raises(NotFoundError):
            other.open_branch("b")
        other.close()
