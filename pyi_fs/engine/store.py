"""A store as one process has it open: storage, chunk store, layers."""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from pyi_fs.errors import (
    CorruptError,
    ForeignFileError,
    FormatTooNewError,
    FormatUnknownError,
    NotFoundError,
)
from pyi_fs.ids import WorkspaceName
from pyi_fs.store import layout, reserve
from pyi_fs.store.chunks import ChunkStore
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import ChunkIndex, discard_index
from pyi_fs.store.layers import Layers
from pyi_fs.store.log_note import read_log_synced
from pyi_fs.store.memory import MemoryDirectory
from pyi_fs.store.memory_bound import MemoryBound
from pyi_fs.store.storage import TEMPORARY_SUFFIX, Storage
from pyi_fs.store.tiers import TieredStorage

log = logging.getLogger(__name__)

STORE_VERSION = 1
_DIRECTORIES = (layout.LAYERS, layout.WORKSPACES, "packs")
_FORMAT_LINE = f"pyi-fs store {STORE_VERSION}\n"


class Store:
    """One process's open store. Many processes may have the same one open."""

    def __init__(
        self, storage: Storage, path: Path, directory: MemoryDirectory | None = None
    ) -> None:
        """Opens the parts over a storage that holds a store; use `open`."""
        self.path = path
        self.directory = directory
        self.storage = storage
        self.index = ChunkIndex(storage)
        self.chunks = ChunkStore(storage, self.index)
        free_bytes = directory.free_bytes if directory is not None else _unlimited
        self.layers = Layers(storage, self.chunks, boot_id(), MemoryBound(storage, free_bytes))

    @classmethod
    def open(cls, path: Path, *, create: bool = True, fills_reserve: bool = True) -> "Store":
        """Opens the store in a directory, making it (0700) on first use if `create`.

        `fills_reserve`: else that is left to the next sync.

        `NotFoundError` if there is none, `FormatUnknownError` if the directory holds something
        else, `FormatTooNewError`. A damaged chunk index is removed and made anew from the packs.
        """
        storage = DirectoryStorage(path)
        try:
            line = storage.read(layout.FORMAT).decode(errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            if not create:
                raise NotFoundError(f"no store at {path} (pyi-mount makes one)") from None
            _make(storage, path)
            line = _FORMAT_LINE
        _check_format(line, path)
        try:
            return cls._reconciled(storage, path, fills_reserve)
        except (CorruptError, FormatUnknownError) as error:
            if isinstance(error, ForeignFileError) and not error.file.startswith(layout.INDEX):
                raise
            log.warning("%s; it is made anew from the packs", error)
        lock = storage.lock(layout.FORMAT)
        assert lock is not None, "BUG: waited and did not get the lock"
        try:
            # Another process may have done it meanwhile.
            with suppress(CorruptError, FormatUnknownError):
                return cls._reconciled(storage, path, fills_reserve)
            discard_index(storage)
            return cls._reconciled(storage, path, fills_reserve)
        finally:
            lock.release()

    @classmethod
    def _reconciled(cls, disk: DirectoryStorage, path: Path, fills_reserve: bool) -> "Store":
        directory = MemoryDirectory(path)
        store = cls(TieredStorage(disk, directory.find), path, directory)
        try:
            # A writer killed between a pack's rename and its index commit leaves a pack the index
            # does not know.
            store.chunks.reconcile()
        except BaseException:
            store.close()
            raise
        if fills_reserve:
            reserve.make(store.storage)
        return store

    def workspace_names(self) -> list[WorkspaceName]:
        """Returns the names of all workspaces, sorted; also of those whose log was lost."""
        names = map(WorkspaceName, self.storage.list(layout.WORKSPACES))
        return [name for name in names if self._has_log(name)]

    def _has_log(self, name: WorkspaceName) -> bool:
        path = layout.operations_log(name)
        return self.storage.exists(path) or read_log_synced(self.storage, name) > 0

    def close(self) -> None:
        """Closes everything."""
        self.layers.close()
        self.chunks.close()
        self.index.close()
        if self.directory is not None:
            self.directory.close()


def _unlimited() -> int:
    return 1 << 60


def _make(storage: DirectoryStorage, path: Path) -> None:
    # Another process may be making it, or have died doing so: the format comes last, and before
    # anything else there will ever be.
    names = {entry.name for entry in path.iterdir()} if path.exists() else set()
    strange = {name for name in names.difference(_DIRECTORIES) if not _is_format(name)}
    if strange and not storage.exists(layout.FORMAT):
        raise FormatUnknownError(f"{path} is not empty and not a pyi store")
    storage.make_directory("", parents=True)
    os.chmod(path, 0o700)
    for directory in _DIRECTORIES:
        storage.make_directory(directory, parents=True)
    storage.write_atomic(layout.FORMAT, [_FORMAT_LINE.encode()])


def _is_format(name: str) -> bool:
    return name == layout.FORMAT or (
        name.startswith(f"{layout.FORMAT}.") and name.endswith(TEMPORARY_SUFFIX)
    )


def _check_format(line: str, path: Path) -> None:
    words = line.split()
    if words[:2] != ["pyi-fs", "store"] or len(words) != 3 or not words[2].isdecimal():
        raise FormatUnknownError(f"{path} is not a pyi store")
    if int(words[2]) > STORE_VERSION:
        raise FormatTooNewError(
            f"{path} was written by store version {words[2]}; this program knows {STORE_VERSION}"
        )


def boot_id() -> str:
    """Returns the kernel's id of this boot: what was unsynced before another one may be lost."""
    if sys.platform != "linux":
        return ""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
