"""A purge stopped before each call that changes the disk: the store is sound, again finishes it.

By a kill, and by a power loss.
"""

import shutil
from pathlib import Path

import pytest

from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.findings import Finding
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.purge import plan
from pyi_fs.engine.store import STORE_VERSION, Store
from pyi_fs.store import layout
from tests.support.crashes import Moment, RecordingStorage
from tests.support.engine_rig import noise, opened, put, written
from tests.support.garbage_rig import seal_everything
from tests.support.plain_rig import materialised, newest
from tests.support.purge_rig import (
    SECRET,
    comparable,
    crashing,
    pictures,
    places,
    purge,
    seal_all_snapshots,
    without,
)
from tests.support.storage import Crash
from tests.support.workspaces import Boot, IndexShelf

Shown = dict[object, dict[bytes, object]]


def is_env(_: str, path: bytes) -> bool:
    return path == b"d/env"


def _filled(store: Store) -> None:
    """Sealed and not, in chunks, a plain file, a base, tree objects and a fork."""
    with written(store, "job") as (workspace, branch):
        put(branch, b"d/env", SECRET + noise(70_000, "old"))
        put(branch, b"keep", noise(100_000, "keep"))
        workspace.snapshot(branch)
    seal_everything(store)
    seal_all_snapshots(store, "job")
    materialised(store, newest(store, "job", b"d/env"))
    with written(store, "job") as (workspace, branch):
        position = branch.position
        branch.roll()
        put(branch, b"d/env", SECRET)
        put(branch, b"keep2", noise(10_000, "keep2"))
        write_base(store, branch.position.layer, position)
        workspace.snapshot(branch)
    fork_workspace(store, "job", None, "fork")


def _judge(store: Store, wanted: Shown, purged: Shown, moment: object, *, has_zeros: bool) -> None:
    """Of the file there is the old, or zeros; all else is as it was; the command again ends it.

    `has_zeros`: a log may end in zeros, which `pyi-fsck` cannot tell from damage.
    """
    found = comparable(pictures(store))
    assert found.keys() == wanted.keys(), moment
    for key, tree in found.items():
        assert tree.keys() == wanted[key].keys(), moment
        for name, shown in tree.items():
            assert shown in (wanted[key][name], purged[key][name]), (moment, name)
    assert [one for one in _errors(store) if not (has_zeros and one.kind == "log")] == [], moment
    assert purge(store, "job", b"d/env").notes == (), moment
    assert places(store, SECRET) == [], moment
    assert comparable(pictures(store)) == purged, moment
    assert plan(store, "job", [b"d/env"]).is_done
    assert _errors(store) == [], moment


@pytest.mark.crash
@pytest.mark.slow
def test_a_crash_before_every_call_leaves_a_sound_store(memory_path: Path) -> None:
    template = memory_path / "template"
    with opened(template) as store:
        _filled(store)
        before = pictures(store)
        wanted = comparable(before)
        purged = comparable(without(before, is_env))
        assert places(store, SECRET)
    path = memory_path / "crashed"
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
            _judge(store, wanted, purged, crash_at, has_zeros=False)
        crash_at += 1
    assert crash_at > 100


def _moments(disk: RecordingStorage) -> tuple[list[Moment], Shown, Shown]:
    """Returns the disk before each call of a purge, what was shown before it, and after it."""
    for directory in (layout.LAYERS, layout.WORKSPACES, "packs"):
        disk.make_directory(directory, parents=True)
    disk.write_atomic(layout.FORMAT, [f"pyi-fs store {STORE_VERSION}\n".encode()])
    store = Store(disk, Path(disk.host_path("")))
    _filled(store)
    before = pictures(store)
    disk.sync_everything()
    disk.moments = []
    assert purge(store, "job", b"d/env").notes == ()
    moments, disk.moments = disk.moments, None
    store.close()
    return moments, comparable(before), comparable(without(before, is_env))


@pytest.mark.crash
@pytest.mark.slow
def test_a_power_loss_before_every_call_leaves_a_sound_store(
    shelf: IndexShelf, boot: Boot, is_long: bool
) -> None:
    moments, wanted, purged = _moments(RecordingStorage(shelf.directory()))
    assert isinstance(moments[0].disk, RecordingStorage)
    assert any(SECRET in data for data in moments[0].disk.contents().values())
    for number, moment in enumerate(moments):
        for seed in range(number, number + (10 if is_long else 2)):
            boot.again()
            disk = moment.disk.without_power(shelf, seed)
            assert isinstance(disk, RecordingStorage)
            store = Store(disk, Path(disk.host_path("")))
            store.chunks.reconcile()
            which = (number, moment.call, moment.path, seed)
            _judge(store, wanted, purged, which, has_zeros=True)
            store.close()
            assert [path for path, data in disk.contents().items() if SECRET in data] == []
    assert len(moments) > 100


def _errors(store: Store) -> list[Finding]:
    """Returns what is wrong; a temporary file that a kill leaves is not."""
    findings = check_store(store, verify_data=True)
    return [f for f in findings if f.severity != "note" and not f.file.endswith(".tmp")]
