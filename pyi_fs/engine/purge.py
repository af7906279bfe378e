"""Taking what a file held out of a store: first a plan that can be printed, then its execution.

What is purged, what stays, and why each step leaves a sound store: `docs/decisions/0005-purge.md`.
Invariants:

- Nothing refers to a replacement before it is durable, and nothing is removed that is referred to.
- Positions stay: every record of a journal keeps its place and its length.
- A plan is what is left to do: after an interrupted purge the same plan made again finishes it.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from blake3 import blake3

from pyi_fs.engine.history import History
from pyi_fs.engine.purge_bytes import Found, Holder, Search
from pyi_fs.engine.purge_contents import NewContents
from pyi_fs.engine.purge_files import FileKey, Files, clean_path, find, seen_layers
from pyi_fs.engine.purge_objects import Rewriter, Sighting, path_text, sightings
from pyi_fs.engine.purge_rewrite import Replacement, blank_entry, new_journal, new_map, new_table
from pyi_fs.engine.references import LayerGraph
from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import (
    ChunkId,
    InodeNumber,
    LayerId,
    SegmentId,
    WorkspaceName,
    segment_id,
    segment_layer,
)
from pyi_fs.model import ranges
from pyi_fs.model.ranges import Ranges
from pyi_fs.store import layout, overwriting

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What a purge would do.

    `segments`: ranges that are to read as zeros, of segments that are files. `chunks`: what stays
    of each chunk that is replaced. `shared`: bytes that others have too, by where.
    """

    workspace: WorkspaceName
    paths: tuple[bytes, ...]
    everywhere: bool
    files: frozenset[FileKey]
    sightings: tuple[Sighting, ...]
    touched: tuple[WorkspaceName, ...]
    segments: dict[SegmentId, Ranges]
    chunks: dict[ChunkId, Ranges]
    replaced: Replacement = field(repr=False)
    is_wanted: Callable[[LayerId, InodeNumber], bool] = field(repr=False)
    maps: tuple[SegmentId, ...]
    tables: tuple[LayerId, ...]
    journals: dict[LayerId, int]
    roots: tuple[Sighting, ...]
    shared: tuple[tuple[str, int], ...]
    leftovers: tuple[str, ...]

    @property
    def is_done(self) -> bool:
        """Returns whether nothing is left to do but to sweep chunks."""
        return not (
            self.segments
            or self.chunks
            or self.maps
            or self.tables
            or self.journals
            or self.roots
            or self.leftovers
        )

    def lines(self) -> list[str]:
        """Returns one line for each thing that has the files, and for each file of the store."""
        lines = [f"in {one}: {path_text(path)}" for one in self.sightings for path in one.paths]
        lines += [f"seal {layout.scratch(segment)}" for segment in sorted(self.segments)]
        lines += [f"rewrite {layout.seal_map(segment)}" for segment in self.maps]
        lines += [f"rewrite {layout.base(layer)}" for layer in self.tables]
        lines += [
            f"rewrite {layout.journal(layer)}: {count} records"
            for layer, count in sorted(self.journals.items())
        ]
        lines += [f"seal {one} anew" for one in self.roots]
        lines += [f"replace chunk {chunk.hex()[:16]}" for chunk in sorted(self.chunks)]
        lines += [f"remove {path}: left by an interrupted purge" for path in self.leftovers]
        return lines


def plan(
    store: Store,
    workspace: str,
    paths: Collection[bytes],
    *,
    everywhere: bool = False,
    progress: Progress = lambda _: None,
) -> Plan:
    """Returns what is left to do to purge what paths of a workspace ever held. O(store).

    `everywhere`: also what other files have of it. `NotFoundError` for a path that never was there
    or a workspace that is not; `InvalidArgumentError`; `StoreError` if damage hides something.
    """
    name = WorkspaceName(workspace)
    clean = tuple(dict.fromkeys(clean_path(path) for path in paths))
    history = History(store.layers)
    files = Files(store, history)
    wanted = find(store, files, history, name, clean, progress)
    search = Search(store, files, wanted, progress)
    found = search.run()
    progress("chunks")
    zeroed, chunks = _replaced(store, found, everywhere=everywhere)
    ids = {chunk: _identity(store, chunk, kept) for chunk, kept in chunks.items()}
    replaced = Replacement(zeroed, ids)
    changes = _Changes(store, files, replaced, search.is_wanted)
    changes.look(progress)
    progress("tree objects")
    losing = {files.key(one.layer, one.number) for one in found.holders} if everywhere else set()
    contents = NewContents(store, zeroed, chunks)
    seen = sightings(files, history, wanted, losing, contents.of)
    rewriter = Rewriter(store, blank_entry)
    roots = tuple(sighting for sighting in seen if rewriter.root(sighting) != sighting.root)
    segments = {
        segment: parts
        for segment, parts in zeroed.items()
        if store.storage.exists(layout.scratch(segment))
    }
    changed = changes.layers() | {segment_layer(segment) for segment in segments}
    touched = {name, *(root.workspace for root in roots), *_reaching(store, files, changed)}
    return Plan(
        name,
        clean,
        everywhere,
        frozenset(found.files),
        tuple(sighting for sighting in seen if sighting.paths),
        tuple(sorted(touched)),
        segments,
        chunks,
        replaced,
        search.is_wanted,
        tuple(changes.maps),
        tuple(changes.tables),
        changes.journals,
        roots,
        tuple(sorted(_named_holders(files, history, found).items())),
        tuple(_leftovers(store)),
    )


