"""Ending mounts: what is not ours, what is busy, what is dead. Real mounts are in test_mount.py."""

import errno
import os
import subprocess

import pytest

from pyi_fs.cli import unmounting
from pyi_fs.cli.mountinfo import Mount
from pyi_fs.cli.users import User
from pyi_fs.errors import BusyError, InvalidArgumentError, NotFoundError, UnsupportedError


def fake_mount(path: str, kind: str = "fuse.pyi") -> Mount:
    return Mount(9, 1, "0:9", path, ("rw",), kind, "/no/store#ws", ("rw",))


@pytest.fixture
def commands(monkeypatch):
    """Records the commands that would be run; they fail while `commands.error` says so."""

    class Commands(list[list[str]]):
        error = ""

        def run(self, command: list[str], mount: Mount | None = None) -> object:
            self.append(command)
            return subprocess.CompletedProcess(command, 1 if self.error else 0, "", self.error)

    found = Commands()
    monkeypatch.setattr(unmounting, "_run", found.run)
    return found


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    """Makes the test's directory look like one of our mounts."""
    monkeypatch.setattr(unmounting, "mount_at", fake_mount)
    monkeypatch.setattr(unmounting, "mounts", list)
    monkeypatch.setattr(unmounting, "users_of", lambda path: [])
    return str(tmp_path)


def test_what_is_not_mounted_or_not_ours_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="nothing is mounted"):
        unmounting.unmount(str(tmp_path))
    with pytest.raises(InvalidArgumentError, match=r"type proc.*umount"):
        unmounting.unmount("/proc")


def test_root_uses_umount_and_others_fusermount(mounted, commands, monkeypatch):
    monkeypatch.setattr("pyi_fs.cli.unmounting.os.geteuid", lambda: 0)
    unmounting.unmount(mounted)
    monkeypatch.setattr("pyi_fs.cli.unmounting.os.geteuid", lambda: 1000)
    monkeypatch.setattr("pyi_fs.cli.unmounting.shutil.which", lambda name: name)
    unmounting.unmount(mounted)
    assert [command[0] for command in commands] == ["umount", "fusermount3"]
    monkeypatch.setattr("pyi_fs.cli.unmounting.shutil.which", lambda name: None)
    with pytest.raises(UnsupportedError, match="install the package fuse3"):
        unmounting.unmount(mounted)


def test_a_busy_one_names_users_and_mounts_inside_up_to_a_limit(mounted, commands, monkeypatch):
    commands.error = "umount: target is busy."
    monkeypatch.setattr(unmounting, "mounts", lambda: [fake_mount(f"{mounted}/in")])
    monkeypatch.setattr(
        unmounting, "users_of", lambda path: [User(number, "sh", "root") for number in range(9)]
    )
    with pytest.raises(BusyError) as caught:
        unmounting.unmount(mounted)
    text = str(caught.value)
    assert f"{mounted}/in is mounted in it, 0 sh (root), 1 sh (root)" in text
    assert "and 2 more" in text


def test_another_failure_is_told_as_it_was(mounted, commands):
    commands.error = "umount: must be\nsuperuser"
    with pytest.raises(BusyError, match="must be; superuser"):
        unmounting.unmount(mounted)


@pytest.mark.parametrize("number", [errno.ENOTCONN, errno.ECONNABORTED])
def test_a_dead_one_is_detached(number, mounted, commands, monkeypatch):
    def dead(path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pyi_fs.cli.unmounting.os.statvfs", dead)
    assert unmounting.is_stale(mounted)
    commands.error = "no"
    with pytest.raises(BusyError, match="is dead and cannot be taken away: no"):
        unmounting.detach(mounted)
    assert {"--lazy", "-z"} & set(commands[0])


def test_a_living_place_is_not_stale(tmp_path):
    assert not unmounting.is_stale(str(tmp_path))
    assert not unmounting.is_stale(str(tmp_path / "missing"))
