"""`pyi-mount --beside`: what it asks for, and what it refuses before it asks."""

import errno
from pathlib import Path

import pytest

from pyi_fs import Workspace
from pyi_fs.cli.arguments import Place
from pyi_fs.cli.asking import ask
from pyi_fs.cli.mount import command
from pyi_fs.control.commands import MountCommand, mount_command
from pyi_fs.errors import InvalidArgumentError
from tests.support.commands import call, run
from tests.support.several import served

DIRECT = "--transport=direct"


@pytest.mark.mount
def test_a_new_mount_is_served_by_the_process_of_another(store, mountpoint, mount, tmp_path):
    mount("ws", DIRECT)
    (mountpoint / "f").write_text("one")
    (mountpoint / ".pyi/branch").write_text("try\n")
    for name in ("try", "fork", "then", "new"):
        (tmp_path / name).mkdir()
    told = ""
    for words in (
        ["--branch", "try", "ws", tmp_path / "try"],
        ["--from", "ws", "fork", tmp_path / "fork"],
        ["fork@1", tmp_path / "then"],
        ["new", tmp_path / "new"],
    ):
        done = run("mount", "--beside", mountpoint, *words)
        assert done.code == 0, done.errors
        assert done.output == ""
        told = done.errors
    assert "new empty workspace 'new'" in told
    found = served(store)
    assert len({one.pid for one in found.values()}) == 1
    assert {name: (one.workspace, one.branch) for name, one in found.items()} == {
        "mnt": ("ws", "main"),
        "try": ("ws", "try"),
        "fork": ("fork", "main"),
        "then": ("fork", None),
        "new": ("new", "main"),
    }
    (tmp_path / "fork/f").write_text("two")
    assert (tmp_path / "then/f").read_text() == (mountpoint / "f").read_text() == "one"


@pytest.mark.mount
def test_a_program_has_its_fork_mounted(store, mountpoint, mount, tmp_path):
    """By the Python API, whose own tests have no process that serves several."""
    mount("ws", DIRECT)
    (mountpoint / "f").write_text("one")
    (mountpoint / ".pyi/fork").write_text("other\n")
    for name in ("m", "then"):
        (tmp_path / name).mkdir()
    with Workspace.open("other") as other:
        with pytest.raises(OSError, match="in use: python") as caught:
            Workspace.mount("other", tmp_path / "m", beside=mountpoint)
        assert caught.value.errno == errno.EBUSY
        other.write("g", b"two")
        kept = other.snapshot("kept")
    assert Workspace.mount("other", tmp_path / "m", beside=mountpoint) == tmp_path / "m"
    assert (tmp_path / "m/g").read_text() == "two"
    Workspace.mount("other", tmp_path / "then", beside=tmp_path / "m", snapshot=kept.id)
    assert (tmp_path / "then/f").read_text() == "one"


@pytest.mark.mount
def test_what_the_process_refuses_is_one_line(store, mountpoint, mount, tmp_path):
    mount("ws", DIRECT)
    (tmp_path / "m").mkdir()
    (mountpoint / "inside").mkdir()

    def said(*words: object) -> str:
        done = run("mount", "--beside", mountpoint, *words)
        assert (done.code, done.output) == (1, "")
        assert done.errors.count("\n") == 1
        return done.errors

    assert f"'main' of 'ws' is in use: {mountpoint}" in said("ws", tmp_path / "m")
    assert "no branch 'nosuch'" in said("--branch", "nosuch", "ws", tmp_path / "m")
    assert "no workspace 'nosuch'" in said("--must-exist", "nosuch", tmp_path / "m")
    assert "lies in the mounted workspace" in said("ws@1", mountpoint / "inside")
    assert "a mountpoint already" in said("ws@1", mountpoint)
    other = tmp_path / "elsewhere"
    assert f"is of the store {store}" in said("--store", other, "ws@1", tmp_path / "m")


def test_what_is_no_mount_of_ours_cannot_be_asked(tmp_path: Path):
    def said(beside: object) -> str:
        done = call(command, "--store", tmp_path / "store", "--beside", beside, "ws", tmp_path)
        assert done.code == 1
        return done.errors

    assert "nothing is mounted" in said(tmp_path)
    assert "is a mount of type proc" in said("/proc")


def test_a_newline_at_the_end_of_a_mountpoint_belongs_to_it(tmp_path: Path):
    """As do blanks. What is asked is an ordinary file here, which keeps what is written."""
    (tmp_path / ".pyi").mkdir()
    control = tmp_path / ".pyi" / "mount"
    control.touch()
    ask(tmp_path, Place("ws", None), None, Path("/a \n"))
    assert mount_command(control.read_bytes()) == MountCommand("ws", None, None, b"/a \n")


@pytest.mark.parametrize("name", ["", "try /tmp/other", "\udcff"])
def test_what_is_no_name_of_a_branch_is_not_asked_for(tmp_path: Path, name: str):
    with pytest.raises(InvalidArgumentError, match="not a name"):
        ask(tmp_path, Place("ws", None), name, Path("/a"))


@pytest.mark.parametrize(
    "option",
    ["--writeback", "--read-only", "--over", "--no-holder", "--foreground", "--spin-us=5"],
)
def test_options_of_another_process_are_refused(tmp_path: Path, option: str):
    done = call(command, "--beside", tmp_path, option, "ws", tmp_path)
    assert done.code == 2
    assert f"--beside excludes {option.partition('=')[0]}:" in done.errors


def test_an_empty_variable_is_no_mountpoint(tmp_path: Path):
    assert call(command, "--beside", "", "ws", tmp_path).code == 2
