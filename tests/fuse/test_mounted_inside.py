"""What is mounted on a directory of a workspace stays there when another tree is published."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyi_fs.fuse.device import kernel_release
from pyi_fs.fuse.mounted_inside import MountedInside
from tests.support.takeover import Held

TRANSPORTS = ("direct",)
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts what it likes")


@contextlib.contextmanager
def tmpfs(path: Path) -> Iterator[str]:
    """Mounts a memory disk; gives its major:minor."""
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", path], check=True)
    try:
        device = path.stat().st_dev
        yield f"{os.major(device)}:{os.minor(device)}"
    finally:
        subprocess.run(["umount", path], check=False, stderr=subprocess.DEVNULL)


def test_mounts_are_seen_when_they_come_and_when_they_go(tmp_path):
    with tmpfs(tmp_path / "ours") as number:
        inside = MountedInside(number)
        try:
            assert not inside.any()
            with tmpfs(tmp_path / "beside"):
                assert not inside.any()
            with tmpfs(tmp_path / "ours" / "a"):
                assert inside.any()
                with tmpfs(tmp_path / "ours" / "b"):
                    assert inside.any()
                assert inside.any()
            assert not inside.any()
        finally:
            inside.close()


def test_the_list_is_read_again_only_when_it_changed(tmp_path, monkeypatch):
    with tmpfs(tmp_path / "ours") as number:
        inside = MountedInside(number)
        try:
            inside.any()
            # What another test on this machine mounts may be seen once more.
            inside.any()
            reads = []
            monkeypatch.setattr("os.read", lambda *_: reads.append(0))
            monkeypatch.setattr(inside, "_poll", _Unchanged())
            assert not inside.any()
            assert reads == []
        finally:
            monkeypatch.undo()
            inside.close()


def test_a_mountpoint_with_a_carriage_return_is_one_line(tmp_path, monkeypatch):
    lines = tmp_path / "mountinfo"
    lines.write_bytes(b"60 22 0:50 / /a\rb\rc rw - x x rw\n61 60 0:51 / /a/in rw - x x rw\n")
    opened = os.open(lines, os.O_RDONLY)
    with monkeypatch.context() as patch:
        patch.setattr("os.open", lambda *_: opened)
        inside = MountedInside("0:50")
    assert inside.any()
    inside.close()


class _Unchanged:
    def poll(self, _: int) -> list[tuple[int, int]]:
        return []


@pytest.fixture
def held(tmp_path):
    """Gives a mount with a holder."""
    held = Held(tmp_path)
    yield held
    held.unmount()
    held.check()


def control(held: Held, name: str, text: str) -> None:
    """Writes to a control file of the root view."""
    (held.path / ".pyi" / name).write_text(text)


@pytest.mark.mount
@pytest.mark.slow
@pytest.mark.skipif(kernel_release() < (6, 9), reason="this kernel does not send again")
def test_what_is_mounted_inside_stays(held):
    """In a directory in which other names change, too; nothing is shown that was before."""
    directory, inside = held.path / "d", held.path / "d" / "inside"
    inside.mkdir(parents=True)
    (directory / "file").write_text("old")
    (directory / "gone").mkdir()
    (directory / "removed").touch()
    snapshot = (held.path / ".pyi" / "snapshot").read_text().split("\t")[0]
    control(held, "branch", "beside")

    def change() -> None:
        (directory / "file").write_text("new and longer")
        (directory / "removed").unlink(missing_ok=True)
        assert not (directory / "removed").exists()
        (directory / "made").touch()
        (directory / "gone").rmdir()

    with tmpfs(inside):
        (inside / "mine").touch()
        for name, text in (
            ("restore", snapshot),
            ("undo", "\n"),
            ("restore", f"{snapshot}\td"),
            ("head", "beside"),
            ("head", "main"),
            ("drop", "beside"),
        ):
            if name == "restore":
                change()
            control(held, name, text)
            assert os.listdir(inside) == ["mine"], name
            assert inside.is_mount()
            if name != "undo":
                assert (directory / "file").read_text() == "old"
                assert sorted(os.listdir(directory)) == ["file", "gone", "inside", "removed"]
                assert (directory / "removed").exists()
                assert not (directory / "made").exists()
            else:
                assert (directory / "file").read_text() == "new and longer"
                assert not (directory / "removed").exists()
                (directory / "gone").mkdir()
        # The server that goes on looks, too.
        held.kill()
        change()
        control(held, "restore", snapshot)
        assert os.listdir(inside) == ["mine"]
    assert os.listdir(inside) == []


@pytest.mark.mount
@pytest.mark.slow
@pytest.mark.skipif(kernel_release() < (6, 9), reason="this kernel does not send again")
def test_a_mountpoint_that_a_restore_takes_away_goes(held):
    snapshot = (held.path / ".pyi" / "snapshot").read_text().split("\t")[0]
    with tmpfs(held.path / "later"):
        control(held, "restore", snapshot)
        assert not (held.path / "later").exists()
        assert f" {held.path}/later " not in Path("/proc/self/mountinfo").read_text()
