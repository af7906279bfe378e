"""Ephemeral branches through a mount: nothing reaches the disk, and `kill -9` loses nothing."""

import json
import os
import shutil
from pathlib import Path

import pytest

from pyi_fs.limits import SPARE_LAYERS
from pyi_fs.store.memory import SHARED_MEMORY, is_tmpfs
from tests.support.engine_rig import blocks_below
from tests.support.mounting import Mount, mounted

pytestmark = [
    pytest.mark.mount,
    pytest.mark.slow,
    pytest.mark.skipif(not is_tmpfs(SHARED_MEMORY), reason="/dev/shm is no tmpfs"),
]

WRITTEN_BYTES = 100 << 20
# A branch's records in the log, a log's block of 4 KiB, and one for its note; and two directories
# for each layer that is made ahead for `main`, whenever the thread gets to it.
OPERATIONS_BYTES_MAX = (32 << 10) + SPARE_LAYERS * 2 * 4096


@pytest.fixture
def memory(tmp_path: Path):
    """Where the memory of the test's store is; removed afterwards."""
    (tmp_path / "store").mkdir()
    status = (tmp_path / "store").stat()
    path = Path(SHARED_MEMORY) / f"pyi-{status.st_uid}" / f"{status.st_dev:x}-{status.st_ino:x}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_a_dropped_experiment_never_reached_the_disk(tmp_path: Path, memory: Path) -> None:
    with mounted(tmp_path) as mount:
        (mount.path / "a").write_bytes(b"a")
        mount.control("branch", "try --ephemeral\n")
        branch = mount.path / ".pyi" / "branches" / "try"
        os.sync()
        before = blocks_below(tmp_path / "store")
        with (branch / "big").open("wb") as file:
            for number in range(WRITTEN_BYTES >> 20):
                file.write(bytes([number]) * (1 << 20))
            file.flush()
            os.fsync(file.fileno())
        assert blocks_below(memory) >= WRITTEN_BYTES
        assert blocks_below(tmp_path / "store") - before <= OPERATIONS_BYTES_MAX
        status = json.loads((branch / ".pyi" / "status").read_text())
        assert status["ephemeral"] is True
        assert status["spilled"] is False
        assert status["memory_bytes"] >= WRITTEN_BYTES
        mount.control("drop", "try\n")
        assert blocks_below(tmp_path / "store") - before <= OPERATIONS_BYTES_MAX


def test_kill_loses_nothing_and_head_brings_it_to_disk(tmp_path: Path, memory: Path) -> None:
    mount = Mount(tmp_path / "store", tmp_path / "mount")
    mount.control("branch", "try --ephemeral\n")
    branch = mount.path / ".pyi" / "branches" / "try"
    (branch / "f").write_bytes(b"x" * 1_000_000)
    (branch / "d").mkdir()
    mount.kill()
    with mounted(tmp_path) as mount:
        branch = mount.path / ".pyi" / "branches" / "try"
        assert (branch / "f").read_bytes() == b"x" * 1_000_000
        assert (branch / "d").is_dir()
        (branch / "f").write_bytes(b"y" * 1_000_000)
        mount.control("head", "try\n")
        assert (mount.path / "f").read_bytes() == b"y" * 1_000_000
    assert not list(memory.glob("layers/*/*"))
    shutil.rmtree(memory)
    with mounted(tmp_path) as mount:
        assert (mount.path / ".pyi" / "branches" / "try" / "f").read_bytes() == b"y" * 1_000_000


def test_memory_that_is_gone_leaves_a_mount_that_works(tmp_path: Path, memory: Path) -> None:
    with mounted(tmp_path) as mount:
        (mount.path / "a").write_bytes(b"a")
        mount.control("branch", "try --ephemeral\n")
        (mount.path / ".pyi" / "branches" / "try" / "f").write_bytes(b"x")
    shutil.rmtree(memory)
    with mounted(tmp_path) as mount:
        branch = mount.path / ".pyi" / "branches" / "try"
        assert sorted(os.listdir(branch)) == ["a"]
        assert (
            "memory that it was in is gone"
            in json.loads((branch / ".pyi" / "status").read_text())["lost"]
        )
        assert (mount.path / "a").read_bytes() == b"a"
