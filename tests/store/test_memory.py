"""The directory of `/dev/shm` that belongs to a store: made, found again, refused if it is foreign.

In a directory of the real `/dev/shm` that stands in for it, so these need a tmpfs there.
"""

import os
import shutil
from pathlib import Path

import pytest

from pyi_fs.store import memory
from pyi_fs.store.memory import MemoryDirectory, is_tmpfs
from tests.support.fixtures import shared_memory

__all__ = ["shared_memory"]


@pytest.fixture
def shared(shared_memory: Path) -> Path:
    return shared_memory


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir()
    return path


def own(shared: Path) -> Path:
    return shared / f"pyi-{os.geteuid()}"


def test_it_is_made_when_something_is_to_be_put_there_and_found_by_others(
    shared: Path, store: Path
) -> None:
    one, other = MemoryDirectory(store), MemoryDirectory(store)
    assert one.find(False) is None
    assert list(shared.iterdir()) == []
    made = one.find(True)
    assert made is not None
    made.make_directory("layers/ab", parents=True)
    found = other.find(False)
    assert found is not None
    assert found.list("layers") == ["ab"]
    status = store.stat()
    directory = own(shared) / f"{status.st_dev:x}-{status.st_ino:x}"
    assert {path.stat().st_mode & 0o777 for path in (own(shared), directory)} == {0o700}
    assert (directory / "store").read_text() == str(store)
    assert one.refusal == other.refusal == ""
    one.close()
    other.close()


def test_reads_of_what_is_in_memory_never_have_to_wait(shared: Path, store: Path) -> None:
    directory = MemoryDirectory(store)
    made = directory.find(True)
    assert made is not None
    file = made.open_append("a", create=True)
    file.append(b"bytes")
    file.close()
    read = made.open_read("a")
    assert read.read_at_nowait(1, 3) == b"yte"
    assert read.read_at_nowait(3, 30) == b"es"
    read.close()
    directory.close()


def test_a_directory_made_anew_after_it_was_removed(shared: Path, store: Path) -> None:
    directory = MemoryDirectory(store)
    assert directory.find(True) is not None
    shutil.rmtree(own(shared))
    found = directory.find(True)
    assert found is not None
    assert own(shared).is_dir()
    assert found.exists("store")
    directory.close()


@pytest.mark.parametrize("kind", ["symlink", "file", "open", "foreign"])
def test_what_others_could_have_made_is_refused(shared: Path, store: Path, kind: str) -> None:
    elsewhere = shared / "elsewhere"
    elsewhere.mkdir()
    status = store.stat()
    (elsewhere / f"{status.st_dev:x}-{status.st_ino:x}").mkdir()
    if kind == "symlink":
        own(shared).symlink_to(elsewhere)
    elif kind == "file":
        own(shared).touch(0o600)
    else:
        elsewhere.rename(own(shared))
        own(shared).chmod(0o770 if kind == "open" else 0o700)
        if kind == "foreign":
            if os.geteuid():
                pytest.skip("only root can give a directory away")
            os.chown(own(shared), 12345, 12345)
    for create in (True, False):
        directory = MemoryDirectory(store)
        assert directory.find(create) is None
        if create or kind != "file":
            assert str(own(shared)) in directory.refusal


def test_a_directory_that_is_no_tmpfs_or_not_sticky_is_refused(
    shared: Path,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shared.chmod(0o777)
    directory = MemoryDirectory(store)
    assert directory.find(True) is None
    assert directory.find(True) is None
    assert "sticky" in directory.refusal
    said = f"ephemeral branches are written to disk: {directory.refusal}"
    assert [record.message for record in caplog.records] == [said]
    monkeypatch.setattr(memory, "is_tmpfs", lambda _: False)
    directory = MemoryDirectory(store)
    assert directory.find(True) is None
    assert directory.refusal == f"{shared} is not a tmpfs"
    assert not is_tmpfs(str(tmp_path / "missing"))


def test_a_missing_one_is_refused(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "SHARED_MEMORY", str(tmp_path / "shm"))
    directory = MemoryDirectory(store)
    assert directory.find(True) is None
    assert directory.refusal.endswith("is not a tmpfs")
    assert directory.free_bytes() == 0
    assert MemoryDirectory(tmp_path / "no store").find(True) is None


def test_what_belongs_to_stores_that_are_gone_is_removed(
    shared: Path, store: Path, tmp_path: Path
) -> None:
    gone, kept, in_use = (tmp_path / name for name in ("gone", "kept", "in use"))
    held = []
    for path in (gone, kept, in_use):
        path.mkdir()
        directory = MemoryDirectory(path)
        made = directory.find(True)
        assert made is not None
        made.make_directory("layers/ab/ab00000001", parents=True)
        made.write_atomic("layers/ab/ab00000001/journal", [b"x"])
        held.append(directory)
    held[0].close()
    held[1].close()
    gone.rmdir()
    in_use.rmdir()
    directory = MemoryDirectory(store)
    assert directory.find(True) is not None
    names = {Path((path / "store").read_text()).name for path in own(shared).iterdir()}
    assert names == {"kept", "in use", "store"}
    held[2].close()
    directory.close()


def test_a_sixteenth_of_the_tmpfs_is_left_to_others(shared: Path, store: Path) -> None:
    directory = MemoryDirectory(store)
    assert directory.find(True) is not None
    found = os.statvfs(shared)
    assert 0 < directory.free_bytes() <= found.f_frsize * (found.f_blocks * 15 // 16 + 1)
    directory.close()


def test_a_mountpoint_with_a_carriage_return_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    lines = tmp_path / "mountinfo"
    lines.write_text(f"60 22 0:50 / /a\rb\rc rw - x x rw\n61 22 {number} / /c rw - tmpfs x rw\n")
    monkeypatch.setattr(memory, "_MOUNTINFO", lines)
    assert is_tmpfs(str(tmp_path))
