"""A directory to mount on is looked at by another process, which has nothing of ours."""

import os
import subprocess
from pathlib import Path

import pytest

from pyi_fs.cli import mountpoints
from pyi_fs.cli.mountpoints import led_to, looked_at
from pyi_fs.errors import (
    BusyError,
    DirectoryNotEmptyError,
    InvalidArgumentError,
    NotADirectoryInTreeError,
    NotFoundError,
)
from tests.support.commands import run


def test_an_empty_directory_is_found_through_links_under_any_name(tmp_path: Path):
    real = tmp_path / "a b\n*\udcff"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    with looked_at(tmp_path / "link/../link") as (descriptor, path):
        assert path == real
        assert os.path.samestat(os.fstat(descriptor), real.stat())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("name", ["file", ".hidden", "..double", "-n", "*", "a b"])
def test_a_directory_with_anything_in_it_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    with pytest.raises(DirectoryNotEmptyError), looked_at(tmp_path):
        pass
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("nowhere")
    with pytest.raises(DirectoryNotEmptyError), looked_at(tmp_path):
        pass


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("relative", InvalidArgumentError),
        ("{}/missing", NotFoundError),
        ("{}/file", NotADirectoryInTreeError),
        ("{}/file/below", NotFoundError),
        ("{}/loop", NotFoundError),
        ("/proc", BusyError),
    ],
)
def test_what_is_no_mountpoint_is_refused(tmp_path: Path, path: str, error: type[Exception]):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(error), looked_at(Path(path.format(tmp_path))):
        pass


def test_who_looks_has_no_descriptor_of_ours_and_ends_with_the_look(tmp_path: Path, monkeypatch):
    """Also not one that is passed on to programs: its death would not end with ours."""
    started: list[subprocess.Popen[bytes]] = []
    really = subprocess.Popen

    def noting(*arguments, **options):
        started.append(really(*arguments, **options))
        return started[-1]

    monkeypatch.setattr("pyi_fs.cli.mountpoints.subprocess.Popen", noting)
    ours = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(ours, True)
    with looked_at(tmp_path):
        (shell,) = started
        assert sorted(os.listdir(f"/proc/{shell.pid}/fd")) == ["0", "1", "2"]
    assert shell.returncode is not None
    os.close(ours)


def test_a_look_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(mountpoints, "_LOOK_SECONDS_MAX", 0.0)
    monkeypatch.setattr(mountpoints, "_SCRIPT", "read -r end")
    with pytest.raises(BusyError, match="does not answer"), looked_at(tmp_path):
        pass


@pytest.mark.mount
def test_nothing_is_mounted_on_or_in_a_workspace(store, mountpoint, mount):
    mount("ws")
    with pytest.raises(BusyError, match="a mountpoint already"), looked_at(mountpoint):
        pass
    (mountpoint / "inside").mkdir()
    (mountpoint.parent / "link").symlink_to(mountpoint / "inside")
    with pytest.raises(InvalidArgumentError, match=f"in the mounted workspace at {mountpoint}"):
        looked_at(mountpoint.parent / "link").__enter__()
    assert led_to(mountpoint.parent / "link") == mountpoint / "inside"
    assert led_to(mountpoint / "missing") is None
    assert run("mount", "--unmount", mountpoint).code == 0
