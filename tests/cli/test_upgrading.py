"""Another server for a live mount, and what says that there cannot be one."""

import os
import re
import select
import shutil
import signal
from contextlib import closing
from pathlib import Path

import pytest

from pyi_fs.cli.live_mounts import live_mounts
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import BusyError
from pyi_fs.fuse.device import kernel_release
from pyi_fs.ids import WorkspaceName
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.commands import ROOT, environment, run
from tests.support.several import end, served

RESENDS = pytest.mark.skipif(kernel_release() < (6, 9), reason="this kernel does not resend")


def has_ended(pid: int) -> bool:
    """Returns whether a process runs no more, waited for by its parent or not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return text.rpartition(")")[2].split()[0] == "Z"


def parent_of(pid: int) -> int:
    """Returns the process that started another one: of a successor, its holder."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def holder_of(pid: int) -> int:
    """Returns the shell that a first server has started and that is there."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (holder,) = (
        int(child)
        for child in children
        if b"pyi-holder" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    return holder


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
@RESENDS
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise ImportError('half of it is installed')", "half of it is installed"),
        ("import os; print('notes 99'); os._exit(0)", "notes other things"),
    ],
)
def test_a_program_that_could_not_go_on_is_not_changed_to(
    tmp_path, store, mountpoint, program, reason
):
    path = f"{tmp_path / 'new'}:{ROOT}"
    assert run("mount", "ws", mountpoint, env={**environment(), "PYTHONPATH": path}).code == 0
    broken = tmp_path / "new/pyi_fs/__init__.py"
    broken.parent.mkdir(parents=True)
    broken.write_text(program)
    for _ in range(2):
        done = run("mount", "--upgrade", mountpoint)
        assert (done.code, done.output) == (1, "")
        assert f"{mountpoint} stays as it is: the program installed now" in done.errors
        assert reason in done.errors
        (mountpoint / "f").write_text("written")
    shutil.rmtree(broken.parent)
    assert run("mount", "--upgrade", mountpoint).code == 0
    assert (mountpoint / "f").read_text() == "written"
    assert run("mount", "--unmount", mountpoint).code == 0


@pytest.mark.mount
@RESENDS
def test_a_mounted_snapshot_is_shown_on_although_it_was_deleted(store, mountpoint, mount):
    mount("ws")
    (mountpoint / "f").write_text("kept")
    (mountpoint / ".pyi/snapshot").write_text("s\n")
    assert run("mount", "--unmount", mountpoint).code == 0
    mount("ws@s")
    with (
        closing(Store.open(store)) as opened,
        closing(Workspace(opened, WorkspaceName("ws"))) as workspace,
        (mountpoint / "f").open() as file,
    ):
        workspace.delete_snapshot("s")
        for _ in range(2):
            done = run("mount", "--upgrade", mountpoint)
            assert done.code == 0, done.errors
            assert (mountpoint / "f").read_text() == "kept"
        assert file.read() == "kept"
    assert run("mount", "--unmount", mountpoint).code == 0


@pytest.mark.mount
@RESENDS
def test_nobody_takes_a_branch_while_no_server_can_start(tmp_path, store, mountpoint):
    """Neither the one that was at the root first, nor the one that is now, nor one only below."""
    path = f"{tmp_path / 'new'}:{ROOT}"
    assert run("mount", "ws", mountpoint, env={**environment(), "PYTHONPATH": path}).code == 0
    branches = mountpoint / ".pyi/branches"
    for name in ("side", "other"):
        (branches / name).mkdir()
    (mountpoint / ".pyi/head").write_text("side\n")
    with (branches / "other/f").open("w") as below, (branches / "main/f").open("w") as before:
        broken = tmp_path / "new/pyi_fs/__init__.py"
        broken.parent.mkdir(parents=True)
        broken.write_text("raise SystemExit(1)")
        (served,) = live_mounts(DirectoryStorage(store))
        process = os.pidfd_open(served.pid)
        signal.pidfd_send_signal(process, signal.SIGKILL)
        select.select([process], [], [])
        os.close(process)
        with (
            closing(Store.open(store)) as opened,
            closing(Workspace(opened, WorkspaceName("ws"))) as workspace,
        ):
            for name in ("main", "side", "other"):
                with pytest.raises(BusyError):
                    workspace.open_branch(name)
        shutil.rmtree(broken.parent)
        for file in (below, before):
            file.write("written")
    assert (branches / "other/f").read_text() == (branches / "main/f").read_text() == "written"
    assert run("mount", "--unmount", mountpoint).code == 0


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


@pytest.mark.mount
@pytest.mark.slow
@RESENDS
@pytest.mark.parametrize("is_first", [True, False])
def test_a_mount_whose_holder_is_dead_stays_as_it_is(store, mountpoint, mount, is_first):
    """Making room for the next server would be its end."""
    mount("ws", "--transport=direct")
    if not is_first:
        assert run("mount", "--upgrade", mountpoint).code == 0
    (server,) = served(store).values()
    end(holder_of(server.pid) if is_first else parent_of(server.pid))
    done = run("mount", "--upgrade", mountpoint)
    assert (done.code, done.output) == (1, "")
    assert "has no holder (any more)" in done.errors
    assert [one.pid for one in served(store).values()] == [server.pid]
    (mountpoint / "f").write_text("goes on")
    assert run("mount", "--unmount", mountpoint).code == 0


def test_what_is_no_mount_of_ours_is_refused(tmp_path):
    assert "nothing is mounted" in run("mount", "--upgrade", tmp_path).errors
    assert "is a mount of type proc" in run("mount", "--upgrade", "/proc").errors
    assert run("mount", "--upgrade", "").code == 2
