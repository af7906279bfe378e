"""Snapshots, branches and forks from Python, in the same store as everybody else."""

import dataclasses
import errno
from pathlib import Path

import pytest

from pyi_fs.api import Change, Workspace
from pyi_fs.engine.fsck import check_directory
from tests.support.engine_rig import contents, opened, written


def content(work: Workspace) -> dict[str, bytes]:
    return {
        (f"{directory}/{name}" if directory else name): work.read(f"{directory}/{name}")
        for directory, _, files in work.walk()
        for name in files
    }


def test_what_is_written_is_what_others_see(tmp_path: Path):
    with Workspace.open("w", store=tmp_path / "s") as work:
        work.mkdir("d")
        work.write("d/f", b"x")
        taken = work.snapshot("kept")
    with opened(tmp_path / "s") as store, written(store, "w") as (workspace, branch):
        assert contents(branch) == {b"d/f": b"x"}
        assert workspace.find_snapshot("kept").id == taken.id


def test_an_exception_loses_nothing(tmp_path: Path):
    def run() -> None:
        with Workspace.open("w", store=str(tmp_path / "s")) as work:
            work.write("f", b"x")
            raise KeyError("of the program")

    with pytest.raises(KeyError):
        run()
    with Workspace.open("w", store=tmp_path / "s", create=False) as work:
        assert work.read("f") == b"x"


def test_the_end_makes_everything_durable(tmp_path: Path):
    with Workspace.open("w", store=tmp_path / "s") as work:
        work.write("f", b"x")
        assert work.status()["synced"] is False
        work.sync()
        assert work.status()["synced"] is True
        branch = vars(work)["_branch"]
        work.write("f", b"y")
    assert branch.is_synced


def test_a_closed_workspace_says_so(tmp_path: Path):
    work = Workspace.open("w", store=tmp_path / "s")
    work.close()
    work.close()
    with pytest.raises(ValueError, match="closed"):
        work.read("f")


