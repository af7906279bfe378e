"""`pyi-fork`."""

from pyi_fs.cli import workspaces
from pyi_fs.cli.fork import command
from tests.support.commands import call


def test_a_fork_is_a_workspace_of_its_own(store):
    workspaces.make_empty(store, "a")
    done = call(command, "a", "b", name="pyi-fork")
    assert (done.code, done.errors) == (0, "pyi-fork: new workspace 'b', a fork of a\n")
    assert workspaces.names(store) == ["a", "b"]


def test_refusals(store):
    workspaces.make_empty(store, "a")
    for arguments, code, words in [
        (("a", "a"), 1, "'a' exists"),
        (("x", "b"), 1, "no workspace 'x' (you have: a)"),
        (("a@9", "b"), 1, "no snapshot or branch '9'"),
        (("a", "9b"), 1, "not a name"),
        (("a", "b/c"), 2, "is a path"),
        (("a",), 2, "Missing argument 'NEW'"),
    ]:
        done = call(command, *arguments, name="pyi-fork")
        assert (done.code, done.errors.count("\n")) == (code, 1)
        assert words in done.errors
    assert workspaces.names(store) == ["a"]
