"""Maps are trimmed to what the given positions reach, once, and what it gives back is counted."""

from pyi_fs.engine.marking import trims
from pyi_fs.engine.roots import Gone, roots_of
from pyi_fs.engine.trimming import trim
from pyi_fs.store import layout
from tests.support.engine_rig import noise
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
    assert trim(store, everything, ()) == (0, 0)
    without = {workspace.workspace.name: Gone({first})}
    positions = roots_of(store, without=without, grace=False).all_positions()
    (planned,) = trims(store, positions, ())
    assert trim(store, positions, set(positions)) == (0, 0)
    before = store.storage.read(layout.seal_map(planned.segment))
    assert trim(store, positions, ()) == (1, planned.frees_bytes)
    assert len(store.storage.read(layout.seal_map(planned.segment))) < len(before)
    workspace.workspace.delete_snapshot("first")
    workspace.restart()
    assert workspace.read("changes") == noise(9_000, "new")
    assert workspace.read("stays") == noise(9_000, "stays")
