"""A purge killed before each call that changes the disk: the store is sound, again finishes it."""

import shutil
from pathlib import Path

import pytest

from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.purge import plan
from pyi_fs.engine.store import Store
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything
from tests.support.purge_rig import (
    comparable,
    crashing,
    pictures,
    places,
    purge,
    seal_all_snapshots,
    without,
)
from tests.support.storage import Crash

SECRET = b"sk-live-" + noise(24, "secret").hex().encode()


def is_env(_: str, path: bytes) -> bool:
    return path == b"d/env"


def _filled(store: Store) -> None:
    """Sealed and not, in chunks, a base, tree objects and a fork."""
    with written(store, "job") as (workspace, branch):
        put(branch, b"d/env", SECRET + noise(70_000, "old"))
        put(branch, b"keep", noise(100_000, "keep"))
        workspace.snapshot(branch)
    seal_everything(store)
    seal_all_snapshots(store, "job")
    with written(store, "job") as (workspace, branch):
        position = branch.position
        branch.roll()
        put(branch, b"d/env", SECRET)
        put(branch, b"keep2", noise(10_000, "keep2"))
        write_base(store, branch.position.layer, position)
        workspace.snapshot(branch)
    fork_workspace(store, "job", None, "fork")


@pytest.mark.crash
@pytest.mark.slow
def test_a_crash_before_every_call_leaves_a_sound_store(tmp_path: Path) -> None:
    """And all else is as it was, at every moment; of the file there is the old, or zeros."""
    template = tmp_path / "template"
    with opened(template) as store:
        _filled(store)
        before = pictures(store)
        wanted = comparable(before)
        purged = comparable(without(before, is_env))
        assert places(store, SECRET)
    path = tmp_path / "crashed"
    crash_at, is_over = 0, False
    while not is_over:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(template, path)
        with crashing(path, crash_at) as store:
            try:
                purge(store, "job", b"d/env")
                is_over = True
            except Crash:
                pass
        with opened(path) as store:
            found = comparable(pictures(store))
            for key, tree in found.items():
                for name, shown in tree.items():
                    assert shown in (wanted[key][name], purged[key][name]), (crash_at, name)
            assert _errors(store) == [], crash_at
            assert purge(store, "job", b"d/env").notes == (), crash_at
            assert places(store, SECRET) == [], crash_at
            assert comparable(pictures(store)) == purged, crash_at
            assert plan(store, "job", [b"d/env"]).is_done
            assert _errors(store) == [], crash_at
        crash_at += 1
    assert crash_at > 100


def _errors(store: Store) -> list[object]:
    """Returns what is wrong; a temporary file that a kill leaves is not."""
    findings = check_store(store, verify_data=True)
    return [f for f in findings if f.severity != "note" and not f.file.endswith(".tmp")]
