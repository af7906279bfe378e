"""What a shell is told to offer, asked for as the script of click asks."""

import pytest

from pyi_fs.cli import workspaces
from tests.support.commands import environment, program, run_command


def offered(name: str, words: str) -> list[str]:
    """Returns what is offered for the last of some words, which may be empty."""
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    asked = {"COMP_WORDS": f"{name} {words}", "COMP_CWORD": str(words.count(" ") + 1)}
    code = f"from pyi_fs.cli.{MODULES[name]} import main; main()"
    done = run_command(
        [program()[0], "-c", code], env={**environment(), variable: "bash_complete", **asked}
    )
    return done.output.split()


MODULES = {
    "pyi-mount": "mount",
    "pyi-fork": "fork",
    "pyi-store": "store",
    "pyi-gc": "gc",
    "pyi-git-export": "git_export",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [("pyi-mount", ""), ("pyi-fork", ""), ("pyi-store", "info "), ("pyi-gc", "")],
)
def test_workspaces_are_offered(name, words, store):
    assert offered(name, words + "be") == []
    for workspace in ("alpha", "beta", "best"):
        workspaces.make_empty(store, workspace)
    assert offered(name, words + "be") == ["plain,best", "plain,beta"]
    assert offered("pyi-git-export", f"--store {store} al") == ["plain,alpha"]
    assert offered("pyi-store", f"info --store {store.parent / 'other'} al") == []


@pytest.mark.slow
def test_directories_and_options_are_offered(store):
    assert offered("pyi-mount", "alpha wo") == ["dir,wo"]
    assert offered("pyi-mount", "--unmount wo") == ["dir,wo"]
    assert offered("pyi-mount", "--store wo") == ["dir,wo"]
    assert offered("pyi-mount", "--unm") == ["plain,--unmount"]
    assert offered("pyi-store", "r") == ["plain,rm"]
