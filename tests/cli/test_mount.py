"""`pyi-mount`: arguments and refusals; real mounts, from making them to their end."""

import json
import os
import select
import signal
import subprocess
from pathlib import Path

import pytest

from pyi_fs.cli import workspaces
from pyi_fs.cli.log_file import log_path
from pyi_fs.cli.mount import command
from pyi_fs.cli.mountinfo import mount_at
from tests.support.commands import (
    PATIENCE_SECONDS,
    Done,
    call,
    environment,
    program,
    run,
    run_command,
)


def a_mount(function):
    """Marks a test that mounts, which takes its time."""
    return pytest.mark.mount(pytest.mark.slow(function))


def pyi_mount(*arguments: object) -> Done:
    return call(command, *arguments, name="pyi-mount")


def server_of(store: Path, mountpoint: Path) -> int:
    """Returns the process that serves a mount."""
    (entry,) = (store / "mounts").iterdir()
    found = json.loads(entry.read_text())
    assert found["mountpoint"] == str(mountpoint)
    return int(found["pid"])


def is_running(pid: int) -> bool:
    """Returns whether a process is more than an entry that its parent has not collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def took_no_harm(store: Path, mountpoint: Path) -> None:
    """Asserts that a refused mount mounted nothing and made no workspace."""
    assert mount_at(str(mountpoint)) is None
    assert workspaces.names(store) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "WORKSPACE and MOUNTPOINT are needed"),
        (["ws"], "are needed"),
        (["ws", ""], "the mountpoint is empty"),
        (["--unmount", ""], "the mountpoint is empty"),
        (["--unmount", "m", "ws"], "one mountpoint, not also 'ws'"),
        (["ws@", "MNT"], "not WORKSPACE"),
        (["./ws", "MNT"], "is a path"),
        (["ws@1", "MNT", "--branch", "dev"], "excludes --branch"),
        (["ws@1", "MNT", "--from", "./x"], "excludes"),
        (["ws", "MNT", "--from", ".", "--branch", "dev"], "only the branch 'main'"),
        (["ws", "MNT", "--snapshot-every", "soon"], "no duration"),
        (["ws", "MNT", "--control-uid", "-1"], "control-uid"),
        (["ws", "MNT", "--spin-us", "1s"], "spin-us"),
    ],
)
def test_wrong_usage_is_code_2(arguments, words, store, mountpoint):
    done = pyi_mount(*[mountpoint if word == "MNT" else word for word in arguments])
    assert (done.code, done.errors.count("\n")) == (2, 1)
    assert words in done.errors
    took_no_harm(store, mountpoint)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--must-exist", "ws"], "no workspace 'ws'"),
        (["ws@1"], "no workspace 'ws'"),
        (["--branch", "dev", "ws"], "no workspace 'ws'"),
        (["9ws"], "not a name"),
        (["--from", "./missing", "ws"], "No such file"),
        (["--from", "other", "ws"], "no workspace 'other'"),
        (["--flag", "frob", "ws"], "frob"),
    ],
)
@a_mount
def test_a_refusal_is_code_1_and_makes_nothing(arguments, words, store, mountpoint):
    done = pyi_mount(*arguments, mountpoint)
    assert (done.code, done.errors.count("\n")) == (1, 1)
    assert words in done.errors
    took_no_harm(store, mountpoint)


@a_mount
def test_a_mountpoint_must_be_an_empty_directory(store, mountpoint, tmp_path):
    (mountpoint / "f").touch()
    for path, words in [
        (mountpoint, "not empty"),
        (mountpoint / "f", "Not a directory"),
        (tmp_path / "missing", "mkdir"),
    ]:
        done = pyi_mount("ws", path)
        assert (done.code, done.errors.count("\n")) == (1, 1)
        assert words in done.errors
    took_no_harm(store, mountpoint)


@a_mount
def test_check_says_when_nothing_is_missing(store, monkeypatch, tmp_path):
    assert pyi_mount("--check") == Done(0, "nothing is missing\n", "")
    monkeypatch.setattr("pyi_fs.cli.checks.DEVICE", tmp_path / "fuse")
    done = pyi_mount("--check")
    assert done.code == 1
    assert "is missing: run `modprobe fuse`" in done.output


def test_what_is_missing_is_said_before_anything_is_made(store, mountpoint, monkeypatch, tmp_path):
    monkeypatch.setattr("pyi_fs.cli.checks.DEVICE", tmp_path / "fuse")
    done = pyi_mount("ws", mountpoint)
    assert done.code == 1
    assert "modprobe" in done.errors
    took_no_harm(store, mountpoint)


@a_mount
def test_a_relative_mountpoint_is_named_in_full(store, mountpoint):
    """In what ps shows of the process, which stands in `/`."""
    done = run("mount", "--must-exist", "ws", mountpoint.name, cwd=mountpoint.parent)
    assert done.code == 1
    done = run("mount", "ws", mountpoint.name, cwd=mountpoint.parent)
    assert done.code == 0, done.errors
    words = Path(f"/proc/{server_of(store, mountpoint)}/cmdline").read_bytes().rstrip(b"\0")
    assert words.decode() == f"pyi-mount ws {mountpoint}"


@a_mount
def test_a_mount_goes_to_the_background_and_answers_at_once(store, mountpoint, mount):
    done = mount("ws")
    assert done.errors == "pyi-mount: new empty workspace 'ws'\n"
    (mountpoint / "f").write_text("hello")
    assert (mountpoint / "f").read_text() == "hello"

    pid = server_of(store, mountpoint)
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    assert b"ws" in words
    assert os.fsencode(mountpoint) in words
    assert os.getsid(pid) == pid
    streams = [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]
    assert streams == ["/dev/null", "/dev/null", str(log_path(store, "ws", "main"))]

    found = mount_at(str(mountpoint))
    assert found is not None
    assert (found.type, found.source) == ("fuse.pyi", f"{store}#ws")
    shown = run_command(["findmnt", "-no", "SOURCE,FSTYPE", str(mountpoint)])
    assert shown.output.split() == [f"{store}#ws", "fuse.pyi"]


@a_mount
def test_unmounting_waits_for_the_process_and_all_is_there_again(store, mountpoint, mount):
    mount("ws")
    (mountpoint / "f").write_text("kept")
    pid = server_of(store, mountpoint)
    assert run("mount", "--unmount", mountpoint) == Done(0, "", "")
    assert not is_running(pid)
    assert os.listdir(mountpoint) == []
    assert mount("ws").errors == ""
    assert (mountpoint / "f").read_text() == "kept"
    # The way back: one of the start, one of what changed before this mount.
    assert len(os.listdir(mountpoint / ".pyi" / "snapshots")) == 2


@a_mount
def test_a_link_to_the_mountpoint_will_do(store, mountpoint, mount, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(mountpoint)
    mount("ws", at=link)
    done = run("mount", "ws2", link)
    assert (done.code, f"{mountpoint} is a mountpoint already" in done.errors) == (1, True)
    assert run("mount", "--unmount", link) == Done(0, "", "")
    assert mount_at(str(mountpoint)) is None


@a_mount
def test_umount_ends_it_too(store, mountpoint, mount):
    mount("ws")
    (mountpoint / "f").write_text("kept")
    pid = server_of(store, mountpoint)
    watched = os.pidfd_open(pid)
    subprocess.run(["umount", mountpoint], check=True)
    ended = select.select([watched], [], [], PATIENCE_SECONDS)[0]
    os.close(watched)
    assert ended
    mount("ws")
    assert (mountpoint / "f").read_text() == "kept"


@a_mount
def test_a_stopped_process_is_named_and_not_waited_for(store, mountpoint, mount):
    """Neither by who unmounts nor by who mounts there; what was waited for is left behind."""
    mount("ws")
    (mountpoint / "f").write_text("kept")
    pid = server_of(store, mountpoint)
    os.kill(pid, signal.SIGSTOP)
    try:
        for line in (("--unmount", mountpoint), ("--store", store, "ws", mountpoint)):
            done = run("mount", *line)
            assert (done.code, done.errors.count("\n")) == (1, 1)
            assert f"does not answer: its process {pid} is stopped" in done.errors
            assert f"kill -CONT {pid}" in done.errors
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (mountpoint / "f").read_text() == "kept"
    assert run("mount", "--unmount", mountpoint) == Done(0, "", "")


@a_mount
def test_a_busy_mount_names_its_users(store, mountpoint, mount):
    mount("ws")
    with subprocess.Popen(["cat"], cwd=mountpoint, stdin=subprocess.PIPE) as user:
        done = run("mount", "--unmount", mountpoint)
        user.communicate()
    assert (done.code, done.errors.count("\n")) == (1, 1)
    assert f"{user.pid} cat (working directory)" in done.errors
    assert mount_at(str(mountpoint)) is not None
    assert run("mount", "--unmount", mountpoint).code == 0


@a_mount
def test_a_dead_mount_is_cleared_away_by_mounting_again(store, mountpoint, mount):
    mount("ws", "--no-holder")
    (mountpoint / "f").write_text("acknowledged")
    os.kill(server_of(store, mountpoint), signal.SIGKILL)
    done = run("mount", "ws", mountpoint)
    assert (done.code, done.output) == (0, "")
    assert done.errors == f"pyi-mount: cleared away the dead mount at {mountpoint}\n"
    assert (mountpoint / "f").read_text() == "acknowledged"


@a_mount
def test_a_dead_mount_is_known_though_the_kernel_kept_its_attributes(store, mountpoint, mount):
    mount("ws", "--no-holder")
    mountpoint.stat()
    os.kill(server_of(store, mountpoint), signal.SIGKILL)
    done = run("mount", "ws", mountpoint)
    assert done.code == 0, done.errors


@a_mount
def test_the_same_branch_twice_names_the_holder(store, mountpoint, mount, tmp_path):
    mount("ws")
    (tmp_path / "second").mkdir()
    done = run("mount", "ws", tmp_path / "second")
    assert (done.code, done.errors.count("\n")) == (1, 1)
    assert str(mountpoint) in done.errors
    assert str(server_of(store, mountpoint)) in done.errors
    assert mount_at(str(tmp_path / "second")) is None


@a_mount
def test_a_mountpoint_in_use_is_refused_unless_over(store, mountpoint, mount):
    mount("a")
    done = run("mount", "b", mountpoint)
    assert done.code == 1
    assert f"{store}#a" in done.errors
    mount("b", "--over")
    found = mount_at(str(mountpoint))
    assert found is not None
    assert found.source == f"{store}#b"
    assert run("mount", "--unmount", mountpoint).code == 0
    found = mount_at(str(mountpoint))
    assert found is not None
    assert found.source == f"{store}#a"


@a_mount
def test_two_branches_are_two_mounts(store, mountpoint, mount, tmp_path):
    mount("ws")
    (mountpoint / "f").write_text("start")
    (mountpoint / ".pyi" / "branch").write_text("dev")
    mount("ws", "--branch", "dev", at=tmp_path / "dev")
    (tmp_path / "dev" / "f").write_text("dev's")
    assert (mountpoint / "f").read_text() == "start"
    assert (tmp_path / "dev" / "f").read_text() == "dev's"
    done = run("mount", "ws", "--branch", "none", tmp_path / "dev", "--over")
    assert done.code == 1
    assert "no branch 'none'" in done.errors


@a_mount
def test_a_snapshot_is_read_only_and_in_the_source(store, mountpoint, mount, tmp_path):
    mount("ws")
    (mountpoint / "f").write_text("then")
    (mountpoint / ".pyi" / "snapshot").write_text("first")
    (mountpoint / "f").write_text("now")
    mount("ws@first", at=tmp_path / "old")
    assert (tmp_path / "old" / "f").read_text() == "then"
    with pytest.raises(OSError, match="Read-only"):
        (tmp_path / "old" / "g").touch()
    found = mount_at(str(tmp_path / "old"))
    assert found is not None
    workspace, _, snapshot = found.source.partition("#ws@")
    assert workspace == str(store)
    assert snapshot[0].isdecimal()
    done = run("mount", "ws@none", mountpoint, "--over")
    assert (done.code, done.errors) == (1, "pyi-mount: no snapshot 'none'\n")


@a_mount
def test_read_only_keeps_no_writer_out(store, mountpoint, mount, tmp_path):
    mount("ws", "--read-only")
    with pytest.raises(OSError, match="Read-only"):
        (mountpoint / "f").touch()
    mount("ws", at=tmp_path / "rw")
    (tmp_path / "rw" / "f").write_text("new")
    done = mount("ws", "--read-only", at=tmp_path / "ro")
    assert f"is written by {tmp_path / 'rw'}" in done.errors
    assert os.listdir(tmp_path / "ro") == []


@a_mount
def test_from_a_directory_and_from_a_workspace(store, mountpoint, mount, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "f").write_text("imported")
    done = mount("ws", "--from", f"{tmp_path}/src")
    assert "1 file," in done.errors
    assert (mountpoint / "f").read_text() == "imported"
    (mountpoint / "g").write_text("unsealed")
    mount("fork", "--from", "ws", at=tmp_path / "fork")
    assert (tmp_path / "fork" / "g").read_text() == "unsealed"
    (tmp_path / "fork" / "g").write_text("forked")
    assert (mountpoint / "g").read_text() == "unsealed"
    done = run("mount", "ws", "--from", ".", tmp_path / "fork", "--over")
    assert (done.code, "'ws' exists" in done.errors) == (1, True)


@a_mount
def test_the_foreground_stays_until_it_is_told_to_end(store, mountpoint):
    with subprocess.Popen(
        program("mount", "--foreground", "ws", mountpoint),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "new empty workspace" in process.stderr.readline()
        assert f"mounted at {mountpoint}" in process.stderr.readline()
        (mountpoint / "f").write_text("x")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait() == 0
    assert "Traceback" not in rest
    assert mount_at(str(mountpoint)) is None


@a_mount
def test_the_caller_of_a_shell_script_is_not_kept_waiting(store, mountpoint):
    """Output is read to its end: nobody may keep the pipe open, not under another number either."""
    script = '"$@" 3>&1 4>&2'
    done = run_command(["sh", "-c", script, "sh", *program("mount", "ws", mountpoint)])
    assert done.code == 0
    assert mount_at(str(mountpoint)) is not None


@a_mount
def test_errors_after_the_fork_are_one_line(store, mountpoint, mount):
    mount("ws")
    run("mount", "--unmount", mountpoint)
    log = next((store / "workspaces" / "ws").glob("log"))
    data = log.read_bytes()
    log.write_bytes(b"")
    done = run("mount", "ws", mountpoint)
    log.write_bytes(data)
    assert (done.code, done.errors.count("\n")) == (1, 1)
    assert "Traceback" not in done.errors


@a_mount
def test_writeback_and_the_other_options_mount(store, mountpoint, mount):
    mount(
        "ws",
        *("--writeback", "--spin-us", "0", "--sync-interval", "5s", "--snapshot-every", "1h"),
        *("--allow-other", "--control-uid", os.getuid()),
    )
    (mountpoint / "f").write_text("x" * 100_000)
    assert (mountpoint / "f").stat().st_size == 100_000
    found = mount_at(str(mountpoint))
    assert found is not None
    assert "allow_other" in found.super_options
