"""What a mount with the writeback cache holds back is in a fork; a mount that is stuck is told."""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyi_fs.cli import flushing, fork, workspaces
from pyi_fs.cli.live_mounts import live_mounts
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import WorkspaceName
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.disks.test_full_mount import fill, small_disk
from tests.support.commands import PATIENCE_SECONDS, Done, call, program, run, run_command

__all__ = ["small_disk"]

pytestmark = [pytest.mark.mount, pytest.mark.slow]

DATA = b"%04d" * 500 % tuple(range(500))


@contextmanager
def held_open(path: Path, data: bytes = DATA) -> Iterator[int]:
    """Gives a descriptor of a file that was written and not closed."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)


def content(store: Path, workspace: str, name: bytes, *, branch: str = "main") -> bytes:
    """Returns a file of a workspace that nobody has mounted."""
    opened = Store.open(store)
    found = Workspace(opened, WorkspaceName(workspace))
    try:
        tree = found.open_branch(branch)
        number = tree.tree.resolve(name)
        return tree.read(number, 0, 1 << 20)
    finally:
        found.close()
        opened.close()


def pyi_fork(*arguments: object) -> Done:
    return call(fork.command, *arguments, name="pyi-fork")


@pytest.mark.parametrize("words", [["--writeback"], []], ids=["writeback", "write-through"])
def test_a_fork_has_what_was_written_and_not_closed(words, store, mount, mountpoint, tmp_path):
    """By `pyi-fork` and by `--from`; of the root's branch, and of another one that it serves."""
    mount("ws", *words)
    with held_open(mountpoint / "f"):
        assert pyi_fork("ws", "one") == Done(0, "", "pyi-fork: new workspace 'one', a fork of ws\n")
        assert content(store, "one", b"f") == DATA
        (mountpoint / ".pyi" / "branch").write_text("side")
        side = mountpoint / ".pyi" / "branches" / "side"
        with held_open(side / "g", DATA[::-1]):
            assert pyi_fork("ws@side", "two").code == 0
            assert content(store, "two", b"g") == DATA[::-1]
        mount("three", "--from", "ws", at=tmp_path / "third")
        assert (tmp_path / "third" / "f").read_bytes() == DATA


def test_a_fork_is_refused_while_the_disk_does_not_take_what_was_written(
    mountpoint, small_disk, monkeypatch
):
    """Not made with a file that is cut off; it is when there is room, and it was written again."""
    store = small_disk / "store"
    monkeypatch.setenv("PYI_STORE", str(store))
    assert run("mount", "--writeback", "ws", mountpoint).code == 0
    ballast = fill(small_disk)
    with held_open(mountpoint / "f", bytes(1 << 20)) as held:
        done = pyi_fork("ws", "one")
        assert (done.code, done.errors.count("\n")) == (1, 1)
        assert (
            "which could not write all of it out (No space left on device): name a" in done.errors
        )
        ballast.unlink()
        assert not workspaces.exists(store, "one")
        os.pwrite(held, DATA, 0)
        assert pyi_fork("ws", "one").code == 0
        assert content(store, "one", b"f")[: len(DATA)] == DATA
    assert run("mount", "--unmount", mountpoint).code == 0


def test_a_mount_that_does_not_answer_is_refused_in_one_line(store, mount, mountpoint, monkeypatch):
    """A stopped one; a fork of a snapshot needs nobody, and what was waited with is not left."""
    mount("ws", "--writeback")
    snapshot = (mountpoint / ".pyi" / "snapshot").read_text().split()[0]
    (live,) = live_mounts(DirectoryStorage(store))
    monkeypatch.setattr(flushing, "FLUSH_SECONDS_MAX", 0.2)
    with held_open(mountpoint / "f"):
        os.kill(live.pid, signal.SIGSTOP)
        try:
            done = pyi_fork("ws", "one")
            assert (done.code, done.errors.count("\n")) == (1, 1)
            assert f"mounted with --writeback at {mountpoint}" in done.errors
            assert "did not answer within 0.2 s: name a snapshot of it" in done.errors
            assert pyi_fork(f"ws@{snapshot}", "two").code == 0
        finally:
            os.kill(live.pid, signal.SIGCONT)
    assert workspaces.names(store) == ["two", "ws"]


def test_a_dead_mount_holds_nothing_back_that_could_be_had(store, mount, mountpoint):
    """It is not waited for; what it had is forked."""
    mount("ws", "--writeback")
    (mountpoint / "closed").write_bytes(DATA)
    (live,) = live_mounts(DirectoryStorage(store))
    process = os.pidfd_open(live.pid)
    signal.pidfd_send_signal(process, signal.SIGKILL)
    assert select.select([process], [], [], PATIENCE_SECONDS)[0]
    os.close(process)
    assert pyi_fork("ws", "one").code == 0
    assert content(store, "one", b"closed") == DATA


def test_a_mount_in_another_namespace_is_asked_by_way_of_its_process(store, tmp_path):
    """Its mountpoint is an empty directory here."""
    script = (
        "pyi mount --writeback ws $D/mnt; exec 3>$D/mnt/f; printf written >&3\n"
        'nsenter --mount=/proc/$PARENT/ns/mnt "$@" fork ws one; echo "code $?"\n'
        "exec 3>&-; pyi mount --unmount $D/mnt; pyi mount one $D/mnt; cat $D/mnt/f\n"
        "pyi mount --unmount $D/mnt\n"
    )
    (tmp_path / "mnt").mkdir()
    prologue = f'D={tmp_path}; PARENT={os.getpid()}; pyi() {{ "$@"; }}\n'
    words = ["unshare", "--mount", "sh", "-c"]
    command = program()
    body = prologue.replace('"$@";', " ".join(command) + ' "$@";') + script
    done = run_command([*words, body, "sh", *command])
    assert done.output == "code 0\nwritten", done.errors


def test_what_was_just_unmounted_is_waited_for(store, mount, mountpoint):
    """`umount` returns before the process has ended; a fork then is no error."""
    for number in range(5):
        mount("ws", "--writeback")
        (mountpoint / f"f{number}").write_bytes(DATA)
        run_command(["umount", str(mountpoint)])
        assert run("fork", "ws", f"fork{number}").code == 0
        assert content(store, f"fork{number}", b"f%d" % number) == DATA
