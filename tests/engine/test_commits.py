"""Who waits for a commit is told of the next one, once, on whatever branch it is."""

from tests.support.engine_rig import opened, put, written


def test_the_next_commit_on_any_branch_is_told_once(tmp_path):
    told = []
    with opened(tmp_path / "store") as store, written(store, "a") as (workspace, branch):
        workspace.commits.tell_at_next(lambda: told.append("one"))
        workspace.commits.tell_at_next(lambda: told.append("two"))
        assert told == []
        put(branch, b"f", b"1")
        put(branch, b"g", b"1")
        assert told == ["one", "two"]
        workspace.make_branch("later", branch)
        workspace.commits.tell_at_next(lambda: told.append("three"))
        put(workspace.open_branch("later"), b"f", b"2")
        assert told == ["one", "two", "three"]


def test_a_record_in_the_log_is_told_too(tmp_path):
    """A branch that was dropped has to become durable some time, though nothing was committed."""
    told = []
    with opened(tmp_path / "store") as store, written(store, "a") as (workspace, branch):
        workspace.make_branch("side", branch)
        workspace.commits.tell_at_next(lambda: told.append("dropped"))
        workspace.drop_branch("side")
        assert told == ["dropped"]
