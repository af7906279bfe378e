"""A layer names its parent, the layers its extents come from, the chunks of its base and maps."""

from pathlib import Path

import pytest

from pyi_fs.engine.checkpointing import write_base
from pyi_fs.engine.references import LayerGraph, all_layers, layer_bytes, references_of
from pyi_fs.engine.sealing import seal
from pyi_fs.errors import NotFoundError
from pyi_fs.ids import LayerId
from pyi_fs.model.mutation import Share
from pyi_fs.store import layout
from tests.support.engine_rig import blocks_below, make, noise, opened, put, written


def test_a_layer_names_its_parent(tmp_path: Path):
    with opened(tmp_path / "store") as store, written(store, "a") as (_, branch):
        first = branch.position.layer
        put(branch, b"f", b"x")
        second = branch.position.layer
        assert references_of(store.storage, second).layers == {first}
        assert references_of(store.storage, first).layers == set()
        assert (
            LayerGraph(store).reach([second]) == {first, second} == set(all_layers(store.storage))
        )


def test_shared_extents_name_the_layer_they_come_from(tmp_path: Path):
    with opened(tmp_path / "store") as store, written(store, "a") as (workspace, branch):
        start = workspace.snapshot(branch).snapshot
        number = put(branch, b"f", b"x" * 100)
        source = branch.tree.existing(number)
        elsewhere = branch.position.layer
        workspace.restore(branch, start.id)
        number = make(branch, branch.tree.resolve(b""), b"copy", 0o100000)
        branch.commit(Share(number, 0, 100, source.extents, 5))
        found = references_of(store.storage, branch.position.layer)
        assert elsewhere in found.layers


def test_chunks_of_maps_and_bases_are_named(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", noise(300_000))
            layer = branch.position.layer
            segments = store.layers.segments(layer)
        seal(store, segments)
        of_map = references_of(store.storage, layer).chunks
        assert sum(len(store.chunks.get(chunk)) for chunk in of_map) == 300_000
        with written(store, "a") as (_, branch):
            position, _ = branch.roll()
            branch.sync()
            write_base(store, branch.position.layer, position)
            found = references_of(store.storage, branch.position.layer)
        assert found.chunks == of_map
        assert layer in found.layers


def test_what_is_gone_is_left_out(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with pytest.raises(NotFoundError):
            references_of(store.storage, LayerId(77))
        graph = LayerGraph(store)
        assert graph.references(LayerId(77)) is None
        assert graph.reach([LayerId(77)]) == set()


def test_the_bytes_of_a_layer_are_those_of_its_directory(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", noise(300_000))
            layer = branch.position.layer
        path = tmp_path / "store" / layout.layer_directory(layer)
        assert layer_bytes(store.storage, layer) == blocks_below(path) > 300_000
