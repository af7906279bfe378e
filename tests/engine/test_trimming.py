"""Maps are trimmed to what the given positions reach, once, and what it gives back is counted."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from pyi_fs.engine import garbage
from pyi_fs.engine.fsck import check_store
from pyi_fs.engine.marking import sealed_maps, trims
from pyi_fs.engine.roots import Gone, Roots, roots_of
from pyi_fs.engine.store import Store
from pyi_fs.engine.trimming import trim
from pyi_fs.store import layout
from tests.support.engine_rig import contents, noise, opened, put, written
from tests.support.garbage_rig import seal_everything
from tests.support.workspaces import Rig


def test_what_positions_do_not_reach_leaves_the_maps(workspace: Rig) -> None:
    workspace.make("stays", noise(9_000, "stays"))
    workspace.make("changes", noise(9_000, "old"))
    first = workspace.snapshot("first")
    workspace.write("changes", noise(9_000, "new"))
    workspace.seal_all()
    workspace.restart()
    store = workspace.store
    everything = roots_of(store).all_positions()
    assert trim(store, lambda: (everything, ())) == (0, 0)
    without = {workspace.workspace.name: Gone({first})}
    positions = roots_of(store, without=without, grace=False).all_positions()
    (planned,) = trims(store, positions, sealed_maps(store))
    assert trim(store, lambda: (positions, set(positions))) == (0, 0)
    before = store.storage.read(layout.seal_map(planned.segment))
    assert trim(store, lambda: (positions, ())) == (1, planned.frees_bytes)
    assert len(store.storage.read(layout.seal_map(planned.segment))) < len(before)
    workspace.workspace.delete_snapshot("first")
    workspace.restart()
    assert workspace.read("changes") == noise(9_000, "new")
    assert workspace.read("stays") == noise(9_000, "stays")


def made_and_sealed_after(store: Store, reading: int) -> bool:
    """Collects; after the roots were read so many times, another writes a new layer and seals it.

    Returns whether they were read so often. The workspace `a` is at its first snapshot, `g` is new.
    """
    planned = garbage.plan(store)
    count = 0

    def read(*arguments: Any, **options: Any) -> Roots:
        nonlocal count
        found = roots_of(*arguments, **options)
        count += 1
        if count == reading:
            with written(store, "a") as (workspace, branch):
                workspace.restore(branch, workspace.refs.ordered()[0].id)
                put(branch, b"g", noise(30_000, "new"))
                workspace.snapshot(branch)
            seal_everything(store)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(garbage, "roots_of", read)
        garbage.carry_out(store, planned)
    return count >= reading


def test_a_layer_that_is_made_and_sealed_meanwhile_keeps_its_bytes(tmp_path: Path) -> None:
    for reading in itertools.count(1):
        with opened(tmp_path / f"store{reading}") as store:
            with written(store, "a") as (workspace, branch):
                put(branch, b"f", noise(30_000, "old"))
                workspace.snapshot(branch)
            seal_everything(store)
            if not made_and_sealed_after(store, reading):
                break
            with written(store, "a") as (_, branch):
                assert contents(branch)[b"g"] == noise(30_000, "new")
            assert [
                one for one in check_store(store, verify_data=True) if one.severity != "note"
            ] == []
    assert reading > 2
