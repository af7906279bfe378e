"""Workspaces that a mount makes first, and the sentences about them."""

import os

import pytest

from pyi_fs.cli import workspaces
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import AlreadyExistsError, NotFoundError
from pyi_fs.ids import WorkspaceName


def test_a_new_one_is_announced_with_those_that_were_there(tmp_path):
    store = tmp_path / "store"
    assert workspaces.make_empty(store, "workspace") == "new empty workspace 'workspace'"
    assert (
        workspaces.make_empty(store, "wrkspace")
        == "new empty workspace 'wrkspace' (you have: workspace)"
    )
    assert workspaces.names(store) == ["workspace", "wrkspace"]
    assert os.stat(store).st_mode & 0o777 == 0o700


def test_a_long_list_is_cut(tmp_path):
    for number in range(10):
        workspaces.make_empty(tmp_path, f"w{number}")
    assert workspaces.known(tmp_path) == "w0, w1, w2, w3, w4, w5, w6, w7 and 2 more"


def test_a_missing_one_is_named_with_those_there_are(tmp_path):
    assert "there is none" in str(workspaces.missing(tmp_path, "x"))
    workspaces.make_empty(tmp_path / "s", "ws")
    assert str(workspaces.missing(tmp_path / "s", "w")) == "no workspace 'w' (you have: ws)"


def test_from_a_directory_says_what_was_read(tmp_path):
    (tmp_path / "src" / "d").mkdir(parents=True)
    (tmp_path / "src" / "f").write_bytes(b"x" * 2000)
    lines = workspaces.make_from(tmp_path / "s", "ws", f"{tmp_path}/src", tmp_path / "mnt")
    assert lines == [
        f"new workspace 'ws' from {tmp_path}/src: 1 file, 2 directories, 2.0 kB",
    ]


def test_what_was_skipped_is_said(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "mnt").mkdir()
    lines = workspaces.make_from(tmp_path / "s", "ws", f"{tmp_path}/src", tmp_path / "src" / "mnt")
    assert lines[1:] == ["skipped mnt: is the store or the mountpoint"]


def test_a_workspace_that_another_mount_made_meanwhile_is_no_error(tmp_path):
    assert workspaces.make_empty(tmp_path / "s", "ws") is not None
    assert workspaces.make_empty(tmp_path / "s", "ws") is None


def test_a_directory_without_a_slash_is_told_how_to_be_written(tmp_path, monkeypatch):
    """Who types `--from src` may mean either: nothing is guessed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    with pytest.raises(NotFoundError, match=r"no workspace 'src': .* write './src'"):
        workspaces.make_from(tmp_path / "s", "b", "src", tmp_path / "mnt")
    workspaces.make_empty(tmp_path / "s", "src")
    assert workspaces.make_from(tmp_path / "s", "b", "src", tmp_path / "mnt") == [
        "new workspace 'b', a fork of src"
    ]


def test_from_a_workspace_is_a_fork(tmp_path):
    workspaces.make_empty(tmp_path / "s", "a")
    assert workspaces.make_from(tmp_path / "s", "b", "a", tmp_path) == [
        "new workspace 'b', a fork of a"
    ]
    with pytest.raises(NotFoundError, match="no workspace 'c'"):
        workspaces.make_from(tmp_path / "s", "d", "c", tmp_path)
    with pytest.raises(NotFoundError, match="no snapshot or branch 'x'"):
        workspaces.make_from(tmp_path / "s", "d", "a@x", tmp_path)
    assert workspaces.names(tmp_path / "s") == ["a", "b"]


def test_a_workspace_that_exists_is_not_filled(tmp_path):
    workspaces.make_empty(tmp_path / "s", "a")
    for source in ("./src", "a"):
        with pytest.raises(AlreadyExistsError, match="'a' exists"):
            workspaces.make_from(tmp_path / "s", "a", source, tmp_path)


def test_a_fork_of_a_snapshot_is_as_the_snapshot_was(tmp_path):
    workspaces.make_empty(tmp_path / "s", "a")
    store = Store.open(tmp_path / "s")
    workspace = Workspace(store, WorkspaceName("a"))
    taken = workspace.snapshot(workspace.open_branch("main"), name="first").snapshot
    workspace.close()
    assert workspaces.fork(tmp_path / "s", "a@first", "b") == (
        "new workspace 'b', a fork of a@first"
    )
    fork = Workspace(store, WorkspaceName("b"))
    assert fork.open_branch("main").position == taken.position
    fork.close()
    store.close()
