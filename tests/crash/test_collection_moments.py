"""A machine stopped before each call of collections, by a kill or a power loss.

What was promised is there, in the same way as in `test_every_write.py`; and the next collection
takes nothing that is wanted either.
"""

import pytest

from pyi_fs import limits
from pyi_fs.engine import garbage, left_layers
from tests.crash.test_every_write import (
    CHECKPOINT,
    RECLAIM,
    SEAL,
    SNAPSHOT,
    SYNC,
    make,
    make_branch,
    named,
    restore,
    share,
    write,
)
from tests.support.crashes import (
    Moment,
    RecordingStorage,
    State,
    Step,
    judge_kill,
    judge_power_loss,
    recorded,
)
from tests.support.garbage_rig import NOTHING_KEPT, tomorrow
from tests.support.workspaces import Boot, IndexShelf, Rig, new_workspace

pytestmark = [pytest.mark.crash, pytest.mark.slow]


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEGMENT_BYTES_MAX", 24 * 1024)
    monkeypatch.setattr(limits, "PUNCH_BYTES_MIN", 4096)
    monkeypatch.setattr(limits, "INODE_RANGE_MIN", 4)
    monkeypatch.setattr(left_layers, "OPEN_MAX", 2)


def collect(rig: Rig) -> None:
    """Collects as in two days: everything that can go goes, whoever is using the workspace."""
    # Who looked at snapshots after each step keeps them.
    rig.workspace.leases.close()
    planned = garbage.plan(rig.store, policy=NOTHING_KEPT, clock_ns=tomorrow)
    garbage.carry_out(rig.store, planned, clock_ns=tomorrow)


def collect_closed(rig: Rig) -> None:
    for branch in rig.workspace.opened_branches():
        rig.workspace.close_branch(branch)
    rig.workspace.leases.close()
    planned = garbage.plan(rig.store, policy=NOTHING_KEPT, clock_ns=tomorrow)
    assert any(trim.is_scratch for trim in planned.trims)
    garbage.carry_out(rig.store, planned, clock_ns=tomorrow)


COLLECT: Step = ("collect", collect)

TRIMMED: list[Step] = [
    make("a"),
    write("a", 1, 20_000),
    SNAPSHOT,
    write("a", 2, 20_000),
    SNAPSHOT,
    SEAL,
    SYNC,
    write("a", 3, 9000, 4000),
    COLLECT,
    write("a", 4, 9000, 2000),
    SNAPSHOT,
    SEAL,
    write("a", 5, 20_000),
    SYNC,
    write("a", 6, 500),
    COLLECT,
    write("a", 7, 500),
    SYNC,
]
"""Snapshots of one layer go, and their bytes leave the maps of sealed segments."""

LEFT: list[Step] = [
    make("a"),
    write("a", 1, 15_000),
    named("first"),
    write("a", 2, 15_000),
    SNAPSHOT,
    restore("first"),
    write("a", 3, 15_000),
    SNAPSHOT,
    SEAL,
    restore("first"),
    make("b"),
    share("a", "b", 8000),
    write("a", 4, 5000),
    make_branch("side"),
    make("x", on="side"),
    write("x", 5, 9000, on="side"),
    named("sided", on="side"),
    restore("sided", b"x"),
    SYNC,
    ("drop side", lambda rig: rig.workspace.drop_branch("side")),
    ("delete sided", lambda rig: rig.workspace.delete_snapshot("sided")),
    COLLECT,
    write("x", 6, 300, 100),
    write("b", 7, 300, 100),
    CHECKPOINT,
    COLLECT,
    SYNC,
    RECLAIM,
]
"""Layers that a restore and a drop left, of which a path was restored and extents are shared."""

SEALED_AFTER: list[Step] = [
    make("a"),
    write("a", 1, 10_000),
    write("a", 2, 10_000),
    SYNC,
    named("kept"),
    restore("kept"),
    write("a", 3, 3000, 50),
    SEAL,
    SYNC,
    write("a", 4, 3000, 10),
    COLLECT,
    write("a", 5, 100),
    SYNC,
]
"""No root lies in the layer that is sealed, but in one that began there."""

