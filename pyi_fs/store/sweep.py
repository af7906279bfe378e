"""Which packs go and which are written anew: first a plan, then its execution. Packs are shared.

Who calls knows which chunks are wanted (`engine/marking.py`) and follows
`docs/decisions/0003-garbage.md`: condemn what no mark found, wait until nobody is putting chunks,
mark again and `keep` what was found, then `execute`.

Invariants:
- A pack leaves the index durably before its file goes, and `reconcile` adds nothing in between.
- A pack is only removed if, in the write transaction, none of its rows is wanted.
- A row moves to another pack when that one is durable, and only from the pack it was planned for.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import NamedTuple

from pyi_fs import limits
from pyi_fs.errors import CorruptError
from pyi_fs.format import pack as form
from pyi_fs.format.pack import PackEntry
from pyi_fs.ids import ChunkId, PackId
from pyi_fs.store import layout
from pyi_fs.store.index import LOCK_PATH, ChunkIndex
from pyi_fs.store.packs import PackReader, PackWriter, pack_path, read_pack_index
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES, Storage

_PAGE_ROWS = 10_000
_BATCH_IDS = 500


class PackStep(NamedTuple):
    """A pack that goes: it has `wanted_bytes` of entries that are written into another pack."""

    pack: PackId
    wanted_bytes: int
    size_bytes: int

    def __str__(self) -> str:
        """Returns one line for people."""
        name = self.pack.hex()[:16]
        if not self.wanted_bytes:
            return f"remove pack {name}: {self.size_bytes} bytes"
        return f"rewrite pack {name}: {self.size_bytes} bytes, {self.wanted_bytes} wanted"


class PackSize(NamedTuple):
    """How long a pack's file is, and the disk it occupies."""

    size_bytes: int
    allocated_bytes: int


class SweepPlan(NamedTuple):
    """What to do to packs; `new_bytes`: of the packs that rewriting will make."""

    remove: tuple[PackStep, ...]
    rewrite: tuple[PackStep, ...]
    new_bytes: int

    @property
    def frees_bytes(self) -> int:
        """Returns the disk that execution gives back, if nothing comes between."""
        return sum(step.size_bytes for step in (*self.remove, *self.rewrite)) - self.new_bytes


class Swept(NamedTuple):
    """What an execution did. `skipped`: packs that stayed, and why."""

    packs: int
    freed_bytes: int
    skipped: tuple[tuple[PackId, str], ...]


def condemn(index: ChunkIndex, live: set[ChunkId]) -> int:
    """Condemns every chunk that is not `live` in a new generation; returns that generation."""
    with index.transaction() as connection:
        connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'generation'")
        row = connection.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
        if row is None or type(row[0]) is not int:
            raise CorruptError(layout.INDEX, 0, "a generation", row)
        generation: int = row[0]
    for page in _pages(index):
        dead = [chunk for chunk, _, _, condemned in page if chunk not in live and not condemned]
        for batch in _batches(dead):
            with index.transaction() as connection:
                connection.execute(
                    f"UPDATE chunk SET condemned = ? WHERE id IN ({_marks(batch)}) "
                    "AND condemned IS NULL",
                    (generation, *batch),
                )
    return generation


def keep(index: ChunkIndex, live: set[ChunkId]) -> int:
    """Un-condemns what turned out to be wanted; returns how many chunks."""
    wanted = [
        chunk
        for page in _pages(index)
        for chunk, _, _, condemned in page
        if condemned and chunk in live
    ]
    index.claim(wanted)
    return len(wanted)


def plan(storage: Storage, index: ChunkIndex, live: set[ChunkId] | None = None) -> SweepPlan:
    """Returns what can be removed and what should be written anew if just `live` is wanted.

    `live` None: if just what is not condemned is. O(chunks in the index). A pack whose own index
    cannot be read is left alone.
    """
    wanted: dict[PackId, int] = dict.fromkeys(index.packs(), 0)
    for page in _pages(index):
        for chunk, pack, length, condemned in page:
            is_wanted = chunk in live if live is not None else not condemned
            if is_wanted and pack in wanted:
                wanted[pack] += length
    return plan_of(storage, index, wanted, live)


def plan_of(
    storage: Storage,
    index: ChunkIndex,
    wanted: Mapping[PackId, int],
    live: Container[ChunkId] | None = None,
    sizes: Callable[[PackId], PackSize | None] | None = None,
) -> SweepPlan:
    """As `plan`, of packs whose bytes of entries that are wanted are known. O(packs)."""
    size_of = sizes or partial(pack_size, storage)
    remove, rewrite = [], []
    for pack, wanted_bytes in sorted(wanted.items()):
        size = size_of(pack)
        if size is None:
            continue
        step = PackStep(pack, wanted_bytes, size.allocated_bytes)
        if not wanted_bytes:
            remove.append(step)
        elif wanted_bytes < size.size_bytes * limits.PACK_LIVE_SHARE_MIN:
            rewrite.append(step)
    new_bytes = _predicted(storage, index, [step.pack for step in rewrite], live)
    # Rewriting one small pack into another one may free nothing at all.
    if new_bytes >= sum(step.size_bytes for step in rewrite):
        rewrite, new_bytes = [], 0
    return SweepPlan(tuple(remove), tuple(rewrite), new_bytes)


