"""What a process is asked through `.pyi/mount`: who may, what it then serves, what it refuses."""

import contextvars
import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyi_fs.cli import beside as module
from pyi_fs.cli.beside import Asked
from pyi_fs.control import ioctls
from pyi_fs.control.beside import THREAD, UID
from pyi_fs.control.commands import MountCommand
from pyi_fs.errors import AccessDeniedError, BusyError
from tests.support.commands import run
from tests.support.several import command, refusal, serve_beside, served, status

pytestmark = [pytest.mark.mount]
DIRECT = "--transport=direct"


@pytest.fixture
def first(store, mountpoint: Path, mount) -> Path:
    """Gives a mount of `ws` with a file, a snapshot `s`, a branch `try` and a fork `other`."""
    mount("ws", DIRECT)
    (mountpoint / "f").write_text("one")
    command(mountpoint, "snapshot", "s\n")
    command(mountpoint, "branch", "try\n")
    command(mountpoint, "fork", "other\n")
    (mountpoint / "f").write_text("two")
    return mountpoint


def refused(mount: Path, what: str, at: Path | str, number: int) -> str:
    """Returns the sentence of a refusal, whose errno it checks."""
    with pytest.raises(OSError, match=r"\w") as caught:
        command(mount, "mount", f"{what} {at}\n")
    assert caught.value.errno == number, refusal(mount)
    return refusal(mount)


def test_branches_snapshots_and_forks_are_served_by_one_process(store, first, tmp_path):
    places = {"try": "try", "@s": "at", "other/": "other", "other@1": "then", "ws@s": "again"}
    for what, name in places.items():
        serve_beside(first, what, tmp_path / name)
    for name in places.values():
        assert (tmp_path / name / "f").read_text() == "one"
    assert len({mount.pid for mount in served(store).values()}) == 1
    for name in ("try", "other"):
        (tmp_path / name / "f").write_text(name)
        assert status(tmp_path / name)["mountpoint"] == str(tmp_path / name)
    for name in ("at", "then"):
        with pytest.raises(OSError, match="Read-only"):
            (tmp_path / name / "f").write_text("x")
    assert (first / "f").read_text() == "two"
    lines = (tmp_path / "other/.pyi/mount").read_text().splitlines()
    shown = dict(line.split("\t")[::-1] for line in lines)
    assert shown == {
        str(first): "ws/main",
        str(tmp_path / "try"): "ws/try",
        str(tmp_path / "at"): "ws@s",
        str(tmp_path / "other"): "other/main",
        str(tmp_path / "then"): "other@1",
        str(tmp_path / "again"): "ws@s",
    }
    for name in (*places.values(), first.name):
        done = run("mount", "--unmount", tmp_path / name)
        assert done.code == 0, done.errors
    assert run("fsck", "--store", store).code == 0


def test_a_branch_is_one_mounts_alone(store, first, tmp_path):
    """As between two processes: read-only below `branches/`, busy for every command."""
    serve_beside(first, "try", tmp_path / "try")
    with pytest.raises(OSError, match="Read-only"):
        (first / ".pyi/branches/try/f").write_text("x")
    (tmp_path / "two").mkdir()
    assert f"in use: {tmp_path / 'try'}" in refused(first, "try", tmp_path / "two", errno.EBUSY)
    assert f"in use: {first}" in refused(tmp_path / "try", "main", tmp_path / "two", errno.EBUSY)
    with pytest.raises(OSError, match="busy"):
        command(first, "head", "try\n")
    assert list((tmp_path / "two").iterdir()) == []
    assert run("mount", "--unmount", tmp_path / "try").code == 0
    serve_beside(first, "try", tmp_path / "two")


