"""Who may poll: as many mounts as cores can be spared, however the others end."""

import os
import subprocess
import sys

import pytest

from pyi_fs.fuse.polling_tokens import PollingTokens

FILE = "pyi-fs.polling"
HOLDER = """
import sys
from pyi_fs.fuse.polling_tokens import PollingTokens
tokens = PollingTokens(1, places=[sys.argv[1]])
print(tokens.take(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def tokens_of(tmp_path):
    """Gives a function that makes another mount's share, and closes all of them."""
    made = []

    def make(count, *places):
        made.append(PollingTokens(count, places=places or (str(tmp_path),)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_no_more_mounts_poll_than_there_are_tokens(tokens_of, count):
    mounts = [tokens_of(count) for _ in range(count + 2)]
    assert sum(mount.take() for mount in mounts) == count
    assert sum(mount.is_held for mount in mounts) == count


def test_who_has_one_keeps_it_until_it_gives_it_back(tokens_of):
    first, second = tokens_of(1), tokens_of(1)
    assert first.take()
    assert first.take()
    assert not second.take()
    first.give_back()
    assert not first.is_held
    assert second.take()
    assert not first.take()
    first.give_back()
    assert not first.take()


def test_a_mount_that_ends_gives_its_token_back(tokens_of):
    first, second = tokens_of(1), tokens_of(1)
    assert first.take()
    first.close()
    assert second.take()
    assert not first.take()


def test_a_killed_mount_gives_its_token_back(tokens_of, tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        other = tokens_of(1)
        assert not other.take()
        holder.kill()
        holder.wait()
        assert other.take()


def test_where_no_core_can_be_spared_nobody_polls_and_nothing_is_made(tokens_of, tmp_path):
    assert not tokens_of(0).take()
    assert not list(tmp_path.iterdir())


def test_mounts_that_may_use_more_cores_leave_the_others_theirs(tokens_of):
    many, few = [tokens_of(4) for _ in range(4)], tokens_of(1)
    assert all(mount.take() for mount in many)
    assert not few.take()


def test_a_mount_on_many_cores_looks_at_a_few_tokens_only(tokens_of, monkeypatch):
    mounts = [tokens_of(63) for _ in range(63)]
    while not all(mount.take() for mount in mounts):
        pass
    asked = []
    late = tokens_of(63)
    monkeypatch.setattr(late, "_lock", lambda kind: asked.append(kind))
    assert not late.take()
    assert len(asked) == 4


def test_the_file_is_everybodys_whatever_the_umask(tokens_of, tmp_path):
    umask = os.umask(0o077)
    try:
        assert tokens_of(1).take()
    finally:
        os.umask(umask)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o666
    assert (tmp_path / FILE).read_bytes() == b""


def put_link(path):
    (path.parent / "target").touch()
    path.symlink_to(path.parent / "target")


@pytest.mark.parametrize("put", [put_link, os.mkfifo, os.mkdir])
def test_something_else_in_its_place_is_not_used(tokens_of, tmp_path, put):
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.mkdir()
    good.mkdir()
    put(bad / FILE)
    assert not tokens_of(1, str(bad)).take()
    assert tokens_of(1, str(bad), str(good)).take()
    assert (good / FILE).exists()


def test_without_a_place_this_mount_sleeps_and_says_so_once(tokens_of, tmp_path, caplog):
    caplog.set_level("INFO")
    tokens = tokens_of(1, str(tmp_path / "none"))
    assert not tokens.take()
    assert not tokens.take()
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_giving_back_nothing_is_nothing(tokens_of, tmp_path):
    tokens_of(1).give_back()
    assert not list(tmp_path.iterdir())
