"""Fixtures of the tests on full, failing and damaged disks."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fixtures import boot, empty_chunk_index
from tests.support.workspaces import IndexShelf

__all__ = ["boot", "empty_chunk_index", "shelf"]


@pytest.fixture
def shelf(empty_chunk_index: Path) -> Iterator[IndexShelf]:
    """Directories with an empty chunk index, in memory: a run of hundreds waits for no disk."""
    directory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="pyi-disks-", dir=directory) as path:
        yield IndexShelf(empty_chunk_index, Path(path))
