"""Fixtures of the chunk store."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyi_fs.format import pack as form
from pyi_fs.store import layout
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex


@pytest.fixture(scope="session")
def empty_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with its tables: making them takes longer than the tests."""
    root = tmp_path_factory.mktemp("index")
    ChunkIndex(DirectoryStorage(root)).close()
    return root / layout.INDEX


@pytest.fixture
def fresh_index(empty_index: Path, tmp_path: Path) -> Callable[[], Path]:
    """Makes the index of the test empty, as if it had been lost; returns where it is."""

    def make() -> Path:
        for suffix in ("-wal", "-shm"):
            (tmp_path / (layout.INDEX + suffix)).unlink(missing_ok=True)
        shutil.copy(empty_index, tmp_path / layout.INDEX)
        return tmp_path

    return make


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "PACK_BYTES_TARGET", 3000)
