"""Publishing on a real mount: what the kernel had cached is what it must have forgotten."""

import errno
import mmap
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.mounting import mounted

pytestmark = [pytest.mark.mount, pytest.mark.slow]


@pytest.fixture
def mount(tmp_path, writeback):
    """Gives a mount of a new workspace, in both modes of writing."""
    with mounted(tmp_path, writeback=writeback) as mount:
        yield mount


def test_restore_leaves_nothing_stale(mount):
    """Names, negative entries, attributes, listings and bytes are those of the snapshot."""
    root = mount.path
    (root / "changed").write_bytes(b"old")
    (root / "removed").write_bytes(b"was here")
    (root / "same").write_bytes(b"same")
    (root / "dir").mkdir()
    (root / "dir" / "inside").write_bytes(b"1")
    os.utime(root / "dir", ns=(10**18, 10**18))
    before = {name: os.stat(root / name) for name in ("changed", "same", "dir")}
    snapshot = mount.snapshot()
    (root / "changed").write_bytes(b"new and longer")
    (root / "removed").unlink()
    (root / "made").write_bytes(b"later")
    (root / "dir" / "inside").unlink()
    (root / "dir" / "more").mkdir()
    # The kernel now holds positive and negative entries, attributes and pages of the later tree.
    assert (root / "changed").read_bytes() == b"new and longer"
    assert not (root / "removed").exists()
    assert not (root / "dir" / "inside").exists()
    assert sorted(os.listdir(root)) == ["changed", "dir", "made", "same"]
    mount.control("restore", snapshot)
    assert sorted(os.listdir(root)) == ["changed", "dir", "removed", "same"]
    assert (root / "changed").read_bytes() == b"old"
    assert (root / "removed").read_bytes() == b"was here"
    assert not (root / "made").exists()
    assert os.listdir(root / "dir") == ["inside"]
    after = {name: os.stat(root / name) for name in ("changed", "same", "dir")}
    for name in ("changed", "same", "dir"):
        assert after[name].st_mtime_ns == before[name].st_mtime_ns
        assert after[name].st_ctime_ns == before[name].st_ctime_ns
        assert after[name].st_size == before[name].st_size
        assert after[name].st_nlink == before[name].st_nlink
    assert after["same"].st_ino == before["same"].st_ino
    assert after["dir"].st_ino == before["dir"].st_ino
    mount.control("undo", "\n")
    assert (root / "changed").read_bytes() == b"new and longer"
    assert not (root / "removed").exists()
    assert sorted(os.listdir(root)) == ["changed", "dir", "made", "same"]


def test_who_only_holds_the_path_of_a_restored_file_sees_it_as_it_was(mount):
    """The kernel keeps what it knows of that file: it is what the server says, when asked."""
    path = mount.path / "f"
    path.write_bytes(b"old")
    snapshot = mount.snapshot()
    path.write_bytes(b"new and longer")
    held = os.open(path, os.O_PATH)
    try:
        before = os.fstat(held)
        mount.control("restore", snapshot)
        assert path.stat().st_size == 3
        assert os.fstat(held) == before
        os.setxattr(path, "user.of", b"the restored one")
        with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
            os.open(f"/proc/self/fd/{held}", os.O_RDONLY)
        assert os.fstat(held).st_size == before.st_size
        assert path.read_bytes() == b"old"
    finally:
        os.close(held)


