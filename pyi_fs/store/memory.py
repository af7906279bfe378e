"""Where the layers of ephemeral branches are: a directory of `/dev/shm`.

`/dev/shm/pyi-UID/DEVICE-INODE` belongs to the store whose directory has that device and inode; UID
is the store's owner. It is used only if nobody else can have made it or changed it.

Source: shm_overview(7), tmpfs(5); `docs/decisions/0004-ephemeral-branches.md`.
"""

import logging
import os
import stat
from contextlib import suppress
from pathlib import Path

from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.storage import LockFile, Storage

log = logging.getLogger(__name__)

SHARED_MEMORY = "/dev/shm"
_STORE = "store"
_LOCK = "lock"
_MOUNTINFO = Path("/proc/self/mountinfo")


class MemoryDirectory:
    """The directory in memory of one store."""

    def __init__(self, store: Path | str) -> None:
        """Looks for nothing yet."""
        self._store = os.path.abspath(os.fspath(store))
        self._shared = SHARED_MEMORY
        self._found: Storage | None = None
        self._path = ""
        self._own = ""
        self._lock: LockFile | None = None
        self._said = ""
        self.refusal = ""
        """Why nothing could be made in memory, as the end of a sentence; empty if it could."""

    def find(self, create: bool) -> Storage | None:
        """Returns the storage there, or None; with `create` it is made if it can be.

        Never raises because of what it finds.
        """
        if self._found is not None and not create:
            return self._found
        # Asked at each use of a layer's file where there is nothing in memory.
        if self._own and not create and not os.path.lexists(self._own):
            return None
        try:
            status = os.stat(self._store)
        except OSError:
            return None
        path = f"{self._shared}/pyi-{status.st_uid}/{status.st_dev:x}-{status.st_ino:x}"
        self._own = path
        if not create and not os.path.lexists(path):
            return None
        self.refusal = self._reason_against(os.path.dirname(path), status.st_uid, create=create)
        if self.refusal:
            self._say()
            return None
        storage = DirectoryStorage(path, is_memory=True)
        if self._found is None or not os.path.lexists(path):
            try:
                self._settle(storage, path)
            except OSError as error:
                self.refusal = f"{path} cannot be made: {error.strerror}"
                self._say()
                return None
        self._found, self._path = storage, path
        return storage

    def _say(self) -> None:
        """Says why there is no memory, once."""
        if self.refusal != self._said:
            self._said = self.refusal
            log.warning("ephemeral branches are written to disk: %s", self.refusal)

    def free_bytes(self) -> int:
        """Returns what the tmpfs has room for, less a sixteenth of it for other programs."""
        try:
            found = os.statvfs(self._path or self._shared)
        except OSError:
            return 0
        return found.f_frsize * (found.f_bavail - found.f_blocks // 16)

    def close(self) -> None:
        """Says that this process does not use the directory any more; what is in it stays."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        self._found = None

    def _reason_against(self, parent: str, uid: int, *, create: bool) -> str:
        if not is_tmpfs(self._shared):
            return f"{self._shared} is not a tmpfs"
        if not os.lstat(self._shared).st_mode & stat.S_ISVTX:
            return f"{self._shared} is not sticky (mode 1777): others could replace what is in it"
        if create:
            with suppress(FileExistsError):
                DirectoryStorage(self._shared).make_directory(os.path.basename(parent))
                if os.geteuid() != uid:
                    os.chown(parent, uid, -1)
        try:
            found = os.lstat(parent)
        except OSError as error:
            return f"{parent}: {error.strerror}"
        if not stat.S_ISDIR(found.st_mode):
            return f"{parent} is not a directory"
        if found.st_uid != uid:
            return f"{parent} belongs to user {found.st_uid}"
        if stat.S_IMODE(found.st_mode) & 0o077:
            return f"{parent} is open to others (mode {stat.S_IMODE(found.st_mode):04o})"
        return ""

    def _settle(self, storage: DirectoryStorage, path: str) -> None:
        if not os.path.lexists(path):
            self._sweep(os.path.dirname(path))
            storage.make_directory("", parents=True)
        if self._lock is None or not storage.exists(_LOCK):
            self._lock = storage.lock(_LOCK, exclusive=False)
        if not storage.exists(_STORE):
            storage.write_atomic(_STORE, [os.fsencode(self._store)], durable=False)

    def _sweep(self, parent: str) -> None:
        """Removes what belongs to stores that are gone: nobody else will, before the next boot."""
        siblings = DirectoryStorage(parent)
        for name in siblings.list(""):
            with suppress(OSError):
                place = os.fsdecode(siblings.read(f"{name}/{_STORE}"))
                if _is_there(place, name):
                    continue
                lock = siblings.lock(f"{name}/{_LOCK}", wait=False)
                if lock is not None:
                    _remove_tree(siblings, name)
                    lock.release()


def is_tmpfs(path: str) -> bool:
    """Returns whether a directory is in a tmpfs; False where that cannot be found out."""
    with suppress(OSError, ValueError):
        device = os.stat(path).st_dev
        number = f"{os.major(device)}:{os.minor(device)}".encode()
        # 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
        # Not `splitlines`: a path may have a carriage return in it.
        for line in _MOUNTINFO.read_bytes().rstrip(b"\n").split(b"\n"):
            fields, _, rest = line.partition(b" - ")
            if fields.split(b" ")[2] == number:
                return rest.split(b" ")[0] == b"tmpfs"
    return False


def _is_there(place: str, name: str) -> bool:
    try:
        found = os.stat(place)
    except OSError:
        return False
    return f"{found.st_dev:x}-{found.st_ino:x}" == name


def _remove_tree(storage: Storage, path: str) -> None:
    for name in storage.list(path):
        below = f"{path}/{name}"
        if os.path.isdir(storage.host_path(below)):
            _remove_tree(storage, below)
        else:
            storage.remove(below)
    storage.remove_directory(path)