SHARED: list[Step] = [
    make("a"),
    write("a", 1, 20_000),
    SEAL,
    SYNC,
    make("b"),
    share("a", "b", 8000),
    write("a", 2, 20_000),
    write("b", 3, 20_000),
    SYNC,
    SNAPSHOT,
    SYNC,
    COLLECT,
    write("a", 4, 500),
    SYNC,
]
"""A record behind the seal's note names bytes that are trimmed: it must not look like a loss."""

UNWRITTEN: list[Step] = [
    make("a"),
    write("a", 1, 20_000),
    named("first"),
    write("a", 2, 20_000),
    SNAPSHOT,
    write("a", 3, 20_000),
    restore("first"),
    make_branch("side"),
    ("reopened", Rig.restart),
    write("a", 4, 300),
    SNAPSHOT,
    SYNC,
    ("collect what nobody has open", collect_closed),
    write("a", 5, 300),
    SYNC,
]
"""Scratch of a layer that is left and not sealed, of a branch that nobody has open."""

TABLES: list[Step] = [
    make("a"),
    write("a", 1, 9000),
    SEAL,
    CHECKPOINT,
    make("b"),
    write("b", 2, 9000),
    named("kept"),
    SEAL,
    CHECKPOINT,
    make("c"),
    write("c", 3, 9000),
    SEAL,
    CHECKPOINT,
    write("a", 4, 300, 40),
    make_branch("side"),
    write("c", 5, 300, 40, on="side"),
    CHECKPOINT,
    SYNC,
    write("b", 6, 300, 40),
    COLLECT,
    CHECKPOINT,
    restore("kept"),
    make("d"),
    write("d", 7, 9000),
    SEAL,
    CHECKPOINT,
    write("d", 8, 300, 40),
    ("drop side", lambda rig: rig.workspace.drop_branch("side")),
    COLLECT,
    SYNC,
]
"""Base tables that no fold needs go, beside others."""

SCENARIOS = {
    "tables": TABLES,
    "unwritten": UNWRITTEN,
    "trimmed": TRIMMED,
    "shared": SHARED,
    "left": LEFT,
    "sealed after": SEALED_AFTER,
}
SHARES = 4


def moments_of(
    name: str, shelf: IndexShelf, share: int
) -> tuple[list[State], list[tuple[int, Moment]]]:
    rig = new_workspace(RecordingStorage(shelf.directory()))
    states, moments = recorded(rig, SCENARIOS[name])
    rig.die()
    return states, list(enumerate(moments))[share::SHARES]


def judge_next_collection(moment: Moment, shelf: IndexShelf) -> None:
    """After a kill: what is there is there after the next collection, too."""
    rig = Rig(moment.disk.killed(shelf))
    try:
        branches = rig.branch_pictures()
        rig.restart()
        collect(rig)
        rig.restart()
        assert rig.branch_pictures() == branches
        assert set(rig.snapshot_pictures()) == set(rig.workspace.refs.snapshots)
        assert rig.findings() == []
        collect(rig)
    finally:
        rig.die()


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_kill_before_every_call_loses_nothing(
    name: str, share: int, shelf: IndexShelf, boot: Boot
) -> None:
    states, moments = moments_of(name, shelf, share)
    for number, moment in moments:
        try:
            judge_kill(moment, states, shelf)
            if number % 2:
                judge_next_collection(moment, shelf)
        except BaseException as error:
            error.add_note(f"killed before {moment.call} {moment.path} in step {moment.step}")
            error.add_note(f"steps: {[state.name for state in states[1:]]}")
            raise


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_power_loss_before_every_call_leaves_what_was_synced(
    name: str, share: int, shelf: IndexShelf, boot: Boot, is_long: bool
) -> None:
    states, moments = moments_of(name, shelf, share)
    for number, moment in moments:
        for seed in range(number, number + (20 if is_long else 3)):
            boot.id = "boot-1"
            try:
                judge_power_loss(moment, states, shelf, boot, seed)
            except BaseException as error:
                where = f"{moment.call} {moment.path} in step {moment.step}"
                error.add_note(f"no power before {where}, seed {seed}")
                error.add_note(f"steps: {[state.name for state in states[1:]]}")
                raise
