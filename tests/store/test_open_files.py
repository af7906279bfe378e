"""A bounded number of files is open, and none is closed while it is read."""

import threading

import pytest

from pyi_fs.store.open_files import OpenFiles
from pyi_fs.store.storage import ReadFile
from tests.support.storage import MemoryStorage


class Opened:
    """Opens files of a storage and remembers them."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        self.files: dict[str, ReadFile] = {}
        for name in "abc":
            self.storage.write_atomic(name, [name.encode()])

    def __call__(self, name: str) -> ReadFile:
        self.files[name] = self.storage.open_read(name)
        return self.files[name]

    def is_open(self, name: str) -> bool:
        try:
            self.files[name].size_bytes()
        except OSError:
            return False
        return True


def test_the_one_used_longest_ago_is_closed() -> None:
    opened = Opened()
    files = OpenFiles(opened, 2)
    for name in ("a", "b", "a", "c"):
        files.release(files.acquire(name))
    assert [opened.is_open(name) for name in "abc"] == [True, False, True]
    assert list(files.keys()) == ["a", "c"]
    files.close()
    assert not any(opened.is_open(name) for name in "abc")


def test_nowait_gives_what_is_open_and_nobody_is_at() -> None:
    opened = Opened()
    files = OpenFiles(opened, 2)
    assert files.acquire_nowait("a") is None
    assert opened.files == {}
    for name in ("a", "b"):
        files.release(files.acquire(name))
    found = files.acquire_nowait("a")
    assert found is not None
    assert found.file.read_at(0, 1) == b"a"
    # It was used last, and is being read.
    files.release(files.acquire("c"))
    assert [opened.is_open(name) for name in "abc"] == [True, False, True]
    files.release(found)
    lock: threading.Lock = vars(files)["_lock"]
    with lock:
        assert files.acquire_nowait("a") is None
    files.close()
    assert not opened.is_open("a")


def test_one_that_is_read_stays_open_beyond_the_limit_and_when_forgotten() -> None:
    opened = Opened()
    files = OpenFiles(opened, 1)
    reading = files.acquire("a")
    files.release(files.acquire("b"))
    assert reading.file.read_at(0, 1) == b"a"
    files.forget("a")
    assert reading.file.read_at(0, 1) == b"a"
    again = files.acquire("a")
    assert again is not reading
    files.release(reading)
    with pytest.raises(OSError, match="Bad file"):
        reading.file.read_at(0, 1)
    assert again.file.read_at(0, 1) == b"a"
    files.release(again)


def test_what_cannot_be_opened_is_not_kept() -> None:
    files = OpenFiles(Opened(), 1)
    with pytest.raises(FileNotFoundError):
        files.acquire("gone")
    assert list(files.keys()) == []
    files.forget("gone")
