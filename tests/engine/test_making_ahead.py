"""Layers are made ahead where layers are opened, and nowhere else."""

import trio
import trio.testing

from pyi_fs import limits
from pyi_fs.engine.making_ahead import keep_spares
from pyi_fs.store.spare_layers import SpareLayers
from tests.support.fixtures import boot, empty_chunk_index, memory, shelf, workspace

__all__ = ["boot", "empty_chunk_index", "memory", "shelf", "workspace"]


class Counted(SpareLayers):
    """Says when it was refilled."""

    def __init__(self, rig):
        layers = rig.store.layers
        super().__init__(rig.storage, layers.new_directory, layers.abandon)
        self.refilled = trio.Event()

    def refill(self):
        super().refill()
        trio.from_thread.run_sync(self.refilled.set)


async def test_once_one_was_opened_a_few_are_made_ahead_and_then_more(workspace, nursery):
    spares = Counted(workspace)
    nursery.start_soon(keep_spares, spares)
    await trio.testing.wait_all_tasks_blocked()
    assert not spares.refilled.is_set()
    found = []
    for take in (spares.take, lambda: trio.to_thread.run_sync(spares.take), spares.take):
        asked = take()
        found.append(asked if asked is None or isinstance(asked, int) else await asked)
        await spares.refilled.wait()
        await trio.testing.wait_all_tasks_blocked()
        spares.refilled = trio.Event()
    assert found[0] is None
    assert None not in found[1:]
    assert len(set(found)) == 3
    spares.on_taken = lambda: None
    assert sum(spares.take() is not None for _ in range(9)) == limits.SPARE_LAYERS
