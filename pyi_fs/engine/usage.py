"""Who holds how much of a store.

Workspaces, branches and snapshots, what is their own and what they share.

The unit is what can be given back: whole layers (blocks allocated, holes not counted), and chunks
(bytes stored in packs). Something is a workspace's *own* if no other workspace needs it: then
removing the workspace gives it back, layers by the collector at once, chunks when packs are
collected. Something is a branch's or snapshot's own if nothing else in the store needs it; it goes
when the branch or snapshot has left the log, which keeps positions for `undo`.

Source: `engine/roots.py` for what a log holds, `engine/references.py` for what a layer needs.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pyi_fs.engine.branch import Branch
from pyi_fs.engine.references import LayerGraph, all_layers, layer_bytes
from pyi_fs.engine.store import Store
from pyi_fs.engine.workspace import Workspace
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import BranchName, ChunkId, LayerId, SnapshotId, WorkspaceName
from pyi_fs.model.operation import Begin, Continue, MakeBranch, MoveBranch, Operation, RestorePath
from pyi_fs.store import layout
from pyi_fs.store.oplog import OperationsLog
from pyi_fs.store.packs import list_packs, pack_path


class Held(NamedTuple):
    """Bytes held: in layers and in chunks, own and shared with others."""

    own_layer_bytes: int = 0
    shared_layer_bytes: int = 0
    own_chunk_bytes: int = 0
    shared_chunk_bytes: int = 0

    @property
    def own_bytes(self) -> int:
        """Returns what nobody else needs."""
        return self.own_layer_bytes + self.own_chunk_bytes

    @property
    def shared_bytes(self) -> int:
        """Returns what somebody else needs too."""
        return self.shared_layer_bytes + self.shared_chunk_bytes


class RefUsage(NamedTuple):
    """What a branch or snapshot holds; `name` is a snapshot's id."""

    name: str
    held: Held


class WorkspaceUsage(NamedTuple):
    """What a workspace holds. `log_bytes`: its log and locks, which are always its own."""

    name: WorkspaceName
    held: Held
    log_bytes: int
    branches: tuple[RefUsage, ...]
    snapshots: tuple[RefUsage, ...]

    @property
    def frees_layer_bytes(self) -> int:
        """Returns what the collector gives back when this workspace is removed.

        Exact while nobody writes.
        """
        return self.held.own_layer_bytes


class StoreUsage(NamedTuple):
    """What a store holds.

    `unneeded_…`: nobody needs it, the collector may take it; packs and index as they are on disk.
    """

    workspaces: tuple[WorkspaceUsage, ...]
    layer_bytes: int
    unneeded_layer_bytes: int
    chunk_bytes: int
    pack_bytes: int
    index_bytes: int


class BranchUsage(NamedTuple):
    """What a branch's lineage occupies.

    `own_bytes` in layers it wrote itself, `shared_bytes` in those it started from.
    """

    own_bytes: int
    shared_bytes: int
    layers: int


