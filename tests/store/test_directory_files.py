"""Descriptors of the host: used by threads while their owner closes them, and without punching."""

import errno
import os
import threading
from pathlib import Path

import pytest

from pyi_fs.store import directory_files
from pyi_fs.store.directory_storage import DirectoryStorage


def test_punch_without_support_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = DirectoryStorage(tmp_path)
    file = storage.open_append("a", create=True)
    file.append(b"x" * 8192)
    monkeypatch.setattr(directory_files, "_fallocate", lambda: lambda *_: errno.EOPNOTSUPP)
    file.punch(0, 8192)
    assert storage.read("a") == b"x" * 8192
    monkeypatch.setattr(directory_files, "_fallocate", lambda: lambda *_: errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        file.punch(0, 8192)


def test_an_append_file_is_closed_after_its_last_reader(tmp_path: Path) -> None:
    """Its number must not become another file's in the middle of a read."""
    storage = DirectoryStorage(tmp_path)
    file = storage.open_append("a", create=True)
    file.append(b"content")
    started, go_on, results = threading.Event(), threading.Event(), []
    read_at = "pyi_fs.store.directory_files._read_at"

    with pytest.MonkeyPatch.context() as patch:
        real = directory_files._read_at  # noqa: SLF001

        def slow(descriptor: int, offset: int, length: int) -> bytes:
            started.set()
            assert go_on.wait(10)
            return real(descriptor, offset, length)

        patch.setattr(read_at, slow)
        thread = threading.Thread(target=lambda: results.append(file.read_at(0, 7)))
        thread.start()
        assert started.wait(10)
        file.close()
        other = storage.open_append("b", create=True)
        other.append(b"another")
        go_on.set()
        thread.join(10)
    assert results == [b"content"]
    with pytest.raises(OSError, match="Bad file"):
        file.read_at(0, 7)
    other.close()


def test_an_append_file_is_closed_after_its_last_sync(tmp_path: Path) -> None:
    storage = DirectoryStorage(tmp_path)
    file = storage.open_append("a", create=True)
    file.append(b"content")
    synced: list[int] = []
    with pytest.MonkeyPatch.context() as patch:

        def closed_meanwhile(descriptor: int) -> None:
            file.close()
            synced.extend((os.fstat(descriptor).st_size, descriptor))

        patch.setattr("os.fdatasync", closed_meanwhile)
        file.sync()
    assert synced[0] == 7
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(synced[1])
