"""What a command leaves to do is done when it was answered, and lost by nobody's death."""

import pytest

from pyi_fs.engine import left_layers
from pyi_fs.engine.afterwards import Afterwards
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import WorkspaceName
from tests.support.engine_rig import contents, opened, put, written


def test_it_is_done_at_once_unless_somebody_puts_off():
    afterwards, done = Afterwards(), []
    afterwards.add(lambda: done.append(1))
    assert done == [1]
    afterwards.puts_off = True
    afterwards.add(lambda: done.append(2))
    afterwards.add(lambda: done.append(3))
    assert done == [1]
    afterwards.run()
    assert (done, afterwards.puts_off) == ([1, 2, 3], False)
    afterwards.run()
    assert done == [1, 2, 3]


def test_what_raises_does_not_take_the_others_along():
    afterwards, done = Afterwards(), list[int]()
    afterwards.puts_off = True
    afterwards.add(lambda: done[0])
    afterwards.add(lambda: done.append(2))
    with pytest.raises(IndexError):
        afterwards.run()
    afterwards.run()
    assert done == [2]


@pytest.fixture
def edited(tmp_path):
    """Gives a workspace with a branch beside main, written to."""
    with opened(tmp_path / "store") as store, written(store, "w") as (workspace, main):
        workspace.make_branch("try", main)
        put(workspace.open_branch("try"), b"a", b"1")
        yield workspace


def test_a_dropped_branch_is_closed_at_once(edited):
    branch = edited.opened("try")
    edited.afterwards.puts_off = True
    edited.drop_branch("try")
    assert edited.opened("try") is None
    assert branch.writers() == []
    assert edited.leftovers.has_closed
    edited.sync_leftovers()
    assert not edited.leftovers.has_closed


def test_another_process_can_open_one_of_its_name_at_once(edited):
    """It was told that the branch is gone: with its lock held on, it would be refused."""
    start = edited.snapshot(edited.opened("main")).snapshot
    edited.afterwards.puts_off = True
    edited.drop_branch("try")
    other = Workspace(edited.store, WorkspaceName("w"))
    other.make_branch("try", start)
    assert contents(other.open_branch("try")) == {}
    other.close()


def test_another_of_its_name_can_be_opened_at_once(edited):
    main = edited.opened("main")
    edited.afterwards.puts_off = True
    edited.drop_branch("try")
    edited.make_branch("try", main)
    assert contents(edited.open_branch("try")) == {}


def test_a_process_that_dies_before_has_dropped_it_all_the_same(edited):
    edited.afterwards.puts_off = True
    edited.drop_branch("try")
    other = Workspace(edited.store, WorkspaceName("w"))
    assert other.refs.branch_names() == ["main"]
    other.close()
    edited.undo(edited.opened("main"))
    assert contents(edited.open_branch("try")) == {b"a": b"1"}


def test_a_restore_closes_what_is_too_much_afterwards(edited, monkeypatch):
    monkeypatch.setattr(left_layers, "OPEN_MAX", 0)
    branch = edited.opened("try")
    first = edited.snapshot(branch).snapshot
    put(branch, b"a", b"2")
    edited.afterwards.puts_off = True
    edited.restore(branch, first.id)
    assert len(branch.writers()) == 1
    edited.afterwards.run()
    assert branch.writers() == []
    assert contents(branch) == {b"a": b"1"}
