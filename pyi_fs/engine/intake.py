"""What an import takes in: chunks on their way to the store, records on their way to a base table.

A record is written when the chunks it names are put, a hard-linked file's when all its names are
known. What waits is bounded; what a record needs afterwards is in the table.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from pyi_fs import limits
from pyi_fs.engine.store import Store
from pyi_fs.format.table_parts import PART_BYTES
from pyi_fs.format.table_writer import TableWriter
from pyi_fs.ids import InodeNumber, LayerId
from pyi_fs.model import extent
from pyi_fs.model.edit_file import time_within
from pyi_fs.model.extent import Extent
from pyi_fs.model.inode import Inode
from pyi_fs.store import layout
from pyi_fs.store.storage import TEMPORARY_SUFFIX

# Chunks wait for each other so that the index is asked once for many; bounded, because they wait in
# memory.
_WAITING_BYTES_MAX = 8 << 20
_WAITING_CHUNKS_MAX = 128


@dataclass(slots=True, eq=False)
class Pending:
    """An inode whose record is not written yet: chunks or names of it are still to come."""

    number: InodeNumber
    status: os.stat_result
    names: list[tuple[InodeNumber, bytes]]
    attributes: tuple[tuple[bytes, bytes], ...] = ()
    extents: list[Extent] = field(default_factory=list)
    target: bytes = b""
    size: int = 0
    is_linked: bool = False


class Intake:
    """The contents and the base table of one new layer, until `finish`.

    Use as `with closing(...)`.
    """

    def __init__(
        self,
        store: Store,
        layer: LayerId,
        now_ns: int,
        *,
        privileged: bool,
        progress: Callable[[], None] | None = None,
    ) -> None:
        """Begins the table. `now_ns` becomes ctime and btime; `privileged`: owners are kept."""
        self._store = store
        self._layer = layer
        self._now_ns = now_ns
        self._privileged = privileged
        self._progress = progress
        self._path = layout.base(layer)
        self._table = TableWriter()
        self._output = store.storage.open_append(self._path + TEMPORARY_SUFFIX, create=True)
        self._waiting: list[tuple[Pending, int, bytes]] = []
        self._waiting_bytes = 0
        self._complete: list[Pending] = []
        self._linked: dict[tuple[int, int], Pending] = {}

    def begin(
        self, number: InodeNumber, status: os.stat_result, parent: InodeNumber, name: bytes
    ) -> Pending:
        """Returns a file whose chunks come next."""
        pending = Pending(number, status, [(parent, name)])
        if status.st_nlink > 1:
            pending.is_linked = True
            full = self._linked.get((status.st_dev, status.st_ino))
            if full is not None:
                # It has as many links as an inode can have; the other names get a copy.
                self._complete.append(full)
            self._linked[status.st_dev, status.st_ino] = pending
        return pending

    def link(self, status: os.stat_result, parent: InodeNumber, name: bytes) -> bool:
        """Gives another name to a file that was begun; False if there is none that can take it."""
        known = self._linked.get((status.st_dev, status.st_ino))
        if known is None or len(known.names) >= limits.LINKS_MAX:
            return False
        known.names.append((parent, name))
        return True

    def keep(self, pending: Pending, offset: int, chunk: bytes) -> None:
        """Takes a chunk of a file, which stands at `offset` in it."""
        self._waiting.append((pending, offset, chunk))
        self._waiting_bytes += len(chunk)
        if len(self._waiting) >= _WAITING_CHUNKS_MAX or self._waiting_bytes >= _WAITING_BYTES_MAX:
            self._put_waiting()

    def complete(self, pending: Pending) -> None:
        """All chunks of a file were given."""
        if not pending.is_linked:
            self._complete.append(pending)
        if len(self._complete) >= _WAITING_CHUNKS_MAX:
            self._drain()

    def add_directory(self, pending: Pending, subdirectories: int) -> None:
        """Takes a directory."""
        self._add(pending, 2 + subdirectories)

    def finish(self) -> None:
        """Makes the chunks and then the base table of the layer durable."""
        self._complete += self._linked.values()
        self._linked.clear()
        self._drain()
        self._store.chunks.flush()
        for part in self._table.finish():
            self._output.append(part)
        self._output.sync()
        self._store.storage.rename(self._path + TEMPORARY_SUFFIX, self._path)
        self._store.storage.sync_directory(layout.layer_directory(self._layer))

    def close(self) -> None:
        """Closes the file; without `finish` before, what was taken in is of no use."""
        self._output.close()

    def _put_waiting(self) -> None:
        ids = self._store.chunks.put_many(chunk for _, _, chunk in self._waiting)
        for chunk_id, (pending, offset, chunk) in zip(ids, self._waiting, strict=True):
            pending.extents.append(Extent(offset, len(chunk), extent.CHUNK, chunk_id, 0))
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._progress is not None:
            self._progress()

    def _drain(self) -> None:
        """Puts what waits and writes the records that are complete with it."""
        self._put_waiting()
        for pending in self._complete:
            self._add(pending, len(pending.names))
        self._complete.clear()
        if self._table.pending_bytes >= PART_BYTES:
            self._output.append(self._table.take())

    def _add(self, pending: Pending, links: int) -> None:
        status = pending.status
        mode = stat.S_IFMT(status.st_mode) | stat.S_IMODE(status.st_mode)
        uid, gid = status.st_uid, status.st_gid
        if not self._privileged:
            # As `cp -p` does: who may not give files away owns the copies, and set-id bits meant
            # the old owner.
            uid, gid = os.geteuid(), os.getegid()
            if (uid, gid) != (status.st_uid, status.st_gid) and not stat.S_ISDIR(mode):
                mode &= ~(stat.S_ISUID | stat.S_ISGID)
        is_device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
        parent, name = pending.names[0]
        record = Inode(
            mode,
            links,
            uid,
            gid,
            pending.size,
            time_within(status.st_atime_ns),
            time_within(status.st_mtime_ns),
            self._now_ns,
            self._now_ns,
            parent,
            name,
            extent.from_extents(pending.extents),
            pending.target,
            status.st_rdev if is_device else 0,
            pending.attributes,
            tuple(pending.names[1:]),
        )
        self._table.add(pending.number, record)
