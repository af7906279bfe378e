"""Who holds how much of a store, and what removing it gives back.

Workspaces, branches and snapshots. *Own* is what nobody else needs, *shared* what somebody else
needs too: layers in blocks allocated, chunks in bytes stored. *Frees* is what `pyi-gc` gives back
once the thing is removed and cannot be brought back any more: what is its own and not in a pack
that stays as it is, because more than half of it is wanted. It is worked out as collection does it:
the layers that go, the base tables that no fold needs, the blocks by which seal maps become
smaller, the packs that go and those that are written anew. Exact while nobody writes; not counted
are the chunk index, the directories `layers/xx` and `packs/xx`, and the record of the removal in
the log.

Source: `engine/holders.py`, `engine/needs.py`; `docs/garbage.md`, *What removing gives back*.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.holders import Held, Holders, holders_of
from pyi_fs.engine.marking import scratch_trim
from pyi_fs.engine.needs import Needs, cut_map, kept, needs_of
from pyi_fs.engine.references import layer_bytes
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.ids import ChunkId, LayerId, PackId, SegmentId, WorkspaceName, segment_layer
from pyi_fs.model import extent
from pyi_fs.store import layout, sealmap, sweep
from pyi_fs.store.packs import list_packs, pack_path
from pyi_fs.store.storage import PUNCH_BLOCK_BYTES, Storage

Progress = Callable[[str], None]


class Usage(NamedTuple):
    """Bytes that something holds, in layers and in chunks, and what removing it gives back."""

    own_layer_bytes: int = 0
    shared_layer_bytes: int = 0
    own_chunk_bytes: int = 0
    shared_chunk_bytes: int = 0
    frees_bytes: int = 0

    @property
    def own_bytes(self) -> int:
        """Returns what nobody else needs."""
        return self.own_layer_bytes + self.own_chunk_bytes

    @property
    def shared_bytes(self) -> int:
        """Returns what somebody else needs too."""
        return self.shared_layer_bytes + self.shared_chunk_bytes


class RefUsage(NamedTuple):
    """What a branch or snapshot holds; `name` is a snapshot's id.

    A branch takes its unnamed snapshots along when it is dropped: what they hold is counted.
    """

    name: str
    held: Usage


class WorkspaceUsage(NamedTuple):
    """What a workspace holds. `log_bytes`: its log and locks, which are always its own.

    `undo`: what only undo can come back to; it goes by itself. `frees_layer_bytes`: what removing
    the workspace gives back at once, without a collection.
    """

    name: WorkspaceName
    held: Usage
    log_bytes: int
    undo: Usage
    branches: tuple[RefUsage, ...]
    snapshots: tuple[RefUsage, ...]
    frees_layer_bytes: int


class StoreUsage(NamedTuple):
    """What a store holds.

    `unneeded_…`: nobody needs it, the collector may take it; `frees_bytes`: what it gives back now,
    `later_bytes`: what else when no undo window is open; packs and index as they are on disk.
    """

    workspaces: tuple[WorkspaceUsage, ...]
    layer_bytes: int
    unneeded_layer_bytes: int
    chunk_bytes: int
    pack_bytes: int
    index_bytes: int
    frees_bytes: int
    later_bytes: int


class BranchUsage(NamedTuple):
    """What a branch's lineage occupies.

    `own_bytes` in layers it wrote itself, `shared_bytes` in those it started from.
    """

    own_bytes: int
    shared_bytes: int
    layers: int


def usage(store: Store, progress: Progress = lambda _: None) -> StoreUsage:
    """Returns who holds what. O(store): reads every journal and base, no file data.

    Also while it is mounted; then the numbers are of no one instant.
    """
    held = holders_of(store)
    needs = needs_of(store, held, progress)
    progress("packs")
    forecast = Forecast(store, needs)
    undo = held.undo()
    workspaces = {holder.workspace: None for holder in held.holders}
    found = tuple(_of_workspace(store, held, forecast, name) for name in workspaces)
    return StoreUsage(
        found,
        forecast.layer_bytes(lambda _: True),
        forecast.layer_bytes(lambda holders: not holders),
        forecast.chunk_bytes(bool),
        sum(store.storage.allocated_bytes(pack_path(pack)) for pack in list_packs(store.storage)),
        sum(store.storage.allocated_bytes(layout.INDEX + suffix) for suffix in ("", "-wal")),
        forecast.frees(0),
        forecast.frees(undo) - forecast.frees(0),
    )


def branch_usage(workspace: Workspace, branch: Branch) -> BranchUsage:
    """Returns what a branch's lineage occupies in layers, for `status`.

    O(files of the layers of the lineage); chunks are not counted.
    """
    own = shared = 0
    lineage = workspace.history.lineage(branch.position)
    for step in lineage:
        header = workspace.store.layers.header(step.layer)
        size_bytes = layer_bytes(workspace.store.storage, step.layer)
        if (header.workspace, header.branch) == (workspace.name, branch.name):
            own += size_bytes
        else:
            shared += size_bytes
    return BranchUsage(own, shared, len(lineage))


def _of_workspace(
    store: Store, held: Held, forecast: "Forecast", name: WorkspaceName
) -> WorkspaceUsage:
    undo = held.undo()
    whole = held.of(name)
    own_undo = whole & undo
    branches, snapshots = [], []
    for number, holder in enumerate(held.holders):
        if holder.workspace != name:
            continue
        if holder.branch is not None:
            removed = held.with_branch.get((name, holder.branch), 1 << number)
            branches.append(RefUsage(holder.branch, forecast.of(removed, closed=undo)))
        elif holder.snapshot is not None:
            found = forecast.of(1 << number, closed=undo)
            snapshots.append(RefUsage(holder.snapshot, found))
    log_bytes = log_bytes_of(store.storage, name)
    everything = forecast.of(whole, closed=undo & ~own_undo)
    return WorkspaceUsage(
        name,
        everything._replace(frees_bytes=everything.frees_bytes + log_bytes),
        log_bytes,
        forecast.of(own_undo, closed=undo & ~own_undo),
        tuple(branches),
        tuple(snapshots),
        forecast.whole_layer_bytes(whole),
    )


class Forecast:
    """What a collection would give back if some holders were gone."""

    def __init__(self, store: Store, needs: Needs) -> None:
        """Looks at the sizes of everything once."""
        self._store = store
        self._needs = needs
        # A table goes before its layer does, so it is counted beside it.
        self._table_sizes = {
            layer: store.storage.disk.allocated_bytes(layout.base(layer)) for layer in needs.tables
        }
        self._sizes = {
            layer: layer_bytes(store.storage, layer) - self._table_sizes.get(layer, 0)
            for layer in needs.layers
        }
        self._places: dict[ChunkId, tuple[PackId, int]] = {}
        self._wanted = dict.fromkeys(store.index.packs(), 0)
        self._pack_sizes = {pack: sweep.pack_size(store.storage, pack) for pack in self._wanted}
        # By who needs them: there are few different sets, whatever number of chunks.
        self._chunks: dict[Holders, list[ChunkId]] = defaultdict(list)
        self._layers: dict[Holders, list[LayerId]] = defaultdict(list)
        self._tables: dict[Holders, int] = defaultdict(int)
        self._segments: dict[Holders, set[SegmentId]] = defaultdict(set)
        self._map_frees: dict[tuple[SegmentId, Holders], int] = {}
        for layer, holders in needs.layers.items():
            self._layers[holders].append(layer)
        for layer, holders in needs.tables.items():
            self._tables[holders] += self._table_sizes[layer]
        for segment, pieces in needs.segments.items():
            for piece in pieces:
                self._segments[piece.holders].add(segment)
        for chunk, pack, length in sweep.entries(store.index):
            holders = needs.chunks.get(chunk, 0)
            self._places[chunk] = pack, length
            self._chunks[holders].append(chunk)
            if holders and pack in self._wanted:
                self._wanted[pack] += length
        self._chunk_bytes = {
            holders: sum(self._places[chunk][1] for chunk in chunks)
            for holders, chunks in self._chunks.items()
        }
        self._frees: dict[Holders, int] = {}
        # Some part of the map is needed by nobody at all.
        self._always_trimmed = [one for one in needs.segments if self._map_frees_of(one, 0)]

    def layer_bytes(self, wanted: Callable[[Holders], bool]) -> int:
        """Returns the disk of the layers, and of base tables, whose holders are of a kind."""
        layers = sum(
            self._sizes[layer]
            for holders, layers in self._layers.items()
            if wanted(holders)
            for layer in layers
        )
        tables = sum(size for holders, size in self._tables.items() if wanted(holders))
        return layers + tables

    def whole_layer_bytes(self, removed: Holders) -> int:
        """Returns the disk of the layers that some holders need and nobody else."""
        return sum(
            self._sizes[layer] + self._table_sizes.get(layer, 0)
            for holders, layers in self._layers.items()
            if holders and not holders & ~removed
            for layer in layers
        )

    def chunk_bytes(self, wanted: Callable[[Holders], bool]) -> int:
        """Returns the bytes in packs of the chunks whose holders are of a kind."""
        return sum(
            size_bytes for holders, size_bytes in self._chunk_bytes.items() if wanted(holders)
        )

    def of(self, removed: Holders, *, closed: Holders) -> Usage:
        """Returns what some holders hold, once those of `closed` are gone anyway."""

        def is_own(holders: Holders) -> bool:
            return bool(holders & removed) and not holders & ~closed & ~removed

        def is_shared(holders: Holders) -> bool:
            return bool(holders & removed) and bool(holders & ~closed & ~removed)

        return Usage(
            self.layer_bytes(is_own),
            self.layer_bytes(is_shared),
            self.chunk_bytes(is_own),
            self.chunk_bytes(is_shared),
            self.frees(closed | removed) - self.frees(closed),
        )

    def frees(self, removed: Holders) -> int:
        """Returns the disk that a collection gives back without some holders."""
        if removed not in self._frees:
            self._frees[removed] = self._layers_and_maps(removed) + self._packs(removed)
        return self._frees[removed]

    def _layers_and_maps(self, removed: Holders) -> int:
        gone = {
            layer
            for holders, layers in self._layers.items()
            if not holders & ~removed
            for layer in layers
        }
        trimmed = {
            segment
            for holders, segments in self._segments.items()
            if not holders & ~removed
            for segment in segments
        }
        trimmed.update(self._always_trimmed)
        maps = sum(
            self._map_frees_of(segment, removed)
            for segment in trimmed
            if segment_layer(segment) not in gone
        )
        layers = sum(self._sizes[layer] for layer in gone)
        # Who needs a table needs its layer, so with a layer its table goes.
        tables = sum(size for holders, size in self._tables.items() if not holders & ~removed)
        return layers + tables + maps + self._scratch(removed, gone)

    def _scratch(self, removed: Holders, gone: set[LayerId]) -> int:
        """Returns the disk of the segments left unsealed of which nothing is needed any more."""
        noted: set[LayerId] = set()
        found = (
            scratch_trim(self._store, segment, noted)
            for segment, holders in sorted(self._needs.scratch.items())
            if not holders & ~removed and segment_layer(segment) not in gone
        )
        return sum(trim.frees_bytes for trim in found if trim is not None)

    def _map_frees_of(self, segment: SegmentId, removed: Holders) -> int:
        """Returns the blocks by which a map becomes smaller."""
        key = segment, removed
        if key not in self._map_frees:
            pieces = self._needs.maps[segment]
            parts = cut_map(pieces, kept(self._needs.segments[segment], removed))
            old_bytes = sum(piece.length for piece in extent.iterate(pieces))
            if sum(piece.length for piece in parts) == old_bytes:
                self._map_frees[key] = 0
            else:
                occupied = self._store.storage.allocated_bytes(layout.seal_map(segment))
                size_bytes = len(sealmap.encode(parts))
                needed = -(-size_bytes // PUNCH_BLOCK_BYTES) * PUNCH_BLOCK_BYTES
                self._map_frees[key] = occupied - needed
        return self._map_frees[key]

    def _packs(self, removed: Holders) -> int:
        wanted = dict(self._wanted)
        for holders, chunks in self._chunks.items():
            if holders and not holders & ~removed:
                for chunk in chunks:
                    pack, length = self._places[chunk]
                    if pack in wanted:
                        wanted[pack] -= length
        live = _Live(self._needs.chunks, removed)
        storage, index = self._store.storage, self._store.index
        return sweep.plan_of(storage, index, wanted, live, self._pack_sizes.get).frees_bytes


class _Live:
    """The chunks that somebody else than some holders needs."""

    def __init__(self, chunks: dict[ChunkId, Holders], removed: Holders) -> None:
        self._chunks = chunks
        self._removed = removed

    def __contains__(self, chunk: object) -> bool:
        return bool(self._chunks.get(chunk, 0) & ~self._removed)  # type: ignore[call-overload]


def log_bytes_of(storage: Storage, name: WorkspaceName) -> int:
    """Returns the disk of a workspace's own directory: log, locks, notes."""
    directory = layout.workspace_directory(name)
    locks = f"{directory}/locks"
    files = [directory, *(f"{directory}/{name}" for name in storage.list(directory))]
    files += [f"{locks}/{lock}" for lock in storage.list(locks)]
    return sum(map(storage.allocated_bytes, files))