def test_opening_what_is_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        Workspace.open("w", store=tmp_path / "s", create=False)
    assert not (tmp_path / "s").exists()
    with pytest.raises(OSError, match="not a name") as caught:
        Workspace.open("bad name", store=tmp_path / "s")
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(FileNotFoundError, match="no branch"):
        Workspace.open("w", store=tmp_path / "s", branch="nothing")
    with pytest.raises(FileNotFoundError, match="no workspace"):
        Workspace.open("x", store=tmp_path / "s", create=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(OSError, match="not a pyi store"):
        Workspace.open("w", store=tmp_path / "full")


def test_a_branch_is_open_once(tmp_path: Path):
    with Workspace.open("w", store=tmp_path / "s") as work:
        with pytest.raises(OSError, match="in use: python") as caught:
            Workspace.open("w", store=tmp_path / "s")
        assert caught.value.errno == errno.EBUSY
        work.branch("side").close()
        with Workspace.open("w", store=tmp_path / "s", branch="side") as side:
            side.write("f", b"x")
            with pytest.raises(OSError, match="in use: python"):
                work.drop("side")


def test_snapshots_tell_what_changed(work: Workspace):
    work.write("a", b"1")
    work.mkdir("d")
    first = work.snapshot()
    assert first.changes() == [Change("A", "a"), Change("A", "d")]
    assert not first.unchanged
    again = work.snapshot()
    assert again.unchanged
    assert again == dataclasses.replace(first, unchanged=True)
    work.rename("a", "d/b")
    work.write("c", b"")
    second = work.snapshot("second", "what for")
    assert second.changes() == [Change("A", "c"), Change("R", "d/b", "a")]
    assert second.parent == first.id
    work.remove("c")
    assert work.diff("second") == [Change("D", "c")]
    assert work.diff(second, first.id) == [Change("R", "a", "d/b"), Change("D", "c")]
    assert [one.id for one in work.snapshots()] == [first.id, second.id]
    with pytest.raises(FileExistsError):
        work.snapshot("second")
    work.delete_snapshot(first)
    assert [one.name for one in work.snapshots()] == ["second"]
    with pytest.raises(FileNotFoundError):
        work.diff(first)


def test_the_first_changes_of_a_branch_are_counted_from_its_start(work: Workspace):
    work.write("base", b"1")
    with work.branch("side") as side:
        side.write("own", b"2")
        assert side.snapshot().changes() == [Change("A", "own")]
    with work.fork("fork") as fork:
        fork.write("forked", b"3")
        assert fork.snapshot().changes() == [Change("A", "forked")]


def test_restore_and_undo(work: Workspace):
    work.write("a", b"1")
    work.write("b", b"1")
    first = work.snapshot("first")
    work.write("a", b"2")
    work.remove("b")
    work.write("c", b"2")
    work.restore("first", "/b")
    assert content(work) == {"a": b"2", "b": b"1", "c": b"2"}
    work.restore(first)
    assert content(work) == {"a": b"1", "b": b"1"}
    assert "restore of" in work.undo()
    assert content(work) == {"a": b"2", "b": b"1", "c": b"2"}
    work.redo()
    assert content(work) == {"a": b"1", "b": b"1"}
    with pytest.raises(FileNotFoundError) as caught:
        work.restore("nothing")
    assert caught.value.filename == "nothing"
    with pytest.raises(FileNotFoundError):
        work.restore(first, "never/there")


def test_a_path_is_restored_however_it_is_written(work: Workspace):
    work.mkdir("d/e", parents=True)
    work.write("d/e/f", b"1")
    work.write("g", b"1")
    first = work.snapshot()
    work.write("d/e/f", b"2")
    work.write("g", b"2")
    work.restore(first, "./d//x/../e/f/")
    assert content(work) == {"d/e/f": b"1", "g": b"2"}
    work.restore(first, "/")
    assert content(work) == {"d/e/f": b"1", "g": b"1"}


def test_branches_go_their_own_ways(work: Workspace, tmp_path: Path):
    work.write("f", b"base")
    first = work.snapshot("first")
    work.write("f", b"main")
    with work.branch("side", "first") as side, work.branch("now") as now:
        assert side.read("f") == b"base"
        assert now.read("f") == b"main"
        side.write("f", b"side")
        assert (side.name, side.branch_name) == ("work", "side")
        assert side.branches() == work.branches() == ["main", "now", "side"]
        with pytest.raises(FileExistsError):
            work.branch("side")
        with pytest.raises(OSError, match="open in this program") as caught:
            work.drop("side")
        assert caught.value.errno == errno.EBUSY
        with pytest.raises(FileNotFoundError):
            work.branch("other", "nothing")
    work.drop("side")
    with pytest.raises(FileNotFoundError):
        work.drop("side")
    assert work.branches() == ["main", "now"]
    assert "bring branch 'side' back" in work.undo()
    with Workspace.open("work", store=tmp_path / "store", branch="side") as side:
        assert side.read("f") == b"side"
        assert side.diff(first) == [Change("M", "f")]


def test_a_branch_that_is_undone_under_its_user_is_gone(work: Workspace):
    """Writing to it would write without its lock."""
    side = work.branch("side")
    side.write("f", b"x")
    assert "drop branch 'side'" in work.undo()
    with pytest.raises(OSError, match="was dropped") as caught:
        side.write("f", b"y")
    assert caught.value.errno == errno.ESTALE
    side.close()
    assert work.branches() == ["main"]


def test_a_fork_lives_by_itself(tmp_path: Path):
    work = Workspace.open("parent", store=tmp_path / "s")
    work.write("f", b"base")
    work.snapshot("start")
    work.write("f", b"later")
    fork = work.fork("fork")
    early = work.fork("early", "start")
    with pytest.raises(FileExistsError):
        work.fork("fork")
    # The store stays open until the last of them is closed.
    work.close()
    fork.write("g", b"own")
    assert (content(fork), content(early)) == ({"f": b"later", "g": b"own"}, {"f": b"base"})
    assert (fork.name, fork.branch_name, fork.branches()) == ("fork", "main", ["main"])
    fork.close()
    early.close()
    assert check_directory(tmp_path / "s", verify_data=True) == []


def test_a_fork_of_a_branch_whose_name_a_snapshot_has(work: Workspace):
    work.write("f", b"1")
    work.snapshot("main")
    work.write("f", b"2")
    with work.fork("fork") as fork:
        assert fork.read("f") == b"2"
    with work.branch("side") as side:
        side.write("f", b"3")
        with side.fork("fork-of-side") as fork:
            assert fork.read("f") == b"3"


def test_the_status_is_that_of_the_control_directory_and_the_bytes(work: Workspace):
    work.write("f", b"x" * 100_000)
    status = work.status()
    assert status["workspace"] == "work"
    assert status["branch"] == "main"
    assert status["written_bytes"] == 100_000
    own = status["own_bytes"]
    assert isinstance(own, int)
    assert own >= 100_000
    with work.fork("fork") as fork:
        shared = fork.status()["shared_bytes"]
        assert isinstance(shared, int)
        assert shared >= 100_000