def pack_size(storage: Storage, pack: PackId) -> PackSize | None:
    """Returns how large a pack is, or None if it is gone."""
    size_bytes = storage.size_bytes(pack_path(pack))
    if size_bytes is None:
        return None
    return PackSize(size_bytes, storage.allocated_bytes(pack_path(pack)))


def entries(index: ChunkIndex) -> Iterator[tuple[ChunkId, PackId, int]]:
    """Yields every chunk of the index, with its pack and the bytes of its entry there."""
    for page in _pages(index):
        for chunk, pack, length, _ in page:
            yield chunk, pack, length


def plan_all(storage: Storage, index: ChunkIndex) -> SweepPlan:
    """Returns what it takes that no pack holds a chunk which is condemned, or in another pack too.

    As `plan`, but however little is won by it.
    """
    wanted: dict[PackId, int] = dict.fromkeys(index.packs(), 0)
    counts = dict.fromkeys(wanted, 0)
    for page in _pages(index):
        for _, pack, length, condemned in page:
            if not condemned and pack in wanted:
                wanted[pack] += length
                counts[pack] += 1
    with index.transaction() as connection:
        entries = dict(connection.execute("SELECT id, entry_count FROM pack").fetchall())
    remove, rewrite = [], []
    for pack, wanted_bytes in sorted(wanted.items()):
        step = PackStep(pack, wanted_bytes, storage.allocated_bytes(pack_path(pack)))
        if not wanted_bytes:
            remove.append(step)
        elif counts[pack] < entries.get(pack, 0):
            rewrite.append(step)
    new_bytes = _predicted(storage, index, [step.pack for step in rewrite], None)
    return SweepPlan(tuple(remove), tuple(rewrite), new_bytes)


def execute(
    storage: Storage,
    index: ChunkIndex,
    planned: SweepPlan,
    progress: Callable[[PackStep], None] = lambda _: None,
) -> Swept:
    """Removes and rewrites the packs of a plan; what is condemned in them goes.

    What came to be wanted since stays. Durable on return.
    """
    done: list[PackId] = []
    skipped: list[tuple[PackId, str]] = []
    freed_bytes = 0
    for step in planned.remove:
        progress(step)
        if _remove(storage, index, step.pack):
            done.append(step.pack)
            freed_bytes += step.size_bytes
        else:
            skipped.append((step.pack, "it came to be wanted"))
    for pack, made in _rewritten(storage, index, planned.rewrite, skipped, progress):
        freed_bytes -= made
        if pack is not None:
            size_bytes = storage.allocated_bytes(pack_path(pack))
            if _remove(storage, index, pack):
                done.append(pack)
                freed_bytes += size_bytes
            else:
                skipped.append((pack, "more of it came to be wanted"))
    return Swept(len(done), freed_bytes, tuple(skipped))


def _remove(storage: Storage, index: ChunkIndex, pack: PackId) -> bool:
    """Takes a pack out of the index and off the disk unless a chunk of it is wanted."""
    lock = storage.lock(LOCK_PATH)
    assert lock is not None, "BUG: waited and did not get the lock"
    try:
        with index.transaction(durable=True) as connection:
            query = "SELECT 1 FROM chunk WHERE pack = ? AND condemned IS NULL LIMIT 1"
            if connection.execute(query, (pack,)).fetchone() is not None:
                return False
            connection.execute("DELETE FROM chunk WHERE pack = ?", (pack,))
            connection.execute("DELETE FROM pack WHERE id = ?", (pack,))
        path = pack_path(pack)
        storage.remove(path)
        directory = path.rpartition("/")[0]
        with suppress(FileNotFoundError):
            storage.sync_directory(directory)
    finally:
        lock.release()
    return True


def _rewritten(
    storage: Storage,
    index: ChunkIndex,
    steps: Sequence[PackStep],
    skipped: list[tuple[PackId, str]],
    progress: Callable[[PackStep], None],
) -> Iterator[tuple[PackId | None, int]]:
    """Copies what is wanted of packs into new ones.

    Yields (None, size) of a new pack, and (pack, 0) of one whose wanted rows all moved.
    """
    reader = PackReader(storage)
    writer = PackWriter(storage)
    copied: list[PackId] = []
    origin: dict[ChunkId, PackId] = {}

    def finish() -> Iterator[tuple[PackId | None, int]]:
        nonlocal writer
        if writer.entries:
            made, entries = writer.finish(), list(writer.entries.values())
            writer = PackWriter(storage)
            _move(index, made, entries, origin)
            yield None, storage.allocated_bytes(pack_path(made))
        origin.clear()
        for pack in copied:
            yield pack, 0
        copied.clear()

    try:
        for step in steps:
            progress(step)
            for data in _read(reader, storage, index, step.pack):
                if isinstance(data, Exception):
                    skipped.append((step.pack, str(data)))
                    break
                entry, raw = data
                if entry.chunk not in writer:
                    writer.add(entry.chunk, raw)
                    origin[entry.chunk] = step.pack
                if writer.is_full:
                    # What is left of this pack goes into the next one.
                    yield from finish()
            else:
                copied.append(step.pack)
        yield from finish()
    finally:
        writer.abandon()
        reader.close()


