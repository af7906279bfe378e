"""What the kernel says it has in memory."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pyi_fs.store import residency
from pyi_fs.store.residency import is_resident

BYTES = 1 << 20


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "f").write_bytes(os.urandom(BYTES))
    return str(tmp_path / "f")


def test_what_was_dropped_is_missing_and_read_again(path: str) -> None:
    assert is_resident(path)
    descriptor = os.open(path, os.O_RDWR)
    os.fsync(descriptor)
    # All of it: half of a large folio stays.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    # A tmpfs drops nothing.
    assert not is_resident(path) or _is_tmpfs(path)
    os.pread(descriptor, BYTES, 0)
    assert is_resident(path)
    os.close(descriptor)


def _is_tmpfs(path: str) -> bool:
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return max((m for m in mounts if path.startswith(m[1])), key=lambda m: len(m[1]))[2] == "tmpfs"


def test_empty_files_are_there_and_large_ones_are_not_looked_through(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residency, "LOOKED_THROUGH_BYTES_MAX", BYTES - 1)
    assert not is_resident(path)
    os.truncate(path, BYTES - 1)
    assert is_resident(path)
    os.truncate(path, 0)
    assert is_resident(path)
    with pytest.raises(FileNotFoundError):
        is_resident(f"{path}.none")


def test_locks_that_this_process_has_on_the_file_stay(path: str) -> None:
    """SQLite's: to close a file gives them all up, also those of another descriptor."""
    descriptor = os.open(path, os.O_RDWR)
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    assert is_resident(path)
    assert is_resident(path)
    # Another process asks: a lock of our own is none for us.
    program = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX|fcntl.LOCK_NB)"
    asked = subprocess.run([sys.executable, "-c", program, path], capture_output=True, check=False)
    assert b"BlockingIOError" in asked.stderr
    os.close(descriptor)


def test_the_same_file_is_opened_once(path: str) -> None:
    is_resident(path)
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(10):
        is_resident(path)
    assert len(set(os.listdir("/proc/self/fd")) - before) == 0
