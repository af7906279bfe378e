"""What is replaced or removed is zeros on the disk: seen through another name of the old file."""

import os
from pathlib import Path

import pytest

from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.overwriting import OVERWRITTEN_SUFFIX, discard, replace
from tests.support.storage import Crash, CrashingStorage

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


def test_a_power_loss_leaves_a_discarded_file_whole_or_under_the_other_name() -> None:
    """Not with zeros under its own: what stands for it might be read last."""
    counting = CrashingStorage(None)
    filled(counting)
    start = len(counting.calls)
    discard(counting, "file")
    for number in range(start, len(counting.calls)):
        crashing = CrashingStorage(number)
        filled(crashing)
        with pytest.raises(Crash):
            discard(crashing, "file")
        for seed in range(20):
            left = crashing.after_power_loss(seed)
            assert not left.exists("file") or left.read("file") == b"s" * SIZE, (number, seed)


def filled(storage: CrashingStorage) -> None:
    file = storage.open_append("file", create=True)
    file.append(b"s" * SIZE)
    file.sync()
    storage.sync_directory("")


def test_what_a_crash_left_is_discarded_and_what_is_gone_is_no_error(tmp_path: Path) -> None:
    storage = made(tmp_path)
    os.rename(tmp_path / "file", tmp_path / f"file{OVERWRITTEN_SUFFIX}")
    discard(storage, "file")
    assert (tmp_path / "same").read_bytes() == b"s" * SIZE
    discard(storage, f"file{OVERWRITTEN_SUFFIX}")
    assert (tmp_path / "same").read_bytes() == bytes(SIZE)
    assert os.listdir(tmp_path) == ["same"]