def _read(
    reader: PackReader, storage: Storage, index: ChunkIndex, pack: PackId
) -> Iterator[tuple[PackEntry, bytes] | Exception]:
    """Yields what is wanted of a pack; at last why it cannot be read, if so."""
    try:
        for entry in _wanted_entries(storage, index, pack):
            yield entry, reader.read_entry(pack, entry)
    except (CorruptError, FileNotFoundError) as error:
        yield error


def _wanted_entries(
    storage: Storage, index: ChunkIndex, pack: PackId, live: Container[ChunkId] | None = None
) -> list[PackEntry]:
    """Returns the entries of a pack whose rows are in it, and live or (None) not condemned."""
    entries = read_pack_index(storage, pack)
    wanted: set[ChunkId] = set()
    with index.transaction() as connection:
        query = "SELECT id, condemned FROM chunk WHERE pack = ?"
        for chunk, condemned in connection.execute(query, (pack,)):
            if chunk in live if live is not None else condemned is None:
                wanted.add(ChunkId(chunk))
    return [entry for entry in entries if entry.chunk in wanted]


def _move(
    index: ChunkIndex, made: PackId, entries: Sequence[PackEntry], origin: dict[ChunkId, PackId]
) -> None:
    """Makes a new pack known, and itself the place of its chunks; durable."""
    with index.transaction(durable=True) as connection:
        connection.execute(
            "INSERT INTO pack (id, size_bytes, entry_count) VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO NOTHING",
            (made, sum(entry.length for entry in entries), len(entries)),
        )
        connection.executemany(
            "UPDATE chunk SET pack = ?, offset = ?, raw_length = ?, stored_length = ?, method = ? "
            "WHERE id = ? AND pack = ?",
            ((made, *entry[1:], entry.chunk, origin[entry.chunk]) for entry in entries),
        )


def _predicted(
    storage: Storage, index: ChunkIndex, packs: Sequence[PackId], live: Container[ChunkId] | None
) -> int:
    """Returns the disk that new packs with what is wanted of `packs` will occupy."""
    made = [form.HEADER_BYTES]
    counts = [0]
    seen: set[ChunkId] = set()
    for pack in packs:
        try:
            entries = _wanted_entries(storage, index, pack, live)
        except (CorruptError, FileNotFoundError):
            continue
        for entry in entries:
            if entry.chunk in seen:
                continue
            seen.add(entry.chunk)
            if made[-1] >= form.PACK_BYTES_TARGET or counts[-1] >= form.PACK_ENTRIES_MAX:
                made.append(form.HEADER_BYTES)
                counts.append(0)
            made[-1] += entry.length
            counts[-1] += 1
    sizes = (
        size + count * form.INDEX_RECORD_BYTES + form.FOOTER_BYTES
        for size, count in zip(made, counts, strict=True)
        if count
    )
    return sum(-(-size // PUNCH_BLOCK_BYTES) * PUNCH_BLOCK_BYTES for size in sizes)


def _pages(index: ChunkIndex) -> Iterator[list[tuple[ChunkId, PackId, int, bool]]]:
    """Yields (chunk, pack, bytes of its entry, condemned) of all chunks, some thousands at once."""
    after = b""
    while True:
        with index.transaction() as connection:
            rows = connection.execute(
                "SELECT id, pack, stored_length, condemned IS NOT NULL FROM chunk "
                "WHERE id > ? ORDER BY id LIMIT ?",
                (after, _PAGE_ROWS),
            ).fetchall()
        if not rows:
            return
        if any(tuple(map(type, row[:3])) != (bytes, bytes, int) for row in rows):
            raise CorruptError(layout.INDEX, 0, "rows of chunks", "values of other types")
        after = rows[-1][0]
        yield [
            (ChunkId(chunk), PackId(pack), form.ENTRY_HEADER_BYTES + length, bool(condemned))
            for chunk, pack, length, condemned in rows
        ]


def _batches(chunks: Iterable[ChunkId]) -> Iterator[list[ChunkId]]:
    rest = iter(chunks)
    while batch := list(islice(rest, _BATCH_IDS)):
        yield batch


def _marks(batch: Sequence[ChunkId]) -> str:
    return ",".join("?" * len(batch))
