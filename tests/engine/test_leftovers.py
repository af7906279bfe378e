"""What was closed unsynced is synced after what it stands on, and until it has worked."""

import pytest

from pyi_fs.engine.leftovers import Leftovers
from pyi_fs.ids import LayerId, OperationId, Position
from tests.support.storage import MemoryStorage
from tests.support.workspaces import Boot, Rig

ONE, TWO, LENDER = LayerId(1), LayerId(2), LayerId(3)


class Syncs:
    """Notes what is synced; fails at a layer."""

    def __init__(self, failing: LayerId | None = None) -> None:
        self.calls: list[object] = []
        self.failing = failing
        self.gone: set[LayerId] = set()

    def sync_position(self, position: Position) -> None:
        if position.layer == self.failing:
            raise OSError("broken")
        self.calls.append(position)

    def sync_lender(self, layer: LayerId) -> None:
        self.calls.append(layer)

    def is_gone(self, layer: LayerId) -> bool:
        return layer in self.gone


def leftovers() -> Leftovers:
    made = Leftovers()
    for layer, offset in ((ONE, 10), (TWO, 20), (ONE, 5)):
        made.add_closed(Position(layer, offset))
    made.add_lenders([LENDER])
    return made


def test_lenders_come_first_and_of_each_layer_the_furthest_end() -> None:
    left, syncs = leftovers(), Syncs()
    left.forget(left.sync(syncs))
    assert syncs.calls == [LENDER, Position(ONE, 10), Position(TWO, 20)]
    assert not left.has_closed
    left.sync(syncs)
    assert len(syncs.calls) == 3


def test_what_failed_is_tried_again() -> None:
    left = leftovers()
    with pytest.raises(OSError, match="broken"):
        left.sync(Syncs(TWO))
    again = Syncs()
    left.sync(again)
    assert again.calls == [LENDER, Position(ONE, 10), Position(TWO, 20)]


def test_a_layer_closed_further_on_meanwhile_stays() -> None:
    left = leftovers()
    done = left.sync(Syncs())
    left.add_closed(Position(ONE, 30))
    left.forget(done)
    syncs = Syncs()
    left.sync(syncs)
    assert syncs.calls == [Position(ONE, 30)]


def test_what_was_collected_is_no_reason_to_fail() -> None:
    left, syncs = leftovers(), Syncs(failing=ONE)
    syncs.gone = {ONE, LENDER}
    left.forget(left.sync(syncs))
    assert syncs.calls == [Position(TWO, 20)]
    assert not left.has_closed


def test_what_is_handed_over_is_the_others() -> None:
    left, other = leftovers(), Leftovers()
    left.hand_over(other)
    assert (left.has_closed, other.has_closed) == (False, True)
    syncs = Syncs()
    other.sync(syncs)
    assert syncs.calls == [LENDER, Position(ONE, 10), Position(TWO, 20)]


@pytest.mark.parametrize("seed", range(12))
def test_what_a_drop_left_is_found_by_undo_after_a_power_loss(
    workspace: Rig, boot: Boot, seed: int
) -> None:
    """Rule 4 of the promises: dropped longer ago than the interval, so a sync has been there."""
    storage = workspace.storage
    assert isinstance(storage, MemoryStorage)
    workspace.workspace.make_branch("side", workspace.main)
    workspace.make("mine", b"kept", on="side")
    workspace.workspace.drop_branch("side")
    dropped = OperationId(workspace.workspace.refs.operation_count)
    workspace.workspace.sync_leftovers()
    assert not workspace.workspace.leftovers.has_closed
    boot.again()
    again = Rig(storage.after_power_loss(seed), clock=workspace.clock)
    try:
        again.workspace.undo(again.main, dropped)
        assert again.read("mine", on="side") == b"kept"
    finally:
        again.close()


def test_an_ephemeral_branch_leaves_nothing_to_sync(workspace: Rig) -> None:
    workspace.workspace.make_branch("side", workspace.main, ephemeral=True)
    workspace.make("mine", b"thrown away", on="side")
    workspace.workspace.drop_branch("side")
    assert not workspace.workspace.leftovers.has_closed
