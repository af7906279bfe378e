"""A collection killed before each call that changes the disk: nothing is lost."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.collector import remove_and_collect
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.store import Store
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.engine_rig import contents, noise, opened, put, written
from tests.support.garbage_rig import bytes_held, collect, fsck_of_tomorrow, rewritten_often
from tests.support.storage import Crash

pytestmark = pytest.mark.usefixtures("fsck_of_tomorrow")
__all__ = ["fsck_of_tomorrow"]


class _CrashingDirectory(DirectoryStorage):
    """The real storage, dead before its n-th changing call."""

    def __init__(self, path: Path, crash_at: int | None) -> None:
        super().__init__(path)
        self.crash_at = crash_at
        self.calls = 0

    def _count(self) -> None:
        if self.crash_at is not None and self.calls >= self.crash_at:
            raise Crash(f"call {self.calls}")
        self.calls += 1

    def rename(self, old, new):
        self._count()
        super().rename(old, new)

    def remove(self, path):
        self._count()
        super().remove(path)

    def remove_directory(self, path):
        self._count()
        super().remove_directory(path)

    def sync_directory(self, path):
        self._count()
        super().sync_directory(path)

    def open_append(self, path, *, create=False):
        self._count()
        return super().open_append(path, create=create)

    def lock(self, path, *, exclusive=True, wait=True):
        self._count()
        return super().lock(path, exclusive=exclusive, wait=wait)

    def write_atomic(self, path, parts, *, durable=True):
        self._count()
        super().write_atomic(path, parts, durable=durable)


@contextmanager
def crashing(path: Path, crash_at: int | None) -> Iterator[tuple[Store, _CrashingDirectory]]:
    storage = _CrashingDirectory(path, None)
    store = Store(storage, path)
    storage.calls, storage.crash_at = 0, crash_at
    try:
        yield store, storage
    finally:
        storage.crash_at = None
        store.close()


@pytest.mark.crash
@pytest.mark.slow
def test_a_crash_before_every_call_loses_nothing(memory_path: Path) -> None:
    """Killed before each call: the store is sound, all is there, the next collection finishes."""
    template = memory_path / "template"
    with opened(template) as store:
        rewritten_often(store)
        rewritten_often(store, "b")
        remove_and_collect(store, "b")
        with written(store, "a") as (workspace, branch):
            workspace.restore(branch, workspace.refs.ordered()[0].id)
            put(branch, b"left", noise(20_000, "left"))
            workspace.restore(branch, workspace.refs.ordered()[3].id)
            put(branch, b"last", b"x")
            workspace.snapshot(branch)
        garbage.pin(store, "a", "2")
    with crashing(_copied(template, memory_path / "whole"), None) as (store, storage):
        expected = _kept(store)
        storage.calls = 0
        done = collect(store)
        assert done.layers
        assert done.maps
        assert done.packs
        calls = storage.calls
        held = bytes_held(memory_path / "whole")
    assert calls > 30
    for crash_at in range(calls):
        path = _copied(template, memory_path / "crashed")
        with crashing(path, crash_at) as (store, _), pytest.raises(Crash):
            collect(store)
        with opened(path) as store:
            assert _errors(store) == [], crash_at
            collect(store)
            assert _errors(store) == [], crash_at
            found = _kept(store)
            assert found == {key: expected[key] for key in found}, crash_at
            assert "main" in found
            assert any(key.startswith("2-") for key in found)
            assert bytes_held(path) <= held + 8192, crash_at


def _errors(store: Store) -> list[object]:
    """Returns what is wrong; a temporary file that a kill leaves is not."""
    findings = check_store(store, verify_data=True)
    return [f for f in findings if f.severity != "note" and not f.file.endswith(".tmp")]


def _copied(template: Path, path: Path) -> Path:
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(template, path)
    return path


def _kept(store: Store) -> dict[str, dict[bytes, bytes]]:
    """Returns what is in the present and in every snapshot of the workspace `a`."""
    found = {}
    with written(store, "a") as (workspace, branch):
        found["main"] = contents(branch)
        for snapshot in workspace.refs.ordered():
            tree = workspace.snapshot_tree(snapshot)
            found[str(snapshot.id)] = {
                name: workspace.reader.read_all(inode)
                for name, _, inode in tree.walk()
                if inode.is_file
            }
    return found
