"""What is missing for mounting, each lack produced and named with its remedy."""

import os
import resource
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from pyi_fs.cli import checks
from pyi_fs.cli.checks import lacks
from pyi_fs.cli.mountinfo import Mount
from tests.support.commands import program, run_command


@pytest.fixture
def as_user(monkeypatch, tmp_path):
    """Makes this process look like a user's, whose fusermount3 is in order."""
    helper = tmp_path / "fusermount3"
    helper.touch()
    helper.chmod(0o4755)
    if os.geteuid() != 0:
        pytest.skip("a set-uid file of root is needed")
    monkeypatch.setattr("pyi_fs.cli.checks.os.geteuid", lambda: 1000)
    monkeypatch.setattr("pyi_fs.cli.checks.shutil.which", lambda name: str(helper))
    return helper


def texts(store: Path, **options: bool) -> list[str]:
    return [str(lack) for lack in lacks(store, allow_other=options.get("allow_other", False))]


def only(found: list[str], *words: str) -> None:
    (text,) = found
    for word in words:
        assert word in text


@pytest.mark.mount
def test_nothing_is_missing_where_mounts_work(tmp_path):
    assert texts(tmp_path / "store") == []


def test_a_missing_device(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "DEVICE", tmp_path / "fuse")
    only(texts(tmp_path), "is missing", "modprobe fuse")


def test_a_device_that_may_not_be_opened(monkeypatch, tmp_path):
    for number, word in ((13, "chmod"), (1, "--cap-add"), (6, "modprobe")):

        def refuse(*args, error=number):
            raise OSError(error, os.strerror(error))

        monkeypatch.setattr("pyi_fs.cli.checks.os.open", refuse)
        only(texts(tmp_path), str(checks.DEVICE), word)


def test_root_without_the_capability(monkeypatch, tmp_path):
    status = tmp_path / "status"
    status.write_text("Name:\tx\nCapEff:\t000001ffffdfffff\n")
    monkeypatch.setattr(checks, "_STATUS", status)
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    monkeypatch.setattr("pyi_fs.cli.checks.os.geteuid", lambda: 0)
    only(texts(tmp_path), "CAP_SYS_ADMIN", "--cap-add")
    status.write_text("CapEff:\t000001ffffffffff\n")
    assert texts(tmp_path) == []


