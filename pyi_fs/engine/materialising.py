"""Whole sealed files as plain files: found, compared, or put together from their chunks.

Every byte was compared with a hash before a plain file is given out: those of the chunks when it
is made, that in its name when it is found. Runs in threads of a mount (decision 0009).
"""

import logging
import time
from collections.abc import Iterator

from pyi_fs import limits
from pyi_fs.engine import evicting
from pyi_fs.engine.disk import Disk, disk_of
from pyi_fs.engine.gc_settings import Settings, read_settings
from pyi_fs.engine.sealing import resolved
from pyi_fs.engine.store import Store
from pyi_fs.errors import PyiError
from pyi_fs.format.plain import Piece, joined, plain_key
from pyi_fs.ids import PlainKey
from pyi_fs.model import extent
from pyi_fs.model.inode import Inode
from pyi_fs.store.chunks import part_of
from pyi_fs.store.plain_files import PlainFile, PlainFiles

log = logging.getLogger(__name__)


class Materialiser:
    """Plain files for the readers of one process. Any thread may use it."""

    def __init__(self, store: Store) -> None:
        """Looks at nothing yet."""
        self._store = store
        self._storage = store.storage
        self._files = PlainFiles(store.storage)
        # Once in a process: after that the kernel reads a file as it is anyway.
        self._compared: set[PlainFile] = set()

    def plain(self, inode: Inode) -> PlainFile | None:
        """Returns the plain file of a regular file, made if there was none. BLOCKS.

        None if there can be none now: not all of it is sealed, it has holes, there is no room, or
        something cannot be read (which an ordinary read then says).
        """
        try:
            settings, disk = read_settings(self._storage), disk_of(self._storage)
            pieces = self.pieces(inode) if settings.plain(disk.size_bytes) else None
            if pieces is None:
                return None
            key = plain_key(pieces, inode.size)
            found = self._found(key, inode.size)
            return found or self._made(key, pieces, inode.size, settings, disk)
        except evicting.NoRoomError as error:
            log.info("no plain file of %d bytes: %s", inode.size, error)
        except (PyiError, OSError) as error:
            log.warning("no plain file of %d bytes: %s", inode.size, error)
        return None

    def pieces(self, inode: Inode) -> list[Piece] | None:
        """Returns the pieces of chunks that a file is; None if some of it is not sealed or a hole.

        `StoreError` if a seal map is damaged.
        """
        found, position = [], 0
        for item in extent.iterate(resolved(self._store, inode.extents)):
            if item.kind != extent.CHUNK or item.file_offset != position:
                return None
            found.append(Piece(item.chunk, item.source_offset, item.length))
            position = item.end
        return joined(found) if position == inode.size else None

    def _found(self, key: PlainKey, size_bytes: int) -> PlainFile | None:
        file = self._files.find(key)
        if file is None:
            return None
        try:
            if file not in self._compared and not self._files.is_whole(file, size_bytes):
                log.warning("%s has other bytes than it should: it is made anew", file.path)
                self._storage.remove(file.path)
                return None
        except FileNotFoundError:
            return None
        self._note(file)
        self._storage.touch(file.path)
        return file

    def _note(self, file: PlainFile) -> None:
        if len(self._compared) >= limits.PLAIN_KNOWN_MAX:
            self._compared.clear()
        self._compared.add(file)

    def _made(
        self, key: PlainKey, pieces: list[Piece], size_bytes: int, settings: Settings, disk: Disk
    ) -> PlainFile:
        with self._files.alone(key):
            # By somebody else, while this waited.
            file = self._found(key, size_bytes)
            if file is None:
                here = evicting.held_files(self._storage)
                room = evicting.plan_room(here, settings, disk, time.time_ns(), size_bytes)
                evicting.remove_planned(self._storage, room)
                file = self._files.make(key, self._read(pieces))
                self._note(file)
        return file

    def _read(self, pieces: list[Piece]) -> Iterator[bytes]:
        position = 0
        for piece in pieces:
            data = self._store.chunks.get_once(piece.chunk)
            item = extent.Extent(position, piece.length, extent.CHUNK, piece.chunk, piece.offset)
            yield part_of(data, item)
            position += piece.length