def usage(store: Store) -> StoreUsage:
    """Returns who holds what. O(store): reads every journal and base, no file data.

    Also while it is mounted; then the numbers are of no one instant.
    """
    graph = LayerGraph(store)
    sizes = _Sizes(store)
    refs = dict(_refs_of_workspaces(store))
    reached = {name: graph.reach(found.all_layers()) for name, found in refs.items()}
    holders = Counter(layer for layers in reached.values() for layer in layers)
    needed = {layer: _chunks_of(graph, [layer]) for layer in holders}
    owners = _ChunkOwners((name, layers) for name, layers in reached.items())
    for layer, chunks in needed.items():
        owners.add(layer, chunks)
    workspaces = []
    for name, layers in reached.items():
        own = {layer for layer in layers if holders[layer] == 1}
        held = sizes.held(
            own, layers - own, owners.of(name), _chunks_of(graph, layers) - owners.of(name)
        )
        branches, snapshots = _of_refs(graph, sizes, refs[name], own, owners.of(name))
        workspaces.append(WorkspaceUsage(name, held, _log_bytes(store, name), branches, snapshots))
    everything = all_layers(store.storage)
    return StoreUsage(
        tuple(workspaces),
        sum(sizes.layer(layer) for layer in everything),
        sum(sizes.layer(layer) for layer in everything if layer not in holders),
        sizes.chunks(owners.all()),
        sum(store.storage.allocated_bytes(pack_path(pack)) for pack in list_packs(store.storage)),
        sum(store.storage.allocated_bytes(layout.INDEX + suffix) for suffix in ("", "-wal")),
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


class _Refs:
    """The layers that the log of one workspace names, by who names them."""

    def __init__(self, log: OperationsLog) -> None:
        self.branches: dict[BranchName, set[LayerId]] = defaultdict(set)
        self.snapshots: dict[SnapshotId, LayerId] = {
            snapshot.id: snapshot.position.layer for snapshot in log.refs.ordered()
        }
        for _, operation in log.operations():
            for branch, layer in _named(operation):
                self.branches[branch].add(layer)

    def all_layers(self) -> set[LayerId]:
        return set().union(*self.branches.values(), self.snapshots.values())


def _named(operation: Operation) -> Iterator[tuple[BranchName, LayerId]]:
    match operation:
        case Begin() | MakeBranch():
            yield operation.branch, operation.position[0]
        case Continue():
            yield operation.branch, operation.layer
        case MoveBranch():
            yield operation.branch, operation.before[0]
            yield operation.branch, operation.after[0]
        case RestorePath():
            yield operation.branch, operation.before[0]
        case _:
            return


def _refs_of_workspaces(store: Store) -> Iterator[tuple[WorkspaceName, _Refs]]:
    for name in store.workspace_names():
        try:
            log = OperationsLog(store.storage, name)
        except NotFoundError:
            # Removed meanwhile.
            continue
        try:
            yield name, _Refs(log)
        finally:
            log.close()


def _chunks_of(graph: LayerGraph, layers: Iterable[LayerId]) -> set[ChunkId]:
    chunks: set[ChunkId] = set()
    for layer in layers:
        found = graph.references(layer)
        if found is not None:
            chunks |= found.chunks
    return chunks


class _ChunkOwners:
    """Which workspace alone needs a chunk.

    One entry a chunk, whatever number of workspaces there is.
    """

    def __init__(self, reached: Iterable[tuple[WorkspaceName, set[LayerId]]]) -> None:
        self._owners: dict[LayerId, WorkspaceName | None] = {}
        for name, layers in reached:
            for layer in layers:
                self._owners[layer] = None if layer in self._owners else name
        self._chunks: dict[ChunkId, WorkspaceName | None] = {}
        self._own: dict[WorkspaceName, set[ChunkId]] = {}

    def add(self, layer: LayerId, chunks: set[ChunkId]) -> None:
        owner = self._owners[layer]
        for chunk in chunks:
            if self._chunks.setdefault(chunk, owner) != owner:
                self._chunks[chunk] = None

    def of(self, name: WorkspaceName) -> set[ChunkId]:
        if not self._own:
            for chunk, owner in self._chunks.items():
                if owner is not None:
                    self._own.setdefault(owner, set()).add(chunk)
        return self._own.get(name, set())

    def all(self) -> Iterable[ChunkId]:
        return self._chunks


class _Sizes:
    """Bytes of layers and chunks; each layer is looked at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._layers: dict[LayerId, int] = {}

    def layer(self, layer: LayerId) -> int:
        if layer not in self._layers:
            self._layers[layer] = layer_bytes(self._store.storage, layer)
        return self._layers[layer]

    def chunks(self, chunks: Iterable[ChunkId]) -> int:
        return sum(found.entry.length for found in self._store.index.find(chunks).values())

    def held(
        self,
        own: set[LayerId],
        shared: set[LayerId],
        own_chunks: set[ChunkId],
        shared_chunks: set[ChunkId],
    ) -> Held:
        return Held(
            sum(map(self.layer, own)),
            sum(map(self.layer, shared)),
            self.chunks(own_chunks),
            self.chunks(shared_chunks),
        )


def _of_refs(
    graph: LayerGraph,
    sizes: _Sizes,
    refs: _Refs,
    own_layers: set[LayerId],
    own_chunks: set[ChunkId],
) -> tuple[tuple[RefUsage, ...], tuple[RefUsage, ...]]:
    """Returns what each branch and each snapshot of a workspace holds.

    Only what is the workspace's own can be theirs.
    """
    by_branch = {name: graph.reach(layers) for name, layers in refs.branches.items()}
    by_snapshot = {layer: graph.reach([layer]) for layer in set(refs.snapshots.values())}
    holders = Counter(layer for layers in by_branch.values() for layer in layers)
    for layer in refs.snapshots.values():
        holders.update(by_snapshot[layer])
    chunk_holders: Counter[ChunkId] = Counter()
    for layer, times in holders.items():
        for chunk in _chunks_of(graph, [layer]):
            # A chunk of two layers has two holders even if they are one ref's: too little is said
            # to be own, never too much.
            chunk_holders[chunk] += times

    def held(layers: set[LayerId]) -> Held:
        own = {layer for layer in layers & own_layers if holders[layer] == 1}
        chunks = _chunks_of(graph, layers)
        mine = {chunk for chunk in chunks & own_chunks if chunk_holders[chunk] == 1}
        return sizes.held(own, layers - own, mine, chunks - mine)

    branches = tuple(RefUsage(name, held(layers)) for name, layers in sorted(by_branch.items()))
    of_layer = {layer: held(layers) for layer, layers in by_snapshot.items()}
    snapshots = tuple(RefUsage(name, of_layer[layer]) for name, layer in refs.snapshots.items())
    return branches, snapshots


def _log_bytes(store: Store, name: WorkspaceName) -> int:
    directory = layout.workspace_directory(name)
    files = [directory, layout.operations_log(name), layout.log_synced(name), f"{directory}/locks"]
    files += [f"{directory}/locks/{lock}" for lock in store.storage.list(f"{directory}/locks")]
    return sum(map(store.storage.allocated_bytes, files))