def test_a_user_without_the_helper(as_user, monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    assert texts(tmp_path) == []
    as_user.chmod(0o755)
    only(texts(tmp_path), "not set-uid root", "reinstall")
    monkeypatch.setattr("pyi_fs.cli.checks.shutil.which", lambda name: None)
    only(texts(tmp_path), "fusermount3 is missing", "fuse3")


def test_a_user_whose_helper_cannot_become_root(as_user, monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    monkeypatch.setattr(checks, "_STATUS", tmp_path / "status")
    monkeypatch.setattr(checks, "_UID_MAP", tmp_path / "uid_map")
    (tmp_path / "uid_map").write_text("         0          0 4294967295\n")
    (tmp_path / "status").write_text("Name:\tx\nNoNewPrivs:\t1\n")
    only(texts(tmp_path), "no_new_privs", "no-new-privileges", "NoNewPrivileges=")
    (tmp_path / "status").write_text("Name:\tx\nNoNewPrivs:\t0\n")
    assert texts(tmp_path) == []
    for text in ("      1000       1000          1\n", ""):
        (tmp_path / "uid_map").write_text(text)
        only(texts(tmp_path), "user namespace", "--map-root-user")


def test_a_user_who_may_not_share(as_user, monkeypatch, tmp_path):
    conf = tmp_path / "fuse.conf"
    conf.write_text("#user_allow_other\n")
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    monkeypatch.setattr(checks, "FUSE_CONF", conf)
    assert texts(tmp_path) == []
    only(texts(tmp_path, allow_other=True), "user_allow_other", "--allow-other")
    conf.write_text("mount_max = 5\nuser_allow_other # all\n")
    assert texts(tmp_path, allow_other=True) == []


@pytest.mark.parametrize(
    ("kind", "word"),
    [("nfs4", "NFS"), ("cifs", "SMB"), ("lustre", "Lustre"), ("ceph", "Ceph"), ("9p", "9p")],
)
def test_a_store_on_a_disk_that_is_not_local(kind, word, monkeypatch, tmp_path):
    mount = Mount(1, 0, "0:1", "/far", ("rw",), kind, "server:/x", ("rw",))
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    monkeypatch.setattr(checks, "mount_of", lambda path: mount)
    only(texts(tmp_path), word, "/far", "--store /local")


@pytest.mark.mount
@pytest.mark.slow
def test_a_store_on_a_real_overlay(tmp_path):
    """In its upper layer, where writing would work; a covered mount on the way counts for nothing.

    NFS, SMB and the others cannot be mounted where the tests run: their kernel has none of them.
    """
    if os.geteuid() != 0 or "overlay" not in Path("/proc/filesystems").read_text():
        pytest.skip("needs root and overlayfs")
    # The upper layer cannot be on another overlay, nor be what the tests' own place may be on.
    script = (
        "set -e; mount -t tmpfs none $1; cd $1; mkdir lower upper work merged local covered\n"
        "mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work merged\n"
        'shift; "$@" --store merged/a/b || echo "code $?"; "$@" --store merged || true\n'
        "mkdir -p local/in; mount -t overlay none -o lowerdir=lower:covered local/in\n"
        'mount -t tmpfs none local; mkdir local/in; "$@" --store local/in/store\n'
    )
    command = program("mount", "--check")
    done = run_command(["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), *command])
    first, code, second, third = done.output.splitlines()
    assert f"the store {tmp_path}/merged/a/b is on an overlay ({tmp_path}/merged)" in first
    assert "--store /local" in first
    assert (code, third) == ("code 1", "nothing is missing"), done.errors
    assert "is on an overlay" in second


def test_a_store_where_there_is_no_room(monkeypatch, tmp_path):
    space = namedtuple("space", "f_bavail f_frsize")
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    monkeypatch.setattr("pyi_fs.cli.checks.os.statvfs", lambda path: space(1 << 10, 4096))
    (lack,) = lacks(tmp_path / "new" / "store", allow_other=False)
    assert "4 MiB are free" in str(lack)
    assert not lack.is_fatal
    monkeypatch.setattr("pyi_fs.cli.checks.os.statvfs", lambda path: space(0, 4096))
    assert lacks(tmp_path, allow_other=False)[0].is_fatal


def test_a_store_that_may_not_be_written_or_is_a_file(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    (tmp_path / "file").touch()
    only(texts(tmp_path / "file"), "not a directory")
    monkeypatch.setattr("pyi_fs.cli.checks.os.access", lambda path, mode: False)
    only(texts(tmp_path), "may not be written", "--store")


def limits(which: int, soft: int, hard: int) -> Callable[[int], tuple[int, int]]:
    """Returns a `getrlimit` that knows one limit; nothing else is limited."""
    return lambda what: (soft, hard) if what == which else (resource.RLIM_INFINITY,) * 2


def test_a_limit_on_the_size_of_files(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    monkeypatch.setattr(resource, "getrlimit", limits(resource.RLIMIT_FSIZE, 500, 70_000))
    found = [lack for lack in checks.lacks(tmp_path, allow_other=False) if "70000" in str(lack)]
    assert [lack.is_fatal for lack in found] == [False]
    assert "ulimit -Hf" in found[0].remedy
    changed: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: changed.append(limit))
    checks.raise_file_size_limit()
    assert changed == [(resource.RLIMIT_FSIZE, (70_000, 70_000))]


def test_a_low_limit_of_descriptors(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_device", lambda: iter(()))
    monkeypatch.setattr(resource, "getrlimit", limits(resource.RLIMIT_NOFILE, 256, 512))
    only(texts(tmp_path), "512 files", "ulimit -Hn")
    changed: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: changed.append(limits))
    checks.raise_descriptor_limit()
    monkeypatch.setattr(resource, "getrlimit", lambda what: (256, resource.RLIM_INFINITY))
    checks.raise_descriptor_limit()
    monkeypatch.setattr(resource, "getrlimit", lambda what: (4096, 8192))
    checks.raise_descriptor_limit()
    assert changed == [(512, 512), (1024, resource.RLIM_INFINITY)]