def test_what_cannot_be_mounted_is_refused_and_nothing_is_left(store, first, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()
    (tmp_path / "free").mkdir()
    (first / "inside").mkdir()
    before = served(store)
    for what, at, number in (
        ("try", "free", errno.EINVAL),
        ("try", tmp_path / "missing", errno.ENOENT),
        ("try", tmp_path / "full", errno.ENOTEMPTY),
        ("try", tmp_path / "full/x", errno.ENOTDIR),
        ("try", first, errno.EBUSY),
        ("try", first / "inside", errno.EINVAL),
        ("nosuch", tmp_path / "free", errno.ENOENT),
        ("@nosuch", tmp_path / "free", errno.ENOENT),
        ("nosuch/", tmp_path / "free", errno.ENOENT),
        ("other/nosuch", tmp_path / "free", errno.ENOENT),
    ):
        assert refused(first, what, at, number)
    assert served(store) == before
    serve_beside(first, "try", tmp_path / "free")


def test_any_open_file_takes_the_command(first, tmp_path):
    (tmp_path / "try").mkdir()
    array = bytearray(f"try {tmp_path / 'try'}".encode().ljust(1024, b"\0"))
    with (first / "f").open() as file:
        fcntl.ioctl(file, ioctls.MOUNT, array)
    assert array.rstrip(b"\0") == f"{tmp_path / 'try'}\n".encode()
    assert (tmp_path / "try/f").read_text() == "one"


def test_pyfuse3_serves_one_mount(store, mountpoint, mount, tmp_path):
    mount("ws", "--transport=pyfuse3")
    (tmp_path / "m").mkdir()
    assert "pyfuse3 serves one mount" in refused(
        mountpoint, "main", tmp_path / "m", errno.EOPNOTSUPP
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the tree of mounts")
@pytest.mark.parametrize("into", [["unshare", "--mount"], ["chroot", "/"]])
def test_who_sees_other_mounts_is_refused(first, tmp_path, into):
    (tmp_path / "try").mkdir()
    words = ["sh", "-c", f"echo try {tmp_path / 'try'} > {first}/.pyi/mount"]
    done = subprocess.run([*into, *words], capture_output=True, text=True, check=False)
    if into[0] == "chroot":
        # To the same directory: the same tree.
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode != 0
        assert "is seen otherwise" in refusal(first)


def asked(command: MountCommand, *, uid: int, thread: int, live: int = 1) -> bytes:
    """Asks as a user and a thread."""

    class One:
        class options:  # noqa: N801 - an attribute
            transport = "direct"

    def serve() -> bytes:
        UID.set(uid)
        THREAD.set(thread)
        return Asked(One(), [One()] * live, lambda *_: None).serve(command)  # type: ignore[arg-type,list-item]

    return contextvars.copy_context().run(serve)


def test_only_the_user_of_the_process_may_ask_and_only_from_the_same_tree(monkeypatch):
    wanted, own = MountCommand(None, "try", None, b"/nowhere"), os.getpid()
    for uid in (os.geteuid() + 1, -1):
        with pytest.raises(AccessDeniedError, match="the rights of user"):
            asked(wanted, uid=uid, thread=own)
    for thread in (0, -1, 1 << 30):
        with pytest.raises(AccessDeniedError, match="seen otherwise"):
            asked(wanted, uid=os.geteuid(), thread=thread)
    with pytest.raises(BusyError, match="serves 32 mounts"):
        asked(wanted, uid=os.geteuid(), thread=own, live=32)
    monkeypatch.setattr("pyi_fs.cli.beside.os.geteuid", lambda: 1000)
    with pytest.raises(AccessDeniedError, match="the rights of user 1000"):
        asked(wanted, uid=0, thread=own)


@pytest.mark.skipif(os.geteuid() != 0, reason="a directory as root")
def test_another_root_directory_is_another_tree(tmp_path):
    jail = tmp_path / "jail"
    jail.mkdir()
    program = f"import os, sys; os.chroot({str(jail)!r}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not module._sees_the_same(process.pid)  # noqa: SLF001
        assert module._sees_the_same(os.getpid())  # noqa: SLF001
        process.kill()
