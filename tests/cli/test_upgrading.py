"""Another server for a live mount, and what says that there cannot be one."""

import re
from pathlib import Path

import pytest

from pyi_fs.fuse.device import kernel_release
from tests.support.commands import run

RESENDS = pytest.mark.skipif(kernel_release() < (6, 9), reason="this kernel does not resend")


def has_ended(pid: int) -> bool:
    """Returns whether a process runs no more, waited for by its parent or not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return text.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.mount
@RESENDS
def test_a_mount_in_use_gets_another_server(store, mountpoint, mount):
    mount("ws")
    (mountpoint / "f").write_text("before")
    with (mountpoint / "f").open("r+") as file:
        done = run("mount", "--upgrade", mountpoint)
        assert done.code == 0, done.errors
        match = re.fullmatch(r"(.+): (\S+) to (\S+), process (\d+) to (\d+)\n", done.output)
        assert match is not None
        assert match[1] == str(mountpoint)
        assert match[4] != match[5]
        assert has_ended(int(match[4]))
        assert file.read() == "before"
        file.write(" and after")
    assert (mountpoint / "f").read_text() == "before and after"
    assert run("mount", "--unmount", mountpoint).code == 0
    assert run("fsck", "--store", store).code == 0


@pytest.mark.mount
@pytest.mark.slow
@RESENDS
def test_a_mount_that_nobody_asks_is_upgraded_any_number_of_times(mountpoint, mount):
    """More often than servers that answer nothing are tried: these were asked nothing."""
    mount("ws")
    for _ in range(10):
        done = run("mount", "--upgrade", mountpoint)
        assert done.code == 0, done.errors
    assert run("mount", "--unmount", mountpoint).code == 0


@pytest.mark.mount
@pytest.mark.parametrize("options", [["--no-holder"], ["--transport=pyfuse3"]])
def test_a_mount_without_a_holder_is_refused(mountpoint, mount, options):
    mount("ws", *options)
    done = run("mount", "--upgrade", mountpoint)
    assert (done.code, done.output) == (1, "")
    assert "it has no holder: mount it anew" in done.errors
    assert (mountpoint / ".pyi/status").read_text()


def test_what_is_no_mount_of_ours_is_refused(tmp_path):
    assert "nothing is mounted" in run("mount", "--upgrade", tmp_path).errors
    assert "is a mount of type proc" in run("mount", "--upgrade", "/proc").errors
    assert run("mount", "--upgrade", "").code == 2
