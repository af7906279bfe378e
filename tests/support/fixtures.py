"""Fixtures of stores and workspaces; `conftest.py` of a folder imports those it needs."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from pyi_fs.ids import LayerId
from pyi_fs.store import layers, layout
from pyi_fs.store import memory as store_memory
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex
from pyi_fs.store.memory import is_tmpfs
from tests.support.storage import MemoryStorage
from tests.support.tiers import new_tiers
from tests.support.workspaces import Boot, IndexShelf, Rig, assert_sound, boot, new_workspace

__all__ = [
    "boot",
    "empty_chunk_index",
    "layer_numbers",
    "memory",
    "memory_path",
    "shared_memory",
    "shelf",
    "store_dir",
    "tiered",
    "workspace",
]


@pytest.fixture(scope="session")
def empty_chunk_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with its tables."""
    root = tmp_path_factory.mktemp("chunk-index")
    ChunkIndex(DirectoryStorage(root)).close()
    return root / layout.INDEX


@contextmanager
def _directory_in_memory() -> Iterator[Path]:
    directory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="pyi-test-", dir=directory) as path:
        yield Path(path)


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """Gives a directory in memory, if there is one: for those who sync hundreds of times.

    What a power loss takes is simulated (`tests/support/crashes.py`), never asked of a disk.
    """
    with _directory_in_memory() as path:
        yield path


@pytest.fixture
def shelf(empty_chunk_index: Path) -> Iterator[IndexShelf]:
    """Gives directories with an empty chunk index, in memory as `memory_path`."""
    with _directory_in_memory() as path:
        yield IndexShelf(empty_chunk_index, path)


@pytest.fixture
def memory(shelf: IndexShelf) -> MemoryStorage:
    """A storage in memory, whose chunk index is in a directory of the host."""
    return MemoryStorage(shelf.directory())


@pytest.fixture
def tiered(shelf: IndexShelf, boot: Boot) -> Iterator[Rig]:
    """A workspace on a machine of two tiers (`rig.storage`); the whole state is checked after."""
    rig = new_workspace(new_tiers(shelf.directory()))
    yield rig
    assert_sound(rig)


@pytest.fixture
def layer_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives layers numbers in turn: who counts calls counts the same ones each time.

    Of two layers whose random numbers begin alike, the second needs no directory for them.
    """
    numbers = count(1)

    def drawn() -> LayerId:
        number = next(numbers)
        return LayerId(number % 256 << 32 | number)

    monkeypatch.setattr(layers, "_drawn", drawn)


@pytest.fixture
def shared_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of the real `/dev/shm` that stands in for it."""
    if not is_tmpfs("/dev/shm"):
        pytest.skip("/dev/shm is no tmpfs")
    path = Path(tempfile.mkdtemp(prefix="pyi-test-", dir="/dev/shm"))
    path.chmod(0o1777)
    monkeypatch.setattr(store_memory, "SHARED_MEMORY", str(path))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def store_dir(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store"


@pytest.fixture
def workspace(memory: MemoryStorage, boot: Boot) -> Iterator[Rig]:
    """A workspace in memory; the whole state is checked after the test."""
    rig = new_workspace(memory)
    yield rig
    assert_sound(rig)


Opener = Callable[[], Rig]
