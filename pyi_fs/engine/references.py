"""What the files of a layer name: other layers, and chunks. Reads only.

A layer needs more than its lineage: a restored path (`Graft`), shared extents (`Share`) and orphans
(`Adopt`) bring extents along whose segments belong to layers that may lie on no way to the root.
Who asks what is still needed follows these names too.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError, StoreError
from pyi_fs.format.table import Table
from pyi_fs.ids import ChunkId, LayerId, SegmentId, layer_name, segment_id, segment_layer
from pyi_fs.model import extent
from pyi_fs.model.extent import ExtentList
from pyi_fs.model.mutation import Adopt, Graft, Mutation, Share, Write
from pyi_fs.store import layout, sealmap
from pyi_fs.store.journal import read_header, replay
from pyi_fs.store.storage import Storage


class References(NamedTuple):
    """What one layer names.

    Its parent, the layers of segments in its records and its base, and the chunks of its maps,
    records and base. `is_partial`: some of it cannot be read, and is not among them.
    """

    layers: frozenset[LayerId]
    chunks: frozenset[ChunkId]
    is_partial: bool = False


class LayerGraph:
    """The layers of a store and what each names; looks at each layer once."""

    def __init__(
        self,
        store: Store,
        *,
        without_maps: Collection[SegmentId] = (),
        without_tables: Collection[LayerId] = (),
    ) -> None:
        """Looks at nothing yet.

        Passes over the seal maps of some segments, and the base tables of some layers.
        """
        self._storage = store.storage
        self._without_maps = without_maps
        self._without_tables = without_tables
        self._known: dict[LayerId, References | None] = {}

    def references(self, layer: LayerId) -> References | None:
        """Returns what a layer names, or None if it is gone; `StoreError` if it cannot be read."""
        found = self.readable(layer)
        if found is not None and found.is_partial:
            # Once more, for the reason.
            return self._read(layer, partly=False)
        return found

    def readable(self, layer: LayerId) -> References | None:
        """Returns as much as can be read of what a layer names, or None if it is gone."""
        if layer not in self._known:
            try:
                self._known[layer] = self._read(layer, partly=True)
            except NotFoundError:
                self._known[layer] = None
        return self._known[layer]

    def _read(self, layer: LayerId, *, partly: bool) -> References:
        has_base = layer not in self._without_tables
        return references_of(
            self._storage, layer, self._without_maps, partly=partly, with_base=has_base
        )

    def reach(self, roots: Iterable[LayerId], *, partly: bool = False) -> set[LayerId]:
        """Returns the layers that are needed for the roots.

        Themselves, and what they name, directly or not. Gone ones are left out. `StoreError` if
        some cannot be read, unless what can be read will do (`partly`).
        """
        reached: set[LayerId] = set()
        waiting = list(roots)
        while waiting:
            layer = waiting.pop()
            if layer in reached:
                continue
            found = self.readable(layer) if partly else self.references(layer)
            if found is not None:
                reached.add(layer)
                waiting.extend(found.layers)
        return reached


def references_of(
    storage: Storage,
    layer: LayerId,
    without_maps: Collection[SegmentId] = (),
    *,
    partly: bool = False,
    with_base: bool = True,
) -> References:
    """Returns what a layer names; `NotFoundError` if it is gone. O(its journal, base and maps).

    `StoreError` if some of it cannot be read, unless what can be read will do (`partly`). Its base
    is passed over unless `with_base`.
    """
    layers: set[LayerId] = set()
    chunks: set[ChunkId] = set()
    is_partial = False
    try:
        for part in _parts(storage, layer, without_maps, with_base=with_base):
            try:
                for extents, named in part:
                    layers.update(named)
                    for item in extent.iterate(extents):
                        if item.kind == extent.CHUNK:
                            chunks.add(item.chunk)
                        else:
                            layers.add(segment_layer(item.segment))
            except StoreError:
                if not partly:
                    raise
                is_partial = True
    except FileNotFoundError as error:
        raise NotFoundError(f"layer {layer_name(layer)} is gone from the store") from error
    return References(frozenset(layers - {layer}), frozenset(chunks), is_partial)


_Named = tuple[ExtentList, tuple[LayerId, ...]]


def _parts(
    storage: Storage, layer: LayerId, without_maps: Collection[SegmentId], *, with_base: bool
) -> Iterator[Iterator[_Named]]:
    """Yields what names something: header, journal, base table, maps, each to be read by itself."""
    yield _parent(storage, layer)
    yield _of_journal(storage, layer)
    if with_base:
        yield _of_base(storage, layer)
    for name in storage.list(layout.layer_directory(layer)):
        index = layout.segment_of(name, "map-")
        if index is not None and segment_id(layer, index) not in without_maps:
            yield _of_map(storage, segment_id(layer, index))


def _parent(storage: Storage, layer: LayerId) -> Iterator[_Named]:
    parent = read_header(storage, layer)[0].parent
    if parent is not None:
        yield extent.EMPTY, (LayerId(parent[0]),)


def _of_journal(storage: Storage, layer: LayerId) -> Iterator[_Named]:
    for _, mutation in replay(storage, layer, 0):
        if type(mutation) is Write:
            yield extent.EMPTY, (segment_layer(mutation.segment),)
        for extents in _brought_along(mutation):
            yield extents, ()


def _of_base(storage: Storage, layer: LayerId) -> Iterator[_Named]:
    table = open_base(storage, layer)
    if table is not None:
        for number in table.numbers():
            inode = table.inode(number)
            if inode is not None and inode.extents:
                yield inode.extents, ()


def _of_map(storage: Storage, segment: SegmentId) -> Iterator[_Named]:
    path = layout.seal_map(segment)
    yield sealmap.decode(storage.read(path), path), ()


def _brought_along(mutation: Mutation) -> Iterator[ExtentList]:
    match mutation:
        case Share():
            yield mutation.extents
        case Adopt():
            yield mutation.inode.extents
        case Graft():
            for _, inode in mutation.inodes:
                if inode is not None:
                    yield inode.extents
        case _:
            return


def table_chunks(storage: Storage, layer: LayerId) -> set[ChunkId]:
    """Returns the chunks that the base table of a layer names, none if it has none."""
    return {
        item.chunk
        for extents, _ in _of_base(storage, layer)
        for item in extent.iterate(extents)
        if item.kind == extent.CHUNK
    }


def open_base(storage: Storage, layer: LayerId) -> Table | None:
    """Returns the base table of a layer, or None.

    Not kept: a process that looks at all layers must not hold all their tables.
    """
    path = layout.base(layer)
    try:
        file = storage.open_read(path)
    except FileNotFoundError:
        return None
    try:
        return Table(file.map(), path)
    finally:
        file.close()


def layer_bytes(storage: Storage, layer: LayerId) -> int:
    """Returns the disk that a layer occupies: its files, holes not counted, and its directory."""
    return _occupied_bytes(storage.disk, layer)


def memory_bytes(storage: Storage, layer: LayerId) -> int:
    """Returns the memory that a layer of an ephemeral branch occupies."""
    memory = storage.memory
    return _occupied_bytes(memory, layer) if memory is not None else 0


def _occupied_bytes(storage: Storage, layer: LayerId) -> int:
    directory = layout.layer_directory(layer)
    names = storage.list(directory)
    return storage.allocated_bytes(directory) + sum(
        storage.allocated_bytes(f"{directory}/{name}") for name in names
    )


def all_layers(storage: Storage) -> list[LayerId]:
    """Returns every layer that has a directory in the pool."""
    found = []
    for prefix in storage.list(layout.LAYERS):
        for name in storage.list(f"{layout.LAYERS}/{prefix}"):
            layer = layout.layer_of(name)
            if layer is not None and layer_name(layer) == name and name.startswith(prefix):
                found.append(layer)
    return found