def test_restore_of_open_files_keeps_them_for_who_holds_them(mount):
    root = mount.path
    (root / "db").write_bytes(b"unchanged")
    (root / "log").write_bytes(b"old")
    snapshot = mount.snapshot()
    with (
        (root / "db").open("r+b", buffering=0) as db,
        (root / "log").open("r+b", buffering=0) as log,
    ):
        log.write(b"NEW")
        mount.control("restore", snapshot)
        db.write(b"UNCH")
        log.write(b" tail")
        assert (root / "db").read_bytes() == b"unchanged"
        assert (root / "log").read_bytes() == b"old"
        db.seek(0)
        log.seek(0)
        assert db.read() == b"UNCHanged"
        assert log.read() == b"NEW tail"
        assert os.fstat(log.fileno()).st_nlink == 0
        assert os.fstat(log.fileno()).st_size == 8
        # A second publish finds the same orphans under their adopted numbers.
        mount.control("undo", "\n")
        log.write(b"!")
        log.seek(0)
        assert log.read() == b"NEW tail!"
        assert (root / "log").read_bytes() == b"NEW"


def test_shell_stands_in_a_directory_across_a_restore(mount):
    root = mount.path
    (root / "work" / "deep").mkdir(parents=True)
    (root / "work" / "deep" / "f").write_bytes(b"1")
    snapshot = mount.snapshot()
    shell = subprocess.Popen(
        ["bash"],
        cwd=root / "work" / "deep",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    commands, answers = shell.stdin, shell.stdout
    assert commands is not None
    assert answers is not None

    def say(command):
        commands.write(f"{command}; echo\n")
        commands.flush()
        return answers.readline().strip()

    assert say("cat f | tr -d '\\n'") == "1"
    (root / "work" / "deep" / "f").write_bytes(b"2")
    (root / "work" / "deep" / "g").write_bytes(b"3")
    assert say("echo -n *") == "f g"
    mount.control("restore", snapshot)
    assert say("echo -n *") == "f"
    assert say("cat f | tr -d '\\n'") == "1"
    assert say("/bin/pwd | tr -d '\\n'") == str(root / "work" / "deep")
    assert say("cd ../deep && echo -n *") == "f"
    assert say("/bin/pwd | tr -d '\\n'") == str(root / "work" / "deep")
    commands.close()
    shell.wait()
    answers.close()


def test_a_directory_that_a_restore_took_away_behaves_as_removed(mount):
    root = mount.path
    snapshot = mount.snapshot()
    (root / "new").mkdir()
    held = os.open(root / "new", os.O_RDONLY | os.O_DIRECTORY)
    mount.control("restore", snapshot)
    with pytest.raises(FileNotFoundError):
        os.mkdir("x", dir_fd=held)
    with pytest.raises(FileNotFoundError):
        os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=held)
    assert not (root / "new").exists()
    mount.control("undo", "\n")
    os.mkdir("x", dir_fd=held)
    assert (root / "new" / "x").is_dir()
    os.close(held)


def test_a_directory_removed_and_restored_can_be_used(mount):
    """The kernel marked the old one dead: its holder keeps that, everybody else gets a live one."""
    root = mount.path
    (root / "d").mkdir()
    snapshot = mount.snapshot()
    held = os.open(root / "d", os.O_RDONLY | os.O_DIRECTORY)
    (root / "d").rmdir()
    mount.control("restore", snapshot)
    (root / "d" / "f").write_bytes(b"alive")
    assert (root / "d" / "f").read_bytes() == b"alive"
    os.close(held)


def test_mapped_file_is_written_to_the_orphan(mount):
    root = mount.path
    (root / "m").write_bytes(b"a" * 4096)
    snapshot = mount.snapshot()
    with (root / "m").open("r+b") as file, mmap.mmap(file.fileno(), 4096) as mapped:
        mapped[0:1] = b"b"
        mapped.flush()
        mount.control("restore", snapshot)
        mapped[1:2] = b"c"
        mapped.flush()
        assert (root / "m").read_bytes() == b"a" * 4096
        assert mapped[0:3] == b"bca"


