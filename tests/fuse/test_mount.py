"""Serving: mounted, unmounted in every way, and what survives."""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyi_fs.errors import InvalidArgumentError
from pyi_fs.fuse import device
from pyi_fs.fuse.device import DeviceOptions
from pyi_fs.fuse.mount import MountOptions, Shared, serve
from tests.support.mounting import ROOT, Mount, MountFailedError, mounted

pytestmark = [pytest.mark.mount, pytest.mark.slow]


def users_may_mount():
    """Returns whether anybody may open the device."""
    return os.path.exists("/dev/fuse") and os.stat("/dev/fuse").st_mode & 0o6 == 0o6


def test_mount_is_of_its_own_type_and_keeps_what_is_written(tmp_path, writeback):
    with mounted(tmp_path, writeback=writeback) as mount:
        (mount.path / "d").mkdir()
        (mount.path / "d" / "f").write_bytes(b"kept")
        assert re.search(rf"pyi:w {mount.path} fuse\.pyi ", Path("/proc/mounts").read_text())
        number = os.stat(mount.path / "d" / "f").st_ino
    assert not os.path.ismount(mount.path)
    with mounted(tmp_path, writeback=writeback) as mount:
        assert (mount.path / "d" / "f").read_bytes() == b"kept"
        assert os.stat(mount.path / "d" / "f").st_ino == number


def test_mount_survives_kill_with_everything_acknowledged(tmp_path, writeback):
    mount = Mount(tmp_path / "store", tmp_path / "mount", {"writeback": writeback})
    (mount.path / "f").write_bytes(b"x" * 100_000)
    mount.kill()
    with mounted(tmp_path, writeback=writeback) as mount:
        assert (mount.path / "f").read_bytes() == b"x" * 100_000


def test_external_umount_ends_the_process(tmp_path, writeback):
    mount = Mount(tmp_path / "store", tmp_path / "mount", {"writeback": writeback})
    subprocess.run(["umount", str(mount.path)], check=True)
    mount.wait()
    assert mount.process.returncode == 0
    assert "ERROR" not in mount.log


def test_a_missing_mountpoint_is_refused_with_a_reason(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((MountFailedError, FileExistsError)):
        Mount(tmp_path / "store", tmp_path / "file")


def test_a_signal_while_files_are_open_ends_the_mount_all_the_same(tmp_path, writeback):
    with mounted(tmp_path, writeback=writeback) as mount:
        held = os.open(mount.path / "f", os.O_CREAT | os.O_RDWR)
        os.write(held, b"acknowledged")
        mount.unmount()
        with pytest.raises(OSError, match=r"not connected|aborted"):
            os.fstat(held)
        with contextlib.suppress(OSError):
            # Closing asks to flush, and nobody answers; the descriptor is gone all the same.
            os.close(held)
    with mounted(tmp_path, writeback=writeback) as mount:
        assert (mount.path / "f").read_bytes() == b"acknowledged"


def test_a_snapshot_can_be_mounted_and_not_written(tmp_path, writeback):
    with mounted(tmp_path, writeback=writeback) as mount:
        (mount.path / "f").write_bytes(b"1")
        snapshot = mount.snapshot()
        (mount.path / "f").write_bytes(b"2")
    with mounted(tmp_path, snapshot=snapshot, writeback=writeback) as mount:
        assert (mount.path / "f").read_bytes() == b"1"
        with pytest.raises(OSError, match="Read-only"):
            (mount.path / "f").write_bytes(b"3")
        assert snapshot in os.listdir(mount.path / ".pyi" / "snapshots")


def test_few_descriptors_are_enough_for_many_files(tmp_path, writeback):
    with mounted(tmp_path, writeback=writeback) as mount:
        resource.prlimit(mount.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        for index in range(300):
            (mount.path / f"f{index}").write_bytes(b"x")
        held = [(mount.path / f"f{index}").open("rb") for index in range(300)]
        for file in held:
            assert file.read() == b"x"
            file.close()
        assert len(os.listdir(mount.path)) == 300


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.skipif(not users_may_mount(), reason="/dev/fuse is root's alone here")
def test_a_user_mounts_with_the_help_of_fusermount3(open_directory):
    os.chown(open_directory, 65534, 65534)
    path = f"{open_directory}/store"
    code = (
        "import os, sys, sqlite_utils; from tests.support.mount_runner import main;"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); main(*sys.argv[1:])"
    )
    (open_directory / "mount").mkdir()
    os.chown(open_directory / "mount", 65534, 65534)
    process = subprocess.Popen(
        [sys.executable, "-c", code, path, "w", f"{open_directory}/mount"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    become = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if line == b"ready\n":
        write = ["bash", "-c", f"echo x > {open_directory}/mount/f; cat {open_directory}/mount/f"]
        done = subprocess.run([*become, *write], capture_output=True, check=False)
        process.terminate()
    else:
        done = None
    _, log = process.communicate(timeout=60)
    assert line == b"ready\n", log.decode()
    assert done is not None
    assert done.stdout == b"x\n", done.stderr
    assert process.returncode == 0, log.decode()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare(1) makes user namespaces")
@pytest.mark.skipif(
    os.geteuid() != 0 and not users_may_mount(), reason="/dev/fuse is root's alone here"
)
def test_a_mount_in_a_user_namespace(tmp_path, transport):
    """There is a root who may mount, and no fusermount3."""
    (tmp_path / "mount").mkdir()
    options = json.dumps({"transport": transport})
    server = [sys.executable, "-m", "tests.support.mount_runner", "store", "w", "mount", options]
    script = (
        "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE);"
        "assert p.stdout.readline() == b'ready\\n';"
        "open('mount/f', 'w').write('kept'); print(open('mount/f').read());"
        "print(open('mount/.pyi/snapshot').read()); p.terminate(); sys.exit(p.wait(60))"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", script, *server],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=100,
    )
    if b"unshare failed" in done.stderr:
        pytest.skip("this kernel lets nobody make a user namespace")
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"kept\n1-")


def test_a_bug_in_the_background_does_not_end_the_mount(tmp_path):
    """A periodic sync that raised what nobody expected took the whole mount away."""
    code = (
        "import sys; from pyi_fs.engine.branch import Branch;"
        "from tests.support.mount_runner import main;"
        "Branch.sync = lambda branch: 1 // 0; main(*sys.argv[1:])"
    )
    (tmp_path / "mount").mkdir()
    log_path = tmp_path / "log"
    options = '{"sync_interval": 0.01, "snapshot_every": 0.01}'
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / "store", "w", tmp_path / "mount", options],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
        )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", log_path.read_text()
        (tmp_path / "mount" / "f").write_bytes(b"x")
        while (
            "background work on branch main" not in log_path.read_text() and process.poll() is None
        ):
            os.stat(tmp_path / "mount" / "f")
        assert (tmp_path / "mount" / "f").read_bytes() == b"x"
        process.terminate()
        assert process.wait(60) == 0
    assert "BUG: leaving branch main" in log_path.read_text()


async def test_what_is_mounted_and_cannot_be_served_is_given_up(tmp_path, rig):
    """Else who looks there would wait: the process may go on with other mounts."""
    place = tmp_path / "mnt"
    place.mkdir()
    mounted = device.mount(place, DeviceOptions("test"))
    options = MountOptions("test", transport="nosuch")
    with pytest.raises(InvalidArgumentError):
        await serve(rig.session, mounted, options, Shared(), ready=lambda: None)
    assert not mounted.is_mounted()
    assert list(place.iterdir()) == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(mounted.device)
