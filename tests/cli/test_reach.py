"""What others can reach of a store and a mount, and what can be put where it does not belong."""

import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.fsck import check_directory
from pyi_fs.engine.store import Store
from tests.support.damage import build
from tests.support.mounting import mounted

pytestmark = [pytest.mark.slow]


@pytest.mark.parametrize("umask", [0, 0o777])
def test_every_file_of_a_store_is_its_owners_alone(tmp_path: Path, umask: int) -> None:
    """Under a umask that takes nothing away, and all: sealed, based, forked, collected, checked."""
    before = os.umask(umask)
    try:
        build(tmp_path / "store")
        store = Store.open(tmp_path / "store")
        try:
            garbage.carry_out(store, garbage.plan(store))
        finally:
            store.close()
        check_directory(tmp_path / "store", verify_data=True)
    finally:
        os.umask(before)
    found = [tmp_path / "store", *(tmp_path / "store").rglob("*")]
    wrong = {
        str(path.relative_to(tmp_path)): oct(path.lstat().st_mode)
        for path in found
        if stat.S_IMODE(path.lstat().st_mode) != (0o700 if path.is_dir() else 0o600)
    }
    assert len(found) > 30
    assert wrong == {}


@pytest.mark.mount
def test_a_mount_under_any_umask_leaves_its_files_to_their_owner(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with mounted(tmp_path) as mount:
            (mount.path / "f").write_text("x")
            mount.snapshot()
            (mount.path / ".pyi" / "branches" / "b").mkdir()
            (mount.path / ".pyi" / "branches" / "b" / "g").write_text("x")
    finally:
        os.umask(before)
    for path in (tmp_path / "store").rglob("*"):
        assert not path.lstat().st_mode & 0o077, path


@pytest.mark.mount
def test_an_archive_with_the_control_directory_is_refused(tmp_path: Path) -> None:
    """`tar x` of a tree that has `.pyi/x` in its root: not made, told, and all else is there."""
    (tmp_path / "command").write_text("1")
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        for name in (".pyi", ".pyi/x"):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if name == ".pyi" else tarfile.REGTYPE
            archive.addfile(entry)
        archive.add(tmp_path / "command", "beside")
    with mounted(tmp_path) as mount:
        done = subprocess.run(
            ["tar", "xf", tmp_path / "evil.tar"], cwd=mount.path, capture_output=True, check=False
        )
        assert done.returncode != 0
        assert b".pyi/x" in done.stderr
        assert (mount.path / "beside").read_text() == "1"
        assert len(mount.ask("error").split()) > 2
