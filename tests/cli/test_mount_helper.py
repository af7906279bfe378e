"""`mount.fuse.pyi`: what mount(8) makes of it, with the real mount(8) in a mount namespace."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from pyi_fs.cli import mount_helper, workspaces
from pyi_fs.cli.mount_flags import parsed_words
from pyi_fs.cli.mount_helper import command, install, mount_arguments
from pyi_fs.errors import NotFoundError
from tests.support.commands import ROOT, Done, call, run_command

as_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="mount(8) is root's, and its directory is replaced in a namespace of the test's own",
)


def a_mount(function):
    """Marks a test that mounts, which takes its time."""
    return pytest.mark.mount(pytest.mark.slow(function))


def helper(*arguments: object) -> Done:
    return call(command, *arguments, name="mount.fuse.pyi")


@pytest.fixture
def shell(tmp_path, store):
    """Returns `shell(SCRIPT)`: runs it where mount(8) finds our helper.

    `$S` is the store, `$M` the mountpoint. What it mounts ends with its namespace.
    """
    directory = tmp_path / "sbin"
    directory.mkdir()
    program = directory / "mount.fuse.pyi"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from pyi_fs.cli.mount_helper import main\nmain()\n"
    )
    program.chmod(0o755)
    mountpoint = tmp_path / "mnt"
    mountpoint.mkdir()

    def run(script: str) -> Done:
        prologue = (
            f"S={shlex.quote(str(store))} M={shlex.quote(str(mountpoint))}\n"
            f"mount --bind {shlex.quote(str(directory))} /usr/sbin\n"
            "PATH=$PATH:/usr/bin:/bin\n"
        )
        epilogue = "\ncode=$?; umount $M 2>/dev/null; exit $code\n"
        return run_command(["unshare", "--mount", "sh", "-c", prologue + script + epilogue])

    return run


def test_a_line_of_fstab_becomes_arguments(monkeypatch):
    found = parsed_words("ro,noexec,branch=dev,nofail,x-systemd.automount")
    arguments = ["--store=/s", "--branch=dev", "--flag=noexec", "--read-only", "--", "ws", "/m"]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert mount_arguments("/s#ws", "/m", found) == arguments
    assert mount_arguments("ws@1", "/m", parsed_words("")) == ["--", "ws@1", "/m"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert mount_arguments("ws@1", "/m", parsed_words("nodev")) == [
        *("--flag=dev", "--flag=suid", "--flag=nodev", "--", "ws@1", "/m")
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("s#ws", "/m"), 2, "absolute"),
        (("/s", "/m"), 2, "STORE#WORKSPACE"),
        (("/s#ws", "/m", "-t", "ext4"), 2, "ext4"),
        (("/s#ws", "/m", "-N", "1"), 2, "nsenter"),
        (("/s#ws", "/m", "-o", "frob"), 1, "frob"),
        (("/s#ws", "/m", "-o", "remount,ro"), 1, "no workspace is mounted at /m"),
        (("/s#ws",), 2, "MOUNTPOINT"),
    ],
)
def test_refusals_are_one_line(arguments, code, words):
    done = helper(*arguments)
    assert (done.code, done.errors.count("\n")) == (code, 1)
    assert done.errors.startswith("mount.fuse.pyi: ")
    assert words in done.errors


def test_fake_mounts_nothing_and_sloppy_passes_over(store, tmp_path):
    assert helper(f"{store}#ws", tmp_path, "-f", "-s", "-n", "-v", "-o", "frob") == Done(0, "", "")
    assert workspaces.names(store) == []


@as_root
@a_mount
def test_mount_and_umount(shell):
    done = shell(
        "mount -t fuse.pyi $S#ws $M && echo hello > $M/f && cat $M/f &&"
        " findmnt -no SOURCE,FSTYPE $M && umount $M && ls $M"
    )
    assert done.code == 0, done.errors
    assert done.errors == "pyi-mount: new empty workspace 'ws'\n"
    assert done.output.split() == ["hello", f"{os.environ['PYI_STORE']}#ws", "fuse.pyi"]


@as_root
@a_mount
def test_options_do_what_they_say(shell):
    done = shell(
        "mount -t fuse.pyi -o dev,suid,noexec,noatime,nosymfollow,allow_other,sync_interval=5s,"
        "_netdev $S#ws $M && findmnt -no OPTIONS $M && mknod $M/null c 1 3 && echo x > $M/null"
        " && echo wrote && cp /bin/true $M/true && ! $M/true 2>/dev/null"
        " && ln -s true $M/link && readlink $M/link >&2 && ! cat $M/link 2>/dev/null"
    )
    assert done.code == 0, done.errors
    options, wrote = done.output.split()
    assert wrote == "wrote"
    words = options.split(",")
    assert {"rw", "noexec", "noatime", "allow_other"} <= set(words)
    assert not {"nodev", "nosuid", "ro"} & set(words)


@as_root
@a_mount
def test_nodev_and_nosuid_are_asked_for_and_stay(shell):
    """As with any filesystem that root mounts with mount(8)."""
    done = shell(
        "mount -t fuse.pyi $S#ws $M && findmnt -no OPTIONS $M && umount $M &&"
        " mount -t fuse.pyi -o nodev,nosuid $S#ws $M && mount -o remount,noexec $M &&"
        " findmnt -no OPTIONS $M"
    )
    assert done.code == 0, done.errors
    first, second = (set(line.split(",")) for line in done.output.splitlines())
    assert {"rw", "relatime"} <= first
    assert not {"nodev", "nosuid"} & first
    assert {"rw", "nodev", "nosuid", "noexec", "relatime"} <= second


@as_root
@a_mount
def test_ro_refuses_writes_and_cannot_become_rw(shell):
    done = shell(
        "mount -t fuse.pyi -o ro $S#ws $M && ! touch $M/f && findmnt -no SOURCE $M"
        " && mount -o remount,rw $M"
    )
    assert done.code != 0
    assert "Read-only file system" in done.errors
    assert "shows a snapshot" in done.errors
    assert "#ws@1-" in done.output


@as_root
@a_mount
def test_remount_ro_and_back(shell):
    done = shell(
        "mount -t fuse.pyi $S#ws $M && echo 1 > $M/f && mount -o remount,ro,noexec $M &&"
        " ! touch $M/g 2>/dev/null && findmnt -no OPTIONS $M &&"
        " mount -o remount,rw,exec $M && touch $M/g && findmnt -no OPTIONS $M"
    )
    assert done.code == 0, done.errors
    first, second = (set(line.split(",")) for line in done.output.splitlines())
    assert {"ro", "noexec"} <= first
    assert "rw" in second
    assert not {"ro", "noexec"} & second


@as_root
@a_mount
def test_a_remount_changes_flags_only(shell):
    done = shell("mount -t fuse.pyi $S#ws $M && mount -o remount,branch=dev $M")
    assert done.code != 0
    assert "flags only" in done.errors


@as_root
@a_mount
def test_a_line_in_fstab(shell, tmp_path):
    """`mount -T` reads another fstab; the branch is made by the first mount."""
    fstab = tmp_path / "fstab"
    fstab.write_text(
        f"{tmp_path}/store#ws {tmp_path}/mnt fuse.pyi "
        "noauto,noexec,nofail,x-systemd.automount 0 0\n"
    )
    done = shell(f"mount -T {fstab} $M && findmnt -no SOURCE,OPTIONS $M")
    assert done.code == 0, done.errors
    source, options = done.output.split()
    assert source == f"{tmp_path}/store#ws"
    assert "noexec" in options


@as_root
@a_mount
def test_an_error_is_that_of_the_helper(shell):
    done = shell("mount -t fuse.pyi -o must_exist $S#none $M")
    assert done.code != 0
    assert "mount.fuse.pyi: no workspace 'none'" in done.errors


def test_installing_links_the_program_and_again(tmp_path, monkeypatch):
    sbin = tmp_path / "sbin"
    sbin.mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mount.fuse.pyi"
    monkeypatch.setattr(mount_helper, "DIRECTORIES", (tmp_path / "missing", sbin))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(NotFoundError, match="pip"):
        install()
    program.touch()
    for _ in range(2):
        target = install()
        assert target == sbin / "mount.fuse.pyi"
        assert Path(os.readlink(target)) == program
        assert os.listdir(sbin) == ["mount.fuse.pyi"]
