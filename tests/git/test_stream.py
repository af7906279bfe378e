"""The stream: any path, commits that continue each other, and nothing at all after an error."""

import os

import pytest

from pyi_fs.errors import RequestError
from pyi_fs.git.repository import Git, open_repository
from pyi_fs.git.stream import REGULAR, FastImport

WHO = ("A", "a@example.org")
REF = "refs/heads/x"


@pytest.fixture
def repo(tmp_path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    return open_repository(Git(environment), tmp_path / "repo", bare=True)


def listed(repo, revision="x"):
    done = repo.git.run(repo.command("ls-tree", "-r", "-z", "--name-only", revision))
    return done.stdout.split(b"\0")[:-1]


def test_every_byte_may_be_in_a_name(repo):
    names = sorted(bytes([byte]) + b"x" for byte in range(1, 256) if byte != ord("/"))
    with FastImport(repo, REF, None) as stream:
        stream.commit(WHO, 1, "m")
        for name in names:
            stream.put(b"d" + name + b"/" + name, REGULAR, 0, [])
        stream.finish()
    assert listed(repo) == [b"d" + name + b"/" + name for name in names]


def test_what_the_parent_has_is_put_again(repo):
    with FastImport(repo, REF, None) as stream:
        stream.commit(WHO, 1, "one")
        assert not stream.put_again(b"x", None, b"d")
        stream.put(b"d/e/f", REGULAR, 3, [b"ab", b"c"])
        stream.commit(WHO, 2, "two")
        stream.delete(b"d")
        assert stream.put_again(b"new", None, b"d/e")
        assert stream.put_again(b"file", b"100755", b"d/e/f")
        assert not stream.put_again(b"x", None, b"missing")
        assert not stream.put_again(b"x", None, b"d/e/f")
        assert not stream.put_again(b"x", REGULAR, b"d/e")
        stream.finish()
    assert listed(repo) == [b"file", b"new/f"]
    assert repo.ask("show", "x:file") == "abc"


def write_short(repo, piece):
    """Begins a file of ten bytes and gives five."""
    with FastImport(repo, REF, None) as stream:
        stream.commit(WHO, 1, "m")
        stream.put(b"f", REGULAR, 10, (piece() for _ in range(1)))


def broken():
    raise ZeroDivisionError


def test_without_finish_there_is_no_branch_and_no_rubbish(repo):
    before = sorted(os.listdir(repo.directory))
    with pytest.raises(ZeroDivisionError):
        write_short(repo, broken)
    assert repo.resolve(REF) is None
    assert sorted(os.listdir(repo.directory)) == before


def test_a_file_that_is_too_short_is_an_error(repo):
    with pytest.raises(RequestError, match="5 bytes shorter"):
        write_short(repo, lambda: b"short")
    assert repo.resolve(REF) is None


def test_a_branch_that_moved_meanwhile_stays(repo):
    with FastImport(repo, REF, None) as first:
        first.commit(WHO, 1, "first")
        with FastImport(repo, REF, None) as second:
            second.commit(WHO, 2, "second")
            second.finish()
        with pytest.raises(RequestError, match="Not updating"):
            first.finish()
    assert repo.ask("log", "--format=%s", "x") == "second"


def test_git_that_dies_is_one_line(repo):
    with FastImport(repo, REF, "0" * 39 + "1") as stream:
        stream.commit(WHO, 1, "m")
        with pytest.raises(RequestError, match=r"^git fast-import: [^\n]+$"):
            stream.finish()
    assert not [name for name in os.listdir(repo.directory) if "crash" in name]
