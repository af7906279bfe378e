"""Stores with a secret in them, every byte of a store, and everything that its workspaces show."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pyi_fs.engine.content import content_root, seal_snapshots
from pyi_fs.engine.history import History
from pyi_fs.engine.purge import plan
from pyi_fs.engine.purge_execution import Purged, carry_out
from pyi_fs.engine.reader import Reader
from pyi_fs.engine.roots import positions_of
from pyi_fs.engine.store import Store
from pyi_fs.ids import Position, WorkspaceName
from pyi_fs.model.inode import Inode
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.packs import PackReader, list_packs, read_pack_index
from pyi_fs.store.storage import AppendFile
from tests.support.engine_rig import noise
from tests.support.storage import Crash

SECRET = b"sk-live-" + noise(24, "secret").hex().encode()


class Shown(NamedTuple):
    """A file as a tree shows it, data and all."""

    inode: Inode
    data: bytes


Picture = dict[tuple[str, Position], dict[bytes, Shown]]


def every_byte(store: Store) -> dict[str, bytes]:
    """Returns the bytes of every file of a store, and of every chunk in every pack."""
    found = {
        str(path.relative_to(store.path)): path.read_bytes()
        for path in store.path.rglob("*")
        if path.is_file()
    }
    reader = PackReader(store.storage)
    for pack in list_packs(store.storage):
        for entry in read_pack_index(store.storage, pack):
            name = f"{pack.hex()}:{entry.chunk.hex()}"
            found[name] = reader.read_entry(pack, entry)
    reader.close()
    return found


def places(store: Store, secret: bytes) -> list[str]:
    """Returns the names of the files and chunks that have some bytes in them."""
    return [name for name, data in every_byte(store).items() if secret in data]


def pictures(store: Store) -> Picture:
    """Returns all that every position which a workspace can come back to shows."""
    history, reader = History(store.layers), Reader(store.layers, store.chunks)
    found: Picture = {}
    for name in store.workspace_names():
        for position in set(positions_of(store, name)):
            tree = history.tree(position)
            found[name, position] = {
                path: Shown(inode, reader.read_all(inode) if inode.is_file else b"")
                for path, _, inode in tree.walk()
            }
    return found


def without(picture: Picture, is_purged) -> Picture:
    """Returns a picture in which the content of some files is zeros.

    `is_purged`: given workspace and path.
    """
    return {
        key: {
            path: shown._replace(data=bytes(len(shown.data))) if is_purged(key[0], path) else shown
            for path, shown in tree.items()
        }
        for key, tree in picture.items()
    }


def comparable(picture: Picture) -> dict[object, dict[bytes, object]]:
    """Returns a picture without where bytes are: extents change, what they hold does not."""
    return {
        key: {
            path: (shown.data, [getattr(shown.inode, field) for field in _FIELDS])
            for path, shown in tree.items()
        }
        for key, tree in picture.items()
    }


_FIELDS = [field for field in Inode.__struct_fields__ if field != "extents"]


def purge(store: Store, workspace: str, *paths: bytes, everywhere: bool = False) -> Purged:
    """Plans and carries out."""
    return carry_out(store, plan(store, workspace, paths, everywhere=everywhere))


def seal_all_snapshots(store: Store, workspace: str) -> None:
    """Computes the content roots of all snapshots."""
    log = OperationsLog(store.storage, WorkspaceName(workspace))
    log.close()
    seal_snapshots(store, WorkspaceName(workspace), [one.id for one in log.refs.ordered()])


def roots_are_right(store: Store) -> bool:
    """Returns whether every sealed snapshot has the content root that its tree gives."""
    history, reader = History(store.layers), Reader(store.layers, store.chunks)
    for name in store.workspace_names():
        log = OperationsLog(store.storage, name)
        log.close()
        for snapshot in log.refs.ordered():
            tree = history.tree(snapshot.position)
            if snapshot.root not in (None, content_root(store.chunks, reader, tree)):
                return False
    return True


class CrashingFile:
    """A file open for appending whose storage may die before a call of it."""

    def __init__(self, file: AppendFile, count: Callable[[], None]) -> None:
        self._file = file
        self._count = count

    def __getattr__(self, name: str) -> object:
        if name in ("append", "sync", "write_again", "truncate"):
            self._count()
        return getattr(self._file, name)


class CrashingDirectory(DirectoryStorage):
    """The real storage, dead before its n-th changing call, those of open files among them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls_left: int | None = None

    def _count(self) -> None:
        if self.calls_left is not None:
            if self.calls_left <= 0:
                raise Crash("dead")
            self.calls_left -= 1

    def open_append(self, path, *, create=False):
        self._count()
        return CrashingFile(super().open_append(path, create=create), self._count)

    def rename(self, old, new):
        self._count()
        super().rename(old, new)

    def remove(self, path):
        self._count()
        super().remove(path)

    def sync_directory(self, path):
        self._count()
        super().sync_directory(path)

    def write_atomic(self, path, parts, *, durable=True):
        self._count()
        super().write_atomic(path, parts, durable=durable)


@contextmanager
def crashing(path: Path, calls: int) -> Iterator[Store]:
    """A process that dies before its storage's changing call of that number, counted from 0."""
    storage = CrashingDirectory(path)
    store = Store(storage, path)
    storage.calls_left = calls
    try:
        yield store
    finally:
        storage.calls_left = None
        store.close()
