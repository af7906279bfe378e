"""The transport on a real mount: POSIX corners, control files, and the cost in requests."""

import errno
import json
import logging
import os
import re
import stat
import subprocess
from typing import Any

import pytest

from pyi_fs.fuse import pyfuse3_transport
from tests.support.mounting import mounted

pytestmark = [pytest.mark.mount, pytest.mark.slow]


async def test_an_answer_that_nobody_waits_for_is_not_logged(monkeypatch, caplog):
    """As when a mount is taken away while a file is being closed; pyfuse3 logs it as an error."""

    async def main(**_):
        log = logging.getLogger("pyfuse3")
        log.error("fuse_release(): fuse_reply_* failed with %s", os.strerror(errno.ENOENT))
        log.error("fuse_release(): fuse_reply_* failed with %s", os.strerror(errno.EINVAL))
        log.error("%s", os.strerror(errno.ENOENT))

    for name in ("init", "close"):
        monkeypatch.setattr(f"pyfuse3.{name}", lambda *_, **__: None)
    monkeypatch.setattr("pyfuse3.main", main)
    nothing: Any = None
    await pyfuse3_transport.run(nothing, nothing, 0)
    assert [record.args[0] for record in caplog.records] == [
        os.strerror(errno.EINVAL),
        os.strerror(errno.ENOENT),
    ]


@pytest.fixture
def mount(tmp_path, writeback):
    """Gives a mount of a new workspace, in both modes of writing."""
    with mounted(tmp_path, writeback=writeback) as mount:
        yield mount


def test_control_directory_is_reachable_never_listed_and_cannot_be_replaced(mount):
    root = mount.path
    assert os.listdir(root) == []
    assert stat.S_ISDIR(os.stat(root / ".pyi").st_mode)
    for refused in (
        lambda: os.rmdir(root / ".pyi"),
        lambda: os.mkdir(root / ".pyi"),
        lambda: os.rename(root / ".pyi", root / "x"),
        lambda: os.unlink(root / ".pyi"),
        lambda: os.symlink("x", root / ".pyi"),
        lambda: (root / ".pyi" / "nothing").write_bytes(b""),
    ):
        with pytest.raises(OSError, match=r"."):
            refused()
    (root / "d").mkdir()
    with pytest.raises(OSError, match=r"."):
        os.rename(root / "d", root / ".pyi")
    (root / "d" / ".pyi").mkdir()
    assert os.listdir(root / "d") == [".pyi"]


def test_control_files_take_and_give_text(mount):
    root = mount.path
    (root / "f").write_bytes(b"1")
    first = subprocess.run(["cat", root / ".pyi" / "snapshot"], capture_output=True, check=True)
    assert re.fullmatch(rb"\d+-\w+\t\+1 ~0 -0\n", first.stdout)
    descriptor = os.open(root / ".pyi" / "snapshot", os.O_RDONLY)
    assert b"unchanged" in os.pread(descriptor, 100, 0)
    (root / "g").write_bytes(b"2")
    assert b"+1 ~0 -0" in os.pread(descriptor, 100, 0)
    os.fsync(descriptor)
    os.close(descriptor)
    subprocess.run(["bash", "-c", "echo keep > .pyi/snapshot"], cwd=root, check=True)
    assert (root / ".pyi" / "snapshots" / "keep" / "f").read_bytes() == b"1"
    failed = subprocess.run(
        ["bash", "-c", "echo nosuch > .pyi/restore"], cwd=root, capture_output=True, check=False
    )
    assert b"No such file" in failed.stderr
    assert "nosuch" in mount.ask("error")