def test_views_are_entered_through_the_control_directory(mount):
    root = mount.path
    (root / "f").write_bytes(b"1")
    snapshot = mount.snapshot()
    (root / "f").write_bytes(b"2")
    old = root / ".pyi" / "snapshots" / snapshot
    assert (old / "f").read_bytes() == b"1"
    assert os.stat(old / "f").st_ino != os.stat(root / "f").st_ino
    with pytest.raises(OSError, match="Read-only") as refused:
        (old / "f").write_bytes(b"3")
    assert refused.value.errno == errno.EROFS
    mount.control("branch", "other")
    other = root / ".pyi" / "branches" / "other"
    (other / "f").write_bytes(b"other")
    (other / "sub").mkdir()
    assert (root / "f").read_bytes() == b"2"
    with pytest.raises(OSError, match="cross-device") as crossed:
        os.rename(other / "f", root / "g")
    assert crossed.value.errno == errno.EXDEV
    with pytest.raises(OSError, match="cross-device"):
        os.link(root / "f", other / "g")
    found = subprocess.run(
        ["bash", "-c", "cd sub && cd .. && /bin/pwd"], cwd=other, capture_output=True, check=True
    )
    assert found.stdout.decode().strip() == str(other)
    with os.scandir(other.parent) as entries:
        numbers = {entry.name: entry.inode() for entry in entries}
    assert numbers["other"] == os.stat(other).st_ino


def test_switching_head_shows_the_other_branch_at_once(mount):
    root = mount.path
    (root / "f").write_bytes(b"main")
    (root / "same").write_bytes(b"same")
    (root / "d").mkdir()
    mount.control("branch", "other")
    other = root / ".pyi" / "branches" / "other"
    (other / "f").write_bytes(b"other")
    (other / "d" / "new").write_bytes(b"n")
    held = os.open(root / "f", os.O_RDWR)
    assert not (root / "d" / "new").exists()
    mount.control("head", "other")
    assert (root / "f").read_bytes() == b"other"
    assert (root / "same").read_bytes() == b"same"
    assert (root / "d" / "new").read_bytes() == b"n"
    os.pwrite(held, b"MAIN", 0)
    assert (root / ".pyi" / "branches" / "main" / "f").read_bytes() == b"MAIN"
    assert (root / "f").read_bytes() == b"other"
    os.close(held)
    mount.control("head", "main")
    assert (root / "f").read_bytes() == b"MAIN"
    assert not (root / "d" / "new").exists()
    mount.control("drop", "other")
    assert os.listdir(root / ".pyi" / "branches") == ["main"]


def test_old_kernels_see_nothing_stale_either(tmp_path):
    """Without epochs each name is told by a thread, while the control write waits."""
    with mounted(tmp_path, old_kernel=True) as mount:
        root = mount.path
        (root / "d").mkdir()
        (root / "d" / "f").write_bytes(b"old")
        (root / "removed").write_bytes(b"1")
        snapshot = mount.snapshot()
        (root / "d" / "f").write_bytes(b"new and longer")
        (root / "d" / "made").write_bytes(b"2")
        (root / "removed").unlink()
        assert not (root / "removed").exists()
        mount.control("restore", snapshot)
        assert (root / "d" / "f").read_bytes() == b"old"
        assert os.listdir(root / "d") == ["f"]
        assert (root / "removed").read_bytes() == b"1"
        mount.control("branch", "other")
        mount.control("head", "other")
        (root / "d" / "f").write_bytes(b"other")
        mount.control("head", "main")
        assert (root / "d" / "f").read_bytes() == b"old"


def test_the_tree_reads_the_same_after_the_caches_are_dropped(mount):
    root = mount.path
    (root / "f").write_bytes(b"old")
    (root / "g").write_bytes(b"same")
    snapshot = mount.snapshot()
    (root / "f").write_bytes(b"newer")
    mount.control("restore", snapshot)
    before = {name: os.stat(root / name) for name in ("f", "g")}
    try:
        Path("/proc/sys/vm/drop_caches").write_text("2\n")
    except PermissionError:
        pytest.skip("only root can drop the kernel's caches")
    assert {name: os.stat(root / name) for name in ("f", "g")} == before
    assert (root / "f").read_bytes() == b"old"
