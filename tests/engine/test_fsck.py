"""Damage anywhere is found or harmless; a sound store is called sound, whatever was done in it."""

import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pyi_fs.engine.fsck import check_directory, check_store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import PyiError
from tests.support.damage import build, files_of
from tests.support.engine_rig import contents, opened, put, written

ROOT = Path(__file__).resolve().parents[2]


def everything(path: Path) -> object:
    """Returns all that can be read from a store: the content of every branch and snapshot."""
    found: dict[object, object] = {}
    with opened(path) as store:
        for name in store.workspace_names():
            workspace = Workspace(store, name)
            try:
                refs = workspace.refs
                for branch_name in refs.branch_names():
                    branch = workspace.open_branch(branch_name)
                    found[name, branch_name] = contents(branch), _records(branch.tree)
                for snapshot in refs.ordered():
                    tree = workspace.snapshot_tree(snapshot)
                    found[name, snapshot.id] = (
                        {
                            where: workspace.reader.read_all(inode)
                            for where, _, inode in tree.walk()
                            if inode.is_file
                        },
                        _records(tree),
                    )
                found[name] = [operation for _, operation in workspace.log.operations()]
            finally:
                workspace.close()
    return found


def _records(tree):
    return {path: inode.ctime_ns for path, _, inode in tree.walk()}


@pytest.mark.parametrize("verify_data", [False, True])
def test_a_sound_store_has_no_findings(tmp_path: Path, verify_data):
    build(tmp_path / "store")
    seen: list[str] = []
    with opened(tmp_path / "store") as store:
        assert check_store(store, verify_data=verify_data, progress=seen.append) == []
    assert check_directory(tmp_path / "store", verify_data=verify_data) == []
    assert any(name.endswith("/journal") for name in seen)
    assert any(name.endswith(".pack") for name in seen)


@pytest.mark.slow
def test_a_flipped_bit_is_found_or_harmless(tmp_path: Path, is_long):
    """In every file, at the start, at the end, and at places between, one bit at a time."""
    store = tmp_path / "store"
    build(store)
    sound = everything(store)
    assert check_directory(store, verify_data=True) == []
    unnoticed = []
    count = 0
    for file in files_of(store):
        data = file.read_bytes()
        places = range(len(data))
        some = random.Random(file.name).sample(places, min(len(data), 2_000 if is_long else 6))
        for place in sorted({0, 4, len(data) - 1, *some} & set(places)):
            damaged = bytearray(data)
            damaged[place] ^= 1 << (place % 8)
            file.write_bytes(damaged)
            count += 1
            if not check_directory(store, verify_data=True):
                copy = tmp_path / "copy"
                subprocess.run(["cp", "-a", store, copy], check=True)
                try:
                    is_harmless = everything(copy) == sound
                except (PyiError, OSError):
                    is_harmless = False
                if not is_harmless:
                    unnoticed.append(f"{file.relative_to(store)} at {place} of {len(data)}")
                subprocess.run(["rm", "-r", copy], check=True)
            file.write_bytes(data)
            for left in (store / "index.sqlite-wal", store / "index.sqlite-shm"):
                left.unlink(missing_ok=True)
    assert unnoticed == []
    assert count > 200
    assert check_directory(store, verify_data=True) == []


@pytest.mark.parametrize("cut", ["half", "empty", "gone"])
def test_a_file_cut_short_is_found_or_harmless(tmp_path: Path, cut):
    store = tmp_path / "store"
    build(store)
    sound = everything(store)
    for file in files_of(store):
        data = file.read_bytes()
        if cut == "gone":
            file.unlink()
        else:
            file.write_bytes(data[: len(data) // 2 if cut == "half" else 0])
        if not check_directory(store, verify_data=True):
            assert everything(store) == sound, file
        file.write_bytes(data)
        for left in (store / "index.sqlite-wal", store / "index.sqlite-shm"):
            left.unlink(missing_ok=True)


WRITER = """
import itertools, sys, time
from pathlib import Path
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.engine.founding import create_workspace
from tests.support.damage import build, files_of
from tests.support.engine_rig import noise, put

store = Store.open(Path(sys.argv[1]))
create_workspace(store, "live")
workspace = Workspace(store, "live")
branch = workspace.open_branch("main")
for index in itertools.count():
    put(branch, b"big", noise(1 << 21, str(index % 3)))
    put(branch, b"small%d" % (index % 50), noise(3000, str(index)))
    if index % 7 == 0:
        workspace.snapshot(branch)
    if index % 20 == 0:
        branch.sync()
    branch.reclaim()
    if index % 45 == 44:
        workspace.restore(branch, workspace.refs.ordered()[-2].id)
    if index == 20:
        print("ready", flush=True)
"""


@pytest.mark.slow
def test_a_store_that_is_written_meanwhile_has_no_findings(tmp_path: Path):
    """A process overwrites, gives back, snapshots and restores as fast as it can.

    Then it is killed.
    """
    path = tmp_path / "store"
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == b"ready\n"
        for _ in range(6):
            assert check_directory(path, verify_data=True) == []
            assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    found = check_directory(path, verify_data=True)
    assert all(finding.severity == "note" for finding in found)


def test_what_a_killed_writer_left_half_written_is_no_finding(tmp_path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"1")
        left = ["workspaces/a/synced.0123.tmp", "format.0123.tmp"]
        for path in left:
            (tmp_path / "store" / path).touch(mode=0o600)
        found = check_store(store, verify_data=False)
    assert sorted(finding.file for finding in found) == sorted(left)
    assert {finding.severity for finding in found} == {"note"}
