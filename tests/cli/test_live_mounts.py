"""The list of mounts that are served: true after a crash, too."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyi_fs.cli.live_mounts import announcement, live_mounts, wait_for_end
from pyi_fs.store.directory_storage import DirectoryStorage
from tests.support.commands import ROOT, environment

ANNOUNCE = """
import sys
from pyi_fs.cli.live_mounts import announcement
from pyi_fs.store.directory_storage import DirectoryStorage
with announcement(DirectoryStorage(sys.argv[1])) as announce:
    announce("ws", "main", None, "/mnt/x", False)
    print("announced", flush=True)
    sys.stdin.read()
"""


def announcing(path: Path, program: str = ANNOUNCE) -> "subprocess.Popen[bytes]":
    """Starts a process that announces a mount until its input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.fixture
def storage(tmp_path):
    return DirectoryStorage(tmp_path)


@pytest.fixture
def other(tmp_path):
    with announcing(tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"announced\n"
        yield process
        process.kill()


def test_a_mount_is_listed_while_it_is_served(storage):
    with announcement(storage) as announce:
        assert live_mounts(storage) == []
        announce("ws", None, "3-abc", "/mnt/y", True)
        (mount,) = live_mounts(storage)
        assert (mount.pid, mount.workspace, mount.branch) == (os.getpid(), "ws", None)
        assert (mount.at, mount.mountpoint, mount.read_only) == ("3-abc", "/mnt/y", True)
    assert live_mounts(storage) == []
    assert storage.list("mounts") == []


def test_a_killed_process_serves_nothing(storage, other):
    assert [mount.pid for mount in live_mounts(storage)] == [other.pid]
    other.kill()
    other.wait()
    assert live_mounts(storage) == []
    assert storage.list("mounts") == []


def test_waiting_ends_when_the_process_has(storage, other):
    for mount in (("/mnt/other", "ws", None), ("/mnt/x", "ws2", None), ("/mnt/x", "ws", "1-a")):
        wait_for_end(storage, *mount)
    assert other.poll() is None
    assert other.stdin is not None
    other.stdin.close()
    wait_for_end(storage, "/mnt/x", "ws", None)
    assert live_mounts(storage) == []
    # Where it had taken its file away by then, what is left of it is Python's own end.
    assert other.wait(timeout=60) == 0


def test_waiting_goes_on_with_the_next_server_of_one_that_died(tmp_path, storage, monkeypatch):
    """Its holder, here we, keeps the lock of its branch until that has ended, too."""
    storage.make_directory("workspaces/ws/locks", parents=True)
    lock = storage.lock("workspaces/ws/locks/main")
    with announcing(tmp_path) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"announced\n"
        lock.write_text(json.dumps({"pid": first.pid, "holder": "/mnt/x"}))
        first.kill()
        first.wait()
    ended = []

    def next_one(_: float) -> None:
        with announcing(tmp_path) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == b"announced\n"
        ended.append(second.returncode)
        lock.release()

    with monkeypatch.context() as patch:
        patch.setattr("pyi_fs.cli.live_mounts.time", SimpleNamespace(sleep=next_one))
        wait_for_end(storage, "/mnt/x", "ws", None)
    assert ended == [0]


def test_a_process_that_dies_with_several_has_not_ended_with_the_first(storage, monkeypatch):
    """The kernel gives up what it has open one by one: its other mounts may still be listed."""
    storage.make_directory("workspaces/ws/locks", parents=True)
    lock = storage.lock("workspaces/ws/locks/main")
    lock.write_text(json.dumps({"pid": os.getpid(), "holder": "/mnt/x"}))
    released = []

    def release(_: float) -> None:
        released.append(lock.release())

    with announcement(storage) as announce, monkeypatch.context() as patch:
        announce("ws", "try", None, "/mnt/y", False)
        patch.setattr("pyi_fs.cli.live_mounts.time", SimpleNamespace(sleep=release))
        wait_for_end(storage, "/mnt/x", "ws", None)
    assert len(released) == 1


@pytest.mark.parametrize("whose", ["another place", "below"])
def test_what_others_hold_is_not_waited_for(storage, whose):
    """A mount of the same workspace elsewhere, or one at the same place that is served."""
    storage.make_directory("workspaces/ws/locks", parents=True)
    lock = storage.lock("workspaces/ws/locks/main")
    where = "/mnt/y" if whose == "another place" else "/mnt/x"
    lock.write_text(json.dumps({"pid": os.getpid(), "holder": where}))
    with announcement(storage) as announce:
        announce("ws", "main", None, where, False)
        wait_for_end(storage, "/mnt/x", "ws", "1-abc")
    lock.release()


def test_on_a_disk_that_became_read_only_the_same_is_told(storage, other, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with announcement(storage) as announce:
        announce("ws", "try", None, "/mnt/y", False)
        monkeypatch.setattr(DirectoryStorage, "lock", refused)
        monkeypatch.setattr(DirectoryStorage, "remove", refused)
        assert [mount.pid for mount in live_mounts(storage)] == [other.pid, os.getpid()]
        other.kill()
        wait_for_end(storage, "/mnt/x", "ws", None)
        assert [mount.pid for mount in live_mounts(storage)] == [os.getpid()]
    # Its file is there, and nobody holds it.
    assert live_mounts(storage) == []


def test_a_file_that_is_not_ours_is_passed_over(storage):
    storage.make_directory("mounts", parents=True)
    lock = storage.lock("mounts/1-bad")
    assert lock is not None
    lock.write_text('{"pid": 1}')
    assert live_mounts(storage) == []
    lock.release()


SEVERAL = """
import sys
from pyi_fs.cli.live_mounts import announcement
from pyi_fs.store.directory_storage import DirectoryStorage
storage = DirectoryStorage(sys.argv[1])
with announcement(storage) as first:
    with announcement(storage) as second:
        first("ws", "main", None, "/mnt/x", False)
        second("ws", "try", None, "/mnt/y", False)
        print("announced", flush=True)
        sys.stdin.readline()
    sys.stdin.read()
"""


def test_the_end_of_a_mount_is_not_that_of_a_process_that_serves_others(storage, tmp_path):
    """It would be waited for in vain: here until the pipe is closed, which is afterwards."""
    with announcing(tmp_path, SEVERAL) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"announced\n"
        assert [one.mountpoint for one in live_mounts(storage)] == ["/mnt/x", "/mnt/y"]
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_for_end(storage, "/mnt/y", "ws", None)
        assert process.poll() is None
        assert [one.mountpoint for one in live_mounts(storage)] == ["/mnt/x"]
        process.stdin.close()
        wait_for_end(storage, "/mnt/x", "ws", None)
