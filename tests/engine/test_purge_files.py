"""A path means every file that ever had it; a file is the same one in parents and forks."""

from pathlib import Path

import pytest

from pyi_fs.engine.founding import fork_workspace, remove_workspace
from pyi_fs.engine.history import History
from pyi_fs.engine.purge_files import Files, clean_path, find
from pyi_fs.engine.store import Store
from pyi_fs.errors import InvalidArgumentError, NotFoundError
from pyi_fs.ids import ROOT_INODE, InodeNumber, WorkspaceName
from pyi_fs.model.mutation import Link, Remove, Rename
from tests.support.engine_rig import opened, put, written


def numbers(store: Store, name: str, *paths: bytes) -> set[InodeNumber]:
    history = History(store.layers)
    found = find(store, Files(store, history), history, WorkspaceName(name), paths)
    return {key.number for key in found}


def test_a_file_that_was_there_for_a_moment_is_found(tmp_path: Path) -> None:
    """Between snapshots, under a temporary name before, as a link, moved with its directory."""
    with opened(tmp_path / "store") as store, written(store, "job") as (workspace, branch):
        saved = put(branch, b"env.tmp", b"1")
        branch.commit(Rename(ROOT_INODE, b"env.tmp", ROOT_INODE, b"env", 0, 1))
        branch.commit(Remove(ROOT_INODE, b"env", False, 2))
        linked = put(branch, b"other", b"2")
        branch.commit(Link(linked, ROOT_INODE, b"env", 3))
        branch.commit(Remove(ROOT_INODE, b"env", False, 4))
        moved = put(branch, b"new/deep/env", b"3")
        branch.commit(Rename(ROOT_INODE, b"new", ROOT_INODE, b"conf", 0, 5))
        put(branch, b"unrelated", b"4")
        workspace.snapshot(branch)
        branch.sync()
        assert numbers(store, "job", b"env") == {saved, linked}
        assert numbers(store, "job", b"conf/deep/env") == {moved}
        assert moved in numbers(store, "job", b"conf")
        assert len(numbers(store, "job", b"new")) == 3
        with pytest.raises(NotFoundError, match="'job' never had 'conf/env'"):
            numbers(store, "job", b"env", b"conf/env")


def test_what_was_undone_or_dropped_is_found(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store, written(store, "job") as (workspace, branch):
        put(branch, b"keep", b"1")
        start = workspace.snapshot(branch, name="start").snapshot
        undone = put(branch, b"env", b"2")
        workspace.restore(branch, "start")
        again = put(branch, b"env", b"3")
        workspace.make_branch("side", start)
        side = workspace.open_branch("side")
        dropped = put(side, b"env", b"4")
        side.sync()
        workspace.drop_branch("side")
        branch.sync()
        assert numbers(store, "job", b"env") == {undone, again, dropped}


def test_a_number_is_the_file_of_whoever_gave_it_out(tmp_path: Path) -> None:
    """Of the parent if the fork began with it; else of the fork, whatever the parent has."""
    with opened(tmp_path / "store") as store:
        with written(store, "parent") as (_, branch):
            common = put(branch, b"common", b"1")
            parent_layer = branch.position.layer
        fork_workspace(store, "parent", None, "fork")
        with written(store, "fork") as (_, branch):
            put(branch, b"common", b"changed")
            own = put(branch, b"own", b"2")
            fork_layer = branch.position.layer
        with written(store, "parent") as (_, branch):
            theirs = put(branch, b"own", b"3")
            parent_end = branch.position.layer
        fork_workspace(store, "fork", None, "grandchild")
        with written(store, "grandchild") as (_, branch):
            put(branch, b"own", b"4")
            last_layer = branch.position.layer
        assert own == theirs
        files = Files(store, History(store.layers))
        assert files.key(fork_layer, common) == files.key(parent_layer, common)
        assert files.key(last_layer, common) == files.key(parent_layer, common)
        assert files.key(fork_layer, own) == files.key(last_layer, own)
        assert files.key(fork_layer, own) != files.key(parent_end, theirs)
        assert numbers(store, "fork", b"own") == {own}


def test_what_a_parent_wrote_after_the_fork_was_not_in_it(tmp_path: Path) -> None:
    with opened(tmp_path / "store") as store:
        with written(store, "parent") as (_, branch):
            put(branch, b"a", b"1")
        fork_workspace(store, "parent", None, "fork")
        with written(store, "parent") as (_, branch):
            put(branch, b"later", b"2")
        with pytest.raises(NotFoundError):
            numbers(store, "fork", b"later")
        assert numbers(store, "parent", b"later")


def test_a_workspace_that_took_the_name_of_a_removed_one(tmp_path: Path) -> None:
    """The layers of the removed one stay while a fork needs them: their numbers are others."""
    with opened(tmp_path / "store") as store:
        with written(store, "base") as (_, branch):
            put(branch, b"f", b"0")
        fork_workspace(store, "base", None, "job")
        with written(store, "job") as (_, branch):
            old = put(branch, b"env", b"1")
            old_layer = branch.position.layer
        fork_workspace(store, "job", None, "heir")
        remove_workspace(store, "job")
        fork_workspace(store, "base", None, "job")
        with written(store, "job") as (_, branch):
            new = put(branch, b"env", b"2")
            new_layer = branch.position.layer
        assert old == new
        files = Files(store, History(store.layers))
        assert files.key(old_layer, old) != files.key(new_layer, new)


@pytest.mark.parametrize(
    ("path", "clean"), [(b"/a//b/", b"a/b"), (b"./a/./b", b"a/b"), (b"a\xff", b"a\xff")]
)
def test_paths_are_taken_as_they_are_meant(path: bytes, clean: bytes) -> None:
    assert clean_path(path) == clean


@pytest.mark.parametrize("path", [b"", b"/", b".", b"a/../b"])
def test_the_root_and_dots_are_refused(path: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        clean_path(path)
