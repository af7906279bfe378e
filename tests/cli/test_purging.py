"""`pyi-store purge`: what it asks, says and refuses."""

import pytest

from pyi_fs.cli import workspaces
from pyi_fs.cli.live_mounts import announcement
from pyi_fs.cli.store import command
from pyi_fs.engine.store import Store
from pyi_fs.model.mutation import Share
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.commands import Done, call, run
from tests.support.engine_rig import put, written
from tests.support.purge_rig import places

SECRET = b"sk-live-0123456789"


@pytest.fixture
def leaky(store):
    """A workspace `a` with a secret, and a fork `b`."""
    workspaces.make_empty(store, "a")
    opened = Store.open(store)
    with written(opened, "a") as (workspace, branch):
        put(branch, b"conf/.env", SECRET)
        workspace.snapshot(branch)
    opened.close()
    workspaces.fork(store, "a", "b")
    return store


def purge(*arguments: str) -> Done:
    return call(command, "purge", *arguments, name="pyi-store")


def is_there(path) -> bool:
    store = Store.open(path)
    try:
        return bool(places(store, SECRET))
    finally:
        store.close()


def test_it_says_what_it_rewrote(leaky):
    done = purge("--yes", "a", "conf/.env")
    assert done.code == 0
    lines = done.output.splitlines()
    assert any(line.startswith("in a@1-") and line.endswith(": conf/.env") for line in lines)
    assert any(line.startswith("seal layers/") for line in lines)
    assert any(line.startswith("rewrite layers/") and "1 records" in line for line in lines)
    assert done.errors.startswith("pyi-store: purged 1 file: 1 record of 1 journal, 1 segment")
    assert not is_there(leaky)


def test_a_dry_run_prints_the_same_plan_and_changes_nothing(leaky):
    planned = purge("--dry-run", "a", "conf")
    assert (planned.code, planned.errors) == (0, "")
    assert is_there(leaky)
    assert purge("--yes", "a", "conf").output == planned.output


def test_nobody_there_to_confirm_is_no(leaky):
    done = run("store", "--store", leaky, "purge", "a", "conf/.env")
    assert done.code == 1
    assert "Purge 1 file from a, b, 1 snapshot? This is for ever." in done.errors
    assert done.errors.endswith("nothing was purged (--yes purges without asking)\n")
    assert is_there(leaky)


def test_a_path_never_seen_is_one_line(leaky):
    for paths, text in (
        (["conf/.envs"], "'a' never had 'conf/.envs'"),
        (["conf/.env", "nothing/there"], "'a' never had 'nothing/there'"),
        (["/"], "the root is the whole workspace: remove that with 'rm'"),
        (["conf/../conf"], "a path to purge has no '..'"),
    ):
        done = purge("--yes", "a", *paths)
        assert (done.code, done.errors) == (1, f"pyi-store: {text}\n")
    done = purge("--yes", "x", "conf")
    assert done.errors == "pyi-store: no workspace 'x' (you have: a, b)\n"
    assert is_there(leaky)


def test_a_mounted_fork_is_refused_naming_the_mountpoint(leaky):
    with announcement(DirectoryStorage(leaky)) as announce:
        announce("b", None, "1-abc", "/mnt/b", True)
        done = purge("--yes", "a", "conf/.env")
        assert done.code == 1
        reason = "'b' has the file and is mounted at /mnt/b: `pyi-mount --unmount /mnt/b` first"
        assert done.errors == f"pyi-store: {reason}\n"
    assert is_there(leaky)
    assert purge("--yes", "a", "conf/.env").code == 0


def test_what_others_have_too_is_said_and_ends_with_1(leaky):
    store = Store.open(leaky)
    with written(store, "a") as (_, branch):
        extents = branch.tree.existing(branch.tree.resolve(b"conf/.env")).extents
        copy = put(branch, b"copy", b"x")
        branch.commit(Share(copy, 0, len(SECRET), extents, 1))
    store.close()
    done = purge("--yes", "a", "conf/.env")
    assert done.code == 1
    assert "pyi-store: a:copy has 18 B of it: not removed\n" in done.errors
    assert is_there(leaky)
    done = purge("--yes", "--everywhere", "a", "conf/.env")
    assert done.code == 0
    assert "pyi-store: a:copy has 18 B of it: removed there too\n" in done.errors
    assert not is_there(leaky)
