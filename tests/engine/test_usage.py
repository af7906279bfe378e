"""What is said to be freed is what is freed, to the block."""

from pathlib import Path

import pytest

from pyi_fs.engine.collector import remove_and_collect
from pyi_fs.engine.founding import fork_workspace
from pyi_fs.engine.sealing import seal
from pyi_fs.engine.store import Store
from pyi_fs.engine.usage import StoreUsage, WorkspaceUsage, branch_usage, usage
from pyi_fs.ids import SegmentId
from tests.support.engine_rig import blocks_below, noise, opened, put, written


def of(found: StoreUsage, name: str) -> WorkspaceUsage:
    return next(workspace for workspace in found.workspaces if workspace.name == name)


def layer_blocks(store: Store) -> int:
    """Returns the disk under `layers`, its two upper levels of directories left out."""
    root = store.path / "layers"
    return sum(blocks_below(layer) for layer in root.glob("*/*"))


def fill(store: Store) -> list[SegmentId]:
    """Makes a parent with a restored history and two forks; returns the parent's segments."""
    with written(store, "parent") as (workspace, branch):
        put(branch, b"base", noise(200_000, "base"))
        start = workspace.snapshot(branch, name="start").snapshot
        put(branch, b"base", noise(100_000, "again"))
        workspace.make_branch("side", start)
        side = workspace.open_branch("side")
        put(side, b"of-side", noise(60_000, "side"))
        side.sync()
        segments = [
            segment
            for opened_branch in (branch, side)
            for segment in store.layers.segments(opened_branch.position.layer)
        ]
    for name in ("fork", "other"):
        fork_workspace(store, "parent", "start", name)
        with written(store, name) as (_, branch):
            put(branch, b"own", noise(40_000, name))
            put(branch, b"same", noise(80_000, "same"))
            segments += store.layers.segments(branch.position.layer)
    return segments


@pytest.mark.parametrize("is_sealed", [False, True], ids=["scratch", "sealed"])
@pytest.mark.parametrize("order", [["parent", "fork", "other"], ["other", "parent", "fork"]])
def test_removal_frees_what_was_predicted(tmp_path: Path, order, is_sealed):
    with opened(tmp_path / "store") as store:
        segments = fill(store)
        if is_sealed:
            seal(store, segments)
        assert usage(store).layer_bytes == layer_blocks(store)
        for name in order:
            # A pin whose fork is gone is waited for; here it is certain that none is on its way.
            for pins in (store.path / "layers").glob("*/*/pins"):
                pins.write_text("")
            predicted = of(usage(store), name).frees_layer_bytes
            before = layer_blocks(store)
            done = remove_and_collect(store, name)
            assert done.freed_bytes == predicted > 0
            assert layer_blocks(store) == before - predicted
        assert layer_blocks(store) == 0
        assert usage(store).layer_bytes == 0


def test_own_and_shared_make_up_the_whole(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        fill(store)
        found = usage(store)
        shared = of(found, "fork").held.shared_layer_bytes
        assert shared == of(found, "other").held.shared_layer_bytes >= 200_000
        own = sum(workspace.held.own_layer_bytes for workspace in found.workspaces)
        assert own + shared == found.layer_bytes
        assert found.unneeded_layer_bytes == 0
        assert of(found, "fork").log_bytes == blocks_below(store.path / "workspaces" / "fork")


def test_a_chunk_that_two_workspaces_need_is_shared(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        seal(store, fill(store))
        found = usage(store)
        fork = of(found, "fork").held
        assert 40_000 <= fork.own_chunk_bytes < 45_000
        # Of the layer that the forks began in just what they see: 200,000; and what both wrote.
        assert 280_000 <= fork.shared_chunk_bytes < 285_000
        parent = of(found, "parent").held
        assert 160_000 <= parent.own_chunk_bytes < 165_000
        assert 200_000 <= parent.shared_chunk_bytes < 205_000
        own = sum(workspace.held.own_chunk_bytes for workspace in found.workspaces)
        assert found.chunk_bytes == own + fork.shared_chunk_bytes
        assert found.pack_bytes >= found.chunk_bytes


def test_a_branch_has_of_its_own_what_only_it_wrote(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        fill(store)
        parent = of(usage(store), "parent")
        branches = {ref.name: ref.held for ref in parent.branches}
        assert 60_000 <= branches["side"].own_bytes < 80_000
        assert branches["side"].shared_bytes >= 200_000
        assert branches["side"].own_layer_bytes <= parent.held.own_layer_bytes
        (snapshot,) = parent.snapshots
        assert snapshot.held.own_bytes == 0
        assert snapshot.held.shared_bytes >= 200_000


def test_what_nobody_needs_is_said_to_be_so(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        with written(store, "a") as (_, branch):
            put(branch, b"f", b"x")
        layer = store.layers.new_directory()
        file = store.storage.open_append(f"layers/{layer >> 32:02x}/{layer:010x}/base", create=True)
        file.append(bytes(50_000))
        file.close()
        assert 50_000 <= usage(store).unneeded_layer_bytes < 70_000


def test_the_usage_of_a_branch_needs_only_its_lineage(tmp_path: Path):
    with opened(tmp_path / "store") as store:
        fill(store)
        with written(store, "fork") as (workspace, branch):
            found = branch_usage(workspace, branch)
            assert found.layers == 3
            held = of(usage(store), "fork").held
            assert found.own_bytes == held.own_layer_bytes >= 120_000
            assert found.shared_bytes == held.shared_layer_bytes
