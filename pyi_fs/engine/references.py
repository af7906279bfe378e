"""What the files of a layer name: other layers, and chunks. Reads only.

A layer needs more than its lineage: a restored path (`Graft`), shared extents (`Share`) and orphans
(`Adopt`) bring extents along whose segments belong to layers that may lie on no way to the root.
Who asks what is still needed follows these names too.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from pyi_fs.engine.store import Store
from pyi_fs.errors import NotFoundError
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
    records and base.
    """

    layers: frozenset[LayerId]
    chunks: frozenset[ChunkId]


class LayerGraph:
    """The layers of a store and what each names; looks at each layer once."""

    def __init__(self, store: Store, *, without_maps: Collection[SegmentId] = ()) -> None:
        """Looks at nothing yet; passes over the seal maps of some segments."""
        self._storage = store.storage
        self._without_maps = without_maps
        self._known: dict[LayerId, References | None] = {}

    def references(self, layer: LayerId) -> References | None:
        """Returns what a layer names, or None if it is gone; `StoreError` if it cannot be read."""
        if layer not in self._known:
            try:
                self._known[layer] = references_of(self._storage, layer, self._without_maps)
            except NotFoundError:
                self._known[layer] = None
        return self._known[layer]

    def reach(self, roots: Iterable[LayerId]) -> set[LayerId]:
        """Returns the layers that are needed for the roots.

        Themselves, and what they name, directly or not. Gone ones are left out.
        """
        reached: set[LayerId] = set()
        waiting = list(roots)
        while waiting:
            layer = waiting.pop()
            found = self.references(layer) if layer not in reached else None
            if found is not None:
                reached.add(layer)
                waiting.extend(found.layers)
        return reached


def references_of(
    storage: Storage, layer: LayerId, without_maps: Collection[SegmentId] = ()
) -> References:
    """Returns what a layer names; `NotFoundError` if it is gone. O(its journal, base and maps)."""
    try:
        parent = read_header(storage, layer)[0].parent
        layers: set[LayerId] = {parent.layer} if parent is not None else set()
        chunks: set[ChunkId] = set()
        for extents in _extent_lists(storage, layer, without_maps):
            for item in extent.iterate(extents):
                if item.kind == extent.CHUNK:
                    chunks.add(item.chunk)
                else:
                    layers.add(segment_layer(item.segment))
        for _, mutation in replay(storage, layer, 0):
            if type(mutation) is Write:
                layers.add(segment_layer(mutation.segment))
    except FileNotFoundError as error:
        raise NotFoundError(f"layer {layer_name(layer)} is gone from the store") from error
    return References(frozenset(layers - {layer}), frozenset(chunks))


def _extent_lists(
    storage: Storage, layer: LayerId, without_maps: Collection[SegmentId]
) -> Iterator[ExtentList]:
    for _, mutation in replay(storage, layer, 0):
        yield from _brought_along(mutation)
    table = open_base(storage, layer)
    if table is not None:
        for number in table.numbers():
            inode = table.inode(number)
            if inode is not None and inode.extents:
                yield inode.extents
    for name in storage.list(layout.layer_directory(layer)):
        index = layout.segment_of(name, "map-")
        if index is not None and segment_id(layer, index) not in without_maps:
            path = layout.seal_map(segment_id(layer, index))
            yield sealmap.decode(storage.read(path), path)


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
