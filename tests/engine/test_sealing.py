"""Sealing keeps every byte that a root reaches, wherever the root's tree got it from."""

import shutil

import pytest

from pyi_fs.engine import sealing
from pyi_fs.engine.collector import remove_and_collect
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.history import History
from pyi_fs.engine.roots import roots_of
from pyi_fs.engine.sealing import resolved, seal, trees_reaching
from pyi_fs.errors import CorruptSegmentError
from pyi_fs.model import extent
from pyi_fs.store import layout, sealmap
from tests.support.engine_rig import noise, opened, put, written


def restored_from_elsewhere(store):
    """Returns the segments of a layer off the lineage that a restored path has bytes in."""
    with written(store, "a") as (workspace, branch):
        put(branch, b"first", b"1")
        start = workspace.snapshot(branch).snapshot
        put(branch, b"other", b"x")
        workspace.restore(branch, start.id)
        put(branch, b"wanted", noise(30_000, "one"))
        source = workspace.snapshot(branch).snapshot
        put(branch, b"wanted", noise(30_000, "two"))
        workspace.snapshot(branch)
        workspace.restore(branch, start.id)
        put(branch, b"second", b"2")
        workspace.restore(branch, source.id, b"wanted")
        segments = store.layers.segments(source.position.layer)
        workspace.delete_snapshot(source.id)
    assert segments
    return segments


def test_a_restored_path_keeps_bytes_of_a_layer_off_its_lineage(tmp_path):
    with opened(tmp_path / "store") as store:
        seal(store, restored_from_elsewhere(store))
        assert check_store(store, verify_data=True) == []
        with written(store, "a") as (_, branch):
            number = branch.tree.resolve(b"wanted")
            assert branch.read(number, 0, 30_000) == noise(30_000, "one")


def test_so_does_a_fork_whose_parent_is_gone(tmp_path):
    with opened(tmp_path / "store") as store:
        segments = restored_from_elsewhere(store)
        fork_workspace(store, "a", None, "fork")
        remove_and_collect(store, "a")
        seal(store, segments)
        assert check_store(store, verify_data=True) == []


def test_what_no_root_reaches_is_not_kept(tmp_path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", noise(50_000, "never snapshotted"))
            put(branch, b"f", noise(50_000, "kept"))
            workspace.snapshot(branch)
            (segment,) = store.layers.segments(branch.position.layer)
        assert seal(store, [segment]) == [segment]
        assert not store.storage.exists(layout.scratch(segment))
        sealed = store.layers.sealed_map(segment)
        assert sealed is not None
        pieces = list(extent.iterate(sealed))
        assert sum(piece.length for piece in pieces) == 50_000
        assert seal(store, [segment]) == []


def test_resolved_extents_name_the_chunks_and_read_the_same(tmp_path):
    with opened(tmp_path / "store") as store, written(store, "a") as (workspace, branch):
        data = noise(200_000, "content")
        put(branch, b"f", data)
        inode = branch.tree.existing(branch.tree.resolve(b"f"))
        assert resolved(store, inode.extents) == inode.extents
        workspace.snapshot(branch)
        (segment,) = store.layers.segments(branch.position.layer)
        branch.close()
        seal(store, [segment])
        moved = resolved(store, inode.extents)
        assert all(piece.kind == extent.CHUNK for piece in extent.iterate(moved))
        pieces = extent.iterate(moved)
        assert (
            b"".join(
                store.chunks.read_range(piece.chunk, piece.source_offset, piece.length)
                for piece in pieces
            )
            == data
        )


@pytest.mark.parametrize("size", [1, 65_536, 65_537, 300_000])
def test_every_size_reads_the_same_after_sealing(tmp_path, size):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            put(branch, b"f", noise(size, "x"))
            workspace.snapshot(branch)
            segments = store.layers.segments(branch.position.layer)
        seal(store, segments)
        with written(store, "a") as (_, branch):
            assert branch.read(branch.tree.resolve(b"f"), 0, size) == noise(size, "x")


def test_what_a_map_has_not_all_of_stays_an_error_and_does_not_become_zeros(tmp_path):
    """A table folded again from layers whose maps were trimmed had holes where bytes had been."""
    with opened(tmp_path / "store") as store, written(store, "a") as (_, branch):
        number = put(branch, b"f", noise(200_000))
        branch.roll()
        branch.sync()
        branch.tidy()
        inode = branch.tree.existing(number)
        segment = next(extent.iterate(inode.extents)).segment
        assert seal(store, [segment]) == [segment]
        whole = store.layers.sealed_map(segment)
        assert whole is not None
        trimmed = list(extent.iterate(extent.without_range(whole, 100_000, 120_000)))
        store.storage.write_atomic(layout.seal_map(segment), [sealmap.encode(trimmed)])
    with opened(tmp_path / "store") as store:
        assert resolved(store, inode.extents) == inode.extents
        with pytest.raises(CorruptSegmentError, match="a gap"):
            store.layers.read_scratch(segment, 0, 200_000)


def test_each_snapshot_costs_what_has_changed_since_the_one_before(tmp_path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (workspace, branch):
            for index in range(40):
                put(branch, b"f%d" % index, noise(3_000, str(index)))
            for index in range(30):
                workspace.snapshot(branch)
                put(branch, b"f%d" % index, noise(3_000, "new"))
            segments = set(store.layers.segments(branch.position.layer))
        positions = roots_of(store).all_positions()
        found = trees_reaching(store, lambda _: [History(store.layers)], segments, positions, set())
        sizes = [len(numbers) for _, numbers in found]
        assert len(sizes) > 30
        assert max(sizes) == 40
        assert sum(sizes) <= 40 * len(positions) + 2 * 30
        seal(store, segments)
        assert check_store(store, verify_data=True) == []


def test_a_layer_that_is_collected_meanwhile_is_passed_over(tmp_path, monkeypatch):
    with opened(tmp_path / "store") as store:
        with written(store, "stays") as (workspace, branch):
            put(branch, b"f", noise(30_000, "stays"))
            workspace.snapshot(branch)
        stays = store.layers.segments(branch.position.layer)
        with written(store, "goes") as (workspace, branch):
            put(branch, b"f", noise(30_000, "goes"))
            workspace.snapshot(branch)
        gone = branch.position.layer
        segments = [*stays, *store.layers.segments(gone)]
        candidates = sealing._candidates  # noqa: SLF001 - between two steps of what is tested

        def collected(*arguments):
            found = candidates(*arguments)
            remove_and_collect(store, "goes")
            shutil.rmtree(tmp_path / "store" / layout.layer_directory(gone), ignore_errors=True)
            return found

        monkeypatch.setattr(sealing, "_candidates", collected)
        assert seal(store, segments) == stays
        assert check_store(store, verify_data=True) == []
