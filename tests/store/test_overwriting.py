"""What is replaced or removed is zeros on the disk: seen through another name of the old file."""

import os
from pathlib import Path

from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.overwriting import OVERWRITTEN_SUFFIX, discard, replace

SIZE = (1 << 20) + 5000


def made(path: Path) -> DirectoryStorage:
    storage = DirectoryStorage(path)
    (path / "file").write_bytes(b"s" * SIZE)
    os.link(path / "file", path / "same")
    return storage


def test_a_replaced_file_is_overwritten(tmp_path: Path) -> None:
    replace(made(tmp_path), "file", [b"new ", b"content"])
    assert (tmp_path / "file").read_bytes() == b"new content"
    assert (tmp_path / "same").read_bytes() == bytes(SIZE)
    assert sorted(os.listdir(tmp_path)) == ["file", "same"]


def test_a_discarded_file_is_overwritten_and_gone(tmp_path: Path) -> None:
    discard(made(tmp_path), "file")
    assert (tmp_path / "same").read_bytes() == bytes(SIZE)
    assert os.listdir(tmp_path) == ["same"]


def test_what_a_crash_left_is_discarded_and_what_is_gone_is_no_error(tmp_path: Path) -> None:
    storage = made(tmp_path)
    os.rename(tmp_path / "file", tmp_path / f"file{OVERWRITTEN_SUFFIX}")
    discard(storage, "file")
    assert (tmp_path / "same").read_bytes() == b"s" * SIZE
    discard(storage, f"file{OVERWRITTEN_SUFFIX}")
    assert (tmp_path / "same").read_bytes() == bytes(SIZE)
    assert os.listdir(tmp_path) == ["same"]
