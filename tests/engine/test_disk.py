"""The disk of a store, as its user sees it."""

import os
from pathlib import Path

from pyi_fs.engine.disk import disk_of
from pyi_fs.store.directory_storage import DirectoryStorage


def test_a_disk_has_a_size_and_room(tmp_path: Path) -> None:
    found, disk = os.statvfs(tmp_path), disk_of(DirectoryStorage(tmp_path))
    assert disk.size_bytes == found.f_blocks * found.f_frsize
    assert 0 <= disk.free_bytes <= disk.size_bytes
