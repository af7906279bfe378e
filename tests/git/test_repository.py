"""Repositories are found where they are said to be, or made; git gets a clean environment."""

import os
import subprocess

import pytest

from pyi_fs.errors import InvalidArgumentError, NotFoundError, RequestError
from pyi_fs.git.repository import Git, branch_ref, complaint, is_nothing, open_repository


@pytest.fixture
def environment(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def git(environment):
    return Git(environment)


def test_variables_that_name_repositories_do_not_reach_git(environment):
    git = Git({**environment, "GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/", "LC_ALL": "de_DE"})
    assert "GIT_DIR" not in git.environment
    assert "GIT_WORK_TREE" not in git.environment
    assert git.environment["LC_ALL"] == "C"
    assert git.environment["GIT_CONFIG_NOSYSTEM"] == "1"


def test_git_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(NotFoundError, match="not installed"):
        Git({"PATH": str(tmp_path)})


def test_a_missing_repository_is_made(git, tmp_path):
    repo = open_repository(git, tmp_path / "deep" / "repo")
    assert repo.directory == str(tmp_path / "deep" / "repo" / ".git")
    assert list(repo.checked_out().values()) == [str(tmp_path / "deep" / "repo")]


def test_a_new_bare_repository_has_our_branch_as_head_and_nothing_checked_out(git, tmp_path):
    repo = open_repository(git, tmp_path / "repo", bare=True, head="pyi/ws")
    assert repo.ask("symbolic-ref", "HEAD") == "refs/heads/pyi/ws"
    assert repo.checked_out() == {}


def test_a_directory_inside_a_repository_is_not_that_repository(git, tmp_path):
    open_repository(git, tmp_path / "repo")
    (tmp_path / "repo" / "sub").mkdir()
    (tmp_path / "repo" / "sub" / "file").touch()
    with pytest.raises(NotFoundError, match="not a git repository, and not empty"):
        open_repository(git, tmp_path / "repo" / "sub")


def test_a_file_is_no_repository(git, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidArgumentError, match="not a directory"):
        open_repository(git, tmp_path / "file")


def test_a_git_directory_and_a_link_to_a_repository_will_do(git, tmp_path):
    repo = open_repository(git, tmp_path / "repo")
    (tmp_path / "link").symlink_to("repo")
    assert open_repository(git, tmp_path / "repo" / ".git").directory == repo.directory
    assert open_repository(git, tmp_path / "link").directory == repo.directory


@pytest.mark.slow
def test_a_branch_of_another_work_tree_is_checked_out(git, tmp_path):
    repo = open_repository(git, tmp_path / "repo")
    command = ["git", "-C", str(repo.path), "-c", "user.name=a", "-c", "user.email=b"]
    for arguments in (["commit", "-q", "--allow-empty", "-m", "x"], ["worktree", "add", "../w"]):
        subprocess.run([*command, *arguments], env=git.environment, check=True, capture_output=True)
    assert repo.checked_out()["refs/heads/w"] == str(tmp_path / "w")


def test_the_identity_is_that_of_the_repository_then_the_user_then_ours(git, tmp_path):
    repo = open_repository(git, tmp_path / "repo")
    assert repo.identity() == ("pyi-fs", "pyi@localhost")
    repo.ask("config", "--global", "user.name", "Ann <x>")
    repo.ask("config", "--global", "user.email", "ann@example.org")
    assert repo.identity() == ("Ann x", "ann@example.org")
    repo.ask("config", "user.name", "Project")
    assert repo.identity() == ("Project", "ann@example.org")


@pytest.mark.parametrize("name", ["a..b", "x.lock", "-x", "a b", "HEAD", "a/", ""])
def test_bad_branch_names_are_refused(git, name):
    """Asked before a repository is made for it."""
    with pytest.raises(InvalidArgumentError, match="no branch name"):
        branch_ref(git, name)


def test_what_a_repository_would_be_made_of(tmp_path):
    assert is_nothing(tmp_path / "missing")
    assert is_nothing(tmp_path)
    (tmp_path / "file").touch()
    assert not is_nothing(tmp_path)
    assert not is_nothing(tmp_path / "file")


def test_a_revision_that_is_not_there_is_none(git, tmp_path):
    repo = open_repository(git, tmp_path / "repo")
    assert repo.resolve("HEAD") is None
    assert repo.resolve("--all") is None


def test_a_failure_is_one_line_of_gits(git, tmp_path):
    repo = open_repository(git, tmp_path / "repo")
    with pytest.raises(RequestError, match=r"^git: ambiguous argument 'nope'[^\n]*$"):
        repo.commits("nope")
    assert complaint(b"hint: a\nfatal: b\nhint: c\n") == "b"
    assert complaint(b"warning: a\n") == "warning: a"
    assert complaint(b"") == ""