def test_posix_corners(mount):
    root = mount.path
    name = root / ("n" * 255)
    name.write_bytes(b"")
    with pytest.raises(OSError, match="too long") as long:
        os.stat(root / ("n" * 256))
    assert long.value.errno == errno.ENAMETOOLONG
    (root / "f").write_bytes(b"data")
    os.link(root / "f", root / "g")
    assert os.stat(root / "g").st_nlink == 2
    with (root / "f").open("rb") as held:
        os.unlink(root / "f")
        assert os.fstat(held.fileno()).st_nlink == 1
        os.unlink(root / "g")
        assert os.fstat(held.fileno()).st_nlink == 0
        assert held.read() == b"data"
    with (root / "h").open("wb") as sparse:
        sparse.seek(1 << 20)
        sparse.write(b"x")
    status = os.stat(root / "h")
    assert status.st_size == (1 << 20) + 1
    assert status.st_blocks == 1
    assert status.st_blksize == 131072
    os.symlink("target" * 100, root / "l")
    assert os.readlink(root / "l") == "target" * 100
    os.mkfifo(root / "p")
    assert stat.S_ISFIFO(os.stat(root / "p").st_mode)
    os.setxattr(root / "h", "user.a", b"1", os.XATTR_CREATE)
    with pytest.raises(FileExistsError):
        os.setxattr(root / "h", "user.a", b"2", os.XATTR_CREATE)
    assert os.listxattr(root / "h") == ["user.a"]
    assert os.getxattr(root / "h", "user.a") == b"1"
    os.removexattr(root / "h", "user.a")
    with pytest.raises(OSError, match="No data"):
        os.getxattr(root / "h", "user.a")
    descriptor = os.open(root / "h", os.O_RDWR | os.O_DIRECT)
    os.close(descriptor)
    assert os.statvfs(root).f_namemax == 255
    os.truncate(root / "h", 3)
    with (root / "h").open("r+b") as file:
        os.ftruncate(file.fileno(), 5)
        os.fsync(file.fileno())
    assert (root / "h").read_bytes() == b"\0" * 5
    (root / "h").write_bytes(b"1")
    assert (root / "h").read_bytes() == b"1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")
def test_set_id_bits_go_when_somebody_else_writes(open_directory):
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    commands = (
        "echo x >> {0}",
        "truncate -s 1 {0}",
        "echo y > {0}",
        "dd if=/dev/zero of={0} bs=1 count=1 conv=notrunc",
    )
    with mounted(open_directory, allow_other=True) as mount:
        os.chmod(mount.path, 0o777)
        for index, command in enumerate(commands):
            path = mount.path / f"f{index}"
            path.write_bytes(b"12345")
            os.chmod(path, 0o6777)
            shell = [*as_nobody, "bash", "-c", command.format(path)]
            subprocess.run(shell, check=True, capture_output=True)
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o777, command
        made = mount.path / "made"
        subprocess.run([*as_nobody, "touch", made], check=True)
        assert os.stat(made).st_uid == 65534
        control = subprocess.run(
            [*as_nobody, "cat", mount.path / ".pyi" / "snapshot"], capture_output=True, check=False
        )
        assert b"Permission denied" in control.stderr
        path = mount.path / "owned"
        path.write_bytes(b"1")
        os.chmod(path, 0o6777)
        os.chown(path, 65534, 65534)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o777
        assert os.stat(path).st_uid == 65534


def test_a_listing_stays_whole_while_its_directory_is_emptied(mount):
    root = mount.path
    (root / "d").mkdir()
    names = {f"file-{index:05}" for index in range(3000)}
    for name in names:
        (root / "d" / name).touch()
    seen = []
    with os.scandir(root / "d") as entries:
        for entry in entries:
            seen.append(entry.name)
            os.unlink(entry.path)
    # Nothing twice, nothing lost.
    assert len(seen) == len(set(seen))
    assert set(seen) == names
    assert os.listdir(root / "d") == []


def test_a_write_and_a_cached_read_cost_what_they_must(mount, writeback):
    """Nothing else is asked for at every write, and pages outlive a look at the file.

    With the writeback cache the kernel gathers the writes of a page.
    """

    def requests():
        return dict(json.loads(mount.ask("status"))["requests"])

    path = mount.path / "f"
    before = requests()
    with path.open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(b"0" * 10)
    assert path.stat().st_size == 1000
    assert path.read_bytes() == b"0" * 1000
    after = requests()
    cost = {name: after[name] - before.get(name, 0) for name in after}
    assert cost["write"] == (1 if writeback else 100)
    assert cost["getxattr"] <= 1
    assert cost["create"] == 1
    assert cost["getattr"] < 20
    # What was written is in the kernel's pages; only the two answers of `status` were read.
    assert cost["read"] <= 4