def _replaced(
    store: Store, found: Found, *, everywhere: bool
) -> tuple[dict[SegmentId, Ranges], dict[ChunkId, Ranges]]:
    """Returns the ranges of segments that go, and what stays of chunks that are replaced."""
    segments: dict[SegmentId, Ranges] = {}
    chunks: dict[ChunkId, Ranges] = {}
    for source, own in found.own.items():
        kept = found.others.get(source, ranges.NOTHING)
        if everywhere:
            kept = ranges.without(kept, own)
        gone = ranges.without(own, kept)
        if not gone:
            continue
        if isinstance(source, int):
            segments[source] = gone
        else:
            data = store.chunks.get(source)
            if without_bytes(data, kept) != data:
                chunks[source] = kept
    return segments, chunks


def without_bytes(data: bytes, kept: Ranges) -> bytes:
    """Returns zeros of the same length, but for the ranges that are kept."""
    new = bytearray(len(data))
    for start, end in kept:
        new[start:end] = data[start:end]
    return bytes(new)


def _identity(store: Store, chunk: ChunkId, kept: Ranges) -> ChunkId:
    return ChunkId(blake3(without_bytes(store.chunks.get(chunk), kept)).digest())


class _Changes:
    """Which files of layers are to be written anew."""

    def __init__(
        self,
        store: Store,
        files: Files,
        replaced: Replacement,
        is_wanted: Callable[[LayerId, InodeNumber], bool],
    ) -> None:
        self._store = store
        self._files = files
        self._replaced = replaced
        self._is_wanted = is_wanted
        self.maps: list[SegmentId] = []
        self.tables: list[LayerId] = []
        self.journals: dict[LayerId, int] = {}

    def look(self, progress: Progress) -> None:
        for layer in sorted(self._files.headers):
            progress(layout.layer_directory(layer))
            self._look_at(layer)

    def _look_at(self, layer: LayerId) -> None:
        storage, replaced = self._store.storage, self._replaced
        is_wanted = partial(self._is_wanted, layer)
        journal = new_journal(storage, layer, is_wanted, replaced)
        if journal is not None:
            self.journals[layer] = journal.records
        if new_table(storage, layer, is_wanted, replaced) is not None:
            self.tables.append(layer)
        for name in storage.list(layout.layer_directory(layer)):
            index = layout.segment_of(name, "map-")
            if index is not None and new_map(storage, segment_id(layer, index), replaced):
                self.maps.append(segment_id(layer, index))

    def layers(self) -> set[LayerId]:
        """Returns the layers of which something changes."""
        return {*self.journals, *self.tables, *map(segment_layer, self.maps)}


def _reaching(store: Store, files: Files, changed: set[LayerId]) -> Iterator[WorkspaceName]:
    """Yields the workspaces whose logs lead to one of some layers."""
    graph = LayerGraph(store)
    for name in files.logs:
        if changed & graph.reach(seen_layers(files, name)):
            yield name


def _named_holders(files: Files, history: History, found: Found) -> dict[str, int]:
    """Returns where else bytes are, for people, with how many."""
    named: dict[str, int] = defaultdict(int)
    for holder, count in found.holders.items():
        named[_text_of(files, history, holder)] += count
    return named


def _text_of(files: Files, history: History, holder: Holder) -> str:
    workspace = files.headers[holder.layer].workspace
    paths = []
    with suppress(NotFoundError):
        paths = history.end(holder.layer)[0].paths(holder.number)
    path = path_text(paths[0]) if paths else f"inode {holder.number}"
    return f"{workspace}:{path}"


def _leftovers(store: Store) -> Iterator[str]:
    for prefix in store.storage.list(layout.LAYERS):
        for layer in store.storage.list(f"{layout.LAYERS}/{prefix}"):
            directory = f"{layout.LAYERS}/{prefix}/{layer}"
            for name in store.storage.list(directory):
                if name.endswith(overwriting.OVERWRITTEN_SUFFIX):
                    yield f"{directory}/{name}"
