"""Serving: mounted, unmounted in every way, and what survives."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.mounting import Mount, MountFailedError, mounted

pytestmark = [pytest.mark.mount, pytest.mark.slow]


def test_mount_is_of_its_own_type_and_keeps_what_is_written(tmp_path):
    with mounted(tmp_path) as mount:
        (mount.path / "d").mkdir()
        (mount.path / "d" / "f").write_bytes(b"kept")
        assert re.search(rf"pyi:w {mount.path} fuse\.pyi ", Path("/proc/mounts").read_text())
        number = os.stat(mount.path / "d" / "f").st_ino
    assert not os.path.ismount(mount.path)
    with mounted(tmp_path) as mount:
        assert (mount.path / "d" / "f").read_bytes() == b"kept"
        assert os.stat(mount.path / "d" / "f").st_ino == number


def test_mount_survives_kill_with_everything_acknowledged(tmp_path):
    mount = Mount(tmp_path / "store", tmp_path / "mount")
    (mount.path / "f").write_bytes(b"x" * 100_000)
    mount.kill()
    with mounted(tmp_path) as mount:
        assert (mount.path / "f").read_bytes() == b"x" * 100_000


def test_external_umount_ends_the_process(tmp_path):
    mount = Mount(tmp_path / "store", tmp_path / "mount")
    subprocess.run(["umount", str(mount.path)], check=True)
    mount.wait()
    assert mount.process.returncode == 0
    assert "ERROR" not in mount.log


def test_a_missing_mountpoint_is_refused_with_a_reason(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((MountFailedError, FileExistsError)):
        Mount(tmp_path / "store", tmp_path / "file")
