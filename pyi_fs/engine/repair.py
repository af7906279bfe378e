"""Mends damage for which the store has another copy: a plan first, then its steps.

What can be mended: the format line; the chunk index (from the packs); the runs of a segment (from
the journal); a seal map whose segment is still there (it goes: the segment counts); a base table
(folded anew from its parents); a pack some of whose chunks are damaged, as far as another pack or a
scratch segment has them; a plain file (it goes: it is a cache); the content of a sealed snapshot
(from its tree, `engine/repair_contents.py`). Everything else is left as it is, for a check to name.

Invariants:
- Nothing is guessed: what is written has the checksum or the hash it always had, or is a fold.
- Each step is one rename or one removal, so that it may be stopped anywhere, and may be done while
  the store is mounted. A damaged pack goes after what was saved of it is durable; if something was
  not, it is kept beside, as `.damaged`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.references import all_layers, open_base
from pyi_fs.engine.repair_contents import DAMAGED_SUFFIX, lacking_snapshots, replaced_packs
from pyi_fs.engine.store import STORE_VERSION, Store
from pyi_fs.errors import CorruptError, FormatUnknownError, PyiError
from pyi_fs.format import pack as form
from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import ChunkId, LayerId, PackId, Position, SegmentId, segment_id, segment_layer
from pyi_fs.model import extent
from pyi_fs.model.mutation import Write
from pyi_fs.store import layout, runs, sealmap
from pyi_fs.store.directory_storage import DirectoryStorage
from pyi_fs.store.index import discard_index
from pyi_fs.store.journal import replay
from pyi_fs.store.packs import (
    PackReader,
    PackWriter,
    decode_entry,
    list_packs,
    pack_path,
    read_pack_index,
    verify_pack,
)
from pyi_fs.store.plain_files import PlainFiles, list_plain
from pyi_fs.store.storage import Storage


class Step(NamedTuple):
    """One thing to mend: the file, what will be done in a few words, and how."""

    file: str
    what: str
    do: Callable[[], None]


def repair(path: Path) -> Iterator[Step]:
    """Yields each step that was done. `StoreError` if the store cannot be opened afterwards."""
    for step in plan_format(DirectoryStorage(path)):
        step.do()
        yield step
    store = Store.open(path, create=False)
    try:
        # Contents when packs have been mended, damaged packs when contents have.
        for steps in (plan(store), _plan_contents(store), _plan_replaced(store)):
            yield from _done(steps)
    finally:
        store.close()


def _done(steps: Iterable[Step]) -> Iterator[Step]:
    for step in steps:
        try:
            step.do()
        except (PyiError, OSError):
            # No copy that is whole: the check that follows says what is missing.
            continue
        yield step


def rebuild_index(path: Path) -> int:
    """Makes the chunk index anew from the packs, also a damaged or absent one.

    Returns how many packs it knows. Other processes may have the store open.
    """
    store = Store.open(path, create=False)
    try:
        return store.chunks.rebuild().added
    except CorruptError:
        discard_index(store.storage)
    finally:
        store.close()
    store = Store.open(path, create=False)
    try:
        return len(store.index.packs())
    finally:
        store.close()


def plan_format(storage: Storage) -> list[Step]:
    """Returns the step that writes the format line, if it is damaged and this is a store."""
    line = f"pyi-fs store {STORE_VERSION}\n".encode()
    try:
        found = storage.read(layout.FORMAT)
    except FileNotFoundError:
        found = b""
    words = found.split()
    is_later = words[:2] == [b"pyi-fs", b"store"] and len(words) == 3 and words[2].isdigit()
    is_store = storage.exists(layout.LAYERS) and storage.exists(layout.WORKSPACES)
    if found == line or is_later or not is_store:
        return []
    return [
        Step(layout.FORMAT, "written", lambda: storage.write_atomic(layout.FORMAT, [line])),
    ]


def plan(store: Store) -> list[Step]:
    """Returns what can perhaps be mended in an open store. Changes nothing; reads every pack."""
    steps: list[Step] = []
    for layer in all_layers(store.storage):
        steps += _plan_layer(store, layer)
    for pack in list_packs(store.storage):
        with suppress(FileNotFoundError):
            try:
                verify_pack(store.storage, pack)
            except PyiError:
                mend = _PackMend(store, pack)
                steps.append(Step(pack_path(pack), "its chunks put into another pack", mend.do))
    steps += _plan_plain(store.storage)
    return steps


def _plan_contents(store: Store) -> Iterator[Step]:
    for label, do in lacking_snapshots(store):
        yield Step(f"content of {label}", "stored again from its tree", do)


def _plan_replaced(store: Store) -> Iterator[Step]:
    for path, do in replaced_packs(store):
        yield Step(path, "removed: what is wanted of it is elsewhere", do)


def _plan_plain(storage: Storage) -> Iterator[Step]:
    files = PlainFiles(storage)
    for file in list_plain(storage):
        with suppress(FileNotFoundError):
            if not files.is_whole(file):
                what = "removed: it is made again when it is read"
                yield Step(file.path, what, _removal(storage, file.path))


def _plan_layer(store: Store, layer: LayerId) -> Iterator[Step]:
    storage = store.storage
    directory = layout.layer_directory(layer)
    for name in storage.list(directory):
        path = f"{directory}/{name}"
        if (index := layout.segment_of(name, "runs-")) is not None:
            segment = segment_id(layer, index)
            if _is_damaged(lambda p=path: runs.decode(storage.read(p), p)):  # type: ignore[misc]
                yield Step(path, "written from the journal", _rewrite_runs(storage, segment))
        elif (index := layout.segment_of(name, "map-")) is not None:
            is_there = storage.exists(layout.scratch(segment_id(layer, index)))
            if is_there and _is_damaged(lambda p=path: sealmap.decode(storage.read(p), p)):  # type: ignore[misc]
                yield Step(path, "removed: its segment is there", _removal(storage, path))
        elif name == "base" and _is_damaged(lambda: _verify_base(storage, layer)):
            yield Step(path, "folded anew from its parents", _refold(store, layer))


def _is_damaged(look: Callable[[], object]) -> bool:
    try:
        look()
    except (CorruptError, FormatUnknownError):
        return True
    except FileNotFoundError:
        return False
    return False


def _verify_base(storage: Storage, layer: LayerId) -> None:
    table = open_base(storage, layer)
    if table is not None:
        table.verify()


def _removal(storage: Storage, path: str) -> Callable[[], None]:
    return lambda: storage.remove(path)


def _rewrite_runs(storage: Storage, segment: SegmentId) -> Callable[[], None]:
    def do() -> None:
        table = runs.RunTable()
        for _, mutation in replay(storage, segment_layer(segment), 0):
            if type(mutation) is Write and mutation.segment == segment:
                table.append(mutation.source_offset, mutation.length, mutation.checksums)
        storage.write_atomic(layout.runs(segment), [table.encode()])

    return do


def _refold(store: Store, layer: LayerId) -> Callable[[], None]:
    def do() -> None:
        parent = store.layers.header(layer).parent
        if parent is None:
            # Of an import: there is nothing it is a fold of.
            raise CorruptError(layout.base(layer), 0, "a parent to fold", "none")
        write_base(store, layer, Position(*parent))

    return do


class _PackMend:
    """Saves the chunks of a damaged pack: its own that are whole, the others from elsewhere."""

    def __init__(self, store: Store, pack: PackId) -> None:
        self._store = store
        self._storage = store.storage
        self._pack = pack
        self._path = pack_path(pack)

    def do(self) -> None:
        """Writes another pack, then takes the damaged one away and tells the index.

        `CorruptError` if something of it was lost.
        """
        entries = self._entries()
        writer = PackWriter(self._storage)
        lost = []
        data = self._storage.read(self._path)
        for entry in entries:
            found = self._whole(data, entry)
            if found is None:
                found = self._elsewhere(entry)
            if found is None:
                lost.append(entry)
            elif entry.chunk not in writer:
                writer.add(entry.chunk, found)
        made = writer.finish() if writer.entries else None
        if made != self._pack:
            if lost or made is None:
                kept = self._path.removesuffix(".pack") + DAMAGED_SUFFIX
                self._storage.rename(self._path, kept)
            else:
                self._storage.remove(self._path)
        self._store.chunks.rebuild()
        if made is None:
            raise CorruptError(self._path, 0, "a chunk that is whole somewhere", "none")
        if lost:
            raise CorruptError(self._path, lost[0].offset, "a copy of every chunk", len(lost))

    def _entries(self) -> list[PackEntry]:
        try:
            return read_pack_index(self._storage, self._pack)
        except PyiError:
            return list(_walked(self._storage.read(self._path)))

    def _whole(self, data: bytes, entry: PackEntry) -> bytes | None:
        try:
            return decode_entry(entry, data[entry.offset : entry.end], self._path)
        except PyiError:
            return None

    def _elsewhere(self, entry: PackEntry) -> bytes | None:
        reader = PackReader(self._storage)
        try:
            for pack in list_packs(self._storage):
                if pack == self._pack:
                    continue
                with suppress(PyiError, OSError):
                    for other in read_pack_index(self._storage, pack):
                        if other.chunk == entry.chunk:
                            return reader.read_entry(pack, other)
        finally:
            reader.close()
        return self._from_scratch(entry)

    def _from_scratch(self, entry: PackEntry) -> bytes | None:
        """Returns a chunk whose bytes are still in segments that were being sealed."""
        found = bytearray(entry.raw_length)
        for segment in _half_sealed(self._storage):
            with suppress(PyiError, OSError):
                path = layout.seal_map(segment)
                for piece in extent.iterate(sealmap.decode(self._storage.read(path), path)):
                    if piece.source == entry.chunk:
                        data = self._store.layers.read_scratch(
                            segment, piece.file_offset, piece.length
                        )
                        found[piece.source_offset : piece.source_offset + piece.length] = (
                            data or b""
                        )
        return bytes(found) if blake3(found).digest() == entry.chunk else None


def _half_sealed(storage: Storage) -> Iterator[SegmentId]:
    for layer in all_layers(storage):
        for name in storage.list(layout.layer_directory(layer)):
            index = layout.segment_of(name)
            if index is not None and storage.exists(layout.seal_map(segment_id(layer, index))):
                yield segment_id(layer, index)


def _walked(data: bytes) -> Iterator[PackEntry]:
    """Yields the entries of a pack whose end is damaged, one after another from its beginning."""
    offset = form.HEADER_BYTES
    while offset + form.ENTRY_HEADER_BYTES <= len(data):
        chunk = ChunkId(data[offset : offset + 32])
        raw_length = int.from_bytes(data[offset + 32 : offset + 36], "little")
        stored_length = int.from_bytes(data[offset + 36 : offset + 40], "little")
        entry = PackEntry(chunk, offset, raw_length, stored_length, data[offset + 40])
        if raw_length > form.CHUNK_RAW_BYTES_MAX or stored_length > raw_length:
            return
        try:
            decode_entry(entry, data[offset : entry.end], "")
        except PyiError:
            return
        yield entry
        offset = entry.end
