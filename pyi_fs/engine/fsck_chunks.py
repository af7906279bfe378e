"""Checks packs and the chunk index against each other. Part of `engine/fsck.py`."""

from collections.abc import Sequence

from pyi_fs.engine.findings import Report, is_young
from pyi_fs.errors import MissingChunkError, PyiError
from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import ChunkId, PackId
from pyi_fs.model.extent import Extent
from pyi_fs.store import layout
from pyi_fs.store.index import ChunkIndex
from pyi_fs.store.index_schema import ChunkLocation
from pyi_fs.store.packs import PackReader, list_packs, pack_path, read_pack_index, verify_pack
from pyi_fs.store.storage import TEMPORARY_SUFFIX, Storage

_BATCH = 1_000


class ChunkCheck:
    """What is known about the chunks of a store: after `examine`, which of them cannot be read."""

    def __init__(self, storage: Storage, index: ChunkIndex | None, report: Report) -> None:
        """`index` None: it cannot be opened, and the packs are asked instead."""
        self._storage = storage
        self._index = index
        self._report = report
        self._reader = PackReader(storage)
        self._from_packs: dict[ChunkId, ChunkLocation] = {}
        self._doubtful: set[PackId] = set()
        self._damaged: dict[tuple[PackId, ChunkId], str] = {}

    def examine(self, *, verify_data: bool) -> None:
        """Looks at every pack, at its index or at every byte, and compares it with the index."""
        existing = list(list_packs(self._storage))
        for pack in existing:
            self._report.looking_at(pack_path(pack))
            with self._report.examining("pack", pack_path(pack)):
                entries = self._entries(pack, verify_data=verify_data)
                if self._index is None:
                    self._from_packs.update(
                        {entry.chunk: ChunkLocation(pack, entry) for entry in entries}
                    )
                else:
                    self._compare(self._index, pack, entries)
        if self._index is not None:
            with self._report.examining("index", layout.INDEX):
                gone = self._index.packs() - set(existing)
                # One may have been published since the listing.
                for pack in gone - set(list_packs(self._storage)):
                    text = f"names pack {pack.hex()}, which is gone"
                    self._report.add("error", "index", layout.INDEX, text)

    def problem(self, piece: Extent) -> str | None:
        """Returns why a chunk extent cannot be read, or None."""
        location = self._locate(piece.chunk)
        if location is None:
            return f"chunk {piece.chunk.hex()} is in no pack"
        problem = self._damaged.get((location.pack, piece.chunk))
        if problem is None and location.pack in self._doubtful:
            problem = self._read(location)
        if problem is None and piece.source_offset + piece.length > location.entry.raw_length:
            problem = f"it has {location.entry.raw_length} bytes"
        return f"chunk {piece.chunk.hex()}: {problem}" if problem is not None else None

    def read(self, chunk: ChunkId) -> bytes:
        """Returns the bytes of a chunk, verified.

        `MissingChunkError`, `CorruptPackError`, `OSError`.
        """
        location = self._locate(chunk)
        if location is None:
            raise MissingChunkError(chunk)
        return self._reader.read_entry(location.pack, location.entry)

    def close(self) -> None:
        """Closes the packs."""
        self._reader.close()

    def _locate(self, chunk: ChunkId) -> ChunkLocation | None:
        if self._index is None:
            return self._from_packs.get(chunk)
        try:
            return self._index.locate(chunk)
        except Exception as error:  # noqa: BLE001
            # A damaged database may answer with anything.
            self._report.add("error", "index", layout.INDEX, f"{type(error).__name__}: {error}")
            return None

    def _entries(self, pack: PackId, *, verify_data: bool) -> Sequence[PackEntry]:
        try:
            # The whole of it at once; entry by entry only if that fails.
            look = verify_pack if verify_data else read_pack_index
            return look(self._storage, pack)
        except FileNotFoundError:
            return ()
        except (PyiError, OSError) as error:
            self._doubtful.add(pack)
            self._report.add("error", "pack", pack_path(pack), str(error))
        if not verify_data:
            return ()
        entries = read_pack_index(self._storage, pack)
        for entry in entries:
            problem = self._read(ChunkLocation(pack, entry))
            if problem is not None:
                self._damaged[pack, entry.chunk] = problem
        self._doubtful.discard(pack)
        return entries

    def _read(self, location: ChunkLocation) -> str | None:
        try:
            self._reader.read_entry(location.pack, location.entry)
        except Exception as error:  # noqa: BLE001
            # The location may come from a damaged index, and be anything.
            return f"cannot be read: {error}"
        return None

    def _compare(self, index: ChunkIndex, pack: PackId, entries: Sequence[PackEntry]) -> None:
        wrong = missing = 0
        for start in range(0, len(entries), _BATCH):
            batch = entries[start : start + _BATCH]
            found = index.find([entry.chunk for entry in batch])
            for entry in batch:
                location = found.get(entry.chunk)
                missing += location is None
                wrong += (
                    location is not None and location.pack == pack and location.entry != entry
                ) or (location is not None and not self._is_pack(location.pack))
        if missing and pack not in index.packs():
            if not is_young(self._storage.host_path(pack_path(pack))):
                text = "is not in the index: its chunks cannot be read until that is reconciled"
                self._report.add("warning", "index", pack_path(pack), text)
        elif missing or wrong:
            text = f"disagrees about {wrong} and lacks {missing} of {len(entries)} chunks of pack "
            self._report.add("error", "index", layout.INDEX, text + pack.hex())

    def _is_pack(self, pack: object) -> bool:
        return (
            isinstance(pack, bytes)
            and len(pack) == 32
            and self._storage.exists(pack_path(PackId(pack)))
        )


def examine_pack_names(storage: Storage, report: Report) -> None:
    """Reports what is in `packs` and is no pack."""
    known = {pack_path(pack) for pack in list_packs(storage)}
    for directory in storage.list("packs"):
        path = f"packs/{directory}"
        if directory.endswith(TEMPORARY_SUFFIX):
            if not is_young(storage.host_path(path)):
                report.add("note", "stray", path, "a pack half written: left by a crash")
            continue
        try:
            names = storage.list(path)
        except NotADirectoryError:
            report.add("warning", "stray", path, "not a pack")
            continue
        for name in names:
            if f"{path}/{name}" not in known and storage.exists(f"{path}/{name}"):
                report.add("warning", "stray", f"{path}/{name}", "not a pack")
